package trainingrun_test

import (
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
)

// full is an object with something in each list, each of which has room to grow as after decoding, with strings of its own.
func full() *v1alpha1.TrainingRun {
	own := func(s string) string { return string([]byte(s)) }
	raw := []byte(`{"f:metadata":{"f:labels":{"f:tag.runtag.dev/baseline":{}}}}`)
	at := metav1.Unix(1_800_000_000, 0)
	return &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: own("team"), Name: own("run"), UID: "u1", Labels: map[string]string{own("tag.runtag.dev/baseline"): own("spec"), own("team"): ""},
			Annotations: map[string]string{"a": "b"},
			ManagedFields: append(make([]metav1.ManagedFieldsEntry, 0, 4),
				metav1.ManagedFieldsEntry{Manager: own(trainingrun.FieldManager), Operation: "Update", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(string(raw))},
				metav1.ManagedFieldsEntry{Manager: own(trainingrun.FieldManager), Operation: "Apply"}),
		},
		Spec: v1alpha1.TrainingRunSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: own("p")}, RunID: own("id"), Tags: append(make([]string, 0, 4), own("baseline"), own("v2")), ExcludeTags: []string{},
			TagPolicy: v1alpha1.TagPolicyMerge, DeletionPolicy: v1alpha1.DeletionPolicyRetain,
		},
		Status: v1alpha1.TrainingRunStatus{
			Conditions:  append(make([]metav1.Condition, 0, 4), metav1.Condition{Type: "Ready", Status: "True", Reason: "InSync", Message: "all is well", LastTransitionTime: at}),
			Tags:        append(make([]v1alpha1.TagStatus, 0, 4), v1alpha1.TagStatus{Name: own("baseline"), Source: "Rule", Rule: "TagRule/r", Reason: "pod a", Since: at, Present: true}),
			TagNames:    "baseline",
			AppliedTags: append(make([]v1alpha1.AppliedTag, 0, 4), v1alpha1.AppliedTag{Name: own("baseline")}, v1alpha1.AppliedTag{Name: "k=v", Replaced: new(string)}),
			RemovedTags: []v1alpha1.RemovedTag{{Name: "old", At: at, Back: 1}},
			RuleTags:    []v1alpha1.RuleTag{{Rule: "TagRule/r", Tag: own("baseline"), State: v1alpha1.RuleTagHeld, First: at, Last: at, Reason: "pod a", Source: "u2"}},
			Pods:        []v1alpha1.PodLink{{Name: "a", UID: "u2", Node: "n", BoundBy: "Host", From: at}},
			History:     append(make([]v1alpha1.TagHistory, 0, 4), v1alpha1.TagHistory{Time: at, Tag: own("baseline"), Change: "Added", Source: "Spec", By: "kubectl"}),
			Run:         &v1alpha1.RunStatus{ID: own("id"), UID: "r1", State: "finished", User: "ada", Group: "g", JobType: "train", CreatedAt: &at},
		},
	}
}

// What shares its memory says what it said, and is without room that nothing uses.
func TestCompactObjectsAreTheSame(t *testing.T) {
	var held [2]*v1alpha1.TrainingRun
	for i := range held {
		got, err := trainingrun.StripManagedFields(full())
		if err != nil {
			t.Fatal(err)
		}
		held[i] = got.(*v1alpha1.TrainingRun)
		if diff := cmp.Diff(full(), held[i]); diff != "" {
			t.Errorf("object %d is another one (-want +got):\n%s", i, diff)
		}
	}
	a, b := held[0], held[1]
	for what, pair := range map[string][2]string{
		"spec.tags": {a.Spec.Tags[0], b.Spec.Tags[0]}, "status.tags": {a.Status.Tags[0].Name, b.Spec.Tags[0]}, "the history": {a.Status.History[0].Tag, b.Spec.Tags[0]},
		"the run's id": {a.Spec.RunID, a.Status.Run.ID}, "the project's name": {a.Spec.ProjectRef.Name, b.Spec.ProjectRef.Name},
	} {
		if unsafe.StringData(pair[0]) != unsafe.StringData(pair[1]) {
			t.Errorf("%s: %q has memory of its own in each object", what, pair[0])
		}
	}
	if a.ManagedFields[0].FieldsV1 != b.ManagedFields[0].FieldsV1 {
		t.Error("equal sets of fields have memory of their own in each object")
	}
	if room := cap(a.Status.Tags) + cap(a.Status.History) + cap(a.Status.Conditions); room != 3 {
		t.Errorf("lists of one item have room for %d together, want 3", room)
	}
}
