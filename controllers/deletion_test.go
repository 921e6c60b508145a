package controllers_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

var _ = Describe("Deleting a TrainingRun", func() {
	var project *v1alpha1.TrackingProject
	var run *v1alpha1.TrainingRun

	prepare := func(ctx SpecContext, policy v1alpha1.DeletionPolicy, edits ...func(*v1alpha1.TrainingRun)) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "foreign", "shared")
		project, run = h.NewProject(), h.NewRun("a", "baseline", "shared")
		run.Spec.DeletionPolicy = policy
		for _, edit := range edits {
			edit(run)
		}
		apply(project, run)
		h.ExpectTagsOn("a", "foreign", "shared", "baseline")
	}
	secret := func() *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "wandb"}}
	}

	It("leaves the tags under Retain", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRetain)
		Expect(run.Finalizers).To(BeEmpty())
		h.ExpectDeleted(run)
		h.ExpectGone(run)
		h.Settle()
		h.ExpectTagsOn("a", "foreign", "shared", "baseline")
	})

	It("takes off what it declared, and only that, under RemoveTags", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		h.Refresh(run)
		Expect(run.Finalizers).To(ConsistOf(v1alpha1.Finalizer))
		h.ExpectDeleted(run)
		h.Settle()
		h.ExpectGone(run)
		h.ExpectTagsOn("a", "foreign")
		h.ExpectEvent(run, "Normal", "TagsRemoved", `took "baseline", "shared" off run a`)
		h.Step(2 * period)
		h.ExpectNoWrites(func() { h.Step(3 * period) })
	})

	It("leaves foreign tags on also under Exclusive", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a")
		project, run = h.NewProject(ceiling(v1alpha1.TagPolicyExclusive)), h.NewRun("a", "baseline")
		run.Spec.DeletionPolicy, run.Spec.TagPolicy = v1alpha1.DeletionPolicyRemoveTags, v1alpha1.TagPolicyExclusive
		apply(project, run)
		h.EditTags("a", []string{"foreign"}, nil) // not seen yet
		h.ExpectDeleted(run)
		h.Settle()
		h.ExpectGone(run)
		h.ExpectTagsOn("a", "foreign")
	})

	It("takes or gives up the finalizer as the policy changes", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRetain)
		edit(run, func(r *v1alpha1.TrainingRun) { r.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags })
		h.Refresh(run)
		Expect(run.Finalizers).To(ConsistOf(v1alpha1.Finalizer))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		edit(run, func(r *v1alpha1.TrainingRun) { r.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		h.Refresh(run)
		Expect(run.Finalizers).To(BeEmpty())
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("leaves the finalizers of others alone", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags, func(r *v1alpha1.TrainingRun) { r.Finalizers = []string{"example.com/other"} })
		h.ExpectDeleted(run)
		h.Settle()
		h.Refresh(run)
		Expect(run.Finalizers).To(ConsistOf("example.com/other"))
		h.ExpectTagsOn("a", "foreign")
	})

	It("takes tags off also when project and Secret go in the same sweep", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		h.ExpectDeleted(project, run)
		Expect(h.Admin.Delete(ctx, secret())).To(Succeed())
		h.Settle()
		h.ExpectGone(run)
		h.ExpectTagsOn("a", "foreign")
	})

	It("takes tags off a while after the project is gone", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		h.ExpectDeleted(project)
		h.Settle()
		h.Step(4 * time.Minute)
		h.ExpectDeleted(run)
		h.Settle()
		h.ExpectGone(run)
		h.ExpectTagsOn("a", "foreign")
	})

	It("lets go with a warning when the project was gone before the operator started", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		h.ExpectDeleted(project, run)
		h.Restart()
		h.Settle()
		h.ExpectGone(run)
		h.ExpectEvent(run, "Warning", "TagsLeft", "its TrackingProject capsules is gone")
		h.ExpectTagsOn("a", "foreign", "shared", "baseline")
	})

	It("takes tags off with the last good connection while the Secret is gone", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		Expect(h.Admin.Delete(ctx, secret())).To(Succeed())
		h.Step(2 * time.Minute)
		h.ExpectStalled(project, v1alpha1.ReasonSecretNotReady)
		h.ExpectDeleted(run)
		h.Settle()
		h.ExpectGone(run)
		h.ExpectTagsOn("a", "foreign")
	})

	It("tries for five minutes while the tracker is down, and takes tags off when it is back", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		h.Tracker.SetFaults(broken(wandbtest.Fault{Status: 500}))
		h.ExpectDeleted(run)
		h.Step(2 * time.Minute)
		h.Refresh(run)
		Expect(run.Finalizers).To(ConsistOf(v1alpha1.Finalizer))
		h.Tracker.SetFaults(wandbtest.Faults{})
		h.Step(150 * time.Second)
		h.ExpectGone(run)
		h.ExpectTagsOn("a", "foreign")
	})

	DescribeTable("lets go after five minutes with a warning",
		func(ctx SpecContext, obstacle func()) {
			prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
			obstacle()
			h.ExpectDeleted(run)
			h.Step(4 * time.Minute)
			h.Refresh(run)
			h.Step(2 * time.Minute)
			h.ExpectGone(run)
			h.ExpectEvent(run, "Warning", "TagsLeft", "deleted without taking 2 tags off run a")
			Expect(h.Log.Text()).To(ContainSubstring("deleted without taking 2 tags off run a"))
		},
		Entry("while the tracker is down", func() { h.Tracker.SetFaults(broken(wandbtest.Fault{Status: 500})) }),
		Entry("while the project is suspended", func() {
			editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.Suspend = true })
		}),
	)

	It("takes tags off also where the object was deleted long before the operator started", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		h.ExpectDeleted(run)
		h.Clock.Step(time.Hour)
		h.Restart()
		h.Settle()
		h.ExpectGone(run)
		h.ExpectTagsOn("a", "foreign")
	})

	It("lets go within half a minute in a namespace that terminates", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		h.Tracker.SetFaults(broken(wandbtest.Fault{Status: 500}))
		Expect(h.Admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Namespace}})).To(Succeed())
		h.ExpectDeleted(run)
		h.Step(40 * time.Second)
		h.ExpectGone(run)
		h.ExpectEvent(run, "Warning", "TagsLeft", "could not be reached in time")
	})

	It("lets go at once where the ceiling forbids removals, and says what stays", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		editProject(project, ceiling(v1alpha1.TagPolicyAdd))
		h.ExpectDeleted(run)
		h.Settle()
		h.ExpectGone(run)
		h.ExpectEvent(run, "Warning", "TagsLeft", `the policy does not allow to take "baseline", "shared" off`)
		h.ExpectTagsOn("a", "foreign", "shared", "baseline")
	})

	It("lets go of a run that is gone without a word", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		h.DeleteRuns("a")
		h.Step(fullPeriod + period)
		Expect(reasons(run)).To(Equal(v1alpha1.ReasonRunDeleted))
		h.ExpectDeleted(run)
		h.Settle()
		h.ExpectGone(run)
		Expect(h.CountEvents(run, "TagsLeft", nil)).To(BeZero())
	})

	It("lets go of a run that is missing with many others, with a warning", func(ctx SpecContext) {
		prepare(ctx, v1alpha1.DeletionPolicyRemoveTags)
		h.Step(period)
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.BaseURL = h.NewTracker().URL })
		h.Step(2 * period)
		h.ExpectStalled(project, v1alpha1.ReasonRunsMissing)
		h.ExpectDeleted(run)
		h.Settle()
		h.ExpectGone(run)
		h.ExpectEvent(run, "Warning", "TagsLeft", "the run is not found")
	})

	It("lets go at once where nothing was ever declared", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		run = h.NewRun("a")
		run.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags
		apply(run)
		h.Refresh(run)
		Expect(run.Finalizers).To(ConsistOf(v1alpha1.Finalizer))
		h.ExpectDeleted(run)
		h.Settle()
		h.ExpectGone(run)
	})
})
