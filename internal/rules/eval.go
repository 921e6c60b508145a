package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// What tagExpression may give.
const (
	maxResults = 16
	maxTag     = 250
)

// Eval asks the rule of a run. It never fails: where the expression can't be answered, because a metric is missing, a pod
// or its node was not seen or it costs too much, the outcome is NoInput and Why says so.
func (p *Program) Eval(in Input) Verdict {
	links, over := p.links(&in)
	if over != "" {
		return Verdict{Outcome: False, Why: over}
	}
	w := newWorld(&in, links, workloadsOf(&in))
	holds, why := p.when.holds(w)
	if why != "" {
		return Verdict{Outcome: NoInput, Why: why}
	}
	if !holds {
		return Verdict{Outcome: False}
	}
	v := Verdict{Outcome: True}
	p.prove(w, &v)
	p.compute(w, &v)
	return v
}

// links are the pods that the rule is shown. over says why a WhileTrue rule over pods can't hold: no pod is alive.
func (p *Program) links(in *Input) (links []Linked, over string) {
	if p.retention != WhileTrue {
		return in.Pods, ""
	}
	live := make([]Linked, 0, len(in.Pods))
	for i := range in.Pods {
		if in.Pods[i].Live {
			live = append(live, in.Pods[i])
		}
	}
	switch {
	case !p.when.reads.pods():
	case in.Ended:
		return nil, "the run has ended, and a rule with retention WhileTrue goes by pods that live"
	case len(in.Pods) > 0 && len(live) == 0:
		return nil, "no pod of the run lives, and a rule with retention WhileTrue goes by pods that do"
	}
	return live, ""
}

func workloadsOf(in *Input) []ref.Val {
	list, until := make([]ref.Val, len(in.Workloads)), ended(in.Pods)
	for i, w := range in.Workloads {
		list[i] = &object{of: workloadType, it: &workload{w, until}}
	}
	return list
}

// ended is when the last link ended; zero while one stands.
func ended(links []Linked) (at time.Time) {
	for i := range links {
		if links[i].Until.IsZero() {
			return time.Time{}
		}
		if links[i].Until.After(at) {
			at = links[i].Until
		}
	}
	return at
}

// holds says whether a condition holds; why is not empty where there is no answer.
func (e *expression) holds(w *world) (holds bool, why string) {
	v, _, why := e.value(e.run, w)
	return why == "" && v == types.True, why
}

// value evaluates an expression.
func (e *expression) value(by cel.Program, w *world) (ref.Val, *cel.EvalDetails, string) {
	vars, err := w.variables()
	if err != nil {
		return nil, nil, err.Error()
	}
	v, details, err := by.Eval(vars)
	switch {
	case err != nil:
		return nil, details, oneLine(fromParser(err.Error()))
	case types.IsUnknown(v):
		return nil, details, "not known yet: " + strings.Join(hidden(v.(*types.Unknown)), ", ")
	case types.IsError(v):
		return nil, details, oneLine(fromParser(fmt.Sprint(v)))
	}
	return v, details, ""
}

// hidden are the variables that an answer waits for.
func hidden(u *types.Unknown) []string {
	var names []string
	for _, id := range u.IDs() {
		trails, _ := u.GetAttributeTrails(id)
		for _, t := range trails {
			names = append(names, fromParser(t.Variable()))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// compute adds the tags of tagExpression.
func (p *Program) compute(w *world, v *Verdict) {
	if p.tags == nil {
		return
	}
	result, _, why := p.tags.value(p.tags.run, w)
	if why != "" {
		v.Why = "tagExpression gives no tags: " + why
		return
	}
	list, ok := result.(traits.Lister)
	if !ok {
		v.Why = "tagExpression gives no list"
		return
	}
	for it := list.Iterator(); it.HasNext() == types.True; {
		tag, ok := it.Next().(types.String)
		if !ok {
			v.Invalid = append(v.Invalid, "what tagExpression gives is not a string")
			continue
		}
		if wrong := tagProblem(string(tag)); wrong != "" {
			v.Invalid = append(v.Invalid, wrong)
			continue
		}
		v.Tags = append(v.Tags, string(tag))
	}
	v.Tags, v.Invalid = sorted(v.Tags), sorted(v.Invalid)
	if n := len(v.Tags); n > maxResults {
		v.Tags = v.Tags[:maxResults]
		v.Invalid = append(v.Invalid, fmt.Sprintf("tagExpression gives %d tags; the first %d of them count", n, maxResults))
	}
	if n := len(v.Invalid); n > maxResults {
		v.Invalid = append(v.Invalid[:maxResults-1], fmt.Sprintf("and %d more", n-maxResults+1))
	}
}

// tagProblem says why a text is no tag; empty if it is one.
func tagProblem(tag string) string {
	switch {
	case tag == "":
		return "a tag is empty"
	case !utf8.ValidString(tag):
		return fmt.Sprintf("tag %q is not valid UTF-8", tag)
	case utf8.RuneCountInString(tag) > maxTag:
		return fmt.Sprintf("tag %q is longer than %d characters", cut(tag, 40), maxTag)
	case strings.TrimSpace(tag) != tag:
		return fmt.Sprintf("tag %q has a blank at its start or end", tag)
	case strings.ContainsFunc(tag, unicode.IsControl):
		return fmt.Sprintf("tag %q has a control character", tag)
	}
	return ""
}

func sorted(in []string) []string {
	slices.Sort(in)
	return slices.Compact(in)
}
