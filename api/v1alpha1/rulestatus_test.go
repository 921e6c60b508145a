package v1alpha1_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// createRule makes a rule of a kind with a full status, and gives its name.
func createRule(ctx SpecContext, kind string) string {
	GinkgoHelper()
	obj := object(kind, `{when: 'true', tags: [spot], mode: Report, retention: WhileTrue}`)
	Expect(k8sClient.Create(ctx, obj)).To(Succeed())
	rule, status, _ := typedRule(kind)
	Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), rule)).To(Succeed())
	*status = fullRuleStatus()
	Expect(k8sClient.Status().Update(ctx, rule)).To(Succeed())
	return obj.GetName()
}

var moment = metav1.NewTime(time.Unix(1_800_000_000, 0))

func ruleTag(i int) v1alpha1.RuleTag {
	return v1alpha1.RuleTag{Rule: fmt.Sprintf("TagRule/r%d", i), Tag: "a", State: v1alpha1.RuleTagPending, First: moment, Last: moment}
}

func podLink(i int) v1alpha1.PodLink {
	return v1alpha1.PodLink{Name: "p", UID: fmt.Sprint(i), BoundBy: "Env", From: moment}
}

// many makes n different items.
func many[T any](n int, item func(int) T) []T {
	items := make([]T, n)
	for i := range items {
		items[i] = item(i)
	}
	return items
}

// The operator must never write what the server refuses, so what it cuts has to fit in here.
var _ = DescribeTable("What rules and links write to a TrainingRun's status", func(ctx SpecContext, change func(*v1alpha1.TrainingRunStatus), outcome string) {
	run := createRun(ctx, "capsules", "a")
	change(&run.Status)
	expectOutcome(k8sClient.Status().Update(ctx, run), outcome)
},
	Entry("256 tags of rules fit", func(s *v1alpha1.TrainingRunStatus) { s.RuleTags = many(256, ruleTag) }, accepted),
	Entry("257 do not", func(s *v1alpha1.TrainingRunStatus) { s.RuleTags = many(257, ruleTag) }, "status.ruleTags: Too many"),
	Entry("a rule may give two tags", func(s *v1alpha1.TrainingRunStatus) {
		s.RuleTags = many(2, func(i int) v1alpha1.RuleTag { tag := ruleTag(0); tag.Tag = fmt.Sprint(i); return tag })
	}, accepted),
	Entry("two rules may give the same", func(s *v1alpha1.TrainingRunStatus) { s.RuleTags = many(2, ruleTag) }, accepted),
	Entry("what a rule found for a tag stands there once", func(s *v1alpha1.TrainingRunStatus) {
		s.RuleTags = many(2, func(int) v1alpha1.RuleTag { return ruleTag(0) })
	}, "Duplicate value"),
	Entry("every state is known", func(s *v1alpha1.TrainingRunStatus) {
		s.RuleTags = many(3, ruleTag)
		s.RuleTags[1].State, s.RuleTags[2].State = v1alpha1.RuleTagHeld, v1alpha1.RuleTagOverruled
	}, accepted),
	Entry("and there are no others", func(s *v1alpha1.TrainingRunStatus) {
		s.RuleTags = many(1, ruleTag)
		s.RuleTags[0].State = "Lost"
	}, `supported values: "Pending", "Held", "Overruled"`),
	Entry("the longest names, tags and reasons fit", func(s *v1alpha1.TrainingRunStatus) {
		s.RuleTags = many(1, ruleTag)
		s.RuleTags[0].Rule = "ClusterTagRule/" + strings.Repeat("r", 253)
		s.RuleTags[0].Tag, s.RuleTags[0].Reason = long(250), long(250)
		s.Tags = []v1alpha1.TagStatus{{
			Name: long(250), Source: v1alpha1.TagSourceRule, Since: moment, Rule: s.RuleTags[0].Rule, Reason: long(250),
		}}
	}, accepted),
	Entry("a longer reason is cut", func(s *v1alpha1.TrainingRunStatus) {
		s.RuleTags = many(1, ruleTag)
		s.RuleTags[0].Reason = long(251)
	}, "status.ruleTags[0].reason: Too long"),

	Entry("20 pods fit", func(s *v1alpha1.TrainingRunStatus) { s.Pods = many(20, podLink) }, accepted),
	Entry("21 do not", func(s *v1alpha1.TrainingRunStatus) { s.Pods = many(21, podLink) }, "status.pods: Too many"),
	Entry("a pod stands there once", func(s *v1alpha1.TrainingRunStatus) {
		s.Pods = many(2, func(int) v1alpha1.PodLink { return podLink(0) })
	}, "Duplicate value"),
	Entry("two pods may have had the same name", func(s *v1alpha1.TrainingRunStatus) { s.Pods = many(2, podLink) }, accepted),
	Entry("the longest names of pods and nodes fit", func(s *v1alpha1.TrainingRunStatus) {
		s.Pods = many(1, podLink)
		s.Pods[0].Name, s.Pods[0].Node = strings.Repeat("p", 253), strings.Repeat("n", 253)
	}, accepted),
	Entry("every way to find a pod is known", func(s *v1alpha1.TrainingRunStatus) {
		for i, way := range []string{"Name", "Env", "PodUID", "RunID", "Selector", "Host", "Gang"} {
			s.Pods = append(s.Pods, podLink(i))
			s.Pods[i].BoundBy = way
		}
	}, accepted),
	Entry("and there are no others", func(s *v1alpha1.TrainingRunStatus) {
		s.Pods = many(1, podLink)
		s.Pods[0].BoundBy = "Guess"
	}, "status.pods[0].boundBy: Unsupported value"),
	Entry("that pods are known is a condition", func(s *v1alpha1.TrainingRunStatus) {
		s.Conditions = []metav1.Condition{{
			Type: v1alpha1.ConditionLinked, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonPodsFound, LastTransitionTime: moment,
		}}
	}, accepted),
)
