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

// columns are the fields of a line that kubectl printed.
func columns(line string) []string { return strings.Fields(line) }

var _ = Describe("kubectl", Ordered, func() {
	var run, project string

	BeforeAll(func(ctx SpecContext) {
		created := createRun(ctx, "shown", "shown-id")
		created.Status = fullStatus()
		Expect(k8sClient.Status().Update(ctx, created)).To(Succeed())
		run = created.Name

		obj := object("TrackingProject", wandbOf("acme", "capsules"))
		Expect(k8sClient.Create(ctx, obj)).To(Succeed())
		shown := &v1alpha1.TrackingProject{}
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(obj), shown)).To(Succeed())
		shown.Status = fullProjectStatus()
		Expect(k8sClient.Status().Update(ctx, shown)).To(Succeed())
		project = shown.Name
	})

	It("shows a run in a line", func(ctx SpecContext) {
		lines := strings.Split(kubectl(ctx, "", "get", "trainingrun", run), "\n")
		Expect(columns(lines[0])).To(HaveExactElements("NAME", "PROJECT", "RUN", "STATE", "TAGS", "READY", "AGE"))
		Expect(columns(lines[1])).To(HaveExactElements(run, "shown", "3f9a1c", "running", "baseline", "True", Not(BeEmpty())))
	})

	It("shows policy and reason where there is room", func(ctx SpecContext) {
		lines := strings.Split(kubectl(ctx, "", "get", "trun", run, "-o", "wide"), "\n")
		Expect(columns(lines[0])).To(ConsistOf("NAME", "PROJECT", "RUN", "STATE", "TAGS", "READY", "POLICY", "REASON", "AGE"))
		Expect(columns(lines[1])).To(ContainElements("Merge", "Synced"))
	})

	It("shows a project in a line", func(ctx SpecContext) {
		lines := strings.Split(kubectl(ctx, "", "get", "tproj", project), "\n")
		Expect(columns(lines[0])).To(HaveExactElements("NAME", "BACKEND", "PROJECT", "RUNS", "TRACKED", "PENDING", "READY", "AGE"))
		Expect(columns(lines[1])).To(HaveExactElements(project, "wandb", "acme/capsules", "0", "3", "1", "True", Not(BeEmpty())))
		Expect(kubectl(ctx, "", "get", "tproj", project, "-o", "wide")).To(ContainSubstring("Looking"))
	})

	It("shows a rule in a line", func(ctx SpecContext) {
		for _, kind := range []string{"TagRule", "ClusterTagRule"} {
			rule := createRule(ctx, kind)
			plural := strings.ToLower(kind) + "s"
			lines := strings.Split(kubectl(ctx, "", "get", plural, rule), "\n")
			Expect(lines[0]).To(ContainSubstring("LAST MATCH"), "one column")
			Expect(columns(strings.Replace(lines[0], "LAST MATCH", "LAST", 1))).
				To(HaveExactElements("NAME", "MODE", "RETENTION", "TAGS", "MATCHED", "LAST", "READY", "AGE"))
			Expect(columns(lines[1])).To(HaveExactElements(rule, "Report", "WhileTrue", `["spot"]`, "3", Not(BeEmpty()), "True", Not(BeEmpty())))
			wide := strings.Split(kubectl(ctx, "", "get", plural, rule, "-o", "wide"), "\n")
			Expect(columns(wide[0])).To(ContainElement("RETRACTED"))
			Expect(columns(wide[1])).To(ContainElement("5"))
		}
	})

	It("knows rules by their short names and in the category", func(ctx SpecContext) {
		for short, kind := range map[string]string{"trule": "TagRule", "ctrule": "ClusterTagRule"} {
			name := strings.ToLower(kind) + ".tracking.runtag.dev/" + createRule(ctx, kind)
			Expect(kubectl(ctx, "", "get", short, "-o", "name")).To(ContainSubstring(name))
			Expect(kubectl(ctx, "", "get", "runtag", "-o", "name")).To(ContainSubstring(name))
		}
	})

	It("shows a bulk change in a line", func(ctx SpecContext) {
		change := createChange(ctx)
		header := []any{"NAME", "PROJECT", "APPLY", "MATCHED", "PROGRESS", "CHANGED", "READY", "REASON", "AGE"}
		lines := strings.Split(kubectl(ctx, "", "get", "tagchange", change.Name), "\n")
		Expect(columns(lines[0])).To(HaveExactElements(header...))
		Expect(columns(lines[1])).To(HaveExactElements(change.Name, "capsules", "false", Not(BeEmpty())), "and nothing is known of it yet")

		change.Status = fullChangeStatus()
		Expect(k8sClient.Status().Update(ctx, change)).To(Succeed())
		lines = strings.Split(kubectl(ctx, "", "get", "tchg", change.Name), "\n")
		Expect(columns(lines[0])).To(HaveExactElements(header...))
		Expect(columns(lines[1])).To(HaveExactElements(change.Name, "capsules", "false", "300", "50/290", "40", "False", "Changing", Not(BeEmpty())))
		Expect(kubectl(ctx, "", "get", "runtag", "-o", "name")).To(ContainSubstring("tagchange.tracking.runtag.dev/" + change.Name))
	})

	It("waits for a bulk change to be done", func(ctx SpecContext) {
		change := createChange(ctx)
		change.Status = fullChangeStatus()
		change.Status.Conditions[1].Status = metav1.ConditionTrue
		Expect(k8sClient.Status().Update(ctx, change)).To(Succeed())
		Expect(kubectl(ctx, "", "wait", "tchg/"+change.Name, "--for=condition=Complete", "--timeout=10s")).To(ContainSubstring("condition met"))
	})

	It("shows everything of runtag by its category", func(ctx SpecContext) {
		out := kubectl(ctx, "", "get", "runtag", "-o", "name")
		Expect(out).To(ContainSubstring("trainingrun.tracking.runtag.dev/" + run))
		Expect(out).To(ContainSubstring("trackingproject.tracking.runtag.dev/" + project))
	})

	It("selects by fields", func(ctx SpecContext) {
		name := "trainingrun.tracking.runtag.dev/" + run + "\n"
		for _, selector := range []string{
			"spec.runID=shown-id", "spec.projectRef.name=shown", "spec.runID=shown-id,status.run.state=running",
		} {
			Expect(kubectl(ctx, "", "get", "trun", "-o", "name", "--field-selector", selector)).To(Equal(name), selector)
		}
		Expect(kubectl(ctx, "", "get", "trun", "-o", "name", "--field-selector", "spec.runID=shown-id,status.run.state=failed")).To(BeEmpty())
	})

	It("waits for the condition Ready", func(ctx SpecContext) {
		Expect(kubectl(ctx, "", "wait", "trun/"+run, "--for=condition=Ready", "--timeout=10s")).To(ContainSubstring("condition met"))
	})

	DescribeTable("explains", func(ctx SpecContext, field, meaning string) {
		Expect(strings.Join(columns(kubectl(ctx, "", "explain", field)), " ")).To(ContainSubstring(meaning))
	},
		Entry("what tags do", "trainingrun.spec.tags", "Several server-side appliers may each own their items."),
		Entry("what a policy may do", "trainingrun.spec.tagPolicy", "ENUM: Observe Add Merge Exclusive"),
		Entry("what a state may be", "trainingrun.status.run.state", "pending, running and preempting are active"),
		Entry("where the key is", "tproj.spec.wandb.apiKeySecretRef", "one of a service account is best"),
		Entry("what a rule reads", "tagrule.spec.when", "run, labels, tags, namespace, pods, nodes and workloads"),
		Entry("what becomes of its tags", "clustertagrule.spec.retention", "ENUM: Sticky WhileTrue"),
		Entry("what a rule may do", "tagrule.spec.mode", "ENUM: Enforce Report Suspend Retract"),
		Entry("which namespaces a rule is for", "clustertagrule.spec.namespaceSelector", "all of them where it is absent"),
		Entry("what rules found", "trainingrun.status.ruleTags.state", "Overruled once a person took the tag off"),
		Entry("how pods are found", "trainingrun.spec.podSelector", "docs/linking.md lists the ways"),
		Entry("and were found", "trainingrun.status.pods.boundBy", "ENUM: Name Env PodUID RunID Selector Host Gang"),
		Entry("which runs are imported", "tproj.spec.import.policy", "Linked for those that a pod of this namespace belongs to"),
		Entry("what only one run may carry", "tproj.spec.uniqueTags", "tags that at most one run of the project carries"),
		Entry("who has it", "tproj.status.uniqueTags.blocked", "why the tag does not move"),
		Entry("which runs a bulk change is for", "tagchange.spec.select", "whether they have a TrainingRun or not"),
		Entry("that it does nothing by itself", "tchg.spec.apply", "While it is false, runs are counted and shown, and nothing is written"),
		Entry("what a query is", "tagchange.spec.add", "With neither add, remove nor rename this is a query"),
		Entry("what becomes of values", "tagchange.spec.rename.from", "On MLflow a bare key keeps its value"),
		Entry("which states select", "tagchange.spec.select.states", "states of which the run has one"),
		Entry("how it is taken back", "tagchange.spec.undoOf", "as far as the tags are still as it left them"),
		Entry("and from what", "tagchange.status.undo", "what was changed on which run"),
		Entry("how often looks are", "tproj.spec.interval", "at least 1s"),
	)

	It("applies the rule that a person would write", func(ctx SpecContext) {
		const manifest = `
apiVersion: tracking.runtag.dev/v1alpha1
kind: %s
metadata: {name: by-hand}
spec:
  when: nodes.exists(n, n.label("cloud.google.com/gke-spot") == "true")
  tags: [preemptible]
  for: %s
`
		for _, kind := range []string{"TagRule", "ClusterTagRule"} {
			Expect(kubectl(ctx, fmt.Sprintf(manifest, kind, "30s"), "apply", "-f", "-")).To(ContainSubstring("created"))
			Expect(kubectl(ctx, fmt.Sprintf(manifest, kind, "30s"), "apply", "-f", "-")).To(ContainSubstring("unchanged"))
			Expect(kubectl(ctx, fmt.Sprintf(manifest, kind, "1m30s"), "apply", "-f", "-")).To(ContainSubstring("configured"))
			Expect(kubectl(ctx, "", "get", kind, "by-hand", "-o", "jsonpath={.spec.for}")).To(Equal("1m30s"), "as it was written")
		}
	})

	It("applies a bulk change once it was counted, and changes nothing else of it", func(ctx SpecContext) {
		const manifest = `
apiVersion: tracking.runtag.dev/v1alpha1
kind: TagChange
metadata: {name: by-hand}
spec:
  projectRef: {name: capsules}
  select: {tags: [%s], createdBefore: "2026-01-01T00:00:00Z"}
  rename: [{from: debug, to: wip}]
  apply: %t
  ttlAfterFinished: 720h
`
		Expect(kubectl(ctx, fmt.Sprintf(manifest, "debug", false), "apply", "-f", "-")).To(ContainSubstring("created"))
		Expect(kubectl(ctx, fmt.Sprintf(manifest, "debug", false), "apply", "-f", "-")).To(ContainSubstring("unchanged"))
		Expect(kubectl(ctx, "", "patch", "tchg", "by-hand", "--type=merge", "-p", `{"spec":{"apply":true}}`)).To(ContainSubstring("patched"))
		Expect(kubectl(ctx, fmt.Sprintf(manifest, "debug", true), "apply", "-f", "-")).NotTo(ContainSubstring("created"))
		out, err := tryKubectl(ctx, fmt.Sprintf(manifest, "other", true), "apply", "-f", "-")
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring(onlyApply))
	})

	It("applies the manifest that a person would write", func(ctx SpecContext) {
		const manifest = `
apiVersion: tracking.runtag.dev/v1alpha1
kind: TrainingRun
metadata: {name: %s}
spec:
  projectRef: {name: capsules}
  runID: 3f9a1c
  tags: [%s]
`
		Expect(kubectl(ctx, fmt.Sprintf(manifest, "by-hand", "baseline"), "apply", "-f", "-")).To(ContainSubstring("created"))
		Expect(kubectl(ctx, fmt.Sprintf(manifest, "by-hand", "baseline"), "apply", "-f", "-")).To(ContainSubstring("unchanged"))
		Expect(kubectl(ctx, fmt.Sprintf(manifest, "by-hand", "other"), "apply", "-f", "-")).To(ContainSubstring("configured"))
		Expect(kubectl(ctx, "", "get", "trun", "by-hand", "-o", "jsonpath={.spec.tags}")).To(Equal(`["other"]`))
	})
})
