package e2e_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
)

// tagSpecs are about tags that come and go.
func tagSpecs(t tracker) {
	It("puts declared tags on the run and leaves foreign ones", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		name := s.declare(ctx, run, "baseline", "in_production")

		s.expectTagsOnTracker(ctx, run, "baseline", "foreign", "in_production")
		s.expectReady(ctx, name)
		s.expectStatusTags(ctx, name, "baseline", "foreign (Run)", "in_production")
		s.expectApplied(ctx, name, "baseline", "in_production")
	})

	It("takes off what is no longer declared, whoever put it there first", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign", "was-there")
		name := s.declare(ctx, run, "ours", "was-there", "kept")
		s.expectTagsOnTracker(ctx, run, "foreign", "kept", "ours", "was-there")
		s.expectReady(ctx, name)

		s.redeclare(ctx, name, "kept")
		s.expectTagsOnTracker(ctx, run, "foreign", "kept")
		s.expectReady(ctx, name)
		s.expectApplied(ctx, name, "kept")
	})

	It("puts back what somebody takes off", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		name := s.declare(ctx, run, "ours")
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")
		s.expectReady(ctx, name)

		t.remove(ctx, run, "ours", "foreign")
		s.expectTagsOnTracker(ctx, run, "ours")
		s.expectStatusTags(ctx, name, "ours")
		Eventually(func() []v1alpha1.TagHistory { return s.get(ctx, name).Status.History }).Should(ContainElement(
			And(HaveField("Tag", "foreign"), HaveField("Change", v1alpha1.TagRemoved), HaveField("Source", v1alpha1.TagSourceRun)),
		), s.explain(ctx))
	})

	It("keeps excluded tags off, whoever puts them there", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "debug", "foreign")
		declared := s.run(run.id, "ours")
		declared.Spec.ExcludeTags = []string{"debug", "wip"}
		name := s.create(ctx, declared)
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")

		t.add(ctx, run, "wip", "other")
		s.expectTagsOnTracker(ctx, run, "foreign", "other", "ours")
		s.expectReady(ctx, name)
	})

	It("shows foreign tags that come and go", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx)
		name := s.declare(ctx, run, "ours")
		s.expectStatusTags(ctx, name, "ours")

		t.add(ctx, run, "by-hand")
		s.expectStatusTags(ctx, name, "by-hand (Run)", "ours")
		t.remove(ctx, run, "by-hand")
		s.expectStatusTags(ctx, name, "ours")
		s.expectTagsOnTracker(ctx, run, "ours")
	})
}
