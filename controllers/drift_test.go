package controllers_test

import (
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
)

var _ = Describe("Tags that others change", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	It("tells what we did once, though the answer to the write that says so is lost", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		lost := false
		h.API.LoseAnswers(func(w controllerstest.Write) error {
			if lost || w.Kind != "TrainingRun" || !strings.Contains(w.Patch, `"history"`) {
				return nil
			}
			lost = true
			return apierrors.NewTimeoutError("lost", 0)
		})
		apply(h.NewProject(), run)
		Expect(lost).To(BeTrue())
		h.ExpectTagsOn("a", "baseline")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(run.Status.History).To(ConsistOf(HaveField("Tag", "baseline")))
		edit(run, declare("baseline", "more"))
		h.Refresh(run)
		Expect(run.Status.History).To(HaveLen(2))
	})

	It("sees what others add and leaves it alone", func() {
		h.AddActiveRun("a")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.EditTags("a", []string{"release_candidate"}, nil)
		h.Step(period)
		h.ExpectTagsOn("a", "baseline", "release_candidate")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(run.Status.TagNames).To(Equal("baseline,release_candidate"))
		Expect(run.Status.TagCount).To(BeEquivalentTo(2))
		Expect(run.Status.Tags).To(HaveLen(2))
		Expect(run.Status.Tags[1]).To(HaveField("Source", v1alpha1.TagSourceRun))
		Expect(run.Status.History[0]).To(And(
			HaveField("Tag", "release_candidate"), HaveField("Change", v1alpha1.TagAdded),
			HaveField("Source", v1alpha1.TagSourceRun), HaveField("By", "")))
		Expect(applied(run)).To(ConsistOf("baseline"))

		h.EditTags("a", nil, []string{"release_candidate"})
		h.Step(period)
		h.Refresh(run)
		Expect(run.Status.History[0]).To(And(HaveField("Tag", "release_candidate"), HaveField("Change", v1alpha1.TagRemoved)))
		h.ExpectTagsOn("a", "baseline")
	})

	It("puts back what others take off, at the next look", func() {
		h.AddActiveRun("a", "foreign")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.EditTags("a", nil, []string{"baseline", "foreign"})
		h.Step(period)
		h.ExpectTagsOn("a", "baseline")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(metric("runtag_drift_total")).To(BeEquivalentTo(1))
		h.ExpectQuiet(period)
	})

	It("writes an audit line and history for its own changes, with the field manager, and for those it sees", func() {
		h.AddActiveRun("a")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.EditTags("a", []string{"foreign"}, nil)
		h.Step(period)
		h.Refresh(run)
		Expect(run.Status.History).To(HaveLen(2))
		Expect(run.Status.History[1]).To(And(
			HaveField("Tag", "baseline"), HaveField("Source", v1alpha1.TagSourceSpec), HaveField("By", controllerstest.Person)))
		lines := h.Log.Audit()
		Expect(lines).To(HaveLen(2))
		Expect(lines[0]).To(And(
			HaveKeyWithValue("tag", "baseline"), HaveKeyWithValue("change", "Added"), HaveKeyWithValue("source", "Spec"),
			HaveKeyWithValue("fieldManager", controllerstest.Person), HaveKeyWithValue("run", "a"),
			HaveKeyWithValue("project", controllerstest.ProjectName), HaveKeyWithValue("trainingRun", "a"),
			HaveKeyWithValue("namespace", h.Namespace)))
		Expect(lines[1]).To(And(HaveKeyWithValue("tag", "foreign"), HaveKeyWithValue("source", "Run"), Not(HaveKey("fieldManager"))))
	})

	It("waits longer and longer once a tag is taken off for the third time", func() {
		h.AddActiveRun("a")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(every(time.Second)), run)
		wipe := func() {
			GinkgoHelper()
			h.EditTags("a", nil, []string{"baseline"})
			h.Step(1100 * time.Millisecond)
		}
		wipe()
		h.ExpectTagsOn("a", "baseline")
		wipe()
		h.ExpectTagsOn("a", "baseline")
		wipe()
		h.ExpectTagsOn("a")
		h.ExpectWaiting(run, v1alpha1.ReasonContested, `"baseline"`, "next try at")
		h.Step(7 * time.Second) // of ten after the write
		h.ExpectTagsOn("a")
		h.Step(4 * time.Second)
		h.ExpectTagsOn("a", "baseline")
		h.ExpectReady(run, v1alpha1.ReasonSynced)

		wipe()
		h.ExpectWaiting(run, v1alpha1.ReasonContested)
		h.Step(14 * time.Second) // of twenty
		h.ExpectTagsOn("a")
		h.Step(6 * time.Second)
		h.ExpectTagsOn("a", "baseline")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("starts to count anew with another attempt of the run", func() {
		h.AddActiveRun("a")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(every(time.Second)), run)
		for range 2 {
			h.EditTags("a", nil, []string{"baseline"})
			h.Step(1100 * time.Millisecond)
		}
		Expect(h.Tracker.FinishRun(h.Tracker.Path("a"), 0)).To(Succeed())
		h.Step(1100 * time.Millisecond)
		Expect(h.Tracker.StartRun(h.Tracker.Path("a"), "another")).To(Succeed())
		h.EditTags("a", nil, []string{"baseline"})
		h.Step(1100 * time.Millisecond)
		h.ExpectTagsOn("a", "baseline")
		h.Refresh(run)
		Expect(run.Status.Run.Attempts).To(BeEquivalentTo(2))
	})

	It("takes a removed tag off again three times, and then gives up", func() {
		h.AddActiveRun("a")
		run := h.NewRun("a", "baseline", "debug")
		apply(h.NewProject(), run)
		edit(run, declare("baseline"))
		h.ExpectTagsOn("a", "baseline")
		h.ExpectEvent(run, "Normal", "TagsRemoved", `took "debug" off run a`)
		Expect(removed(run)).To(ConsistOf("debug"))
		for back := 1; back <= 3; back++ {
			h.EditTags("a", []string{"debug"}, nil)
			h.Step(period)
			h.ExpectTagsOn("a", "baseline")
			h.Refresh(run)
			Expect(run.Status.RemovedTags).To(ConsistOf(HaveField("Back", BeEquivalentTo(back))))
		}
		Expect(h.CountEvents(run, "TagsCameBack", nil)).To(BeZero())
		h.EditTags("a", []string{"debug"}, nil)
		h.Step(period)
		h.ExpectTagsOn("a", "baseline", "debug")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectEvent(run, "Warning", "TagsCameBack", `"debug" came back on run a again and again`)
		h.ExpectEvent(run, "Warning", "TagsCameBack", "spec.excludeTags")
		Expect(removed(run)).To(BeEmpty())
		h.ExpectQuiet(period)
		Expect(h.CountEvents(run, "TagsCameBack", nil)).To(Equal(1))

		edit(run, func(r *v1alpha1.TrainingRun) { r.Spec.ExcludeTags = []string{"debug"} })
		h.ExpectTagsOn("a", "baseline")
	})

	It("forgets a removed tag ten minutes after the run has ended, with the next other change", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline", "debug")
		apply(h.NewProject(), run)
		edit(run, declare("baseline"))
		h.Step(fullPeriod)
		Expect(removed(run)).To(ConsistOf("debug"))
		edit(run, declare("baseline", "more"))
		Expect(removed(run)).To(BeEmpty())
		h.EditTags("a", []string{"debug"}, nil)
		h.Step(fullPeriod)
		h.ExpectTagsOn("a", "baseline", "debug", "more")
	})
})
