package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

// policy sets tagPolicy.
func policy(p v1alpha1.TagPolicy) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = p }
}

var _ = Describe("Labels under a policy", func() {
	var run *v1alpha1.TrainingRun

	prepare := func(ctx SpecContext, p v1alpha1.TagPolicy) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "foreign", "other")
		run = h.NewRun("a")
		run.Spec.TagPolicy = p
		apply(h.NewProject(ceiling(v1alpha1.TagPolicyExclusive)), run)
	}

	It("that takes off what is not declared keep what they declare, and nothing else", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "foreign", "other")
		run = h.NewRun("a", "specified")
		run.Labels = labels{mirror.TagPrefix + "foreign": ""}
		run.Spec.TagPolicy = v1alpha1.TagPolicyExclusive
		writes(1, func() { apply(h.NewProject(ceiling(v1alpha1.TagPolicyExclusive)), run) })
		h.ExpectTagsOn("a", "foreign", "specified")
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "", "specified": "spec"}))

		By("a foreign tag that appears goes again, and its label does not stay")
		writes(1, func() {
			h.EditTags("a", []string{"new"}, nil)
			h.Step(fullPeriod)
		})
		h.ExpectTagsOn("a", "foreign", "specified")
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "", "specified": "spec"}))

		writes(1, func() { label(run, "tag.runtag.dev/foreign-") })
		h.ExpectTagsOn("a", "specified")
	})

	DescribeTable("that takes nothing off come back",
		func(ctx SpecContext, p v1alpha1.TagPolicy) {
			prepare(ctx, p)
			writes(0, func() { label(run, "tag.runtag.dev/foreign-") })
			h.ExpectTagsOn("a", "foreign", "other")
			Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "other": "run"}))
			h.ExpectEvent(run, "Normal", "LabelReturned", `the label of tag "foreign" is back: the policy `+string(p)+` takes no tags off`)
			Expect(h.CountEvents(run, "LabelReturned", nil)).To(Equal(1))

			By("nothing goes when the policy is raised")
			writes(0, func() { edit(run, policy(v1alpha1.TagPolicyMerge)) })
			h.ExpectTagsOn("a", "foreign", "other")
			Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "other": "run"}))
		},
		Entry("under Observe", v1alpha1.TagPolicyObserve),
		Entry("under Add", v1alpha1.TagPolicyAdd),
	)

	DescribeTable("of a person that are taken off leave the tag, as nobody's",
		func(ctx SpecContext, p v1alpha1.TagPolicy, name string, landed int, onRun ...string) {
			prepare(ctx, p)
			writes(landed, func() { label(run, "tag.runtag.dev/"+name+"=") })
			h.ExpectTagsOn("a", onRun...)
			Expect(tagLabels(run)).To(HaveKeyWithValue(name, ""))
			writes(0, func() { label(run, "tag.runtag.dev/"+name+"-") })
			h.ExpectTagsOn("a", onRun...)
			Expect(applied(run)).To(BeEmpty())
			want := labels{}
			for _, tag := range onRun {
				want[tag] = "run"
			}
			Expect(tagLabels(run)).To(Equal(want))

			writes(0, func() { edit(run, policy(v1alpha1.TagPolicyMerge)) })
			h.ExpectTagsOn("a", onRun...)
			Expect(tagLabels(run)).To(Equal(want))
		},
		Entry("under Add, one that the label put there", v1alpha1.TagPolicyAdd, "x", 1, "foreign", "other", "x"),
		Entry("under Add, one that was there before", v1alpha1.TagPolicyAdd, "foreign", 0, "foreign", "other"),
		Entry("under Observe, one that was there before", v1alpha1.TagPolicyObserve, "foreign", 0, "foreign", "other"),
		Entry("under Observe, one that never landed", v1alpha1.TagPolicyObserve, "x", 0, "foreign", "other"),
	)

	DescribeTable("that takes nothing off and raised before the operator has seen that the label is gone",
		func(ctx SpecContext, name string, onRun ...string) {
			prepare(ctx, v1alpha1.TagPolicyAdd)
			writes(1, func() { label(run, "tag.runtag.dev/x=") })
			writes(1, func() {
				label(run, "tag.runtag.dev/"+name+"-")
				edit(run, policy(v1alpha1.TagPolicyMerge))
			})
			h.ExpectTagsOn("a", onRun...)
		},
		Entry("mean that a person's tag goes", "x", "foreign", "other"),
		Entry("mean that a foreign tag goes", "foreign", "other", "x"),
	)

	It("of the project's ceiling count as the object's own", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "foreign")
		run = h.NewRun("a", "specified")
		apply(h.NewProject(ceiling(v1alpha1.TagPolicyAdd)), run)
		writes(0, func() { label(run, "tag.runtag.dev/foreign-", "tag.runtag.dev/specified-") })
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "specified": "spec"}))
		Expect(h.CountEvents(run, "LabelReturned", nil)).To(Equal(2))
		writes(0, func() { label(run, "tag.runtag.dev/foreign-") })
		h.ExpectTagsOn("a", "foreign", "specified")
	})
})
