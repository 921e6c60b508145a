package e2e_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/runtag/runtag/api/v1alpha1"
)

// gangSpecs are about one run of many pods.
func gangSpecs(t *wandb) {
	It("gets each tag of 64 pods by one change and few writes, though only rank 0 has the run", func(ctx SpecContext) {
		const ranks = 64
		s := newScene(ctx, t, importing(v1alpha1.ImportLinked))
		node := newNode(ctx, spot)
		job := s.newJob(ctx, node, indexed(ranks))
		pods := map[string]corev1.Pod{}
		Eventually(func() map[string]corev1.Pod {
			for _, pod := range s.podsOf(ctx, job) {
				pods[pod.Annotations[batchv1.JobCompletionIndexAnnotation]] = pod
			}
			return pods
		}).Should(HaveLen(ranks))
		mark := t.sent.mark()
		first := pods["0"]
		run := t.trainAt(ctx, s, hostname(&first))
		name := s.expectImported(ctx, run)
		s.expectTagsOnTracker(ctx, run, "preemptible")
		s.expectCost(ctx, name, mark, 0, 1)

		By("evicting rank 37")
		before, mark := s.writesOf(ctx, name), t.sent.mark()
		evicted := pods["37"]
		evict(ctx, &evicted)
		s.expectTagsOnTracker(ctx, run, "disrupted", "preemptible")
		s.expectCost(ctx, name, mark, before, 1)

		By("taking the node back")
		before, mark = s.writesOf(ctx, name), t.sent.mark()
		taint(ctx, node)
		s.expectTagsOnTracker(ctx, run, "disrupted", "preempted", "preemptible")
		for _, pod := range pods {
			s.expectPodGone(ctx, &pod)
		}
		s.expectCost(ctx, name, mark, before, 1)
	})
}

// indexed makes a Job of that many small pods at once, with a hostname each, that are not made anew.
func indexed(pods int32) func(*batchv1.Job) {
	return func(job *batchv1.Job) {
		job.Spec.CompletionMode = ptr.To(batchv1.IndexedCompletion)
		job.Spec.Completions, job.Spec.Parallelism = ptr.To(pods), ptr.To(pods)
		job.Spec.Template.Spec.Containers[0].Resources = corev1.ResourceRequirements{}
	}
}

// aHandful is how many writes of a TrainingRun one change of its tags may cost.
const aHandful = 6

// expectCost expects that what happened since a mark was one write to the tracker each, and few writes of the TrainingRun.
func (s *scene) expectCost(ctx SpecContext, name string, mark, before, changes int) {
	GinkgoHelper()
	s.expectReady(ctx, name)
	s.expectLooks(ctx, 2)
	Expect(s.tracker.traffic().since(mark, write)).To(HaveLen(changes), s.explain(ctx))
	cost := s.writesOf(ctx, name) - before
	AddReportEntry(fmt.Sprintf("writes of %s: %d", name, cost))
	Expect(cost).To(BeNumerically("<=", aHandful), s.explain(ctx))
}
