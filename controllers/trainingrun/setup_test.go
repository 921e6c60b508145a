package trainingrun

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/runtag/runtag/api/v1alpha1"
)

func TestOnlyWhatAPersonChangesIsRelevant(t *testing.T) {
	tests := []struct {
		reason string
		change func(*v1alpha1.TrainingRun)
		want   bool
	}{
		{reason: "a resync changes nothing", change: func(*v1alpha1.TrainingRun) {}, want: false},
		{reason: "the status is our own", change: func(r *v1alpha1.TrainingRun) { r.Status.TagCount = 3; r.ResourceVersion = "2" }, want: false},
		{reason: "so is the finalizer", change: func(r *v1alpha1.TrainingRun) { r.Finalizers = []string{v1alpha1.Finalizer} }, want: false},
		{reason: "the status follows an edit", change: func(r *v1alpha1.TrainingRun) {
			r.Status.ObservedDeclarations = DeclarationsHash(r)
		}, want: false},
		{reason: "a backup brings the status of another run", change: func(r *v1alpha1.TrainingRun) { r.Status.Run.UID = "other" }, want: true},
		{reason: "a backup brings the status of other declarations", change: func(r *v1alpha1.TrainingRun) {
			r.Status.ObservedDeclarations = "older"
		}, want: true},
		{reason: "a backup brings no status", change: func(r *v1alpha1.TrainingRun) { r.Status = v1alpha1.TrainingRunStatus{} }, want: true},
		{reason: "other annotations are none of our business", change: func(r *v1alpha1.TrainingRun) { r.Annotations = map[string]string{"example.com/note": "x"} }, want: false},
		{reason: "another spec has another generation", change: func(r *v1alpha1.TrainingRun) { r.Generation++ }, want: true},
		{reason: "a person asks for a look", change: func(r *v1alpha1.TrainingRun) {
			r.Annotations = map[string]string{v1alpha1.AnnotationLookAt: "now"}
		}, want: true},
		{reason: "a deleted object has tags to take off", change: func(r *v1alpha1.TrainingRun) { r.DeletionTimestamp = ptr.To(metav1.Now()) }, want: true},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			before := &v1alpha1.TrainingRun{ObjectMeta: metav1.ObjectMeta{Name: "a", Generation: 1, ResourceVersion: "1"}}
			before.Status.Run, before.Status.ObservedDeclarations = &v1alpha1.RunStatus{UID: "run"}, "before"
			after := before.DeepCopy()
			tc.change(after)
			if have := Relevant().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); have != tc.want {
				t.Errorf("relevant: %t, want %t", have, tc.want)
			}
		})
	}
	run := &v1alpha1.TrainingRun{}
	if !Relevant().Create(event.CreateEvent{Object: run}) || !Relevant().Delete(event.DeleteEvent{Object: run}) {
		t.Error("a new or a deleted object is passed over")
	}
}
