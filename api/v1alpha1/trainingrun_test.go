package v1alpha1_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// ofRun is a TrainingRun's spec with these fields besides project and id.
func ofRun(fields string) string {
	return "{projectRef: {name: capsules}, runID: 3f9a1c, " + fields + "}"
}

var _ = DescribeTable("Creating a TrainingRun", func(ctx SpecContext, spec, outcome string) {
	expectOutcome(k8sClient.Create(ctx, object("TrainingRun", spec)), outcome)
},
	Entry("an id says which run it is", `{projectRef: {name: capsules}, runID: 3f9a1c}`, accepted),
	Entry("a name says which run it is", `{projectRef: {name: capsules}, runName: nightly}`, accepted),
	Entry("without id and name no run is meant", `{projectRef: {name: capsules}}`, "set exactly one of runID"),
	Entry("with both, two runs may be meant", `{projectRef: {name: capsules}, runID: 3f9a1c, runName: nightly}`, "set exactly one of runID"),
	Entry("an empty id is none", `{projectRef: {name: capsules}, runID: ""}`, "spec.runID"),
	Entry("an empty name is none", `{projectRef: {name: capsules}, runName: ""}`, "spec.runName"),
	Entry("ids of 128 characters exist", fmt.Sprintf(`{projectRef: {name: capsules}, runID: "%s"}`, long(128)), accepted),
	Entry("longer ids do not", fmt.Sprintf(`{projectRef: {name: capsules}, runID: "%s"}`, long(129)), "may not be more than 128"),
	Entry("a run belongs to a project", `{runID: 3f9a1c}`, "spec.projectRef: Required value"),
	Entry("a project has a name", `{projectRef: {name: ""}, runID: 3f9a1c}`, "spec.projectRef.name"),

	Entry("most tags are plain words", ofRun(`tags: [baseline, in_production, team=vision]`), accepted),
	Entry("trackers allow any characters in a tag", ofRun(`tags: ["a, b", "it's", "日本語", "a\"b", "emoji 🎉", "k=v=w"]`), accepted),
	Entry("case makes another tag", ofRun(`tags: [Baseline, baseline]`), accepted),
	Entry("an empty tag is no tag", ofRun(`tags: [""]`), "spec.tags[0]"),
	Entry("a blank in front can't be seen", ofRun(`tags: [" a"]`), "a tag can't begin or end with a blank"),
	Entry("nor one at the end", ofRun(`tags: [b, "a "]`), "a tag can't begin or end with a blank"),
	Entry("nor a line's end", ofRun(`tags: ["a\n"]`), "a tag can't begin or end with a blank"),
	Entry("nor a blank of another script", ofRun(`tags: ["a\u3000"]`), "a tag can't begin or end with a blank"),
	Entry("a blank in the middle is seen", ofRun(`tags: ["a b"]`), accepted),
	Entry("a tag may have 250 characters, not bytes", ofRun(fmt.Sprintf(`tags: ["%s"]`, long(250))), accepted),
	Entry("251 characters are too many", ofRun(fmt.Sprintf(`tags: ["%s"]`, long(251))), "may not be more than 250"),
	Entry("128 tags fit", ofRun("tags: "+tagList(128)), accepted),
	Entry("129 tags do not", ofRun("tags: "+tagList(129)), "must have at most 128 items"),
	Entry("128 of the longest tags fit", ofRun("tags: "+longTagList(128)), accepted),
	Entry("a tag is in the set once", ofRun(`tags: [a, b, a]`), "Duplicate value"),

	Entry("a tag in both lists is excluded", ofRun(`tags: [a], excludeTags: [a]`), accepted),
	Entry("a script may have made a tag with a blank", ofRun(`excludeTags: [" y", "y "]`), accepted),
	Entry("no run carries an empty tag", ofRun(`excludeTags: [""]`), "spec.excludeTags[0]"),
	Entry("an excluded tag is a tag", ofRun(fmt.Sprintf(`excludeTags: ["%s"]`, long(250))), accepted),
	Entry("and no longer than one", ofRun(fmt.Sprintf(`excludeTags: ["%s"]`, long(251))), "may not be more than 250"),
	Entry("128 tags can be excluded", ofRun("excludeTags: "+tagList(128)), accepted),
	Entry("129 can not", ofRun("excludeTags: "+tagList(129)), "must have at most 128 items"),
	Entry("excluding twice is a mistake", ofRun(`excludeTags: [a, a]`), "Duplicate value"),

	Entry("Observe changes nothing", ofRun(`tagPolicy: Observe`), accepted),
	Entry("Add takes nothing off", ofRun(`tagPolicy: Add`), accepted),
	Entry("Merge is what most want", ofRun(`tagPolicy: Merge`), accepted),
	Entry("Exclusive leaves nothing else", ofRun(`tagPolicy: Exclusive`), accepted),
	Entry("other policies do not exist", ofRun(`tagPolicy: Replace`), `supported values: "Observe", "Add", "Merge", "Exclusive"`),
	Entry("policies are written with a capital", ofRun(`tagPolicy: merge`), "Unsupported value"),
	Entry("tags may stay on the run", ofRun(`deletionPolicy: Retain`), accepted),
	Entry("tags may go with the object", ofRun(`deletionPolicy: RemoveTags`), accepted),
	Entry("pods may be selected by a label", ofRun(`podSelector: {matchLabels: {job-name: capsules}}`), accepted),
	Entry("and by an expression", ofRun(`podSelector: {matchExpressions: [{key: job-name, operator: In, values: [capsules]}]}`), accepted),
	Entry("an empty selector would take every pod", ofRun(`podSelector: {}`), "podSelector can't be empty"),
	Entry("operators are those of labels", ofRun(`podSelector: {matchExpressions: [{key: a, operator: Gt, values: ["1"]}]}`), badOperator),
	Entry("In needs values", ofRun(`podSelector: {matchExpressions: [{key: a, operator: In}]}`), badOperator),
	Entry("17 labels are too many", ofRun(`podSelector: {matchLabels: `+labels(17)+`}`), bigSelector),
	Entry("so would one with empty parts", ofRun(`podSelector: {matchLabels: {}, matchExpressions: []}`), "podSelector can't be empty"),
	Entry("other deletion policies do not exist", ofRun(`deletionPolicy: Delete`), `supported values: "Retain", "RemoveTags"`),
)

