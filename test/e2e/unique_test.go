package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
)

const inProduction = "in_production"

// A tag that one run of a project carries at most, moved as people move it.
var _ = Describe("A unique tag", func() {
	for _, t := range trackers {
		Context("on "+t.name(), func() {
			uniqueSpecs(t)
		})
	}
})

func uniqueSpecs(t tracker) {
	It("moves in one commit from run to run, and stays on one whoever tags others", func(ctx SpecContext) {
		startManager(ctx)
		s := newScene(ctx, t, uniquely)
		a, b, other := s.train(ctx, "foreign"), s.train(ctx), s.train(ctx)
		s.commit(ctx, a, b)
		s.expectTagsOnTracker(ctx, a, "foreign", inProduction)
		s.expectHolder(ctx, a)

		counted := s.countCarriers(ctx)
		s.commit(ctx, b, a)
		s.expectHolder(ctx, b)
		s.expectTagsOnTracker(ctx, b, inProduction)
		s.expectTagsOnTracker(ctx, a, "foreign")
		Expect(counted()).To(HaveExactElements(1, 2), "carriers before it is put on, and before it is taken off")

		By("somebody tagging a third run on the tracker's page")
		t.add(ctx, other, inProduction)
		s.expectTagsOnTracker(ctx, other)
		s.expectTagsOnTracker(ctx, b, inProduction)
	})

	It("stays where it is while two declare it, and moves when one is left", func(ctx SpecContext) {
		startManager(ctx)
		s := newScene(ctx, t, uniquely)
		a, b := s.train(ctx), s.train(ctx)
		s.commit(ctx, a, b)
		s.expectHolder(ctx, a)

		mark := t.traffic().mark()
		s.redeclare(ctx, objectName(s.project, b.id), inProduction)
		for _, run := range []runRef{a, b} {
			Expect(s.expectNotReady(ctx, objectName(s.project, run.id), v1alpha1.ReasonTagConflict)).To(ContainSubstring(inProduction))
		}
		s.expectLooks(ctx, 2)
		s.expectNothingWritten(mark)
		s.expectTagsOnTracker(ctx, a, inProduction)

		s.redeclare(ctx, objectName(s.project, a.id))
		s.expectTagsOnTracker(ctx, b, inProduction)
		s.expectTagsOnTracker(ctx, a)
		s.expectHolder(ctx, b)
	})

	It("moves though the manager is killed when it is on the new run and not yet off the old", func(ctx SpecContext) {
		first := startManager(ctx)
		s := newScene(ctx, t, uniquely)
		a, b := s.train(ctx), s.train(ctx)
		s.commit(ctx, a, b)
		s.expectHolder(ctx, a)

		counted := s.countCarriers(ctx)
		var once sync.Once
		stop := t.traffic().watch(func(r request) {
			if r.kind != write && slices.Contains(s.tracker.tags(ctx, b), inProduction) {
				once.Do(first.kill)
			}
		})
		s.commit(ctx, b, a)
		Eventually(first.ended).Should(BeClosed(), s.explain(ctx))
		stop()
		Expect(s.carriers(ctx)).To(ConsistOf(a.id, b.id))

		startManager(ctx)
		s.expectTagsOnTracker(ctx, a)
		s.expectTagsOnTracker(ctx, b, inProduction)
		s.expectHolder(ctx, b)
		Expect(counted()).To(HaveExactElements(1, 2), "carriers before it is put on, and before it is taken off")
	})
}

func uniquely(p *v1alpha1.TrackingProject) { p.Spec.UniqueTags = []string{inProduction} }

// commit is one change of a repository of which two manifests are applied: one run declares the tag, and the other does not.
func (s *scene) commit(ctx context.Context, with, without runRef) {
	GinkgoHelper()
	manifest := func(run runRef, tags string) string {
		return fmt.Sprintf(`---
apiVersion: tracking.runtag.dev/v1alpha1
kind: TrainingRun
metadata: {name: %s}
spec: {projectRef: {name: %s}, runID: %s, tags: [%s]}
`, objectName(s.project, run.id), s.project, run.id, tags)
	}
	manifests := []string{manifest(with, inProduction), manifest(without, "")}
	slices.Sort(manifests) // by name, as they are in a folder
	out, err := tryKubectl(ctx, strings.Join(manifests, ""), "--namespace", s.namespace, "apply", "-f", "-")
	Expect(err).NotTo(HaveOccurred(), out)
}

// expectHolder waits until the project says that the tag is on a run, and no other TrainingRun complains.
func (s *scene) expectHolder(ctx context.Context, run runRef) {
	GinkgoHelper()
	Eventually(func() []v1alpha1.UniqueTagStatus { return s.getProject(ctx).Status.UniqueTags }).Should(ConsistOf(
		And(HaveField("Name", inProduction), HaveField("Holder", run.id), HaveField("Wanted", ""), HaveField("Blocked", "")),
	), s.explain(ctx))
	for _, tracked := range s.runs(ctx) {
		s.expectReady(ctx, tracked.Name)
	}
}

// carriers are the ids of the runs that have the tag.
func (s *scene) carriers(ctx context.Context) (ids []string) {
	for id, tags := range s.tracker.tagsOfAll(ctx, s.project) {
		if slices.Contains(tags, inProduction) {
			ids = append(ids, id)
		}
	}
	return ids
}

// countCarriers counts, before each write from now on, how many runs have the tag.
func (s *scene) countCarriers(ctx context.Context) (counted func() []int) {
	var mu sync.Mutex
	var counts []int
	stop := s.tracker.traffic().watch(func(r request) {
		if r.kind == write {
			mu.Lock()
			defer mu.Unlock()
			counts = append(counts, len(s.carriers(ctx)))
		}
	})
	return func() []int {
		stop()
		mu.Lock()
		defer mu.Unlock()
		return counts
	}
}
