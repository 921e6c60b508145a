package controllers_test

import (
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/mirror"
)

// imports sets what is imported.
func imports(policy v1alpha1.ImportPolicy, edits ...func(*v1alpha1.ImportSpec)) func(*v1alpha1.TrackingProject) {
	return func(p *v1alpha1.TrackingProject) {
		p.Spec.Import.Policy = policy
		for _, edit := range edits {
			edit(&p.Spec.Import)
		}
	}
}

func withTags(tags ...string) func(*v1alpha1.ImportSpec) {
	return func(i *v1alpha1.ImportSpec) { i.Tags = tags }
}

func withoutTags(tags ...string) func(*v1alpha1.ImportSpec) {
	return func(i *v1alpha1.ImportSpec) { i.WithoutTags = tags }
}

func atMost(limit int32) func(*v1alpha1.ImportSpec) {
	return func(i *v1alpha1.ImportSpec) { i.Limit = limit }
}

func keptFor(ttl time.Duration) func(*v1alpha1.ImportSpec) {
	return func(i *v1alpha1.ImportSpec) { i.TTLAfterFinished = metav1.Duration{Duration: ttl} }
}

// tracked lists the TrainingRuns of the namespace by name, imported or not.
func tracked() (names []string) {
	GinkgoHelper()
	var list v1alpha1.TrainingRunList
	Expect(h.Admin.List(GinkgoT().Context(), &list, client.InNamespace(h.Namespace))).To(Succeed())
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	slices.Sort(names)
	return names
}

// importedRun is the TrainingRun that was made for a run.
func importedRun(id string) *v1alpha1.TrainingRun {
	GinkgoHelper()
	run := &v1alpha1.TrainingRun{ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: controllerstest.ProjectName + "-" + id}}
	h.Refresh(run)
	return run
}

// endedAgo puts a run into the tracker whose process wrote last some time ago.
func endedAgo(id string, ago time.Duration, onRun ...string) {
	GinkgoHelper()
	at := h.Clock.Now().Add(-ago)
	h.AddTrackerRun(wandbtest.Run{ID: id, State: "finished", Tags: onRun, CreatedAt: at.Add(-time.Hour), HeartbeatAt: at})
}

