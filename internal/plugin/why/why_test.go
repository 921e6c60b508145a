package why_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/plugin/why"
	"github.com/runtag/runtag/internal/tags"
)

var (
	wandb = tags.Dialect{Tracker: "W&B", MaxKey: 8}
	pairs = tags.Dialect{Tracker: "MLflow", Pairs: true}
	now   = metav1.NewTime(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
)

// run is a TrainingRun that is ready, with these changes.
func run(changes ...func(*v1alpha1.TrainingRun)) plan.Run {
	r := &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: "r", Generation: 1, Labels: map[string]string{"tracking.runtag.dev/project": "p"}, Annotations: map[string]string{}},
		Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: "p"}, RunID: "1"},
		Status: v1alpha1.TrainingRunStatus{ObservedGeneration: 1, ObservedDeclarations: "1", Run: &v1alpha1.RunStatus{ID: "1", UID: "u", State: "running"},
			Conditions: []metav1.Condition{{Type: "Ready", Status: "True", Reason: "Synced", Message: "the tags on the run are as declared"}}},
	}
	for _, change := range changes {
		change(r)
	}
	return plan.Run{Object: r, Dialect: wandb, Ceiling: tags.Merge, Now: now.Time}
}

// seen puts a tag into the status.
func seen(name string, source v1alpha1.TagSource, present bool) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) {
		r.Status.Tags = append(r.Status.Tags, v1alpha1.TagStatus{Name: name, Source: source, Since: now, Present: present})
	}
}

func spec(names ...string) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) { r.Spec.Tags = append(r.Spec.Tags, names...) }
}

func label(key string) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) { r.Labels[key] = "" }
}

// wrote adds a field manager.
func wrote(manager, fields string) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) {
		r.ManagedFields = append(r.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, Time: &now, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(fields)})
	}
}

func rule(tag string, state v1alpha1.RuleTagState, sticky bool) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) {
		r.Status.RuleTags = append(r.Status.RuleTags, v1alpha1.RuleTag{Rule: "TagRule/x", Tag: tag, State: state, First: now, Last: now, Count: 2, Reason: "pod a: spot", Sticky: sticky})
	}
}

func changed(tag string, kind v1alpha1.TagChangeKind, source v1alpha1.TagSource, by string) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) {
		r.Status.History = append(r.Status.History, v1alpha1.TagHistory{Time: now, Tag: tag, Change: kind, Source: source, By: by})
	}
}

func ready(reason, message string) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) {
		r.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "False", Reason: reason, Message: message}}
	}
}

// told writes an account in short.
func told(a why.Account) string {
	var b strings.Builder
	for _, c := range a.Claims {
		b.WriteString(string(c.Source) + " " + c.Where)
		if len(c.Writers) > 0 {
			b.WriteString(" by " + why.Written(c.Writers))
		}
		if c.Evidence != "" {
			b.WriteString(": " + c.Evidence)
		}
		b.WriteString("\n")
	}
	for _, text := range a.Missing {
		b.WriteString("not there: " + text + "\n")
	}
	for _, text := range a.Goes {
		b.WriteString("off by " + text + "\n")
	}
	return b.String()
}

const rm = "kubectl runtag rm a r -n vision"

