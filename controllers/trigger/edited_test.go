package trigger_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
)

func TestEdited(t *testing.T) {
	rule := func(uid types.UID, generation int64, version string) *v1alpha1.TagRule {
		return &v1alpha1.TagRule{ObjectMeta: metav1.ObjectMeta{UID: uid, Generation: generation, ResourceVersion: version}}
	}
	for name, test := range map[string]struct {
		reason      string
		before, now *v1alpha1.TagRule
		want        bool
	}{
		"spec":       {reason: "a generation is a spec", before: rule("a", 1, "1"), now: rule("a", 2, "2"), want: true},
		"status":     {reason: "the status is our own", before: rule("a", 1, "1"), now: rule("a", 1, "2"), want: false},
		"made again": {reason: "another object may have another spec in the same generation", before: rule("a", 1, "1"), now: rule("b", 1, "9"), want: true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := trigger.Edited().Update(event.UpdateEvent{ObjectOld: test.before, ObjectNew: test.now}); got != test.want {
				t.Errorf("Edited lets the update by: %t, want %t: %s", got, test.want, test.reason)
			}
		})
	}
	if !trigger.Edited().Create(event.CreateEvent{Object: rule("a", 1, "1")}) || !trigger.Edited().Delete(event.DeleteEvent{Object: rule("a", 1, "1")}) {
		t.Error("Edited does not let creations and deletions by")
	}
}
