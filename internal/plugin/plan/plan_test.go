package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/tags"
)

var (
	wandb = tags.Dialect{Tracker: "W&B", MaxKey: 64}
	pairs = tags.Dialect{Tracker: "MLflow", Pairs: true}
	now   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

// object is a TrainingRun, in short.
type object struct {
	name                    string
	spec, excluded, applied []string
	labels                  map[string]string
	annotations             map[string]string
	tags                    []v1alpha1.TagStatus
	removed                 []string
	rules                   []v1alpha1.RuleTag
	policy                  v1alpha1.TagPolicy
	absent, wiped           bool
}

func on(name string, source v1alpha1.TagSource) v1alpha1.TagStatus {
	return v1alpha1.TagStatus{Name: name, Source: source, Present: true}
}

func (o object) run(d tags.Dialect, ceiling tags.Policy) plan.Run {
	run := &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: o.name, UID: types.UID("uid-" + o.name), Labels: map[string]string{"tracking.runtag.dev/project": "p"}, Annotations: o.annotations},
		Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: "p"}, RunID: o.name, Tags: o.spec, ExcludeTags: o.excluded, TagPolicy: o.policy},
		Status:     v1alpha1.TrainingRunStatus{ObservedDeclarations: "1", Tags: o.tags, RuleTags: o.rules, Run: &v1alpha1.RunStatus{ID: o.name, UID: "u-" + o.name, State: "running"}},
	}
	if o.absent {
		run.Status.Run = nil
	}
	if o.wiped {
		run.Labels = nil
	}
	for key, value := range o.labels {
		run.Labels[key] = value
	}
	for _, name := range o.applied {
		run.Status.AppliedTags = append(run.Status.AppliedTags, v1alpha1.AppliedTag{Name: name})
	}
	for _, name := range o.removed {
		run.Status.RemovedTags = append(run.Status.RemovedTags, v1alpha1.RemovedTag{Name: name, At: metav1.NewTime(now), Gone: true})
	}
	return plan.Run{Object: run, Dialect: d, Ceiling: ceiling, Now: now}
}

// told writes changes in short.
func told(changes []plan.Change) []string {
	out := make([]string, 0, len(changes))
	for _, c := range changes {
		sign := "+"
		if c.Remove {
			sign = "-"
		}
		out = append(out, sign+c.Tag+": "+c.Because)
	}
	return out
}

