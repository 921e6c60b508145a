package cluster_test

import (
	"testing"

	"github.com/runtag/runtag/api/v1alpha1"
)

const rotatedKey = "rotatedrotatedrotatedrotatedrotatedrota-"

// Secrets change under projects at work: for a while nothing gets through, no run is called deleted, and then all does.
func TestSecretsChange(t *testing.T) {
	fullOnly(t)
	m := startManager(t)
	rotated, removed, swapped, other := newWorld(t, 3), newWorld(t, 3), newWorld(t, 3), newWorld(t, 3)
	all := []*world{rotated, removed, swapped, other}
	for _, w := range all {
		w.label(t, runID(0), "baseline", true)
		w.expectAll(t)
	}

	rotated.take(rotatedKey) // the old one ends before the Secret has the new one
	must(t, cluster.Admin.Delete(t.Context(), removed.secret("")))
	must(t, cluster.Admin.Update(t.Context(), swapped.secret(other.key)))
	must(t, cluster.Admin.Update(t.Context(), other.secret(swapped.key)))
	rotated.expectProject(t, v1alpha1.ReasonAccessDenied)
	for _, w := range []*world{swapped, other} { // what was read is trusted for a minute
		w.expectProject(t, v1alpha1.ReasonAccessDenied)
	}
	removed.expectProject(t, v1alpha1.ReasonSecretNotReady)
	for _, w := range all {
		w.label(t, runID(0), "baseline", false)
		w.label(t, runID(1), "candidate", true)
		w.expectLabel(t, runID(1), foreign) // and no object forgets what is on its run
	}

	must(t, cluster.Admin.Update(t.Context(), rotated.secret(rotatedKey)))
	must(t, cluster.Admin.Create(t.Context(), removed.secret(removed.key)))
	must(t, cluster.Admin.Update(t.Context(), swapped.secret(swapped.key)))
	must(t, cluster.Admin.Update(t.Context(), other.secret(other.key)))
	for _, w := range all {
		w.expectAll(t)
	}
	must(t, m.Running())
	record(t, "Secrets rotated, deleted and swapped under projects at work", len(all))
}
