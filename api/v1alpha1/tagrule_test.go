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

// ruleWith is a rule's spec with these fields besides when and tags.
func ruleWith(fields string) string { return "{when: 'true', tags: [a], " + fields + "}" }

// selecting is a rule's spec whose runSelector has these fields.
func selecting(fields string) string { return ruleWith("runSelector: {" + fields + "}") }

// expressions are n requirements of a selector, as a YAML list.
func expressions(n int) string {
	return "[" + strings.Join(strings.Split(strings.Repeat("{key: a, operator: Exists}\n", n), "\n")[:n], ", ") + "]"
}

// labels are n labels of a selector.
func labels(n int) string {
	pairs := make([]string, n)
	for i := range pairs {
		pairs[i] = fmt.Sprintf("l%d: v", i)
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

const (
	noTags      = "set tags, tagExpression or both"
	badFor      = "for must be a duration that is not negative"
	badOperator = "operator is In or NotIn with 1 to 64 values, or Exists or DoesNotExist without values"
	bigSelector = "a selector has at most 16 matchLabels and 16 matchExpressions"
	blankTag    = "a tag can't begin or end with a blank"
)

// Both kinds have the same fields, and each has a schema of its own.
var _ = DescribeTable("Creating a rule", func(ctx SpecContext, spec, outcome string) {
	for _, kind := range []string{"TagRule", "ClusterTagRule"} {
		By(kind)
		expectOutcome(k8sClient.Create(ctx, object(kind, spec)), outcome)
	}
},
	Entry("an expression and a tag are a rule", `{when: 'nodes.exists(n, n.label("cloud.google.com/gke-spot") == "true")', tags: [preemptible]}`, accepted),
	Entry("tags may be computed", `{when: 'true', tagExpression: '["zone-a"]'}`, accepted),
	Entry("some may be computed, others fixed", ruleWith(`tagExpression: '["zone-a"]'`), accepted),
	Entry("a rule without tags does nothing", `{when: 'true'}`, noTags),
	Entry("an empty list is none", `{when: 'true', tags: []}`, noTags),
	Entry("an empty list is enough where tags are computed", `{when: 'true', tags: [], tagExpression: '["a"]'}`, accepted),
	Entry("a rule without a condition is a mistake", `{tags: [a]}`, "spec.when: Required value"),
	Entry("an empty condition is one too", `{when: '', tags: [a]}`, "spec.when"),
	Entry("a blank condition can't be seen", `{when: "  \n\t", tags: [a]}`, "when can't be blank"),
	Entry("blanks around an expression are how YAML folds it", "{when: \"true\\n\", tags: [a]}", accepted),
	Entry("an empty expression for tags is none", `{when: 'true', tagExpression: ''}`, "spec.tagExpression"),
	Entry("nor is a blank one", `{when: 'true', tagExpression: ' '}`, "tagExpression can't be blank"),
	Entry("whether it compiles is the operator's to say", `{when: 'nodes.exist(', tags: [a]}`, accepted),
	Entry("4096 characters are a long expression", fmt.Sprintf(`{when: '%s', tags: [a]}`, long(4096)), accepted),
	Entry("and longer is a program", fmt.Sprintf(`{when: '%s', tags: [a]}`, long(4097)), "may not be more than 4096"),
	Entry("4096 are allowed for tags", fmt.Sprintf(`{when: 'true', tagExpression: '%s'}`, long(4096)), accepted),
	Entry("and no more", fmt.Sprintf(`{when: 'true', tagExpression: '%s'}`, long(4097)), "may not be more than 4096"),

	Entry("a tag may be a pair", `{when: 'true', tags: [team=vision]}`, accepted),
	Entry("trackers allow any characters", `{when: 'true', tags: ["a, b", "it's", "日本語", 'a"b', "emoji 🎉"]}`, accepted),
	Entry("an empty tag is no tag", `{when: 'true', tags: [""]}`, "spec.tags[0]"),
	Entry("a blank in front can't be seen", `{when: 'true', tags: [b, " a"]}`, blankTag),
	Entry("nor one at the end", `{when: 'true', tags: ["a "]}`, blankTag),
	Entry("nor a line's end", `{when: 'true', tags: ["a\n"]}`, blankTag),
	Entry("nor a blank of another script", `{when: 'true', tags: ["\u3000a"]}`, blankTag),
	Entry("a blank in the middle is seen", `{when: 'true', tags: ["a b"]}`, accepted),
	Entry("a tag may have 250 characters, not bytes", fmt.Sprintf(`{when: 'true', tags: ["%s"]}`, long(250)), accepted),
	Entry("251 characters are too many", fmt.Sprintf(`{when: 'true', tags: ["%s"]}`, long(251)), "may not be more than 250"),
	Entry("a rule gives 16 tags at most", `{when: 'true', tags: `+tagList(16)+`}`, accepted),
	Entry("17 are too many", `{when: 'true', tags: `+tagList(17)+`}`, "must have at most 16 items"),
	Entry("a tag is in the set once", `{when: 'true', tags: [a, b, a]}`, "Duplicate value"),

	Entry("it may have to hold for a while", ruleWith(`for: 30s`), accepted),
	Entry("or for long", ruleWith(`for: 1h30m`), accepted),
	Entry("or not at all", ruleWith(`for: 0s`), accepted),
	Entry("less than a second is a time", ruleWith(`for: 1.5ms`), accepted),
	Entry("nothing holds for less than no time", ruleWith(`for: -1s`), badFor),
	Entry("a word is no duration", ruleWith(`for: long`), badFor),
	Entry("an empty one is none", ruleWith(`for: ""`), badFor),
	Entry("a number has no unit", ruleWith(`for: "30"`), badFor),
	Entry("an unquoted one neither", ruleWith(`for: 30`), "must be of type string"),
	Entry("Go knows no days", ruleWith(`for: 2d`), badFor),
	Entry("no blanks are in it", ruleWith(`for: "1h 30m"`), badFor),
	Entry("Go can't hold three centuries, and could not read the list of rules any more", ruleWith(`for: 2628000h`), badFor),
	Entry("nor its largest part alone", ruleWith(`for: 99999999999999999999h`), badFor),
	Entry("nor a number of any length", ruleWith(`for: 1.000000000000000000000000000000s`), "may not be more than 32"),

	Entry("facts stay", ruleWith(`retention: Sticky`), accepted),
	Entry("states go", ruleWith(`retention: WhileTrue`), accepted),
	Entry("other retentions do not exist", ruleWith(`retention: Forever`), `supported values: "Sticky", "WhileTrue"`),
	Entry("nor do they in small letters", ruleWith(`retention: sticky`), "Unsupported value"),
	Entry("nor an empty one", ruleWith(`retention: ""`), "Unsupported value"),
	Entry("a rule may do its work", ruleWith(`mode: Enforce`), accepted),
	Entry("or say what it would do", ruleWith(`mode: Report`), accepted),
	Entry("or do nothing", ruleWith(`mode: Suspend`), accepted),
	Entry("or take everything back", ruleWith(`mode: Retract`), accepted),
	Entry("other modes do not exist", ruleWith(`mode: Delete`), `supported values: "Enforce", "Report", "Suspend", "Retract"`),
	Entry("modes are written with a capital", ruleWith(`mode: report`), "Unsupported value"),

	Entry("a selector may be empty, for all runs", ruleWith(`runSelector: {}`), accepted),
	Entry("runs may be selected by labels", selecting(`matchLabels: {team: vision}`), accepted),
	Entry("and by expressions", selecting(`matchExpressions: [{key: team, operator: In, values: [a, b]}, {key: x, operator: NotIn, values: [c]}, {key: who, operator: Exists}, {key: z, operator: DoesNotExist}]`), accepted),
	Entry("an empty list of values may stand beside Exists", selecting(`matchExpressions: [{key: who, operator: Exists, values: []}]`), accepted),
	Entry("other operators are for nodes", selecting(`matchExpressions: [{key: team, operator: Gt, values: ["1"]}]`), badOperator),
	Entry("operators are written with a capital", selecting(`matchExpressions: [{key: team, operator: exists}]`), badOperator),
	Entry("In nothing is never", selecting(`matchExpressions: [{key: team, operator: In, values: []}]`), badOperator),
	Entry("In without values is never either", selecting(`matchExpressions: [{key: team, operator: In}]`), badOperator),
	Entry("NotIn without values is always", selecting(`matchExpressions: [{key: team, operator: NotIn}]`), badOperator),
	Entry("what exists has any value", selecting(`matchExpressions: [{key: team, operator: Exists, values: [a]}]`), badOperator),
	Entry("what does not exist has none", selecting(`matchExpressions: [{key: a, operator: Exists}, {key: team, operator: DoesNotExist, values: [a]}]`), badOperator),
	Entry("64 values are many", selecting(`matchExpressions: [{key: team, operator: In, values: `+tagList(64)+`}]`), accepted),
	Entry("65 are too many", selecting(`matchExpressions: [{key: team, operator: In, values: `+tagList(65)+`}]`), badOperator),
	Entry("an expression has a key", selecting(`matchExpressions: [{operator: Exists}]`), "key: Required value"),
	Entry("and an operator", selecting(`matchExpressions: [{key: team}]`), "operator: Required value"),
	Entry("16 labels and 16 expressions are many", selecting(`matchLabels: `+labels(16)+`, matchExpressions: `+expressions(16)), accepted),
	Entry("17 labels are too many", selecting(`matchLabels: `+labels(17)), bigSelector),
	Entry("so are 17 expressions", selecting(`matchExpressions: `+expressions(17)), bigSelector),
)

var _ = DescribeTable("A ClusterTagRule that selects namespaces", func(ctx SpecContext, selector, outcome string) {
	expectOutcome(k8sClient.Create(ctx, object("ClusterTagRule", ruleWith("namespaceSelector: {"+selector+"}"))), outcome)
},
	Entry("takes all that have a label", `matchLabels: {runtag: "on"}`, accepted),
	Entry("takes all but one", `matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}]`, accepted),
	Entry("may be empty, for all", ``, accepted),
	Entry("has the operators of labels only", `matchExpressions: [{key: a, operator: Like, values: [b]}]`, badOperator),
	Entry("names values where they are asked for", `matchExpressions: [{key: a, operator: NotIn}]`, badOperator),
	Entry("has an end", `matchLabels: `+labels(17), bigSelector),
)

var _ = It("A TagRule is for its own namespace and selects no others", func(ctx SpecContext) {
	refused := client.NewNamespacedClient(k8sClient, namespace)
	obj := object("TagRule", ruleWith(`namespaceSelector: {matchLabels: {a: b}}`))
	err := refused.Create(ctx, obj, client.FieldValidation(metav1.FieldValidationStrict))
	expectOutcome(err, `unknown field "spec.namespaceSelector"`)
})

var _ = DescribeTable("Changing a rule", func(ctx SpecContext, before, after, outcome string) {
	for _, kind := range []string{"TagRule", "ClusterTagRule"} {
		obj := object(kind, before)
		Expect(k8sClient.Create(ctx, obj)).To(Succeed())
		setSpec(obj, after)
		expectOutcome(k8sClient.Update(ctx, obj), outcome)
	}
},
	Entry("the condition may change", `{when: 'true', tags: [a]}`, `{when: 'false', tags: [a]}`, accepted),
	Entry("so may the tags", `{when: 'true', tags: [a]}`, `{when: 'true', tagExpression: '["b"]'}`, accepted),
	Entry("and all else", ruleWith(`mode: Report, for: 1m`), ruleWith(`mode: Enforce, retention: WhileTrue, runSelector: {matchLabels: {a: b}}`), accepted),
	Entry("a rule that is done takes everything back", ruleWith(`mode: Enforce`), ruleWith(`mode: Retract`), accepted),
	Entry("but not by having no tags", `{when: 'true', tags: [a]}`, `{when: 'true'}`, noTags),
)

var _ = Describe("A rule", func() {
	It("shows the defaults when read, also to clients in Go", func(ctx SpecContext) {
		spec := v1alpha1.TagRuleSpec{When: "true", Tags: []string{"a"}}
		want := spec
		want.Retention, want.Mode = v1alpha1.RetentionSticky, v1alpha1.RuleModeEnforce

		rule := &v1alpha1.TagRule{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "x-"}, Spec: spec}
		Expect(k8sClient.Create(ctx, rule)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(rule), rule)).To(Succeed())
		Expect(rule.Spec).To(Equal(want))

		cluster := &v1alpha1.ClusterTagRule{ObjectMeta: metav1.ObjectMeta{GenerateName: "x-"}, Spec: v1alpha1.ClusterTagRuleSpec{TagRuleSpec: spec}}
		Expect(k8sClient.Create(ctx, cluster)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(cluster), cluster)).To(Succeed())
		Expect(cluster.Spec).To(Equal(v1alpha1.ClusterTagRuleSpec{TagRuleSpec: want}))
	})

	It("shows a reader that it need not hold for long", func(ctx SpecContext) {
		for _, kind := range []string{"TagRule", "ClusterTagRule"} {
			obj := object(kind, ruleWith(""))
			Expect(k8sClient.Create(ctx, obj)).To(Succeed())
			Expect(obj.Object["spec"]).To(HaveKeyWithValue("for", "0s"))
		}
	})

	It("has a status that only the status subresource writes, and that writes nothing else", func(ctx SpecContext) {
		for _, kind := range []string{"TagRule", "ClusterTagRule"} {
			obj := object(kind, ruleWith(""))
			Expect(k8sClient.Create(ctx, obj)).To(Succeed())
			rule, status, when := typedRule(kind)
			Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), rule)).To(Succeed())
			generation := rule.GetGeneration()

			*status, *when = fullRuleStatus(), "sneaked in"
			Expect(k8sClient.Status().Update(ctx, rule)).To(Succeed())
			Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), rule)).To(Succeed())
			Expect(*when).To(Equal("true"))
			Expect(rule.GetGeneration()).To(Equal(generation))
			Expect(*status).To(Equal(fullRuleStatus()), "every field must come back as it was written")

			*status, *when = v1alpha1.TagRuleStatus{}, "false"
			Expect(k8sClient.Update(ctx, rule)).To(Succeed())
			Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), rule)).To(Succeed())
			Expect(*status).To(Equal(fullRuleStatus()))
			Expect(rule.GetGeneration()).To(Equal(generation + 1))
		}
	})

	It("shows counts that are zero", func(ctx SpecContext) {
		obj := object("TagRule", ruleWith(""))
		Expect(k8sClient.Create(ctx, obj)).To(Succeed())
		rule := &v1alpha1.TagRule{}
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), rule)).To(Succeed())
		Expect(k8sClient.Status().Update(ctx, rule)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), obj)).To(Succeed())
		Expect(obj.Object["status"]).To(And(HaveKeyWithValue("matchedRuns", int64(0)), HaveKeyWithValue("heldRuns", int64(0))))
	})
})

// typedRule is an empty rule of a kind, with its status and its expression.
func typedRule(kind string) (client.Object, *v1alpha1.TagRuleStatus, *string) {
	if kind == "TagRule" {
		rule := &v1alpha1.TagRule{}
		return rule, &rule.Status, &rule.Spec.When
	}
	rule := &v1alpha1.ClusterTagRule{}
	return rule, &rule.Status, &rule.Spec.When
}

// fullRuleStatus has every field set.
func fullRuleStatus() v1alpha1.TagRuleStatus {
	at := metav1.NewTime(time.Unix(1_800_000_000, 0))
	return v1alpha1.TagRuleStatus{
		ObservedGeneration: 1,
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonCompiled, LastTransitionTime: at,
		}},
		MatchedRuns: 3, HeldRuns: 4, LastMatch: &at, RetractedRuns: 5,
	}
}
