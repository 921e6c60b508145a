package walks_test

import (
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// mostBack is how many versions of each kind a cache may be older after a restart.
const mostBack = 6

var errBroken = errors.New("the API server is broken")

// operator does what the operator does by itself, and what its cache learns.
func (w *world) operator(s step) bool {
	w.t.Helper()
	switch s.what {
	case "pass":
		w.stale()
		w.h.Reconcile()
	case "send":
		w.h.Send()
	case "tick":
		w.stale()
		w.h.Tick(time.Duration(1+s.n*s.n*s.n) * time.Second)
	case "hold", "release":
		w.hold(s.what == "hold")
	case "deliver":
		kinds := controllerstest.HeldKinds()
		w.h.Held.Deliver(kinds[[]int{0, 0, 1, 2, 3, 4}[(s.who+s.n)%6]], 1+s.n)
		w.stale()
		w.h.Reconcile()
	case "evidence": // of two things that happened to the cluster, only the later one is seen where they are told together
		if len(w.unseen) > 0 {
			w.unseen[0]()
			w.unseen = w.unseen[1:]
			w.h.Reconcile()
		}
	case "crash":
		w.crash(2 * s.n)
	default:
		return false
	}
	w.seeOurs()
	return true
}

func (w *world) hold(hold bool) {
	w.holding = hold
	w.h.Held.Hold(hold)
	if !hold {
		w.tellAll()
	}
}

// stale counts the passes that are going to be made on an old cache.
func (w *world) stale() {
	for _, kind := range controllerstest.HeldKinds() {
		if w.h.Held.Behind(kind) > 0 {
			w.stalePasses++
			return
		}
	}
}

// crash ends the operator. The next one begins with an older cache, and is held there.
func (w *world) crash(back int) {
	w.t.Helper()
	w.restarts++
	w.mu.Lock()
	w.loose = w.loose || back > 0
	w.mu.Unlock()
	w.hold(back > 0)
	w.h.RestartBehind(min(back, mostBack))
}

// broken lets something fail.
func (w *world) broken(s step) bool {
	w.t.Helper()
	switch s.what {
	case "api": // the next write is refused
		err := error(apierrors.NewInternalError(errBroken))
		if s.n%2 == 0 {
			err = apierrors.NewConflict(schema.GroupResource{Resource: "trainingruns"}, "it", errors.New("somebody else was faster"))
		}
		w.h.API.FailWrites(once(s.n/2, err))
	case "lose": // the answer to a write is lost
		w.h.API.LoseAnswers(once(s.n, apierrors.NewInternalError(errBroken)))
	case "crash-between": // the operator dies between two writes
		failing := false
		skip := 1 + s.n
		w.h.API.FailWrites(func(controllerstest.Write) error {
			if skip--; skip < 0 {
				failing = true
				return apierrors.NewInternalError(errBroken)
			}
			return nil
		})
		w.h.Tick(time.Second)
		w.h.API.FailWrites(nil)
		w.seeOurs()
		if failing {
			w.crash(2 * (s.who % 3))
		}
	case "tracker":
		faults := []wandbtest.Fault{
			{Operations: []string{controllerstest.OpWrite}, Count: 1, Drop: "after"},
			{Operations: []string{controllerstest.OpWrite}, Count: 1, Drop: "before"},
			{Operations: []string{controllerstest.OpWrite}, Count: 1, Status: 500, Apply: true},
			{Operations: []string{controllerstest.OpList}, Count: 1, Status: 503},
		}
		w.h.Tracker.SetFaults(wandbtest.Faults{Faults: faults[s.n : s.n+1]})
	default:
		return false
	}
	w.seeOurs()
	return true
}

// once gives an error once, after so many writes.
func once(skip int, err error) func(controllerstest.Write) error {
	return func(controllerstest.Write) error {
		if skip--; skip == -1 {
			return err
		}
		return nil
	}
}
