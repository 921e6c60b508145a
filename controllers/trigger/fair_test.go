package trigger_test

import (
	"fmt"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtag/runtag/controllers/trigger"
)

// workers of the queues of these tests, and the share of them that one namespace gets.
const (
	workers = 4
	share   = 3
)

func newFair(t interface{ Cleanup(func()) }) priorityqueue.PriorityQueue[reconcile.Request] {
	limiter := workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]()
	q, ok := trigger.FairQueue(workers, logr.Discard())("test", limiter).(priorityqueue.PriorityQueue[reconcile.Request])
	if !ok {
		panic("a FairQueue has no priorities")
	}
	t.Cleanup(q.ShutDown)
	return q
}

func request(namespace string, n int) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: fmt.Sprint(n)}}
}

// next takes an object, and says which it is.
func next(q priorityqueue.PriorityQueue[reconcile.Request]) string {
	r, _, _ := q.GetWithPriority()
	return r.String()
}

func TestOneNamespaceDoesNotHoldUpAnother(t *testing.T) {
	const flood = 5000
	q := newFair(t)
	for n := range flood {
		q.Add(request("flood", n))
	}
	q.Add(request("team", 0))
	var have []string
	for range workers { // nobody is done: the flood's trackers may answer never
		have = append(have, next(q))
	}
	if want := "[flood/0 flood/1 flood/2 team/0]"; fmt.Sprint(have) != want {
		t.Fatalf("the workers got %v, want %s", have, want)
	}
	q.Done(request("team", 0))
	for n := range 10 { // whatever comes for the team goes before what waits of the flood
		q.Add(request("team", n))
		if got := next(q); got != request("team", n).String() {
			t.Fatalf("got %s, want the team's object %d", got, n)
		}
		q.Done(request("team", n))
	}
	for n := share; n < flood; n++ {
		q.Done(request("flood", n-share))
		if got := next(q); got != request("flood", n).String() {
			t.Fatalf("got %s, want the flood's object %d in its turn", got, n)
		}
	}
}

func TestOfWhatWaitsOutsideTheMostUrgentGoesFirst(t *testing.T) {
	q := newFair(t)
	add := func(n, priority int) {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, request("team", n))
	}
	for n := range share {
		add(n, 0)
		next(q)
	}
	add(10, trigger.Periodic)
	add(11, trigger.Periodic)
	add(12, 0)
	q.Add(request("other", 0))
	if got := next(q); got != "other/0" { // on its way the team's went outside
		t.Fatalf("got %s, want the other namespace's object", got)
	}
	add(11, trigger.Done)
	q.Add(request("other", 1))
	if got := next(q); got != "other/1" {
		t.Fatalf("got %s, want the other namespace's object", got)
	}
	for n, want := range []string{"team/11", "team/12", "team/10"} {
		q.Done(request("team", n))
		if got := next(q); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
	if n := q.Len(); n != 0 {
		t.Errorf("%d objects are queued, want none", n)
	}
}

// model is what a fair queue promises.
type model struct {
	waiting, working map[reconcile.Request]bool
	busy             map[string]int
}

func (m *model) ready() (n int) {
	for r := range m.waiting {
		if !m.working[r] && m.busy[r.Namespace] < share {
			n++
		}
	}
	return n
}

func TestFairQueueLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newFair(t)
		m := &model{waiting: map[reconcile.Request]bool{}, working: map[reconcile.Request]bool{}, busy: map[string]int{}}
		take := func() {
			r, _, _ := q.GetWithPriority()
			if !m.waiting[r] || m.working[r] || m.busy[r.Namespace] >= share {
				t.Fatalf("got %s, which waits %t, is worked on %t; %d of its namespace are", r, m.waiting[r], m.working[r], m.busy[r.Namespace])
			}
			delete(m.waiting, r)
			m.working[r] = true
			m.busy[r.Namespace]++
		}
		done := func() {
			var working []reconcile.Request
			for n := range 20 {
				for _, namespace := range []string{"a", "b"} {
					if r := request(namespace, n); m.working[r] {
						working = append(working, r)
					}
				}
			}
			if len(working) == 0 {
				t.Skip("nothing is worked on")
			}
			r := rapid.SampledFrom(working).Draw(t, "done")
			delete(m.working, r)
			m.busy[r.Namespace]--
			q.Done(r)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				r := request(rapid.SampledFrom([]string{"a", "a", "b"}).Draw(t, "namespace"), rapid.IntRange(0, 19).Draw(t, "name"))
				priority := rapid.SampledFrom([]int{trigger.Done, 0, trigger.Evidence, trigger.Periodic}).Draw(t, "priority")
				m.waiting[r] = true
				q.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, r)
			},
			"take": func(t *rapid.T) {
				if m.ready() == 0 {
					t.Skip("a worker would wait")
				}
				take()
			},
			"done": func(*rapid.T) { done() },
		})
		for len(m.waiting)+len(m.working) > 0 { // all that was added gets its pass
			for m.ready() > 0 {
				take()
			}
			if len(m.working) > 0 {
				done()
			}
		}
	})
}
