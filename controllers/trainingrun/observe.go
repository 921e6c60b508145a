package trainingrun

import (
	"context"
	"fmt"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/tracking"
)

// needsRead says whether the run has to be read by id before anything can be said of it: it was never looked for, only
// one read missed it, a person asked for a look, or a change did not find it.
func (c *Controller) needsRead(s *scope) bool {
	if !s.usable() {
		return false
	}
	once := s.view.Presence == snapshot.Present && s.view.Misses > 0
	if s.view.Presence == snapshot.Unknown || once || !s.memory.missedAt.IsZero() && !s.memory.missedAt.Before(s.view.LookedAt) {
		return true
	}
	if s.run.Annotations[v1alpha1.AnnotationLookAt] == "" {
		return false
	}
	hash := DeclarationsHash(s.run)
	if s.run.Status.ObservedDeclarations == hash {
		return false
	}
	if s.memory.look != hash {
		s.memory.look, s.memory.lookAt = hash, s.now
	}
	return s.view.LookedAt.Before(s.memory.lookAt)
}

// readRun asks for a read by id, which queues the object again.
func (c *Controller) readRun(s *scope) {
	if !s.canRetry() {
		s.stop(fromHealth(s.tracker.Key.Name, s.memory.failure))
		return
	}
	s.waiting = true
	key, uid, id, tracker := s.key(), s.run.UID, s.id, s.tracker
	tracker.Queue().Read(id, backend.PriorityEdit, func(run backend.Run, found bool, readAt time.Time, err error) {
		switch {
		case err != nil:
		case found:
			tracker.Snapshot.ReadByID(readAt, []string{id}, []backend.Run{run})
		default:
			tracker.Snapshot.ReadByID(readAt, []string{id}, nil)
		}
		c.post(key, uid, outcome{result: backend.Result{Err: err}, at: c.Clock.Now()})
		c.Runs.Enqueue(key, trigger.Done)
	})
}

// readName asks for the runs with a name, which queues the object again.
func (c *Controller) readName(s *scope, name string) {
	if !s.canRetry() {
		s.stop(fromHealth(s.tracker.Key.Name, s.memory.failure))
		return
	}
	s.waiting = true
	key, uid, tracker := s.key(), s.run.UID, s.tracker
	tracker.Queue().ReadName(name, backend.PriorityEdit, func(runs []backend.Run, readAt time.Time, err error) {
		if err == nil {
			tracker.Snapshot.ReadByName(readAt, []string{name}, runs)
		}
		c.post(key, uid, outcome{result: backend.Result{Err: err}, at: c.Clock.Now()})
		c.Runs.Enqueue(key, trigger.Done)
	})
}

// vanished says what is held of a run that was there and is not found any more.
func (c *Controller) vanished(ctx context.Context, s *scope) error {
	verdict := s.tracker.Judge(s.id)
	if s.releasing {
		if verdict == tracking.Gone {
			return c.release(ctx, s)
		}
		return c.letGo(ctx, s, "the run is not found")
	}
	switch verdict {
	case tracking.Gone:
		if s.run.Spec.RunName != "" { // another run may bear the name by now
			s.run.Status.Run = nil
			s.stop(waitingFor(v1alpha1.ReasonRunDeleted, fmt.Sprintf(
				"run %s was deleted on the tracker; looking for another one named %q", s.id, s.run.Spec.RunName)))
			s.due(time.Millisecond)
			return nil
		}
		s.stop(waitingFor(v1alpha1.ReasonRunDeleted, fmt.Sprintf(
			"run %s was deleted on the tracker; delete this TrainingRun too, unless the run is going to be made again under its id", s.id)))
	case tracking.Missing:
		if s.idle() {
			s.waiting = true
			return nil
		}
		s.stop(waitingFor(v1alpha1.ReasonRunsMissing, fmt.Sprintf(
			"run %s is not found, like others of project %s, so it is not called deleted: see the project's conditions", s.id, s.tracker.Key.Name)))
	case tracking.Undecided: // the project's next look decides
		s.waiting = true
	}
	return nil
}

// usable says whether anything may be sent to the tracker. To take tags off, the last good connection is tried even
// while the present one is in trouble.
func (s *scope) usable() bool {
	health := s.tracker.Health()
	return health.OK() || s.releasing && health.Reason != v1alpha1.ReasonSuspended
}

// begin takes note of the attempt that the run is in.
func (s *scope) begin() {
	s.run.Status.Run = runStatus(s)
	s.memory.contest.Begin(int(s.run.Status.Run.Attempts))
}

// canRetry says whether enough time has passed since the last failure, and asks for a pass when it has.
func (s *scope) canRetry() bool {
	if wait := s.memory.retryAt.Sub(s.now); wait > 0 {
		s.due(wait)
		return false
	}
	return true
}

// attempts counts how often the run was started, as far as status says.
func attempts(run *v1alpha1.TrainingRun) int32 {
	if run.Status.Run == nil {
		return 0
	}
	return run.Status.Run.Attempts
}
