package v1alpha1_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// createChange makes a TagChange of one selection.
func createChange(ctx SpecContext) *v1alpha1.TagChange {
	GinkgoHelper()
	change := &v1alpha1.TagChange{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "x-"},
		Spec: v1alpha1.TagChangeSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: "capsules"},
			Select:     &v1alpha1.RunSelection{Tags: []string{"debug"}},
			Rename:     []v1alpha1.TagRename{{From: "debug", To: "wip"}},
		},
	}
	Expect(k8sClient.Create(ctx, change)).To(Succeed())
	return change
}

// fullChangeStatus has every field set.
func fullChangeStatus() v1alpha1.TagChangeStatus {
	matched, planned, changed := int32(300), int32(290), int32(40)
	condition := func(kind string, status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: v1alpha1.ReasonChanging, LastTransitionTime: moment}
	}
	return v1alpha1.TagChangeStatus{
		ObservedGeneration: 1,
		Conditions: []metav1.Condition{
			condition(v1alpha1.ConditionReady, metav1.ConditionFalse), condition(v1alpha1.ConditionComplete, metav1.ConditionFalse),
		},
		Matched: &matched, Planned: &planned, Changed: &changed, Done: 50, Progress: "50/290",
		Skipped:   []v1alpha1.SkippedRuns{{Reason: "Declared", Message: "a TrainingRun declares it", Count: 10, Sample: []string{"3f9a1c"}}},
		Sample:    []string{"77b0d2"},
		StartedAt: &moment, FinishedAt: &moment,
		Undo:    []string{"fix-undo-000"},
		Matches: []string{"fix-matches-000"},
	}
}

func skippedRuns(i int) v1alpha1.SkippedRuns {
	return v1alpha1.SkippedRuns{Reason: fmt.Sprintf("Reason%d", i), Count: 1}
}

func name(i int) string { return fmt.Sprintf("x-%03d", i) }

var _ = Describe("A TagChange", func() {
	It("shows the defaults when read, also to clients in Go", func(ctx SpecContext) {
		change := createChange(ctx)
		want := change.DeepCopy().Spec
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(change), change)).To(Succeed())
		want.MaxRuns = 1000
		Expect(change.Spec).To(Equal(want))
		Expect(change.Spec.Apply).To(BeFalse(), "nothing is changed before somebody says so")
		Expect(change.Spec.TTLAfterFinished).To(BeNil(), "what undoes it is not lost by itself")
	})

	It("shows a reader that it is not applied", func(ctx SpecContext) {
		obj := object("TagChange", changing("add: [a]"))
		Expect(k8sClient.Create(ctx, obj)).To(Succeed())
		Expect(obj.Object["spec"]).To(And(HaveKeyWithValue("apply", false), HaveKeyWithValue("maxRuns", int64(1000))))
	})

	It("has a status that only the status subresource writes, and that writes nothing else", func(ctx SpecContext) {
		change := createChange(ctx)
		generation := change.Generation
		change.Status, change.Spec.Apply = fullChangeStatus(), true
		Expect(k8sClient.Status().Update(ctx, change)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(change), change)).To(Succeed())
		Expect(change.Spec.Apply).To(BeFalse())
		Expect(change.Generation).To(Equal(generation))
		Expect(change.Status).To(Equal(fullChangeStatus()), "every field must come back as it was written")

		change.Status, change.Spec.Apply = v1alpha1.TagChangeStatus{}, true
		Expect(k8sClient.Update(ctx, change)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(change), change)).To(Succeed())
		Expect(change.Status).To(Equal(fullChangeStatus()))
		Expect(change.Generation).To(Equal(generation + 1))
	})
})

