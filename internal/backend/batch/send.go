package batch

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime/debug"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// send makes the request and calls back.
func (b *Batcher) send(ctx context.Context, j *job) {
	ctx = backend.WithPriority(ctx, j.urgency())
	if j.lane == laneIDs || j.lane == laneNames {
		b.sendRead(ctx, j)
		return
	}
	b.sendChange(ctx, j)
}

func (b *Batcher) sendChange(ctx context.Context, j *job) {
	endTurn, err := b.takeTurn(ctx, j)
	if err != nil {
		b.failAll(j, notSent(err))
		return
	}
	// A write under way is finished when the manager stops: half a batch would have to be found out about later.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.options.WriteDeadline)
	defer cancel()
	changes := make([]backend.Change, len(j.items))
	for i, it := range j.items {
		changes[i] = it.change
		changes[i].Decide = b.guarded(it)
	}
	var results []backend.Result
	err = b.survive("change tags", func() (err error) {
		results, err = b.backend.Change(ctx, changes)
		return err
	})
	endTurn()
	if err == nil && len(results) != len(changes) {
		err = &backend.Error{Kind: backend.Unsupported, Op: "change tags",
			Message: fmt.Sprintf("got %d results for %d changes; this is a bug of runtag", len(results), len(changes))}
	}
	if err != nil {
		b.failed(j, err)
		return
	}
	if j.whole != nil {
		j.whole.unavailable = 0
	}
	for i, it := range j.items {
		results[i].Sent = results[i].Sent || it.mayHaveWritten.Load()
		it.done(results[i])
	}
}

// takeTurn waits until none of the runs is being changed by another batcher.
func (b *Batcher) takeTurn(ctx context.Context, j *job) (end func(), err error) {
	if b.options.Turns == nil {
		return func() {}, nil
	}
	runs := make([]string, len(j.items))
	for i, it := range j.items {
		runs[i] = it.runID
	}
	return b.options.Turns.take(ctx, b.options.Place, runs)
}

// guarded makes a panic of Decide an error of that one run, and remembers that something may have been written.
func (b *Batcher) guarded(it *item) func(backend.Run) (tags.Edit, error) {
	decide := it.change.Decide
	return func(now backend.Run) (edit tags.Edit, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("the plan for run %s panicked (%v); this is a bug of runtag", it.runID, p)
				b.options.Log.Error(err, "Planning a change panicked", "run", it.runID, "stack", string(debug.Stack()))
			}
			if err == nil && !edit.Empty() {
				it.mayHaveWritten.Store(true)
			}
		}()
		return decide(now)
	}
}

// survive makes a panic of the backend an error of this one request: an answer that nobody has thought of must not end
// the process, and with it the work for all other projects.
func (b *Batcher) survive(op string, request func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &backend.Error{Kind: backend.Unsupported, Op: op, Message: "the request panicked; this is a bug of runtag, and its log has the stack"}
			b.options.Log.Error(err, "A request panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	return request()
}

// whole is a batch that failed and is sent again in parts.
type whole struct {
	// unavailable counts the parts that failed as Unavailable since one went well.
	unavailable int
	// patience is how many of these mean that it is the tracker, not one run.
	patience int
}

// failed halves the batch, or fails all of it where halving would not help.
func (b *Batcher) failed(j *job, err error) {
	if j.whole == nil {
		// As many as it takes to get down to a single run.
		j.whole = &whole{patience: bits.Len(uint(len(j.items)-1)) + 1}
	}
	if b.hopeless(j.whole, err) {
		b.failAll(j, err)
		return
	}
	if len(j.items) == 1 {
		j.items[0].fail(err)
		return
	}
	b.options.Log.V(1).Info("A batch failed and is halved", "runs", len(j.items), "error", err.Error())
	half := len(j.items) / 2
	b.again(job{lane: j.lane, items: j.items[:half:half], whole: j.whole}, job{lane: j.lane, items: j.items[half:], whole: j.whole})
}

// hopeless says that smaller batches would fail in the same way.
func (b *Batcher) hopeless(w *whole, err error) bool {
	switch backend.KindOf(err) {
	case backend.RateLimited, backend.AccessDenied, backend.AddressRefused, backend.NotLeading:
		return true
	case backend.Unavailable:
		w.unavailable++
		if errors.Is(err, context.DeadlineExceeded) {
			// Too much at once can take too long, but each further try takes the whole deadline.
			w.patience = min(w.patience, 2)
		}
		return w.unavailable >= w.patience
	default:
		return errors.Is(err, context.Canceled)
	}
}

// again puts the parts of a failed batch before all others. What has been replaced meanwhile is left out.
func (b *Batcher) again(parts ...job) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, part := range parts {
		for _, it := range part.items {
			if newer := b.changes[it.key]; newer != nil {
				it.dead = true
				if it.mayHaveWritten.Load() {
					newer.mayHaveWritten.Store(true)
				}
				continue
			}
			b.changes[it.key] = it
		}
	}
	b.retries = append(parts, b.retries...)
}

// failAll fails this part and all others of the same batch.
func (b *Batcher) failAll(j *job, err error) {
	items := j.items
	b.mu.Lock()
	var rest []job
	for _, retry := range b.retries {
		if retry.whole != j.whole {
			rest = append(rest, retry)
			continue
		}
		for _, it := range retry.items {
			if !it.dead {
				b.leave(it)
				items = append(items, it)
			}
		}
	}
	b.retries = rest
	b.mu.Unlock()
	for _, it := range items {
		it.fail(err)
	}
}

func (b *Batcher) sendRead(ctx context.Context, j *job) {
	ctx, cancel := context.WithTimeout(ctx, b.options.ReadDeadline)
	defer cancel()
	keys := make([]string, len(j.items))
	for i, it := range j.items {
		keys[i] = it.key
	}
	query := backend.Query{IDs: keys}
	keyOf := func(r backend.Run) string { return r.ID }
	if j.lane == laneNames {
		query = backend.Query{Names: keys}
		keyOf = func(r backend.Run) string { return r.Name }
	}
	readAt := b.options.Clock.Now()
	var runs []backend.Run
	err := b.survive("list runs", func() (err error) {
		runs, err = b.listAll(ctx, query)
		return err
	})
	if err != nil {
		for _, it := range j.items {
			it.fail(err)
		}
		return
	}
	found := make(map[string][]backend.Run, len(runs))
	for _, run := range runs {
		found[keyOf(run)] = append(found[keyOf(run)], run)
	}
	for _, it := range j.items {
		for _, done := range it.answered {
			done(found[it.key], readAt, nil)
		}
	}
}

// listAll reads all pages.
func (b *Batcher) listAll(ctx context.Context, query backend.Query) ([]backend.Run, error) {
	var runs []backend.Run
	for pages := (backend.Pages{}); ; {
		page, err := b.backend.List(ctx, query, pages.Cursor())
		if err != nil {
			return nil, err
		}
		runs = append(runs, page.Runs...)
		if more, err := pages.Turn(page.Next); !more {
			return runs, err
		}
	}
}
