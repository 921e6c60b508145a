package e2e_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
)

// deletionSpecs are about what is left when a TrainingRun goes.
func deletionSpecs(t tracker) {
	removing := func(s *scene, run runRef, tags ...string) *v1alpha1.TrainingRun {
		declared := s.run(run.id, tags...)
		declared.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags
		return declared
	}

	It("takes off with RemoveTags what was declared, and only that", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		name := s.create(ctx, removing(s, run, "ours", "also-ours"))
		s.expectTagsOnTracker(ctx, run, "also-ours", "foreign", "ours")
		s.expectReady(ctx, name)
		Expect(s.get(ctx, name).Finalizers).To(ConsistOf(v1alpha1.Finalizer))

		s.deleteObject(ctx, name)
		s.expectGone(ctx, name)
		s.expectTagsOnTracker(ctx, run, "foreign")
	})

	It("leaves the tags with Retain, and takes no finalizer", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		name := s.declare(ctx, run, "ours")
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")
		s.expectReady(ctx, name)
		Expect(s.get(ctx, name).Finalizers).To(BeEmpty())

		mark := t.traffic().mark()
		s.deleteObject(ctx, name)
		s.expectGone(ctx, name)
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")
		s.expectNothingWritten(mark)
	})

	It("takes the tags off though the project goes in the same sweep", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		name := s.create(ctx, removing(s, run, "ours"))
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")
		s.expectReady(ctx, name)

		kubectl(ctx, "--namespace", s.namespace, "delete", "trackingproject/"+s.project, "trainingrun/"+name)
		s.expectTagsOnTracker(ctx, run, "foreign")
		exists, err := s.exists(ctx, name)
		Expect(err).NotTo(HaveOccurred())
		Expect(exists).To(BeFalse())
	})
}
