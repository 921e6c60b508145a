package e2e_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// kubectlSpecs are about what people type and read.
func kubectlSpecs(t tracker) {
	It("can be used with kubectl alone", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		name := objectName(s.project, run.id)
		in := func(args ...string) string {
			return kubectl(ctx, append([]string{"--namespace", s.namespace}, args...)...)
		}
		manifest := fmt.Sprintf(`
apiVersion: tracking.runtag.dev/v1alpha1
kind: TrainingRun
metadata: {name: %s}
spec:
  projectRef: {name: %s}
  runID: %s
  tags: [ours]
`, name, s.project, run.id)
		out, err := tryKubectl(ctx, manifest, "--namespace", s.namespace, "apply", "-f", "-")
		Expect(err).NotTo(HaveOccurred(), out)

		Expect(in("wait", "--for=condition=Ready", "trun/"+name, "--timeout=1m")).To(ContainSubstring("condition met"))
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")

		lines := strings.Split(in("get", "trun", name, "-o", "wide"), "\n")
		Expect(strings.Fields(lines[0])).To(ContainElements("PROJECT", "RUN", "STATE", "TAGS", "READY", "POLICY", "REASON"))
		Expect(strings.Fields(lines[1])).To(ContainElements(name, s.project, run.id, "running", "foreign,ours", "True", "Merge", "Synced"))
		Expect(in("get", "trun", "-o", "name", "--field-selector", "spec.runID="+run.id)).To(Equal("trainingrun.tracking.runtag.dev/" + name + "\n"))
		Expect(in("get", "tproj", s.project)).To(MatchRegexp(`%s +%s .* True `, s.project, t.name()))
		Expect(in("explain", "trun.spec.deletionPolicy")).To(ContainSubstring("takes off what this object declared, and only that"))
		Eventually(func() string { return in("events", "--for", "trun/"+name) }).Should(ContainSubstring(`put "ours" on run ` + run.id))

		By("editing it, and asking for a look")
		in("patch", "trun", name, "--type=merge", "-p", `{"spec":{"tags":["edited"]}}`)
		s.expectTagsOnTracker(ctx, run, "edited", "foreign")
		s.expectReady(ctx, name)
		in("annotate", "trun", name, "tracking.runtag.dev/look-at=now")
		s.expectReady(ctx, name)
		out, err = tryKubectl(ctx, strings.Replace(manifest, run.id+"\n  tags", "another\n  tags", 1), "--namespace", s.namespace, "apply", "-f", "-")
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring("runID can't be changed"))
	})
}
