package e2e_test

import (
	"context"
	"slices"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
)

// expectTagsOnTracker waits until exactly these tags are on the run, and then reads them with the real client too.
func (s *scene) expectTagsOnTracker(ctx context.Context, ref runRef, want ...string) {
	GinkgoHelper()
	want = slices.Sorted(slices.Values(want))
	Eventually(func() []string { return s.tracker.tags(ctx, ref) }).Should(HaveExactElements(toAny(want)...), s.explain(ctx))
	Expect(s.tracker.read(ctx, ref)).To(HaveExactElements(toAny(want)...), "read with the real client")
}

// expectCondition waits until a condition answers the present spec with this status and reason; it gives its message.
func (s *scene) expectCondition(ctx context.Context, name, condition string, status metav1.ConditionStatus, reason string) (message string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		run := s.get(ctx, name)
		message = expectIn(g, run.Status.Conditions, run.Generation, condition, status, reason)
	}).Should(Succeed(), s.explain(ctx))
	return message
}

func expectIn(g Gomega, conditions []metav1.Condition, generation int64, condition string, status metav1.ConditionStatus, reason string) string {
	found := meta.FindStatusCondition(conditions, condition)
	g.Expect(found).NotTo(BeNil(), "condition %s", condition)
	g.Expect([]any{found.Status, found.Reason, found.ObservedGeneration}).To(HaveExactElements(status, reason, generation),
		"condition %s: %s", condition, found.Message)
	return found.Message
}

// expectReady waits until the run is as declared.
func (s *scene) expectReady(ctx context.Context, name string) (message string) {
	GinkgoHelper()
	return s.expectCondition(ctx, name, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSynced)
}

// expectNotReady waits until it is not, for this reason.
func (s *scene) expectNotReady(ctx context.Context, name, reason string) (message string) {
	GinkgoHelper()
	return s.expectCondition(ctx, name, v1alpha1.ConditionReady, metav1.ConditionFalse, reason)
}

// expectStalled waits until it is not ready for this reason, and only a person can help.
func (s *scene) expectStalled(ctx context.Context, name, reason string) (message string) {
	GinkgoHelper()
	s.expectNotReady(ctx, name, reason)
	return s.expectCondition(ctx, name, v1alpha1.ConditionStalled, metav1.ConditionTrue, reason)
}

// expectWaiting expects that it is not called stalled: what is missing may come.
func (s *scene) expectWaiting(ctx context.Context, name, reason string) (message string) {
	GinkgoHelper()
	message = s.expectNotReady(ctx, name, reason)
	Expect(meta.FindStatusCondition(s.get(ctx, name).Status.Conditions, v1alpha1.ConditionStalled)).To(BeNil())
	return message
}

// expectProject waits until the project's Ready has this status and reason.
func (s *scene) expectProject(ctx context.Context, status metav1.ConditionStatus, reason string) (message string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		project := s.getProject(ctx)
		message = expectIn(g, project.Status.Conditions, project.Generation, v1alpha1.ConditionReady, status, reason)
	}).Should(Succeed(), s.explain(ctx))
	return message
}

// expectStatusTags waits until status lists exactly these tags, as "name" from spec or "name (Run)", and "name (absent)".
func (s *scene) expectStatusTags(ctx context.Context, name string, want ...string) {
	GinkgoHelper()
	Eventually(func() []string {
		var listed []string
		for _, tag := range s.get(ctx, name).Status.Tags {
			text := tag.Name
			if tag.Source != v1alpha1.TagSourceSpec {
				text += " (" + string(tag.Source) + ")"
			}
			if !tag.Present {
				text += " (absent)"
			}
			listed = append(listed, text)
		}
		return listed
	}).Should(ConsistOf(toAny(want)...), s.explain(ctx))
}

// expectPending waits until status.pending lists exactly this.
func (s *scene) expectPending(ctx context.Context, name string, add, remove []string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		pending := s.get(ctx, name).Status.Pending
		if pending == nil {
			pending = &v1alpha1.PendingTags{}
		}
		g.Expect(pending.Add).To(ConsistOf(toAny(add)...), "pending.add")
		g.Expect(pending.Remove).To(ConsistOf(toAny(remove)...), "pending.remove")
	}).Should(Succeed(), s.explain(ctx))
}

// expectApplied waits until status.appliedTags names exactly these.
func (s *scene) expectApplied(ctx context.Context, name string, want ...string) {
	GinkgoHelper()
	Eventually(func() []string {
		var names []string
		for _, applied := range s.get(ctx, name).Status.AppliedTags {
			names = append(names, applied.Name)
		}
		return names
	}).Should(ConsistOf(toAny(want)...), s.explain(ctx))
}

// expectNothingWritten expects that the manager has written nothing since a mark.
func (s *scene) expectNothingWritten(mark int) {
	GinkgoHelper()
	Expect(s.tracker.traffic().since(mark, write)).To(BeEmpty(), "writes to the tracker")
}

// expectLooks waits until the tracker has been looked at n times from now on. It is how specs give time to something
// that should not happen.
func (s *scene) expectLooks(ctx context.Context, n int) {
	GinkgoHelper()
	mark := s.tracker.traffic().mark()
	Eventually(func() []request { return s.tracker.traffic().since(mark, look) }).
		Should(haveAtLeast(n), s.explain(ctx))
}

func haveAtLeast(n int) types.GomegaMatcher {
	return WithTransform(func(r []request) int { return len(r) }, BeNumerically(">=", n))
}

func toAny(values []string) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}