func longTagList(n int) string {
	list := "["
	for i := range n {
		list += fmt.Sprintf("\"%03d%s\",", i, long(247))
	}
	return list + "]"
}

var _ = DescribeTable("Changing a TrainingRun", func(ctx SpecContext, before, after, outcome string) {
	obj := object("TrainingRun", before)
	Expect(k8sClient.Create(ctx, obj)).To(Succeed())
	setSpec(obj, after)
	expectOutcome(k8sClient.Update(ctx, obj), outcome)
},
	Entry("another id is another run", `{projectRef: {name: p}, runID: a}`, `{projectRef: {name: p}, runID: b}`, "runID can't be changed: make another TrainingRun"),
	Entry("another name is another run", `{projectRef: {name: p}, runName: a}`, `{projectRef: {name: p}, runName: b}`, "runName can't be changed: make another TrainingRun"),
	Entry("an id is not swapped for a name", `{projectRef: {name: p}, runID: a}`, `{projectRef: {name: p}, runName: a}`, "runID can't be changed"),
	Entry("a name is not swapped for an id", `{projectRef: {name: p}, runName: a}`, `{projectRef: {name: p}, runID: a}`, "runName can't be changed"),
	Entry("a name is not added to an id", `{projectRef: {name: p}, runID: a}`, `{projectRef: {name: p}, runID: a, runName: a}`, "set exactly one of runID"),
	Entry("an id is not taken away", `{projectRef: {name: p}, runID: a}`, `{projectRef: {name: p}}`, "runID can't be changed"),
	Entry("another project has other runs", `{projectRef: {name: p}, runID: a}`, `{projectRef: {name: q}, runID: a}`, "projectRef can't be changed: make another TrainingRun"),
	Entry("tags change all the time", `{projectRef: {name: p}, runID: a, tags: [old]}`, `{projectRef: {name: p}, runID: a, tags: [new], excludeTags: [old]}`, accepted),
	Entry("pods may be named later", `{projectRef: {name: p}, runID: a}`, `{projectRef: {name: p}, runID: a, podSelector: {matchLabels: {job-name: a}}}`, accepted),
	Entry("others may be named", `{projectRef: {name: p}, runID: a, podSelector: {matchLabels: {job-name: a}}}`, `{projectRef: {name: p}, runID: a, podSelector: {matchLabels: {job-name: b}}}`, accepted),
	Entry("and none again", `{projectRef: {name: p}, runID: a, podSelector: {matchLabels: {job-name: a}}}`, `{projectRef: {name: p}, runID: a}`, accepted),
	Entry("but not every one", `{projectRef: {name: p}, runID: a, podSelector: {matchLabels: {job-name: a}}}`, `{projectRef: {name: p}, runID: a, podSelector: {}}`, "podSelector can't be empty"),
	Entry("policies may change", `{projectRef: {name: p}, runID: a}`, `{projectRef: {name: p}, runID: a, tagPolicy: Observe, deletionPolicy: RemoveTags}`, accepted),
	Entry("a change must hold the rules, too", `{projectRef: {name: p}, runID: a, tags: [x]}`, `{projectRef: {name: p}, runID: a, tags: ["x "]}`, "a tag can't begin or end with a blank"),
)

