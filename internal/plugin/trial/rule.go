package trial

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/tagrule"
	"github.com/runtag/runtag/internal/rules"
)

// Rule is a TagRule or ClusterTagRule, understood as the operator does.
type Rule struct {
	*tagrule.Rule
	// Namespace that it is for; empty for all.
	Namespace string
}

// Understand compiles a rule. What is wrong with one is in its Err.
func Understand(ctx context.Context, object client.Object) (Rule, error) {
	all, err := tagrule.NewSet(only{object: object}).For(ctx, object.GetNamespace())
	if err != nil {
		return Rule{}, err
	}
	if len(all) != 1 {
		return Rule{}, fmt.Errorf("%T %s is no rule", object, object.GetName())
	}
	return Rule{Rule: all[0], Namespace: object.GetNamespace()}, nil
}

// errOnly is what a reader says that has one object to list and nothing else.
var errOnly = errors.New("there are only rules to list")

// only reads as a cluster that has one rule.
type only struct{ object client.Object }

// Get has nothing.
func (o only) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errOnly
}

// List gives the rule where its kind is asked for.
func (o only) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	switch list := list.(type) {
	case *v1alpha1.TagRuleList:
		if rule, ok := o.object.(*v1alpha1.TagRule); ok {
			list.Items = []v1alpha1.TagRule{*rule}
		}
	case *v1alpha1.ClusterTagRuleList:
		if rule, ok := o.object.(*v1alpha1.ClusterTagRule); ok {
			list.Items = []v1alpha1.ClusterTagRule{*rule}
		}
	default:
		return errOnly
	}
	return nil
}

// Outcome is what became of a rule and a run.
type Outcome string

// The outcomes.
const (
	Match   Outcome = "match"
	NoMatch Outcome = "no match"
	// NoInput: it can't be said, so nothing would change.
	NoInput Outcome = "no input"
	// NotSelected: the rule is not for this run.
	NotSelected Outcome = "not selected"
)

// Answer is what a rule says of a run.
type Answer struct {
	Outcome Outcome
	// Tags that it gives.
	Tags []string
	// Evidence says what made it true; Why what was false, or why there was no input.
	Evidence, Why string
	// Invalid says which results are no tags.
	Invalid []string
	// Asked is what the operator's own code makes facts of.
	Asked rules.Asked
}

// Ask asks a rule that compiles of a run.
func (w *World) Ask(rule Rule, r *Run) (Answer, error) {
	in, err := w.input(r)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Asked: rules.Asked{Spec: named(rule.Spec, r)}}
	if why := w.passedOver(rule, r, in.Labels); why != "" {
		a.Outcome, a.Why = NotSelected, why
		return a, nil
	}
	a.Asked.Selected = true
	if why := w.blind(rule, r.Object.Namespace); why != "" {
		a.Outcome, a.Why = NoInput, why
		return a, nil
	}
	v := rule.Program.Explain(in)
	v.Tags = names(v.Tags, r)
	a.Why, a.Evidence, a.Invalid = v.Why, v.Evidence, v.Invalid
	if v.Outcome == rules.False && rule.Program.Reads("workloads") && w.unread["workloads"] != "" {
		v.Outcome, a.Why = rules.NoInput, w.unread["workloads"]
	}
	a.Asked.Verdict = v
	switch v.Outcome {
	case rules.True:
		a.Outcome, a.Tags = Match, slices.Concat(a.Asked.Spec.Tags, v.Tags)
	case rules.False:
		a.Outcome = NoMatch
	case rules.NoInput:
		a.Outcome, a.Why = NoInput, w.whyNot(rule, a.Why)
	}
	return a, nil
}

// passedOver says which selector does not let a run by; empty if all do.
func (w *World) passedOver(rule Rule, r *Run, labels map[string]string) string {
	namespace := r.Object.Namespace
	of, known := w.namespaces[namespace]
	switch {
	case rule.Namespace != "" && rule.Namespace != namespace:
		return "the rule is for namespace " + rule.Namespace
	case !rule.SelectsRun(labels):
		return "runSelector does not select its labels"
	case known && !rule.SelectsNamespace(of.Labels):
		return "namespaceSelector does not select namespace " + namespace
	}
	return ""
}

// blind says what the rule would have to know and can't be known; empty if it can be asked.
func (w *World) blind(rule Rule, namespace string) string {
	everywhere := rule.SelectsNamespace(nil) && !rule.Program.Reads("namespace")
	if _, known := w.namespaces[namespace]; !known && !everywhere {
		if why := w.unread["namespace"]; why != "" {
			return why
		}
		return "namespace " + namespace + " is not known"
	}
	for _, key := range rule.Program.SummaryKeys() {
		if _, known := w.summary[key]; !known {
			return fmt.Sprintf("the metric %q is known to the operator alone (kubectl runtag rule test takes --summary %s=VALUE, or %s= for none)", key, key, key)
		}
	}
	return ""
}

// whyNot adds to what is not known why it can't be.
func (w *World) whyNot(rule Rule, why string) string {
	reasons := []string{why}
	nodes := rule.Program.Reads("nodes")
	for variable, read := range map[string]bool{"pods": nodes || rule.Program.Reads("pods"), "nodes": nodes} {
		if reason := w.unread[variable]; reason != "" && read {
			reasons = append(reasons, reason)
		}
	}
	slices.Sort(reasons[1:])
	return strings.Join(reasons, "; ")
}

// named gives a rule whose tags have the names that the run's tracker gives them.
func named(spec rules.Spec, r *Run) rules.Spec {
	spec.Tags = names(spec.Tags, r)
	return spec
}

func names(tags []string, r *Run) []string {
	out := make([]string, 0, len(tags))
	for _, tag := range tags {
		out = append(out, r.Name(tag))
	}
	return out
}
