package controllers_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

var _ = Describe("Links", func() {
	BeforeEach(func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
	})

	It("are missed after two minutes, and the message says how to get one", func() {
		h.AddActiveRun("a")
		run := h.NewRun("a")
		apply(h.NewProject(), run)
		h.Step(time.Minute)
		h.Refresh(run)
		Expect(run.Status.Conditions).NotTo(ContainElement(HaveField("Type", v1alpha1.ConditionLinked)))
		h.Step(70 * time.Second)
		h.ExpectCondition(run, v1alpha1.ConditionLinked, metav1.ConditionFalse, v1alpha1.ReasonNoPods, "WANDB_HOST", "tracking.runtag.dev/run", "podSelector")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectQuiet(fullPeriod)
		pod := h.NewPod("p", "n")
		pod.Annotations = map[string]string{"tracking.runtag.dev/run": run.Name}
		h.SeePods(pod)
		h.Settle()
		h.ExpectCondition(run, v1alpha1.ConditionLinked, metav1.ConditionTrue, v1alpha1.ReasonPodsFound)
	})

	It("are made by podSelector", func() {
		h.AddActiveRun("a")
		run := h.NewRun("a")
		run.Spec.PodSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"job-name": "capsules"}}
		apply(h.NewProject(), run)
		pod, other := h.NewPod("p", "n"), h.NewPod("q", "n")
		pod.Labels["job-name"] = "capsules"
		h.SeePods(pod, other)
		h.Settle()
		h.Refresh(run)
		Expect(run.Status.Pods).To(ConsistOf(And(HaveField("Name", "p"), HaveField("BoundBy", "Selector"))))
	})

	It("are not made by host where two pods fit", func() {
		one, two := h.NewPod("one", "n"), h.NewPod("two", "n")
		one.Spec.Hostname, two.Spec.Hostname = "trainer", "trainer"
		h.SeePods(one, two)
		h.AddTrackerRun(wandbtest.Run{ID: "a", State: "running", Host: "trainer"})
		run := h.NewRun("a")
		apply(h.NewProject(), run)
		h.ExpectCondition(run, v1alpha1.ConditionLinked, metav1.ConditionFalse, v1alpha1.ReasonAmbiguousPods, "one", "two")
		h.Refresh(run)
		Expect(run.Status.Pods).To(BeEmpty())
	})

	It("of a job of 64 pods make one write and one change of tags", func() {
		apply(h.NewProject(), h.NewRule("preemptible", onSpot, "preemptible"))
		h.AddActiveRun("a")
		run := h.NewRun("a")
		apply(run)
		h.SeeNodes(h.NewNode("spot", map[string]string{spotLabel: "true"}))
		h.Settle()
		activity := h.During(func() {
			for i := range 64 {
				pod := h.NewPod(fmt.Sprintf("job-%02d", i), "spot", corev1.EnvVar{Name: "WANDB_RUN_ID", Value: "a"})
				pod.Labels["batch.kubernetes.io/controller-uid"] = "job"
				h.SeePods(pod)
				if i%8 == 7 {
					h.Settle()
				}
			}
		})
		h.ExpectTagsOn("a", "preemptible")
		// What is ours and the links, the label, and what came of it; the links that came later wait.
		Expect(activity.WritesOf(run)).To(BeNumerically("<=", 3))
		again := h.During(func() { h.Step(20 * time.Second) })
		Expect(again.WritesOf(run)).To(Equal(1))
		h.Refresh(run)
		Expect(run.Status.Pods).To(HaveLen(20))
		Expect(run.Status.RuleTags).To(ConsistOf(HaveField("Count", int32(1))))
	})

	It("end with the next run of the same pod", func() {
		apply(h.NewProject(), h.NewRule("preempted", wasEvicted, "preempted"))
		pod := h.NewPod("notebook", "n")
		h.SeePods(pod)
		for i := range 5 {
			h.Step(time.Minute)
			id := fmt.Sprintf("run-%d", i)
			h.AddTrackerRun(wandbtest.Run{ID: id, State: "running", Host: "notebook", CreatedAt: h.Clock.Now(), HeartbeatAt: h.Clock.Now()})
			apply(h.NewRun(id))
		}
		h.Step(time.Minute)
		h.Disrupt(pod, "EvictionByEvictionAPI")
		h.GonePods(pod)
		h.Settle()
		for i := range 4 {
			h.ExpectTagsOn(fmt.Sprintf("run-%d", i))
		}
		h.ExpectTagsOn("run-4", "preempted")
	})

	It("mark a run that is found after its pod was preempted", func() {
		project := h.NewProject(func(p *v1alpha1.TrackingProject) { p.Spec.Import.Policy = v1alpha1.ImportNone })
		apply(project, h.NewRule("preempted", wasEvicted, "preempted"))
		pod := h.NewPod("p", "n", corev1.EnvVar{Name: "WANDB_RUN_ID", Value: "a"})
		h.SeePods(pod)
		h.AddTrackerRun(wandbtest.Run{ID: "a", State: "running", CreatedAt: h.Clock.Now(), HeartbeatAt: h.Clock.Now()})
		h.Step(25 * time.Second)
		h.Disrupt(pod, "PreemptionByScheduler")
		h.GonePods(pod)
		h.Step(20 * time.Second)
		apply(h.NewRun("a"))
		h.ExpectTagsOn("a", "preempted")
	})

	Describe("decide what is imported", func() {
		It("where the policy is Linked, which it is unless told otherwise", func() {
			project := h.NewProject()
			h.SeePods(h.NewPod("mine", "n", corev1.EnvVar{Name: "WANDB_RUN_ID", Value: "a"}), h.NewPod("host-b", "n"))
			h.AddActiveRun("a")
			h.AddTrackerRun(wandbtest.Run{ID: "b", State: "running", Host: "host-b", CreatedAt: h.Clock.Now()})
			h.AddActiveRun("elsewhere")
			apply(project)
			Expect(project.Spec.Import.Policy).To(Equal(v1alpha1.ImportLinked))
			names := []string{}
			for _, run := range stored() {
				names = append(names, run.Spec.RunID)
				Expect(run.Status.Pods).To(HaveLen(1))
			}
			Expect(names).To(ConsistOf("a", "b"))
		})

		It("and two namespaces share a project without meeting", func() {
			other := h.NewNamespace()
			pod := h.NewPod("there", "n", corev1.EnvVar{Name: "WANDB_RUN_ID", Value: "b"})
			pod.Namespace = other
			h.SeePods(h.NewPod("here", "n", corev1.EnvVar{Name: "WANDB_RUN_ID", Value: "a"}), pod)
			h.AddActiveRun("a")
			h.AddActiveRun("b")
			apply(h.NewProject(), h.NewProject(func(p *v1alpha1.TrackingProject) { p.Namespace = other }))
			Expect(stored()).To(ConsistOf(HaveField("Spec.RunID", "a")))
		})

		It("and keep the object until its time is over, also when the pod is long gone", func() {
			pod := h.NewPod("mine", "n", corev1.EnvVar{Name: "WANDB_RUN_ID", Value: "a"})
			h.SeePods(pod)
			h.AddActiveRun("a")
			apply(h.NewProject())
			Expect(stored()).To(HaveLen(1))
			h.GonePods(pod)
			finish("a", "finished")
			h.Restart()
			h.Step(fullPeriod)
			Expect(stored()).To(HaveLen(1))
			h.Step(169 * time.Hour)
			Expect(stored()).To(BeEmpty())
		})
	})
})
