package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// Bulk changes of runs that no TrainingRun was ever made for.
var _ = Describe("A bulk change", func() {
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		renameSpecs(onWandb, latency)
	}
	resumedChangeSpecs(onWandb)
	mlflowRenameSpecs(onMLflow)
})

const (
	// oldRuns is how many finished runs a person's clean-up is about.
	oldRuns = 5000
	// batches is how many it takes to write to all of them.
	batches = (oldRuns + 99) / 100
)

// renameSpecs are about a rename that nothing disturbs, and what it costs.
func renameSpecs(t *wandb, latency time.Duration) {
	It(fmt.Sprintf("renames a tag of %d old runs in few requests, each taking %s", oldRuns, latency), func(ctx SpecContext) {
		startManager(ctx)
		s := newScene(ctx, t, notImporting)
		ids := t.manyFinished(s.project, oldRuns, "debug", "other")
		s.expectProject(ctx, metav1.ConditionTrue, v1alpha1.ReasonLooking)
		t.server.SetFaults(wandbtest.Faults{Faults: []wandbtest.Fault{{UserAgent: "runtag", Latency: wandbtest.Duration{Duration: latency}}}})
		DeferCleanup(func() { t.server.SetFaults(wandbtest.Faults{}) })

		mark, began := t.traffic().mark(), time.Now()
		name := s.changes(ctx, renaming("debug", "wip"))
		s.expectChanged(ctx, name, oldRuns)
		took := time.Since(began)
		s.expectAll(ctx, ids, "other", "wip")
		s.expectRequests(mark, took, 2*batches)
		Expect(s.runs(ctx)).To(BeEmpty())
	})
}

// resumedChangeSpecs are about a rename whose manager is killed, and what takes it back.
func resumedChangeSpecs(t *wandb) {
	It(fmt.Sprintf("goes on where it was killed in the middle of %d old runs, and is undone where nobody changed anything since", oldRuns), func(ctx SpecContext) {
		first := startManager(ctx)
		s := newScene(ctx, t, notImporting)
		ids := t.manyFinished(s.project, oldRuns, "debug", "other")
		mark := t.traffic().mark()
		var writes atomic.Int32
		stop := t.traffic().watch(func(r request) {
			if r.kind == write && writes.Add(1) == batches/2 {
				first.kill()
			}
		})
		name := s.changes(ctx, renaming("debug", "wip"))
		Eventually(first.ended).Should(BeClosed(), s.explain(ctx))
		stop()
		done := s.countOn(ctx, ids, "other", "wip")
		Expect(done).To(And(BeNumerically(">", 0), BeNumerically("<", oldRuns)), "runs that were done when it was killed")

		began := time.Now()
		startManager(ctx)
		s.expectChanged(ctx, name, oldRuns)
		took := time.Since(began)
		s.expectAll(ctx, ids, "other", "wip")
		// What was written down before the end is read once more, as nobody knows what of it was done; nothing is written twice
		// but perhaps the batch that was in hand.
		s.expectRequests(mark, took, 2*(batches+1)+batches/2)
		Expect(len(t.traffic().since(mark, write))).To(BeNumerically("<=", batches+1), "writes")
		Expect(s.tagChange(ctx, name).Status.Skipped).To(BeEmpty())

		By("undoing it when somebody has changed 10 of them by hand")
		for _, id := range ids[:5] {
			Expect(t.server.EditTags(t.path(runRef{s.project, id}), []string{"final"}, []string{"wip"})).To(Succeed())
		}
		for _, id := range ids[5:10] {
			Expect(t.server.EditTags(t.path(runRef{s.project, id}), []string{"debug", "checked"}, []string{"wip"})).To(Succeed())
		}
		mark, began = t.traffic().mark(), time.Now()
		undo := s.changes(ctx, func(spec *v1alpha1.TagChangeSpec) {
			spec.Select, spec.UndoOf = nil, &v1alpha1.TagChangeReference{Name: name}
		})
		s.expectChange(ctx, undo, metav1.ConditionTrue, v1alpha1.ReasonChanged)
		s.expectRequests(mark, time.Since(began), 2*(batches+1))
		s.expectAll(ctx, ids[:5], "debug", "final", "other")
		s.expectAll(ctx, ids[5:10], "checked", "debug", "other")
		s.expectAll(ctx, ids[10:], "debug", "other")
	})
}

