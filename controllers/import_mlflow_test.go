package controllers_test

import (
	"fmt"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

var _ = Describe("Import from a tracker with keys and values", func() {
	var (
		server  *mlflowServer
		project *v1alpha1.TrackingProject
		id      string
	)

	prepare := func(ctx SpecContext, onRun map[string]string, edit func(*v1alpha1.TrackingProject)) {
		GinkgoHelper()
		start(ctx, controllerstest.Options{})
		id = fmt.Sprintf("%032x", h.Namespace)[:32]
		server = newMLflow(id, onRun)
		DeferCleanup(server.Close)
		project = h.NewProject(edit, func(p *v1alpha1.TrackingProject) {
			p.Spec.Wandb = nil
			p.Spec.MLflow = &v1alpha1.MLflowProject{TrackingURI: server.URL, Experiments: []string{"forecast"}}
		})
		apply(project)
	}

	DescribeTable("asks for tags by key, or by key and value", func(ctx SpecContext, edit func(*v1alpha1.ImportSpec), imported bool) {
		prepare(ctx, map[string]string{"team": "vision", "baseline": "true", "debug": "False"}, imports(v1alpha1.ImportNone, edit))
		Expect(tracked()).To(HaveLen(map[bool]int{true: 1}[imported]))
		Expect(server.writes()).To(BeZero())
	},
		Entry("a bare tag", withTags("baseline"), true),
		Entry("any value of a key", withTags("team"), true),
		Entry("one value", withTags("team=vision"), true),
		Entry("another value", withTags("team=nlp"), false),
		Entry("false is not there", withTags("debug"), false),
		Entry("unless it is asked for", withTags("debug=False"), true),
		Entry("what a key keeps out", func(i *v1alpha1.ImportSpec) { i.Tags, i.WithoutTags = []string{"baseline"}, []string{"team"} }, false),
		Entry("what a value keeps out", func(i *v1alpha1.ImportSpec) { i.Tags, i.WithoutTags = []string{"baseline"}, []string{"team=vision"} }, false),
		Entry("what another value does not", func(i *v1alpha1.ImportSpec) { i.Tags, i.WithoutTags = []string{"baseline"}, []string{"team=nlp"} }, true),
	)

	It("mirrors pairs from the start, and takes the object away again", func(ctx SpecContext) {
		prepare(ctx, map[string]string{"team": "vision", "baseline": "true"}, imports(v1alpha1.ImportAll))
		run := importedRun(id)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(run.Labels).To(HaveKeyWithValue(mirror.PairPrefix+"team", "vision"))
		Expect(run.Labels).To(HaveKeyWithValue(mirror.TagPrefix+"baseline", "run"))
		h.Step(fullPeriod) // a project's counts come late
		h.ExpectNoWrites(func() { h.Step(fullPeriod) })
		editProject(project, imports(v1alpha1.ImportNone))
		Expect(tracked()).To(BeEmpty())
		Expect(server.writes()).To(BeZero())
	})

	It("leaves an object with a pair of a person's alone", func(ctx SpecContext) {
		prepare(ctx, map[string]string{"team": "vision"}, imports(v1alpha1.ImportAll))
		h.ExpectProjectEdited(project, imports(v1alpha1.ImportNone))
		h.ExpectEdited(importedRun(id), func(r *v1alpha1.TrainingRun) { r.Labels[mirror.PairPrefix+"owner"] = "ada" })
		h.Step(fullPeriod)
		Expect(tracked()).To(HaveLen(1))
		Expect(server.now()).To(Equal(map[string]string{"team": "vision", "owner": "ada"}))
	})
})
