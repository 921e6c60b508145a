package e2e_test

import (
	"context"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
)

// sevenWaysSpecs are the ways of W&B's own guide to run tags (https://docs.wandb.ai/guides/runs/tags), each with the real
// client on a project whose runs appear by themselves, and with kubectl.
func sevenWaysSpecs(t tracker) {
	Context("goes the seven ways of the tag page:", func() {
		It("tags at creation", func(ctx SpecContext) {
			s := newScene(ctx, t, importing(v1alpha1.ImportActive))
			run := s.train(ctx, "baseline", "capsules_v2")
			name := s.expectImported(ctx, run)
			s.expectBothSides(ctx, run, labels{"baseline": "run", "capsules_v2": "run"})
			Expect(s.selected(ctx, "tag.runtag.dev/baseline,tag.runtag.dev/capsules_v2")).To(ConsistOf(name))
			s.expectQuiet(ctx)
		})

		It("tag added during training when a metric passes a threshold", func(ctx SpecContext) {
			s := newScene(ctx, t, importing(v1alpha1.ImportActive))
			run := s.train(ctx, "baseline")
			s.expectImported(ctx, run)
			t.logLoss(ctx, run, 0.8)
			s.expectBothSides(ctx, run, labels{"baseline": "run"})

			t.logLoss(ctx, run, 0.04)
			s.expectBothSides(ctx, run, labels{"baseline": "run", "release_candidate": "run"})
			s.expectQuiet(ctx)
		})

		It("tag added afterwards with the public API", func(ctx SpecContext) {
			s := newScene(ctx, t, importing(v1alpha1.ImportAll))
			run := s.train(ctx, "baseline")
			t.finish(ctx, run)
			name := s.expectImported(ctx, run)
			Eventually(func() string { return s.get(ctx, name).Labels[mirror.State] }).Should(Equal("finished"), s.explain(ctx))

			t.apiAppends(ctx, run, "reviewed")
			s.expectBothSides(ctx, run, labels{"baseline": "run", "reviewed": "run"})
			s.expectQuiet(ctx)
		})

		It("one tag on many selected runs at once", func(ctx SpecContext) {
			s := newScene(ctx, t, importing(v1alpha1.ImportAll))
			many := s.importMany(ctx, "sweep")
			other := s.train(ctx, "baseline")
			s.expectImported(ctx, other)

			s.label(ctx, "-l", mirror.Project+"="+s.project+",tag.runtag.dev/sweep", "tag.runtag.dev/reviewed=")
			for _, run := range many {
				s.expectBothSides(ctx, run, labels{"sweep": "run", "reviewed": ""})
			}
			s.expectBothSides(ctx, other, labels{"baseline": "run"})
			s.expectQuiet(ctx)
		})

		It("one tag on one run", func(ctx SpecContext) {
			s := newScene(ctx, t, importing(v1alpha1.ImportActive))
			run, other := s.train(ctx, "baseline"), s.train(ctx, "baseline")
			name := s.expectImported(ctx, run)
			s.expectImported(ctx, other)

			s.label(ctx, name, "tag.runtag.dev/in_production=")
			s.expectBothSides(ctx, run, labels{"baseline": "run", "in_production": ""})
			s.expectBothSides(ctx, other, labels{"baseline": "run"})
			s.expectQuiet(ctx)
		})

		It("a tag taken off many", func(ctx SpecContext) {
			s := newScene(ctx, t, importing(v1alpha1.ImportAll))
			many := s.importMany(ctx, "debug", "sweep")

			s.label(ctx, "-l", mirror.Project+"="+s.project+",tag.runtag.dev/debug", "tag.runtag.dev/debug-")
			for _, run := range many {
				s.expectBothSides(ctx, run, labels{"sweep": "run"})
			}
			Expect(s.selected(ctx, "tag.runtag.dev/debug")).To(BeEmpty())
			s.expectQuiet(ctx)
		})

		It("a tag taken off one", func(ctx SpecContext) {
			s := newScene(ctx, t, importing(v1alpha1.ImportActive))
			run, other := s.train(ctx, "baseline", "debug"), s.train(ctx, "debug")
			name := s.expectImported(ctx, run)
			s.expectImported(ctx, other)

			s.label(ctx, name, "tag.runtag.dev/debug-")
			s.expectBothSides(ctx, run, labels{"baseline": "run"})
			s.expectBothSides(ctx, other, labels{"debug": "run"})
			s.expectQuiet(ctx)
		})
	})
}

