package manifests_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

const gitops = config + "/samples/gitops/"

var _ = Describe("A Git repository", func() {
	names := func(ctx SpecContext, namespace, kind string) []string {
		GinkgoHelper()
		return strings.Fields(kubectl(ctx, "", "get", kind, "-n", namespace, "-o", "name"))
	}

	DescribeTable("is applied as it is", func(ctx SpecContext, namespace string, create bool, args ...string) {
		if create {
			kubectl(ctx, "", "create", "namespace", namespace)
		}
		apply := append([]string{"apply"}, args...)
		for _, line := range strings.Split(strings.TrimSpace(kubectl(ctx, "", apply...)), "\n") {
			Expect(line).To(HaveSuffix(" created"))
		}
		Expect(names(ctx, namespace, "tproj")).To(HaveLen(1))
		Expect(names(ctx, namespace, "trun")).To(HaveLen(10))
		for _, line := range strings.Split(strings.TrimSpace(kubectl(ctx, "", apply...)), "\n") {
			Expect(line).To(HaveSuffix(" unchanged"), "Git has not changed")
		}
		// As Flux and Argo CD may do it; nothing is pruned by defaults that Git does not have.
		kubectl(ctx, "", append(apply, "--server-side", "--field-manager=flux", "--force-conflicts")...)
		Expect(names(ctx, namespace, "trun")).To(HaveLen(10))
		Expect(kubectl(ctx, "", "get", "trun", "-n", namespace, "-o", "jsonpath={.items[*].spec.projectRef.name}")).
			To(Equal(strings.TrimSpace(strings.Repeat("capsules ", 10))))
	},
		Entry("plain", "plain", true, "-n", "plain", "-k", gitops+"plain"),
		Entry("for team vision", "team-vision", false, "-k", gitops+"teams/vision"),
		Entry("for team language", "team-language", false, "-k", gitops+"teams/language"),
	)

	It("of two teams gives each its own project and label", func(ctx SpecContext) {
		for team, project := range map[string]string{"vision": "vision/segmentation", "language": "language/translation"} {
			out := kubectl(ctx, "", "kustomize", gitops+"teams/"+team)
			Expect(out).NotTo(ContainSubstring("replaced-by-the-team"))
			entity, name, _ := strings.Cut(project, "/")
			Expect(out).To(ContainSubstring("entity: " + entity + "\n"))
			Expect(out).To(ContainSubstring("project: " + name + "\n"))
			Expect(strings.Count(out, "team: "+team+"\n")).To(Equal(12), "on a namespace, a project and ten runs")
		}
	})
})

var _ = Describe("The samples", func() {
	It("are applied as they are", func(ctx SpecContext) {
		kubectl(ctx, "", "create", "namespace", "samples")
		out := kubectl(ctx, "", "apply", "-n", "samples", "-k", config+"/samples")
		Expect(strings.Count(out, " created")).To(Equal(8))
		Expect(kubectl(ctx, "", "get", "tchg", "-n", "samples", "-o", "jsonpath={.items[*].spec.apply}")).To(Equal("false"), "none is carried out by itself")
	})
})