func TestAccounts(t *testing.T) {
	for _, test := range []struct {
		reason string
		run    plan.Run
		want   string
	}{
		{"spec, by the manager that wrote the item", run(spec("a"), seen("a", "Spec", true), wrote("argocd", `{"f:spec":{"f:tags":{"v:\"a\"":{}}}}`), wrote("other", `{"f:spec":{"f:tags":{"v:\"b\"":{}}}}`)),
			"Spec spec.tags by argocd (2026-11-24T12:00:00Z)\noff by taking it out of spec.tags where argocd has it, or excludeTags\n"},
		{"a label, by the manager that wrote it", run(label("tag.runtag.dev/a"), seen("a", "Label", true), wrote("kubectl-label", `{"f:metadata":{"f:labels":{"f:tag.runtag.dev/a":{}}}}`)),
			"Label label tag.runtag.dev/a by kubectl-label (2026-11-24T12:00:00Z)\noff by " + rm + "\n"},
		{"spec and label are both told, the stronger first", run(spec("a"), label("tag.runtag.dev/a"), seen("a", "Spec", true)),
			"Spec spec.tags\nLabel label tag.runtag.dev/a\noff by taking it out of spec.tags where somebody has it, or excludeTags\noff by " + rm + "\n"},
		{"an annotation that the operator moved names no writer", run(func(r *v1alpha1.TrainingRun) { r.Annotations["tracking.runtag.dev/tags"] = `["a"]` }, seen("a", "Label", true), wrote("runtag", `{"f:metadata":{"f:annotations":{"f:tracking.runtag.dev/tags":{}}}}`)),
			"Label annotation tracking.runtag.dev/tags\noff by " + rm + "\n"},
		{"a fact that a rule found stays until it is overruled or retracted", run(rule("a", "Held", true), seen("a", "Rule", true)),
			"Rule TagRule/x: pod a: spot\noff by " + rm + ", which overrules rules for this run; else it is a fact that stays, unless the rule's mode becomes Retract\n"},
		{"what a rule gives while it holds", run(rule("a", "Held", false), seen("a", "Rule", true)),
			"Rule TagRule/x: pod a: spot\noff by the rule being true no more; or " + rm + ", which overrules rules for this run\n"},
		{"a foreign tag is the tracker's", run(seen("a", "Run", true)), "Run the tracker: a script, the run's page or its API\noff by " + rm + "\n"},
		{"a foreign tag of a TagChange names it", run(seen("a", "Run", true), changed("a", "Added", "Run", "TagChange/fix")), "Run the tracker: TagChange/fix\noff by " + rm + "\n"},
		{"excluded, and by whom", run(spec("a"), func(r *v1alpha1.TrainingRun) { r.Spec.ExcludeTags = []string{"a"} }, wrote("argocd", `{"f:spec":{"f:excludeTags":{"v:\"a\"":{}}}}`)),
			"Spec spec.tags\nnot there: spec.excludeTags keeps it off, written by argocd (2026-11-24T12:00:00Z)\noff by taking it out of spec.tags where somebody has it, or excludeTags\n"},
		{"held back by the object's own policy", run(spec("a"), func(r *v1alpha1.TrainingRun) {
			r.Spec.TagPolicy, r.Status.Pending = "Observe", &v1alpha1.PendingTags{Add: []string{"a"}}
		}), "Spec spec.tags\nnot there: it is held back: spec.tagPolicy is Observe\noff by nothing here: under the policy Observe no tag is taken off\n"},
		{"held back by the operator alone", run(spec("a"), func(r *v1alpha1.TrainingRun) {
			r.Status.Pending = &v1alpha1.PendingTags{Add: []string{"a"}}
		}), "Spec spec.tags\nnot there: it is held back: the operator's --max-tag-policy, if not a look that is due\noff by taking it out of spec.tags where somebody has it, or excludeTags\n"},
		{"a rule that does not hold for long enough yet", run(rule("a", "Pending", true)), "not there: TagRule/x holds since 2026-11-24T12:00:00Z (pod a: spot), and not yet for as long as its spec.for asks\n"},
		{"a rule that a person overruled", run(rule("a", "Overruled", true), changed("a", "Removed", "Label", "")),
			"not there: a person took it off, so neither TagRule/x nor any other rule gives it to this run; declare it to end that\nnot there: taken off 2026-11-24T12:00:00Z by runtag, as its label or annotation was taken off\n"},
		{"the run is not there", run(spec("a"), seen("a", "Spec", false), ready("RunNotFound", "there is no run 1 yet")), "Spec spec.tags\nnot there: RunNotFound: there is no run 1 yet\noff by taking it out of spec.tags where somebody has it, or excludeTags\n"},
		{"the operator has not answered", run(spec("a")), "Spec spec.tags\nnot there: the operator has not answered the declaration yet\noff by taking it out of spec.tags where somebody has it, or excludeTags\n"},
		{"the operator has not seen the last edit", run(spec("a"), seen("a", "Spec", false), ready("RunNotFound", "there is no run 1 yet"), func(r *v1alpha1.TrainingRun) { r.Generation = 2 }), "Spec spec.tags\nnot there: the operator has not answered the declaration yet; RunNotFound: there is no run 1 yet\noff by taking it out of spec.tags where somebody has it, or excludeTags\n"},
		{"there is no operator", run(spec("a"), func(r *v1alpha1.TrainingRun) { r.Status.Conditions = nil }), "Spec spec.tags\nnot there: the operator has said nothing of this TrainingRun; is it running?\noff by taking it out of spec.tags where somebody has it, or excludeTags\n"},
		{"a script wiped it", run(spec("a"), seen("a", "Spec", false), changed("a", "Removed", "Run", "")), "Spec spec.tags\nnot there: it was on the run or is about to be, and is put there at the next look\nnot there: taken off 2026-11-24T12:00:00Z on the tracker by somebody else\noff by taking it out of spec.tags where somebody has it, or excludeTags\n"},
		{"taken off long ago, and came back", run(func(r *v1alpha1.TrainingRun) {
			r.Status.RemovedTags = []v1alpha1.RemovedTag{{Name: "a", At: now, Back: 1, Gone: true}}
		}), "not there: taken off 2026-11-24T12:00:00Z by runtag, as it was declared no more or asked off; it came back once since and was taken off again, at most 3 times\n"},
		{"never heard of", run(), "not there: nobody declares it, and it was not seen on the run\n"},
	} {
		if diff := cmp.Diff(test.want, told(why.Of(test.run, "a")[0])); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
	}
}

