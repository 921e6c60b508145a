package controllers_test

import (
	"context"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

var _ = Describe("A controller that sets all labels whenever it sees the object", func() {
	var run *v1alpha1.TrainingRun
	var restored []time.Time // when the operator brought the labels back

	// pass is one of the other controller: it sets the labels that it knows if there are others.
	pass := func() bool {
		GinkgoHelper()
		h.Refresh(run)
		if len(run.Labels) == 1 && run.Labels["app"] == "train" {
			return false
		}
		patch := client.MergeFrom(run.DeepCopy())
		run.Labels = labels{"app": "train"}
		Expect(h.Admin.Patch(context.WithoutCancel(GinkgoT().Context()), run, patch, client.FieldOwner("other"))).To(Succeed())
		h.Touch(run)
		return true
	}
	// fight lets some time pass in which the other controller answers to each write of ours at once.
	fight := func(d time.Duration) controllerstest.Activity {
		GinkgoHelper()
		return h.During(func() {
			pass()
			for end := h.Clock.Now().Add(d); h.Clock.Now().Before(end); {
				seen := len(h.API.Writes())
				h.Step(time.Second)
				if slices.ContainsFunc(h.API.Writes()[seen:], func(w controllerstest.Write) bool { return !w.Status && strings.Contains(w.Patch, mirror.Project) }) {
					restored = append(restored, h.Clock.Now())
				}
				pass()
			}
		})
	}

	BeforeEach(func(ctx SpecContext) {
		restored = nil
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "foreign")
		run = h.NewRun("a", "specified")
		run.Labels = labels{mirror.TagPrefix + "labelled": "", "app": "train"}
		apply(h.NewProject(), run)
		h.Step(2 * period)
	})

	It("is answered less and less often, and no tag goes", func() {
		a := fight(time.Hour)
		Expect(a.Requests[controllerstest.OpWrite]).To(BeZero())
		h.ExpectTagsOn("a", "foreign", "specified", "labelled")
		// 1, 2, 4 … 256 s and then every 5 minutes.
		Expect(len(restored)).To(BeNumerically("~", 20, 2))
		Expect(h.CountEvents(run, "LabelsWiped", nil)).To(Equal(len(restored)))
		for i := 2; i < len(restored); i++ {
			wait := min(time.Second<<(i-1), 5*time.Minute)
			Expect(restored[i].Sub(restored[i-1])).To(BeNumerically("~", wait, 2*time.Second), "wait %d", i)
		}

		By("all is as before once it stops")
		h.Step(6 * time.Minute)
		writes(0, func() { h.Settle() })
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "specified": "spec", "labelled": ""}))
		Expect(run.Labels).To(HaveKeyWithValue("app", "train"))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("that sets them now and then is answered at once, each time", func() {
		for range 3 {
			writes(0, func() {
				pass()
				h.Settle()
				Expect(tagLabels(run)).To(HaveLen(3))
			})
			h.Step(11 * time.Minute)
		}
		Expect(h.CountEvents(run, "LabelsWiped", nil)).To(Equal(3))
	})

	It("does not keep the operator from doing what spec says", func() {
		fight(2 * time.Minute)
		h.ExpectEdited(run, declare("specified", "another"))
		fight(6 * time.Minute)
		h.ExpectTagsOn("a", "foreign", "specified", "labelled", "another")
		h.ExpectEdited(run, declare("another"))
		fight(6 * time.Minute)
		h.ExpectTagsOn("a", "foreign", "labelled", "another")
	})
})

var _ = Describe("A TrainingRun without its project", func() {
	It("has no labels that could have been wiped when the project comes, and knows a wipe meanwhile", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a", "foreign")
		run := h.NewRun("a")
		run.Labels = labels{mirror.TagPrefix + "labelled": ""}
		apply(run)
		h.ExpectApplied(h.NewProject())
		writes(1, func() { h.Step(10 * time.Minute) })
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "labelled": ""}))
		Expect(h.CountEvents(run, "LabelsWiped", nil)).To(BeZero())

		By("the labels are wiped while there is none")
		project := h.NewProject()
		h.ExpectDeleted(project)
		h.Settle()
		kubectl("patch", "trun", "a", "--type=merge", "-p", `{"metadata":{"labels":null}}`)
		h.Settle()
		h.ExpectApplied(h.NewProject())
		writes(0, func() { h.Step(10 * time.Minute) })
		h.ExpectTagsOn("a", "foreign", "labelled")
		Expect(tagLabels(run)).To(Equal(labels{"foreign": "run", "labelled": ""}))
		Expect(h.CountEvents(run, "LabelsWiped", nil)).To(Equal(1))
	})
})
