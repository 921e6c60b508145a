package controllers_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/importing"
)

var _ = Describe("Import of many", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	It("stops at the limit with the newest, and says so with the numbers, once", func() {
		for i := range 5 {
			endedAgo(fmt.Sprintf("r%d", i), time.Duration(i+1)*time.Hour)
		}
		project := h.NewProject(imports(v1alpha1.ImportAll, atMost(3)))
		apply(project)
		Expect(tracked()).To(Equal([]string{"capsules-r0", "capsules-r1", "capsules-r2"}))
		h.ExpectReady(project, v1alpha1.ReasonImportLimited, "limit is 3", "2 further runs")
		h.ExpectEvent(project, corev1.EventTypeWarning, v1alpha1.ReasonImportLimited, "2 further runs")
		h.ExpectQuiet(fullPeriod)
		Expect(h.CountEvents(project, v1alpha1.ReasonImportLimited, nil)).To(Equal(1))

		editProject(project, imports(v1alpha1.ImportAll, atMost(5)))
		Expect(tracked()).To(HaveLen(5))
		h.ExpectReady(project, v1alpha1.ReasonLooking)
	})

	It("counts under Active, too, and does not forget between two full looks", func() {
		for i := range 4 {
			endedAgo(fmt.Sprintf("r%d", i), time.Duration(i+1)*time.Hour)
		}
		h.AddActiveRun("on")
		project := h.NewProject(imports(v1alpha1.ImportActive, atMost(2)))
		apply(project)
		Expect(tracked()).To(ConsistOf("capsules-on", HavePrefix("capsules-r")))
		h.ExpectReady(project, v1alpha1.ReasonImportLimited, "3 further runs")
		h.ExpectQuiet(period)
		h.ExpectReady(project, v1alpha1.ReasonImportLimited, "3 further runs")
	})

	It("reads no further than there is room", func() {
		for i := range 500 {
			endedAgo(fmt.Sprintf("r%03d", i), time.Duration(i+1)*time.Minute)
		}
		project := h.NewProject(imports(v1alpha1.ImportAll, atMost(10)))
		a := h.During(func() { apply(project) })
		Expect(a.Requests[controllerstest.OpList]).To(BeNumerically("<=", 2))
		h.ExpectReady(project, v1alpha1.ReasonImportLimited, "at least", "further runs")
		Expect(tracked()).To(HaveLen(10))
	})

	It("imports a thousand with two writes each, in batches, the active ones first", func() {
		const ended, active = 960, 40
		for i := range ended {
			endedAgo(fmt.Sprintf("r%03d", i), time.Duration(i+1)*time.Minute, "one", "two")
		}
		for i := range active {
			h.AddActiveRun(fmt.Sprintf("on%02d", i), "one")
		}
		h.ExpectApplied(h.NewProject(imports(v1alpha1.ImportAll)))
		a := h.During(func() {
			h.Reconcile()
			Expect(tracked()).To(HaveLen(500), "looks go on between two batches")
			h.Settle()
		})
		Expect(tracked()).To(HaveLen(ended + active))
		Expect(a.Requests[controllerstest.OpWrite]).To(BeZero())
		Expect(a.Requests[controllerstest.OpList]).To(BeNumerically("<=", (ended+active)/100+3), "nobody asks again for what the list said")
		const atOnce = 16
		writes, made, first := map[string]int{}, 0, 0
		for _, w := range a.Writes {
			if w.Kind != "TrainingRun" {
				continue
			}
			Expect(w.Err).NotTo(HaveOccurred())
			writes[w.Key.Name]++
			if w.Created {
				if made++; made <= active+atOnce && strings.HasPrefix(w.Key.Name, "capsules-on") {
					first++
				}
			}
		}
		Expect(first).To(Equal(active), "active ones among the first, apart from what is made at the same time")
		Expect(writes).To(HaveLen(ended + active))
		Expect(writes).To(HaveEach(BeNumerically("<=", 2)))
	})

	It("goes on after the API server was not there", func() {
		for i := range 30 {
			h.AddRun(fmt.Sprintf("r%02d", i))
		}
		failed := 0
		h.API.FailWrites(func(w controllerstest.Write) error {
			if w.Created && failed < 5 {
				failed++
				return fmt.Errorf("no route to host")
			}
			return nil
		})
		apply(h.NewProject(imports(v1alpha1.ImportAll)))
		h.Step(time.Second)
		Expect(tracked()).To(HaveLen(30))
	})

	It("goes on where a crash left it", func() {
		for i := range 30 {
			h.AddRun(fmt.Sprintf("r%02d", i))
		}
		h.API.FailWrites(func(w controllerstest.Write) error {
			if w.Created && strings.HasSuffix(w.Key.Name, "9") {
				return fmt.Errorf("no route to host")
			}
			return nil
		})
		h.ExpectApplied(h.NewProject(imports(v1alpha1.ImportAll)))
		h.Reconcile()
		h.API.FailWrites(nil)
		h.Restart()
		h.Settle()
		Expect(tracked()).To(HaveLen(30))
		h.ExpectQuiet(period)
	})

	It("leaves a terminating namespace alone", func(ctx SpecContext) {
		project := h.NewProject(imports(v1alpha1.ImportAll))
		h.AddRun("a")
		apply(project)
		Expect(h.Admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: h.Namespace}})).To(Succeed())
		for i := range 40 {
			h.AddRun(fmt.Sprintf("r%02d", i))
		}
		a := h.During(func() { h.Step(3 * fullPeriod) })
		refused := 0
		for _, w := range a.Writes {
			if w.Created {
				refused++
			}
		}
		Expect(refused).To(BeNumerically("<=", 16), "it is tried once")
		Expect(tracked()).To(Equal([]string{"capsules-a"}))
		h.ExpectReady(project, v1alpha1.ReasonLooking)
	})
})

