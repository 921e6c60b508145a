package leader_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/runtag/runtag/internal/leader"
)

const me = "me"

// lock is one that answers after a while, as told.
type lock struct {
	resourcelock.Interface
	clock  *clocktesting.FakeClock
	takes  time.Duration
	err    error
	holder string
}

func (l *lock) Identity() string { return me }

func (l *lock) answer() error {
	l.clock.Step(l.takes)
	return l.err
}

func (l *lock) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	return &resourcelock.LeaderElectionRecord{HolderIdentity: l.holder}, nil, l.answer()
}

func (l *lock) Create(context.Context, resourcelock.LeaderElectionRecord) error { return l.answer() }

func (l *lock) Update(context.Context, resourcelock.LeaderElectionRecord) error { return l.answer() }

func TestLeft(t *testing.T) {
	const second = time.Second
	record := func(holder string) resourcelock.LeaderElectionRecord {
		return resourcelock.LeaderElectionRecord{HolderIdentity: holder, LeaseDurationSeconds: 15}
	}
	lost := errors.New("no answer")
	type step func(*leader.Lease, *lock)
	create := func(l *leader.Lease, _ *lock) { _ = l.Create(t.Context(), record(me)) }
	renew := func(takes time.Duration, err error) step {
		return func(l *leader.Lease, fake *lock) {
			fake.takes, fake.err = takes, err
			_ = l.Update(t.Context(), record(me))
		}
	}
	release := func(err error) step {
		return func(l *leader.Lease, fake *lock) {
			fake.err = err
			_ = l.Update(t.Context(), record(""))
		}
	}
	read := func(holder string, err error) step {
		return func(l *leader.Lease, fake *lock) {
			fake.holder, fake.err = holder, err
			_, _, _ = l.Get(t.Context())
		}
	}
	pass := func(d time.Duration) step { return func(_ *leader.Lease, fake *lock) { fake.clock.Step(d) } }

	for name, tt := range map[string]struct {
		reason string
		steps  []step
		want   time.Duration
	}{
		"never held":               {"nobody is a leader before the election", nil, 0},
		"just made":                {"others wait for the whole lease, and we stop a second earlier", []step{create}, 14 * second},
		"renewed a while ago":      {"it runs out", []step{create, pass(4 * second)}, 10 * second},
		"renewed again":            {"it counts from the last renewal", []step{create, pass(4 * second), renew(0, nil)}, 14 * second},
		"a slow renewal":           {"it counts from before the request: the server may have written it at once", []step{create, renew(5*second, nil)}, 9 * second},
		"a renewal without answer": {"it may not have been written", []step{create, pass(4 * second), renew(5*second, lost)}, 5 * second},
		"run out":                  {"after a stop nothing is certain", []step{create, pass(20 * second)}, -6 * second},
		"renewed after that":       {"whoever holds it again leads again", []step{create, pass(20 * second), renew(0, nil)}, 14 * second},
		"released":                 {"others may lead at once", []step{create, release(nil)}, 0},
		"a release without answer": {"it may have been written", []step{create, release(lost)}, 0},
		"another holder is seen":   {"somebody took it", []step{create, read("other", nil)}, 0},
		"we are seen as holder":    {"reading renews nothing", []step{create, pass(4 * second), read(me, nil)}, 10 * second},
		"reading fails":            {"that says nothing", []step{create, read("", lost)}, 14 * second},
	} {
		t.Run(name, func(t *testing.T) {
			clk := clocktesting.NewFakeClock(time.Now())
			fake := &lock{clock: clk}
			lease := leader.Watch(fake, clk)
			for _, s := range tt.steps {
				s(lease, fake)
			}
			if got := lease.Left(); got != tt.want {
				t.Errorf("%s: %s are left, not %s", tt.reason, got, tt.want)
			}
		})
	}
}
