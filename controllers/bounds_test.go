package controllers_test

import (
	"fmt"
	"strings"
	"unicode/utf8"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

var _ = Describe("A status", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	It("holds what fits, and counts the rest", func() {
		var many []string
		for i := range 300 {
			many = append(many, fmt.Sprintf("%03d-%s", i, strings.Repeat("日", 60)))
		}
		h.AddActiveRun("a", many...)
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(run.Status.TagCount).To(BeEquivalentTo(301))
		Expect(run.Status.Tags).To(HaveLen(256))
		Expect(utf8.RuneCountInString(run.Status.TagNames)).To(Equal(120))
		Expect(run.Status.TagNames).To(HaveSuffix("…"))
		h.ExpectQuiet(period)

		By("removing the tags one by one, which is more than history keeps")
		for _, tag := range many[:12] {
			h.EditTags("a", nil, []string{tag})
			h.Step(period)
		}
		h.Refresh(run)
		Expect(run.Status.TagCount).To(BeEquivalentTo(289))
		Expect(len(run.Status.History)).To(BeNumerically("<=", 10))
	})

	It("keeps the last ten changes, the newest first", func() {
		h.AddActiveRun("a")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		for i := range 12 {
			h.EditTags("a", []string{fmt.Sprintf("tag-%02d", i)}, nil)
			h.Step(period)
		}
		h.Refresh(run)
		Expect(run.Status.History).To(HaveLen(10))
		Expect(run.Status.History[0].Tag).To(Equal("tag-11"))
		Expect(run.Status.History[9].Tag).To(Equal("tag-02"))
	})

	It("shows the run as the tracker does", func() {
		h.AddTrackerRun(wandbtest.Run{
			ID: "a", DisplayName: strings.Repeat("n", 300), State: "running", Host: "pod-1", User: "mel", Group: "g", JobType: "train",
		})
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.Refresh(run)
		Expect(run.Status.Run).To(And(
			HaveField("ID", "a"), HaveField("State", "running"), HaveField("Host", "pod-1"), HaveField("User", "mel"),
			HaveField("Group", "g"), HaveField("JobType", "train"), HaveField("Attempts", BeEquivalentTo(1)),
			HaveField("URL", HaveSuffix("/capsules/runs/a")), HaveField("FinishedAt", BeNil())))
		Expect(utf8.RuneCountInString(run.Status.Run.DisplayName)).To(Equal(250))

		Expect(h.Tracker.FinishRun(h.Tracker.Path("a"), 1)).To(Succeed())
		h.Step(period)
		h.Refresh(run)
		Expect(run.Status.Run.State).To(Equal("failed"))
		Expect(run.Status.Run.FinishedAt).NotTo(BeNil())
		Expect(h.Tracker.StartRun(h.Tracker.Path("a"), "pod-2")).To(Succeed())
		h.Step(period)
		h.Refresh(run)
		Expect(run.Status.Run).To(And(HaveField("State", "running"), HaveField("Attempts", BeEquivalentTo(2)), HaveField("Host", "pod-2")))
		h.ExpectQuiet(period)
	})

	It("is not written for a heartbeat", func() {
		h.AddActiveRun("a")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.Step(4 * period) // long enough to say that no pod is known
		h.ExpectNoWrites(func() {
			for range 5 {
				Expect(h.Tracker.Heartbeat(h.Tracker.Path("a"))).To(Succeed())
				h.Step(period)
			}
		})
	})
})

var _ = Describe("A tracker that does not do what it says", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	It("is written to again, less and less often, until it does", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		h.Tracker.SetFaults(wandbtest.Faults{IgnoreTags: true})
		a := h.During(func() {
			apply(h.NewProject(), run)
			h.Step(2 * period)
		})
		h.ExpectTagsOn("a")
		Expect(a.Requests[controllerstest.OpWrite]).To(BeNumerically("~", 8, 6))
		Expect(a.WritesOf(run)).To(BeNumerically("<=", 4))
		Expect(reasons(run)).NotTo(Equal(v1alpha1.ReasonSynced))
		h.Tracker.SetFaults(wandbtest.Faults{})
		h.Step(2 * period)
		h.ExpectTagsOn("a", "baseline")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})
})
