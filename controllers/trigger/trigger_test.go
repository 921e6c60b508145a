package trigger_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtag/runtag/controllers/trigger"
)

func key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "team", Name: name}
}

type got struct {
	Name     string
	Priority int
}

// take empties the queue, which has n objects.
func take(q priorityqueue.PriorityQueue[reconcile.Request], n int) (out []got) {
	for range n {
		request, priority, _ := q.GetWithPriority()
		out = append(out, got{request.Name, priority})
		q.Done(request)
	}
	return out
}

func TestTriggerQueuesByPriority(t *testing.T) {
	tests := []struct {
		reason string
		early  []got // before the controller started
		late   []got
		want   []got
	}{
		{
			reason: "what comes before the controller started is kept for it",
			early:  []got{{"a", trigger.Periodic}},
			want:   []got{{"a", trigger.Periodic}},
		},
		{
			reason: "of two early calls for one object the more urgent counts, whichever came first",
			early:  []got{{"a", trigger.Periodic}, {"a", trigger.Done}, {"b", trigger.Done}, {"b", trigger.Periodic}},
			want:   []got{{"a", trigger.Done}, {"b", trigger.Done}},
		},
		{
			reason: "a change that was sent overtakes what people do, and both overtake periodic work",
			late:   []got{{"periodic", trigger.Periodic}, {"person", 0}, {"done", trigger.Done}},
			want:   []got{{"done", trigger.Done}, {"person", 0}, {"periodic", trigger.Periodic}},
		},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			var tr trigger.Trigger
			for _, e := range tc.early {
				tr.Enqueue(key(e.Name), e.Priority)
			}
			q := priorityqueue.New[reconcile.Request]("test")
			defer q.ShutDown()
			if err := tr.Source(nil).Start(t.Context(), q); err != nil {
				t.Fatalf("Start: %v", err)
			}
			for _, e := range tc.late {
				tr.Enqueue(key(e.Name), e.Priority)
			}
			have := take(q, len(tc.want))
			sortSamePriority(have)
			if diff := cmp.Diff(tc.want, have); diff != "" {
				t.Errorf("queue (-want +have):\n%s", diff)
			}
			if n := q.Len(); n != 0 {
				t.Errorf("%d more objects are queued, want none", n)
			}
		})
	}
}

// sortSamePriority orders neighbours of one priority by name: early ones come in any order.
func sortSamePriority(list []got) {
	for i := 1; i < len(list); i++ {
		if list[i].Priority == list[i-1].Priority && list[i].Name < list[i-1].Name {
			list[i], list[i-1] = list[i-1], list[i]
		}
	}
}

func TestTriggerTakesAQueueWithoutPriorities(t *testing.T) {
	var tr trigger.Trigger
	tr.Enqueue(key("early"), trigger.Periodic)
	q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
	defer q.ShutDown()
	if err := tr.Source(nil).Start(t.Context(), q); err != nil {
		t.Fatalf("Start: %v", err)
	}
	tr.Enqueue(key("late"), trigger.Done)
	var have []string
	for range 2 {
		request, _ := q.Get()
		have = append(have, request.Name)
		q.Done(request)
	}
	if diff := cmp.Diff([]string{"early", "late"}, have); diff != "" {
		t.Errorf("queue (-want +have):\n%s", diff)
	}
}
