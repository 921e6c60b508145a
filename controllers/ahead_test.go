package controllers_test

import (
	"errors"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

var _ = Describe("What is owned", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "trainingruns"}, "a", errors.New("somebody was faster"))
	failure := apierrors.NewInternalError(errors.New("etcd is away"))
	fail := func(err error) {
		h.API.FailWrites(func(w controllerstest.Write) error {
			if w.Kind == "TrainingRun" {
				return err
			}
			return nil
		})
	}

	It("is stored before the tracker hears of it", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		h.ExpectApplied(h.NewProject(), run)
		a := h.During(h.Reconcile)
		Expect(a.Requests).NotTo(HaveKey(controllerstest.OpWrite))
		Expect(applied(run)).To(ConsistOf("baseline"))
		h.ExpectTagsOn("a")
		h.ExpectCondition(run, v1alpha1.ConditionReady, "Unknown", v1alpha1.ReasonApplying, `adding "baseline"`)
		h.ExpectCondition(run, v1alpha1.ConditionReconciling, "True", v1alpha1.ReasonApplying)
		a = h.During(h.Settle)
		Expect(a.Requests).To(HaveKeyWithValue(controllerstest.OpWrite, 1))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("is stored before a removal as well", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline", "debug")
		apply(h.NewProject(), run)
		h.ExpectEdited(run, declare("baseline"))
		a := h.During(h.Reconcile)
		Expect(a.Requests).To(BeEmpty())
		Expect(removed(run)).To(ConsistOf("debug"))
		h.ExpectTagsOn("a", "baseline", "debug")
		h.ExpectCondition(run, v1alpha1.ConditionReady, "Unknown", v1alpha1.ReasonApplying, `removing "debug"`)
		h.Settle()
		h.ExpectTagsOn("a", "baseline")
	})

	DescribeTable("keeps the tracker untouched while it can't be stored",
		func(err error) {
			h.AddRun("a")
			run := h.NewRun("a", "baseline")
			fail(err)
			a := h.During(func() {
				h.ExpectApplied(h.NewProject(), run)
				for range 5 {
					h.Reconcile()
					h.Send()
				}
			})
			Expect(a.Requests).NotTo(HaveKey(controllerstest.OpWrite))
			Expect(a.WritesOf(run)).To(BeNumerically(">", 0))
			h.ExpectTagsOn("a")
			h.API.FailWrites(nil)
			h.Step(period)
			h.ExpectTagsOn("a", "baseline")
			h.ExpectReady(run, v1alpha1.ReasonSynced)
		},
		Entry("after a conflict", conflict),
		Entry("after an error of the API server", failure),
	)

	It("is found again after a crash between the record and the tracker", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		h.ExpectApplied(h.NewProject(), run)
		h.Reconcile()
		h.ExpectTagsOn("a")
		h.Restart()
		h.Settle()
		h.ExpectTagsOn("a", "baseline")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		edit(run, declare())
		h.ExpectTagsOn("a")
	})

	It("is found again after a crash between the tracker and the status", func() {
		h.AddRun("a", "foreign")
		run := h.NewRun("a", "baseline")
		h.ExpectApplied(h.NewProject(), run)
		h.Reconcile()
		h.Send()
		h.ExpectTagsOn("a", "foreign", "baseline")
		h.Restart()
		h.Settle()
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(applied(run)).To(ConsistOf("baseline"))
		edit(run, declare())
		h.ExpectTagsOn("a", "foreign")
	})

	It("is not lost by a pass over an old object", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.Refresh(run)
		old := run.DeepCopy()
		edit(run, declare("baseline", "more"))
		Expect(applied(run)).To(ConsistOf("baseline", "more"))

		h.API.ServeOld(old)
		h.Touch(run)
		h.Settle()
		Expect(applied(run)).To(ConsistOf("baseline", "more"))
		Expect(removed(run)).To(BeEmpty())
		h.ExpectTagsOn("a", "baseline", "more")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("is not overwritten by a pass that would own less", func() {
		h.AddRun("a")
		run := h.NewRun("a", "one")
		apply(h.NewProject(), run)
		h.ExpectEdited(run, declare("one", "two")) // no pass sees it like this
		old := run.DeepCopy()
		edit(run, declare("one", "two", "three"))
		Expect(applied(run)).To(ConsistOf("one", "two", "three"))

		h.API.ServeOld(old)
		h.Touch(run)
		a := h.During(h.Reconcile)
		Expect(a.Writes).To(HaveLen(1))
		Expect(apierrors.IsConflict(a.Writes[0].Err)).To(BeTrue())
		Expect(applied(run)).To(ConsistOf("one", "two", "three"))
		edit(run, declare())
		h.ExpectTagsOn("a")
	})

	It("is not lost by a pass over an object as it was before anything was owned", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		h.ExpectApplied(h.NewProject(), run)
		old := run.DeepCopy()
		h.Settle()
		edit(run, declare())
		h.API.ServeOld(old)
		h.Touch(run)
		h.Settle()
		h.ExpectTagsOn("a")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("is planned anew where somebody wrote between the pass and the write", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		run.Spec.ExcludeTags = []string{"debug"}
		h.ExpectApplied(h.NewProject(), run)
		h.Reconcile()
		h.EditTags("a", []string{"foreign", "debug"}, nil)
		h.Settle()
		h.ExpectTagsOn("a", "foreign", "baseline")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("is planned anew where the run was made again between the pass and the write", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.Refresh(run)
		before := run.Status.Run.UID
		h.ExpectEdited(run, declare("baseline", "more"))
		h.Reconcile()
		h.DeleteRuns("a")
		h.AddRun("a")
		h.Settle()
		h.ExpectTagsOn("a", "baseline", "more")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(run.Status.Run.UID).NotTo(Equal(before))
	})

	It("survives a write whose answer is lost", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		h.Tracker.SetFaults(broken(wandbtest.Fault{Drop: "after", Count: 1}, controllerstest.OpWrite))
		apply(h.NewProject(), run)
		h.Step(period)
		h.ExpectTagsOn("a", "baseline")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})
})

