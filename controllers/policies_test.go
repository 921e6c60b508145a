package controllers_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/tags"
)

var _ = Describe("Policies", func() {
	It("shows what the project's ceiling holds back, and does it once the ceiling is raised", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "debug")
		run, project := h.NewRun("a", "baseline"), h.NewProject(ceiling(v1alpha1.TagPolicyObserve))
		run.Spec.ExcludeTags = []string{"debug"}
		apply(project, run)
		h.ExpectStalled(run, v1alpha1.ReasonNotAllowed, `"baseline" declared and held back`, "ceiling is Observe", "maxTagPolicy of TrackingProject capsules", "--max-tag-policy")
		h.ExpectTagsOn("a", "debug")
		Expect(run.Status.Pending).To(Equal(&v1alpha1.PendingTags{Add: []string{"baseline"}, Remove: []string{"debug"}}))
		h.Step(2 * period)
		h.Refresh(project)
		Expect(project.Status.Pending).To(Equal(&v1alpha1.PendingCounts{Runs: 1, Adds: 1, Removes: 1}))

		editProject(project, ceiling(v1alpha1.TagPolicyMerge))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "baseline")
		Expect(run.Status.Pending).To(BeNil())
		h.Step(2 * period)
		h.Refresh(project)
		Expect(project.Status.Pending).To(BeNil())
	})

	It("lets nothing go beyond the operator's flag", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{Ceiling: ptr.To(tags.Observe)})
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(ceiling(v1alpha1.TagPolicyExclusive)), run)
		h.ExpectStalled(run, v1alpha1.ReasonNotAllowed, "ceiling is Observe")
		h.ExpectTagsOn("a")
		edit(run, declare())
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("only counts what the object's own policy holds back", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "debug")
		run := h.NewRun("a", "baseline")
		run.Spec.TagPolicy, run.Spec.ExcludeTags = v1alpha1.TagPolicyObserve, []string{"debug"}
		apply(h.NewProject(), run)
		h.ExpectReady(run, v1alpha1.ReasonSynced, "holds back 1 to add and 1 to remove (status.pending)")
		Expect(run.Status.Pending).To(Equal(&v1alpha1.PendingTags{Add: []string{"baseline"}, Remove: []string{"debug"}}))
		h.ExpectTagsOn("a", "debug")

		edit(run, func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = v1alpha1.TagPolicyAdd })
		h.ExpectReady(run, v1alpha1.ReasonSynced, "holds back 0 to add and 1 to remove")
		Expect(run.Status.Pending).To(Equal(&v1alpha1.PendingTags{Remove: []string{"debug"}}))
		h.ExpectTagsOn("a", "debug", "baseline")

		edit(run, func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = v1alpha1.TagPolicyMerge })
		h.ExpectReady(run, v1alpha1.ReasonSynced, "as declared")
		h.ExpectTagsOn("a", "baseline")
	})

	It("takes off all that is not declared under Exclusive, where the ceiling allows it", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "foreign")
		run, project := h.NewRun("a", "baseline"), h.NewProject()
		run.Spec.TagPolicy = v1alpha1.TagPolicyExclusive
		apply(project, run)
		h.ExpectTagsOn("a", "foreign", "baseline")
		h.ExpectReady(run, v1alpha1.ReasonSynced, "0 to add and 1 to remove")
		editProject(project, ceiling(v1alpha1.TagPolicyExclusive))
		h.ExpectTagsOn("a", "baseline")
		h.ExpectReady(run, v1alpha1.ReasonSynced, "as declared")
	})

	It("names the tags that the tracker does not take, and puts the others on", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a")
		long := strings.Repeat("x", 65)
		run := h.NewRun("a", "baseline", long)
		apply(h.NewProject(), run)
		h.ExpectStalled(run, v1alpha1.ReasonInvalidTags, long, "too long for W&B", "65 characters of at most 64")
		h.ExpectTagsOn("a", "baseline")
		h.ExpectQuiet(period)
		edit(run, declare("baseline", "short"))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "baseline", "short")
	})

	It("names a tag that the tracker refuses although it keeps our rules, and puts the others on", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a")
		h.Tracker.SetFaults(broken(wandbtest.Fault{
			Status: 400, Body: `{"errors":[{"message":"invalid tag 'bad'. must be nicer"}],"data":null}`, Count: 1,
		}, controllerstest.OpWrite))
		run := h.NewRun("a", "bad", "good")
		apply(h.NewProject(), run)
		h.Step(period)
		h.ExpectStalled(run, v1alpha1.ReasonInvalidTags, `bad`)
		h.ExpectTagsOn("a", "good")
		h.ExpectQuiet(period)
		edit(run, declare("good", "better"))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "good", "better")
	})

	It("says that a tag in both lists is excluded", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a")
		run := h.NewRun("a", "baseline", "debug")
		run.Spec.ExcludeTags = []string{"debug"}
		apply(h.NewProject(), run)
		h.ExpectReady(run, v1alpha1.ReasonSynced, "debug")
		h.ExpectTagsOn("a", "baseline")
	})
})