var _ = Describe("Import", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	DescribeTable("takes in the runs that qualify", func(_ string, edit func(*v1alpha1.TrackingProject), want ...string) {
		h.AddActiveRun("on", "keep")
		h.AddActiveRun("debug", "debug", "keep")
		endedAgo("hour", time.Hour)
		endedAgo("month", 30*24*time.Hour)
		endedAgo("kept", 30*24*time.Hour, "keep")
		apply(h.NewProject(edit))
		for i, id := range want {
			want[i] = controllerstest.ProjectName + "-" + id
		}
		slices.Sort(want)
		Expect(tracked()).To(Equal(append([]string(nil), want...)))
		if len(want) > 0 { // else nobody has anything to look at
			h.ExpectQuiet(period)
		}
	},
		Entry("None", "nothing is imported unless it is asked for", imports(v1alpha1.ImportNone)),
		Entry("the default", "the same", func(*v1alpha1.TrackingProject) {}),
		Entry("Active", "what is active, and what ended less than the ttl ago", imports(v1alpha1.ImportActive), "on", "debug", "hour"),
		Entry("Active, for a minute", "what ended longer ago is not", imports(v1alpha1.ImportActive, keptFor(time.Minute)), "on", "debug"),
		Entry("All", "every run, and no ttl", imports(v1alpha1.ImportAll), "on", "debug", "hour", "month", "kept"),
		Entry("tags alone", "whatever the state", imports(v1alpha1.ImportNone, withTags("keep", "other")), "on", "debug", "kept"),
		Entry("Active and tags", "these too", imports(v1alpha1.ImportActive, withTags("keep")), "on", "debug", "hour", "kept"),
		Entry("All without", "never what carries one", imports(v1alpha1.ImportAll, withoutTags("keep", "other")), "hour", "month"),
		Entry("tags without", "the one that keeps out wins", imports(v1alpha1.ImportActive, withTags("keep"), withoutTags("debug")), "on", "hour", "kept"),
	)

	It("makes objects that say what they are, with the tags as labels from the start", func() {
		h.AddTrackerRun(wandbtest.Run{ID: "a", State: "running", User: "ada", Group: "night", Tags: []string{"baseline", "two words"}})
		apply(h.NewProject(imports(v1alpha1.ImportActive)))
		run := importedRun("a")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(run.Labels).To(Equal(map[string]string{
			mirror.Imported: "true", mirror.Project: controllerstest.ProjectName, mirror.State: "running", mirror.User: "ada",
			mirror.Group: "night", mirror.TagPrefix + "baseline": "run",
		}))
		Expect(run.Spec).To(Equal(v1alpha1.TrainingRunSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: controllerstest.ProjectName}, RunID: "a",
			TagPolicy: v1alpha1.TagPolicyMerge, DeletionPolicy: v1alpha1.DeletionPolicyRetain,
		}))
		Expect(run.OwnerReferences).To(BeEmpty(), "the garbage collector would take edited ones, too")
		Expect(run.Finalizers).To(BeEmpty())
	})

	It("sees a new active run and its tags within the interval, an ended and an offline one within the full one", func() {
		apply(h.NewProject(imports(v1alpha1.ImportActive)))
		Expect(tracked()).To(BeEmpty())
		h.AddActiveRun("a", "early")
		h.Step(period)
		Expect(importedRun("a").Labels).To(HaveKeyWithValue(mirror.TagPrefix+"early", "run"))

		h.EditTags("a", []string{"late"}, nil)
		h.Step(period)
		Expect(importedRun("a").Labels).To(HaveKeyWithValue(mirror.TagPrefix+"late", "run"))

		endedAgo("offline", 24*time.Hour, "synced") // made and ended while it had no way to the tracker
		h.Step(fullPeriod)
		Expect(importedRun("offline").Labels).To(HaveKeyWithValue(mirror.TagPrefix+"synced", "run"))
		h.EditTags("offline", []string{"read"}, nil)
		h.Step(fullPeriod)
		Expect(importedRun("offline").Labels).To(HaveKeyWithValue(mirror.TagPrefix+"read", "run"))
	})

	It("sees an active run with one of the tags within the interval, whatever the policy", func() {
		apply(h.NewProject(imports(v1alpha1.ImportNone, withTags("keep"))))
		h.AddActiveRun("a", "keep")
		h.AddActiveRun("b")
		h.Step(period)
		Expect(tracked()).To(Equal([]string{"capsules-a"}))
	})

	It("leaves filters to the tracker, and their quotes and backslashes are nothing special", func() {
		for _, tag := range []string{`a"b`, `it's`, `c\d`, `$in`, `{"$nin": []}`} {
			h.AddRun("r"+string(rune('0'+len(h.Tracker.Runs(h.Tracker.Entity, controllerstest.ProjectName)))), tag)
		}
		h.AddRun("other", "else")
		project := h.NewProject(imports(v1alpha1.ImportNone, withTags(`a"b`, `it's`, `c\d`, `$in`, `{"$nin": []}`), withoutTags(`c\d`, `"`)))
		apply(project)
		Expect(tracked()).To(Equal([]string{"capsules-r0", "capsules-r1", "capsules-r3", "capsules-r4"}))
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		for _, r := range h.Tracker.Requests() {
			Expect(r.Variables["filters"]).NotTo(Equal("{}"), "the whole project was read")
		}
	})

	It("looks for other runs as soon as a person asks for others", func() {
		h.AddRun("a", "one")
		project := h.NewProject(imports(v1alpha1.ImportNone))
		apply(project)
		Expect(tracked()).To(BeEmpty())
		editProject(project, imports(v1alpha1.ImportNone, withTags("one")))
		Expect(tracked()).To(Equal([]string{"capsules-a"}))
		editProject(project, imports(v1alpha1.ImportNone, withTags("two")))
		Expect(tracked()).To(BeEmpty())
	})

	It("imports nothing from a tracker that denies access, and takes nothing away", func() {
		h.AddRun("a")
		project := h.NewProject(imports(v1alpha1.ImportAll))
		apply(project)
		Expect(tracked()).To(Equal([]string{"capsules-a"}))
		h.Tracker.DeleteProject(h.Tracker.Entity, controllerstest.ProjectName)
		h.Step(fullPeriod)
		h.ExpectStalled(project, v1alpha1.ReasonAccessDenied)
		Expect(tracked()).To(Equal([]string{"capsules-a"}))
	})
})

// wandbRun is a run of a project on the tracker that has ended.
func wandbRun(project, id string) wandbtest.Run {
	return wandbtest.Run{Project: project, ID: id, State: "finished"}
}
