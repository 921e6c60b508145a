// Package trigger lets one controller, or a finished tracker request, put an object into another controller's queue.
package trigger

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Priorities in a queue; the highest goes first. What people create and edit has 0.
const (
	// Done is for an object that waits for an answer which has come, and has more to do with it.
	Done = 10
	// Told is for an object whose change has landed: only its status is left, and new edits are to land before it is told.
	Told = -5
	// Evidence is for what pods and nodes tell.
	Evidence = -10
	// Periodic is for what a look found, and for periodic work.
	Periodic = -50
)

// Trigger is the way into one controller's queue. The zero Trigger is ready; what comes before the controller started
// is kept for it.
type Trigger struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	early map[reconcile.Request]int
}

// Enqueue puts an object into the queue.
func (t *Trigger) Enqueue(key types.NamespacedName, priority int) { t.EnqueueAfter(key, priority, 0) }

// EnqueueAfter puts an object into the queue once some time has passed; what comes for it meanwhile is done with it.
func (t *Trigger) EnqueueAfter(key types.NamespacedName, priority int, after time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	request := reconcile.Request{NamespacedName: key}
	if t.queue == nil {
		if t.early == nil {
			t.early = map[reconcile.Request]int{}
		}
		if known, ok := t.early[request]; !ok || known < priority {
			t.early[request] = priority
		}
		return
	}
	add(t.queue, request, priority, after)
}

// Source connects the trigger with a controller, which begins to work once ready returns; nil: at once.
func (t *Trigger) Source(ready func(context.Context) error) source.Source {
	return &connection{ready: ready, Func: source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.queue = queue
		for request, priority := range t.early {
			add(queue, request, priority, 0)
		}
		t.early = nil
		return nil
	})}
}

// connection is a source that a controller waits for.
type connection struct {
	source.Func
	ready func(context.Context) error
}

// WaitForSync waits until the controller may begin.
func (c *connection) WaitForSync(ctx context.Context) error {
	if c.ready == nil {
		return nil
	}
	return c.ready(ctx)
}

var _ source.SyncingSource = &connection{}

func add(queue workqueue.TypedRateLimitingInterface[reconcile.Request], request reconcile.Request, priority int, after time.Duration) {
	if q, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &priority, After: after}, request)
		return
	}
	queue.Add(request)
}
