package manifests_test

import (
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/rules"
)

var _ = Describe("The rules that are shipped", func() {
	It("are applied as they are, under the names that they have everywhere", func(ctx SpecContext) {
		apply := []string{"apply", "--server-side", "-k", config + "/rules"}
		kubectl(ctx, "", apply...)
		kubectl(ctx, "", apply...)
		Expect(strings.Fields(kubectl(ctx, "", "get", "ctrule", "-o", "jsonpath={.items[*].metadata.name}"))).
			To(ContainElements("preemptible", "preempted", "disrupted", "interrupted", "node-fault"))
	})
})

var _ = Describe("The samples' rules", func() {
	It("compile", func() {
		files, err := filepath.Glob(config + "/samples/*.yaml")
		Expect(err).NotTo(HaveOccurred())
		seen := 0
		for _, file := range files {
			text, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			for _, doc := range strings.Split(string(text), "\n---\n") {
				var rule v1alpha1.ClusterTagRule // has all fields of a TagRule
				Expect(yaml.Unmarshal([]byte(doc), &rule)).To(Succeed(), file)
				if !strings.HasSuffix(rule.Kind, "TagRule") {
					continue
				}
				seen++
				_, err := rules.Compile(rules.Spec{
					Key: rule.Kind + "/" + rule.Name, When: rule.Spec.When, Tags: rule.Spec.Tags, TagExpression: rule.Spec.TagExpression,
					NodeAnnotations: rule.Kind == "ClusterTagRule",
				})
				Expect(err).NotTo(HaveOccurred(), "%s of %s", rule.Name, file)
			}
		}
		Expect(seen).To(BeNumerically(">", 0), "rules in samples")
	})
})
