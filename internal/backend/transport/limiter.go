package transport

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
)

const (
	// slowest is the requests per second however little is left: a write is two requests and has to end within seconds.
	// Where even that is too much, the server refuses, and pauses us.
	slowest      = 0.5
	firstBackOff = time.Second
	lastBackOff  = time.Minute
	// oldestEvery: each time that many requests went by priority, the one that waits longest goes next.
	oldestEvery = 8
	// plenty is the share of a server's budget above which we do not slow down.
	plenty = 0.5
)

// Limiter lets requests go at the rate that the server allows, the most urgent first; equal ones in the order in which
// they came. Every eighth request that had to wait is the one that waits longest, so nothing starves.
// A server that asks for a pause pauses all requests. It is safe for concurrent use.
type Limiter struct {
	clock clock.Clock

	mu          sync.Mutex
	fastest     float64 // requests per second
	burst       float64
	rate        float64 // now, between slowest and fastest
	tokens      float64
	filledAt    time.Time
	pausedUntil time.Time
	backOffs    int // in a row
	usedAt      time.Time
	waiters     []*waiter // in the order in which they came
	most        int       // requests under way at once; 0: any number
	underWay    int
	granted     int
	sinceSeen   int // requests since the server last told its budget
	seen        limits
	cost        float64 // of one request in the server's units, averaged
}

type waiter struct {
	priority backend.Priority
	wake     chan struct{}
}

// NewLimiter makes a limiter of its own, not shared through Limiters.
func NewLimiter(c clock.Clock, perSecond float64, burst int) *Limiter {
	l := &Limiter{clock: c, fastest: perSecond, burst: math.Max(1, float64(burst)), rate: perSecond}
	l.tokens, l.filledAt, l.usedAt = l.burst, c.Now(), c.Now()
	return l
}

// Wait returns when a request may go; its end is told by Done. It ends early, with RateLimited, where the server's pause is longer than the
// context has time, and with an error that wraps the context's when that ends.
func (l *Limiter) Wait(ctx context.Context, priority backend.Priority) error {
	me := &waiter{priority: priority, wake: make(chan struct{}, 1)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiters = append(l.waiters, me)
	defer l.leave(me)
	for {
		now := l.clock.Now()
		if err := l.hopeless(ctx, now); err != nil {
			return err
		}
		var timer clock.Timer
		var due <-chan time.Time
		if l.next() == me && (l.most == 0 || l.underWay < l.most) {
			delay := l.delay(now)
			if delay <= 0 {
				l.take(now)
				return nil
			}
			timer = l.clock.NewTimer(delay)
			due = timer.C()
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-me.wake:
		case <-due:
		}
		if timer != nil {
			timer.Stop()
		}
		l.mu.Lock()
	}
}

// Done says that a request which Wait let go has ended.
func (l *Limiter) Done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underWay--
	if len(l.waiters) > 0 {
		wake(l.next())
	}
}

// hopeless says why it makes no sense to wait any longer.
func (l *Limiter) hopeless(ctx context.Context, now time.Time) error {
	if err := ctx.Err(); err != nil {
		if errors.Is(err, context.Canceled) {
			return &backend.Error{Kind: backend.Unavailable, Message: "cancelled while waiting for the rate limit", Err: err}
		}
		return l.limited(err, "no turn came within the time that was left")
	}
	if deadline, ok := ctx.Deadline(); ok && l.pausedUntil.After(now) && deadline.Before(l.pausedUntil) {
		return l.limited(nil, "the tracker asked for a pause until "+l.pausedUntil.UTC().Format(time.RFC3339))
	}
	return nil
}

func (l *Limiter) limited(err error, message string) error {
	return &backend.Error{Kind: backend.RateLimited, Until: l.pausedUntil, Message: message, Err: err}
}

// next gives the waiter whose turn it is.
func (l *Limiter) next() *waiter {
	best := l.waiters[0]
	if l.granted%oldestEvery == oldestEvery-1 {
		return best
	}
	for _, w := range l.waiters[1:] {
		if w.priority < best.priority {
			best = w
		}
	}
	return best
}