// labels are those of tags, by the tag.
type labels map[string]string

// importing has the runs of a project appear by themselves, with looks at all of them that a spec can wait for.
func importing(policy v1alpha1.ImportPolicy) func(*v1alpha1.TrackingProject) {
	return func(p *v1alpha1.TrackingProject) {
		p.Spec.Import.Policy = policy
		p.Spec.FullInterval.Duration = 2 * time.Second
	}
}

// importMany makes some runs and waits for their TrainingRuns.
func (s *scene) importMany(ctx context.Context, tags ...string) []runRef {
	GinkgoHelper()
	var many []runRef
	for _, id := range s.tracker.many(ctx, s.project, 12, tags...) {
		many = append(many, runRef{s.project, id})
	}
	for _, run := range many {
		s.expectImported(ctx, run)
	}
	return many
}

// expectImported waits for the TrainingRun that the operator makes of a run, and for all that it has to say of it.
func (s *scene) expectImported(ctx context.Context, run runRef) (name string) {
	GinkgoHelper()
	name = objectName(s.project, run.id)
	Eventually(func() (bool, error) { return s.exists(ctx, name) }).Should(BeTrue(), s.explain(ctx))
	s.expectReady(ctx, name)
	Expect(s.get(ctx, name).Labels).To(HaveKeyWithValue(mirror.Imported, "true"))
	return name
}

// expectBothSides waits until exactly these tags are on the run, and are the labels of its imported TrainingRun with these
// values, and in its status with the source that they stand for.
func (s *scene) expectBothSides(ctx context.Context, run runRef, want labels) {
	GinkgoHelper()
	name := objectName(s.project, run.id)
	var onTracker, inStatus []string
	for tag, value := range want {
		onTracker = append(onTracker, tag)
		inStatus = append(inStatus, tag+map[string]string{"run": " (Run)", "": " (Label)"}[value])
	}
	s.expectTagsOnTracker(ctx, run, onTracker...)
	Eventually(func() labels { return labelsOf(s.get(ctx, name)) }).Should(Equal(want), s.explain(ctx))
	s.expectStatusTags(ctx, name, inStatus...)
	s.expectReady(ctx, name)
}

func labelsOf(run *v1alpha1.TrainingRun) labels {
	found := labels{}
	for key, value := range run.Labels {
		if tag, ok := strings.CutPrefix(key, mirror.TagPrefix); ok {
			found[tag] = value
		}
	}
	return found
}

// expectQuiet waits for looks at all runs, in which no TrainingRun and nothing on the tracker is written. The project is
// left out: on a busy machine it says that looks are slow.
func (s *scene) expectQuiet(ctx context.Context) {
	GinkgoHelper()
	versions := func() map[string]string {
		of := map[string]string{}
		for _, run := range s.runs(ctx) {
			of[run.Name] = run.ResourceVersion
		}
		return of
	}
	s.expectLooks(ctx, 2)
	before, mark := versions(), s.tracker.traffic().mark()
	Eventually(func() []request { return s.tracker.traffic().since(mark, check) }).Should(haveAtLeast(2), s.explain(ctx))
	Expect(versions()).To(Equal(before), s.explain(ctx))
	s.expectNothingWritten(mark)
}

// label is what a person types.
func (s *scene) label(ctx context.Context, args ...string) {
	GinkgoHelper()
	kubectl(ctx, append([]string{"--namespace", s.namespace, "label", "trun", "--overwrite"}, args...)...)
}

// selected gives the names of the scene's TrainingRuns that a selector finds.
func (s *scene) selected(ctx context.Context, selector string) []string {
	GinkgoHelper()
	return strings.Fields(kubectl(ctx, "--namespace", s.namespace, "get", "trun", "-l", mirror.Project+"="+s.project+","+selector,
		"-o", `jsonpath={range .items[*]}{.metadata.name}{"\n"}{end}`))
}
