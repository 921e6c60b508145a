package controllers_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

// try runs kubectl in the namespace of the spec, and queues the TrainingRuns that it changed, as a watch does. What it
// prints comes back, with its complaints.
func try(args ...string) (string, error) {
	GinkgoHelper()
	return tryWith(nil, args...)
}

func tryWith(env []string, args ...string) (string, error) {
	GinkgoHelper()
	before := map[string]string{}
	for _, run := range stored() {
		before[run.Name] = run.ResourceVersion
	}
	plane := suite.Plane
	cmd := exec.CommandContext(context.WithoutCancel(GinkgoT().Context()), plane.Kubectl(), append([]string{
		"--kubeconfig=" + plane.KubeconfigPath(), "--cache-dir=" + filepath.Dir(plane.KubeconfigPath()), "--namespace=" + h.Namespace,
	}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	for _, run := range stored() {
		if before[run.Name] != run.ResourceVersion {
			h.Touch(&run)
		}
	}
	return string(out), err
}

func stored() []v1alpha1.TrainingRun {
	GinkgoHelper()
	var list v1alpha1.TrainingRunList
	Expect(h.Admin.List(context.WithoutCancel(GinkgoT().Context()), &list, client.InNamespace(h.Namespace))).To(Succeed())
	return list.Items
}

// kubectl runs it and expects it to succeed.
func kubectl(args ...string) string {
	GinkgoHelper()
	out, err := try(args...)
	Expect(err).NotTo(HaveOccurred(), "kubectl %s: %s", strings.Join(args, " "), out)
	return out
}

// manifest writes a file for kubectl.
func manifest(text string) string {
	GinkgoHelper()
	path := filepath.Join(GinkgoT().TempDir(), "manifest.yaml")
	Expect(os.WriteFile(path, []byte(text), 0o600)).To(Succeed())
	return path
}

// tagLabels are the labels of a TrainingRun that stand for tags, by the tag; those of pairs by "key=".
func tagLabels(run *v1alpha1.TrainingRun) map[string]string {
	GinkgoHelper()
	h.Refresh(run)
	labels := map[string]string{}
	for key, value := range run.Labels {
		if name, bare := strings.CutPrefix(key, mirror.TagPrefix); bare {
			labels[name] = value
		} else if name, pair := strings.CutPrefix(key, mirror.PairPrefix); pair {
			labels[name+"="] = value
		}
	}
	return labels
}

type labels = map[string]string

// writes lets f happen and all come to rest, and checks that the tracker got just so many writes, and that nobody wrote
// anything in three periods after it.
func writes(want int, f func()) {
	GinkgoHelper()
	a := h.During(func() {
		f()
		h.Settle()
		h.ExpectQuiet(period)
	})
	Expect(a.Requests[controllerstest.OpWrite]).To(Equal(want), "writes to the tracker")
}

// label writes a label with kubectl.
func label(run *v1alpha1.TrainingRun, args ...string) {
	GinkgoHelper()
	kubectl(append([]string{"label", "--overwrite", "trainingrun", run.Name}, args...)...)
}

var _ = Describe("Labels by kubectl label", func() {
	var run *v1alpha1.TrainingRun

	// The run has a tag of each source.
	BeforeEach(func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "foreign")
		run = h.NewRun("a", "specified")
		run.Labels = labels{mirror.TagPrefix + "labelled": ""}
		apply(h.NewProject(), run)
		h.ExpectTagsOn("a", "foreign", "specified", "labelled")
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "specified": "spec", "labelled": ""}))
	})

	It("adds a tag", func() {
		writes(1, func() { kubectl("label", "trun", "a", "tag.runtag.dev/x=") })
		h.ExpectTagsOn("a", "foreign", "specified", "labelled", "x")
		Expect(tagLabels(run)).To(HaveKeyWithValue("x", ""))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectEvent(run, "Normal", "TagsAdded", `put "x" on run a`)
	})

	It("adds one with the value true just as well", func() {
		writes(1, func() { kubectl("label", "trun", "a", "tag.runtag.dev/x=true") })
		h.ExpectTagsOn("a", "foreign", "specified", "labelled", "x")
		Expect(tagLabels(run)).To(HaveKeyWithValue("x", "true"))
	})

	It("adds and takes off several at once", func() {
		writes(1, func() {
			kubectl("label", "trun", "a", "tag.runtag.dev/x=", "tag.runtag.dev/y=", "tag.runtag.dev/labelled-", "tag.runtag.dev/foreign-")
		})
		h.ExpectTagsOn("a", "specified", "x", "y")
		Expect(tagLabels(run)).To(Equal(labels{"specified": "spec", "x": "", "y": ""}))
		Expect(removed(run)).To(ConsistOf("labelled", "foreign"))
	})

	DescribeTable("is not overwritten unless kubectl is told to, and then",
		func(name string, whenOff ...string) {
			if name != "labelled" {
				out, err := try("label", "trun", "a", "tag.runtag.dev/"+name+"=")
				Expect(err).To(HaveOccurred())
				Expect(out).To(ContainSubstring("--overwrite is false"))
			}
			writes(0, func() { label(run, "tag.runtag.dev/"+name+"=") })
			Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "specified": "spec", "labelled": "", name: ""}))
			Expect(applied(run)).To(ContainElement(name))
			h.ExpectTagsOn("a", "foreign", "specified", "labelled")

			written := 1
			if len(whenOff) == 3 {
				written = 0
			}
			writes(written, func() { label(run, "tag.runtag.dev/"+name+"-") })
			h.ExpectTagsOn("a", whenOff...)
			Expect(tagLabels(run)).To(HaveLen(len(whenOff)))
		},
		Entry("a foreign tag is declared, and goes with its label", "foreign", "specified", "labelled"),
		Entry("one of spec is declared twice, and stays without the label", "specified", "foreign", "specified", "labelled"),
		Entry("one of a label is as before, and goes with it", "labelled", "foreign", "specified"),
	)

	It("takes off a tag that the label declared", func() {
		writes(1, func() { label(run, "tag.runtag.dev/labelled-") })
		h.ExpectTagsOn("a", "foreign", "specified")
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "specified": "spec"}))
		Expect(removed(run)).To(ConsistOf("labelled"))
		Expect(applied(run)).To(ConsistOf("specified"))
	})

	It("takes off a foreign tag", func() {
		writes(1, func() { label(run, "tag.runtag.dev/foreign-") })
		h.ExpectTagsOn("a", "labelled", "specified")
		Expect(tagLabels(run)).To(Equal(labels{"labelled": "", "specified": "spec"}))
		Expect(removed(run)).To(ConsistOf("foreign"))
		h.ExpectEvent(run, "Normal", "TagsRemoved", `took "foreign" off run a`)
	})

	It("does not take off what spec declares: the label comes back, and an event says why", func() {
		writes(0, func() { label(run, "tag.runtag.dev/specified-") })
		h.ExpectTagsOn("a", "foreign", "specified", "labelled")
		Expect(tagLabels(run)).To(HaveKeyWithValue("specified", "spec"))
		h.ExpectEvent(run, "Normal", "LabelReturned", `the label of tag "specified" is back: spec.tags declares it, written by `+controllerstest.Person)
		Expect(h.CountEvents(run, "LabelReturned", nil)).To(Equal(1))
	})

	It("takes off a tag twice only once, and both times what is put on again", func() {
		writes(1, func() {
			label(run, "tag.runtag.dev/foreign-")
			Expect(kubectl("label", "trun", "a", "tag.runtag.dev/foreign-")).To(ContainSubstring("not found"))
		})
		writes(0, func() { kubectl("label", "trun", "a", "tag.runtag.dev/foreign-") })
		h.ExpectTagsOn("a", "labelled", "specified")
		writes(1, func() { label(run, "tag.runtag.dev/foreign=") })
		writes(1, func() { label(run, "tag.runtag.dev/foreign-") })
		h.ExpectTagsOn("a", "labelled", "specified")
		Expect(tagLabels(run)).To(Equal(labels{"labelled": "", "specified": "spec"}))
	})

	It("ends a declaration when the label says what one of ours says", func() {
		writes(1, func() { label(run, "tag.runtag.dev/labelled=run") })
		h.ExpectTagsOn("a", "foreign", "specified")
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "specified": "spec"}))
	})

	It("declares nothing with another value, says so, and does all the rest", func() {
		writes(1, func() { label(run, "tag.runtag.dev/x=yes", "tag.runtag.dev/y=") })
		h.ExpectStalled(run, v1alpha1.ReasonInvalidTags, "label tag.runtag.dev/x=yes declares nothing", `leave its value empty for the tag "x"`)
		h.ExpectTagsOn("a", "foreign", "specified", "labelled", "y")
		Expect(tagLabels(run)).To(HaveKeyWithValue("x", "yes"))
		writes(1, func() { label(run, "tag.runtag.dev/x=") })
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "foreign", "specified", "labelled", "x", "y")
	})

	It("says that W&B has no tags with values", func() {
		writes(0, func() { label(run, "pair.runtag.dev/team=vision") })
		h.ExpectStalled(run, v1alpha1.ReasonInvalidTags, "label pair.runtag.dev/team=vision declares nothing", "has no tags with values")
		writes(0, func() { label(run, "pair.runtag.dev/team-") })
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})
})

var _ = Describe("Two declarations of one tag", func() {
	DescribeTable("keep it on the run until both are taken back",
		func(ctx SpecContext, labelFirst bool) {
			start(ctx, controllerstest.Options{})
			h.AddRun("a")
			run := h.NewRun("a", "x")
			run.Labels = labels{mirror.TagPrefix + "x": ""}
			apply(h.NewProject(), run)
			Expect(tagLabels(run)).To(Equal(labels{"x": ""}))
			bySpec := func() { edit(run, declare()) }
			byLabel := func() { label(run, "tag.runtag.dev/x-") }
			if labelFirst {
				writes(0, byLabel)
				Expect(tagLabels(run)).To(Equal(labels{"x": "spec"}))
				Expect(h.CountEvents(run, "TagsRemoved", nil)).To(BeZero())
			} else {
				writes(0, bySpec)
				Expect(tagLabels(run)).To(Equal(labels{"x": ""}))
			}
			h.ExpectTagsOn("a", "x")
			if labelFirst {
				writes(1, bySpec)
			} else {
				writes(1, byLabel)
			}
			h.ExpectTagsOn("a")
			Expect(tagLabels(run)).To(BeEmpty())
		},
		Entry("the label first", true),
		Entry("spec first", false),
	)
})
