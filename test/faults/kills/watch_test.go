package kills_test

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// watcher counts the calls of a life, and kills the manager at one of them.
type watcher struct {
	op      *operator
	tracker *wandbtest.Server

	mu           sync.Mutex
	kill         *kill // nil: nobody is killed
	asked, wrote int
	done         bool // the kill is done
	problem      error
}

// request counts a request to the tracker. It is called before the request is carried out.
func (w *watcher) request(wandbtest.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if w.kill == nil || w.done || w.asked != w.kill.n {
		return
	}
	switch w.kill.when {
	case beforeRequest:
		w.tracker.SetFaults(wandbtest.Faults{Faults: []wandbtest.Fault{{Drop: "before", Count: 1}}})
		w.strike()
	case afterRequest:
		w.strike()
	}
}

// writes counts the changes of TrainingRuns in a namespace, most of which are made by the manager, until ctx ends.
func (w *watcher) writes(ctx context.Context, from client.WithWatch, namespace string) error {
	changes, err := from.Watch(ctx, &v1alpha1.TrainingRunList{}, client.InNamespace(namespace))
	if err != nil {
		return err
	}
	go func() {
		for change := range changes.ResultChan() {
			if change.Type == watch.Modified {
				w.change()
			}
		}
	}()
	context.AfterFunc(ctx, changes.Stop)
	return nil
}

func (w *watcher) change() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrote++
	if w.kill != nil && !w.done && w.kill.when == afterWrite && w.wrote == w.kill.n {
		w.strike()
	}
}

// strike kills the manager. The caller holds mu.
func (w *watcher) strike() {
	w.done = true
	w.problem = w.op.strike()
}

func (w *watcher) counts() (asked, wrote int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked, w.wrote
}

func (w *watcher) killed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done
}

func (w *watcher) trouble() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.problem
}
