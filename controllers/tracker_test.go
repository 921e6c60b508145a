package controllers_test

import (
	"fmt"
	"net/url"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// broken is a tracker on which this fault hits every request, or the operations named.
func broken(f wandbtest.Fault, operations ...string) wandbtest.Faults {
	f.Operations = operations
	return wandbtest.Faults{Faults: []wandbtest.Fault{f}}
}

var _ = Describe("A tracker that can't be used", func() {
	var project *v1alpha1.TrackingProject
	var idle, due *v1alpha1.TrainingRun

	// prepare has run a in sync, and b with a TrainingRun that is not applied yet.
	prepare := func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a")
		h.AddRun("b")
		project, idle, due = h.NewProject(), h.NewRun("a", "baseline"), h.NewRun("b", "baseline")
		apply(project, idle)
		h.Step(2 * period)
	}

	DescribeTable("is said on the project, and on those TrainingRuns alone that have work due",
		func(ctx SpecContext, faults wandbtest.Faults, reason string, stalled bool, message string) {
			prepare(ctx)
			h.Tracker.SetFaults(faults)
			outage := h.During(func() {
				h.Step(period)
				apply(due)
				h.Step(3 * period)
			})
			expect := h.ExpectWaiting
			if stalled {
				expect = h.ExpectStalled
			}
			expect(project, reason, message)
			h.ExpectEvent(project, "Warning", reason, message)
			Expect(h.CountEvents(project, reason, nil)).To(Equal(1))
			h.ExpectWaiting(due, reason, "TrackingProject capsules: ")
			h.ExpectReady(idle, v1alpha1.ReasonSynced)
			Expect(outage.WritesOf(idle)).To(BeZero())
			Expect(outage.WritesOf(due)).To(BeNumerically("<=", 2))
			Expect(outage.WritesOf(project)).To(BeNumerically("<=", 2))
			h.ExpectTagsOn("b")

			h.Tracker.SetFaults(wandbtest.Faults{})
			h.Step(2 * time.Minute)
			h.ExpectReady(project, v1alpha1.ReasonLooking)
			h.ExpectReady(due, v1alpha1.ReasonSynced)
			h.ExpectTagsOn("b", "baseline")
		},
		Entry("a key that is not known", broken(wandbtest.Fault{NullViewer: true, NullProject: true}), v1alpha1.ReasonAccessDenied, true, "key"),
		Entry("a key that is refused", broken(wandbtest.Fault{Status: 401}), v1alpha1.ReasonAccessDenied, true, "key"),
		Entry("a login page", broken(wandbtest.Fault{LoginPage: true}), v1alpha1.ReasonAccessDenied, true, "log"),
		Entry("a server that fails", broken(wandbtest.Fault{Status: 503}), v1alpha1.ReasonTrackerUnavailable, false, "503"),
		Entry("connections that break", broken(wandbtest.Fault{Drop: "before"}), v1alpha1.ReasonTrackerUnavailable, false, ""),
		Entry("a budget that is spent", broken(wandbtest.Fault{Status: 429, Headers: map[string]string{"Retry-After": "30"}}),
			v1alpha1.ReasonRateLimited, false, ""),
	)

	It("is unavailable while nobody listens", func(ctx SpecContext) {
		prepare(ctx)
		h.Tracker.Stop()
		h.Step(period)
		h.ExpectWaiting(project, v1alpha1.ReasonTrackerUnavailable)
		apply(due)
		h.ExpectWaiting(due, v1alpha1.ReasonTrackerUnavailable)
		h.ExpectReady(idle, v1alpha1.ReasonSynced)
	})

	It("gets no request before a Retry-After has passed", func(ctx SpecContext) {
		prepare(ctx)
		limited := broken(wandbtest.Fault{Status: 429, Headers: map[string]string{"Retry-After": "600"}, Count: 1})
		h.Tracker.SetFaults(limited)
		h.Step(period)
		h.ExpectWaiting(project, v1alpha1.ReasonRateLimited)
		h.ExpectRequests(map[string]int{}, func() {
			apply(due)
			edit(idle, declare("another"))
			h.Step(8 * time.Minute)
		})
		h.ExpectWaiting(due, v1alpha1.ReasonRateLimited)
		h.Step(3 * time.Minute)
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		h.ExpectTagsOn("b", "baseline")
		h.ExpectTagsOn("a", "another")
	})

	It("gets no request of another project with the same key either", func(ctx SpecContext) {
		prepare(ctx)
		Expect(h.Tracker.AddProject("other")).To(Succeed())
		other := h.NewProject()
		other.Name, other.Spec.Wandb.Project = "other", "other"
		run := h.NewRun("c", "baseline")
		run.Spec.ProjectRef.Name = "other"
		h.AddTrackerRun(wandbtest.Run{Project: "other", ID: "c", State: "running"})
		apply(other, run)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.Tracker.SetFaults(broken(wandbtest.Fault{Status: 429, Headers: map[string]string{"Retry-After": "600"}, Count: 1}))
		h.ExpectRequests(map[string]int{controllerstest.OpList: 1}, func() { h.Step(9 * time.Minute) })
		h.Step(3 * time.Minute)
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		h.ExpectReady(other, v1alpha1.ReasonLooking)
	})

	It("costs no write of a TrainingRun with nothing due when the operator is restarted meanwhile", func(ctx SpecContext) {
		prepare(ctx)
		h.Tracker.SetFaults(broken(wandbtest.Fault{Status: 503}))
		a := h.During(func() {
			h.Restart()
			h.Settle()
			h.Step(2 * time.Minute)
		})
		h.ExpectWaiting(project, v1alpha1.ReasonTrackerUnavailable)
		h.ExpectReady(idle, v1alpha1.ReasonSynced)
		Expect(a.WritesOf(idle)).To(BeZero())
		h.Tracker.SetFaults(wandbtest.Faults{})
		Expect(h.During(func() { h.Step(2 * time.Minute) }).WritesOf(idle)).To(BeZero())
		h.ExpectReady(project, v1alpha1.ReasonLooking)
	})

	It("gets no request before the Retry-After of a write has passed", func(ctx SpecContext) {
		prepare(ctx)
		h.Tracker.SetFaults(broken(wandbtest.Fault{Status: 429, Headers: map[string]string{"Retry-After": "600"}, Count: 1}, controllerstest.OpWrite))
		apply(due)
		h.ExpectRequests(map[string]int{}, func() { h.Step(9 * time.Minute) })
		Expect(reasons(due)).To(Equal(v1alpha1.ReasonRateLimited))
		h.Step(2 * time.Minute)
		h.ExpectReady(due, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("b", "baseline")
	})

	It("gets nothing written any more once it was seen not to update by id", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		h.AddRun("a")
		h.AddRun("b")
		project, due = h.NewProject(), h.NewRun("a", "baseline")
		h.Tracker.SetFaults(wandbtest.Faults{UpsertByID: "insert"})
		apply(project, due)
		h.ExpectStalled(project, v1alpha1.ReasonTrackerUnsupported, "does not update runs by id")
		h.ExpectEvent(project, "Warning", v1alpha1.ReasonTrackerUnsupported, "does not update runs by id")
		h.ExpectWaiting(due, v1alpha1.ReasonTrackerUnsupported)
		a := h.During(func() {
			apply(h.NewRun("b", "baseline"))
			h.Step(fullPeriod)
		})
		Expect(a.Requests).NotTo(HaveKey(controllerstest.OpWrite))

		By("editing the project once the server is another, as the condition says")
		h.Tracker.SetFaults(wandbtest.Faults{})
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.Interval.Duration = time.Minute })
		h.Step(fullPeriod)
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		h.ExpectReady(due, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "baseline")
		h.ExpectTagsOn("b", "baseline")
	})

	It("gets nothing at all while the project is suspended", func(ctx SpecContext) {
		prepare(ctx)
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.Suspend = true })
		h.ExpectStalled(project, v1alpha1.ReasonSuspended, "spec.suspend is set")
		h.ExpectRequests(map[string]int{}, func() {
			apply(due)
			h.Step(fullPeriod)
		})
		h.ExpectWaiting(due, v1alpha1.ReasonSuspended, "TrackingProject capsules")
		h.ExpectReady(idle, v1alpha1.ReasonSynced)
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.Suspend = false })
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		h.ExpectReady(due, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("b", "baseline")
	})

	It("is not dialled at an address that is not allowed, and the message has the flag", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{Allow: []string{}})
		h.AddRun("a")
		project, due = h.NewProject(), h.NewRun("a", "baseline")
		h.ExpectRequests(map[string]int{}, func() { apply(project, due) })
		address, err := url.Parse(h.Tracker.URL)
		Expect(err).NotTo(HaveOccurred())
		h.ExpectStalled(project, v1alpha1.ReasonAddressRefused, "--allow-tracker="+address.Host)
		h.ExpectEvent(project, "Warning", v1alpha1.ReasonAddressRefused, "--allow-tracker")
		h.ExpectWaiting(due, v1alpha1.ReasonAddressRefused, "--allow-tracker="+address.Host)
	})

	It("writes nothing to a hundred TrainingRuns with nothing due while it is down", func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		project = h.NewProject()
		h.ExpectApplied(project)
		for i := range 100 {
			id := fmt.Sprintf("run-%03d", i)
			h.AddRun(id)
			h.ExpectApplied(h.NewRun(id, "baseline"))
		}
		h.Settle()
		h.ExpectTagsOn("run-099", "baseline")
		h.Step(2 * period)
		h.Tracker.SetFaults(broken(wandbtest.Fault{Status: 500}))
		a := h.During(func() { h.Step(fullPeriod) })
		h.ExpectWaiting(project, v1alpha1.ReasonTrackerUnavailable)
		Expect(a.Writes).To(HaveLen(a.WritesOf(project)))
		Expect(a.WritesOf(project)).To(BeNumerically("<=", 2)) // the look failed first, and then the check
		h.Tracker.SetFaults(wandbtest.Faults{})
		a = h.During(func() { h.Step(2 * time.Minute) })
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		Expect(a.Writes).To(HaveLen(a.WritesOf(project)))
	})
})

