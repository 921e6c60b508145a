package controllerstest

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// ExpectCondition reads the object and checks one condition; the message must contain all of these parts.
func (h *Harness) ExpectCondition(obj client.Object, kind string, status metav1.ConditionStatus, reason string, message ...string) {
	h.t.Helper()
	h.Refresh(obj)
	c := conditionOf(obj, kind)
	if c == nil {
		h.fail("%s %s has no condition %s", kindOf(obj), obj.GetName(), kind)
		return
	}
	if c.Status != status || c.Reason != reason {
		h.fail("%s %s: %s is %s for %s (%s), want %s for %s", kindOf(obj), obj.GetName(), kind, c.Status, c.Reason, c.Message, status, reason)
	}
	for _, part := range message {
		if !strings.Contains(c.Message, part) {
			h.fail("%s %s: the message of %s is %q, want it to say %q", kindOf(obj), obj.GetName(), kind, c.Message, part)
		}
	}
}

// ExpectReady checks that the object is Ready, for this reason.
func (h *Harness) ExpectReady(obj client.Object, reason string, message ...string) {
	h.t.Helper()
	h.ExpectCondition(obj, v1alpha1.ConditionReady, metav1.ConditionTrue, reason, message...)
}

// ExpectWaiting checks that the object is not Ready for this reason, and that the operator goes on by itself.
func (h *Harness) ExpectWaiting(obj client.Object, reason string, message ...string) {
	h.t.Helper()
	h.ExpectCondition(obj, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message...)
	h.ExpectCondition(obj, v1alpha1.ConditionReconciling, metav1.ConditionTrue, reason)
}

// ExpectStalled checks that the object is not Ready for this reason, and that a person has to do something.
func (h *Harness) ExpectStalled(obj client.Object, reason string, message ...string) {
	h.t.Helper()
	h.ExpectCondition(obj, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message...)
	h.ExpectCondition(obj, v1alpha1.ConditionStalled, metav1.ConditionTrue, reason)
}

// ExpectTagsOn checks the tags that a run has on the tracker, in any order.
func (h *Harness) ExpectTagsOn(id string, want ...string) {
	h.t.Helper()
	run, ok := h.Tracker.Run(h.Tracker.Path(id))
	if !ok {
		h.fail("there is no run %s on the tracker", id)
	}
	if have := slices.Sorted(slices.Values(run.Tags)); !slices.Equal(have, slices.Sorted(slices.Values(want))) {
		h.fail("run %s has the tags %q, want %q", id, have, want)
	}
}

// ExpectEvent checks that there is an event about the object, with this reason and a note that contains the part.
func (h *Harness) ExpectEvent(obj client.Object, kind, reason, part string) {
	h.t.Helper()
	if h.CountEvents(obj, reason, func(e Event) bool { return e.Type == kind && strings.Contains(e.Note, part) }) == 0 {
		h.fail("there is no %s event %s about %s that says %q", kind, reason, obj.GetName(), part)
	}
}

// CountEvents counts the events about the object with this reason that match; nil matches all.
func (h *Harness) CountEvents(obj client.Object, reason string, matches func(Event) bool) (n int) {
	for _, e := range h.Events.All() {
		if e.Object == kindOf(obj)+" "+obj.GetName() && e.Reason == reason && (matches == nil || matches(e)) {
			n++
		}
	}
	return n
}

// ExpectGone checks that the API server does not have the object any more.
func (h *Harness) ExpectGone(obj client.Object) {
	h.t.Helper()
	if h.exists(obj, client.ObjectKeyFromObject(obj)) {
		h.fail("%s %s is still there", kindOf(obj), obj.GetName())
	}
}

// Activity is what the operator did in some time.
type Activity struct {
	// Requests to all trackers, by operation.
	Requests map[string]int
	// Writes to the API server.
	Writes []Write
}

// WritesOf counts the writes of one object.
func (a Activity) WritesOf(obj client.Object) (n int) {
	for _, w := range a.Writes {
		if w.Kind == kindOf(obj) && w.Key == client.ObjectKeyFromObject(obj) {
			n++
		}
	}
	return n
}

// During says what the operator did while f ran.
func (h *Harness) During(f func()) Activity {
	h.t.Helper()
	seen := make([]int64, len(h.trackers))
	for i, t := range h.trackers {
		if all := t.Requests(); len(all) > 0 {
			seen[i] = all[len(all)-1].Seq
		}
	}
	before := len(h.API.Writes())
	f()
	a := Activity{Requests: map[string]int{}, Writes: h.API.Writes()[before:]}
	for i, t := range h.trackers {
		var since int64
		if i < len(seen) {
			since = seen[i]
		}
		for _, r := range t.RequestsSince(since) {
			a.Requests[r.Operation]++
		}
	}
	return a
}

// ExpectRequests checks how many requests the trackers got while f ran, by operation; those that are not named are none.
func (h *Harness) ExpectRequests(want map[string]int, f func()) {
	h.t.Helper()
	if have := h.During(f).Requests; !maps.Equal(have, want) {
		h.fail("the tracker got the requests %v, want %v", have, want)
	}
}

// ExpectNoWrites checks that nothing was written to the API server while f ran.
func (h *Harness) ExpectNoWrites(f func()) {
	h.t.Helper()
	if a := h.During(f); len(a.Writes) > 0 {
		h.fail("%d writes to the API server, want none; the first is %+v", len(a.Writes), a.Writes[0])
	}
}

// lateAfter is after what time all has been written that comes late: the counts of a project, and that no pod of an active
// run is known. Objects are made by the API server's clock, which may be ahead of ours.
const lateAfter = 3 * time.Minute

// ExpectQuiet lets three periods pass and checks that nobody wrote anything: resourceVersions stand still, and the
// tracker sees nothing but looks.
func (h *Harness) ExpectQuiet(period time.Duration) {
	h.t.Helper()
	h.Step(lateAfter)
	before := h.versions()
	a := h.During(func() { h.Step(3 * period) })
	if len(a.Writes) > 0 {
		h.fail("%d writes to the API server in three quiet periods, want none; the first is %+v", len(a.Writes), a.Writes[0])
	}
	h.g.Expect(h.versions()).To(gomega.Equal(before))
	for operation, n := range a.Requests {
		if operation != OpList && operation != OpCheck {
			h.fail("%d requests %s in three quiet periods, want only looks", n, operation)
		}
	}
	h.g.Expect(a.Requests).NotTo(gomega.BeEmpty(), "nobody looked at the tracker")
}

func (h *Harness) versions() map[string]string {
	h.t.Helper()
	versions := map[string]string{}
	for _, ns := range h.namespaces {
		var runs v1alpha1.TrainingRunList
		var projects v1alpha1.TrackingProjectList
		for _, list := range []client.ObjectList{&runs, &projects} {
			h.g.Expect(h.Admin.List(h.ctx, list, client.InNamespace(ns))).To(gomega.Succeed())
		}
		for i := range runs.Items {
			versions["TrainingRun "+ns+"/"+runs.Items[i].Name] = runs.Items[i].ResourceVersion
		}
		for i := range projects.Items {
			versions["TrackingProject "+ns+"/"+projects.Items[i].Name] = projects.Items[i].ResourceVersion
		}
	}
	return versions
}
