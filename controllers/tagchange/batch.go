package tagchange

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/audit"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/bulk"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

// fewest is how many runs are changed before the next are written down, or more where the tracker's batches are larger.
const fewest = 100

func (s *scope) batchSize() int { return max(fewest, s.tracker.Backend().Limits().Change) }

// takeResults works in what came of the batch in hand, and waits until all of it has come.
func (c *Controller) takeResults(_ context.Context, s *scope) (bool, error) {
	m := s.memory
	if len(m.inHand) == 0 {
		return false, nil
	}
	if m.waiting() > 0 {
		s.changing()
		return true, nil
	}
	st := &s.change.Status
	var trouble error
	for _, r := range m.take() {
		sent := m.inHand[r.id]
		switch kind := backend.KindOf(r.Err); {
		case r.Err == nil && (!r.Edit.Empty() || sent.retried):
			st.Changed, st.Done = count(int(*st.Changed)+1), st.Done+1
			if len(st.Sample) < sampleSize {
				st.Sample = append(st.Sample, r.id)
			}
			c.tell(s, sent.run, r)
		case r.Err == nil: // somebody else did it in between
			st.Done++
			m.drop(r.id)
		case kind == backend.NotFound:
			st.Done++
			m.drop(r.id)
			s.skip("RunGone", "the run was deleted after it was listed", r.id)
		case errors.Is(r.Err, errChanged):
			st.Done++
			m.drop(r.id)
			s.skip("ChangedMeanwhile", "somebody changed one of these tags after the run was listed; make the TagChange again for those", r.id)
		case kind == backend.InvalidTag:
			st.Done++
			m.drop(r.id)
			s.skip(v1alpha1.ReasonInvalidTags, r.Err.Error(), r.id)
		default:
			m.again = append(m.again, sent.entry)
			trouble = r.Err
		}
	}
	m.inHand = nil
	if trouble != nil {
		s.waitForTracker(tracking.HealthOf(trouble))
		return true, nil
	}
	return false, nil
}

// drop notes that an entry that was written down came to nothing.
func (m *memory) drop(id string) {
	if m.void == nil {
		m.void = map[string]bool{}
	}
	m.void[id] = true
}

// changing says how far the change is.
func (s *scope) changing() {
	st := &s.change.Status
	s.wait(v1alpha1.ReasonChanging, fmt.Sprintf("%d of %d runs are dealt with", st.Done, *st.Planned), askAgain)
	st.Progress = fmt.Sprintf("%d/%d", st.Done, *st.Planned)
}

// sendNext writes down what is done with the next runs, and hands them to the project's queue once the status is written.
func (c *Controller) sendNext(ctx context.Context, s *scope) (bool, error) {
	m, batchSize := s.memory, s.batchSize()
	batch := map[string]sent{}
	for len(m.again) > 0 && len(batch) < batchSize {
		entry := m.again[0]
		m.again = m.again[1:]
		batch[entry.ID] = sent{entry: entry, run: entry.Run(), retried: true}
	}
	var fresh []bulk.Entry
	var taken []item
	for len(batch) == len(fresh) && len(m.todo) > 0 && len(batch) < batchSize { // what is written down already goes alone
		it := m.todo[0]
		entry, err := c.entryOf(ctx, s, it)
		if err != nil {
			m.putBack(batch, taken)
			return false, err
		}
		m.todo = m.todo[1:]
		if entry == nil {
			s.change.Status.Done++
			continue
		}
		fresh, taken = append(fresh, *entry), append(taken, it)
		batch[it.run.ID] = sent{entry: *entry, run: it.run}
	}
	st := &s.change.Status
	st.Progress = fmt.Sprintf("%d/%d", st.Done, *st.Planned)
	if err := c.writeDown(ctx, s, fresh); err != nil {
		m.putBack(batch, taken)
		return false, err
	}
	if len(batch) == 0 {
		return false, nil
	}
	m.inHand = batch
	s.after = append(s.after, func() error { return c.noteAndSend(ctx, s, batch) })
	s.changing()
	return true, nil
}

