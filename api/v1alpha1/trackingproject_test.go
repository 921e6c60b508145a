package v1alpha1_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
)

// onWandb is a TrackingProject's spec on W&B at an address, with these fields besides.
func onWandb(url, fields string) string {
	return fmt.Sprintf(`{wandb: {baseURL: %q, entity: acme, project: capsules, apiKeySecretRef: {name: wandb, key: api-key}}, %s}`, url, fields)
}

// onMLflow is a TrackingProject's spec on MLflow at an address, with these fields below mlflow.
func onMLflow(url, fields string) string {
	return fmt.Sprintf(`{mlflow: {trackingURI: %q, experiments: [forecast, "forecast-*"], %s}}`, url, fields)
}

// onMLflowWith is a TrackingProject's spec on MLflow with these fields besides.
func onMLflowWith(fields string) string {
	return `{mlflow: {trackingURI: "https://mlflow.example", experiments: [forecast]}, ` + fields + `}`
}

const (
	wandbURL  = "https://wandb.example"
	mlflowURL = "https://mlflow.example"
	badTTL    = "ttlAfterFinished must be a duration that is not negative"
	badURL    = "use an http or https URL without user info, query and fragment"
)

var _ = DescribeTable("Creating a TrackingProject", func(ctx SpecContext, spec, outcome string) {
	expectOutcome(k8sClient.Create(ctx, object("TrackingProject", spec)), outcome)
},
	Entry("W&B alone is a tracker", onWandb(wandbURL, ""), accepted),
	Entry("MLflow alone is a tracker", onMLflow(mlflowURL, ""), accepted),
	Entry("no tracker has no runs", `{interval: 30s}`, "set exactly one of wandb and mlflow"),
	Entry("two trackers are two projects", onWandb(wandbURL, `mlflow: {trackingURI: "https://mlflow.example", experiments: [a]}`), "set exactly one of wandb and mlflow"),
	Entry("W&B needs a key", `{wandb: {entity: acme, project: capsules}}`, "spec.wandb.apiKeySecretRef: Required value"),
	Entry("a key is below a key of a Secret", `{wandb: {entity: acme, project: capsules, apiKeySecretRef: {name: wandb}}}`, "apiKeySecretRef.key: Required value"),
	Entry("W&B's projects have an owner", `{wandb: {project: capsules, apiKeySecretRef: {name: wandb, key: k}}}`, "spec.wandb.entity: Required value"),
	Entry("an empty project is none", `{wandb: {entity: acme, project: "", apiKeySecretRef: {name: wandb, key: k}}}`, "spec.wandb.project"),

	Entry("plain http is for trials", onWandb("http://wandb.example:8080", ""), accepted),
	Entry("a server may be below a path", onWandb("https://example.com/wandb/", ""), accepted),
	Entry("a path may have an @", onWandb("https://example.com/@team", ""), accepted),
	Entry("an IPv6 address is one", onWandb("http://[fd00::1]:8080/api", ""), accepted),
	Entry("files carry no API", onWandb("file:///var/wandb", ""), badURL),
	Entry("a scheme is needed", onWandb("wandb.example", ""), badURL),
	Entry("a host is needed", onWandb("https:///wandb", ""), badURL),
	Entry("a port is no host", onWandb("https://:8080", ""), badURL),
	Entry("a port is a number", onWandb("https://wandb.example:port", ""), badURL),
	Entry("an open bracket is no address", onWandb("https://[::1", ""), badURL),
	Entry("user info would be a password in plain sight", onWandb("https://me:secret@wandb.example", ""), badURL),
	Entry("a query is no part of an address", onWandb("https://wandb.example/?a=b", ""), badURL),
	Entry("nor is a fragment", onWandb("https://wandb.example/#a", ""), badURL),
	Entry("an address has no blanks", onWandb("https://wandb.example /", ""), badURL),
	Entry("nor line ends", onWandb("https://wandb.example\n", ""), badURL),
	Entry("nor other controls", onWandb("https://wandb.example/\u007f", ""), badURL),
	Entry("a percent sign begins an escape", onWandb("https://wandb.example/%zz", ""), badURL),
	Entry("512 characters are the end", onWandb("https://wandb.example/"+strings.Repeat("a", 512), ""), "may not be more than 512"),
	Entry("a database is no tracking server", onMLflow("postgresql://db/mlflow", ""), badURL),
	Entry("user info is none on MLflow either", onMLflow("https://me:secret@mlflow.example", ""), badURL),
	Entry("nor a query", onMLflow("https://mlflow.example?a=b", ""), badURL),
	Entry("nor a fragment", onMLflow("https://mlflow.example#a", ""), badURL),
	Entry("nor a port that is none", onMLflow("https://mlflow.example:port", ""), badURL),
	Entry("MLflow may be below a path", onMLflow("https://example.com/mlflow", ""), accepted),

	Entry("without experiments there are no runs", `{mlflow: {trackingURI: "https://mlflow.example", experiments: []}}`, "should have at least 1 items"),
	Entry("an experiment has a name", `{mlflow: {trackingURI: "https://mlflow.example", experiments: [""]}}`, "spec.mlflow.experiments[0]"),
	Entry("an experiment is named once", `{mlflow: {trackingURI: "https://mlflow.example", experiments: [a, a]}}`, "Duplicate value"),
	Entry("64 experiments fit", `{mlflow: {trackingURI: "https://mlflow.example", experiments: `+tagList(64)+`}}`, accepted),
	Entry("65 do not", `{mlflow: {trackingURI: "https://mlflow.example", experiments: `+tagList(65)+`}}`, "must have at most 64 items"),
	Entry("a name and a password are one login", onMLflow(mlflowURL, `auth: {basicSecretRef: {name: s}}`), accepted),
	Entry("a token is one login", onMLflow(mlflowURL, `auth: {tokenSecretRef: {name: s, key: token}}`), accepted),
	Entry("two logins are one too many", onMLflow(mlflowURL, `auth: {basicSecretRef: {name: s}, tokenSecretRef: {name: s, key: token}}`), "set at most one of basicSecretRef and tokenSecretRef"),
	Entry("a server may have workspaces", onMLflow(mlflowURL, `workspace: team-a, caSecretRef: {name: ca, key: ca.crt}`), accepted),
	Entry("an empty workspace is none", onMLflow(mlflowURL, `workspace: ""`), "spec.mlflow.workspace"),

	Entry("looking every second is the most", onWandb(wandbURL, `interval: 1s, fullInterval: 1s`), accepted),
	Entry("days are written in hours", onWandb(wandbURL, `interval: 1m30s, fullInterval: 48h`), accepted),
	Entry("less than a second is too often", onWandb(wandbURL, `interval: 999ms`), "interval must be a duration of at least 1s"),
	Entry("zero is too often", onWandb(wandbURL, `interval: 0s`), "interval must be a duration of at least 1s"),
	Entry("time does not run backwards", onWandb(wandbURL, `interval: -5m`), "interval must be a duration of at least 1s"),
	Entry("for the full look, too", onWandb(wandbURL, `fullInterval: 10ms`), "fullInterval must be a duration of at least 1s"),
	Entry("a word is no duration", onWandb(wandbURL, `interval: often`), "interval must be a duration of at least 1s"),
	Entry("a number alone has no unit", onWandb(wandbURL, `interval: "30"`), "interval must be a duration of at least 1s"),
	Entry("an unquoted one neither", onWandb(wandbURL, `interval: 30`), "must be of type string"),
	Entry("an empty one is none", onWandb(wandbURL, `interval: ""`), "interval must be a duration of at least 1s"),
	Entry("Go knows no days", onWandb(wandbURL, `fullInterval: 2d`), "fullInterval must be a duration of at least 1s"),

	Entry("the ceiling is a policy", onWandb(wandbURL, `maxTagPolicy: Observe`), accepted),
	Entry("runs may be imported", onWandb(wandbURL, `import: {policy: Active, tags: [a], withoutTags: [b], limit: 1, ttlAfterFinished: 1h30m}`), accepted),
	Entry("all of them", onWandb(wandbURL, `import: {policy: All, limit: 100000}`), accepted),
	Entry("by tag alone", onWandb(wandbURL, `import: {tags: ["it's", 'a"b']}`), accepted),
	Entry("kept no longer than their end", onWandb(wandbURL, `import: {policy: Active, ttlAfterFinished: 0s}`), accepted),
	Entry("other policies do not exist", onWandb(wandbURL, `import: {policy: Some}`), `supported values: "None", "Linked", "Active", "All"`),
	Entry("policies are written with a capital", onWandb(wandbURL, `import: {policy: linked}`), "Unsupported value"),
	Entry("those of this namespace's pods", onWandb(wandbURL, `import: {policy: Linked, ttlAfterFinished: 1h}`), accepted),
	Entry("none of them", onWandb(wandbURL, `import: {policy: None}`), accepted),
	Entry("no run at all is None", onWandb(wandbURL, `import: {policy: All, limit: 0}`), "spec.import.limit"),
	Entry("an unbounded import would fill the cluster", onWandb(wandbURL, `import: {policy: All, limit: 100001}`), "spec.import.limit"),
	Entry("32 tags to import fit", onWandb(wandbURL, `import: {tags: `+tagList(32)+`, withoutTags: `+tagList(32)+`}`), accepted),
	Entry("33 do not", onWandb(wandbURL, `import: {tags: `+tagList(33)+`}`), "must have at most 32 items"),
	Entry("nor 33 that keep out", onWandb(wandbURL, `import: {withoutTags: `+tagList(33)+`}`), "must have at most 32 items"),
	Entry("a tag to import has a name", onWandb(wandbURL, `import: {tags: [""]}`), "spec.import.tags[0]"),
	Entry("as long as a tag may be", onWandb(wandbURL, `import: {tags: [`+long(250)+`]}`), accepted),
	Entry("and no longer", onWandb(wandbURL, `import: {withoutTags: [`+long(251)+`]}`), "spec.import.withoutTags[0]"),
	Entry("a tag is named once", onWandb(wandbURL, `import: {tags: [a, a]}`), "Duplicate value"),
	Entry("no run ended in the future", onWandb(wandbURL, `import: {ttlAfterFinished: -1h}`), badTTL),
	Entry("a word is no ttl", onWandb(wandbURL, `import: {ttlAfterFinished: long}`), badTTL),
	Entry("days are no unit of Go's here either", onWandb(wandbURL, `import: {ttlAfterFinished: 7d}`), badTTL),
	Entry("Go can't hold three centuries, and could not read the list of projects any more", onWandb(wandbURL, `import: {ttlAfterFinished: 2628000h}`), badTTL),
	Entry("a ttl has a unit", onWandb(wandbURL, `import: {ttlAfterFinished: 3600}`), "must be of type string"),
	Entry("a tag may be for one run alone", onWandb(wandbURL, `uniqueTags: [in_production, "needs review", 日本語]`), accepted),
	Entry("on MLflow with a value", onMLflowWith(`uniqueTags: [stage=production]`), accepted),
	Entry("none is no different from no list", onWandb(wandbURL, `uniqueTags: []`), accepted),
	Entry("32 of them fit", onWandb(wandbURL, `uniqueTags: `+tagList(32)), accepted),
	Entry("33 do not", onWandb(wandbURL, `uniqueTags: `+tagList(33)), "must have at most 32 items"),
	Entry("an empty one is none", onWandb(wandbURL, `uniqueTags: [""]`), "spec.uniqueTags[0]"),
	Entry("a blank in front of one can't be seen", onWandb(wandbURL, `uniqueTags: [a, " b"]`), blankTag),
	Entry("nor one at its end", onWandb(wandbURL, `uniqueTags: ["a "]`), blankTag),
	Entry("one is named once", onWandb(wandbURL, `uniqueTags: [a, b, a]`), "Duplicate value"),
	Entry("it is as long as a tag may be", onWandb(wandbURL, `uniqueTags: [`+long(250)+`]`), accepted),
	Entry("and no longer than that", onWandb(wandbURL, `uniqueTags: [`+long(251)+`]`), "spec.uniqueTags[0]"),
	Entry("other ceilings do not exist", onWandb(wandbURL, `maxTagPolicy: None`), `supported values: "Observe", "Add", "Merge", "Exclusive"`),
)