var _ = Describe("A Secret that can't be used", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	It("is said on the project, with the command that makes it, until it is there", func() {
		h.AddRun("a")
		project, run := h.NewProject(), h.NewRun("a", "baseline")
		project.Spec.Wandb.APIKeySecretRef.Name = "another"
		h.ExpectRequests(map[string]int{}, func() { apply(project, run) })
		h.ExpectStalled(project, v1alpha1.ReasonSecretNotReady, "another does not exist", "kubectl -n "+h.Namespace+" create secret generic another --from-literal=api-key=")
		h.ExpectEvent(project, "Warning", v1alpha1.ReasonSecretNotReady, "does not exist")
		h.ExpectWaiting(run, v1alpha1.ReasonSecretNotReady)

		secret := h.NewSecret(h.Namespace)
		secret.Name = "another"
		h.ExpectApplied(secret)
		h.Step(2 * time.Minute)
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "baseline")
	})

	It("has to have the key", func() {
		project := h.NewProject()
		project.Spec.Wandb.APIKeySecretRef.Key = "other"
		apply(project)
		h.ExpectStalled(project, v1alpha1.ReasonSecretNotReady, `has no key "other"`, "patch secret wandb")
	})

	It("is sent to no other host than its own", func() {
		secret := h.NewSecret(h.Namespace)
		h.Refresh(secret)
		secret.Data[v1alpha1.SecretKeyHost] = []byte("api.wandb.ai")
		h.ExpectApplied(secret)
		project := h.NewProject()
		h.ExpectRequests(map[string]int{}, func() { apply(project) })
		h.ExpectStalled(project, v1alpha1.ReasonSecretNotReady, `bound to another host by its key "host"`)
	})

	It("is read again when the tracker refuses what it held", func() {
		h.AddRun("a")
		run, project := h.NewRun("a", "baseline"), h.NewProject()
		secret := h.NewSecret(h.Namespace)
		h.Refresh(secret)
		good := secret.Data["api-key"]
		secret.Data["api-key"] = []byte("wrong")
		h.ExpectApplied(secret)
		apply(project, run)
		h.ExpectStalled(project, v1alpha1.ReasonAccessDenied)
		secret.Data["api-key"] = good
		h.ExpectApplied(secret)
		h.Step(10 * time.Second)
		h.ExpectReady(project, v1alpha1.ReasonLooking)
		h.ExpectTagsOn("a", "baseline")
	})
})

