package controllers_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

var _ = Describe("Several TrainingRuns of one run", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	// twins are two TrainingRuns of run a in one namespace; the first is the one that precedes.
	twins := func() (first, second *v1alpha1.TrainingRun) {
		GinkgoHelper()
		first, second = h.NewRun("a", "one"), h.NewRun("a", "two")
		first.Name, second.Name = "first", "second"
		h.ExpectApplied(h.NewProject(), first, second)
		// Both may have been created in the same second; then the UID decides.
		if first.CreationTimestamp.Equal(&second.CreationTimestamp) && second.UID < first.UID {
			first, second = second, first
		}
		h.Settle()
		return first, second
	}

	It("lets only the older one stand for it, and the other when that goes", func() {
		h.AddRun("a")
		first, second := twins()
		h.ExpectReady(first, v1alpha1.ReasonSynced)
		h.ExpectStalled(second, v1alpha1.ReasonDuplicateRun, "TrainingRun "+first.Name+" stands for run a already")
		h.ExpectTagsOn("a", first.Spec.Tags...)
		h.ExpectQuiet(period)

		h.ExpectDeleted(first)
		h.Settle()
		h.ExpectReady(second, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "one", "two")
		Expect(applied(second)).To(ConsistOf(second.Spec.Tags))
	})

	It("waits for the finalizer of the older one to do its work", func() {
		h.AddRun("a")
		first, second := twins()
		edit(first, func(r *v1alpha1.TrainingRun) { r.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags })
		h.ExpectDeleted(first)
		h.Settle()
		h.ExpectGone(first)
		h.ExpectReady(second, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", second.Spec.Tags...)
	})

	It("takes over at once from one that is deleted and can't go yet", func() {
		h.AddRun("a")
		first, second := twins()
		edit(first, func(r *v1alpha1.TrainingRun) { r.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags })
		h.Tracker.SetFaults(broken(wandbtest.Fault{Status: 503}, controllerstest.OpWrite))
		h.ExpectDeleted(first)
		h.Settle()
		h.Touch(second)
		h.Settle()
		Expect(reasons(second)).To(Equal(v1alpha1.ReasonTrackerUnavailable))
		h.Tracker.SetFaults(wandbtest.Faults{})
		h.Step(2 * time.Minute)
		h.ExpectGone(first)
		h.ExpectReady(second, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", second.Spec.Tags...)
	})

	It("finds the duplicate also where one of them goes by name", func() {
		added := h.AddRun("a")
		byID, byName := h.NewRun("a", "one"), h.NewRun("", "two")
		byName.Name, byName.Spec.RunName = "by-name", added.DisplayName
		apply(h.NewProject(), byID)
		h.ExpectReady(byID, v1alpha1.ReasonSynced)
		apply(byName)
		Expect([]string{reasons(byID), reasons(byName)}).To(ConsistOf(v1alpha1.ReasonSynced, v1alpha1.ReasonDuplicateRun))
	})

	It("lets those of two namespaces stand each for itself, and keeps what the other declares", func() {
		h.AddRun("a", "foreign")
		here, there := h.NewRun("a", "shared", "here"), h.NewRun("a", "shared", "there")
		project := h.NewProject()
		there.Namespace = h.NewNamespace()
		project.Namespace = there.Namespace
		here.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags
		apply(h.NewProject(), project, here, there) // two queues that write the same run at the same time
		h.ExpectReady(here, v1alpha1.ReasonSynced)
		h.ExpectReady(there, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "foreign", "shared", "here", "there")

		h.ExpectDeleted(here)
		h.Settle()
		h.ExpectGone(here)
		h.ExpectTagsOn("a", "foreign", "shared", "there")

		edit(there, declare())
		h.ExpectTagsOn("a", "foreign")
	})

	It("keeps a tag that another namespace declares, also when it is undeclared here", func() {
		h.AddRun("a")
		here, there := h.NewRun("a", "shared"), h.NewRun("a", "shared")
		project := h.NewProject()
		there.Namespace = h.NewNamespace()
		project.Namespace = there.Namespace
		apply(h.NewProject(), project, here, there) // two queues that write the same run at the same time
		edit(here, declare())
		h.ExpectTagsOn("a", "shared")
		h.ExpectReady(here, v1alpha1.ReasonSynced)
		edit(there, declare())
		h.ExpectTagsOn("a")
	})
})