var _ = Describe("A TrainingRun", func() {
	It("shows the defaults when read", func(ctx SpecContext) {
		run := &v1alpha1.TrainingRun{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "x-"},
			Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: "capsules"}, RunID: "a"},
		}
		Expect(k8sClient.Create(ctx, run)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(run), run)).To(Succeed())
		Expect(run.Spec.TagPolicy).To(Equal(v1alpha1.TagPolicyMerge))
		Expect(run.Spec.DeletionPolicy).To(Equal(v1alpha1.DeletionPolicyRetain))
	})

	It("has a status that only the status subresource writes, and that writes nothing else", func(ctx SpecContext) {
		run := createRun(ctx, "capsules", "a")
		generation := run.Generation

		run.Status = fullStatus()
		run.Spec.Tags = []string{"sneaked-in"}
		Expect(k8sClient.Status().Update(ctx, run)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(run), run)).To(Succeed())
		Expect(run.Spec.Tags).To(BeEmpty())
		Expect(run.Generation).To(Equal(generation))
		Expect(run.Status).To(Equal(fullStatus()), "every field must come back as it was written")

		run.Status = v1alpha1.TrainingRunStatus{}
		run.Spec.Tags = []string{"y"}
		Expect(k8sClient.Update(ctx, run)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(run), run)).To(Succeed())
		Expect(run.Status).To(Equal(fullStatus()))
		Expect(run.Generation).To(Equal(generation + 1))
	})

	It("takes an empty status, which a new object has", func(ctx SpecContext) {
		run := createRun(ctx, "capsules", "a")
		Expect(k8sClient.Status().Update(ctx, run)).To(Succeed())
	})

	It("refuses a status that no tracker has", func(ctx SpecContext) {
		run := createRun(ctx, "capsules", "a")
		run.Status.Run = &v1alpha1.RunStatus{State: "asleep"}
		expectOutcome(k8sClient.Status().Update(ctx, run), "status.run.state: Unsupported value")
	})

	It("is found by id, by project and by state", func(ctx SpecContext) {
		wanted := createRun(ctx, "select", "wanted")
		createRun(ctx, "select", "other")
		createRun(ctx, "another", "wanted")
		wanted.Status.Run = &v1alpha1.RunStatus{State: "preempting"}
		Expect(k8sClient.Status().Update(ctx, wanted)).To(Succeed())

		expectFound(ctx, client.MatchingFields{"spec.runID": "wanted"}, 2)
		expectFound(ctx, client.MatchingFields{"spec.projectRef.name": "select"}, 2)
		expectFound(ctx, client.MatchingFields{"spec.projectRef.name": "select", "spec.runID": "wanted"}, 1)
		expectFound(ctx, client.MatchingFields{"status.run.state": "preempting"}, 1)
		expectFound(ctx, client.MatchingFields{"status.run.state": "crashed"}, 0)
	})
})

