package controllers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

// inGit is the manifest of run a with these labels, and spec.tags.
func inGit(labels labels, tags ...string) string {
	GinkgoHelper()
	metadata := map[string]any{"name": "a"}
	if labels != nil {
		metadata["labels"] = labels
	}
	spec := map[string]any{"projectRef": map[string]any{"name": controllerstest.ProjectName}, "runID": "a"}
	if tags != nil {
		spec["tags"] = tags
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "TrainingRun", "metadata": metadata, "spec": spec,
	})
	Expect(err).NotTo(HaveOccurred())
	return manifest(string(text))
}

// editor is a program for kubectl edit, which changes the file with sed.
func editor(script string) []string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "editor")
	Expect(os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\nexec sed -i -E '%s' \"$1\"\n", script), 0o700)).To(Succeed()) //nolint:gosec // it has to be run
	return []string{"KUBE_EDITOR=" + path}
}

var _ = Describe("Labels by kubectl apply", func() {
	var run *v1alpha1.TrainingRun

	BeforeEach(func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "foreign")
		run = h.NewRun("a")
		apply(h.NewProject())
	})

	It("stay what the manifest says, however often it is applied, beside those of the operator", func() {
		file := inGit(labels{"tag.runtag.dev/x": "", "app": "train"}, "specified")
		writes(1, func() { kubectl("apply", "-f", file) })
		h.ExpectTagsOn("a", "foreign", "specified", "x")
		all := labels{"foreign": "run", "specified": "spec", "x": ""}
		Expect(tagLabels(run)).To(Equal(all))
		for range 2 {
			writes(0, func() { Expect(kubectl("apply", "-f", file)).To(ContainSubstring("unchanged")) })
			Expect(tagLabels(run)).To(Equal(all))
		}

		By("a label that the manifest has no more is taken off, and its tag with it")
		writes(1, func() { kubectl("apply", "-f", inGit(labels{"app": "train"}, "specified")) })
		h.ExpectTagsOn("a", "foreign", "specified")
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "specified": "spec"}))
		Expect(run.Labels).To(HaveKeyWithValue("app", "train"))
	})

	It("are left alone by a manifest without labels", func() {
		file := inGit(nil, "specified")
		writes(1, func() { kubectl("apply", "-f", file) })
		writes(1, func() { label(run, "tag.runtag.dev/x=") })
		for range 2 {
			writes(0, func() { kubectl("apply", "-f", file) })
		}
		h.ExpectTagsOn("a", "foreign", "specified", "x")
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "specified": "spec", "x": ""}))
	})

	It("declare a foreign tag that is mirrored already", func() {
		writes(0, func() { kubectl("apply", "-f", inGit(nil)) })
		writes(0, func() { kubectl("apply", "-f", inGit(labels{"tag.runtag.dev/foreign": ""})) })
		Expect(applied(run)).To(ConsistOf("foreign"))
		writes(1, func() { kubectl("apply", "-f", inGit(labels{})) })
		h.ExpectTagsOn("a")
	})

	// For a custom resource kubectl takes the whole map off when the manifest has no labels any more: a wipe.
	It("come back when the manifest loses its whole block of labels", func() {
		writes(1, func() { kubectl("apply", "-f", inGit(labels{"tag.runtag.dev/x": ""})) })
		writes(0, func() { kubectl("apply", "-f", inGit(nil)) })
		h.ExpectTagsOn("a", "foreign", "x")
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "x": ""}))
		h.ExpectEvent(run, "Warning", "LabelsWiped", "no tag was taken off")
		writes(1, func() { label(run, "tag.runtag.dev/x-") })
		h.ExpectTagsOn("a", "foreign")
	})

	Context("--server-side", func() {
		serverSide := func(manager string, labels labels, more ...string) (string, error) {
			GinkgoHelper()
			return try(append([]string{"apply", "--server-side", "--field-manager=" + manager, "-f", inGit(labels)}, more...)...)
		}
		bySide := func(manager string, labels labels) func() {
			return func() {
				GinkgoHelper()
				out, err := serverSide(manager, labels)
				Expect(err).NotTo(HaveOccurred(), out)
			}
		}
		x, y, both := labels{"tag.runtag.dev/x": ""}, labels{"tag.runtag.dev/y": ""}, labels{"tag.runtag.dev/x": "", "tag.runtag.dev/y": ""}

		It("belong each to its manager, and go with the last one that leaves it out", func() {
			writes(1, bySide("alice", x))
			writes(1, bySide("bob", both))
			h.ExpectTagsOn("a", "foreign", "x", "y")
			Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "x": "", "y": ""}))
			writes(0, bySide("bob", both))

			By("bob leaves out the one that alice has too")
			writes(0, bySide("bob", y))
			h.ExpectTagsOn("a", "foreign", "x", "y")
			By("bob leaves out his own")
			writes(1, bySide("bob", nil))
			h.ExpectTagsOn("a", "foreign", "x")
			By("alice leaves out hers")
			writes(1, bySide("alice", nil))
			h.ExpectTagsOn("a", "foreign")
			Expect(tagLabels(run)).To(Equal(labels{"foreign": "run"}))
		})

		It("are not taken from the operator unless that is forced", func() {
			writes(0, bySide("alice", nil))
			writes(0, func() {
				out, err := serverSide("alice", labels{"tag.runtag.dev/foreign": ""})
				Expect(err).To(HaveOccurred())
				Expect(out).To(ContainSubstring(`conflict with "runtag"`))
			})
			Expect(tagLabels(run)).To(Equal(labels{"foreign": "run"}))
			writes(0, func() {
				out, err := serverSide("alice", labels{"tag.runtag.dev/foreign": ""}, "--force-conflicts")
				Expect(err).NotTo(HaveOccurred(), out)
			})
			Expect(applied(run)).To(ConsistOf("foreign"))
			writes(1, bySide("alice", nil))
			h.ExpectTagsOn("a")
		})
	})
})

