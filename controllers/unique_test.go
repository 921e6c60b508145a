package controllers_test

import (
	"math/rand/v2"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

const inProduction = "in_production"

// carriersOf lists the runs that carry a tag on the tracker, of these.
func carriersOf(tag string, ids ...string) []string {
	GinkgoHelper()
	var carriers []string
	for _, id := range ids {
		run, ok := h.Tracker.Run(h.Tracker.Path(id))
		if !ok {
			continue
		}
		for _, t := range run.Tags {
			if t == tag {
				carriers = append(carriers, id)
			}
		}
	}
	return carriers
}

var _ = Describe("A unique tag", func() {
	var project *v1alpha1.TrackingProject
	var a, b *v1alpha1.TrainingRun
	// fewest and most are how many of the runs carried it at any write.
	var fewest, most int

	BeforeEach(func(ctx SpecContext) {
		fewest, most = 9, 0
		start(ctx, controllerstest.Options{OnWrite: func(run wandbtest.Run, list []string) {
			n := 0
			for _, id := range []string{"a", "b", "c"} {
				has := false
				if id == run.ID {
					for _, t := range list {
						has = has || t == inProduction
					}
				} else {
					has = len(carriersOf(inProduction, id)) > 0
				}
				if has {
					n++
				}
			}
			fewest, most = min(fewest, n), max(most, n)
		}})
		project = h.NewProject(func(p *v1alpha1.TrackingProject) {
			p.Spec.Import.Policy, p.Spec.UniqueTags = v1alpha1.ImportNone, []string{inProduction}
		})
		h.AddRun("a")
		h.AddRun("b")
		h.AddRun("c")
		a, b = h.NewRun("a", inProduction), h.NewRun("b")
		apply(project, a, b)
		h.ExpectTagsOn("a", inProduction)
		fewest, most = 9, 0
	})

	holder := func() string {
		GinkgoHelper()
		h.Refresh(project)
		Expect(project.Status.UniqueTags).To(HaveLen(1))
		return project.Status.UniqueTags[0].Holder
	}

	It("is on the run of its declarer, and the project says which that is", func() {
		Expect(holder()).To(Equal("a"))
		h.ExpectReady(a, v1alpha1.ReasonSynced)
		h.Step(fullPeriod)
		h.ExpectQuiet(fullPeriod)
	})

	DescribeTable("moves from one run to another, in one commit whose edits come in any order", func(first, second func(), between time.Duration) {
		first()
		h.Step(between)
		second()
		h.Step(2 * period)
		h.ExpectTagsOn("a")
		h.ExpectTagsOn("b", inProduction)
		Expect(holder()).To(Equal("b"))
		Expect(fewest).To(Equal(1), "no run had it at some moment")
		Expect(most).To(Equal(2))
		h.ExpectReady(a, v1alpha1.ReasonSynced)
		h.ExpectReady(b, v1alpha1.ReasonSynced)
	},
		Entry("taken off first", func() { edit(a, declare()) }, func() { edit(b, declare(inProduction)) }, time.Second),
		Entry("put on first", func() { edit(b, declare(inProduction)) }, func() { edit(a, declare()) }, 5*time.Second),
		Entry("the old TrainingRun is deleted", func() { h.ExpectDeleted(a); h.Settle(); a = h.NewRun("a"); apply(a) }, func() { edit(b, declare(inProduction)) }, time.Second),
	)

	It("stays where it is while two declare it, and both say so", func() {
		edit(b, declare(inProduction))
		h.Step(2 * period)
		h.ExpectTagsOn("a", inProduction)
		h.ExpectTagsOn("b")
		h.ExpectStalled(a, v1alpha1.ReasonTagConflict, "a, b")
		h.ExpectStalled(b, v1alpha1.ReasonTagConflict, "a, b")
		h.ExpectReady(project, v1alpha1.ReasonTagMoving, inProduction)
		edit(b, declare())
		h.Step(period)
		h.ExpectReady(a, v1alpha1.ReasonSynced)
		h.ExpectReady(b, v1alpha1.ReasonSynced)
		h.ExpectReady(project, v1alpha1.ReasonLooking)
	})

	It("goes a minute after nobody declares it any more", func() {
		edit(a, declare())
		h.Step(50 * time.Second)
		h.ExpectTagsOn("a", inProduction)
		h.Step(20 * time.Second)
		h.ExpectTagsOn("a")
		h.Step(period)
		h.Refresh(project)
		Expect(project.Status.UniqueTags[0]).To(And(HaveField("Holder", ""), HaveField("UndeclaredSince", BeNil())))
	})

	It("is kept by the old run while the new one is not there, and moves when it is", func() {
		d := h.NewRun("d", inProduction)
		apply(d)
		edit(a, declare())
		h.Step(3 * time.Minute)
		h.ExpectTagsOn("a", inProduction)
		h.ExpectReady(project, v1alpha1.ReasonTagMoving, "there is no run d")
		h.AddRun("d")
		h.Step(fullPeriod)
		h.ExpectTagsOn("a")
		h.ExpectTagsOn("d", inProduction)
	})

	It("is kept by the old run where a policy forbids to take it off, or to put it on", func() {
		edit(a, func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy, r.Spec.Tags = v1alpha1.TagPolicyAdd, nil })
		edit(b, declare(inProduction))
		h.Step(2 * period)
		h.ExpectTagsOn("a", inProduction)
		h.ExpectTagsOn("b")
		h.ExpectReady(project, v1alpha1.ReasonTagMoving, "policy Add")
		edit(a, func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = v1alpha1.TagPolicyMerge })
		h.Step(2 * period)
		h.ExpectTagsOn("b", inProduction)
		h.ExpectTagsOn("a")
		edit(a, declare(inProduction))
		edit(b, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = nil })
		edit(a, func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = v1alpha1.TagPolicyObserve })
	})

	It("is kept by the old run while the new one excludes it, or may add nothing, and moves when that is over", func() {
		edit(a, declare())
		edit(b, func(r *v1alpha1.TrainingRun) {
			r.Spec.Tags, r.Spec.ExcludeTags = []string{inProduction}, []string{inProduction}
		})
		h.Step(3 * time.Minute)
		h.ExpectTagsOn("a", inProduction)
		h.ExpectTagsOn("b")
		h.ExpectReady(project, v1alpha1.ReasonTagMoving, "excludeTags")
		edit(b, func(r *v1alpha1.TrainingRun) { r.Spec.ExcludeTags, r.Spec.TagPolicy = nil, v1alpha1.TagPolicyObserve })
		h.Step(3 * time.Minute)
		h.ExpectTagsOn("a", inProduction)
		h.ExpectTagsOn("b")
		h.ExpectReady(project, v1alpha1.ReasonTagMoving, "policy")
		edit(b, func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = v1alpha1.TagPolicyMerge })
		h.Step(2 * period)
		h.ExpectTagsOn("a")
		h.ExpectTagsOn("b", inProduction)
		Expect(fewest).To(Equal(1))
	})

	It("is kept by the old run while the tracker does not take it on any", func() {
		long := "a-tag-that-is-longer-than-the-sixty-four-characters-that-wandb-takes"
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.UniqueTags = []string{inProduction, long} })
		edit(b, declare(long))
		h.Step(2 * period)
		h.ExpectTagsOn("a", inProduction)
		h.ExpectReady(project, v1alpha1.ReasonTagMoving, "64")
	})

	It("is taken off a third run that somebody tags on the tracker's page", func() {
		h.EditTags("c", []string{inProduction}, nil)
		h.Step(period)
		h.ExpectTagsOn("c")
		h.ExpectTagsOn("a", inProduction)
	})

	It("is left alone on foreign runs before it was ever declared here", func() {
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.UniqueTags = []string{inProduction, "champion"} })
		h.EditTags("c", []string{"champion"}, nil)
		h.EditTags("b", []string{"champion"}, nil)
		h.Step(fullPeriod)
		h.ExpectTagsOn("b", "champion")
		h.ExpectTagsOn("c", "champion")
	})

	It("can't be set by a rule", func() {
		apply(h.NewRule("r", "true", inProduction, "other"))
		h.Step(period)
		h.ExpectTagsOn("b", "other")
		h.ExpectTagsOn("a", inProduction, "other")
	})

	It("moves when the operator is killed between the add and the removal", func() {
		h.ExpectEdited(a, declare())
		h.ExpectEdited(b, declare(inProduction))
		for range 30 {
			h.Reconcile()
			h.Send()
			if len(carriersOf(inProduction, "b")) > 0 {
				break
			}
		}
		h.Restart()
		h.Step(2 * period)
		h.ExpectTagsOn("a")
		h.ExpectTagsOn("b", inProduction)
		Expect(fewest).To(Equal(1))
	})

	It("moves though the tracker fails in between", func() {
		edit(a, declare())
		h.Tracker.SetFaults(wandbtest.Faults{Seed: 7, Faults: []wandbtest.Fault{{Status: 503, Rate: 0.5}}})
		h.ExpectEdited(b, declare(inProduction))
		h.Step(time.Minute)
		h.Tracker.SetFaults(wandbtest.Faults{})
		h.Step(fullPeriod)
		h.ExpectTagsOn("a")
		h.ExpectTagsOn("b", inProduction)
		Expect(fewest).To(Equal(1))
	})

	It("moves between TrainingRuns of two namespaces", func() {
		other := h.NewNamespace()
		there := h.NewProject(func(p *v1alpha1.TrackingProject) {
			p.Namespace, p.Spec.Import.Policy, p.Spec.UniqueTags = other, v1alpha1.ImportNone, []string{inProduction}
		})
		run := h.NewRun("c", inProduction)
		run.Namespace = other
		apply(there, run)
		h.Step(2 * period)
		h.ExpectStalled(run, v1alpha1.ReasonTagConflict, "1 in other namespaces")
		h.ExpectTagsOn("c")
		edit(a, declare())
		h.Step(2 * period)
		h.ExpectTagsOn("a")
		h.ExpectTagsOn("c", inProduction)
		Expect(fewest).To(Equal(1))
	})
})