// wandbOf and mlflowOf differ in what must not change.
func wandbOf(entity, project string) string {
	return fmt.Sprintf(`{wandb: {entity: %s, project: %s, apiKeySecretRef: {name: wandb, key: api-key}}}`, entity, project)
}

var _ = DescribeTable("Changing a TrackingProject", func(ctx SpecContext, before, after, outcome string) {
	obj := object("TrackingProject", before)
	Expect(k8sClient.Create(ctx, obj)).To(Succeed())
	setSpec(obj, after)
	expectOutcome(k8sClient.Update(ctx, obj), outcome)
},
	Entry("another kind of tracker has other runs", onWandb(wandbURL, ""), onMLflow(mlflowURL, ""), "the kind of tracker can't be changed: make another TrackingProject"),
	Entry("and the other way round", onMLflow(mlflowURL, ""), onWandb(wandbURL, ""), "the kind of tracker can't be changed"),
	Entry("another entity has other projects", wandbOf("acme", "capsules"), wandbOf("evil", "capsules"), "entity can't be changed: make another TrackingProject"),
	Entry("another project has other runs", wandbOf("acme", "capsules"), wandbOf("acme", "other"), "project can't be changed: make another TrackingProject"),
	Entry("another workspace has other experiments", onMLflow(mlflowURL, "workspace: a"), onMLflow(mlflowURL, "workspace: b"), "workspace can't be changed: make another TrackingProject"),
	Entry("a workspace can't be added", onMLflow(mlflowURL, ""), onMLflow(mlflowURL, "workspace: a"), "workspace can't be changed"),
	Entry("nor taken away", onMLflow(mlflowURL, "workspace: a"), onMLflow(mlflowURL, ""), "workspace can't be changed"),
	Entry("a server may move", onWandb(wandbURL, ""), onWandb("https://new.example/wandb", ""), accepted),
	Entry("MLflow may move as well", onMLflow(mlflowURL, "workspace: a"), onMLflow("https://new.example", "workspace: a"), accepted),
	Entry("but not to nowhere", onWandb(wandbURL, ""), onWandb("https://me@new.example", ""), badURL),
	Entry("experiments come and go", onMLflow(mlflowURL, ""), `{mlflow: {trackingURI: "https://mlflow.example", experiments: [other]}}`, accepted),
	Entry("keys are rotated", onWandb(wandbURL, ""), `{wandb: {entity: acme, project: capsules, apiKeySecretRef: {name: new, key: new}}}`, accepted),
	Entry("so does what is imported", onWandb(wandbURL, `import: {policy: Active}`), onWandb(wandbURL, `import: {policy: Linked}`), accepted),
	Entry("to all of it", onWandb(wandbURL, ""), onWandb(wandbURL, `import: {policy: All}`), accepted),
	Entry("so do tags for one run alone", onWandb(wandbURL, `uniqueTags: [a, b]`), onWandb(wandbURL, `uniqueTags: [b, c]`), accepted),
	Entry("ceiling, intervals and suspension may change", onWandb(wandbURL, ""), onWandb(wandbURL, `maxTagPolicy: Exclusive, interval: 5s, fullInterval: 1h, suspend: true`), accepted),
)