// mlflowRenameSpecs are about the same on a server that takes one tag of one run at a time.
func mlflowRenameSpecs(t *mlflow) {
	It("renames a tag of 300 old runs with two writes a run at most, and keeps its values", func(ctx SpecContext) {
		const many = 300
		startManager(ctx)
		s := newScene(ctx, t, notImporting)
		ids := t.many(ctx, s.project, many-1, "stage=debug", "other")
		kept := t.train(ctx, s.project, "renamed by hand", "stage=debug", "phase=final")
		s.expectProject(ctx, metav1.ConditionTrue, v1alpha1.ReasonLooking)

		mark, began := t.traffic().mark(), time.Now()
		name := s.changes(ctx, func(spec *v1alpha1.TagChangeSpec) {
			spec.Select.Tags = []string{"stage"}
			spec.Rename = []v1alpha1.TagRename{{From: "stage", To: "phase"}}
		})
		s.expectChanged(ctx, name, many)
		took := time.Since(began)
		s.expectAll(ctx, ids, "other", "phase=debug")
		s.expectTagsOnTracker(ctx, runRef{s.project, kept}, "phase=final")
		writes := len(t.traffic().since(mark, write))
		AddReportEntry("requests", fmt.Sprintf("%d runs on %s: %d writes, %d searches and reads, %s", many, t.name(), writes,
			len(t.traffic().since(mark, look, read)), took.Round(10*time.Millisecond)))
		Expect(writes).To(BeNumerically("<=", 2*many))
	})
}

func notImporting(p *v1alpha1.TrackingProject) {
	p.Spec.Import.Policy = v1alpha1.ImportNone
	p.Spec.FullInterval.Duration = time.Hour
}

func renaming(from, to string) func(*v1alpha1.TagChangeSpec) {
	return func(spec *v1alpha1.TagChangeSpec) {
		spec.Select.Tags, spec.Rename = []string{from}, []v1alpha1.TagRename{{From: from, To: to}}
	}
}

// changes makes a TagChange of the scene's project and gives its name.
func (s *scene) changes(ctx context.Context, edit func(*v1alpha1.TagChangeSpec)) string {
	GinkgoHelper()
	change := &v1alpha1.TagChange{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, GenerateName: s.project + "-"},
		Spec: v1alpha1.TagChangeSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: s.project}, Select: &v1alpha1.RunSelection{}, Apply: true, MaxRuns: oldRuns,
		},
	}
	edit(&change.Spec)
	Expect(suite.client.Create(ctx, change)).To(Succeed())
	return change.Name
}

func (s *scene) tagChange(ctx context.Context, name string) *v1alpha1.TagChange {
	GinkgoHelper()
	change := &v1alpha1.TagChange{}
	Expect(suite.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, change)).To(Succeed())
	return change
}

// expectChange waits until a TagChange says this of itself.
func (s *scene) expectChange(ctx context.Context, name string, status metav1.ConditionStatus, reason string) (message string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		change := s.tagChange(ctx, name)
		message = expectIn(g, change.Status.Conditions, change.Generation, v1alpha1.ConditionReady, status, reason)
	}).WithPolling(pollMany).Should(Succeed(), func() string { return asYAML(s.tagChange(ctx, name)) + s.state(ctx) })
	return message
}

// expectChanged waits until a TagChange has changed so many runs.
func (s *scene) expectChanged(ctx context.Context, name string, many int) {
	GinkgoHelper()
	s.expectChange(ctx, name, metav1.ConditionTrue, v1alpha1.ReasonChanged)
	Expect(s.tagChange(ctx, name).Status).To(And(
		HaveField("Changed", HaveValue(BeEquivalentTo(many))), HaveField("Progress", fmt.Sprintf("%d/%d", many, many)),
		HaveField("FinishedAt", Not(BeNil())),
	), func() string { return asYAML(s.tagChange(ctx, name)) })
}

// expectRequests expects at most so many requests on the way to a write, and reports them.
func (s *scene) expectRequests(mark int, took time.Duration, most int) {
	GinkgoHelper()
	sent := s.tracker.traffic()
	reads, writes, lists := len(sent.since(mark, read)), len(sent.since(mark, write)), len(sent.since(mark, choose))
	AddReportEntry("requests", fmt.Sprintf("%d reads and %d writes of runs, %d pages of the list, %s", reads, writes, lists, took.Round(10*time.Millisecond)))
	Expect(writes).To(BeNumerically(">", 0))
	Expect(reads+writes).To(BeNumerically("<=", most), "requests on the way to a write")
}

// manyFinished makes runs that have ended and that nobody has looked at since.
func (t *wandb) manyFinished(project string, n int, tags ...string) []string {
	GinkgoHelper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("old%05d", i)
		_, err := t.server.AddRun(wandbtest.Run{Entity: entity, Project: project, ID: ids[i], State: "finished", Tags: slices.Clone(tags)})
		Expect(err).NotTo(HaveOccurred())
	}
	return ids
}
