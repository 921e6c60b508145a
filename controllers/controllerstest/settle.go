package controllerstest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/tagchange"
	"github.com/runtag/runtag/controllers/tagrule"
	"github.com/runtag/runtag/internal/backend/batch"
)

const (
	// shortly is how long a timer may be for Settle to go to it: the waits after a conflict, not those of a back-off.
	shortly = 100 * time.Millisecond
	// passLimit is for one pass, in real time: what a tracker leaves unanswered ends there.
	passLimit = 20 * time.Second
	// waitLimit is for the cache, or a request to the tracker, in real time.
	waitLimit = 30 * time.Second
	// mostPasses over one object in one Settle.
	mostPasses = 60
	poll       = time.Millisecond
	// never is a version that no object gets.
	never = "18446744073709551615"
)

// Settle makes passes until nothing is queued, nothing is on its way to the tracker, and nothing is due shortly. The clock
// moves by what batches wait, and no more. Then it checks what has to hold always.
func (h *Harness) Settle() {
	h.t.Helper()
	passes := map[string]int{}
	for {
		h.reconcile(passes)
		if h.send() || h.queued() > 0 {
			continue
		}
		next := h.nextTimer()
		if h.queued() > 0 { // a test moved the clock past a timer
			continue
		}
		if next.IsZero() || next.Sub(h.Clock.Now()) > shortly {
			break
		}
		h.to(next)
	}
	h.checkInvariants()
}

// Reconcile makes passes until nothing is queued. What is on its way to the tracker stays there.
func (h *Harness) Reconcile() {
	h.t.Helper()
	h.reconcile(map[string]int{})
}

// Send lets what is on its way to the tracker go there, and waits for the answers. The next pass works them in.
func (h *Harness) Send() {
	h.t.Helper()
	h.send()
}

// Step moves the clock by d, from timer to timer, and settles at each.
func (h *Harness) Step(d time.Duration) {
	h.t.Helper()
	end := h.Clock.Now().Add(d)
	h.Settle()
	for {
		next := h.nextTimer()
		if next.IsZero() || next.After(end) {
			break
		}
		h.to(next)
		h.Settle()
	}
	h.to(end)
}

// to moves the clock, never back, and queues what is due.
func (h *Harness) to(t time.Time) {
	if t.After(h.Clock.Now()) {
		h.Clock.SetTime(t)
	}
	h.nextTimer()
}

// nextTimer queues what is due and gives the time of the next timer.
func (h *Harness) nextTimer() time.Time {
	var next time.Time
	for _, q := range []*queue{h.projects, h.runs, h.rules, h.clusterRules, h.changes} {
		if at := q.due(h.Clock.Now()); next.IsZero() || !at.IsZero() && at.Before(next) {
			next = at
		}
	}
	return next
}

func (h *Harness) queued() int {
	return h.runs.len() + h.projects.len() + h.rules.len() + h.clusterRules.len() + h.changes.len()
}

func (h *Harness) reconcile(passes map[string]int) {
	h.t.Helper()
	for h.queued() > 0 {
		for h.pass(passes) {
		}
		h.catchUp()
	}
}

// catchUp lets the cache get what the operator has written since the last time.
func (h *Harness) catchUp() {
	h.t.Helper()
	writes := h.API.Writes()[h.synced:]
	h.synced += len(writes)
	h.sync(writes)
}

// pass makes one pass over one queued object, if there is any.
func (h *Harness) pass(passes map[string]int) bool {
	h.t.Helper()
	q, controller, request, id, ok := h.next()
	if !ok {
		return false
	}
	if passes[id]++; passes[id] > mostPasses {
		h.fail("%s was reconciled %d times and is not settled", id, passes[id])
	}
	ctx, cancel := context.WithTimeout(log.IntoContext(h.ctx, h.Log.Logger().WithValues("object", id)), cmp.Or(h.options.Patience, passLimit))
	defer cancel()
	result, err := h.carryOut(ctx, controller, request)
	now := h.Clock.Now()
	switch {
	case err != nil: // as the rate limiter of a manager's queue
		h.errors = append(h.errors, err.Error())
		q.at(request, now.Add(5*time.Millisecond<<min(h.failures[id], 16)))
		h.failures[id]++
	case result.RequeueAfter > 0:
		delete(h.failures, id)
		q.at(request, now.Add(result.RequeueAfter))
	default:
		delete(h.failures, id)
	}
	return true
}

// carryOut makes a pass. Where there is a limit that it may have to wait for, the clock moves on meanwhile.
func (h *Harness) carryOut(ctx context.Context, controller reconcile.Reconciler, request reconcile.Request) (reconcile.Result, error) {
	if h.options.Rate == 0 {
		return controller.Reconcile(ctx, request)
	}
	var result reconcile.Result
	ended := make(chan error, 1)
	go func() {
		var err error
		result, err = controller.Reconcile(ctx, request)
		ended <- err
	}()
	for {
		select {
		case err := <-ended:
			return result, err
		case <-time.After(poll):
			if h.Clock.HasWaiters() {
				h.Clock.Step(time.Duration(float64(time.Second) / h.options.Rate))
			}
		}
	}
}

// next takes what is queued: projects first, then runs, then rules.
func (h *Harness) next() (q *queue, controller reconcile.Reconciler, request reconcile.Request, id string, ok bool) {
	for _, in := range []struct {
		queue      *queue
		controller reconcile.Reconciler
		kind       string
	}{
		{h.projects, h.project, "TrackingProject"}, {h.runs, h.run, "TrainingRun"},
		{h.rules, h.rule, "TagRule"}, {h.clusterRules, h.clusterRule, "ClusterTagRule"}, {h.changes, h.change, "TagChange"},
	} {
		if request, ok := in.queue.pop(h.options.Order); ok {
			return in.queue, in.controller, request, in.kind + " " + request.String(), true
		}
	}
	return nil, nil, reconcile.Request{}, "", false
}