var _ = Describe("A TrackingProject", func() {
	It("shows the defaults when read, also to clients in Go", func(ctx SpecContext) {
		project := &v1alpha1.TrackingProject{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "x-"},
			Spec: v1alpha1.TrackingProjectSpec{Wandb: &v1alpha1.WandbProject{
				Entity: "acme", Project: "capsules", APIKeySecretRef: v1alpha1.SecretKeyReference{Name: "wandb", Key: "api-key"},
			}},
		}
		Expect(k8sClient.Create(ctx, project)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(project), project)).To(Succeed())
		Expect(project.Spec.Wandb.BaseURL).To(Equal("https://api.wandb.ai"))
		Expect(project.Spec.MaxTagPolicy).To(Equal(v1alpha1.TagPolicyMerge))
		Expect(project.Spec.Interval.Duration).To(Equal(30 * time.Second))
		Expect(project.Spec.FullInterval.Duration).To(Equal(10 * time.Minute))
	})

	It("imports the runs of its pods when a client in Go says nothing", func(ctx SpecContext) {
		project := &v1alpha1.TrackingProject{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "x-"},
			Spec:       v1alpha1.TrackingProjectSpec{MLflow: &v1alpha1.MLflowProject{TrackingURI: mlflowURL, Experiments: []string{"a"}}},
		}
		Expect(k8sClient.Create(ctx, project)).To(Succeed())
		Expect(project.Spec.Import.Policy).To(Equal(v1alpha1.ImportLinked))
	})

	It("shows switches that are off", func(ctx SpecContext) {
		obj := object("TrackingProject", wandbOf("acme", "capsules"))
		Expect(k8sClient.Create(ctx, obj)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), obj)).To(Succeed())
		spec := obj.Object["spec"].(map[string]any)
		Expect(spec).To(HaveKeyWithValue("suspend", false))
		Expect(spec["wandb"]).To(HaveKeyWithValue("bulkEdits", false))
	})

	It("has a status that only the status subresource writes", func(ctx SpecContext) {
		obj := object("TrackingProject", wandbOf("acme", "capsules"))
		Expect(k8sClient.Create(ctx, obj)).To(Succeed())
		project := &v1alpha1.TrackingProject{}
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), project)).To(Succeed())

		project.Status = fullProjectStatus()
		project.Spec.Suspend = true
		Expect(k8sClient.Status().Update(ctx, project)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), project)).To(Succeed())
		Expect(project.Spec.Suspend).To(BeFalse())
		Expect(project.Status).To(Equal(fullProjectStatus()), "every field must come back as it was written")

		project.Status = v1alpha1.TrackingProjectStatus{}
		project.Spec.Suspend = true
		Expect(k8sClient.Update(ctx, project)).To(Succeed())
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), project)).To(Succeed())
		Expect(project.Status).To(Equal(fullProjectStatus()))
	})

	It("has room in its status for the longest names of Secrets", func(ctx SpecContext) {
		obj := object("TrackingProject", wandbOf("acme", "capsules"))
		Expect(k8sClient.Create(ctx, obj)).To(Succeed())
		project := &v1alpha1.TrackingProject{}
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), project)).To(Succeed())
		secret := strings.Repeat("s", 253) + "=ffffffff-ffff-ffff-ffff-ffffffffffff/18446744073709551615"
		project.Status.Verified = &v1alpha1.VerifiedSource{URL: wandbURL, Secrets: secret + "," + secret}
		Expect(k8sClient.Status().Update(ctx, project)).To(Succeed())
	})
})

