package why

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/edit"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/tags"
)

// missing says why a tag is not on the run, what matters most first.
func (t *teller) missing(name string, a Account) []string {
	var why []string
	if item := t.Excluded(name); item != "" {
		text := "spec.excludeTags keeps it off"
		if item != name {
			text += " (as " + item + ")"
		}
		why = append(why, text+by(t.writers(func(o edit.Owner) bool { return o.ExcludeTags[item] })))
	}
	why = append(why, t.rejected(name)...)
	why = append(why, t.byRules(name)...)
	pending := t.Object.Status.Pending
	if pending != nil && slices.Contains(pending.Add, name) || slices.Contains(t.planned.Pending.Add, name) {
		why = append(why, "it is held back: "+HeldBy(t.Run))
	}
	if len(a.Claims) > 0 && len(why) == 0 {
		why = append(why, t.waiting(name))
	}
	if taken := t.takenOff(name, a); taken != "" {
		why = append(why, taken)
	}
	if len(why) == 0 {
		why = append(why, "nobody declares it, and it was not seen on the run")
	}
	return why
}

// rejected says what the tracker, or another declaration, has against a tag.
func (t *teller) rejected(name string) []string {
	var why []string
	for _, r := range t.planned.Rejected {
		if r.Reason != tags.Excluded && t.Name(r.Name) == name && !slices.Contains(why, r.Message) {
			why = append(why, r.Message)
		}
	}
	return why
}

// byRules says what rules found that does not give the tag.
func (t *teller) byRules(name string) []string {
	var why []string
	for _, r := range t.Object.Status.RuleTags {
		switch {
		case t.Name(r.Tag) != name:
		case r.State == v1alpha1.RuleTagPending:
			why = append(why, fmt.Sprintf("%s holds since %s (%s), and not yet for as long as its spec.for asks", r.Rule, stamp(r.First), r.Reason))
		case r.State == v1alpha1.RuleTagOverruled:
			why = append(why, fmt.Sprintf("a person took it off, so neither %s nor any other rule gives it to this run; declare it to end that", r.Rule))
		}
	}
	return why
}

// waiting says of a tag that is declared, and kept off by nothing of its own, what it waits for.
func (t *teller) waiting(name string) string {
	st := &t.Object.Status
	known := slices.ContainsFunc(st.Tags, func(tag v1alpha1.TagStatus) bool { return tag.Name == name })
	ready := meta.FindStatusCondition(st.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return "the operator has said nothing of this TrainingRun; is it running?"
	case !known || st.ObservedGeneration != t.Object.Generation:
		return "the operator has not answered the declaration yet" + unless(ready)
	case ready.Status == metav1.ConditionTrue:
		return "it was on the run or is about to be, and is put there at the next look"
	}
	return ready.Reason + ": " + ready.Message
}

func unless(ready *metav1.Condition) string {
	if ready.Status == metav1.ConditionTrue {
		return ""
	}
	return "; " + ready.Reason + ": " + ready.Message
}

// takenOff says who took a tag off, and when.
func (t *teller) takenOff(name string, a Account) string {
	var parts []string
	for _, h := range a.Changes {
		if h.Change == v1alpha1.TagRemoved {
			parts = append(parts, "taken off "+stamp(h.Time)+" "+Who(h))
			break
		}
	}
	for _, r := range t.Object.Status.RemovedTags {
		if r.Name != name {
			continue
		}
		if len(parts) == 0 {
			parts = append(parts, "taken off "+stamp(r.At)+" by runtag, as it was declared no more or asked off")
		}
		if r.Back > 0 {
			parts = append(parts, fmt.Sprintf("it came back %s since and was taken off again, at most %d times", times(r.Back), tags.MaxBack))
		}
	}
	return strings.Join(parts, "; ")
}

