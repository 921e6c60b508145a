package controllers_test

import (
	. "github.com/onsi/ginkgo/v2"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
)

var _ = Describe("Tags of a run that is there", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	It("lands them, leaves foreign ones, and is quiet afterwards", func() {
		h.AddRun("a", "foreign")
		run := h.NewRun("a", "baseline", "in_production")
		h.ExpectApplied(h.NewProject(), run)
		h.Settle()
		h.ExpectTagsOn("a", "foreign", "baseline", "in_production")
		h.ExpectReady(run, v1alpha1.ReasonSynced, "as declared")
		h.ExpectEvent(run, "Normal", "TagsAdded", `put "baseline", "in_production" on run a`)
		h.ExpectQuiet(fullPeriod)
	})
})
