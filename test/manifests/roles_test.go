package manifests_test

import (
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const (
	team      = "team"
	elsewhere = "elsewhere"
)

const run = `
apiVersion: tracking.runtag.dev/v1alpha1
kind: TrainingRun
metadata: {name: %s}
spec: {projectRef: {name: capsules}, runID: %[1]s}
`

const project = `
apiVersion: tracking.runtag.dev/v1alpha1
kind: TrackingProject
metadata: {name: %s}
spec: {wandb: {entity: acme, project: capsules, apiKeySecretRef: {name: wandb, key: api-key}}}
`

const rule = `
apiVersion: tracking.runtag.dev/v1alpha1
kind: %s
metadata: {name: %s}
spec: {when: "true", tags: [a]}
`

const change = `
apiVersion: tracking.runtag.dev/v1alpha1
kind: TagChange
metadata: {name: %s}
spec: {projectRef: {name: capsules}, select: {tags: [debug]}, rename: [{from: debug, to: wip}]}
`

var _ = Describe("The role", Ordered, func() {
	roles := []string{"viewer", "editor", "admin"}

	BeforeAll(func(ctx SpecContext) {
		// As make deploy makes them; nothing else of that is needed here.
		var found []string
		for _, doc := range strings.Split(kubectl(ctx, "", "kustomize", config+"/default"), "\n---\n") {
			for _, role := range roles {
				if strings.Contains(doc, "kind: ClusterRole\n") && strings.Contains(doc, "name: runtag-"+role+"\n") {
					found = append(found, role)
					kubectl(ctx, doc, "apply", "-f", "-")
				}
			}
		}
		Expect(found).To(ConsistOf(roles))
		for _, ns := range []string{team, elsewhere} {
			kubectl(ctx, "", "create", "namespace", ns)
			kubectl(ctx, fmt.Sprintf(run, "there"), "apply", "-n", ns, "-f", "-")
			kubectl(ctx, fmt.Sprintf(project, "there"), "apply", "-n", ns, "-f", "-")
			kubectl(ctx, fmt.Sprintf(rule, "TagRule", "there"), "apply", "-n", ns, "-f", "-")
			kubectl(ctx, fmt.Sprintf(change, "there"), "apply", "-n", ns, "-f", "-")
			kubectl(ctx, "", "create", "configmap", "there-undo-000", "-n", ns, "--from-literal=runs={}")
			kubectl(ctx, "", "create", "secret", "generic", "wandb", "-n", ns, "--from-literal=api-key=k")
		}
		kubectl(ctx, fmt.Sprintf(rule, "ClusterTagRule", "there"), "apply", "-f", "-")
		for _, role := range roles {
			kubectl(ctx, "", "create", "clusterrolebinding", "all-"+role, "--clusterrole=runtag-"+role, "--user=all-"+role)
			kubectl(ctx, "", "create", "rolebinding", role, "-n", team, "--clusterrole=runtag-"+role, "--user="+role)
		}
	})

	DescribeTable("lets people", func(ctx SpecContext, allowed []string, input string, args ...string) {
		for _, role := range roles {
			out, err := try(ctx, input, append([]string{"--as", role}, args...)...)
			if slices.Contains(allowed, role) {
				Expect(err).NotTo(HaveOccurred(), "%s: %s", role, out)
			} else {
				Expect(err).To(HaveOccurred(), "%s: %s", role, out)
				Expect(strings.ToLower(out)).To(ContainSubstring("forbidden"), role)
			}
		}
	},
		Entry("see runs", roles, "", "get", "trun", "-n", team),
		Entry("see one", roles, "", "get", "trun", "there", "-n", team, "-o", "yaml"),
		Entry("see projects", roles, "", "get", "tproj", "there", "-n", team),
		Entry("label a run", roles[1:], "", "label", "trun", "there", "-n", team, "--overwrite", "tag.runtag.dev/baseline="),
		Entry("label many", roles[1:], "", "label", "trun", "-n", team, "--overwrite", "-l", "tag.runtag.dev/baseline", "tag.runtag.dev/other="),
		Entry("annotate a run", roles[1:], "", "annotate", "trun", "there", "-n", team, "--overwrite", `tracking.runtag.dev/tags=["a b"]`),
		Entry("apply a run", roles[1:], fmt.Sprintf(run, "made"), "apply", "-n", team, "-f", "-"),
		Entry("apply a run on the server's side", roles[1:], fmt.Sprintf(run, "made"), "apply", "--server-side", "--force-conflicts", "-n", team, "-f", "-"),
		Entry("replace a run", roles[1:], fmt.Sprintf(run, "there"), "replace", "-n", team, "-f", "-"),
		Entry("delete a run", roles[1:], "", "delete", "trun", "none", "-n", team, "--ignore-not-found"),
		Entry("delete all runs", roles[1:], "", "delete", "--raw", "/apis/tracking.runtag.dev/v1alpha1/namespaces/"+team+"/trainingruns?labelSelector=none"),
		Entry("edit a project", roles[2:], "", "patch", "tproj", "there", "-n", team, "--type=merge", "-p", `{"spec": {"maxTagPolicy": "Merge"}}`),
		Entry("apply a project", roles[2:], fmt.Sprintf(project, "made"), "apply", "-n", team, "-f", "-"),
		Entry("delete a project", roles[2:], "", "delete", "tproj", "none", "-n", team, "--ignore-not-found"),
		Entry("see rules", roles, "", "get", "trule", "-n", team),
		Entry("see one rule", roles, "", "get", "trule", "there", "-n", team, "-o", "yaml"),
		Entry("apply a rule: it sees what they see", roles[1:], fmt.Sprintf(rule, "TagRule", "made"), "apply", "-n", team, "-f", "-"),
		Entry("apply a rule on the server's side", roles[1:], fmt.Sprintf(rule, "TagRule", "made"), "apply", "--server-side", "--force-conflicts", "-n", team, "-f", "-"),
		Entry("replace a rule", roles[1:], fmt.Sprintf(rule, "TagRule", "there"), "replace", "-n", team, "-f", "-"),
		Entry("take a rule back", roles[1:], "", "patch", "trule", "there", "-n", team, "--type=merge", "-p", `{"spec": {"mode": "Retract"}}`),
		Entry("delete a rule", roles[1:], "", "delete", "trule", "none", "-n", team, "--ignore-not-found"),
		Entry("delete all rules", roles[1:], "", "delete", "--raw", "/apis/tracking.runtag.dev/v1alpha1/namespaces/"+team+"/tagrules?labelSelector=none"),
		Entry("write a rule's status", nil, "", "patch", "trule", "there", "-n", team, "--subresource=status", "--type=merge", "-p", `{"status": {"matchedRuns": 1}}`),
		Entry("see rules of others", nil, "", "get", "trule", "-n", elsewhere),
		Entry("write rules of others", nil, fmt.Sprintf(rule, "TagRule", "made"), "create", "-n", elsewhere, "-f", "-"),
		Entry("see bulk changes", roles, "", "get", "tchg", "-n", team),
		Entry("see one bulk change", roles, "", "get", "tchg", "there", "-n", team, "-o", "yaml"),
		Entry("make a bulk change: it is what many TrainingRuns would do", roles[1:], fmt.Sprintf(change, "new"), "create", "--dry-run=server", "-n", team, "-f", "-"),
		Entry("apply a bulk change", roles[1:], fmt.Sprintf(change, "made"), "apply", "-n", team, "-f", "-"),
		Entry("let it begin", roles[1:], "", "patch", "tchg", "there", "-n", team, "--type=merge", "-p", `{"spec": {"apply": true}}`),
		Entry("stop a bulk change", roles[1:], "", "delete", "tchg", "none", "-n", team, "--ignore-not-found"),
		Entry("stop all bulk changes", roles[1:], "", "delete", "--raw", "/apis/tracking.runtag.dev/v1alpha1/namespaces/"+team+"/tagchanges?labelSelector=none"),
		Entry("say what a bulk change did", nil, "", "patch", "tchg", "there", "-n", team, "--subresource=status", "--type=merge", "-p", `{"status": {"done": 1}}`),
		Entry("read what a bulk change wrote down: that takes a role of the cluster's", nil, "", "get", "configmap", "there-undo-000", "-n", team),
		Entry("see bulk changes of others", nil, "", "get", "tchg", "-n", elsewhere),
		Entry("change runs of others", nil, fmt.Sprintf(change, "made"), "create", "-n", elsewhere, "-f", "-"),
		Entry("see rules of the cluster: a RoleBinding can't let them", nil, "", "get", "ctrule"),
		Entry("write a rule for all", nil, fmt.Sprintf(rule, "ClusterTagRule", "made"), "create", "-f", "-"),
		Entry("write a status: that is the operator's", nil, "", "patch", "trun", "there", "-n", team, "--subresource=status", "--type=merge", "-p", `{"status": {"tagCount": 1}}`),
		Entry("write a project's status", nil, "", "patch", "tproj", "there", "-n", team, "--subresource=status", "--type=merge", "-p", `{"status": {"trackedRuns": 1}}`),
		Entry("read the key", nil, "", "get", "secret", "wandb", "-n", team),
		Entry("see runs of others", nil, "", "get", "trun", "-n", elsewhere),
		Entry("label runs of others", nil, "", "label", "trun", "there", "-n", elsewhere, "--overwrite", "tag.runtag.dev/baseline="),
		Entry("see the runs of all", nil, "", "get", "trun", "--all-namespaces"),
	)

	It("lets people read what a bulk change wrote down where they are bound to the cluster's own, which it joins", func(ctx SpecContext) {
		// No controller manager is here to put the cluster's roles together: this is the part that view, edit and admin share.
		kubectl(ctx, "", "create", "rolebinding", "own", "-n", team, "--clusterrole=system:aggregate-to-view", "--user=viewer")
		kubectl(ctx, "", "get", "configmap", "there-undo-000", "-n", team, "--as", "viewer")
		_, err := try(ctx, "", "get", "configmap", "there-undo-000", "-n", elsewhere, "--as", "viewer")
		Expect(err).To(HaveOccurred())
	})

	It("lets people see rules of the cluster where it is bound in all of it, and write none", func(ctx SpecContext) {
		for _, role := range roles {
			kubectl(ctx, "", "get", "ctrule", "there", "--as", "all-"+role)
			for _, verb := range []string{"create", "update", "patch", "delete", "deletecollection"} {
				out, err := try(ctx, "", "auth", "can-i", verb, "clustertagrules.tracking.runtag.dev", "--as", "all-"+role)
				Expect(err).To(HaveOccurred(), "%s may %s", role, verb)
				Expect(strings.TrimSpace(out)).To(HaveSuffix("no"))
			}
		}
	})

	It("joins the role of the cluster that is as strong", func(ctx SpecContext) {
		for role, joins := range map[string]string{"viewer": "view", "editor": "edit", "admin": "admin"} {
			Expect(kubectl(ctx, "", "get", "clusterrole", "runtag-"+role, "-o", "jsonpath={.metadata.labels}")).
				To(ContainSubstring(`"rbac.authorization.k8s.io/aggregate-to-` + joins + `":"true"`))
		}
	})
})
