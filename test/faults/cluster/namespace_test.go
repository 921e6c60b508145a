package cluster_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
)

// goesWithin is for a namespace whose objects can all be let go: the 30 seconds after which an object of a terminating
// namespace goes in any case, and what the API server takes for the rest.
const goesWithin = 3 * time.Minute

// A namespace goes with all that is in it, project and Secret too: tags come off, and nothing blocks.
func TestNamespaceDeleted(t *testing.T) {
	fullOnly(t)
	for name, tt := range map[string]struct {
		reason  string
		objects int
		away    bool // the tracker answers nobody
		want    int  // runs that keep a tag of ours
	}{
		"the tracker is there": {"the last good client takes the tags off though the Secret has gone", 500, false, 0},
		"the tracker is away":  {"nothing can be taken off, and the namespace goes all the same", 100, true, 100},
	} {
		t.Run(name, func(t *testing.T) {
			m := startManager(t)
			w := newWorld(t, 0)
			for i := range tt.objects {
				w.addRun(t, runID(i))
				run := w.run(runID(i), "ours")
				run.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags
				must(t, cluster.Admin.Create(t.Context(), run))
				w.wants(runID(i), "ours", true)
			}
			w.expectAll(t)
			if tt.away {
				w.take("nobody's")
			}
			namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}
			began := time.Now()
			must(t, cluster.Admin.Delete(t.Context(), namespace))
			expectGone(t, goesWithin, namespace)
			t.Logf("it was gone after %s", time.Since(began).Round(time.Second))
			left := 0
			for i := range tt.objects {
				switch got := w.tagsOf(runID(i)); {
				case slices.Equal(got, []string{foreign, "ours"}):
					left++
				case !slices.Equal(got, []string{foreign}):
					t.Errorf("%s has the tags %q", runID(i), got)
				}
			}
			if left != tt.want {
				t.Errorf("%s: %d runs keep a tag of ours, want %d", tt.reason, left, tt.want)
			}
			must(t, m.Running())
			record(t, "objects with finalizers in a namespace that was deleted, where "+name, tt.objects)
			record(t, "runs that kept a tag of them, where "+name, left)
		})
	}
}
