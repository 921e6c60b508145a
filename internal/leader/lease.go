// Package leader says for how long this process may be sure that no other one leads. Election alone does not: a leader
// that was stopped, or whose machine slept, goes on where it was, and learns only later that its lease has run out.
package leader

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
)

// margin is how long before the end of the lease it counts as ended: for clocks that run at different speeds, and for
// the way from the last check to the wire.
const margin = time.Second

// Lease is the lock of an election that notes when it was renewed last. It is safe for concurrent use.
type Lease struct {
	resourcelock.Interface
	clock clock.PassiveClock

	mu sync.Mutex
	// heldFrom is when the request that renewed the lease last was sent: no other one counts from an earlier time.
	heldFrom time.Time
	// heldFor is what others wait after they saw that renewal; zero while the lease is not ours.
	heldFor time.Duration
}

// Watch makes a Lease of a lock. The clock should be monotonic.
func Watch(lock resourcelock.Interface, clk clock.PassiveClock) *Lease {
	return &Lease{Interface: lock, clock: clk}
}

// Get reads the lease, and notes it if somebody else holds it.
func (l *Lease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && record.HolderIdentity != l.Identity() {
		l.hold(time.Time{}, 0)
	}
	return record, raw, err
}

// Create makes the lease.
func (l *Lease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(record, func() error { return l.Interface.Create(ctx, record) })
}

// Update takes, renews or releases the lease.
func (l *Lease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(record, func() error { return l.Interface.Update(ctx, record) })
}

func (l *Lease) write(record resourcelock.LeaderElectionRecord, send func() error) error {
	ours := record.HolderIdentity == l.Identity()
	if !ours { // others may lead as soon as it is sent, whatever is answered
		l.hold(time.Time{}, 0)
	}
	began := l.clock.Now()
	err := send()
	if err == nil && ours {
		l.hold(began, time.Duration(record.LeaseDurationSeconds)*time.Second)
	}
	return err
}

func (l *Lease) hold(from time.Time, duration time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heldFrom, l.heldFor = from, duration
}

// Left is for how long this process leads for certain; nothing or less where it may lead no more.
func (l *Lease) Left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heldFor <= 0 {
		return 0
	}
	now := l.clock.Now()
	// The monotonic clock stands still while the machine sleeps, and the other one may be set back: the longer time counts.
	elapsed := max(now.Sub(l.heldFrom), now.Round(0).Sub(l.heldFrom.Round(0)))
	return l.heldFor - margin - elapsed
}
