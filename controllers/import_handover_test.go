package controllers_test

import (
	"errors"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

var _ = Describe("A TrainingRun that a person makes for an imported run", func() {
	var imported, mine *v1alpha1.TrainingRun

	BeforeEach(func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddActiveRun("a", "debug", "foreign")
		apply(h.NewProject(imports(v1alpha1.ImportActive)))
		imported = importedRun("a")
		mine = h.NewRun("a", "wanted")
	})

	It("takes its place", func() {
		apply(mine)
		h.ExpectGone(imported)
		h.ExpectReady(mine, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "debug", "foreign", "wanted")
		Expect(applied(mine)).To(ConsistOf("wanted"))
		h.ExpectQuiet(period)
		Expect(tracked()).To(Equal([]string{"a"}))
	})

	It("gets its memory, so that a tag that was taken off stays off", func() {
		edit(imported, func(r *v1alpha1.TrainingRun) { delete(r.Labels, mirror.TagPrefix+"debug") })
		h.ExpectTagsOn("a", "foreign")
		Expect(removed(imported)).To(ConsistOf("debug"))
		before := imported.Status.RemovedTags

		apply(mine)
		h.ExpectGone(imported)
		Expect(removed(mine)).To(ConsistOf("debug"))
		Expect(mine.Status.RemovedTags).To(Equal(before), "not as if it had been taken off just now")
		h.EditTags("a", []string{"debug"}, nil) // the SDK sends its whole list once more
		h.Step(period)
		h.ExpectTagsOn("a", "foreign", "wanted")
	})

	It("declares what was taken off, and then it is wanted", func() {
		edit(imported, func(r *v1alpha1.TrainingRun) { delete(r.Labels, mirror.TagPrefix+"debug") })
		mine.Spec.Tags = []string{"debug"}
		apply(mine)
		h.ExpectGone(imported)
		h.ExpectTagsOn("a", "debug", "foreign")
		Expect(removed(mine)).To(BeEmpty())
		Expect(applied(mine)).To(ConsistOf("debug"))
	})

	DescribeTable("has the memory before the other one goes, wherever it crashes", func(fails func(controllerstest.Write) bool) {
		edit(imported, func(r *v1alpha1.TrainingRun) { delete(r.Labels, mirror.TagPrefix+"debug") })
		h.API.FailWrites(func(w controllerstest.Write) error {
			if fails(w) {
				return errors.New("no route to host")
			}
			return nil
		})
		h.ExpectApplied(mine)
		h.Reconcile()
		Expect(tracked()).To(HaveLen(2))
		h.API.FailWrites(nil)
		h.Restart()
		h.Step(time.Second)
		h.ExpectGone(imported)
		Expect(removed(mine)).To(ConsistOf("debug"))
		h.ExpectTagsOn("a", "foreign", "wanted")
	},
		Entry("before the status is written", func(w controllerstest.Write) bool { return w.Key.Name == "a" && w.Status }),
		Entry("before the other one is deleted", func(w controllerstest.Write) bool { return w.Deleted }),
	)

	It("leaves one alone that a person has edited, which says so and comes back when it is alone again", func() {
		edit(imported, func(r *v1alpha1.TrainingRun) { r.Labels[mirror.TagPrefix+"labelled"] = "" })
		h.ExpectTagsOn("a", "debug", "foreign", "labelled")
		apply(mine)
		h.ExpectReady(mine, v1alpha1.ReasonSynced)
		h.ExpectStalled(imported, v1alpha1.ReasonDuplicateRun, "TrainingRun a stands for run a")
		h.ExpectTagsOn("a", "debug", "foreign", "labelled", "wanted")
		h.ExpectQuiet(period)

		h.ExpectDeleted(mine)
		h.Settle()
		h.ExpectReady(imported, v1alpha1.ReasonSynced)
	})

	It("takes its place also where the person edits that at the last moment, or not at all", func() {
		h.API.FailWrites(func(w controllerstest.Write) error {
			if w.Deleted {
				h.API.FailWrites(nil)
				h.Refresh(imported)
				imported.Labels["team"] = "vision"
				return h.Admin.Update(GinkgoT().Context(), imported)
			}
			return nil
		})
		apply(mine)
		h.Touch(imported)
		h.Step(time.Second)
		h.ExpectReady(mine, v1alpha1.ReasonSynced)
		h.ExpectStalled(imported, v1alpha1.ReasonDuplicateRun)
	})

	It("takes its place also where both were made at the same time", func() {
		twin := h.NewRun("b", "wanted")
		h.AddActiveRun("b", "foreign")
		h.API.FailWrites(func(w controllerstest.Write) error {
			if w.Created {
				h.API.FailWrites(nil)
				return h.Admin.Create(GinkgoT().Context(), twin) // after the runs were listed, before the other one is made
			}
			return nil
		})
		h.Step(period)
		h.Touch(twin)
		h.Settle()
		Expect(tracked()).To(Equal([]string{"b", "capsules-a"}))
		h.ExpectReady(twin, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("b", "foreign", "wanted")
		h.ExpectQuiet(period)
	})

	It("in another namespace is none of its business", func() {
		mine.Namespace = h.NewNamespace()
		project := h.NewProject()
		project.Namespace = mine.Namespace
		apply(project, mine)
		h.ExpectReady(mine, v1alpha1.ReasonSynced)
		h.ExpectReady(imported, v1alpha1.ReasonSynced)
	})

	It("and that goes by name comes first, too", func() {
		mine.Spec.RunID, mine.Spec.RunName, mine.Name = "", "later", "by-name"
		apply(mine)
		h.ExpectWaiting(mine, v1alpha1.ReasonRunNotFound)
		run := h.AddActiveRun("b")
		run.DisplayName = "later"
		h.AddTrackerRun(run)
		h.Step(2 * period)
		h.ExpectReady(mine, v1alpha1.ReasonSynced)
		Expect(tracked()).To(Equal([]string{"by-name", "capsules-a"}))
		h.ExpectTagsOn("b", "wanted")
		h.ExpectQuiet(period)
	})

	It("and deletes again, leaves the run to import", func() {
		apply(mine)
		h.ExpectDeleted(mine)
		h.Step(period)
		h.ExpectReady(importedRun("a"), v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "debug", "foreign", "wanted")
	})
})
