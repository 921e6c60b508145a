package e2e_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
)

// valueSpecs are about MLflow's keys and values.
func valueSpecs(t *mlflow) {
	DescribeTable("declares a tag and undeclares it again",
		func(ctx SpecContext, before, declared, with, after []string, reason string) {
			s := newScene(ctx, t)
			run := s.train(ctx, before...)
			name := s.declare(ctx, run, declared...)
			By(reason)
			s.expectReady(ctx, name)
			s.expectTagsOnTracker(ctx, run, with...)

			s.redeclare(ctx, name)
			s.expectReady(ctx, name)
			s.expectTagsOnTracker(ctx, run, after...)
			s.expectApplied(ctx, name)
		},
		Entry(nil, []string{"gpu=a100"}, []string{"gpu"}, []string{"gpu=a100"}, []string{"gpu=a100"},
			"a bare tag is satisfied by any value, and then owns nothing"),
		Entry(nil, []string{"gpu=false"}, []string{"gpu"}, []string{"gpu"}, []string{"gpu=false"},
			"a bare tag is not satisfied by false, which comes back"),
		Entry(nil, []string{"team=nlp"}, []string{"team=vision"}, []string{"team=vision"}, []string{"team=nlp"},
			"a pair replaces another value, which comes back"),
		Entry(nil, nil, []string{"team=vision", "team.lead=ann=marie"}, []string{"team=vision", "team.lead=ann=marie"}, nil,
			"a pair where there was no value goes again, and only the first = divides"),
	)

	It("gives back a replaced value when the object is deleted with RemoveTags", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "team=nlp", "foreign")
		declared := s.run(run.id, "team=vision", "ours")
		declared.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags
		name := s.create(ctx, declared)
		s.expectTagsOnTracker(ctx, run, "foreign", "ours", "team=vision")
		s.expectReady(ctx, name)
		s.deleteObject(ctx, name)
		s.expectGone(ctx, name)
		s.expectTagsOnTracker(ctx, run, "foreign", "team=nlp")
	})

	It("reports another value as a conflict under Add", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "team=nlp")
		declared := s.run(run.id, "team=vision", "ours")
		declared.Spec.TagPolicy = v1alpha1.TagPolicyAdd
		name := s.create(ctx, declared)
		Expect(s.expectStalled(ctx, name, v1alpha1.ReasonValueConflict)).To(And(ContainSubstring("team=vision"), ContainSubstring("nlp")))
		s.expectTagsOnTracker(ctx, run, "ours", "team=nlp")

		s.change(ctx, name, func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = v1alpha1.TagPolicyMerge })
		s.expectReady(ctx, name)
		s.expectTagsOnTracker(ctx, run, "ours", "team=vision")
	})

	It("writes neither of two values of one key", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx)
		name := s.declare(ctx, run, "ours", "team=vision", "team=nlp")
		Expect(s.expectStalled(ctx, name, v1alpha1.ReasonInvalidTags)).To(And(ContainSubstring("team=vision"), ContainSubstring("team=nlp")))
		s.expectTagsOnTracker(ctx, run, "ours")
	})

	It("excludes a key with every value", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "debug=1", "foreign")
		declared := s.run(run.id)
		declared.Spec.ExcludeTags = []string{"debug"}
		name := s.create(ctx, declared)
		s.expectTagsOnTracker(ctx, run, "foreign")
		s.expectReady(ctx, name)
	})
}