func TestChanges(t *testing.T) {
	for _, test := range []struct {
		reason  string
		object  object
		dialect tags.Dialect
		ceiling tags.Policy
		want    []string
	}{
		{"what is as declared changes nothing", object{spec: []string{"a"}, applied: []string{"a"}, tags: []v1alpha1.TagStatus{on("a", "Spec"), on("x", "Run")}}, wandb, tags.Merge, []string{}},
		{"what is declared and not there is put on, by its strongest source", object{spec: []string{"a"}, labels: map[string]string{"tag.runtag.dev/a": "", "tag.runtag.dev/b": "true"}, annotations: map[string]string{"tracking.runtag.dev/add-tags": `["c d"]`}}, wandb, tags.Merge,
			[]string{"+a: spec", "+b: label", "+c d: annotation"}},
		{"what was declared goes when it is declared no more", object{applied: []string{"a"}, tags: []v1alpha1.TagStatus{on("a", "Spec")}}, wandb, tags.Merge, []string{"-a: declared no more"}},
		{"what is excluded goes", object{excluded: []string{"x"}, tags: []v1alpha1.TagStatus{on("x", "Run")}}, wandb, tags.Merge, []string{"-x: excludeTags"}},
		{"what a person asks off goes", object{annotations: map[string]string{"tracking.runtag.dev/remove-tags": `["x"]`}, tags: []v1alpha1.TagStatus{on("x", "Run")}}, wandb, tags.Merge, []string{"-x: asked off"}},
		{"a mirrored label that is taken off asks as well", object{tags: []v1alpha1.TagStatus{{Name: "x", Source: "Run", Present: true, Mirrored: true}}}, wandb, tags.Merge, []string{"-x: asked off"}},
		{"what came back after it was taken off goes again", object{removed: []string{"x"}, tags: []v1alpha1.TagStatus{on("x", "Run")}}, wandb, tags.Merge, []string{"-x: was taken off, and is back"}},
		{"under Exclusive all goes that is not declared", object{spec: []string{"a"}, policy: "Exclusive", tags: []v1alpha1.TagStatus{on("a", "Spec"), on("x", "Run")}}, wandb, tags.Exclusive, []string{"-x: not declared (Exclusive)"}},
		{"the ceiling holds", object{spec: []string{"a"}, excluded: []string{"x"}, tags: []v1alpha1.TagStatus{on("x", "Run")}}, wandb, tags.Observe, []string{}},
		{"the object's own policy holds", object{spec: []string{"a"}, policy: "Add", excluded: []string{"x"}, tags: []v1alpha1.TagStatus{on("x", "Run")}}, wandb, tags.Merge, []string{"+a: spec"}},
		{"what a rule holds is put on for it", object{rules: []v1alpha1.RuleTag{{Rule: "TagRule/r", Tag: "a", State: "Held"}, {Rule: "TagRule/r", Tag: "b", State: "Pending"}}}, wandb, tags.Merge, []string{"+a: TagRule/r"}},
		{"what a rule held goes for it", object{applied: []string{"a"}, tags: []v1alpha1.TagStatus{{Name: "a", Source: "Rule", Rule: "TagRule/r", Present: true}}}, wandb, tags.Merge, []string{"-a: no longer by TagRule/r"}},
		{"a value takes another one's place", object{spec: []string{"k=v"}, tags: []v1alpha1.TagStatus{on("k=w", "Run")}}, pairs, tags.Merge, []string{"+k=v: spec, in place of k=w"}},
		{"a bare tag is there with any value", object{spec: []string{"k"}, tags: []v1alpha1.TagStatus{on("k=w", "Run")}}, pairs, tags.Merge, []string{}},
		{"an annotation that can't be read is no wish to take anything off", object{annotations: map[string]string{"tracking.runtag.dev/tags": "nonsense"}, applied: []string{"a"}, tags: []v1alpha1.TagStatus{{Name: "a", Source: "Label", Present: true, ByAnnotation: true}}}, wandb, tags.Merge, []string{}},
		{"labels that something wiped are no wish of a person", object{wiped: true, applied: []string{"a"}, tags: []v1alpha1.TagStatus{{Name: "a", Source: "Label", Present: true, Mirrored: true, ByLabel: true}, {Name: "x", Source: "Run", Present: true, Mirrored: true}}}, wandb, tags.Merge, []string{}},
	} {
		got := told(test.object.run(test.dialect, test.ceiling).Changes())
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
	}
}

func TestWishes(t *testing.T) {
	o := object{spec: []string{"a"}, excluded: []string{"x"}, policy: "Observe", tags: []v1alpha1.TagStatus{on("x", "Run"), on("y", "Run")}}
	want := []string{"+a: spec", "-x: excludeTags"}
	if diff := cmp.Diff(want, told(o.run(wandb, tags.Observe).Wishes())); diff != "" {
		t.Errorf("what is held back is what Merge would do (-want +got):\n%s", diff)
	}
}

