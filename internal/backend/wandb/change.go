package wandb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// soon is how old a read of an active run may be when its tags are written: its own process may write in between.
const soon = 2 * time.Second

// maxReads bounds how often one run is read again because its read became too old.
const maxReads = 4

// item is one change on its way.
type item struct {
	change backend.Change
	result backend.Result
	done   bool
	// active as last known: at first as the caller saw it, then as read.
	active bool
	reads  int
	list   []string  // to be sent
	edit   tags.Edit // what the list does to the run
}

func (i *item) finish(r backend.Result) {
	i.result, i.done = r, true
}

// fail ends the item with an error; sent says that a write went out whose outcome is unknown.
func (i *item) fail(err error, sent bool) {
	i.result.Err, i.result.Sent = err, sent
	i.done = true
}

// Change reads the runs, asks Decide, and writes: two requests for as many idle runs as Limits.Change says, and as few
// as Limits.ChangeActive says at a time for active ones.
func (c *Client) Change(ctx context.Context, changes []backend.Change) ([]backend.Result, error) {
	op := "change tags of " + c.place()
	if err := c.refuseWrites(op); err != nil {
		return nil, err
	}
	items := make([]*item, len(changes))
	for i, change := range changes {
		items[i] = &item{change: change, active: change.Run.State.Active()}
	}
	if err := c.work(ctx, op, slices.Clone(items)); err != nil {
		if !slices.ContainsFunc(items, func(i *item) bool { return i.result.Sent }) {
			return nil, err
		}
		for _, i := range items {
			if !i.done {
				i.fail(err, false)
			}
		}
	}
	results := make([]backend.Result, len(items))
	for n, i := range items {
		results[n] = i.result
	}
	return results, nil
}

// work does batch after batch until all items are done, or an error ends it.
func (c *Client) work(ctx context.Context, op string, todo []*item) error {
	for len(todo) > 0 {
		if err := c.round(ctx, op, c.nextBatch(todo)); err != nil {
			return err
		}
		todo = slices.DeleteFunc(todo, func(i *item) bool { return i.done })
		if err := c.refuseWrites(op); err != nil && len(todo) > 0 {
			return err
		}
	}
	return nil
}

// nextBatch takes runs that fit in one read and one write: all active or all idle, and none twice.
func (c *Client) nextBatch(todo []*item) []*item {
	limits := c.learned.current()
	active, limit := todo[0].active, limits.Change
	if active {
		limit = limits.ChangeActive
	}
	taken := make(map[string]bool, limit)
	batch := make([]*item, 0, limit)
	for _, i := range todo {
		if len(batch) == limit {
			break
		}
		if i.active == active && !taken[i.change.Run.ID] {
			taken[i.change.Run.ID] = true
			batch = append(batch, i)
		}
	}
	return batch
}

// round reads a batch, decides and writes. Items that are not done afterwards have to be read again.
func (c *Client) round(ctx context.Context, op string, batch []*item) error {
	began := c.clock.Now()
	runs, err := c.readBatch(ctx, op, batch)
	if errors.Is(err, errAskedTooMany) {
		return nil // the next batch is smaller
	}
	if err != nil {
		return err
	}
	w := writer{c: c, op: op, readAt: c.clock.Now(), active: batch[0].active}
	var ready []*item
	for _, i := range batch {
		now, found := runs[i.change.Run.ID]
		switch i.reads++; {
		case !found:
			i.fail(&backend.Error{Kind: backend.NotFound, Op: op, Message: fmt.Sprintf("%s has no run %q", c.place(), i.change.Run.ID)}, false)
		case now.State.Active() && !w.active:
			// It became active since it was last seen: it belongs into a small batch.
			i.active = true
		case c.decide(op, i, now, began):
			ready = append(ready, i)
		}
	}
	return w.write(ctx, ready)
}

// readBatch reads the runs of a batch by their ids. Ids are unique in a project, so it ends when all are found.
func (c *Client) readBatch(ctx context.Context, op string, batch []*item) (map[string]seen, error) {
	ids := make([]string, 0, len(batch))
	for _, i := range batch {
		ids = append(ids, i.change.Run.ID)
	}
	q, err := c.question(backend.Query{IDs: ids})
	if err != nil {
		return nil, err
	}
	q.op = op
	found := make(map[string]seen, len(ids))
	_, err = c.readWhole(ctx, q, func(run seen) { found[run.ID] = run })
	return found, err
}

// decide asks what to write, and says whether there is anything. began is when the read began.
func (c *Client) decide(op string, i *item, now seen, began time.Time) bool {
	i.result = backend.Result{Before: now.Run, After: now.Run, ReadAt: began}
	if uid := i.change.Run.UID; uid != "" && uid != now.UID {
		i.fail(&backend.Error{Kind: backend.NotFound, Op: op, Message: fmt.Sprintf(
			"run %q was deleted and made again", now.ID)}, false)
		return false
	}
	edit, err := i.change.Decide(now.Run)
	if err != nil {
		i.fail(err, false)
		return false
	}
	i.list, i.edit = applyTo(now.list, edit)
	if i.edit.Empty() {
		i.finish(i.result)
		return false
	}
	return true
}

// applyTo does an edit on the tracker's list: what stays keeps its place, new tags follow sorted. It returns the part
// of the edit that changes anything as well. The list is never nil, since null would change nothing on the server.
func applyTo(list []string, edit tags.Edit) ([]string, tags.Edit) {
	var effective tags.Edit
	remove := make(map[string]bool, len(edit.Remove))
	for _, tag := range edit.Remove {
		if !remove[tag] && slices.Contains(list, tag) {
			effective.Remove = append(effective.Remove, tag)
		}
		remove[tag] = true
	}
	after := make([]string, 0, len(list)+len(edit.Set))
	for _, tag := range list {
		if !remove[tag] {
			after = append(after, tag)
		}
	}
	kept := len(after)
	for tag := range edit.Set {
		if slices.Contains(after[:kept], tag) {
			continue
		}
		if effective.Set == nil {
			effective.Set = tags.Set{}
		}
		effective.Set[tag] = ""
		after = append(after, tag)
	}
	slices.Sort(after[kept:])
	return after, effective
}
