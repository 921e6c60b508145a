package controllers_test

import (
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

var _ = Describe("Labels of tags with values", func() {
	var server *mlflowServer
	var run *v1alpha1.TrainingRun
	type onRun = map[string]string

	prepare := func(ctx SpecContext, there onRun, edits ...func(*v1alpha1.TrainingRun)) {
		start(ctx, controllerstest.Options{})
		id := fmt.Sprintf("%032x", h.Namespace)[:32]
		server = newMLflow(id, there)
		DeferCleanup(server.Close)
		h.ExpectApplied(h.NewProject(func(p *v1alpha1.TrackingProject) {
			p.Spec.Wandb = nil
			p.Spec.MLflow = &v1alpha1.MLflowProject{TrackingURI: server.URL, Experiments: []string{"forecast"}}
		}))
		run = h.NewRun(id)
		run.Name = "a"
		for _, edit := range edits {
			edit(run)
		}
		apply(run)
		h.Step(2 * fullPeriod)
	}
	// lands lets f happen and all come to rest, and checks what is on the run then and which labels there are.
	lands := func(f func(), want onRun, shown labels) {
		GinkgoHelper()
		f()
		h.Settle()
		h.Step(fullPeriod)
		Expect(server.now()).To(Equal(want))
		Expect(tagLabels(run)).To(Equal(shown))
		versions, writes := run.ResourceVersion, server.writes()
		h.Step(3 * fullPeriod)
		h.Refresh(run)
		Expect(run.ResourceVersion).To(Equal(versions))
		Expect(server.writes()).To(Equal(writes))
	}
	byLabel := func(args ...string) func() {
		return func() { GinkgoHelper(); label(run, args...) }
	}

	It("add, change and take off a value, and give back the one before", func(ctx SpecContext) {
		prepare(ctx, onRun{"team": "nlp", "other": "v"})
		Expect(tagLabels(run)).To(Equal(labels{"team=": "nlp", "other=": "v"}))
		lands(byLabel("pair.runtag.dev/stage=one"), onRun{"team": "nlp", "other": "v", "stage": "one"}, labels{"team=": "nlp", "other=": "v", "stage=": "one"})
		Expect(applied(run)).To(ConsistOf("stage=one"))
		lands(byLabel("pair.runtag.dev/stage=two"), onRun{"team": "nlp", "other": "v", "stage": "two"}, labels{"team=": "nlp", "other=": "v", "stage=": "two"})
		lands(byLabel("pair.runtag.dev/stage-"), onRun{"team": "nlp", "other": "v"}, labels{"team=": "nlp", "other=": "v"})

		By("a foreign value is replaced, and comes back")
		lands(byLabel("pair.runtag.dev/team=vision"), onRun{"team": "vision", "other": "v"}, labels{"team=": "vision", "other=": "v"})
		lands(byLabel("pair.runtag.dev/team-"), onRun{"team": "nlp", "other": "v"}, labels{"team=": "nlp", "other=": "v"})

		By("a foreign one is taken off")
		lands(byLabel("pair.runtag.dev/other-"), onRun{"team": "nlp"}, labels{"team=": "nlp"})
		Expect(removed(run)).To(ContainElement("other=v"))
	})

	It("stay declarations once they have landed", func(ctx SpecContext) {
		prepare(ctx, onRun{})
		lands(byLabel("pair.runtag.dev/team=vision"), onRun{"team": "vision"}, labels{"team=": "vision"})
		for _, t := range run.Status.Tags {
			Expect(t.Name).To(Equal("team=vision"))
			Expect(t.Source).To(Equal(v1alpha1.TagSourceLabel))
			Expect(t.ByLabel).To(BeTrue())
		}
		By("a value that somebody else sets is put right, and the label stands")
		lands(func() { server.set("team", "audio") }, onRun{"team": "vision"}, labels{"team=": "vision"})
		By("a restart changes nothing")
		lands(func() { h.Restart() }, onRun{"team": "vision"}, labels{"team=": "vision"})
		lands(byLabel("pair.runtag.dev/team-"), onRun{"team": "audio"}, labels{"team=": "audio"})
	})

	It("follow the value on the run while nobody here declares one", func(ctx SpecContext) {
		prepare(ctx, onRun{"team": "nlp"})
		lands(func() { server.set("team", "audio") }, onRun{"team": "audio"}, labels{"team=": "audio"})
		lands(func() { server.set("team", "two words") }, onRun{"team": "two words"}, labels{})
		lands(func() { server.set("team", "true") }, onRun{"team": "true"}, labels{"team": "run"})
		lands(func() { server.set("team", "nlp") }, onRun{"team": "nlp"}, labels{"team=": "nlp"})
		lands(func() { server.set("team", strings.Repeat("x", 64)) }, onRun{"team": strings.Repeat("x", 64)}, labels{})
	})

	It("can't have a value that is none of a label; the annotation can", func(ctx SpecContext) {
		prepare(ctx, onRun{})
		out, err := try("label", "trun", "a", "pair.runtag.dev/team=two words")
		Expect(err).To(HaveOccurred())
		Expect(out).To(ContainSubstring("a valid label must"))
		lands(func() { kubectl("annotate", "trun", "a", mirror.AnnotationTags+`=["team=two words"]`) }, onRun{"team": "two words"}, labels{})
		lands(func() { kubectl("annotate", "trun", "a", mirror.AnnotationTags+`-`) }, onRun{}, labels{})
	})

	It("declare nothing without a value, or with one on the label of a bare tag, and say what to write", func(ctx SpecContext) {
		prepare(ctx, onRun{})
		lands(byLabel("pair.runtag.dev/team=", "tag.runtag.dev/stage=one", "tag.runtag.dev/x="), onRun{"x": "true"}, labels{"team=": "", "stage": "one", "x": ""})
		h.ExpectStalled(run, v1alpha1.ReasonInvalidTags, "label pair.runtag.dev/team= declares nothing: set label tag.runtag.dev/team",
			`label tag.runtag.dev/stage=one declares nothing`, `pair.runtag.dev/stage=one for "stage=one"`)
	})

	It("give way to another value in spec, and come back with it", func(ctx SpecContext) {
		prepare(ctx, onRun{}, declare("team=spec"))
		lands(byLabel("pair.runtag.dev/team=label"), onRun{"team": "spec"}, labels{"team=": "label"})
		h.ExpectStalled(run, v1alpha1.ReasonValueConflict, "team=label")
		lands(func() { edit(run, declare()) }, onRun{"team": "label"}, labels{"team=": "label"})
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		lands(byLabel("pair.runtag.dev/team-"), onRun{}, labels{})
	})

	It("are taken for mirrored in a restored object if they say what is on the run", func(ctx SpecContext) {
		prepare(ctx, onRun{"team": "nlp", "stage": "one"}, func(r *v1alpha1.TrainingRun) {
			r.Labels = labels{mirror.PairPrefix + "team": "nlp", mirror.PairPrefix + "stage": "two", mirror.Project: controllerstest.ProjectName}
		})
		Expect(server.now()).To(Equal(onRun{"team": "nlp", "stage": "two"}))
		Expect(applied(run)).To(ConsistOf("stage=two"))
		lands(func() { server.set("team", "audio") }, onRun{"team": "audio", "stage": "two"}, labels{"team=": "audio", "stage=": "two"})
	})

	It("come all back after a wipe, and nothing goes", func(ctx SpecContext) {
		prepare(ctx, onRun{"team": "nlp", "baseline": "true"}, declare("owner=me"))
		all := onRun{"team": "nlp", "baseline": "true", "owner": "me", "stage": "one"}
		shown := labels{"team=": "nlp", "baseline": "run", "owner=": "me", "stage=": "one"}
		lands(byLabel("pair.runtag.dev/stage=one"), all, shown)
		lands(func() { kubectl("patch", "trun", "a", "--type=merge", "-p", `{"metadata":{"labels":null}}`) }, all, shown)
		lands(byLabel("pair.runtag.dev/stage-", "pair.runtag.dev/owner-"), onRun{"team": "nlp", "baseline": "true", "owner": "me"},
			labels{"team=": "nlp", "baseline": "run", "owner=": "me"})
		Expect(slices.Sorted(slices.Values(applied(run)))).To(Equal([]string{"owner=me"}))
	})
})