var _ = Describe("A project", func() {
	BeforeEach(func(ctx SpecContext) { start(ctx, controllerstest.Options{}) })

	It("is waited for by its TrainingRuns", func() {
		h.AddRun("a")
		run := h.NewRun("a", "baseline")
		apply(run)
		h.ExpectWaiting(run, v1alpha1.ReasonProjectNotReady, "no TrackingProject capsules in namespace "+h.Namespace, "create it")
		apply(h.NewProject())
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.ExpectTagsOn("a", "baseline")
	})

	It("is missed when it is deleted, and works again when it is made again", func() {
		h.AddRun("a")
		run, project := h.NewRun("a", "baseline"), h.NewProject()
		apply(project, run)
		h.ExpectDeleted(project)
		h.Settle()
		h.ExpectWaiting(run, v1alpha1.ReasonProjectNotReady)
		apply(h.NewProject())
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		edit(run, declare("another"))
		h.ExpectTagsOn("a", "another")
	})

	It("says when looks take longer than the interval", func() {
		h.AddActiveRun("a")
		project := h.NewProject()
		apply(project, h.NewRun("a", "baseline"))
		h.Tracker.BeforeRequests(func(wandbtest.Request) { h.Clock.Step(40 * time.Second) })
		h.Step(period)
		h.ExpectReady(project, v1alpha1.ReasonPollingSlow, "longer than the interval of 30s", "raise spec.interval")
		h.Tracker.BeforeRequests(nil)
		h.Step(2 * period)
		h.ExpectReady(project, v1alpha1.ReasonLooking)
	})

	It("is looked at as often as a shorter interval asks for, not only after the longer one", func() {
		project := h.NewProject(every(time.Hour))
		run := h.NewRun("a", "baseline")
		h.AddActiveRun("a")
		apply(project, run)
		h.EditTags("a", []string{"foreign"}, nil)
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.Interval.Duration = 2 * time.Second })
		h.Step(3 * time.Second)
		h.Refresh(run)
		Expect(run.Status.TagNames).To(Equal("baseline,foreign"))
	})

	It("counts its runs and their tags, at most once a minute", func() {
		project := h.NewProject(every(time.Second))
		h.ExpectApplied(project)
		for i := range 3 {
			id := fmt.Sprintf("run-%d", i)
			h.AddActiveRun(id, "foreign")
			h.ExpectApplied(h.NewRun(id, "baseline"))
		}
		h.AddRun("untracked")
		h.Settle()
		h.Step(2 * time.Minute)
		h.Refresh(project)
		Expect(project.Status.TrackedRuns).To(BeEquivalentTo(3))
		Expect(project.Status.Backend).To(Equal("wandb"))
		Expect(project.Status.Project).To(Equal(h.Tracker.Entity + "/" + controllerstest.ProjectName))
		Expect(project.Status.Tags).To(Equal([]v1alpha1.TagCount{{Name: "baseline", Count: 3}, {Name: "foreign", Count: 3}}))

		a := h.During(func() {
			for i := range 60 {
				h.EditTags("run-0", []string{fmt.Sprintf("tag-%d", i)}, nil)
				h.Step(2 * time.Second)
			}
		})
		Expect(a.WritesOf(project)).To(BeElementOf(1, 2))
		h.Step(11 * time.Minute)
		h.Refresh(project)
		Expect(*project.Status.Runs).To(BeEquivalentTo(4))
	})
})
