// Package batch gathers the reads and changes of one project into few requests. Everything that is asked for within a
// short window goes together, the most urgent first; one request is under way at a time, so that no run is ever
// written twice at once. A batch that fails as a whole is halved, so that one bad run does not harm the rest.
package batch

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
)

// The defaults of Options.
const (
	DefaultWindow  = 20 * time.Millisecond
	DefaultMaxWait = time.Second
	// DefaultWriteDeadline is below the leader's renew deadline of 10 s: a batch has ended before another can lead.
	DefaultWriteDeadline = 8 * time.Second
	DefaultReadDeadline  = time.Minute
)

// Options of a Batcher. The zero value has the defaults.
type Options struct {
	// Clock is for the windows; nil: the real one. Deadlines are those of contexts, in real time.
	Clock clock.Clock
	// Window is how long nothing more must have been asked for before a batch that is not full goes, up to sixteen times that
	// while more comes with every request; MaxWait is how long the first one waits at most while more keeps coming.
	Window, MaxWait time.Duration
	// WriteDeadline is for one call of Backend.Change, ReadDeadline for one read with all its pages.
	WriteDeadline, ReadDeadline time.Duration
	// Turns are those of all batchers for the same Place, which names the project on the tracker; nil where changes of one
	// run by several don't harm each other.
	Turns *Turns
	Place string
	Log   logr.Logger
}

// Batcher gathers requests; Run sends them. It is safe for concurrent use. Callbacks are called one at a time from Run,
// without any lock held; they must be quick, and may call the Batcher.
type Batcher struct {
	backend backend.Backend
	options Options
	wake    chan struct{}

	mu      sync.Mutex
	lanes   [lanes][]*item
	changes map[string]*item    // by key: not sent, or to be sent again
	reads   [2]map[string]*item // by id and by name: not sent
	retries []job               // parts of batches that failed
	seq     uint64
	firstAt time.Time // of what waits
	lastAt  time.Time
	window  time.Duration // see gather
	more    bool          // something was asked for while a request was under way
	sending bool          // a request is under way, or its callbacks are
	stopped error
}

// New makes a batcher for one project. Nothing is sent before Run.
func New(b backend.Backend, o Options) *Batcher {
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	setDefault(&o.Window, DefaultWindow)
	setDefault(&o.MaxWait, DefaultMaxWait)
	setDefault(&o.WriteDeadline, DefaultWriteDeadline)
	setDefault(&o.ReadDeadline, DefaultReadDeadline)
	return &Batcher{
		backend: b, options: o, wake: make(chan struct{}, 1), window: o.Window,
		changes: map[string]*item{}, reads: [2]map[string]*item{{}, {}},
	}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Change queues a change of one run. key says whose change it is: one that waits under the same key is replaced, keeps
// its place, and its done is never called; one that is under way is not touched, and the new one goes after it.
//
// done gets the result. Result.Sent also says that an earlier try, in a batch that failed or for a change that was
// replaced, may have written. After Run has ended done gets its error, from a goroutine of its own.
func (b *Batcher) Change(key string, priority backend.Priority, c backend.Change, done func(backend.Result)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.stopped; err != nil {
		go done(backend.Result{Err: err})
		return
	}
	lane := laneIdle
	if c.Run.State.Active() {
		lane = laneActive
	}
	it := &item{lane: lane, key: key, runID: c.Run.ID, priority: priority, change: c, done: done}
	if old := b.changes[key]; old != nil {
		old.dead = true
		it.seq, it.priority = old.seq, min(priority, old.priority)
		it.mayHaveWritten.Store(old.mayHaveWritten.Load())
	}
	b.changes[key] = it
	b.enqueue(it)
}

// Cancel drops the change that waits under this key, and says whether there was one; its done is never called. A change
// that is under way goes on.
func (b *Batcher) Cancel(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	it := b.changes[key]
	if it == nil {
		return false
	}
	it.dead = true
	delete(b.changes, key)
	return true
}

// Read asks for one run. done gets it, or found false where the tracker does not have it, and the time before the
// request was sent; with an error nothing is known. Reads of the same id that wait together are one.
func (b *Batcher) Read(id string, priority backend.Priority, done func(run backend.Run, found bool, readAt time.Time, err error)) {
	b.read(laneIDs, id, priority, func(runs []backend.Run, readAt time.Time, err error) {
		if len(runs) == 0 {
			done(backend.Run{}, false, readAt, err)
			return
		}
		done(runs[0], true, readAt, err)
	})
}

// ReadName asks for all runs with this display name; see Read.
func (b *Batcher) ReadName(name string, priority backend.Priority, done func(runs []backend.Run, readAt time.Time, err error)) {
	b.read(laneNames, name, priority, done)
}

func (b *Batcher) read(l lane, key string, priority backend.Priority, done answered) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.stopped; err != nil {
		go done(nil, time.Time{}, err)
		return
	}
	waiting := b.reads[l-laneIDs]
	if it := waiting[key]; it != nil {
		it.answered = append(it.answered, done)
		it.priority = min(it.priority, priority)
		return
	}
	it := &item{lane: l, key: key, priority: priority, answered: []answered{done}}
	waiting[key] = it
	b.enqueue(it)
}

func (b *Batcher) enqueue(it *item) {
	now := b.options.Clock.Now()
	if b.idle() {
		b.firstAt = now
	}
	b.lastAt = now
	b.more = b.more || b.sending
	if it.seq == 0 {
		b.seq++
		it.seq = b.seq
	}
	b.lanes[it.lane] = append(b.lanes[it.lane], it)
	select {
	case b.wake <- struct{}{}:
	default: // Run is about to look anyway
	}
}

// Run sends what is queued until the context ends. A write that is under way then is finished, within its deadline; what
// was not sent fails with an error that wraps the context's. It gives nil, and can be called once.
func (b *Batcher) Run(ctx context.Context) error {
	defer func() { b.stop(context.Cause(ctx)) }()
	for ctx.Err() == nil {
		next, wait := b.take()
		if next != nil {
			b.send(ctx, next)
			continue
		}
		b.sleep(ctx, wait)
	}
	return nil
}

// Idle says that nothing waits and nothing is under way: every callback of what was asked for has returned.
func (b *Batcher) Idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sending || len(b.retries) > 0 {
		return false
	}
	for _, items := range b.lanes {
		if slices.ContainsFunc(items, func(it *item) bool { return !it.dead }) {
			return false
		}
	}
	return true
}

// sleep waits for something new, at most this long; a negative time is for ever.
func (b *Batcher) sleep(ctx context.Context, wait time.Duration) {
	var due <-chan time.Time
	if wait >= 0 {
		timer := b.options.Clock.NewTimer(wait)
		defer timer.Stop()
		due = timer.C()
	}
	select {
	case <-ctx.Done():
	case <-b.wake:
	case <-due:
	}
}

// stop fails all that was not sent.
func (b *Batcher) stop(cause error) {
	err := notSent(cause)
	b.mu.Lock()
	b.stopped, b.sending = err, false
	var rest []*item
	for _, failed := range b.retries {
		rest = append(rest, failed.items...)
	}
	for i, items := range b.lanes {
		rest = append(rest, items...)
		b.lanes[i] = nil
	}
	b.retries, b.changes, b.reads = nil, map[string]*item{}, [2]map[string]*item{{}, {}}
	b.mu.Unlock()
	for _, it := range rest {
		if !it.dead {
			it.fail(err)
		}
	}
}

func notSent(cause error) error {
	return &backend.Error{
		Kind: backend.Unavailable, Message: "not sent, because the manager stops or the project's client was replaced", Err: cause,
	}
}
