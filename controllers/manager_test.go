package controllers_test

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/metrics"
	"github.com/runtag/runtag/internal/tags"
)

// The other specs make passes by hand. This one shows that a manager makes them: that watches, predicates and triggers
// lead to each kind of pass.
var _ = Describe("Under a manager", func() {
	It("every kind of change leads to a pass", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		startManager()
		project, run := h.NewProject(), h.NewRun("a", "baseline")
		create := func(obj client.Object) {
			GinkgoHelper()
			Expect(h.Admin.Create(ctx, obj)).To(Succeed())
		}
		patch := func(obj client.Object, change func()) {
			GinkgoHelper()
			h.Refresh(obj)
			before, _ := obj.DeepCopyObject().(client.Object)
			change()
			Expect(h.Admin.Patch(ctx, obj, client.MergeFrom(before))).To(Succeed())
		}
		tagsOn := func() []string {
			found, _ := h.Tracker.Run(h.Tracker.Path("a"))
			return found.Tags
		}
		reason := func(run *v1alpha1.TrainingRun) func() string {
			return func() string { return reasons(run) }
		}

		By("creating them, the project last")
		h.AddRun("a")
		create(run)
		Eventually(reason(run)).Should(Equal(v1alpha1.ReasonProjectNotReady))
		create(project)
		Eventually(tagsOn).Should(ConsistOf("baseline"))
		Eventually(reason(run)).Should(Equal(v1alpha1.ReasonSynced))

		By("editing the spec")
		patch(run, func() { run.Spec.Tags = []string{"baseline", "edited"} })
		Eventually(tagsOn).Should(ConsistOf("baseline", "edited"))

		By("asking for a look at the run, which has ended")
		h.EditTags("a", nil, []string{"baseline"})
		patch(run, func() { run.Annotations = map[string]string{v1alpha1.AnnotationLookAt: "1"} })
		Eventually(tagsOn).Should(ConsistOf("baseline", "edited"))

		By("asking for a look at the project")
		h.EditTags("a", nil, []string{"edited"})
		patch(project, func() { project.Annotations = map[string]string{v1alpha1.AnnotationLookAt: "1"} })
		Eventually(tagsOn).Should(ConsistOf("baseline", "edited"))

		By("a second TrainingRun of the run, which takes over when the first is deleted")
		twin := h.NewRun("a", "twin")
		twin.Name = "b"
		create(twin)
		Eventually(func() []string { return []string{reasons(run), reasons(twin)} }).
			Should(ConsistOf(v1alpha1.ReasonSynced, v1alpha1.ReasonDuplicateRun))
		first, second := run, twin
		if reasons(run) == v1alpha1.ReasonDuplicateRun {
			first, second = twin, run
		}
		Expect(h.Admin.Delete(ctx, first)).To(Succeed())
		Eventually(reason(second)).Should(Equal(v1alpha1.ReasonSynced))

		By("deleting one with a finalizer")
		patch(second, func() { second.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags })
		Eventually(func() []string { h.Refresh(second); return second.Finalizers }).Should(ConsistOf(v1alpha1.Finalizer))
		Expect(h.Admin.Delete(ctx, second)).To(Succeed())
		Eventually(func() error { return h.Admin.Get(ctx, client.ObjectKeyFromObject(second), second) }).Should(MatchError(ContainSubstring("not found")))
		Expect(tagsOn()).NotTo(ContainElement(second.Spec.Tags[0]))

		By("deleting the project")
		last := h.NewRun("a", "last")
		create(last)
		Eventually(reason(last)).Should(Equal(v1alpha1.ReasonSynced))
		Expect(h.Admin.Delete(ctx, project)).To(Succeed())
		Eventually(reason(last)).Should(Equal(v1alpha1.ReasonProjectNotReady))
	})
})

// startManager runs everything of the package for the namespace of the spec, under the operator's role, until it ends.
func startManager() {
	GinkgoHelper()
	readOwnWrites := true
	mgr, err := ctrl.NewManager(suite.Operator, ctrl.Options{
		Scheme:  suite.Scheme,
		Cache:   controllers.Cache(h.Namespace),
		Client:  client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &readOwnWrites}},
		Metrics: metricsserver.Options{BindAddress: "0"},
		Logger:  h.Log.Logger(),
	})
	Expect(err).NotTo(HaveOccurred())
	policy, err := transport.ParseAllow([]string{"127.0.0.1"})
	Expect(err).NotTo(HaveOccurred())
	own, err := metrics.New(prometheus.NewRegistry())
	Expect(err).NotTo(HaveOccurred())
	ctx, stop := context.WithCancel(context.Background())
	Expect(controllers.Add(ctx, mgr, controllers.Options{
		Addresses: policy, Ceiling: tags.Exclusive, Clock: clock.RealClock{}, Metrics: own, Version: "test",
	})).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	DeferCleanup(func() {
		stop()
		Eventually(ended, "20s").Should(Receive(BeNil()))
	})
}
