package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// What becomes of a manager's work when it ends, and what its flags do. Each spec starts managers of its own.
var _ = Describe("The manager's process", func() {
	for _, t := range trackers {
		Context("on "+t.name(), func() {
			endSpecs(t)
			flagSpecs(t)
		})
	}
	leaderSpecs(onWandb)
})

// endSpecs are about ends, good and bad.
func endSpecs(t tracker) {
	It("ends right after it was killed in the middle of 100 changes", func(ctx SpecContext) {
		first := startManager(ctx)
		s := newScene(ctx, t)
		ids := t.many(ctx, s.project, 100, "foreign", "retired")
		each(ids, func(id string) { s.create(ctx, s.run(id, "before", "retired")) })
		s.expectAll(ctx, ids, "before", "foreign", "retired")

		// W&B gets them in batches of ten, MLflow gets an addition and two removals each.
		killAt := map[string]int32{"wandb": 4, "mlflow": 130}[t.name()]
		var writes atomic.Int32
		stop := t.traffic().watch(func(r request) {
			if r.kind == write && writes.Add(1) == killAt {
				first.kill()
			}
		})
		each(ids, func(id string) { s.redeclare(ctx, objectName(s.project, id), "after") })
		Eventually(first.ended).Should(BeClosed(), s.explain(ctx))
		stop()
		Expect(s.countOn(ctx, ids, "after", "foreign")).To(And(BeNumerically(">", 0), BeNumerically("<", 100)), "runs that were done when it was killed")

		startManager(ctx)
		s.expectAll(ctx, ids, "after", "foreign")
		for _, run := range s.runs(ctx) {
			s.expectReady(ctx, run.Name)
			s.expectApplied(ctx, run.Name, "after")
		}
	})

	It("finishes the write in hand before it ends", func(ctx SpecContext) {
		m := startManager(ctx)
		s := newScene(ctx, t)
		run := s.train(ctx, "foreign")
		writes := t.traffic().holdUp(ctx, write, 0)
		name := s.declare(ctx, run, "ours")
		Eventually(writes.reached).Should(BeClosed(), s.explain(ctx))

		Expect(m.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
		m.expectSays("Stopping and waiting for")
		Expect(m.ended).NotTo(BeClosed())
		writes.release()
		m.expectEndedWell()
		s.expectTagsOnTracker(ctx, run, "foreign", "ours")

		mark := t.traffic().mark()
		startManager(ctx)
		s.expectReady(ctx, name)
		s.expectApplied(ctx, name, "ours")
		s.expectNothingWritten(mark)
	})
}

// each does something for all ids, some at once.
func each(ids []string, do func(id string)) {
	GinkgoHelper()
	var group sync.WaitGroup
	for part := range slices.Chunk(ids, (len(ids)+7)/8) {
		group.Go(func() {
			defer GinkgoRecover()
			for _, id := range part {
				do(id)
			}
		})
	}
	group.Wait()
}

// countOn counts the runs that have exactly these tags.
func (s *scene) countOn(ctx context.Context, ids []string, want ...string) int {
	GinkgoHelper()
	all, count := s.tracker.tagsOfAll(ctx, s.project), 0
	for _, id := range ids {
		if slices.Equal(all[id], want) {
			count++
		}
	}
	return count
}

// expectAll waits until all runs have exactly these tags.
func (s *scene) expectAll(ctx context.Context, ids []string, want ...string) {
	GinkgoHelper()
	Eventually(func() int { return s.countOn(ctx, ids, want...) }).WithPolling(pollMany).Should(Equal(len(ids)), s.explain(ctx))
}

// flagSpecs are about what the flags allow.
func flagSpecs(t tracker) {
	It("is bound by --max-tag-policy", func(ctx SpecContext) {
		startManager(ctx, "--max-tag-policy=Add")
		s := newScene(ctx, t)
		run := s.train(ctx, "debug")
		declared := s.run(run.id, "ours")
		declared.Spec.ExcludeTags = []string{"debug"}
		name := s.create(ctx, declared)
		s.expectReady(ctx, name)
		s.expectPending(ctx, name, nil, []string{"debug"})
		s.expectTagsOnTracker(ctx, run, "debug", "ours")
	})

	It("leaves other namespaces alone with --watch-namespaces", func(ctx SpecContext) {
		const other = "e2e-other"
		err := suite.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: other}})
		Expect(client.IgnoreAlreadyExists(err)).To(Succeed())
		secret := t.secret()
		secret.Namespace = other
		Expect(suite.client.Create(ctx, secret)).To(Succeed())

		startManager(ctx, "--watch-namespaces="+namespace)
		left := newSceneIn(ctx, t, other)
		alone := left.train(ctx, "foreign")
		leftName := left.declare(ctx, alone, "ours")
		s := newScene(ctx, t)
		run := s.train(ctx)
		name := s.declare(ctx, run, "ours")
		s.expectReady(ctx, name)
		s.expectTagsOnTracker(ctx, run, "ours")
		s.expectLooks(ctx, 2)
		left.expectTagsOnTracker(ctx, alone, "foreign")
		Expect(left.get(ctx, leftName).Status).To(BeZero())
		Expect(left.getProject(ctx).Status.Conditions).To(BeEmpty())
	})

	It("refuses a loopback address without --allow-tracker, and says which flag allows it", func(ctx SpecContext) {
		refusing := launchManager()
		refusing.expectReady(ctx)
		s := newScene(ctx, t)
		run := s.train(ctx)
		mark := t.traffic().mark()
		name := s.declare(ctx, run, "ours")
		message := s.expectProject(ctx, metav1.ConditionFalse, v1alpha1.ReasonAddressRefused)
		flag := regexp.MustCompile(`--allow-tracker=[^\s,;]+`).FindString(message)
		Expect(flag).NotTo(BeEmpty(), message)
		s.expectNotReady(ctx, name, v1alpha1.ReasonAddressRefused)
		Expect(t.traffic().since(mark)).To(BeEmpty())
		refusing.stop()

		launchManager(flag).expectReady(ctx)
		s.expectProject(ctx, metav1.ConditionTrue, v1alpha1.ReasonLooking)
		s.expectReady(ctx, name)
		s.expectTagsOnTracker(ctx, run, "ours")
	})
}