func TestUnique(t *testing.T) {
	holder := object{name: "a", applied: []string{"u"}, tags: []v1alpha1.TagStatus{on("u", "Spec")}}
	for _, test := range []struct {
		reason  string
		objects []object
		made    bool
		want    map[string][]string
		notes   map[string][]string
	}{
		{"it moves from whoever has it to the one that declares it", []object{holder, {name: "b", spec: []string{"u"}}, {name: "c", tags: []v1alpha1.TagStatus{on("u", "Run")}}}, true,
			map[string][]string{"a": {"-u: moves to b"}, "b": {"+u: spec"}, "c": {"-u: moves to b"}}, nil},
		{"of two declarers none gets it", []object{{name: "a", spec: []string{"u"}, applied: []string{"u"}, tags: []v1alpha1.TagStatus{on("u", "Spec")}}, {name: "b", spec: []string{"u"}}}, true,
			nil, map[string][]string{"a": {"several TrainingRuns declare u, and at most one run may carry it: it does not move"}, "b": {"several TrainingRuns declare u, and at most one run may carry it: it does not move"}}},
		{"to a run that is not there it does not move", []object{holder, {name: "b", spec: []string{"u"}, absent: true}}, true, nil, map[string][]string{"b": {"u moves once the run is on the tracker"}}},
		{"to a run whose policy forbids it it does not move", []object{holder, {name: "b", spec: []string{"u"}, policy: "Observe"}}, true, nil, map[string][]string{"b": {"u does not move: the policy Observe takes no tags off"}}},
		{"from a run whose policy forbids it it does not move", []object{{name: "a", policy: "Add", tags: []v1alpha1.TagStatus{on("u", "Run")}}, {name: "b", spec: []string{"u"}}}, true, nil, map[string][]string{"b": {"u does not move: a keeps it by its policy Add"}}},
		{"to a run that excludes it it does not move", []object{holder, {name: "b", spec: []string{"u"}, excluded: []string{"u"}}}, false, nil, nil},
		{"declared by nobody it goes, if it was ours", []object{holder}, true, map[string][]string{"a": {"-u: declared no more"}}, nil},
		{"declared by nobody it stays, if it never was ours", []object{{name: "a", tags: []v1alpha1.TagStatus{on("u", "Run")}}}, false, nil, nil},
		{"a rule can't give it", []object{{name: "a", rules: []v1alpha1.RuleTag{{Rule: "TagRule/r", Tag: "u", State: "Held"}}}}, true, nil, nil},
	} {
		var runs []plan.Run
		for _, o := range test.objects {
			runs = append(runs, o.run(wandb, tags.Merge))
		}
		var got, notes map[string][]string
		for _, o := range plan.All(runs, []string{"u"}, func(string) bool { return test.made }) {
			if len(o.Changes) > 0 {
				if got == nil {
					got = map[string][]string{}
				}
				got[o.Object.Name] = told(o.Changes)
			}
			if len(o.Notes) > 0 {
				if notes == nil {
					notes = map[string][]string{}
				}
				notes[o.Object.Name] = o.Notes
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
		if diff := cmp.Diff(test.notes, notes); diff != "" {
			t.Errorf("%s: notes (-want +got):\n%s", test.reason, diff)
		}
	}
}

// TestUniqueStaysSomewhere holds whatever runs carry and declare: a unique tag that moves is on one run afterwards, and one
// that is declared and was somewhere is never nowhere.
func TestUniqueStaysSomewhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var runs []plan.Run
		carriers := 0
		for i := range rapid.IntRange(1, 4).Draw(t, "runs") {
			o := object{name: fmt.Sprint("r", i), absent: rapid.Bool().Draw(t, "absent")}
			o.policy = rapid.SampledFrom([]v1alpha1.TagPolicy{"Observe", "Add", "Merge"}).Draw(t, "policy")
			if rapid.Bool().Draw(t, "declares") {
				o.spec = []string{"u", "other"}
			}
			if !o.absent && rapid.Bool().Draw(t, "carries") {
				o.tags = []v1alpha1.TagStatus{on("u", "Run")}
				carriers++
			}
			runs = append(runs, o.run(wandb, tags.Merge))
		}
		after, moved, declared := 0, false, false
		for _, o := range plan.All(runs, []string{"u"}, func(string) bool { return true }) {
			set := o.Observed()
			for _, c := range o.Changes {
				if c.Tag != "u" {
					continue
				}
				moved = moved || !c.Remove || strings.HasPrefix(c.Because, "moves to ")
				delete(set, "u")
				if !c.Remove {
					set["u"] = ""
				}
			}
			declared = declared || slices.Contains(o.Object.Spec.Tags, "u")
			if backend.Carries(wandb, set, "u") {
				after++
			}
		}
		if moved && after != 1 {
			t.Fatalf("it moved, and is on %d runs", after)
		}
		if declared && carriers > 0 && after == 0 {
			t.Fatal("it is nowhere any more")
		}
	})
}

func TestSituation(t *testing.T) {
	o := object{spec: []string{"k=v"}, labels: map[string]string{"tag.runtag.dev/b": ""}, annotations: map[string]string{"tracking.runtag.dev/remove-tags": `["c"]`}, tags: []v1alpha1.TagStatus{on("c", "Rule")}}
	s := o.run(pairs, tags.Merge).Situation()
	if diff := cmp.Diff([]string{"k=v", "b"}, s.Declared); diff != "" {
		t.Errorf("what people declare ends overruling (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"c"}, s.Refused); diff != "" {
		t.Errorf("what people ask off overrules (-want +got):\n%s", diff)
	}
	if s := o.run(pairs, tags.Add).Situation(); len(s.Refused) > 0 {
		t.Errorf("a policy that takes nothing off overrules nothing, and refuses %s", strings.Join(s.Refused, ", "))
	}
}