var _ = DescribeTable("What unique tags write to a project's status", func(ctx SpecContext, tags []v1alpha1.UniqueTagStatus, outcome string) {
	obj := object("TrackingProject", wandbOf("acme", "capsules"))
	Expect(k8sClient.Create(ctx, obj)).To(Succeed())
	project := &v1alpha1.TrackingProject{}
	Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), project)).To(Succeed())
	project.Status.UniqueTags = tags
	expectOutcome(k8sClient.Status().Update(ctx, project), outcome)
},
	Entry("all that may be unique fit", many(32, func(i int) v1alpha1.UniqueTagStatus { return v1alpha1.UniqueTagStatus{Name: fmt.Sprint(i)} }), accepted),
	Entry("one more does not", many(33, func(i int) v1alpha1.UniqueTagStatus { return v1alpha1.UniqueTagStatus{Name: fmt.Sprint(i)} }), "status.uniqueTags: Too many"),
	Entry("a tag stands there once", many(2, func(int) v1alpha1.UniqueTagStatus { return v1alpha1.UniqueTagStatus{Name: "a"} }), "Duplicate value"),
	Entry("the longest tags, ids and messages fit", []v1alpha1.UniqueTagStatus{{Name: long(250), Holder: long(128), Wanted: long(128), Blocked: long(512)}}, accepted),
	Entry("no longer tag is unique", []v1alpha1.UniqueTagStatus{{Name: long(251)}}, "status.uniqueTags[0].name: Too long"),
	Entry("no run has a longer id", []v1alpha1.UniqueTagStatus{{Name: "a", Holder: long(129)}}, "status.uniqueTags[0].holder: Too long"),
	Entry("a longer message is cut", []v1alpha1.UniqueTagStatus{{Name: "a", Blocked: long(513)}}, "status.uniqueTags[0].blocked: Too long"),
	Entry("and the name of one that has no run yet", []v1alpha1.UniqueTagStatus{{Name: "a", Wanted: long(129)}}, "status.uniqueTags[0].wanted: Too long"),
)

