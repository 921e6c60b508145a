package e2e_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
)

// What a replica has seen before it became the leader.
var _ = Describe("Two replicas", func() {
	It("lose nothing when the leader ends between a pod's end and the status that says so", func(ctx SpecContext) {
		t := onWandb
		election := []string{"--leader-elect", "--leader-elect-namespace=" + systemNamespace}
		leader := startManager(ctx, election...)
		leader.expectSays(acquired)
		standby := startManager(ctx, election...)
		s := newScene(ctx, t, importing(v1alpha1.ImportLinked))
		node := newNode(ctx, spot)
		pod := s.podOf(ctx, s.newJob(ctx, node))
		run := t.trainAt(ctx, s, hostname(pod))
		name := s.expectImported(ctx, run)
		s.expectTagsOnTracker(ctx, run, "preemptible")
		s.expectReady(ctx, name)

		leader.pause()
		preempt(ctx, node)
		s.expectPodGone(ctx, pod)
		Expect(s.get(ctx, name).Status.RuleTags).To(HaveLen(1), "the leader has written nothing of it")
		leader.kill()
		standby.expectSays(acquired) // when the lease has run out
		s.expectTagsOnTracker(ctx, run, "preempted", "preemptible")
		s.expectStatusTags(ctx, name, "preempted (Rule)", "preemptible (Rule)")
		s.expectReady(ctx, name)
	})
})
