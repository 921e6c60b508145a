package trigger

import (
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// FairQueue makes the queues of a controller with so many workers, for controller.Options.NewQueue: priority queues of
// which one namespace gets at most three quarters of the workers at a time. What is more waits outside, in its order, and
// one of it is let in for each that is done; so the objects of another namespace never wait behind all of the first
// one's, and a tracker that answers nobody holds up no more than its own namespace. Its metrics count what waits outside
// as done, and not as queued.
func FairQueue(workers int, log logr.Logger) func(string, workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
		return newFair(priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) {
			o.Log, o.RateLimiter = log.WithValues("controller", name), limiter
		}), workers)
	}
}

// fair is a FairQueue. Its invariant: of a namespace that has something outside, as many as its share are under way or let
// in, so that there will be a Done that lets in the next.
type fair struct {
	priorityqueue.PriorityQueue[reconcile.Request]
	share int

	mu sync.Mutex
	// taken counts by namespace what is under way and what was let in for it.
	taken   map[string]int
	letIn   map[reconcile.Request]bool
	outside map[string]*outside
}

func newFair(q priorityqueue.PriorityQueue[reconcile.Request], workers int) *fair {
	return &fair{
		PriorityQueue: q, share: max(workers*3/4, 1),
		taken: map[string]int{}, letIn: map[reconcile.Request]bool{}, outside: map[string]*outside{},
	}
}

// Get gives the next object, see GetWithPriority.
func (f *fair) Get() (reconcile.Request, bool) {
	request, _, shutdown := f.GetWithPriority()
	return request, shutdown
}

// GetWithPriority waits for the most urgent object whose namespace does not have its share yet.
func (f *fair) GetWithPriority() (reconcile.Request, int, bool) {
	for {
		request, priority, shutdown := f.PriorityQueue.GetWithPriority()
		if shutdown || f.take(request, priority) {
			return request, priority, shutdown
		}
		f.PriorityQueue.Done(request)
	}
}

// take says whether an object's turn has come, and puts it outside otherwise.
func (f *fair) take(request reconcile.Request, priority int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	namespace := request.Namespace
	switch {
	case f.letIn[request]: // on the place of one that is done
		delete(f.letIn, request)
	case f.taken[namespace] < f.share:
		f.taken[namespace]++
	default:
		if f.outside[namespace] == nil {
			f.outside[namespace] = newOutside()
		}
		f.outside[namespace].put(request, priority)
		return false
	}
	if out := f.outside[namespace]; out != nil {
		delete(out.priority, request) // its pass is this one
	}
	return true
}

// Done says that the pass over an object is over, and lets in the next one of its namespace.
func (f *fair) Done(request reconcile.Request) {
	f.PriorityQueue.Done(request)
	f.mu.Lock()
	defer f.mu.Unlock()
	namespace := request.Namespace
	if out := f.outside[namespace]; out != nil {
		if next, priority, ok := out.next(); ok {
			f.letIn[next] = true
			f.PriorityQueue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, next)
			return
		}
		delete(f.outside, namespace)
	}
	if f.taken[namespace]--; f.taken[namespace] == 0 {
		delete(f.taken, namespace)
	}
}

// outside is what waits of one namespace, the most urgent first and then in order.
type outside struct {
	priority map[reconcile.Request]int
	order    map[int][]reconcile.Request // by priority; what priority says otherwise of is no longer here
}

func newOutside() *outside {
	return &outside{priority: map[reconcile.Request]int{}, order: map[int][]reconcile.Request{}}
}

func (o *outside) put(request reconcile.Request, priority int) {
	if before, waits := o.priority[request]; waits && before >= priority {
		return
	}
	o.priority[request] = priority
	o.order[priority] = append(o.order[priority], request)
}

func (o *outside) next() (request reconcile.Request, priority int, ok bool) {
	for len(o.order) > 0 {
		first := true
		for p := range o.order {
			if first || p > priority {
				first, priority = false, p
			}
		}
		list := o.order[priority]
		request = list[0]
		if o.order[priority] = list[1:]; len(list) == 1 {
			delete(o.order, priority)
		}
		if p, waits := o.priority[request]; waits && p == priority {
			delete(o.priority, request)
			return request, priority, true
		}
	}
	return reconcile.Request{}, 0, false
}

var _ priorityqueue.PriorityQueue[reconcile.Request] = &fair{}
