package e2e_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
)

// upTo is a change to a TrackingProject: its ceiling.
func upTo(ceiling v1alpha1.TagPolicy) func(*v1alpha1.TrackingProject) {
	return func(p *v1alpha1.TrackingProject) { p.Spec.MaxTagPolicy = ceiling }
}

// policySpecs are about what a policy and a ceiling allow.
func policySpecs(t tracker) {
	type outcome struct {
		on, pendingAdd, pendingRemove []string
		message                       string
	}
	const asDeclared = "the tags on the run are as declared"
	DescribeTable("does what the policy allows",
		func(ctx SpecContext, policy v1alpha1.TagPolicy, want outcome, reason string) {
			s := newScene(ctx, t, upTo(v1alpha1.TagPolicyExclusive))
			run := s.train(ctx, "debug", "foreign")
			declared := s.run(run.id, "ours")
			declared.Spec.ExcludeTags, declared.Spec.TagPolicy = []string{"debug"}, policy
			name := s.create(ctx, declared)

			By(reason)
			Expect(s.expectReady(ctx, name)).To(ContainSubstring(want.message))
			s.expectPending(ctx, name, want.pendingAdd, want.pendingRemove)
			s.expectTagsOnTracker(ctx, run, want.on...)
		},
		Entry(nil, v1alpha1.TagPolicyObserve, outcome{
			on: []string{"debug", "foreign"}, pendingAdd: []string{"ours"}, pendingRemove: []string{"debug"},
			message: "holds back 1 to add and 1 to remove",
		}, "Observe writes nothing, and shows what it would"),
		Entry(nil, v1alpha1.TagPolicyAdd, outcome{
			on: []string{"debug", "foreign", "ours"}, pendingRemove: []string{"debug"}, message: "holds back 0 to add and 1 to remove",
		}, "Add takes nothing off, what is excluded neither"),
		Entry(nil, v1alpha1.TagPolicyMerge, outcome{on: []string{"foreign", "ours"}, message: asDeclared},
			"Merge takes off what is excluded, and leaves what is foreign"),
		Entry(nil, v1alpha1.TagPolicyExclusive, outcome{on: []string{"ours"}, message: asDeclared},
			"Exclusive leaves only what is declared"),
	)

	It("holds back what is above the project's ceiling until that is raised", func(ctx SpecContext) {
		s := newScene(ctx, t, upTo(v1alpha1.TagPolicyObserve))
		run := s.train(ctx, "debug", "foreign")
		mark := t.traffic().mark()
		declared := s.run(run.id, "ours")
		declared.Spec.ExcludeTags = []string{"debug"}
		name := s.create(ctx, declared)
		Expect(s.expectStalled(ctx, name, v1alpha1.ReasonNotAllowed)).To(And(
			ContainSubstring(`"ours"`), ContainSubstring("the ceiling is Observe"), ContainSubstring(s.project)))
		s.expectPending(ctx, name, []string{"ours"}, []string{"debug"})
		s.expectTagsOnTracker(ctx, run, "debug", "foreign")
		s.expectNothingWritten(mark)

		s.changeProject(ctx, upTo(v1alpha1.TagPolicyAdd))
		s.expectTagsOnTracker(ctx, run, "debug", "foreign", "ours")
		s.expectReady(ctx, name)
		s.expectPending(ctx, name, nil, []string{"debug"})

		s.changeProject(ctx, upTo(v1alpha1.TagPolicyMerge))
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")
		s.expectReady(ctx, name)
		s.expectPending(ctx, name, nil, nil)
	})

	It("keeps Exclusive from taking off foreign tags where the ceiling is Merge", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		declared := s.run(run.id, "ours")
		declared.Spec.TagPolicy = v1alpha1.TagPolicyExclusive
		name := s.create(ctx, declared)
		s.expectReady(ctx, name)
		s.expectPending(ctx, name, nil, []string{"foreign"})
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")
	})

	It("applies the valid tags beside one that the tracker does not take", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx)
		invalid := map[string]string{"wandb": longTag, "mlflow": "mlflow.user"}[t.name()]
		name := s.declare(ctx, run, "valid", invalid)
		Expect(s.expectStalled(ctx, name, v1alpha1.ReasonInvalidTags)).To(ContainSubstring(invalid))
		s.expectTagsOnTracker(ctx, run, "valid")

		s.redeclare(ctx, name, "valid")
		s.expectReady(ctx, name)
	})

	It("sends nothing for a project that is suspended, and goes on where it was", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx)
		name := s.declare(ctx, run, "ours")
		s.expectReady(ctx, name)
		s.changeProject(ctx, func(p *v1alpha1.TrackingProject) { p.Spec.Suspend = true })
		s.expectProject(ctx, metav1.ConditionFalse, v1alpha1.ReasonSuspended)
		mark := t.traffic().mark()
		s.redeclare(ctx, name, "ours", "later")
		s.expectNotReady(ctx, name, v1alpha1.ReasonSuspended)
		Expect(t.traffic().since(mark)).To(BeEmpty())

		s.changeProject(ctx, func(p *v1alpha1.TrackingProject) { p.Spec.Suspend = false })
		s.expectTagsOnTracker(ctx, run, "later", "ours")
		s.expectReady(ctx, name)
	})
}

// longTag is longer than W&B takes.
const longTag = "a-tag-of-65-characters-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