// noteAndSend lets TrainingRuns know what is taken off their runs, and hands the batch to the project's queue. Only now,
// when the status names all that is written down: a TrainingRun may take off by itself what is noted there.
func (c *Controller) noteAndSend(ctx context.Context, s *scope, batch map[string]sent) error {
	notify := map[string][]types.NamespacedName{}
	for id, b := range batch {
		keys, err := c.noteRemovals(ctx, s, b.run, b.entry)
		if err != nil {
			return err
		}
		notify[id] = keys
	}
	c.send(s, batch, notify)
	return nil
}

// entryOf says what is done with a run; nil for nothing.
func (c *Controller) entryOf(ctx context.Context, s *scope, it item) (*bulk.Entry, error) {
	if it.entry == nil {
		edit, err := c.planOne(ctx, s, it.run)
		if err != nil || edit.Empty() {
			return nil, err
		}
		entry := bulk.EntryOf(it.run, edit)
		return &entry, nil
	}
	guard, err := c.guard(ctx, s, it.run)
	if err != nil {
		return nil, err
	}
	if reason := bulk.Forbids(s.tracker.Backend().Dialect(), guard, *it.entry); reason != "" {
		s.skip(string(reason), reason.Sentence(), it.run.ID)
		return nil, nil
	}
	return it.entry, nil
}

// putBack puts a batch back of which the fresh ones may not be written down: those are begun anew.
func (m *memory) putBack(batch map[string]sent, fresh []item) {
	for _, it := range fresh {
		delete(batch, it.run.ID)
	}
	m.todo = append(fresh, m.todo...)
	m.keep(batch)
}

// keep puts a batch back that could not be sent and is written down.
func (m *memory) keep(batch map[string]sent) {
	for _, b := range batch {
		m.again = append(m.again, b.entry)
	}
}

// errChanged is the answer to a run of which somebody changed one of the tags meanwhile.
var errChanged = errors.New("changed meanwhile")

// decideWhole changes a run only if all that was written down is still to be done, so that what is written down is true.
func decideWhole(entry bulk.Entry, now tags.Set) (tags.Edit, error) {
	switch {
	case entry.Applied(now):
		return tags.Edit{}, nil
	case entry.Untouched(now):
		return entry.Edit(), nil
	}
	return tags.Edit{}, errChanged
}

// decideRest does tag by tag what is still to be done: where a change is taken back, and of one that was begun. A
// TrainingRun may have taken off meanwhile, after a crash, what was written into its status that we are going to.
func decideRest(entry bulk.Entry, now tags.Set) (tags.Edit, error) {
	edit, changed := entry.Rest(now)
	if edit.Empty() && len(changed) > 0 {
		return edit, errChanged
	}
	return edit, nil
}

// send hands a batch to the project's queue.
func (c *Controller) send(s *scope, batch map[string]sent, notify map[string][]types.NamespacedName) {
	m, key, tracker, name := s.memory, s.key(), s.tracker, s.change.Name
	for id, b := range batch {
		decide := decideWhole
		if b.retried || s.change.Spec.UndoOf != nil {
			decide = decideRest
		}
		tracker.Queue().Change(string(s.change.UID)+"/"+id, backend.PriorityRule, backend.Change{
			Run:    b.run,
			Decide: func(now backend.Run) (tags.Edit, error) { return decide(b.entry, now.Tags) },
		}, func(r backend.Result) {
			if r.After.ID != "" {
				for _, change := range tags.Diff(r.Before.Tags, r.After.Tags, tracker.Backend().Dialect()) {
					tracker.NoteBy(id, change.Name, "TagChange/"+name)
				}
				tracker.Snapshot.Wrote(r.ReadAt, r.After)
			}
			for _, run := range notify[id] {
				c.Runs.Enqueue(run, trigger.Done)
			}
			if m.post(result{id: id, Result: r}) {
				c.Changes.Enqueue(key, trigger.Done)
			}
		})
	}
}

// tell writes the audit lines of what was done to a run.
func (c *Controller) tell(s *scope, run backend.Run, r result) {
	for _, change := range tags.Diff(r.Before.Tags, r.After.Tags, s.tracker.Backend().Dialect()) {
		c.Audit.Write(audit.Line{
			Time: s.now, Namespace: s.change.Namespace, Project: s.project.Name, Run: run.ID, Tag: change.Name, Change: string(change.Kind),
			Source: "TagChange", FieldManager: s.change.Name,
		})
	}
}
