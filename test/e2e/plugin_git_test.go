package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// foretoldSpecs are about what is said of manifests before they are applied, and what they do then.
func foretoldSpecs(t tracker, editor *person) {
	It("exports what people declared, and foretells what an edit of it does", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		name := s.declare(ctx, run)
		s.expectReady(ctx, name)
		editor.does(ctx, "add", "keep", name, "--wait")

		exported := editor.does(ctx, "export", name).out
		Expect(exported).To(And(ContainSubstring("tags:\n  - keep\n"), Not(ContainSubstring("foreign")), Not(ContainSubstring("status:")), Not(ContainSubstring("managedFields"))))
		file := writeManifest(s.project, strings.Replace(exported, "  - keep\n", "  - keep\n  - planned\n", 1))
		mark := t.traffic().mark()
		planned := editor.does(ctx, "plan", "-f", file)
		Expect(planned.out).To(And(ContainSubstring("planned"), ContainSubstring(name), Not(ContainSubstring("keep")), Not(ContainSubstring("foreign"))), planned.String)
		s.expectLooks(ctx, 2)
		s.expectNothingWritten(mark)

		applied := editor.types(ctx, "-n", s.namespace, "apply", "-f", file)
		Expect(applied.code).To(BeZero(), applied.String)
		s.expectTagsOnTracker(ctx, run, "foreign", "keep", "planned")
		s.expectReady(ctx, name)
		after := editor.does(ctx, "plan", "-f", file)
		Expect(after.out).NotTo(ContainSubstring("planned"), after.String)
	})

	It("tries a rule out, counts what it does, and overrules it for one run", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run, other := s.train(ctx, "foreign"), s.train(ctx)
		name, otherName := s.declare(ctx, run), s.declare(ctx, other)
		s.expectStatusTags(ctx, name, "foreign (Run)")
		s.expectReady(ctx, otherName)
		file := writeManifest(s.project, fmt.Sprintf(`
apiVersion: tracking.runtag.dev/v1alpha1
kind: TagRule
metadata: {name: %[1]s}
spec:
  when: '"foreign" in tags'
  tags: [found]
  runSelector: {matchLabels: {tracking.runtag.dev/project: %[1]s}}
`, s.project))
		mark := t.traffic().mark()
		tried := editor.does(ctx, "rule", "test", "-f", file, name, otherName)
		Expect(tried.out).To(And(ContainSubstring("found"), ContainSubstring(name), ContainSubstring(otherName)), tried.String)
		missed := editor.runtag(ctx, "rule", "test", "-f", file, otherName)
		Expect(missed.code).To(Equal(3), missed.String)
		s.expectLooks(ctx, 2)
		s.expectNothingWritten(mark)

		applied := editor.types(ctx, "-n", s.namespace, "apply", "-f", file)
		Expect(applied.code).To(BeZero(), applied.String)
		s.expectTagsOnTracker(ctx, run, "foreign", "found")
		s.expectTagsOnTracker(ctx, other)
		Eventually(func() string { return editor.does(ctx, "rule", "ls").out }).Should(MatchRegexp(`(?m)`+s.project+` .*\b1\b`), s.explain(ctx))
		Expect(editor.does(ctx, "why", name, "found").out).To(ContainSubstring("TagRule/" + s.project))

		editor.does(ctx, "rm", "found", name, "--wait")
		s.expectTagsOnTracker(ctx, run, "foreign")
		s.expectLooks(ctx, 3)
		s.expectTagsOnTracker(ctx, run, "foreign")
		Expect(editor.does(ctx, "why", name, "found").out).To(ContainSubstring("a person took it off"))
	})
}

// writeManifest keeps a manifest in a file, as people do.
func writeManifest(name, manifest string) (path string) {
	GinkgoHelper()
	path = filepath.Join(suite.dir, name+".yaml")
	Expect(os.WriteFile(path, []byte(manifest), 0o600)).To(Succeed())
	return path
}