func TestRejected(t *testing.T) {
	long := run(spec("too-long-for-it"))
	if got := told(why.Of(long, "too-long-for-it")[0]); !strings.Contains(got, "not there: ") || !strings.Contains(got, "at most 8") {
		t.Errorf("what the tracker does not take is told in its words: %s", got)
	}
	conflict := run(spec("k=v"), seen("k=w", "Run", true), func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = "Add" })
	conflict.Dialect = pairs
	if got := told(why.Of(conflict, "k=v")[0]); !strings.Contains(got, "k=w") {
		t.Errorf("a value that is in the way is told: %s", got)
	}
}

func TestAllThatIsKnown(t *testing.T) {
	r := run(spec("a"), seen("b", "Run", true), label("tag.runtag.dev/c"), rule("d", "Overruled", true), func(r *v1alpha1.TrainingRun) {
		r.Spec.ExcludeTags, r.Annotations["tracking.runtag.dev/add-tags"] = []string{"e"}, `["f"]`
		r.Status.RemovedTags = []v1alpha1.RemovedTag{{Name: "g", At: now}}
	})
	var got []string
	for _, a := range why.Of(r) {
		got = append(got, a.Tag)
	}
	if diff := cmp.Diff(strings.Split("abcdefg", ""), got); diff != "" {
		t.Errorf("all that the object knows of is told, in order (-want +got):\n%s", diff)
	}
}

func TestWho(t *testing.T) {
	for _, test := range []struct {
		reason string
		kind   v1alpha1.TagChangeKind
		source v1alpha1.TagSource
		by     string
		want   string
	}{
		{"a rule gives", "Added", "Rule", "TagRule/x", "by runtag for TagRule/x"},
		{"a rule gives no more", "Removed", "Rule", "TagRule/x", "by runtag, as no rule gives it any more: TagRule/x"},
		{"spec declares, by somebody", "Added", "Spec", "argocd", "by runtag for the spec that argocd wrote"},
		{"spec declares no more", "Removed", "Spec", "argocd", "by runtag, as spec declares it no more or excludes it"},
		{"a label of somebody", "Added", "Label", "kubectl-label", "by runtag for the label or annotation that kubectl-label wrote"},
		{"an annotation of nobody known", "Added", "Label", "", "by runtag for a label or annotation"},
		{"a label is taken off", "Removed", "Label", "", "by runtag, as its label or annotation was taken off"},
		{"a change in bulk", "Removed", "Run", "TagChange/fix", "on the tracker by TagChange/fix"},
		{"somebody on the page", "Changed", "Run", "", "on the tracker by somebody else"},
	} {
		if got := why.Who(v1alpha1.TagHistory{Change: test.kind, Source: test.source, By: test.by}); got != test.want {
			t.Errorf("%s: got %q, want %q", test.reason, got, test.want)
		}
	}
}

// TestShellSafe: what is offered to be typed is one argument, whatever the tag is.
func TestShellSafe(t *testing.T) {
	r := run(seen("it's $(x)", "Run", true))
	r.Dialect = tags.Dialect{}
	if got := why.Of(r, "it's $(x)")[0].Goes; len(got) != 1 || !strings.HasPrefix(got[0], `kubectl runtag rm 'it'\''s $(x)' r `) {
		t.Errorf("got %q", got)
	}
}