var _ = Describe("Names of imported TrainingRuns", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	It("gives way to an object of that name that a person made for another run", func() {
		h.AddRun("a")
		h.AddRun("b", "mine")
		mine := h.NewRun("b")
		mine.Name = "capsules-a"
		h.ExpectApplied(mine)
		apply(h.NewProject(imports(v1alpha1.ImportAll)))
		Expect(tracked()).To(ConsistOf("capsules-a", importing.HashedName("capsules", "a")))
		h.ExpectReady(mine, v1alpha1.ReasonSynced)
		h.ExpectQuiet(period)
	})

	It("tells runs of two projects apart whose names are the same", func() {
		other := h.NewProject(imports(v1alpha1.ImportAll))
		other.Name, other.Spec.Wandb.Project = "capsules-x", "other"
		Expect(h.Tracker.AddProject("other")).To(Succeed())
		h.AddRun("x-y")
		h.AddTrackerRun(wandbRun("other", "y"))
		h.ExpectApplied(h.NewProject(imports(v1alpha1.ImportAll)))
		apply(other)
		Expect(tracked()).To(HaveLen(2))
		Expect(tracked()).To(ContainElement("capsules-x-y"))
		Expect(tracked()).To(ContainElement(BeElementOf(importing.HashedName("capsules", "x-y"), importing.HashedName("capsules-x", "y"))))
		h.ExpectQuiet(period)
	})

	It("makes valid names of ids that are none, each its own, and they stay", func() {
		for _, id := range []string{"Run_1", "run_1", "run-1", strings.Repeat("y", 120)} {
			h.AddRun(id)
		}
		apply(h.NewProject(imports(v1alpha1.ImportAll)))
		before := tracked()
		Expect(before).To(HaveLen(4))
		h.Restart()
		h.Step(fullPeriod)
		Expect(tracked()).To(Equal(before))
	})

	It("says that both names of a run are taken", func() {
		h.AddRun("a")
		for _, name := range []string{"capsules-a", importing.HashedName("capsules", "a")} {
			run := h.NewRun("other-" + name)
			run.Name = name
			h.ExpectApplied(run)
		}
		project := h.NewProject(imports(v1alpha1.ImportAll))
		apply(project)
		Expect(tracked()).To(HaveLen(2))
		h.ExpectEvent(project, corev1.EventTypeWarning, "NameTaken", "run a has no TrainingRun")
	})
})