// send lets the batches go that wait for more, and waits until all are answered. It says whether there was anything.
func (h *Harness) send() bool {
	h.t.Helper()
	had := false
	deadline := time.Now().Add(waitLimit)
	for _, key := range slices.SortedFunc(maps.Keys(h.known), func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) }) {
		project, ok := h.Registry.Find(key)
		if !ok {
			continue
		}
		for queue := project.Queue(); queue != nil && !queue.Idle(); {
			had = true
			if time.Now().After(deadline) {
				h.fail("requests to the tracker are not answered within %s", waitLimit)
			}
			if h.Clock.HasWaiters() {
				h.Clock.Step(batch.DefaultWindow)
			}
			pause()
		}
	}
	return had
}

// pause lets other goroutines do something; nothing says when the tracker has answered.
func pause() { <-time.After(poll) }

// sync waits until the cache has what was written, and does what the watches of a manager do for an object that is gone.
func (h *Harness) sync(writes []Write) {
	h.t.Helper()
	if h.Held != nil {
		h.Held.catchUp()
		return
	}
	for _, w := range writes {
		if w.Err != nil && !w.Lost || !isCached(w.Kind) {
			continue
		}
		obj := objectOf(w.Kind)
		version := w.ResourceVersion
		if w.Released {
			version = never
		}
		before := h.last[w.Key]
		switch gone := h.cached(obj, w.Key, version); {
		case gone:
			h.gone(obj, w.Key)
		case w.Created:
			h.runs.Add(reconcile.Request{NamespacedName: w.Key})
		case w.Kind == kindRun && before != nil && tagrule.RuleTagsChanged(before, h.last[w.Key]):
			h.rulesConcerned(before, h.last[w.Key])
		case w.Kind == kindChange && tagchange.Finished(obj):
			h.othersOf(obj)
		}
	}
}

// othersOf queues the TagChanges that may wait for one that is out of the way.
func (h *Harness) othersOf(done client.Object) {
	for _, c := range h.changesIn(done.GetNamespace()) {
		if !tagchange.Finished(&c) {
			h.changes.Add(requestFor(&c))
		}
	}
}

func (h *Harness) changesIn(namespace string) []v1alpha1.TagChange {
	h.t.Helper()
	var list v1alpha1.TagChangeList
	h.list(kindChange, &list, namespace, h.Admin)
	return list.Items
}

// rulesConcerned queues the rules of which TrainingRuns remember something.
func (h *Harness) rulesConcerned(runs ...client.Object) {
	for controller, q := range map[*tagrule.Controller]*queue{h.rule: h.rules, h.clusterRule: h.clusterRules} {
		for _, key := range controller.Concerned(runs...) {
			q.Add(reconcile.Request{NamespacedName: key})
		}
	}
}

// cached waits until the cache has the object in this version or a later one, or does not have it. It says the latter.
func (h *Harness) cached(obj client.Object, key types.NamespacedName, version string) (gone bool) {
	h.t.Helper()
	deadline := time.Now().Add(waitLimit)
	for {
		err := h.cluster.GetCache().Get(h.ctx, key, obj)
		switch {
		case apierrors.IsNotFound(err) && !h.exists(obj, key):
			return true
		case err == nil && !older(obj.GetResourceVersion(), version):
			if run, ok := obj.(*v1alpha1.TrainingRun); ok {
				h.last[key] = run.DeepCopy()
			}
			return false
		case err != nil && !apierrors.IsNotFound(err):
			h.g.Expect(err).NotTo(gomega.HaveOccurred())
		case time.Now().After(deadline):
			h.fail("the cache does not get %T %s in version %s", obj, key, version)
		}
		pause()
	}
}

func (h *Harness) exists(obj client.Object, key types.NamespacedName) bool {
	h.t.Helper()
	err := h.Admin.Get(h.ctx, key, obj)
	if err != nil && !apierrors.IsNotFound(err) {
		h.g.Expect(err).NotTo(gomega.HaveOccurred())
	}
	return err == nil
}

// older compares versions of one object, which are numbers that grow.
func older(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	if err := errors.Join(errX, errY); err != nil {
		panic(err)
	}
	return x < y
}

// gone queues what the deletion of an object queues: the object itself and, of a TrainingRun, those that it concerns.
func (h *Harness) gone(obj client.Object, key types.NamespacedName) {
	h.t.Helper()
	request := reconcile.Request{NamespacedName: key}
	switch obj.(type) {
	case *v1alpha1.TrackingProject:
		h.projects.Add(request)
		return
	case *v1alpha1.TagChange:
		h.changes.Add(request)
		obj.SetNamespace(key.Namespace)
		h.othersOf(obj)
		return
	}
	h.runs.Add(request)
	if last := h.last[key]; last != nil {
		h.concerned(last)
		h.rulesConcerned(last)
	}
}

// concerned queues what an edit or the deletion of a TrainingRun queues besides it.
func (h *Harness) concerned(run *v1alpha1.TrainingRun) {
	h.t.Helper()
	keys, err := h.run.Concerned(h.ctx, run)
	h.g.Expect(err).NotTo(gomega.HaveOccurred())
	for _, key := range keys {
		h.runs.Add(reconcile.Request{NamespacedName: key})
	}
}
