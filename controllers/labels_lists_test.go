package controllers_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

// unnameable are tags that W&B takes and that can't be names of labels.
var unnameable = []string{"two words", "a/b", strings.Repeat("x", 64), "_x", "v1.", "日本語"}

var _ = Describe("Tags that can't be labels", func() {
	var run *v1alpha1.TrainingRun

	prepare := func(ctx SpecContext, onRun ...string) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", onRun...)
		run = h.NewRun("a")
		apply(h.NewProject(ceiling(v1alpha1.TagPolicyExclusive)), run)
	}
	annotate := func(args ...string) {
		GinkgoHelper()
		kubectl(append([]string{"annotate", "--overwrite", "trainingrun", "a"}, args...)...)
	}
	annotation := func(key string) string {
		GinkgoHelper()
		h.Refresh(run)
		return run.Annotations[key]
	}

	It("are shown in the status alone", func(ctx SpecContext) {
		prepare(ctx, append([]string{"plain"}, unnameable...)...)
		writes(0, func() { h.Settle() })
		Expect(tagLabels(run)).To(Equal(labels{"plain": "run"}))
		var shown []string
		for _, t := range run.Status.Tags {
			shown = append(shown, t.Name)
			Expect(t.Mirrored).To(Equal(t.Name == "plain"), t.Name)
		}
		Expect(shown).To(ConsistOf(append([]string{"plain"}, unnameable...)))
		out, err := try("label", "trun", "a", "tag.runtag.dev/two words=")
		Expect(err).To(HaveOccurred(), out)
	})

	It("are declared by the annotation tags and go when it does", func(ctx SpecContext) {
		prepare(ctx, "foreign")
		writes(1, func() { annotate(mirror.AnnotationTags + "=" + mirror.Text(append([]string{"plain"}, unnameable...))) })
		h.ExpectTagsOn("a", append([]string{"foreign", "plain"}, unnameable...)...)
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "plain": "spec"}))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		writes(0, func() { label(run, "tag.runtag.dev/plain-") })
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "plain": "spec"}))
		writes(1, func() { annotate(mirror.AnnotationTags + `=["two words"]`) })
		h.ExpectTagsOn("a", "foreign", "two words")
		writes(1, func() { annotate(mirror.AnnotationTags + "-") })
		h.ExpectTagsOn("a", "foreign")
	})

	It("are added and taken off by add-tags and remove-tags, which are cleared", func(ctx SpecContext) {
		prepare(ctx, "foreign", "by others")
		writes(1, func() { annotate(mirror.AnnotationAdd + `=["two words","a/b"]`) })
		h.ExpectTagsOn("a", "foreign", "by others", "two words", "a/b")
		Expect(annotation(mirror.AnnotationTags)).To(Equal(`["two words","a/b"]`))
		Expect(run.Annotations).NotTo(HaveKey(mirror.AnnotationAdd))

		writes(1, func() { annotate(mirror.AnnotationRemove + `=["two words","by others"]`) })
		h.ExpectTagsOn("a", "foreign", "a/b")
		Expect(annotation(mirror.AnnotationTags)).To(Equal(`["a/b"]`))
		Expect(run.Annotations).NotTo(HaveKey(mirror.AnnotationRemove))
		Expect(removed(run)).To(ConsistOf("two words", "by others"))

		writes(0, func() { annotate(mirror.AnnotationRemove + `=["never there"]`) })
		Expect(annotation(mirror.AnnotationRemove)).To(BeEmpty())
		h.ExpectTagsOn("a", "foreign", "a/b")
	})

	DescribeTable("are not lost when something is added to a list that is just being cleared",
		func(ctx SpecContext, key, first, both string, written int, want ...string) {
			prepare(ctx, "foreign", "by others")
			var once sync.Once
			h.API.FailWrites(func(w controllerstest.Write) error {
				if !w.Status && strings.Contains(w.Patch, key) {
					once.Do(func() { annotate(key + "=" + both) })
				}
				return nil
			})
			writes(written, func() { annotate(key + "=" + first) })
			h.ExpectTagsOn("a", want...)
			Expect(annotation(key)).To(BeEmpty())
		},
		Entry("added", mirror.AnnotationAdd, `["a/b"]`, `["a/b","two words"]`, 1, "foreign", "by others", "a/b", "two words"),
		// What is asked off is cleared when it is written down, and then the first is on its way.
		Entry("taken off", mirror.AnnotationRemove, `["by others"]`, `["by others","foreign"]`, 2),
	)

	It("stay as they were declared while the annotation is no list, and that is said", func(ctx SpecContext) {
		prepare(ctx, "foreign", "by others")
		writes(1, func() { annotate(mirror.AnnotationTags + `=["a/b","two words"]`) })
		for _, text := range []string{`a/b`, `["a/b"`, `{"a/b":true}`, `null`, `[1]`} {
			writes(0, func() { annotate(mirror.AnnotationTags + "=" + text) })
			h.ExpectStalled(run, v1alpha1.ReasonUnknownSource, "annotation "+mirror.AnnotationTags+" is not a JSON list of tags", "stays declared")
			h.ExpectTagsOn("a", "foreign", "by others", "a/b", "two words")
			Expect(annotation(mirror.AnnotationTags)).To(Equal(text))
		}

		By("a label still counts")
		writes(1, func() { label(run, "tag.runtag.dev/x=") })
		By("and Exclusive takes nothing off")
		writes(0, func() { edit(run, policy(v1alpha1.TagPolicyExclusive)) })
		h.ExpectTagsOn("a", "foreign", "by others", "a/b", "two words", "x")

		writes(1, func() { annotate(mirror.AnnotationTags + `=["a/b"]`) })
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "a/b", "x")
	})
})

var _ = Describe("A run with 300 tags", func() {
	It("has labels for all that are declared and for 100 of the foreign ones, always the same", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		run, foreign := h.NewRun("a"), make([]string, 200)
		for i := range foreign {
			foreign[i] = fmt.Sprintf("foreign-%03d", i)
		}
		for i := range 100 {
			run.Spec.Tags = append(run.Spec.Tags, fmt.Sprintf("specified-%03d", i))
		}
		h.AddRun("a", foreign...)
		writes(1, func() { apply(h.NewProject(), run) })
		of := func(source string) (names []string) {
			GinkgoHelper()
			for name, value := range tagLabels(run) {
				if value == source {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			return names
		}
		Expect(of("spec")).To(Equal(run.Spec.Tags))
		Expect(of("run")).To(Equal(foreign[:mirror.MaxForeign]))
		Expect(run.Status.TagCount).To(BeEquivalentTo(300))
		h.ExpectReady(run, v1alpha1.ReasonSynced)

		By("a tag that comes first does not push another's label out")
		writes(0, func() {
			h.EditTags("a", []string{"early"}, nil)
			h.Step(fullPeriod)
		})
		Expect(of("run")).To(Equal(foreign[:mirror.MaxForeign]))
		By("a label that goes makes room for one")
		writes(1, func() { label(run, "tag.runtag.dev/foreign-000-") })
		Expect(of("run")).To(Equal(append([]string{"early"}, foreign[1:mirror.MaxForeign]...)))
		By("a person's label for one without any counts")
		writes(0, func() { label(run, "tag.runtag.dev/foreign-199=") })
		writes(1, func() { label(run, "tag.runtag.dev/foreign-199-") })
		on, _ := h.Tracker.Run(h.Tracker.Path("a"))
		Expect(on.Tags).To(HaveLen(299))
		Expect(tagLabels(run)).To(HaveLen(200))
	})
})
