package cluster_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/test/stage"
)

// restore is a way in which an object comes back from a backup.
type restore struct {
	name, reason string
	// change makes of what was saved what is restored.
	change func(*v1alpha1.TrainingRun)
	// old is a backup from before the last changes.
	old bool
}

// restores are those that go well whenever the status comes.
var restores = []restore{
	{"as it was", "nothing is to be done", func(*v1alpha1.TrainingRun) {}, false},
	{"old", "what was declared then is declared again, and what came later is nobody's now", func(*v1alpha1.TrainingRun) {}, true},
	{"without status", "most tools leave it out", func(r *v1alpha1.TrainingRun) { r.Status = v1alpha1.TrainingRunStatus{} }, false},
	{"without either", "the spec is what is left", func(r *v1alpha1.TrainingRun) {
		r.Labels, r.Status = nil, v1alpha1.TrainingRunStatus{}
	}, false},
	{"of another cluster", "what it remembers is about another run", foreignStatus, false},
	{"of another cluster, without labels", "so are the labels that it remembers", func(r *v1alpha1.TrainingRun) {
		foreignStatus(r)
		r.Labels = nil
	}, false},
}

// withoutLabels has to come whole: where the status comes after the manager has labelled the object anew, what it says of
// a person's labels looks as if that person had taken them off.
var withoutLabels = restore{
	"without labels", "status knows which there were", func(r *v1alpha1.TrainingRun) { r.Labels = nil }, false,
}

// foreignStatus is the memory of another run, which calls the foreign tag its own, and has taken it off.
func foreignStatus(r *v1alpha1.TrainingRun) {
	r.Status.Run.UID = anotherUID
	r.Status.AppliedTags = append(r.Status.AppliedTags, v1alpha1.AppliedTag{Name: foreign})
	r.Status.RemovedTags = []v1alpha1.RemovedTag{{Name: foreign, At: metav1.Now(), Gone: true}}
}

// Objects come back from backups with statuses that are old, missing or of another cluster. Nothing foreign goes, and
// what is declared is owned once more.
func TestRestore(t *testing.T) {
	fullOnly(t)
	for name, tt := range map[string]struct {
		reason string
		late   bool
		ways   []restore
	}{
		"before the manager looks": {"it sees the object whole", false, append(slices.Clone(restores), withoutLabels)},
		"after the manager looked": {"the status is replaced under its hands", true, restores},
	} {
		t.Run(name, func(t *testing.T) {
			m := startManager(t)
			w := newWorld(t, 0)
			saved := w.save(t, tt.ways)
			if !tt.late {
				must(t, m.Pause())
			}
			for _, run := range saved {
				fresh := run.DeepCopy()
				must(t, cluster.Admin.Create(t.Context(), fresh))
			}
			if tt.late {
				w.expectAll(t)
			}
			for _, run := range saved {
				w.restoreStatus(t, run)
			}
			must(t, m.Resume())
			w.expectAll(t)

			for _, run := range saved { // who declares a tag takes it off
				w.setTags(t, run.Name, "other")
				w.wants(run.Name, "spec-tag", false)
				w.wants(run.Name, "other", true)
				w.label(t, run.Name, "label-tag", false)
			}
			w.expectAll(t)
			must(t, m.Running())
			record(t, "objects restored "+name, len(saved))
		})
	}
}

// save makes a run for each way to restore it, and deletes the objects again; the tags stay.
func (w *world) save(t *testing.T, ways []restore) []*v1alpha1.TrainingRun {
	t.Helper()
	for i := range ways {
		w.addRun(t, runID(i))
		must(t, cluster.Admin.Create(t.Context(), w.run(runID(i), "spec-tag")))
		w.wants(runID(i), "spec-tag", true)
		w.label(t, runID(i), "label-tag", true)
	}
	w.expectAll(t)
	saved := make([]*v1alpha1.TrainingRun, len(ways))
	for i, way := range ways {
		var err error
		saved[i], err = w.get(t.Context(), runID(i))
		must(t, err)
		if way.old {
			w.label(t, runID(i), "label-tag", false)
			w.label(t, runID(i), "newer", true)
		}
	}
	w.expectAll(t)
	for i, way := range ways {
		must(t, cluster.Admin.Delete(t.Context(), w.run(runID(i))))
		expectGone(t, goesWithin, w.run(runID(i)))
		if way.old {
			w.wants(runID(i), "label-tag", true)
		}
		way.change(saved[i])
		saved[i].ObjectMeta = metav1.ObjectMeta{
			Namespace: w.namespace, Name: runID(i), Labels: maps.Clone(saved[i].Labels), Annotations: saved[i].Annotations,
		}
	}
	return saved
}

// restoreStatus writes the status of a backup, where it has one.
func (w *world) restoreStatus(t *testing.T, saved *v1alpha1.TrainingRun) {
	t.Helper()
	if saved.Status.Run == nil {
		return
	}
	must(t, stage.Await(t.Context(), "restore the status of "+saved.Name, func(ctx context.Context) error {
		now, err := w.get(ctx, saved.Name)
		if err != nil {
			return err
		}
		now.Status = *saved.Status.DeepCopy()
		return cluster.Admin.Status().Update(ctx, now)
	}))
}

// setTags replaces spec.tags by one.
func (w *world) setTags(t *testing.T, id, tag string) {
	t.Helper()
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"tags":[%q]}}`, tag))
	must(t, cluster.Admin.Patch(t.Context(), w.run(id), patch))
}
