package cluster_test

import (
	"testing"

	"github.com/runtag/runtag/api/v1alpha1"
)

// The API server forgets its history while nobody watches, so that all has to be listed anew: edits, deletions and new
// objects in between are seen all the same.
func TestHistoryGone(t *testing.T) {
	fullOnly(t)
	const group = "/apis/tracking.runtag.dev/v1alpha1/"
	refused := 0
	for name, how := range map[string]refusal{"status": asStatus, "event": asEvent} {
		t.Run(name, func(t *testing.T) {
			b := newBetween(t)
			m := startManager(t, "--kubeconfig="+b.kubeconfig)
			w := newWorld(t, 10)
			for i := range 10 {
				w.label(t, runID(i), "baseline", true)
			}
			leaving := w.run(runID(5))
			w.setDeletionPolicy(t, leaving.Name, v1alpha1.DeletionPolicyRemoveTags)
			w.expectAll(t)

			b.shut()
			for i := range 4 {
				w.label(t, runID(i), "baseline", false)
				w.label(t, runID(i), "candidate", true)
			}
			staying := w.run(runID(6))
			must(t, cluster.Admin.Delete(t.Context(), leaving))
			must(t, cluster.Admin.Delete(t.Context(), staying))
			delete(w.want, leaving.Name)
			delete(w.want, staying.Name)
			w.addRun(t, runID(10))
			must(t, cluster.Admin.Create(t.Context(), w.run(runID(10), "new")))
			w.wants(runID(10), "new", true)
			b.reopen(how, group+"trainingruns", group+"trackingprojects")

			w.expectAll(t)
			w.expectTags(t, leaving.Name, foreign)
			w.expectTags(t, staying.Name, "baseline", foreign)
			must(t, m.Running())
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.refused != 2 {
				t.Errorf("%d watches were told that their version is too old, want 2", b.refused)
			}
			refused += b.refused
		})
	}
	record(t, "watches that were answered 410 Gone", refused)
}

// What the API server does is done, whether it can say so or not.
func TestAnswersLost(t *testing.T) {
	fullOnly(t)
	b := newBetween(t)
	m := startManager(t, "--kubeconfig="+b.kubeconfig)
	w := newWorld(t, 10)
	w.expectAll(t)
	b.loseAnswers(0.3)
	l := w.load(t)
	l.goOn(t, 200)
	l.end()
	b.loseAnswers(0)
	w.expectAll(t)
	must(t, m.Running())
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lost == 0 {
		t.Error("no answer was lost")
	}
	record(t, "answers of the API server that were lost", b.lost)
}
