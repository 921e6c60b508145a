package controllerstest

import (
	"fmt"
	"strings"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Shown is all that people can see of the operator so far, by place: log, errors, events, objects, metrics, and what was
// written to the API server.
func (h *Harness) Shown() map[string]string {
	h.t.Helper()
	places := map[string]string{
		"the log": h.Log.Text(), "an error": strings.Join(h.errors, "\n"), "an event": fmt.Sprint(h.Events.All()), "an object": h.describe(),
	}
	for _, w := range h.API.Writes() {
		places["a write"] += w.Patch
	}
	families, err := h.Metrics.Gather()
	h.g.Expect(err).NotTo(gomega.HaveOccurred())
	for _, family := range families {
		places["a metric"] += family.String()
	}
	return places
}

// Condition is one condition of an object as it is now; nil where it has none.
func (h *Harness) Condition(obj client.Object, kind string) *metav1.Condition {
	h.t.Helper()
	h.Refresh(obj)
	return conditionOf(obj, kind)
}
