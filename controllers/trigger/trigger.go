// Package trigger lets one controller, or a finished tracker request, put an object into another controller's queue.
package trigger

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Priorities in a queue; the highest goes first. What people create and edit has 0.
const (
	// Done is for an object whose change has just been sent: only its status is left.
	Done = 10
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
func (t *Trigger) Enqueue(key types.NamespacedName, priority int) {
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
	add(t.queue, request, priority)
}

// Source connects the trigger with a controller.
func (t *Trigger) Source() source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.queue = queue
		for request, priority := range t.early {
			add(queue, request, priority)
		}
		t.early = nil
		return nil
	})
}

func add(queue workqueue.TypedRateLimitingInterface[reconcile.Request], request reconcile.Request, priority int) {
	if q, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		q.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, request)
		return
	}
	queue.Add(request)
}
