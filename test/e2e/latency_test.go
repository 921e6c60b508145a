package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// How long it takes from a change in the cluster to its tag on the tracker. That is reported, and not judged: the machine
// may be busy.
var _ = Describe("A tag from the cluster", func() {
	It("arrives on the tracker, and it is measured when", func(ctx SpecContext) {
		const samples = 30
		t := onWandb
		m := startManager(ctx)
		s := newScene(ctx, t, importing(v1alpha1.ImportLinked))
		// Each run's pod is on a node of its own, so that what happens to either is about this run only.
		var ids []string
		var pods []*corev1.Pod
		for i := range 2 * samples {
			pod, id := s.newPod(ctx, newNode(ctx, onDemand)), fmt.Sprint("r", i)
			_, err := t.server.AddRun(wandbtest.Run{Entity: entity, Project: s.project, ID: id, State: "running", Host: pod.Name})
			Expect(err).NotTo(HaveOccurred())
			pods, ids = append(pods, pod), append(ids, id)
		}
		for _, id := range ids {
			s.expectImported(ctx, runRef{s.project, id})
		}

		s.measure(ctx, "from a disrupted pod", ids[:samples], func(i int) { disturb(ctx, pods[i].DeepCopy()) })
		s.measure(ctx, "from a node's condition", ids[samples:], func(i int) {
			setNodeCondition(ctx, pods[samples+i].Spec.NodeName, "XIDErrors", corev1.ConditionTrue)
		})
		for _, line := range strings.Split(m.scrape(ctx), "\n") {
			if strings.HasPrefix(line, "runtag_cluster_to_tag_seconds") {
				AddReportEntry(line)
			}
		}
	})
})

// measure makes one change after the other, waits for a write to the tracker about each run, and reports the times between.
func (s *scene) measure(ctx SpecContext, what string, ids []string, change func(i int)) {
	GinkgoHelper()
	var took []time.Duration
	for i, id := range ids {
		arrived := make(chan time.Time, 1)
		stop := s.tracker.traffic().watch(func(r request) {
			if r.kind == write && r.about == id {
				select {
				case arrived <- time.Now():
				default: // it is the first that counts
				}
			}
		})
		began := time.Now()
		change(i)
		var at time.Time
		Eventually(arrived).Should(Receive(&at), s.explain(ctx))
		stop()
		took = append(took, at.Sub(began))
		s.expectReady(ctx, objectName(s.project, id))
	}
	slices.Sort(took)
	AddReportEntry(fmt.Sprintf("%s to the tag: %d times, p50 %v, p99 %v, from %v to %v",
		what, len(took), took[len(took)/2], took[len(took)*99/100], took[0], took[len(took)-1]))
}