// The operator must never write what the server refuses, so what it cuts has to fit in here.
var _ = DescribeTable("What a TagChange's status holds", func(ctx SpecContext, change func(*v1alpha1.TagChangeStatus), outcome string) {
	made := createChange(ctx)
	change(&made.Status)
	expectOutcome(k8sClient.Status().Update(ctx, made), outcome)
},
	Entry("every field may be set", func(s *v1alpha1.TagChangeStatus) { *s = fullChangeStatus() }, accepted),
	Entry("16 reasons to leave runs alone fit", func(s *v1alpha1.TagChangeStatus) { s.Skipped = many(16, skippedRuns) }, accepted),
	Entry("17 do not", func(s *v1alpha1.TagChangeStatus) { s.Skipped = many(17, skippedRuns) }, "status.skipped: Too many"),
	Entry("a reason stands there once", func(s *v1alpha1.TagChangeStatus) {
		s.Skipped = many(2, func(int) v1alpha1.SkippedRuns { return skippedRuns(0) })
	}, "Duplicate value"),
	Entry("10 ids show what is left alone", func(s *v1alpha1.TagChangeStatus) {
		s.Skipped = many(1, skippedRuns)
		s.Skipped[0].Sample = many(10, name)
	}, accepted),
	Entry("11 are too many", func(s *v1alpha1.TagChangeStatus) {
		s.Skipped = many(1, skippedRuns)
		s.Skipped[0].Sample = many(11, name)
	}, "status.skipped[0].sample: Too many"),
	Entry("the longest reason and id fit", func(s *v1alpha1.TagChangeStatus) {
		s.Skipped = []v1alpha1.SkippedRuns{{Reason: strings.Repeat("r", 64), Count: 1, Sample: []string{strings.Repeat("a", 128)}}}
	}, accepted),
	Entry("a longer reason does not", func(s *v1alpha1.TagChangeStatus) {
		s.Skipped = []v1alpha1.SkippedRuns{{Reason: strings.Repeat("r", 65), Count: 1}}
	}, "status.skipped[0].reason: Too long"),
	Entry("nor does a longer id", func(s *v1alpha1.TagChangeStatus) {
		s.Skipped = []v1alpha1.SkippedRuns{{Reason: "r", Count: 1, Sample: []string{strings.Repeat("a", 129)}}}
	}, "status.skipped[0].sample[0]: Too long"),
	Entry("512 characters say why", func(s *v1alpha1.TagChangeStatus) {
		s.Skipped = many(1, skippedRuns)
		s.Skipped[0].Message = long(512)
	}, accepted),
	Entry("more are cut", func(s *v1alpha1.TagChangeStatus) {
		s.Skipped = many(1, skippedRuns)
		s.Skipped[0].Message = long(513)
	}, "status.skipped[0].message: Too long"),
	Entry("10 ids show what is changed", func(s *v1alpha1.TagChangeStatus) { s.Sample = many(10, name) }, accepted),
	Entry("11 are too many for that", func(s *v1alpha1.TagChangeStatus) { s.Sample = many(11, name) }, "status.sample: Too many"),
	Entry("the longest id fits", func(s *v1alpha1.TagChangeStatus) { s.Sample = []string{strings.Repeat("a", 128)} }, accepted),
	Entry("and no longer one: no tracker has it", func(s *v1alpha1.TagChangeStatus) { s.Sample = []string{strings.Repeat("a", 129)} }, "status.sample[0]: Too long"),
	Entry("256 ConfigMaps of both kinds fit", func(s *v1alpha1.TagChangeStatus) { s.Undo, s.Matches = many(256, name), many(256, name) }, accepted),
	Entry("257 to undo do not", func(s *v1alpha1.TagChangeStatus) { s.Undo = many(257, name) }, "status.undo: Too many"),
	Entry("nor do 257 of matches", func(s *v1alpha1.TagChangeStatus) { s.Matches = many(257, name) }, "status.matches: Too many"),
	Entry("a ConfigMap is named once", func(s *v1alpha1.TagChangeStatus) { s.Undo = []string{"a", "a"} }, "Duplicate value"),
	Entry("for a query, too", func(s *v1alpha1.TagChangeStatus) { s.Matches = []string{"a", "a"} }, "Duplicate value"),
	Entry("a ConfigMap has the name of an object", func(s *v1alpha1.TagChangeStatus) { s.Undo = []string{strings.Repeat("a", 253)} }, accepted),
	Entry("of matches, too", func(s *v1alpha1.TagChangeStatus) { s.Matches = []string{strings.Repeat("a", 254)} }, "status.matches[0]: Too long"),
	Entry("and no longer one", func(s *v1alpha1.TagChangeStatus) { s.Undo = []string{strings.Repeat("a", 254)} }, "status.undo[0]: Too long"),
	Entry("the largest change has its progress", func(s *v1alpha1.TagChangeStatus) { s.Progress = "100000/100000" }, accepted),
	Entry("and nothing longer is one", func(s *v1alpha1.TagChangeStatus) { s.Progress = strings.Repeat("1", 33) }, "status.progress: Too long"),
)
