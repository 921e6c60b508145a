package rules

import (
	"regexp"
	"testing"

	"github.com/runtag/runtag/internal/rules"
)

// literals are the strings of an expression that are not in comments.
var literals = regexp.MustCompile(`//[^\n]*|"[^"]*"`)

// Each key, value, status and reason that a shipped rule names decides at least one scene: with any one of them misspelt,
// some scene ends otherwise. So a line that is dead is found, and so is one that is right by chance.
func TestEachWordOfTheShippedRulesMatters(t *testing.T) {
	all := scenes()
	inputs := make([]rules.Input, len(all))
	for i, s := range all {
		inputs[i] = s.input(t)
	}
	for name, rule := range shipped(t) {
		spec := specOf("ClusterTagRule", name, rule.Spec.TagRuleSpec)
		original := compile(t, spec)
		want := make([]rules.Outcome, len(inputs))
		for i, in := range inputs {
			want[i] = original.Eval(in).Outcome
		}
		for _, at := range literals.FindAllStringIndex(rule.Spec.When, -1) {
			literal := rule.Spec.When[at[0]:at[1]]
			if literal[0] == '/' {
				continue
			}
			misspelt := spec
			misspelt.When = rule.Spec.When[:at[1]-1] + "~" + rule.Spec.When[at[1]-1:]
			p := compile(t, misspelt)
			decides := false
			for i := 0; i < len(inputs) && !decides; i++ {
				decides = p.Eval(inputs[i]).Outcome != want[i]
			}
			if !decides {
				t.Errorf("%s: %s after %q decides no scene", name, literal, tail(rule.Spec.When[:at[0]]))
			}
		}
	}
}

func tail(s string) string {
	return s[max(0, len(s)-40):]
}