// Who says who made a change on the tracker, and for whom.
func Who(h v1alpha1.TagHistory) string {
	gone, by := h.Change == v1alpha1.TagRemoved, ""
	if h.By != "" {
		by = " that " + h.By + " wrote"
	}
	switch {
	case h.Source == v1alpha1.TagSourceRun && h.By != "":
		return "on the tracker by " + h.By
	case h.Source == v1alpha1.TagSourceRun:
		return "on the tracker by somebody else"
	case h.Source == v1alpha1.TagSourceRule && gone:
		return "by runtag, as no rule gives it any more: " + h.By
	case h.Source == v1alpha1.TagSourceRule:
		return "by runtag for " + h.By
	case h.Source == v1alpha1.TagSourceSpec && gone:
		return "by runtag, as spec declares it no more or excludes it"
	case h.Source == v1alpha1.TagSourceSpec:
		return "by runtag for the spec" + by
	case gone:
		return "by runtag, as its label or annotation was taken off"
	}
	if by == "" {
		return "by runtag for a label or annotation"
	}
	return "by runtag for the label or annotation" + by
}

// HeldBy says which policy holds back what status.pending lists of a run.
func HeldBy(r plan.Run) string {
	own := plan.Policy(r.Object.Spec.TagPolicy)
	switch {
	case r.Ceiling < own && r.Ceiling < tags.Merge:
		return fmt.Sprintf("maxTagPolicy of TrackingProject %s is %s", r.Object.Spec.ProjectRef.Name, r.Ceiling)
	case own < tags.Merge:
		return "spec.tagPolicy is " + own.String()
	case r.Ceiling < own:
		return fmt.Sprintf("maxTagPolicy of TrackingProject %s is %s", r.Object.Spec.ProjectRef.Name, r.Ceiling)
	}
	return "the operator's --max-tag-policy, if not a look that is due"
}

// goes says what would take a tag off the run.
func (t *teller) goes(name string, a Account) []string {
	if !a.Present && len(a.Claims) == 0 {
		return nil
	}
	if t.Policy() < tags.Merge {
		return []string{fmt.Sprintf("nothing here: under the policy %s no tag is taken off", t.Policy())}
	}
	var goes []string
	add := func(text string) {
		if !slices.Contains(goes, text) {
			goes = append(goes, text)
		}
	}
	rm := fmt.Sprintf("kubectl runtag rm %s %s -n %s", quote(name), t.Object.Name, t.Object.Namespace)
	for _, c := range a.Claims {
		switch {
		case c.Source == v1alpha1.TagSourceSpec:
			add("taking it out of spec.tags where " + managers(c.Writers) + " has it, or excludeTags")
		case c.Source == v1alpha1.TagSourceRule && c.Sticky:
			add(rm + ", which overrules rules for this run; else it is a fact that stays, unless the rule's mode becomes Retract")
		case c.Source == v1alpha1.TagSourceRule:
			add("the rule being true no more; or " + rm + ", which overrules rules for this run")
		default:
			add(rm)
		}
	}
	return goes
}

// by names writers in a sentence; empty for none.
func by(writers []Writer) string {
	if len(writers) == 0 {
		return ""
	}
	return ", written by " + Written(writers)
}

// Written names writers with the times of their last writes.
func Written(writers []Writer) string {
	parts := make([]string, 0, len(writers))
	for _, w := range writers {
		part := w.Manager
		if w.Time != nil {
			part += " (" + stamp(*w.Time) + ")"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

func managers(writers []Writer) string {
	if len(writers) == 0 {
		return "somebody"
	}
	names := make([]string, 0, len(writers))
	for _, w := range writers {
		names = append(names, w.Manager)
	}
	return strings.Join(names, ", ")
}

func times(n int32) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// stamp writes a time as all others do in Kubernetes.
func stamp(t metav1.Time) string { return t.UTC().Format(time.RFC3339) }

// quote writes a tag as a shell takes it.
func quote(name string) string {
	safe := !strings.ContainsFunc(name, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune("._-=/:,", r)
	})
	if safe && name != "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
