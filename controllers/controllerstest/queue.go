package controllerstest

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// queue is where a trigger puts objects, and the timers that passes asked for. As in a manager, an object that is queued
// is there once, and its pass ends the timer that was set before.
type queue struct {
	workqueue.TypedRateLimitingInterface[reconcile.Request] // of which a trigger uses nothing but Add

	mu     sync.Mutex
	list   []reconcile.Request
	timers map[reconcile.Request]time.Time
}

func newQueue() *queue { return &queue{timers: map[reconcile.Request]time.Time{}} }

// Add queues an object.
func (q *queue) Add(r reconcile.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !slices.Contains(q.list, r) {
		q.list = append(q.list, r)
	}
}

// pop takes the first object, or the one that order chooses.
func (q *queue) pop(order func(queued int) int) (reconcile.Request, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return reconcile.Request{}, false
	}
	next := 0
	if order != nil {
		next = order(len(q.list))
	}
	r := q.list[next]
	q.list = slices.Delete(q.list, next, next+1)
	delete(q.timers, r)
	return r, true
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list)
}

func (q *queue) at(r reconcile.Request, due time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timers[r] = due
}

// due queues what is due, in the order of time, and gives the time of the next timer; zero if there is none.
func (q *queue) due(now time.Time) (next time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var ready []reconcile.Request
	for r, at := range q.timers {
		switch {
		case !at.After(now):
			ready = append(ready, r)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	slices.SortFunc(ready, func(a, b reconcile.Request) int {
		return cmp.Or(q.timers[a].Compare(q.timers[b]), cmp.Compare(a.String(), b.String()))
	})
	for _, r := range ready {
		delete(q.timers, r)
		if !slices.Contains(q.list, r) {
			q.list = append(q.list, r)
		}
	}
	return next
}
