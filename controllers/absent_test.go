package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

var _ = Describe("A run that is not there", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	It("is waited for, and gets its tags when it appears", func() {
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.ExpectWaiting(run, v1alpha1.ReasonRunNotFound, "no run a in project capsules", "when it appears")
		h.Step(period)
		h.ExpectWaiting(run, v1alpha1.ReasonRunNotFound)
		h.AddRun("a")
		h.Step(period)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "baseline")
	})

	It("is called deleted when it was there, and owned anew when it was made again under its id", func() {
		h.AddRun("a")
		run := h.NewRun("a", "kept", "dropped")
		apply(h.NewProject(), run)
		h.ExpectTagsOn("a", "kept", "dropped")
		h.Refresh(run)
		before := run.Status.Run.UID

		h.DeleteRuns("a")
		h.Step(fullPeriod + period)
		h.ExpectWaiting(run, v1alpha1.ReasonRunDeleted, "run a was deleted on the tracker")
		h.ExpectQuiet(period)

		edit(run, declare("kept"))
		h.ExpectWaiting(run, v1alpha1.ReasonRunDeleted)
		h.AddRun("a", "dropped")
		h.Step(period)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "kept", "dropped")
		Expect(applied(run)).To(ConsistOf("kept"))
		Expect(removed(run)).To(BeEmpty())
		Expect(run.Status.Run.UID).NotTo(Equal(before))
	})

	It("is not called deleted while only a list does not have it", func() {
		h.AddActiveRun("a")
		h.AddRun("other")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.Tracker.SetFaults(wandbtest.Faults{HiddenRows: 1}) // the lists leave it out, and so does the read by id, once
		a := h.During(func() { h.Step(period) })
		h.Tracker.SetFaults(wandbtest.Faults{})
		h.Step(period)
		Expect(a.WritesOf(run)).To(BeZero())
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})
})

var _ = Describe("A run that is named", func() {
	var run *v1alpha1.TrainingRun

	named := func(id, name string, tags ...string) {
		h.AddTrackerRun(wandbtest.Run{ID: id, DisplayName: name, State: "finished", Tags: tags})
	}

	BeforeEach(func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		run = h.NewRun("", "baseline")
		run.Name, run.Spec.RunName = "nightly", "nightly-24"
	})

	It("is found when it appears, and kept whatever it is called later", func() {
		apply(h.NewProject(), run)
		h.ExpectWaiting(run, v1alpha1.ReasonRunNotFound, `no run named "nightly-24"`)
		named("x1", "nightly-24")
		h.Step(period)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("x1", "baseline")
		Expect(run.Status.Run.ID).To(Equal("x1"))

		named("x1", "renamed", "baseline")
		named("x2", "nightly-24")
		h.Step(fullPeriod)
		edit(run, declare("baseline", "more"))
		h.ExpectTagsOn("x1", "baseline", "more")
		h.ExpectTagsOn("x2")
	})

	It("is found at once where it is there already", func() {
		named("x1", "nightly-24")
		apply(h.NewProject(), run)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("x1", "baseline")
	})

	It("is not chosen among several of that name", func() {
		named("x1", "nightly-24")
		named("x2", "nightly-24")
		apply(h.NewProject(), run)
		h.ExpectStalled(run, v1alpha1.ReasonAmbiguousRun, `2 runs of project capsules are named "nightly-24" (x1, x2)`, "spec.runID")
		h.ExpectTagsOn("x1")
		h.ExpectTagsOn("x2")
		h.ExpectQuiet(period)

		named("x2", "another")
		h.Step(fullPeriod)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("x1", "baseline")
		h.ExpectTagsOn("x2")
	})

	It("is looked up again when it was deleted", func() {
		named("x1", "nightly-24")
		apply(h.NewProject(), run)
		h.ExpectTagsOn("x1", "baseline")
		h.DeleteRuns("x1")
		h.Step(fullPeriod + period)
		Expect(reasons(run)).To(BeElementOf(v1alpha1.ReasonRunDeleted, v1alpha1.ReasonRunNotFound))
		named("x2", "nightly-24")
		h.Step(period)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("x2", "baseline")
		Expect(run.Status.Run.ID).To(Equal("x2"))
	})
})
