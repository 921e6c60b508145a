package trackingproject

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/runtag/runtag/api/v1alpha1"
)

func TestOnlyWhatAPersonChangesIsRelevant(t *testing.T) {
	tests := []struct {
		reason string
		change func(*v1alpha1.TrackingProject)
		want   bool
	}{
		{reason: "a resync changes nothing", change: func(*v1alpha1.TrackingProject) {}, want: false},
		{reason: "the status is our own", change: func(p *v1alpha1.TrackingProject) { p.Status.TrackedRuns = 3; p.ResourceVersion = "2" }, want: false},
		{reason: "other annotations are none of our business", change: func(p *v1alpha1.TrackingProject) { p.Annotations = map[string]string{"example.com/note": "x"} }, want: false},
		{reason: "another spec has another generation", change: func(p *v1alpha1.TrackingProject) { p.Generation++ }, want: true},
		{reason: "a person asks for a look", change: func(p *v1alpha1.TrackingProject) {
			p.Annotations = map[string]string{v1alpha1.AnnotationLookAt: "now"}
		}, want: true},
		{reason: "a person confirms that runs are gone", change: func(p *v1alpha1.TrackingProject) {
			p.Annotations = map[string]string{v1alpha1.AnnotationAcceptMissing: "1"}
		}, want: true},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			before := &v1alpha1.TrackingProject{ObjectMeta: metav1.ObjectMeta{Name: "a", Generation: 1, ResourceVersion: "1"}}
			after := before.DeepCopy()
			tc.change(after)
			if have := Relevant().Update(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); have != tc.want {
				t.Errorf("relevant: %t, want %t", have, tc.want)
			}
		})
	}
	project := &v1alpha1.TrackingProject{}
	if !Relevant().Create(event.CreateEvent{Object: project}) || !Relevant().Delete(event.DeleteEvent{Object: project}) {
		t.Error("a new or a deleted object is passed over")
	}
}