var _ = Describe("Labels when the whole object is written", func() {
	var run *v1alpha1.TrainingRun
	all := labels{"foreign": "run", "specified": "spec", "labelled": ""}

	// whole is the object as kubectl gives it.
	whole := func() string {
		GinkgoHelper()
		return kubectl("get", "trun", "a", "-o", "yaml", "--show-managed-fields=false")
	}
	expectAll := func(more ...string) {
		GinkgoHelper()
		h.ExpectTagsOn("a", append([]string{"foreign", "specified", "labelled"}, more...)...)
		want := labels{}
		for name, value := range all {
			want[name] = value
		}
		for _, name := range more {
			want[name] = ""
		}
		Expect(tagLabels(run)).To(Equal(want))
		Expect(run.Labels).To(HaveKeyWithValue("tracking.runtag.dev/project", controllerstest.ProjectName))
	}

	BeforeEach(func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "foreign")
		apply(h.NewProject())
		kubectl("create", "-f", inGit(labels{"tag.runtag.dev/labelled": ""}, "specified"))
		h.Settle()
		run = h.NewRun("a")
		expectAll()
	})

	It("by replace with a manifest without labels come all back, and no tag is taken off", func() {
		writes(0, func() { kubectl("replace", "-f", inGit(nil, "specified")) })
		expectAll()
		h.ExpectEvent(run, "Warning", "LabelsWiped", "no tag was taken off")
		Expect(h.CountEvents(run, "LabelsWiped", nil)).To(Equal(1))
		Expect(removed(run)).To(BeEmpty())

		By("and are what they were: each can be taken off")
		writes(1, func() { label(run, "tag.runtag.dev/labelled-", "tag.runtag.dev/foreign-") })
		h.ExpectTagsOn("a", "specified")
	})

	It("by replace without annotations come back, and with them what an annotation declared", func() {
		writes(1, func() { kubectl("annotate", "trun", "a", mirror.AnnotationTags+`=["two words"]`) })
		writes(0, func() { kubectl("replace", "-f", inGit(nil, "specified")) })
		h.ExpectTagsOn("a", "foreign", "specified", "labelled", "two words")
		Expect(tagLabels(run)).To(Equal(all))
		Expect(run.Annotations).To(HaveKeyWithValue(mirror.AnnotationTags, `["two words"]`))
	})

	It("by replace with a manifest with labels come back beside the new ones", func() {
		writes(1, func() { kubectl("replace", "-f", inGit(labels{"tag.runtag.dev/x": ""}, "specified")) })
		expectAll("x")
	})

	It("by replace with what was read before are edited", func() {
		text := dropLines(dropLines(whole(), "tag.runtag.dev/labelled"), "tag.runtag.dev/foreign")
		writes(1, func() { kubectl("replace", "-f", manifest(text)) })
		h.ExpectTagsOn("a", "specified")
		Expect(h.CountEvents(run, "LabelsWiped", nil)).To(BeZero())
	})

	It("by an edit that deletes the whole block come all back", func() {
		writes(0, func() {
			out, err := tryWith(editor(`/^  labels:/,/^  [a-z]/{/^  labels:|^    /d}`), "edit", "trun", "a")
			Expect(err).NotTo(HaveOccurred(), out)
			h.Refresh(run)
			Expect(run.Labels).To(BeEmpty())
		})
		expectAll()
		h.ExpectEvent(run, "Warning", "LabelsWiped", "no tag was taken off")
	})

	It("by an edit that deletes some lines and adds one are as it says", func() {
		writes(1, func() {
			out, err := tryWith(editor(`/labelled|foreign/d; s|^(    )tag.runtag.dev/specified: spec|&\n\1tag.runtag.dev/x: ""|`), "edit", "trun", "a")
			Expect(err).NotTo(HaveOccurred(), out)
		})
		h.ExpectTagsOn("a", "specified", "x")
		Expect(tagLabels(run)).To(Equal(labels{"specified": "spec", "x": ""}))
	})

	DescribeTable("by a patch are as it says",
		func(kind, add, remove string) {
			writes(1, func() { kubectl("patch", "trun", "a", "--type="+kind, "-p", add) })
			expectAll("x")
			writes(1, func() { kubectl("patch", "trun", "a", "--type="+kind, "-p", remove) })
			h.ExpectTagsOn("a", "specified", "labelled")
			Expect(tagLabels(run)).To(Equal(labels{"specified": "spec", "labelled": ""}))
		},
		Entry("that is merged", "merge",
			`{"metadata":{"labels":{"tag.runtag.dev/x":""}}}`,
			`{"metadata":{"labels":{"tag.runtag.dev/x":null,"tag.runtag.dev/foreign":null}}}`),
		Entry("that is a list of operations", "json",
			`[{"op":"add","path":"/metadata/labels/tag.runtag.dev~1x","value":""}]`,
			`[{"op":"remove","path":"/metadata/labels/tag.runtag.dev~1x"},{"op":"remove","path":"/metadata/labels/tag.runtag.dev~1foreign"}]`),
	)

	It("by a strategic merge patch are as before, since the API server has none for our kinds", func() {
		writes(0, func() {
			out, err := try("patch", "trun", "a", "--type=strategic", "-p", `{"metadata":{"labels":{"tag.runtag.dev/x":""}}}`)
			Expect(err).To(HaveOccurred())
			Expect(out).To(ContainSubstring("is not supported"))
		})
		expectAll()
	})

	It("by a merge patch that takes them all come back", func() {
		writes(0, func() { kubectl("patch", "trun", "a", "--type=merge", "-p", `{"metadata":{"labels":null}}`) })
		expectAll()
	})

	DescribeTable("by a restore from a backup",
		func(edit func(*v1alpha1.TrainingRun), want labels, onRun ...string) {
			backup := &v1alpha1.TrainingRun{}
			Expect(yaml.Unmarshal([]byte(whole()), backup)).To(Succeed())
			h.ExpectDeleted(run)
			h.Settle()
			h.ExpectTagsOn("a", "foreign", "specified", "labelled")
			backup.ObjectMeta = metav1.ObjectMeta{Name: backup.Name, Labels: backup.Labels}
			edit(backup)
			text, err := yaml.Marshal(backup)
			Expect(err).NotTo(HaveOccurred())
			writes(0, func() { kubectl("create", "-f", manifest(string(text))) })
			Expect(tagLabels(run)).To(Equal(want))
			h.ExpectTagsOn("a", onRun...)
			h.ExpectReady(run, v1alpha1.ReasonSynced)
		},
		Entry("with mirrored labels go on as before", func(*v1alpha1.TrainingRun) {}, all, "foreign", "specified", "labelled"),
		Entry("with mirrored labels of tags that went meanwhile lose those labels, and nothing else", func(*v1alpha1.TrainingRun) {
			h.EditTags("a", []string{"new"}, []string{"foreign"})
		}, labels{"new": "run", "specified": "spec", "labelled": ""}, "new", "specified", "labelled"),
		Entry("without labels have them made anew; what a label declared is foreign now", func(r *v1alpha1.TrainingRun) { r.Labels = nil },
			labels{"foreign": "run", "specified": "spec", "labelled": "run"}, "foreign", "specified", "labelled"),
	)
})

// dropLines takes the lines away that contain the part.
func dropLines(text, part string) string {
	var kept []string
	for line := range strings.Lines(text) {
		if !strings.Contains(line, part) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
