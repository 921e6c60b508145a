package controllers_test

import (
	"errors"
	"maps"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

var _ = Describe("Imported TrainingRuns", func() {
	var project *v1alpha1.TrackingProject

	BeforeEach(func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		project = h.NewProject(imports(v1alpha1.ImportActive, keptFor(time.Hour)))
	})

	// touches are the ways in which a person makes an imported object theirs.
	touches := map[string]func(*v1alpha1.TrainingRun){
		"label":      func(r *v1alpha1.TrainingRun) { r.Labels["team"] = "vision" },
		"tag":        func(r *v1alpha1.TrainingRun) { r.Labels[mirror.TagPrefix+"mine"] = "" },
		"annotation": func(r *v1alpha1.TrainingRun) { r.Annotations = map[string]string{"note": "keep"} },
		"ignore":     func(r *v1alpha1.TrainingRun) { r.Annotations = map[string]string{mirror.AnnotationIgnore: "true"} },
		"finalizer":  func(r *v1alpha1.TrainingRun) { r.Finalizers = append(r.Finalizers, "example.com/keep") },
		"spec":       func(r *v1alpha1.TrainingRun) { r.Spec.Tags = []string{"mine"} },
	}

	DescribeTable("go when nobody has touched them, and stay when somebody has", func(happens func(ids []string)) {
		ids := append(slices.Sorted(maps.Keys(touches)), "untouched")
		for _, id := range ids {
			h.AddActiveRun(id, "keep")
		}
		apply(project)
		Expect(tracked()).To(HaveLen(len(ids)))
		for id, touch := range touches {
			edit(importedRun(id), touch)
		}
		happens(ids)
		var want []string
		for _, id := range ids {
			if id != "untouched" {
				want = append(want, controllerstest.ProjectName+"-"+id)
			}
		}
		Expect(tracked()).To(Equal(want))
	},
		Entry("when their time is over", func(ids []string) {
			for _, id := range ids {
				Expect(h.Tracker.FinishRun(h.Tracker.Path(id), 0)).To(Succeed())
			}
			h.Step(59 * time.Minute)
			Expect(tracked()).To(HaveLen(len(ids)), "their time is not over")
			h.Step(2 * time.Minute)
		}),
		Entry("when their run is deleted on the tracker", func(ids []string) {
			h.DeleteRuns(ids...)
			h.Step(fullPeriod)
		}),
		Entry("when their project is gone", func([]string) {
			h.ExpectDeleted(project)
			h.Settle()
		}),
		Entry("when their project went while no operator ran", func([]string) {
			h.ExpectDeleted(project)
			h.Restart()
			h.Settle()
		}),
		Entry("when nothing is imported any more", func([]string) {
			editProject(project, imports(v1alpha1.ImportNone))
		}),
		Entry("when they get a tag that keeps them out", func(ids []string) {
			editProject(project, imports(v1alpha1.ImportActive, withoutTags("debug")))
			Expect(tracked()).To(HaveLen(len(ids)))
			for _, id := range ids {
				h.EditTags(id, []string{"debug"}, nil)
			}
			h.Step(period)
		}),
		Entry("when they lose the tag that they were imported for", func(ids []string) {
			editProject(project, imports(v1alpha1.ImportNone, withTags("keep")))
			Expect(tracked()).To(HaveLen(len(ids)))
			for _, id := range ids {
				h.EditTags(id, nil, []string{"keep"})
			}
			h.Step(period)
		}),
	)

	It("go at their time, to the second, though no look is due", func() {
		h.AddActiveRun("a")
		apply(project)
		Expect(h.Tracker.FinishRun(h.Tracker.Path("a"), 0)).To(Succeed())
		editProject(project, func(p *v1alpha1.TrackingProject) {
			p.Spec.Interval.Duration, p.Spec.FullInterval.Duration = 24*time.Hour, 24*time.Hour
		})
		h.Restart()
		h.Step(time.Hour - time.Second)
		Expect(tracked()).To(HaveLen(1))
		h.Step(2 * time.Second)
		Expect(tracked()).To(BeEmpty())
	})

	It("go when their run is deleted before anything was written down of it", func() {
		h.AddActiveRun("a")
		h.API.FailWrites(func(w controllerstest.Write) error {
			if w.Kind == "TrainingRun" && w.Status {
				return errors.New("no route to host")
			}
			return nil
		})
		h.ExpectApplied(project)
		h.Reconcile()
		Expect(tracked()).To(HaveLen(1))
		h.API.FailWrites(nil)
		h.DeleteRuns("a")
		h.Restart()
		h.Step(fullPeriod)
		Expect(tracked()).To(BeEmpty())
	})

	It("stay when a person edits them just then", func() {
		h.AddActiveRun("a")
		apply(project)
		run := importedRun("a")
		h.API.FailWrites(func(w controllerstest.Write) error {
			if w.Deleted {
				h.API.FailWrites(nil)
				run.Labels["team"] = "vision"
				return h.Admin.Update(GinkgoT().Context(), run) // after it was read, before it is deleted
			}
			return nil
		})
		editProject(project, imports(v1alpha1.ImportNone))
		Expect(tracked()).To(HaveLen(1))
		h.Touch(run)
		h.Step(period)
		Expect(tracked()).To(HaveLen(1))
	})

	It("do not go before what a person asked for with a label is done", func() {
		h.AddActiveRun("a", "debug")
		apply(project)
		run := importedRun("a")
		h.ExpectProjectEdited(project, imports(v1alpha1.ImportNone))
		delete(run.Labels, mirror.TagPrefix+"debug")
		h.ExpectApplied(run)
		h.Settle()
		h.ExpectTagsOn("a")
		h.Step(fullPeriod)
		Expect(tracked()).To(BeEmpty())
		h.ExpectTagsOn("a")
	})

	DescribeTable("come back when a person deletes them while the run qualifies", func(state string, within time.Duration) {
		h.AddActiveRun("a", "one")
		apply(project)
		if state == "finished" {
			Expect(h.Tracker.FinishRun(h.Tracker.Path("a"), 0)).To(Succeed())
			h.Step(2 * fullPeriod)
		}
		first := importedRun("a")
		h.ExpectDeleted(first)
		h.Step(within)
		second := importedRun("a")
		Expect(second.UID).NotTo(Equal(first.UID))
		h.ExpectReady(second, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "one")
	},
		Entry("at the next look where it is active", "running", period),
		Entry("at the next full look where it has ended", "finished", fullPeriod),
	)

	It("are kept out by the annotation, unmirrored and never written for", func() {
		h.AddActiveRun("a", "one")
		apply(project)
		run := importedRun("a")
		edit(run, touches["ignore"])
		a := h.During(func() {
			edit(run, func(r *v1alpha1.TrainingRun) { r.Labels[mirror.TagPrefix+"mine"] = "" })
			h.EditTags("a", []string{"two"}, []string{"one"})
			h.Step(fullPeriod)
		})
		Expect(a.WritesOf(run)).To(BeZero())
		h.ExpectTagsOn("a", "two")
		Expect(importedRun("a").Labels).To(HaveKeyWithValue(mirror.TagPrefix+"one", "run"), "as it was")

		edit(run, func(r *v1alpha1.TrainingRun) { delete(r.Annotations, mirror.AnnotationIgnore) })
		h.ExpectTagsOn("a", "two", "mine")
		Expect(importedRun("a").Labels).To(HaveKeyWithValue(mirror.TagPrefix+"two", "run"))
		Expect(importedRun("a").Labels).NotTo(HaveKey(mirror.TagPrefix + "one"))
	})

	It("may be deleted by a person for good where their run does not qualify", func() {
		h.AddActiveRun("a")
		apply(project)
		edit(importedRun("a"), touches["label"])
		editProject(project, imports(v1alpha1.ImportNone))
		Expect(tracked()).To(HaveLen(1))
		h.ExpectDeleted(importedRun("a"))
		h.Step(fullPeriod)
		Expect(tracked()).To(BeEmpty())
	})

	It("survive many runs that vanish at once", func() {
		for _, id := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"} {
			h.AddActiveRun(id)
		}
		apply(project)
		Expect(tracked()).To(HaveLen(12))
		h.DeleteRuns("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
		h.Step(fullPeriod)
		h.ExpectStalled(project, v1alpha1.ReasonRunsMissing)
		Expect(tracked()).To(HaveLen(12))
	})
})