// fullProjectStatus has every field set.
func fullProjectStatus() v1alpha1.TrackingProjectStatus {
	at := metav1.NewTime(time.Unix(1_800_000_000, 0))
	runs := int32(0)
	return v1alpha1.TrackingProjectStatus{
		ObservedGeneration: 1,
		Conditions: []metav1.Condition{{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonLooking, LastTransitionTime: at,
		}},
		Backend:     "wandb",
		Project:     "acme/capsules",
		Runs:        &runs,
		TrackedRuns: 3,
		Pending:     &v1alpha1.PendingCounts{Runs: 1, Adds: 2, Removes: 3},
		Tags:        []v1alpha1.TagCount{{Name: "baseline", Count: 3}},
		UniqueTags: []v1alpha1.UniqueTagStatus{{
			Name: "in_production", Holder: "3f9a1c", Wanted: "77b0d2", Since: &at, UndeclaredSince: &at, Blocked: "there is no run 77b0d2",
		}},
		Verified: &v1alpha1.VerifiedSource{URL: wandbURL, Secrets: "wandb=uid/1"},
	}
}

var _ = DescribeTable("The defaults of import", func(ctx SpecContext, fields, want string) {
	obj := object("TrackingProject", onWandb(wandbURL, fields))
	Expect(k8sClient.Create(ctx, obj)).To(Succeed())
	spec, ok := obj.Object["spec"].(map[string]any)
	Expect(ok).To(BeTrue())
	Expect(spec["import"]).To(BeEquivalentTo(fromYAML(want)))
},
	Entry("runs of the namespace's own pods are imported", "", `{policy: Linked, limit: 1000, ttlAfterFinished: 168h}`),
	Entry("an empty import says no more", `import: {}`, `{policy: Linked, limit: 1000, ttlAfterFinished: 168h}`),
	Entry("a filter is for the same runs", `import: {withoutTags: [private]}`, `{policy: Linked, limit: 1000, ttlAfterFinished: 168h, withoutTags: [private]}`),
	Entry("nothing is imported where that is asked for", `import: {policy: None}`, `{policy: None, limit: 1000, ttlAfterFinished: 168h}`),
	Entry("what is given stays", `import: {policy: Active, limit: 7, ttlAfterFinished: 0s}`, `{policy: Active, limit: 7, ttlAfterFinished: 0s}`),
)

func fromYAML(text string) map[string]any {
	GinkgoHelper()
	var fields map[string]any
	Expect(yaml.Unmarshal([]byte(text), &fields)).To(Succeed())
	if n, ok := fields["limit"].(float64); ok {
		fields["limit"] = int64(n) // as the API server's decoder has it
	}
	return fields
}

var _ = It("A typed project leaves the defaults of import to the server", func(ctx SpecContext) {
	project := &v1alpha1.TrackingProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "x-"},
		Spec: v1alpha1.TrackingProjectSpec{Wandb: &v1alpha1.WandbProject{
			Entity: "acme", Project: "capsules", APIKeySecretRef: v1alpha1.SecretKeyReference{Name: "wandb", Key: "api-key"},
		}},
	}
	project.Spec.Import.Policy = v1alpha1.ImportActive
	Expect(k8sClient.Create(ctx, project)).To(Succeed())
	Expect(project.Spec.Import).To(Equal(v1alpha1.ImportSpec{
		Policy: v1alpha1.ImportActive, Limit: 1000, TTLAfterFinished: metav1.Duration{Duration: 168 * time.Hour},
	}))
})