// leave takes a waiter out of the queue and wakes the one that is next now.
func (l *Limiter) leave(w *waiter) {
	l.waiters = slices.DeleteFunc(l.waiters, func(x *waiter) bool { return x == w })
	if len(l.waiters) > 0 {
		wake(l.next())
	}
}

func wake(w *waiter) {
	select {
	case w.wake <- struct{}{}:
	default: // is awake already
	}
}

// delay gives the time until the next request may go.
func (l *Limiter) delay(now time.Time) time.Duration {
	if now.Before(l.pausedUntil) {
		return l.pausedUntil.Sub(now)
	}
	l.fill(now)
	if l.tokens >= 1 {
		return 0
	}
	return time.Duration(math.Ceil((1 - l.tokens) / l.rate * float64(time.Second)))
}

func (l *Limiter) fill(now time.Time) {
	if passed := now.Sub(l.filledAt).Seconds(); passed > 0 {
		l.tokens = math.Min(l.burst, l.tokens+passed*l.rate)
		// A rounding error must not become another wait of a nanosecond.
		if l.tokens > 1-1e-6 && l.tokens < 1 {
			l.tokens = 1
		}
		l.filledAt = now
	}
}

func (l *Limiter) take(now time.Time) {
	l.tokens--
	l.underWay++
	l.usedAt = now
	l.sinceSeen++
	if len(l.waiters) > 1 {
		l.granted++
	}
}

// pause stops all requests until then, and gives the time until which they are stopped now.
func (l *Limiter) pause(until time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pauseLocked(until)
}

func (l *Limiter) pauseLocked(until time.Time) time.Time {
	if until.After(l.pausedUntil) {
		l.pausedUntil = until
		// What was saved up before the pause is not to hit the server all at once after it.
		l.fill(until)
		l.tokens = math.Min(l.tokens, 1)
		for _, w := range l.waiters {
			wake(w)
		}
	}
	return l.pausedUntil
}

// backOff pauses after a refusal without a time: a second, doubled up to a minute while refusals go on.
func (l *Limiter) backOff(now time.Time) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.pausedUntil) {
		return l.pausedUntil // one of several requests that were under way together
	}
	pause := min(firstBackOff<<min(l.backOffs, 10), lastBackOff)
	l.backOffs++
	return l.pauseLocked(now.Add(pause))
}

// learn takes in what the server says about its budget, and that it answered.
func (l *Limiter) learn(now time.Time, told limits, good bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if good && !now.Before(l.pausedUntil) {
		l.backOffs = 0
	}
	if !told.known {
		return
	}
	if told.remaining <= 0 {
		l.pauseLocked(now.Add(told.resetIn))
	}
	l.fill(now)
	l.rate = l.rateFor(told)
	l.seen, l.sinceSeen = told, 0
}

// rateFor spreads what remains of the budget over the time until it is renewed. The units are the server's own, so
// what a request costs is learnt from how the remainder sank.
func (l *Limiter) rateFor(told limits) float64 {
	if l.seen.known && told.remaining < l.seen.remaining && l.sinceSeen > 0 {
		spent := (l.seen.remaining - told.remaining) / float64(l.sinceSeen)
		if l.cost == 0 {
			l.cost = spent
		}
		l.cost = 0.7*l.cost + 0.3*spent
	}
	if told.remaining >= plenty*told.limit || told.resetIn <= 0 {
		return l.fastest
	}
	rate := told.remaining / math.Max(l.cost, 1e-9) / told.resetIn.Seconds()
	if l.cost == 0 {
		rate = told.remaining / told.resetIn.Seconds()
	}
	return math.Min(math.Max(rate, math.Min(slowest, l.fastest)), l.fastest)
}

// Rate gives the requests per second that go now, and the end of the pause (zero or past: none). It is for metrics.
func (l *Limiter) Rate() (perSecond float64, pausedUntil time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate, l.pausedUntil
}