var _ = Describe("Many TrainingRuns", func() {
	It("cost few requests and few writes", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		project := h.NewProject()
		apply(project)
		const n = 300
		var runs []*v1alpha1.TrainingRun
		for i := range n {
			id := fmt.Sprintf("run-%03d", i)
			h.AddRun(id)
			run := h.NewRun(id, "baseline")
			h.ExpectApplied(run)
			runs = append(runs, run)
		}
		a := h.During(h.Settle)
		for _, run := range runs {
			h.ExpectTagsOn(run.Name, "baseline")
			// identity and intent before the tracker is written; label and status after it
			Expect(a.WritesOf(run)).To(BeNumerically("<=", 4))
		}
		Expect(a.Requests).To(HaveKeyWithValue(controllerstest.OpWrite, n/100))
		Expect(a.Requests).To(HaveKeyWithValue(controllerstest.OpList, BeNumerically("<=", 2*n/100))) // once to see them, once right before the write

		h.Step(2 * period)
		h.ExpectNoWrites(func() { h.Step(3 * period) })
		a = h.During(func() {
			h.Restart()
			h.Settle()
		})
		Expect(a.Writes).To(HaveLen(a.WritesOf(project))) // its counts at most
	})
})

var _ = Describe("A person who asks for a look", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	It("gets one at the run", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		apply(h.NewProject(), run)
		h.EditTags("a", []string{"seen"}, nil)
		look := func(value string) {
			GinkgoHelper()
			h.Step(time.Second)
			edit(run, func(r *v1alpha1.TrainingRun) { r.Annotations = map[string]string{v1alpha1.AnnotationLookAt: value} })
		}
		h.ExpectRequests(map[string]int{controllerstest.OpList: 1}, func() { look("one") })
		h.Refresh(run)
		Expect(run.Status.TagNames).To(Equal("baseline,seen"))
		h.ExpectRequests(map[string]int{}, func() {
			h.Touch(run)
			h.Settle()
		})
		h.ExpectRequests(map[string]int{controllerstest.OpList: 1}, func() { look("two") })
		h.ExpectQuiet(period)
	})

	It("gets one at the project", func() {
		h.AddRun("a")
		run, project := h.NewRun("a", "baseline"), h.NewProject()
		apply(project, run)
		h.Step(2 * period) // till it is no longer among those that changed lately
		h.EditTags("a", nil, []string{"baseline"})
		h.Step(2 * period)
		h.ExpectTagsOn("a")
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Annotations = map[string]string{v1alpha1.AnnotationLookAt: "now"} })
		h.ExpectTagsOn("a", "baseline")
		h.ExpectRequests(map[string]int{}, func() {
			h.Touch(project)
			h.Settle()
		})
	})
})
