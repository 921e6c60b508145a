package batch

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

// lane holds what can go into the same request.
type lane int

const (
	laneIdle   lane = iota // changes of runs that are not active
	laneActive             // changes of active runs, in smaller batches
	laneIDs
	laneNames
	lanes
)

type answered func(runs []backend.Run, readAt time.Time, err error)

// item is one change, or all reads of one id or name that wait together.
type item struct {
	lane     lane
	key      string
	runID    string
	priority backend.Priority
	seq      uint64
	dead     bool // replaced or cancelled

	change         backend.Change
	done           func(backend.Result)
	mayHaveWritten atomic.Bool

	answered []answered
}

func (it *item) before(other *item) int {
	return cmp.Or(cmp.Compare(it.priority, other.priority), cmp.Compare(it.seq, other.seq))
}

func (it *item) fail(err error) {
	if it.done != nil {
		it.done(backend.Result{Err: err, Sent: it.mayHaveWritten.Load()})
		return
	}
	for _, done := range it.answered {
		done(nil, time.Time{}, err)
	}
}

// job is one request: items of one lane.
type job struct {
	lane  lane
	items []*item
	whole *whole
}

func (j job) urgency() backend.Priority {
	return slices.MinFunc(j.items, func(a, b *item) int { return cmp.Compare(a.priority, b.priority) }).priority
}

// idle says that nothing waits.
func (b *Batcher) idle() bool {
	for _, items := range b.lanes {
		if len(items) > 0 {
			return false
		}
	}
	return true
}

// take gives the next request; or nil and how long to wait for it, negative where nothing is queued.
func (b *Batcher) take() (next *job, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gather()
	defer func() { b.sending = next != nil }()
	best := b.bestLane()
	if retry := b.takeRetry(best); retry != nil {
		return retry, 0
	}
	if best < 0 {
		return nil, -1
	}
	limit := b.limit(best)
	if len(b.lanes[best]) < limit {
		if wait := b.wait(); wait > 0 {
			return nil, wait
		}
	}
	return &job{lane: best, items: b.takeItems(best, limit)}, 0
}

// bestLane drops what is dead, sorts the rest, and gives the lane of what is most urgent, or -1.
func (b *Batcher) bestLane() lane {
	best := lane(-1)
	for l := range lanes {
		b.lanes[l] = slices.DeleteFunc(b.lanes[l], func(it *item) bool { return it.dead })
		if len(b.lanes[l]) == 0 {
			continue
		}
		slices.SortFunc(b.lanes[l], (*item).before)
		if best < 0 || b.lanes[l][0].before(b.lanes[best][0]) < 0 {
			best = l
		}
	}
	return best
}

// takeRetry gives a part of a failed batch, unless something more urgent waits.
func (b *Batcher) takeRetry(best lane) *job {
	for len(b.retries) > 0 {
		retry := &b.retries[0]
		retry.items = slices.DeleteFunc(retry.items, func(it *item) bool { return it.dead })
		if len(retry.items) == 0 {
			b.retries = b.retries[1:]
			continue
		}
		if best >= 0 && b.lanes[best][0].priority < retry.urgency() {
			return nil
		}
		out := *retry
		b.retries = b.retries[1:]
		for _, it := range out.items {
			b.leave(it)
		}
		return &out
	}
	return nil
}

// mostWindows is how many windows long one grows.
const mostWindows = 16

// gather widens the window after a request during which more was asked for, as when somebody edits many objects: with
// short windows, each request would be about the few that came during the one before. A request without such makes it
// short again, so that single edits go at once.
func (b *Batcher) gather() {
	if !b.sending {
		return
	}
	if b.more {
		b.window = min(2*b.window, mostWindows*b.options.Window)
	} else {
		b.window = b.options.Window
	}
	b.more = false
}

// wait gives how long the first of what waits has to wait yet.
func (b *Batcher) wait() time.Duration {
	now := b.options.Clock.Now()
	quiet := b.lastAt.Add(b.window)
	latest := b.firstAt.Add(b.options.MaxWait)
	if latest.Before(quiet) {
		quiet = latest
	}
	return quiet.Sub(now)
}

// takeItems takes up to limit items out of a sorted lane, no two of the same run.
func (b *Batcher) takeItems(l lane, limit int) []*item {
	var taken []*item
	runs := map[string]bool{}
	b.lanes[l] = slices.DeleteFunc(b.lanes[l], func(it *item) bool {
		if len(taken) == limit || it.done != nil && runs[it.runID] {
			return false
		}
		runs[it.runID] = true
		taken = append(taken, it)
		b.leave(it)
		return true
	})
	return taken
}

// leave makes an item one that is under way: it can no longer be replaced, cancelled or joined.
func (b *Batcher) leave(it *item) {
	index := b.changes
	if it.done == nil {
		index = b.reads[it.lane-laneIDs]
	}
	if index[it.key] == it {
		delete(index, it.key)
	}
}

func (b *Batcher) limit(l lane) int {
	limits := b.backend.Limits()
	n := limits.Read
	switch l {
	case laneIdle:
		n = limits.Change
	case laneActive:
		n = limits.ChangeActive
	}
	return max(n, 1)
}
