package controllers_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/bulk"
)

// bulkChange is a TagChange of the project that selects by a tag. It is not applied yet.
func bulkChange(name, carried string, edits ...func(*v1alpha1.TagChangeSpec)) *v1alpha1.TagChange {
	c := &v1alpha1.TagChange{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: name},
		Spec: v1alpha1.TagChangeSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: controllerstest.ProjectName}, Select: &v1alpha1.RunSelection{Tags: []string{carried}}, Apply: true,
		},
	}
	for _, edit := range edits {
		edit(&c.Spec)
	}
	return c
}

func renames(from, to string) func(*v1alpha1.TagChangeSpec) {
	return func(s *v1alpha1.TagChangeSpec) { s.Rename = append(s.Rename, v1alpha1.TagRename{From: from, To: to}) }
}

func removes(names ...string) func(*v1alpha1.TagChangeSpec) {
	return func(s *v1alpha1.TagChangeSpec) { s.Remove = names }
}

func adds(names ...string) func(*v1alpha1.TagChangeSpec) {
	return func(s *v1alpha1.TagChangeSpec) { s.Add = names }
}

// configMap reads a ConfigMap of the namespace.
func configMap(name string) string {
	GinkgoHelper()
	var m corev1.ConfigMap
	Expect(h.Admin.Get(context.WithoutCancel(GinkgoT().Context()), types.NamespacedName{Namespace: h.Namespace, Name: name}, &m)).To(Succeed())
	return m.Data["runs"]
}

// half lets a change go on until a batch is done and another one is on its way.
func half(change *v1alpha1.TagChange) {
	GinkgoHelper()
	for range 20 {
		h.Reconcile()
		h.Send()
		if h.Refresh(change); change.Status.Done >= 100 {
			break
		}
		h.Touch(change)
	}
	Expect(change.Status.Done).To(BeNumerically(">=", 100))
	Expect(change.Status.FinishedAt).To(BeNil())
}

// skipped counts the runs that a change left alone for a reason.
func skipped(c *v1alpha1.TagChange, reason string) int32 {
	GinkgoHelper()
	h.Refresh(c)
	for _, s := range c.Status.Skipped {
		if s.Reason == reason {
			return s.Count
		}
	}
	return 0
}

// expectWrittenDown checks that a ConfigMap says what is done with a run, before it is. It is called from the tracker.
func expectWrittenDown(id string) {
	defer GinkgoRecover()
	var list corev1.ConfigMapList
	Expect(h.Admin.List(context.WithoutCancel(GinkgoT().Context()), &list, client.InNamespace(h.Namespace))).To(Succeed())
	for _, m := range list.Items {
		if strings.Contains(m.Data["runs"], fmt.Sprintf("%q:%q", "id", id)) {
			return
		}
	}
	text := ""
	for _, m := range list.Items {
		text += m.Name + ": " + m.Data["runs"][:min(300, len(m.Data["runs"]))]
	}
	Fail("run " + id + " is changed before that is written down: " + text)
}

