package cluster_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
)

// A newer CRD comes while an older manager runs, and goes again: what the manager does not know it leaves alone.
func TestCRDUpdated(t *testing.T) {
	fullOnly(t)
	m := startManager(t)
	w := newWorld(t, 10)
	w.expectAll(t)
	l := w.load(t)
	l.goOn(t, 20)
	kubectl(t, "patch", "crd", "trainingruns.tracking.runtag.dev", "--type=json", "--patch="+
		`[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/later","value":{"type":"string"}}]`)
	l.goOn(t, 20)
	l.end()
	w.expectAll(t)

	later := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"later":"on"}}`))
	must(t, cluster.Admin.Patch(t.Context(), w.run(runID(0)), later))
	w.setDeletionPolicy(t, runID(0), v1alpha1.DeletionPolicyRemoveTags) // which has the manager write to metadata
	w.label(t, runID(0), "new", true)
	w.expectAll(t)
	now := &unstructured.Unstructured{}
	now.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("TrainingRun"))
	must(t, cluster.Admin.Get(t.Context(), client.ObjectKeyFromObject(w.run(runID(0))), now))
	if got, _, err := unstructured.NestedString(now.Object, "spec", "later"); err != nil || got != "on" {
		t.Errorf("spec.later is %q (%v), want %q: a field that the manager does not know stays", got, err, "on")
	}

	l = w.load(t)
	l.goOn(t, 20)
	kubectl(t, "apply", "--server-side", "--force-conflicts", "-k", filepath.Join(cluster.Root, "config", "crd"))
	l.goOn(t, 20)
	l.end()
	w.expectAll(t)
	must(t, m.Running())
	record(t, "updates of a CRD in place under load", 2)
}

func kubectl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := cluster.Kubectl(t.Context(), "", args...); err != nil {
		t.Fatal(fmt.Errorf("kubectl %v: %w: %s", args, err, out))
	}
}
