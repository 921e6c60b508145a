package controllers_test

import (
	"fmt"
	"slices"
	"strconv"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
)

var _ = Describe("Runs that are not found any more", func() {
	var project *v1alpha1.TrackingProject
	var runs []*v1alpha1.TrainingRun

	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	// track makes n runs with a TrainingRun each.
	track := func(n int) {
		GinkgoHelper()
		project, runs = h.NewProject(), nil
		h.ExpectApplied(project)
		for i := range n {
			run := h.NewRun(fmt.Sprintf("run-%02d", i), "baseline")
			h.AddRun(run.Name)
			h.ExpectApplied(run)
			runs = append(runs, run)
		}
		h.Settle()
		h.Step(2 * period)
		h.ExpectReady(project, v1alpha1.ReasonLooking)
	}
	remove := func(n int) (gone []*v1alpha1.TrainingRun) {
		GinkgoHelper()
		for _, run := range runs[:n] {
			h.DeleteRuns(run.Name)
		}
		gone, runs = runs[:n], runs[n:]
		return gone
	}
	accept := func(token string) {
		GinkgoHelper()
		editProject(project, func(p *v1alpha1.TrackingProject) {
			p.Annotations = map[string]string{v1alpha1.AnnotationAcceptMissing: token}
		})
		h.Step(period)
	}
	generation := func() string {
		GinkgoHelper()
		h.Refresh(project)
		return strconv.FormatInt(project.Generation, 10)
	}
	count := func(of []*v1alpha1.TrainingRun, reason string) (n int) {
		GinkgoHelper()
		for _, run := range of {
			if reasons(run) == reason {
				n++
			}
		}
		return n
	}

	It("calls a few deleted", func() {
		track(30)
		gone := remove(10)
		h.Step(fullPeriod + period)
		Expect(count(gone, v1alpha1.ReasonRunDeleted)).To(Equal(10))
		Expect(count(runs, v1alpha1.ReasonSynced)).To(Equal(20))
		h.ExpectReady(project, v1alpha1.ReasonLooking)
	})

	It("calls many deleted where they are a small share", func() {
		track(60)
		gone := remove(12)
		h.Step(fullPeriod + period)
		Expect(count(gone, v1alpha1.ReasonRunDeleted)).To(Equal(12))
	})

	It("calls none deleted where many vanish at once, until somebody confirms it, once", func() {
		track(30)
		gone := remove(12)
		a := h.During(func() { h.Step(fullPeriod + period) })
		h.ExpectStalled(project, v1alpha1.ReasonRunsMissing, "12 of 30 known runs are not found",
			"kubectl annotate tproj capsules -n "+h.Namespace+" --overwrite "+v1alpha1.AnnotationAcceptMissing+"="+generation())
		h.ExpectEvent(project, "Warning", v1alpha1.ReasonRunsMissing, "12 of 30")
		Expect(a.Writes).To(HaveLen(a.WritesOf(project)))
		Expect(count(gone, v1alpha1.ReasonSynced)).To(Equal(12))

		By("saying so on one that has work due")
		edit(gone[0], declare("another"))
		h.ExpectWaiting(gone[0], v1alpha1.ReasonRunsMissing, "not called deleted")

		By("confirming another generation, which confirms nothing")
		accept("0")
		h.ExpectStalled(project, v1alpha1.ReasonRunsMissing)

		accept(generation())
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		Expect(count(gone, v1alpha1.ReasonRunDeleted)).To(Equal(12))
		h.ExpectQuiet(period)

		By("vanishing again: the same annotation confirms nothing more")
		more := remove(11)
		h.Step(fullPeriod + period)
		h.ExpectStalled(project, v1alpha1.ReasonRunsMissing, "11 of 30", v1alpha1.AnnotationAcceptMissing+"="+generation()+".1")
		Expect(count(more, v1alpha1.ReasonSynced)).To(Equal(11))
		accept(generation() + ".1")
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		Expect(count(slices.Concat(gone, more), v1alpha1.ReasonRunDeleted)).To(Equal(23))
	})

	It("adds up what vanishes within one fullInterval", func() {
		track(30)
		first := remove(8)
		h.Step(fullPeriod + period)
		Expect(count(first, v1alpha1.ReasonRunDeleted)).To(Equal(8))
		second := remove(8)
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Annotations = map[string]string{v1alpha1.AnnotationLookAt: "now"} })
		h.Step(2 * period)
		h.ExpectStalled(project, v1alpha1.ReasonRunsMissing, "8 of 30")
		Expect(count(second, v1alpha1.ReasonSynced)).To(Equal(8))
	})

	It("does not add up what vanishes later", func() {
		track(30)
		first := remove(8)
		h.Step(fullPeriod + period)
		h.Step(fullPeriod)
		second := remove(8)
		h.Step(fullPeriod + period)
		Expect(count(slices.Concat(first, second), v1alpha1.ReasonRunDeleted)).To(Equal(16))
		h.ExpectReady(project, v1alpha1.ReasonLooking)
	})

	It("calls nothing deleted when they come back", func() {
		track(30)
		gone := remove(12)
		h.Step(fullPeriod + period)
		h.ExpectStalled(project, v1alpha1.ReasonRunsMissing)
		for _, run := range gone {
			h.AddRun(run.Name, "baseline")
		}
		h.Step(2 * period)
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		Expect(count(gone, v1alpha1.ReasonSynced)).To(Equal(12))
	})

	It("calls none deleted on another server", func() {
		track(3)
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.BaseURL = h.NewTracker().URL })
		h.Step(2 * period)
		h.ExpectStalled(project, v1alpha1.ReasonRunsMissing, "3 of 3")
		Expect(count(runs, v1alpha1.ReasonSynced)).To(Equal(3))

		By("pointing back")
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.BaseURL = h.Tracker.URL })
		h.Step(2 * period)
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		Expect(count(runs, v1alpha1.ReasonSynced)).To(Equal(3))
	})

	It("calls none deleted after another server took its place and the operator was restarted", func() {
		track(3)
		h.ExpectProjectEdited(project, func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.BaseURL = h.NewTracker().URL })
		h.Restart()
		h.Settle()
		h.Step(2 * period)
		h.ExpectStalled(project, v1alpha1.ReasonRunsMissing, "3 of 3")
		Expect(count(runs, v1alpha1.ReasonSynced)).To(Equal(3))
	})

	It("calls none deleted after the key was changed, until it is confirmed", func() {
		track(3)
		gone := remove(1)
		secret := h.NewSecret(h.Namespace)
		h.Refresh(secret)
		secret.Data["comment"] = []byte("another version")
		h.ExpectApplied(secret)
		h.Step(fullPeriod + period)
		h.ExpectStalled(project, v1alpha1.ReasonRunsMissing, "1 of 3")
		Expect(count(gone, v1alpha1.ReasonSynced)).To(Equal(1))
		accept(generation())
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		Expect(count(gone, v1alpha1.ReasonRunDeleted)).To(Equal(1))
	})
})
