package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

var _ = Describe("Labels that are edited", func() {
	var run *v1alpha1.TrainingRun

	prepare := func(ctx SpecContext, onRun ...string) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", onRun...)
		run = h.NewRun("a", "specified")
		run.Labels = labels{mirror.TagPrefix + "labelled": ""}
		apply(h.NewProject(), run)
		h.Step(2 * period)
	}
	page := func(add, remove []string) func() {
		return func() { GinkgoHelper(); h.EditTags("a", add, remove) }
	}
	byLabel := func(args ...string) func() {
		return func() { GinkgoHelper(); label(run, args...) }
	}

	It("while the operator is down mean the same once it is up", func(ctx SpecContext) {
		prepare(ctx, "foreign", "other")
		writes(1, func() {
			label(run, "tag.runtag.dev/x=", "tag.runtag.dev/labelled-", "tag.runtag.dev/foreign-", "tag.runtag.dev/specified-", "tag.runtag.dev/other=")
			h.Restart()
		})
		h.ExpectTagsOn("a", "other", "specified", "x")
		Expect(tagLabels(run)).To(Equal(labels{"other": "", "specified": "spec", "x": ""}))
		Expect(removed(run)).To(ConsistOf("foreign", "labelled"))
	})

	It("come back when all were wiped while the operator was down", func(ctx SpecContext) {
		prepare(ctx, "foreign")
		writes(0, func() {
			kubectl("patch", "trun", "a", "--type=merge", "-p", `{"metadata":{"labels":null}}`)
			h.Restart()
		})
		h.ExpectTagsOn("a", "foreign", "specified", "labelled")
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "specified": "spec", "labelled": ""}))
	})

	DescribeTable("when the run changes before the operator has seen either, in both orders,",
		func(ctx SpecContext, edit, change func(), written int, want labels, onRun ...string) {
			for _, order := range [][]func(){{edit, change}, {change, edit}} {
				prepare(ctx, "foreign")
				writes(written, func() {
					order[0]()
					order[1]()
					h.Settle()
					h.Step(fullPeriod) // the run has ended
				})
				h.ExpectTagsOn("a", onRun...)
				Expect(tagLabels(run)).To(Equal(want))
				h.ExpectReady(run, v1alpha1.ReasonSynced)
			}
		},
		Entry("a tag that somebody takes off both ways is off",
			byLabel("tag.runtag.dev/foreign-"), page(nil, []string{"foreign"}), 0,
			labels{"specified": "spec", "labelled": ""}, "specified", "labelled"),
		Entry("a tag that a person declared and takes off both ways is off",
			byLabel("tag.runtag.dev/labelled-"), page(nil, []string{"labelled"}), 0,
			labels{"specified": "spec", "foreign": "run"}, "specified", "foreign"),
		Entry("another tag that appears meanwhile stays",
			byLabel("tag.runtag.dev/foreign-"), page([]string{"new"}, nil), 1,
			labels{"specified": "spec", "labelled": "", "new": "run"}, "specified", "labelled", "new"),
		Entry("a tag that goes while a person declares it is put back",
			byLabel("tag.runtag.dev/foreign="), page(nil, []string{"foreign"}), 1,
			labels{"specified": "spec", "labelled": "", "foreign": ""}, "specified", "labelled", "foreign"),
		Entry("a tag that appears while a person declares it is declared, and nothing is written",
			byLabel("tag.runtag.dev/x="), page([]string{"x"}, nil), 0,
			labels{"specified": "spec", "labelled": "", "foreign": "run", "x": ""}, "specified", "labelled", "foreign", "x"),
		Entry("a declared tag that somebody takes off while the label of another goes comes back",
			byLabel("tag.runtag.dev/foreign-"), page(nil, []string{"specified", "labelled"}), 1,
			labels{"specified": "spec", "labelled": ""}, "specified", "labelled"),
	)

	It("own a tag that appeared while a person declared it, and take it off with the label", func(ctx SpecContext) {
		prepare(ctx)
		writes(0, func() {
			label(run, "tag.runtag.dev/x=")
			h.EditTags("a", []string{"x"}, nil)
		})
		Expect(applied(run)).To(ConsistOf("labelled", "specified", "x"))
		writes(1, byLabel("tag.runtag.dev/x-"))
		h.ExpectTagsOn("a", "labelled", "specified")
	})

	It("take a tag off three times more that a running script sends again, and then leave it and say so", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddActiveRun("a", "x", "y")
		run = h.NewRun("a")
		apply(h.NewProject(), run)
		Expect(tagLabels(run)).To(Equal(labels{"x": "run", "y": "run"}))
		writes(1, byLabel("tag.runtag.dev/x-"))
		h.ExpectTagsOn("a", "y")
		for range 3 {
			Expect(h.Tracker.SetTags(h.Tracker.Path("a"), "x", "y")).To(Succeed())
			h.Step(fullPeriod) // contested tags wait for up to five minutes
			h.ExpectTagsOn("a", "y")
			Expect(tagLabels(run)).To(Equal(labels{"y": "run"}))
		}
		writes(0, func() {
			Expect(h.Tracker.SetTags(h.Tracker.Path("a"), "x", "y")).To(Succeed())
			h.Step(fullPeriod)
		})
		h.ExpectTagsOn("a", "x", "y")
		Expect(tagLabels(run)).To(Equal(labels{"x": "run", "y": "run"}))
		h.ExpectEvent(run, "Warning", "TagsCameBack", `"x" came back`)

		By("taking it off once more is a new wish")
		writes(1, byLabel("tag.runtag.dev/x-"))
		h.ExpectTagsOn("a", "y")
	})
})
