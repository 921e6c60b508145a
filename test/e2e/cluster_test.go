package e2e_test

import (
	"os"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
)

// What the cluster knows about the pods and nodes of a run, with the shipped rules. Nobody writes a manifest for a run.
var _ = Describe("A run in pods", Ordered, ContinueOnFailure, func() {
	var m *manager
	BeforeAll(func(ctx SpecContext) {
		m = startManager(ctx)
	})
	for _, t := range trackers {
		zeroConfigurationSpecs(t)
	}
	resumeSpecs(onWandb)
	momentSpecs(onWandb, func() *manager { return m })
	conditionSpecs(onWandb)
	disruptionSpecs(onWandb)
	gangSpecs(onWandb)
})

// newDir is a folder for a process of a pod.
func newDir() string {
	GinkgoHelper()
	dir, err := os.MkdirTemp(suite.dir, "pod-")
	Expect(err).NotTo(HaveOccurred())
	return dir
}

// labelled is for pods that config/inject shall see. W&B's SDK says by itself what its host is.
func (s *scene) labelled(job *batchv1.Job) {
	if s.tracker == tracker(onMLflow) {
		job.Spec.Template.Labels = map[string]string{mirror.Project: s.project}
	}
}

func zeroConfigurationSpecs(t tracker) {
	It("gets its tags on "+t.name()+" with nothing configured", func(ctx SpecContext) {
		s := newScene(ctx, t) // with the default of import.policy
		node := newNode(ctx, spot)
		job := s.newJob(ctx, node, s.labelled)
		pod := s.podOf(ctx, job)
		run, script := t.trainIn(ctx, s, pod, nil)
		name := s.expectImported(ctx, run)
		s.expectTagsOnTracker(ctx, run, "preemptible")
		s.expectStatusTags(ctx, name, "preemptible (Rule)")

		preempt(ctx, node)
		s.expectPodGone(ctx, pod)
		script.stop()
		s.expectTagsOnTracker(ctx, run, "preempted", "preemptible")
		s.expectStatusTags(ctx, name, "preempted (Rule)", "preemptible (Rule)")
		s.expectReady(ctx, name)
	})
}

// resumeSpecs are about a run that goes on in another pod of its Job.
func resumeSpecs(t *wandb) {
	It("keeps its tags when its script goes on in the next pod, with tags of its own", func(ctx SpecContext) {
		s := newScene(ctx, t, importing(v1alpha1.ImportLinked))
		node := newNode(ctx, spot)
		job := s.newJob(ctx, node)
		first := s.podOf(ctx, job)
		run, script := t.trainIn(ctx, s, first, nil)
		name := s.expectImported(ctx, run)
		s.expectTagsOnTracker(ctx, run, "preemptible")
		other := preempt(ctx, node)
		s.expectPodGone(ctx, first)
		script.stop()
		s.expectTagsOnTracker(ctx, run, "preempted", "preemptible")

		deleteAtOnce(ctx, other)
		second := s.podOf(ctx, job)
		_, script = t.trainIn(ctx, s, second, map[string]any{"run": run.id, "resume": "must", "tags": []string{"second-attempt"}})
		DeferCleanup(script.stop)
		s.expectTagsOnTracker(ctx, run, "preempted", "preemptible", "second-attempt")
		s.expectStatusTags(ctx, name, "preempted (Rule)", "preemptible (Rule)", "second-attempt (Run)")
		s.expectLink(ctx, name, first, Not(BeNil()))
		s.expectLink(ctx, name, second, BeNil())
		s.expectReady(ctx, name)
	})
}
