package e2e_test

import (
	"context"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
)

// trainingSpecs are about scripts that tag their own run while it trains.
func trainingSpecs(t tracker) {
	It("lives together with the tag that a script sets at a threshold", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "script")
		name := s.declare(ctx, run, "ours")
		s.expectTagsOnTracker(ctx, run, "ours", "script")
		s.expectReady(ctx, name)

		t.scriptAdds(ctx, run, "release_candidate")
		s.expectStatusTags(ctx, name, "ours", "release_candidate (Run)", "script (Run)")
		s.expectTagsOnTracker(ctx, run, "ours", "release_candidate", "script")

		s.redeclare(ctx, name, "theirs-now")
		s.expectTagsOnTracker(ctx, run, "release_candidate", "script", "theirs-now")
		t.finish(ctx, run)
		Eventually(func() string { return s.get(ctx, name).Status.Run.State }).Should(Equal("finished"), s.explain(ctx))
		s.expectTagsOnTracker(ctx, run, "release_candidate", "script", "theirs-now")
	})
}

// holdLooksAfterWipe says when the SDK of a script sends the whole list of its run, and from then on holds up all looks
// of the manager but the one that may be under way and the next, until release.
func (t *wandb) holdLooksAfterWipe(ctx context.Context) (wiped <-chan struct{}, release func()) {
	happened := make(chan struct{})
	var looks hold
	var once sync.Once
	stop := t.scripts.watch(func(request) {
		once.Do(func() {
			looks = t.sent.holdUp(ctx, look, 2)
			close(happened)
		})
	})
	return happened, func() {
		stop()
		<-happened
		looks.release()
	}
}

// sdkSpecs are about the SDK of W&B, which sends all tags that it knows of whenever a script adds one.
func sdkSpecs(t *wandb) {
	It("loses nothing to the SDK's list for longer than one look, until that is contested", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "script")
		name := s.declare(ctx, run, "ours")
		s.expectTagsOnTracker(ctx, run, "ours", "script")
		s.expectReady(ctx, name)

		on := []string{"ours", "script"}
		for _, added := range []string{"first", "second"} {
			wiped, release := t.holdLooksAfterWipe(ctx)
			t.scriptAdds(ctx, run, added)
			Eventually(wiped).Should(BeClosed(), s.explain(ctx))
			on = append(on, added)
			s.expectTagsOnTracker(ctx, run, on...)
			release()
			s.expectReady(ctx, name)
			s.expectNever(ctx, name, v1alpha1.ReasonContested)
		}

		t.scriptAdds(ctx, run, "third")
		Expect(s.expectWaiting(ctx, name, v1alpha1.ReasonContested)).To(ContainSubstring(`"ours"`))
		s.expectTagsOnTracker(ctx, run, append(on, "third")...) // some seconds later
		s.expectReady(ctx, name)
	})

	It("does not let the SDK's list bring back what was taken off", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "script", "retired")
		name := s.declare(ctx, run, "ours", "retired")
		s.expectTagsOnTracker(ctx, run, "ours", "retired", "script")
		s.expectReady(ctx, name)
		s.redeclare(ctx, name, "ours")
		s.expectTagsOnTracker(ctx, run, "ours", "script")
		s.expectReady(ctx, name)

		t.scriptAdds(ctx, run, "late")
		Eventually(func() []v1alpha1.RemovedTag { return s.get(ctx, name).Status.RemovedTags }).
			Should(ContainElement(And(HaveField("Name", "retired"), HaveField("Back", BeNumerically("==", 1)))), s.explain(ctx))
		s.expectTagsOnTracker(ctx, run, "late", "ours", "script")
	})

	It("puts back what a resumed script replaces, and counts its attempts", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "script")
		name := s.declare(ctx, run, "ours")
		s.expectTagsOnTracker(ctx, run, "ours", "script")
		t.finish(ctx, run)
		Eventually(func() string { return s.get(ctx, name).Status.Run.State }).Should(Equal("finished"), s.explain(ctx))

		t.resume(ctx, run, "second-attempt")
		s.expectTagsOnTracker(ctx, run, "ours", "second-attempt")
		s.expectReady(ctx, name)
		Eventually(func() *v1alpha1.RunStatus { return s.get(ctx, name).Status.Run }).Should(
			HaveValue(And(HaveField("State", "running"), HaveField("Attempts", BeNumerically("==", 2)))), s.explain(ctx))
	})

	It("shows what somebody appends with the public API, and mends what that overwrites", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx)
		name := s.declare(ctx, run, "ours")
		s.expectReady(ctx, name)
		t.apiAppends(ctx, run, "reviewed")
		s.expectStatusTags(ctx, name, "ours", "reviewed (Run)")
		s.expectTagsOnTracker(ctx, run, "ours", "reviewed")
	})
}