func createRun(ctx SpecContext, project, id string) *v1alpha1.TrainingRun {
	GinkgoHelper()
	run := &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "x-"},
		Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: project}, RunID: id},
	}
	Expect(k8sClient.Create(ctx, run)).To(Succeed())
	return run
}

func expectFound(ctx SpecContext, fields client.MatchingFields, count int) {
	GinkgoHelper()
	var found v1alpha1.TrainingRunList
	Expect(k8sClient.List(ctx, &found, client.InNamespace(namespace), fields)).To(Succeed())
	Expect(found.Items).To(HaveLen(count), "%v", fields)
}

// fullStatus has every field set.
func fullStatus() v1alpha1.TrainingRunStatus {
	at := metav1.NewTime(time.Unix(1_800_000_000, 0))
	replaced := "nlp"
	return v1alpha1.TrainingRunStatus{
		ObservedGeneration:   1,
		ObservedDeclarations: "5f1c",
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonSynced, LastTransitionTime: at,
		}},
		Tags: []v1alpha1.TagStatus{
			{Name: "baseline", Source: v1alpha1.TagSourceSpec, Since: at, Present: true},
			{Name: "waiting", Source: v1alpha1.TagSourceSpec, Since: at},
			{
				Name: "preemptible", Source: v1alpha1.TagSourceRule, Rule: "ClusterTagRule/preemptible", Reason: "cloud.google.com/gke-spot=true",
				Since: at, Present: true, Mirrored: true, ByLabel: true,
			},
		},
		TagNames:    "baseline",
		TagCount:    1,
		AppliedTags: []v1alpha1.AppliedTag{{Name: "team=vision", Replaced: &replaced}, {Name: "baseline"}},
		RemovedTags: []v1alpha1.RemovedTag{{Name: "debug", At: at, Back: 1, Gone: true}},
		RuleTags: []v1alpha1.RuleTag{{
			Rule: "ClusterTagRule/preemptible", Tag: "preemptible", State: v1alpha1.RuleTagHeld, First: at, Last: at, Count: 2, Wiped: 1,
			Reason: "cloud.google.com/gke-spot=true", Source: "pod-uid", Computed: true, Sticky: true, GoneSince: &at,
		}},
		Pods:    []v1alpha1.PodLink{{Name: "capsules-0", UID: "pod-uid", Node: "n", BoundBy: "Host", From: at, Until: &at}},
		Pending: &v1alpha1.PendingTags{Add: []string{"waiting"}, Remove: []string{"debug"}},
		History: []v1alpha1.TagHistory{{Time: at, Tag: "baseline", Change: v1alpha1.TagAdded, Source: v1alpha1.TagSourceSpec, By: "kubectl"}},
		Run: &v1alpha1.RunStatus{
			ID: "3f9a1c", UID: "UnVuOjE=/2026-11-24T09:00:00Z", DisplayName: "nightly", State: "running",
			URL: "https://wandb.example/acme/capsules/runs/3f9a1c", CreatedAt: &at, FinishedAt: &at,
			Host: "h", User: "u", Group: "g", JobType: "train", Attempts: 2, Stale: true,
		},
	}
}