var _ = Describe("A TagChange", func() {
	var project *v1alpha1.TrackingProject

	BeforeEach(func(ctx SpecContext) {
		start(ctx, controllerstest.Options{OnWrite: func(run wandbtest.Run, _ []string) { expectWrittenDown(run.ID) }})
		project = h.NewProject(func(p *v1alpha1.TrackingProject) { p.Spec.Import.Policy = v1alpha1.ImportNone })
		apply(project)
	})

	runs := func(n int, tags ...string) {
		GinkgoHelper()
		for i := range n {
			h.AddRun(fmt.Sprintf("run-%04d", i), tags...)
		}
	}

	It("renames a tag on runs that have no TrainingRun, in few requests, and says which", func() {
		runs(250, "debug", "other")
		change := bulkChange("fix", "debug", renames("debug", "wip"))
		activity := h.During(func() { apply(change) })
		for _, i := range []int{0, 99, 100, 249} {
			h.ExpectTagsOn(fmt.Sprintf("run-%04d", i), "wip", "other")
		}
		h.ExpectReady(change, v1alpha1.ReasonChanged, "250 of 250")
		h.ExpectCondition(change, v1alpha1.ConditionComplete, metav1.ConditionTrue, v1alpha1.ReasonChanged)
		Expect(change.Status).To(And(
			HaveField("Matched", HaveValue(BeEquivalentTo(250))), HaveField("Changed", HaveValue(BeEquivalentTo(250))),
			HaveField("Progress", "250/250"), HaveField("StartedAt", Not(BeNil())), HaveField("FinishedAt", Not(BeNil())),
		))
		Expect(activity.Requests).NotTo(BeEmpty())
		var entries []bulk.Entry
		for _, name := range change.Status.Undo {
			page, err := bulk.ParseEntries(configMap(name))
			Expect(err).NotTo(HaveOccurred())
			entries = append(entries, page...)
		}
		Expect(entries).To(HaveLen(250))
		h.ExpectNoWrites(func() { h.Step(period) })
	})

	It("counts and shows, and changes nothing before it is to be applied", func() {
		runs(15, "debug")
		h.AddRun("more", "debug", "wip")
		change := bulkChange("fix", "debug", adds("wip"), func(s *v1alpha1.TagChangeSpec) { s.Apply = false })
		apply(change)
		h.ExpectReady(change, v1alpha1.ReasonCounted, "16 runs match, and tags of 15 would change")
		Expect(change.Status.Sample).To(HaveLen(10))
		h.ExpectTagsOn("run-0000", "debug")
		h.ExpectNoWrites(func() { h.Step(period) })
		h.Refresh(change)
		change.Spec.Apply = true
		apply(change)
		h.ExpectReady(change, v1alpha1.ReasonChanged)
		h.ExpectTagsOn("run-0000", "debug", "wip")
	})

	It("is refused when more runs match than it allows, and does nothing", func() {
		runs(5, "debug")
		change := bulkChange("fix", "debug", removes("debug"), func(s *v1alpha1.TagChangeSpec) { s.MaxRuns = 4 })
		apply(change)
		h.ExpectStalled(change, v1alpha1.ReasonTooManyRuns, "5 runs match", "maxRuns is 4")
		h.ExpectTagsOn("run-0000", "debug")
		h.ExpectCondition(change, v1alpha1.ConditionComplete, metav1.ConditionTrue, v1alpha1.ReasonTooManyRuns)
	})

	It("without a change is a query", func() {
		runs(3, "debug")
		h.AddRun("other")
		change := bulkChange("which", "debug", func(s *v1alpha1.TagChangeSpec) { s.Apply = false })
		apply(change)
		h.ExpectReady(change, v1alpha1.ReasonQueried, "3 runs match")
		matches, err := bulk.ParseMatches(configMap(change.Status.Matches[0]))
		Expect(err).NotTo(HaveOccurred())
		Expect(matches).To(HaveLen(3))
		Expect(matches[0]).To(And(HaveField("ID", "run-0000"), HaveField("State", "finished"), HaveField("Tags", []string{"debug"})))
	})

	It("leaves alone what TrainingRuns declare and exclude, and what policies forbid, and says so", func() {
		runs(6, "debug")
		declaring, excluding, observing := h.NewRun("run-0000", "debug"), h.NewRun("run-0001"), h.NewRun("run-0002")
		excluding.Spec.ExcludeTags = []string{"wip"}
		observing.Spec.TagPolicy = v1alpha1.TagPolicyObserve
		apply(declaring, excluding, observing)
		change := bulkChange("fix", "debug", renames("debug", "wip"))
		apply(change)
		h.ExpectReady(change, v1alpha1.ReasonChanged, "3 of 6", "status.skipped")
		h.ExpectTagsOn("run-0000", "debug")
		h.ExpectTagsOn("run-0001", "debug")
		h.ExpectTagsOn("run-0002", "debug")
		h.ExpectTagsOn("run-0003", "wip")
		Expect([]int32{skipped(change, "Declared"), skipped(change, "Excluded"), skipped(change, "Policy")}).To(Equal([]int32{1, 1, 1}))
		Expect(change.Status.Skipped).To(ContainElement(And(HaveField("Reason", "Declared"), HaveField("Sample", []string{"run-0000"}))))
	})

	It("keeps off a tracked run what it takes off, when an SDK sends its old list", func() {
		h.AddActiveRun("a", "debug", "x")
		run := h.NewRun("a")
		apply(run)
		change := bulkChange("fix", "debug", removes("debug"))
		apply(change)
		h.ExpectTagsOn("a", "x")
		Expect(removed(run)).To(ConsistOf("debug"))
		h.Refresh(run)
		Expect(run.Status.History).To(ContainElement(And(HaveField("Tag", "debug"), HaveField("By", "TagChange/fix"))))
		h.Step(period)
		h.EditTags("a", []string{"debug"}, nil)
		h.Step(period)
		h.ExpectTagsOn("a", "x")
	})

	It("goes after the one before it", func() {
		runs(150, "debug")
		first, second := bulkChange("first", "debug", adds("one")), bulkChange("second", "debug", adds("two"))
		h.Tracker.SetFaults(wandbtest.Faults{Faults: []wandbtest.Fault{{Status: 503}}})
		h.ExpectApplied(first)
		h.Settle()
		h.ExpectApplied(second)
		h.Settle()
		h.Tracker.SetFaults(wandbtest.Faults{})
		h.Step(2 * time.Minute)
		h.ExpectReady(first, v1alpha1.ReasonChanged)
		h.ExpectReady(second, v1alpha1.ReasonChanged)
		Expect(first.Status.FinishedAt.After(second.Status.StartedAt.Time)).To(BeFalse())
		h.ExpectTagsOn("run-0149", "debug", "one", "two")
	})

	It("goes on after a crash where it was, and shows no run twice", func() {
		runs(250, "debug")
		change := bulkChange("fix", "debug", renames("debug", "wip"))
		h.ExpectApplied(change)
		half(change)
		h.Restart()
		h.Settle()
		h.ExpectReady(change, v1alpha1.ReasonChanged, "250 of 250")
		for _, i := range []int{0, 99, 100, 199, 200, 249} {
			h.ExpectTagsOn(fmt.Sprintf("run-%04d", i), "wip")
		}
		Expect(change.Status.Skipped).To(BeEmpty())
	})

	It("stops when it is deleted, after the batch in hand", func() {
		runs(250, "debug")
		change := bulkChange("fix", "debug", renames("debug", "wip"))
		h.ExpectApplied(change)
		half(change)
		h.ExpectDeleted(change)
		h.Settle()
		h.ExpectTagsOn("run-0000", "wip")
		h.ExpectTagsOn("run-0249", "debug")
	})

	DescribeTable("counts what it did though the status could not be written at first", func(problem error) {
		runs(3, "debug")
		var sent atomic.Bool
		h.Tracker.BeforeRequests(func(r wandbtest.Request) {
			if r.Operation == controllerstest.OpWrite {
				sent.Store(true)
			}
		})
		failed := false
		h.API.FailWrites(func(w controllerstest.Write) error {
			if failed || !sent.Load() || w.Kind != "TagChange" {
				return nil
			}
			failed = true
			return problem
		})
		change := bulkChange("fix", "debug", renames("debug", "wip"))
		apply(change)
		Expect(failed).To(BeTrue())
		h.Refresh(change)
		Expect(change.Status.Changed).To(HaveValue(BeEquivalentTo(3)))
		Expect(change.Status.Progress).To(Equal("3/3"))
		Expect(change.Status.Sample).To(HaveLen(3))
	},
		Entry("for a conflict", apierrors.NewConflict(schema.GroupResource{Resource: "tagchanges"}, "fix", errors.New("somebody was faster"))),
		Entry("for a failure", apierrors.NewInternalError(errors.New("broken"))),
	)

	DescribeTable("renames also where the TrainingRun takes off first what the change noted there", func(interrupt func()) {
		h.AddRun("a", "debug")
		apply(h.NewRun("a"))
		h.Tracker.SetFaults(broken(wandbtest.Fault{Status: 503, Count: 1}, controllerstest.OpWrite))
		change := bulkChange("fix", "debug", renames("debug", "wip"))
		h.ExpectApplied(change)
		interrupt()
		h.Step(2 * period)
		h.ExpectTagsOn("a", "wip")
		h.Refresh(change)
		Expect(change.Status.Changed).To(HaveValue(BeEquivalentTo(1)))
		Expect(change.Status.Skipped).To(BeEmpty())
	},
		Entry("after a write that failed", func() {}),
		Entry("after a crash", func() {
			h.Reconcile()
			h.Restart()
		}),
	)

	It("is undone where nobody changed the tags since", func() {
		runs(20, "debug")
		change := bulkChange("fix", "debug", renames("debug", "wip"))
		apply(change)
		h.EditTags("run-0003", []string{"debug"}, []string{"wip"})
		h.EditTags("run-0004", nil, []string{"wip"})
		undo := &v1alpha1.TagChange{
			ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "undo"},
			Spec: v1alpha1.TagChangeSpec{
				ProjectRef: change.Spec.ProjectRef, UndoOf: &v1alpha1.TagChangeReference{Name: "fix"}, Apply: true,
			},
		}
		apply(undo)
		h.ExpectReady(undo, v1alpha1.ReasonChanged)
		h.ExpectTagsOn("run-0000", "debug")
		h.ExpectTagsOn("run-0003", "debug")
		h.ExpectTagsOn("run-0004", "debug") // the one that was taken off is not put back, the other is
	})

	It("is refused without anything to undo, for a unique tag and for tags that the tracker does not take", func() {
		undo := &v1alpha1.TagChange{
			ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "undo"},
			Spec: v1alpha1.TagChangeSpec{
				ProjectRef: v1alpha1.ProjectReference{Name: controllerstest.ProjectName}, UndoOf: &v1alpha1.TagChangeReference{Name: "nothing"}, Apply: true,
			},
		}
		apply(undo)
		h.ExpectStalled(undo, v1alpha1.ReasonUndoMissing, "nothing")
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.UniqueTags = []string{"in_production"} })
		unique := bulkChange("unique", "debug", adds("in_production"))
		long := bulkChange("long", "debug", adds("a-tag-that-is-longer-than-the-sixty-four-characters-that-wandb-takes"))
		apply(unique, long)
		h.ExpectStalled(unique, v1alpha1.ReasonUniqueTag, "in_production")
		h.ExpectStalled(long, v1alpha1.ReasonInvalidTags, "64")
	})

	It("waits, and says so, while the tracker wants a pause", func() {
		runs(150, "debug")
		h.Tracker.SetFaults(wandbtest.Faults{Faults: []wandbtest.Fault{{Status: 429, Headers: map[string]string{"Retry-After": "40"}}}})
		change := bulkChange("fix", "debug", removes("debug"))
		apply(change)
		h.ExpectWaiting(change, v1alpha1.ReasonRateLimited)
		h.Tracker.SetFaults(wandbtest.Faults{})
		h.Step(2 * time.Minute)
		h.ExpectReady(change, v1alpha1.ReasonChanged, "150 of 150")
	})

	It("uses the name of a ConfigMap that a deleted one of its own name has left to be collected", func() {
		runs(150, "debug")
		left := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "fix-undo-000", OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "TagChange", Name: "fix", UID: "deleted", Controller: ptr.To(true),
			}}},
			Data: map[string]string{"runs": "old"},
		}
		Expect(h.Admin.Create(GinkgoT().Context(), left)).To(Succeed())
		change := bulkChange("fix", "debug", removes("debug"))
		apply(change)
		h.ExpectReady(change, v1alpha1.ReasonChanged, "150 of 150")
		Expect(configMap("fix-undo-000")).NotTo(ContainSubstring("old"))
		Expect(h.Admin.Get(GinkgoT().Context(), client.ObjectKeyFromObject(left), left)).To(Succeed())
		Expect(metav1.IsControlledBy(left, change)).To(BeTrue(), "the garbage collector leaves it alone")
	})

	DescribeTable("waits, and says so, while a ConfigMap of somebody else has the name of its own", func(name, done string, edits ...func(*v1alpha1.TagChangeSpec)) {
		runs(150, "debug")
		theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: name}, Data: map[string]string{"runs": "precious"}}
		Expect(h.Admin.Create(GinkgoT().Context(), theirs)).To(Succeed())
		change := bulkChange("fix", "debug", edits...)
		apply(change)
		h.ExpectStalled(change, v1alpha1.ReasonConfigMapTaken, "delete that ConfigMap")
		h.ExpectCondition(change, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonConfigMapTaken, name)
		h.Step(5 * time.Minute)
		Expect(h.CountEvents(change, v1alpha1.ReasonConfigMapTaken, func(controllerstest.Event) bool { return true })).To(Equal(1))
		Expect(configMap(name)).To(Equal("precious"))
		h.ExpectTagsOn("run-0000", "debug")

		h.ExpectDeleted(theirs)
		h.Step(time.Minute)
		Expect(configMap(name)).To(ContainSubstring("run-0000"))
		h.ExpectReady(change, done, "150")
		Expect(change.Status.Matched).To(HaveValue(BeEquivalentTo(150)))
		Expect(change.Status.Skipped).To(BeEmpty())
	},
		Entry("which would say what is done", "fix-undo-000", v1alpha1.ReasonChanged, renames("debug", "wip")),
		Entry("which would say what was found", "fix-matches-000", v1alpha1.ReasonQueried),
	)

	It("answers an edit that comes too late, and has room for a long name", func() {
		runs(2, "debug")
		late := bulkChange("late", "debug", removes("debug"), func(s *v1alpha1.TagChangeSpec) { s.Apply, s.MaxRuns = false, 1 })
		apply(late)
		h.ExpectStalled(late, v1alpha1.ReasonTooManyRuns)
		late.Spec.Apply = true
		apply(late)
		h.Refresh(late)
		Expect(late.Status.ObservedGeneration).To(Equal(late.Generation))
		long := bulkChange(strings.Repeat("n", 250), "debug", renames("debug", "wip"))
		apply(long)
		h.ExpectReady(long, v1alpha1.ReasonChanged, "2 of 2")
	})

	It("puts no unique tag back", func() {
		runs(3, "champion")
		change := bulkChange("off", "champion", removes("champion"))
		apply(change)
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.UniqueTags = []string{"champion"} })
		undo := &v1alpha1.TagChange{
			ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "undo"},
			Spec: v1alpha1.TagChangeSpec{
				ProjectRef: change.Spec.ProjectRef, UndoOf: &v1alpha1.TagChangeReference{Name: "off"}, Apply: true,
			},
		}
		apply(undo)
		h.ExpectReady(undo, v1alpha1.ReasonChanged, "0 of 3")
		h.ExpectTagsOn("run-0000")
		Expect(skipped(undo, "Excluded")).To(BeEquivalentTo(3))
	})

	It("goes when its time is over, and waits while the project is suspended", func() {
		runs(1, "debug")
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.Suspend = true })
		change := bulkChange("fix", "debug", removes("debug"), func(s *v1alpha1.TagChangeSpec) {
			s.TTLAfterFinished = &metav1.Duration{Duration: time.Hour}
		})
		apply(change)
		h.ExpectWaiting(change, v1alpha1.ReasonSuspended)
		h.ExpectTagsOn("run-0000", "debug")
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.Suspend = false })
		h.Step(time.Minute)
		h.ExpectReady(change, v1alpha1.ReasonChanged)
		h.Step(2 * time.Hour)
		h.ExpectGone(change)
	})
})
