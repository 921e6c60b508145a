package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// ending is a way in which a pod ends, and what its run is tagged with then.
type ending struct {
	name, reason string
	on           labels
	end          func(ctx context.Context, pod *corev1.Pod)
	tags         []string
}

var endings = []ending{
	{
		name: "is disrupted by a NoExecute taint", reason: "the pod did not leave by itself",
		on: onDemand, end: tainted, tags: []string{"disrupted"},
	},
	{
		name: "is preempted by a NoExecute taint on a spot node", reason: "a spot node that pods are chased from was most likely taken back",
		on: spot, end: tainted, tags: []string{"preempted", "preemptible"},
	},
	{
		name: "is disrupted by a drain", reason: "the pod did not leave by itself",
		on: onDemand, end: drained, tags: []string{"disrupted"},
	},
	{
		name: "is disrupted, not preempted, by a drain of a spot node", reason: "without a notice of the provider it may be for an upgrade",
		on: spot, end: drained, tags: []string{"disrupted", "preemptible"},
	},
	{
		name: "is disrupted by the deletion of its node", reason: "the pod did not leave by itself",
		on: onDemand, end: nodeDeleted, tags: []string{"disrupted"},
	},
	{
		name: "is preempted by the deletion of a spot node", reason: "what the node was is known when it is gone",
		on: spot, end: nodeDeleted, tags: []string{"preempted", "preemptible"},
	},
	{
		name: "is not disrupted by kubectl delete", reason: "a person wanted it",
		on: spot, end: podDeleted, tags: []string{"preemptible"},
	},
}

func tainted(ctx context.Context, pod *corev1.Pod) { taint(ctx, pod.Spec.NodeName) }
func drained(ctx context.Context, pod *corev1.Pod) { drain(ctx, pod.Spec.NodeName) }
func nodeDeleted(ctx context.Context, pod *corev1.Pod) {
	kubectl(ctx, "delete", "node", pod.Spec.NodeName)
}

func podDeleted(ctx context.Context, pod *corev1.Pod) {
	kubectl(ctx, "--namespace", pod.Namespace, "delete", "pod", pod.Name)
}

// disruptionSpecs are about runs whose pods end.
func disruptionSpecs(t *wandb) {
	for _, ending := range endings {
		It(ending.name, func(ctx SpecContext) {
			s := newScene(ctx, t, importing(v1alpha1.ImportLinked))
			job := s.newJob(ctx, newNode(ctx, ending.on))
			pod := s.podOf(ctx, job)
			run := t.trainAt(ctx, s, hostname(pod))
			name := s.expectImported(ctx, run)

			ending.end(ctx, pod)
			s.expectPodGone(ctx, pod)
			s.expectTagsOnTracker(ctx, run, ending.tags...)
			s.expectReady(ctx, name)
			s.expectLooks(ctx, 2)
			Expect(t.tags(ctx, run)).To(ConsistOf(toAny(ending.tags)...), ending.reason)
		})
	}
}

// momentSpecs are about what is there for some milliseconds only.
func momentSpecs(t *wandb, running func() *manager) {
	for _, busy := range []bool{false, true} {
		It(fmt.Sprintf("is tagged for a condition of a pod that is gone some milliseconds later (busy elsewhere until then: %t)", busy), func(ctx SpecContext) {
			const many = 10
			s := newScene(ctx, t, importing(v1alpha1.ImportLinked))
			node := newNode(ctx, onDemand)
			pods, runs := map[string]*corev1.Pod{}, map[string]runRef{}
			for range many {
				pod := s.newPod(ctx, node)
				pods[pod.Name], runs[pod.Name] = pod, t.trainAt(ctx, s, pod.Name)
			}
			for _, run := range runs {
				s.expectImported(ctx, run)
			}

			if busy {
				running().pause()
				DeferCleanup(running().resume)
			}
			each(slices.Collect(maps.Keys(runs)), func(name string) {
				disturb(ctx, pods[name].DeepCopy())
				Expect(suite.client.Delete(ctx, pods[name], client.GracePeriodSeconds(0))).To(Succeed())
			})
			for _, pod := range pods {
				s.expectPodGone(ctx, pod)
			}
			if busy {
				running().resume()
			}
			for _, run := range runs {
				s.expectTagsOnTracker(ctx, run, "disrupted")
			}
		})
	}
}

// disturb is what everything does first that ends a pod.
func disturb(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	patchStatus(ctx, pod, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "E2E", LastTransitionTime: metav1.Now(),
	})
}

// conditionSpecs are about what agents and providers say of nodes.
func conditionSpecs(t *wandb) {
	It("is interrupted while its node is Terminating", func(ctx SpecContext) {
		s := newScene(ctx, t, importing(v1alpha1.ImportLinked))
		node := newNode(ctx, onDemand)
		pod := s.podOf(ctx, s.newJob(ctx, node))
		run := t.trainAt(ctx, s, hostname(pod))
		name := s.expectImported(ctx, run)
		for range 2 {
			setNodeCondition(ctx, node, "Terminating", corev1.ConditionTrue)
			s.expectTagsOnTracker(ctx, run, "interrupted")
			s.expectStatusTags(ctx, name, "interrupted (Rule)")
			setNodeCondition(ctx, node, "Terminating", corev1.ConditionFalse)
			s.expectTagsOnTracker(ctx, run)
			s.expectStatusTags(ctx, name)
			s.expectReady(ctx, name)
		}

		By("and no longer than its pod is there")
		setNodeCondition(ctx, node, "Terminating", corev1.ConditionTrue)
		s.expectTagsOnTracker(ctx, run, "interrupted")
		drain(ctx, node)
		s.expectTagsOnTracker(ctx, run, "disrupted")
	})

	It("has a node-fault from an XID of its GPU, which stays a fact when that is over", func(ctx SpecContext) {
		s := newScene(ctx, t, importing(v1alpha1.ImportLinked))
		node := newNode(ctx, onDemand)
		pod := s.podOf(ctx, s.newJob(ctx, node))
		run := t.trainAt(ctx, s, hostname(pod))
		name := s.expectImported(ctx, run)
		setNodeCondition(ctx, node, "XIDErrors", corev1.ConditionTrue)
		s.expectTagsOnTracker(ctx, run, "node-fault")
		setNodeCondition(ctx, node, "XIDErrors", corev1.ConditionFalse)
		s.expectLooks(ctx, 2)
		s.expectTagsOnTracker(ctx, run, "node-fault")
		s.expectReady(ctx, name)
	})
}
