package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
)

// wrongRuleSpecs are about a rule that was a mistake: of many runs, some have no TrainingRun any more when it is noticed.
func wrongRuleSpecs(t tracker, many int, editor *person) {
	It(fmt.Sprintf("cleans up on %s after a wrong rule that tagged %d runs", t.name(), many), func(ctx SpecContext) {
		s := newScene(ctx, t)
		ids := t.many(ctx, s.project, many, "foreign")
		each(ids, func(id string) { s.create(ctx, s.run(id)) })
		rule := s.createRule(ctx, "true", "wrong")
		began := time.Now()
		s.expectAll(ctx, ids, "foreign", "wrong")
		gave := time.Since(began)

		left, tracked := ids[:many/10], ids[many/10:]
		each(left, func(id string) { s.deleteObject(ctx, objectName(s.project, id)) })
		s.expectRule(ctx, rule, HaveField("HeldRuns", BeEquivalentTo(len(tracked)))) // a run that goes later counts as taken back
		began = time.Now()
		taken := editor.types(ctx, "-n", s.namespace, "patch", "tagrule", rule, "--type=merge", "-p", `{"spec":{"mode":"Retract"}}`)
		Expect(taken.code).To(BeZero(), taken.String)
		s.expectAll(ctx, tracked, "foreign")
		took := time.Since(began)
		s.expectRule(ctx, rule, And(HaveField("HeldRuns", BeEquivalentTo(0)), HaveField("RetractedRuns", BeEquivalentTo(len(tracked))),
			HaveField("Conditions", ContainElement(And(HaveField("Type", v1alpha1.ConditionReady), HaveField("Reason", v1alpha1.ReasonRetracted))))))
		s.expectNowhere(ctx, "wrong")
		Expect(s.countOn(ctx, left, "foreign", "wrong")).To(Equal(len(left)), "runs that no TrainingRun is left of")

		cleaned := editor.does(ctx, "rm", "wrong", "--project", s.project, "--with-tag", "wrong", "--yes")
		Expect(cleaned.err).To(ContainSubstring(fmt.Sprintf("%d runs, 0 of them mirrored", len(left))), cleaned.String)
		Expect(cleaned.out).To(ContainSubstring(fmt.Sprintf("tags of %d runs changed", len(left))), cleaned.String)
		s.expectAll(ctx, ids, "foreign")
		s.expectLooks(ctx, 2)
		Expect(s.countOn(ctx, ids, "foreign")).To(Equal(many), "nothing brings it back")
		AddReportEntry("wrong rule", fmt.Sprintf("%d runs on %s tagged in %s, %d of them taken back in %s", many, t.name(),
			gave.Round(100*time.Millisecond), len(tracked), took.Round(100*time.Millisecond)))
	})
}

// createRule makes a Sticky rule for the scene's runs and gives its name.
func (s *scene) createRule(ctx context.Context, when, tag string) string {
	GinkgoHelper()
	rule := &v1alpha1.TagRule{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: s.project},
		Spec: v1alpha1.TagRuleSpec{
			When: when, Tags: []string{tag}, Retention: v1alpha1.RetentionSticky,
			RunSelector: &metav1.LabelSelector{MatchLabels: map[string]string{mirror.Project: s.project}},
		},
	}
	Expect(suite.client.Create(ctx, rule)).To(Succeed())
	return rule.Name
}

// expectRule waits until a rule says this of itself.
func (s *scene) expectRule(ctx context.Context, name string, want types.GomegaMatcher) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		rule := &v1alpha1.TagRule{}
		g.Expect(suite.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, rule)).To(Succeed())
		g.Expect(rule.Status).To(want)
	}).WithPolling(pollMany).Should(Succeed(), s.explain(ctx))
}

// expectNowhere waits until no TrainingRun of the scene shows a tag.
func (s *scene) expectNowhere(ctx context.Context, tag string) {
	GinkgoHelper()
	Eventually(func() (carriers []string) {
		for _, run := range s.runs(ctx) {
			if slices.ContainsFunc(run.Status.Tags, func(on v1alpha1.TagStatus) bool { return on.Name == tag }) {
				carriers = append(carriers, run.Name)
			}
		}
		return carriers
	}).WithPolling(pollMany).Should(BeEmpty(), s.explain(ctx))
}
