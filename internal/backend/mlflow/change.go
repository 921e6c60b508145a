package mlflow

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// atOnce is how many requests one call has under way at most.
const atOnce = 8

// Change reads the runs with one search, asks what to do, and does it tag by tag. What was answered with success is
// true: a tag is set whatever it was before, so nothing is read back.
func (c *Client) Change(ctx context.Context, changes []backend.Change) ([]backend.Result, error) {
	results := make([]backend.Result, len(changes))
	sent := false
	for _, round := range rounds(changes) {
		works := make([]*work, len(round))
		for i, at := range round {
			works[i] = &work{change: changes[at], result: &results[at]}
		}
		err := c.changeRound(ctx, works)
		sent = sent || slices.ContainsFunc(works, func(w *work) bool { return w.result.Sent })
		if err != nil && !sent {
			return nil, err
		}
		for _, w := range works {
			if err != nil && w.result.Err == nil && !w.result.Sent {
				w.result.Err = err
			}
		}
	}
	return results, nil
}

// rounds gives the changes by index so that no run is in a round twice: a later change of a run must see what the
// earlier one did.
func rounds(changes []backend.Change) [][]int {
	var out [][]int
	seen := map[string]int{}
	for i, change := range changes {
		n := seen[change.Run.ID]
		seen[change.Run.ID]++
		if n == len(out) {
			out = append(out, nil)
		}
		out[n] = append(out[n], i)
	}
	return out
}

// work is one change under way.
type work struct {
	change backend.Change
	edit   tags.Edit

	mu     sync.Mutex
	result *backend.Result
}

func (w *work) fail(err error, sent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Sent = w.result.Sent || sent
	if w.result.Err == nil {
		w.result.Err = err
	}
}

func (w *work) failed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.result.Err != nil
}

// done notes a part of the edit that is on the tracker now.
func (w *work) done(part tags.Edit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Sent = true
	w.result.Edit.Set = w.result.Edit.Set.Apply(part)
	w.result.Edit.Remove = append(w.result.Edit.Remove, part.Remove...)
}

// changeRound changes runs that are all different. An error means that the tracker takes nothing at all now.
func (c *Client) changeRound(ctx context.Context, works []*work) error {
	if err := c.readBefore(ctx, works); err != nil {
		return c.about(err)
	}
	var deciding group
	deciding.functions.SetLimit(atOnce)
	for _, w := range works {
		if w.failed() {
			continue
		}
		deciding.run(func() { c.decide(w) })
	}
	deciding.wait() // Errors are in the results.

	began := c.now()
	var b breaker
	var writing group
	writing.functions.SetLimit(atOnce)
	for _, w := range works {
		for _, part := range parts(w.edit) {
			writing.run(func() { c.writePart(ctx, w, part, &b) })
		}
	}
	writing.wait() // As above.
	changed := 0
	for _, w := range works {
		if w.result.Edit.Empty() {
			continue
		}
		changed++
		slices.Sort(w.result.Edit.Remove)
		w.result.After.Tags = w.result.Before.Tags.Apply(w.result.Edit)
		w.result.ReadAt = c.now()
	}
	c.pace(changed, c.now().Sub(began))
	return b.err()
}

func (c *Client) readBefore(ctx context.Context, works []*work) error {
	ids := make([]string, len(works))
	for i, w := range works {
		ids[i] = w.change.Run.ID
	}
	readAt := c.now()
	found, _, err := c.byIDs(ctx, ids, nil)
	if err != nil {
		return err
	}
	runs := make(map[string]backend.Run, len(found))
	for _, run := range found {
		runs[run.ID] = run
	}
	for _, w := range works {
		meant := w.change.Run
		run, there := runs[meant.ID]
		switch {
		case !there:
			w.fail(c.about(notFound("run %q is not there, or deleted", meant.ID)), false)
		case meant.UID != "" && meant.UID != run.UID:
			w.fail(c.about(notFound("run %q was deleted and made again", meant.ID)), false)
		default:
			w.result.Before, w.result.After, w.result.ReadAt = run, run, readAt
		}
	}
	return nil
}

// decide asks for the edit, and refuses what the server would.
func (c *Client) decide(w *work) {
	edit, err := w.change.Decide(w.result.Before)
	if err != nil {
		w.fail(err, false)
		return
	}
	for _, key := range edit.Remove {
		if hidden(key) {
			w.fail(c.about(invalidTag(key, errors.New("this key is reserved and is never touched"))), false)
			return
		}
	}
	for key := range edit.Set {
		if err := checkKey(key); err != nil {
			w.fail(c.about(invalidTag(key, err)), false)
			return
		}
	}
	w.edit = tags.Edit{Set: cut(edit.Set), Remove: edit.Remove}
}

func (c *Client) writePart(ctx context.Context, w *work, part tags.Edit, b *breaker) {
	if err := b.err(); err != nil {
		w.fail(err, false)
		return
	}
	if w.failed() {
		return
	}
	err := c.about(c.write(ctx, w.change.Run.ID, part))
	if err == nil {
		w.done(part)
		return
	}
	// Where there was no answer, the server may have done it nevertheless.
	w.fail(err, backend.IsKind(err, backend.Unavailable))
	b.note(err)
}

// breaker ends a batch whose further requests would fail in the same way.
type breaker struct {
	stop        atomic.Pointer[backend.Error]
	unavailable atomic.Int64
}

// mostUnavailable is how many requests may fail for want of an answer; one or two may be the fault of their runs.
const mostUnavailable = 3

func (b *breaker) note(err error) {
	var e *backend.Error
	if !errors.As(err, &e) {
		return
	}
	all := false
	switch e.Kind {
	case backend.RateLimited, backend.AddressRefused, backend.NotLeading:
		all = true
	case backend.AccessDenied:
		all = answerOf(e).status != http.StatusForbidden // which is about the experiment of the run
	case backend.Unavailable:
		all = b.unavailable.Add(1) >= mostUnavailable
	}
	if all {
		b.stop.CompareAndSwap(nil, e)
	}
}

func (b *breaker) err() error {
	if e := b.stop.Load(); e != nil {
		return e
	}
	return nil
}