var _ = Describe("Random moves of a unique tag", func() {
	It("leave some run with it at every moment, and just one in the end", func(ctx SpecContext) {
		random := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 0)) //nolint:gosec // a walk that can be repeated
		for walk := range 12 {
			ids := []string{"a", "b", "c"}
			established, none := false, false
			start(ctx, controllerstest.Options{MayLag: true, OnWrite: func(run wandbtest.Run, list []string) {
				carried := slices.Contains(list, inProduction)
				for _, id := range ids {
					carried = carried || id != run.ID && len(carriersOf(inProduction, id)) > 0
				}
				none = none || established && !carried
				established = established || carried
			}})
			project := h.NewProject(func(p *v1alpha1.TrackingProject) {
				p.Spec.Import.Policy, p.Spec.UniqueTags = v1alpha1.ImportNone, []string{inProduction}
			})
			runs := map[string]*v1alpha1.TrainingRun{}
			for _, id := range ids {
				h.AddRun(id)
				runs[id] = h.NewRun(id)
				h.ExpectApplied(runs[id])
			}
			h.ExpectApplied(project)
			edit(runs["a"], declare(inProduction))
			var steps []string
			for range 14 {
				id := ids[random.IntN(len(ids))]
				step := []string{"declare", "undeclare", "page", "restart", "fail", "heal", "send", "wait"}[random.IntN(8)]
				steps = append(steps, step+" "+id)
				switch step {
				case "declare":
					h.ExpectEdited(runs[id], declare(inProduction))
				case "undeclare":
					if others := slices.ContainsFunc(ids, func(o string) bool { return o != id && len(runs[o].Spec.Tags) > 0 }); others {
						h.ExpectEdited(runs[id], declare()) // somebody goes on to declare it
					}
				case "page":
					h.EditTags(id, []string{inProduction}, nil)
				case "restart":
					h.Restart()
				case "fail":
					h.Tracker.SetFaults(wandbtest.Faults{Seed: random.Uint64(), Faults: []wandbtest.Fault{{Status: 503, Rate: 0.4}}})
				case "heal":
					h.Tracker.SetFaults(wandbtest.Faults{})
				case "send":
					h.Reconcile()
					h.Send()
				case "wait":
					h.Step(period)
				}
				for _, id := range ids {
					h.Refresh(runs[id])
				}
				Expect(none).To(BeFalse(), "walk %d: no run had the tag after %v", walk, steps)
			}
			h.Tracker.SetFaults(wandbtest.Faults{})
			only := ids[random.IntN(len(ids))]
			h.ExpectEdited(runs[only], declare(inProduction))
			for _, id := range ids {
				if id != only {
					h.ExpectEdited(runs[id], declare())
				}
			}
			h.Step(2 * fullPeriod)
			Expect(none).To(BeFalse(), "walk %d: no run had the tag after %v", walk, steps)
			Expect(carriersOf(inProduction, ids...)).To(Equal([]string{only}), "walk %d: %v", walk, steps)
		}
	})
})