// acquired is what a manager says when it becomes the leader.
const acquired = "Successfully acquired lease"

// leaderSpecs are about several managers, and about what all of them show.
func leaderSpecs(t tracker) {
	It("hands over to another manager when the leader is killed", func(ctx SpecContext) {
		election := []string{"--leader-elect", "--leader-elect-namespace=" + systemNamespace}
		leader := startManager(ctx, election...)
		leader.expectSays(acquired)
		standby := startManager(ctx, election...)
		s := newScene(ctx, t)
		run := s.train(ctx)
		name := s.declare(ctx, run, "ours")
		s.expectTagsOnTracker(ctx, run, "ours")
		s.expectReady(ctx, name)
		Expect(standby.said()).NotTo(Or(ContainSubstring(acquired), ContainSubstring("tag changed")))

		leader.kill()
		s.redeclare(ctx, name, "after")
		standby.expectSays(acquired) // when the lease has run out
		s.expectTagsOnTracker(ctx, run, "after")
		s.expectReady(ctx, name)

		By("giving the lease back when it ends well")
		standby.stop()
		var lease coordinationv1.Lease
		Expect(suite.client.Get(ctx, client.ObjectKey{Namespace: systemNamespace, Name: "manager.runtag.dev"}, &lease)).To(Succeed())
		Expect(lease.Spec.HolderIdentity).To(HaveValue(BeEmpty()))
	})

	It("answers probes and counts what it does", func(ctx SpecContext) {
		m := startManager(ctx)
		Expect(m.probe(ctx, "healthz")).To(Equal(http.StatusOK))
		Expect(m.probe(ctx, "readyz")).To(Equal(http.StatusOK))
		s := newScene(ctx, t)
		run := s.train(ctx, "retired")
		name := s.declare(ctx, run, "ours", "retired")
		s.expectReady(ctx, name)
		s.redeclare(ctx, name, "ours")
		s.expectReady(ctx, name)
		t.remove(ctx, run, "ours")
		s.expectTagsOnTracker(ctx, run, "ours")
		s.expectReady(ctx, name)

		metrics := m.measured(ctx)
		for _, want := range []string{
			`runtag_tag_changes_total{change="Added",source="Spec"} 2`,
			`runtag_tag_changes_total{change="Removed",source="Spec"} 1`,
			`runtag_tag_changes_total{change="Removed",source="Run"} 1`,
			`runtag_drift_total 1`,
			`runtag_tracker_requests_total{operation="write tags",outcome=`,
			`runtag_tag_lag_seconds_count 3`,
			`runtag_look_duration_seconds_count{kind="full"}`,
		} {
			Expect(metrics).To(ContainSubstring(want))
		}
		Expect(m.said()).To(MatchRegexp(fmt.Sprintf(`"logger":"audit".*"run":%q,"tag":"retired","change":"Removed"`, run.id)))
	})
}
