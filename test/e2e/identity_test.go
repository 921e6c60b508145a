package e2e_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
)

// named is a TrainingRun for whichever run has a display name.
func (s *scene) named(displayName string, tags ...string) *v1alpha1.TrainingRun {
	return &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: objectName(s.project, displayName)},
		Spec: v1alpha1.TrainingRunSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: s.project}, RunName: displayName, Tags: tags,
		},
	}
}

// expectFound waits until status says which run it is.
func (s *scene) expectFound(ctx context.Context, name, id string) {
	GinkgoHelper()
	Eventually(func() *v1alpha1.RunStatus { return s.get(ctx, name).Status.Run }).
		Should(HaveValue(HaveField("ID", id)), s.explain(ctx))
}

// identitySpecs are about which run it is, and whether it is there.
func identitySpecs(t tracker) {
	It("finds a run by its name, waits while there is none, and keeps the one it found", func(ctx SpecContext) {
		s := newScene(ctx, t)
		name := s.create(ctx, s.named("nightly", "ours"))
		Expect(s.expectWaiting(ctx, name, v1alpha1.ReasonRunNotFound)).To(ContainSubstring(`no run named "nightly"`))

		first := runRef{s.project, t.train(ctx, s.project, "nightly", "foreign")}
		s.expectTagsOnTracker(ctx, first, "foreign", "ours")
		s.expectReady(ctx, name)
		s.expectFound(ctx, name, first.id)

		second := runRef{s.project, t.train(ctx, s.project, "nightly")}
		s.expectLooks(ctx, 2)
		s.redeclare(ctx, name, "changed")
		s.expectTagsOnTracker(ctx, first, "changed", "foreign")
		s.expectTagsOnTracker(ctx, second)
		s.expectReady(ctx, name)

		t.finish(ctx, first)
		t.delete(ctx, first)
		s.expectTagsOnTracker(ctx, second, "changed")
		s.expectFound(ctx, name, second.id)
	})

	It("chooses none of two runs with its name", func(ctx SpecContext) {
		s := newScene(ctx, t)
		first := runRef{s.project, t.train(ctx, s.project, "twice")}
		second := runRef{s.project, t.train(ctx, s.project, "twice")}
		mark := t.traffic().mark()
		name := s.create(ctx, s.named("twice", "ours"))
		Expect(s.expectStalled(ctx, name, v1alpha1.ReasonAmbiguousRun)).To(And(ContainSubstring(first.id), ContainSubstring(second.id)))
		s.expectNothingWritten(mark)

		t.finish(ctx, first)
		t.delete(ctx, first)
		s.expectTagsOnTracker(ctx, second, "ours")
		s.expectReady(ctx, name)
	})

	It("lets only one TrainingRun stand for a run", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx)
		one, other := s.run(run.id, "tag-one"), s.run(run.id, "tag-other")
		other.Name += "-twin"
		s.create(ctx, one)
		s.create(ctx, other)
		// The older one does, and where they are of the same second, the one with the smaller UID.
		stands, yields := one, other
		if other.CreationTimestamp.Equal(&one.CreationTimestamp) && other.UID < one.UID {
			stands, yields = other, one
		}
		Expect(s.expectStalled(ctx, yields.Name, v1alpha1.ReasonDuplicateRun)).To(ContainSubstring(stands.Name))
		s.expectReady(ctx, stands.Name)

		s.deleteObject(ctx, stands.Name)
		s.expectReady(ctx, yields.Name)
		Expect(t.tags(ctx, run)).To(ContainElements(yields.Spec.Tags))
	})
}

// wandbIdentitySpecs are about ids that are chosen before there is a run.
func wandbIdentitySpecs(t *wandb) {
	It("waits for a run that does not exist yet", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := runRef{s.project, "chosen"}
		name := s.declare(ctx, run, "ours")
		Expect(s.expectWaiting(ctx, name, v1alpha1.ReasonRunNotFound)).To(ContainSubstring("no run chosen"))

		t.trainAs(ctx, run, "script")
		s.expectTagsOnTracker(ctx, run, "ours", "script")
		s.expectReady(ctx, name)
	})

	It("owns nothing on a run that was deleted and made again under its id", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := runRef{s.project, "again"}
		t.trainAs(ctx, run)
		name := s.declare(ctx, run, "ours", "scripts-too")
		s.expectTagsOnTracker(ctx, run, "ours", "scripts-too")
		s.expectReady(ctx, name)
		before := s.get(ctx, name).Status.Run.UID

		t.finish(ctx, run)
		t.delete(ctx, run)
		Expect(s.expectWaiting(ctx, name, v1alpha1.ReasonRunDeleted)).To(ContainSubstring("run again was deleted"))
		s.redeclare(ctx, name, "ours")
		t.trainAs(ctx, run, "scripts-too")

		s.expectTagsOnTracker(ctx, run, "ours", "scripts-too")
		s.expectReady(ctx, name)
		s.expectApplied(ctx, name, "ours")
		Expect(s.get(ctx, name).Status.Run.UID).NotTo(Equal(before))
	})
}

// mlflowIdentitySpecs are about runs in the trash, whose ids MLflow knows.
func mlflowIdentitySpecs(t *mlflow) {
	It("takes a run in the trash for absent, and goes on when it is restored", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		t.delete(ctx, run)
		name := s.declare(ctx, run, "ours")
		Expect(s.expectWaiting(ctx, name, v1alpha1.ReasonRunNotFound)).To(ContainSubstring("no run " + run.id))
		t.restore(ctx, run)
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")
		s.expectReady(ctx, name)

		t.delete(ctx, run)
		s.expectWaiting(ctx, name, v1alpha1.ReasonRunDeleted)
		s.redeclare(ctx, name, "later")
		t.restore(ctx, run)
		s.expectTagsOnTracker(ctx, run, "foreign", "later")
		s.expectReady(ctx, name)
	})
}
