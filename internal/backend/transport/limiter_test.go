package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/utils/clock"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend"
)

// real is the clock of the bubble that a test runs in.
var real = clock.RealClock{}

// pass lets time pass in the bubble; nothing really sleeps.
func pass(d time.Duration) { time.Sleep(d) }

type grant struct {
	Name string
	At   time.Duration // since the beginning
}

// queueUp lets these wait, in this order, and gives the grants in the order in which they came.
func queueUp(l *Limiter, waits ...backend.Priority) func() []grant {
	began := time.Now()
	var mu sync.Mutex
	var grants []grant
	var all sync.WaitGroup
	for i, p := range waits {
		all.Go(func() {
			if err := l.Wait(context.Background(), p); err != nil {
				panic(err)
			}
			mu.Lock()
			defer mu.Unlock()
			grants = append(grants, grant{Name: fmt.Sprintf("%d/%d", p, i), At: time.Since(began)})
		})
		synctest.Wait() // each is in the queue before the next comes
	}
	return func() []grant {
		all.Wait()
		return grants
	}
}

func TestWaitersGoByPriorityThenInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(real, 1, 1)
		got := queueUp(l, backend.PriorityEdit, backend.PriorityFullLook, backend.PriorityRule, backend.PriorityFullLook, backend.PriorityEdit, backend.PriorityRule)()
		want := []grant{{"0/0", 0}, {"0/4", 1e9}, {"1/2", 2e9}, {"1/5", 3e9}, {"3/1", 4e9}, {"3/3", 5e9}}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("grants (-want +got):\n%s", diff)
		}
	})
}

func TestWhatComesLaterButIsMoreUrgentGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(real, 0.5, 1)
		looks := queueUp(l, backend.PriorityFullLook, backend.PriorityFullLook)
		pass(time.Second)
		edits := queueUp(l, backend.PriorityEdit)
		if got := edits(); got[0].At != time.Second {
			t.Errorf("the edit goes at the next turn, not at %v", got[0].At)
		}
		if got := looks(); got[1].At != 4*time.Second {
			t.Errorf("the look goes at the turn after it, not at %v", got[1].At)
		}
	})
}

func TestNobodyStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(real, 1, 1)
		waits := []backend.Priority{backend.PriorityEdit, backend.PriorityFullLook}
		for range 20 {
			waits = append(waits, backend.PriorityEdit)
		}
		got := queueUp(l, waits...)()
		place := slices.IndexFunc(got, func(g grant) bool { return g.Name == "3/1" })
		if place < 2 || place > oldestEvery {
			t.Errorf("the full look went as number %d of %d", place, len(got))
		}
	})
}

func TestABurstThenTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := queueUp(NewLimiter(real, 2, 3), make([]backend.Priority, 6)...)()
		var at []time.Duration
		for _, g := range got {
			at = append(at, g.At)
		}
		want := []time.Duration{0, 0, 0, 500 * time.Millisecond, time.Second, 1500 * time.Millisecond}
		if diff := gocmp.Diff(want, at); diff != "" {
			t.Errorf("grants (-want +got):\n%s", diff)
		}
	})
}

func TestNoMoreThanSoManyAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiters(real).For("mlflow:5000", Fingerprint(""), Rate{PerSecond: 1000, Burst: 100, UnderWay: 2})
		got := queueUp(l, backend.PriorityFullLook, backend.PriorityFullLook, backend.PriorityFullLook, backend.PriorityEdit)
		for range 2 { // each end lets one more go, the most urgent first
			pass(time.Minute)
			l.Done()
			synctest.Wait()
		}
		want := []grant{{"3/0", 0}, {"3/1", 0}, {"0/3", time.Minute}, {"3/2", 2 * time.Minute}}
		if diff := gocmp.Diff(want, got()); diff != "" {
			t.Errorf("grants (-want +got):\n%s", diff)
		}
	})
}

func TestARequestThatFailsIsNotUnderWay(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	limiter := NewLimiters(real).For("h", Fingerprint(""), Rate{PerSecond: 1000, Burst: 100, UnderWay: 1})
	client := newClient(t, Options{Limiter: limiter})
	for _, r := range []Request{{Method: "GET", URL: s.URL}, {Method: "no method", URL: s.URL}, {Method: "GET", URL: s.URL}} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if _, err := client.Do(ctx, r); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", r.Method, err)
		}
		cancel()
	}
}

func TestAPauseHoldsEverybodyBackAndBoundsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(real, 1, 3)
		// One waits already, with less time than the pause; it must not wait for nothing.
		queueUp(l, make([]backend.Priority, 3)...)()
		short, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		failed := make(chan error, 1)
		go func() { failed <- l.Wait(short, backend.PriorityEdit) }()
		synctest.Wait()
		began := time.Now()
		until := l.pause(began.Add(time.Minute))
		checkLimited(t, <-failed, until)
		if time.Since(began) != 0 {
			t.Errorf("it took %v to see that the wait is hopeless", time.Since(began))
		}
		checkLimited(t, l.Wait(short, backend.PriorityEdit), until)

		if again := l.pause(began.Add(time.Second)); !again.Equal(until) {
			t.Errorf("a shorter pause does not end a longer one: %v", again)
		}
		got := queueUp(l, make([]backend.Priority, 3)...)()
		for i, g := range got {
			if want := time.Minute + time.Duration(i)*time.Second; g.At != want {
				t.Errorf("grant %d at %v, want %v: after a pause there is no burst", i, g.At, want)
			}
		}
	})
}

func checkLimited(t *testing.T, err error, until time.Time) {
	t.Helper()
	var e *backend.Error
	if !errors.As(err, &e) || e.Kind != backend.RateLimited || !e.Until.Equal(until) || e.Message == "" {
		t.Errorf("got %v, want RateLimited until %v", err, until)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(real, 0.5, 1)
		queueUp(l, backend.PriorityEdit)()
		ctx, cancel := context.WithCancel(t.Context())
		cancelled := make(chan error, 1)
		go func() { cancelled <- l.Wait(ctx, backend.PriorityEdit) }()
		synctest.Wait()
		rest := queueUp(l, backend.PriorityFullLook)
		cancel()
		if err := <-cancelled; !errors.Is(err, context.Canceled) || !backend.IsKind(err, backend.Unavailable) {
			t.Errorf("got %v", err)
		}
		if got := rest(); got[0].At != 2*time.Second {
			t.Errorf("the one behind it takes its turn, not at %v", got[0].At)
		}
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := l.Wait(short, backend.PriorityEdit); !backend.IsKind(err, backend.RateLimited) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if len(l.waiters) > 0 {
			t.Errorf("%d still wait", len(l.waiters))
		}
	})
}

func TestBackOffDoublesUntilAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(real, 10, 10)
		var got []time.Duration
		for range 8 {
			until := l.backOff(time.Now())
			if again := l.backOff(time.Now()); !again.Equal(until) {
				t.Errorf("requests refused together are one refusal: %v and %v", until, again)
			}
			l.learn(time.Now(), limits{}, true) // one that was under way says nothing
			got = append(got, time.Until(until))
			pass(time.Until(until))
		}
		want := []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 32e9, 60e9, 60e9}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
		l.learn(time.Now(), limits{}, false)
		if until := l.backOff(time.Now()); time.Until(until) != time.Minute {
			t.Errorf("a failure is no answer; the pause is %v", time.Until(until))
		}
		pass(time.Minute)
		l.learn(time.Now(), limits{}, true)
		if until := l.backOff(time.Now()); time.Until(until) != time.Second {
			t.Errorf("after an answer it begins anew, not with %v", time.Until(until))
		}
	})
}

func TestTheRateFollowsTheServersBudget(t *testing.T) {
	told := func(remaining float64) limits {
		return limits{known: true, limit: 1000, remaining: remaining, resetIn: 10 * time.Second}
	}
	for _, c := range []struct {
		reason string
		told   []limits // after one request each
		rate   float64
	}{
		{"plenty left: full speed", []limits{told(900), told(800)}, 50},
		{"half left is plenty", []limits{told(600), told(500)}, 50},
		{"40 requests of 10 units, over 10 s", []limits{told(410), told(400)}, 4},
		{"the cost is averaged", []limits{told(430), told(410), told(400)}, 400 / (0.7*20 + 0.3*10) / 10},
		{"never slower than a write can bear", []limits{told(300), told(1)}, 0.5},
		{"never faster than configured", []limits{told(401), told(400.5)}, 50},
		{"cost unknown: as if a unit was a request", []limits{told(300)}, 30},
		{"a new window", []limits{told(110), told(100), told(990)}, 50},
		{"says nothing: stays", []limits{told(410), told(400), {}}, 4},
	} {
		t.Run(c.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimiter(real, 50, 100)
				for _, x := range c.told {
					if err := l.Wait(t.Context(), backend.PriorityEdit); err != nil {
						t.Fatal(err)
					}
					l.learn(time.Now(), x, true)
				}
				rate, paused := l.Rate()
				if !gocmp.Equal(rate, c.rate, cmpopts.EquateApprox(1e-9, 0)) || !paused.IsZero() {
					t.Errorf("rate %v until %v, want %v", rate, paused, c.rate)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(real, 50, 100)
		l.learn(time.Now(), told(0), true)
		if got := queueUp(l, backend.PriorityEdit)(); got[0].At != 10*time.Second {
			t.Errorf("nothing left is a pause until the reset, not %v", got[0].At)
		}
	})
}

// Whatever comes and goes: no grant in a pause, no more of them than burst and rate allow, none forgotten.
func TestLimiterProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.Float64Range(0.5, 20).Draw(rt, "rate")
		burst := rapid.IntRange(1, 5).Draw(rt, "burst")
		type step struct {
			Wait     int // a waiter of this priority; -1: none
			Patience time.Duration
			Pause    time.Duration
			Then     time.Duration
		}
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{
				Wait:     rapid.IntRange(-1, 3).Draw(t, "wait"),
				Patience: time.Duration(rapid.IntRange(1, 120).Draw(t, "patience")) * time.Second,
				Pause:    time.Duration(max(0, rapid.IntRange(-30, 30).Draw(t, "pause"))) * time.Second,
				Then:     time.Duration(rapid.IntRange(0, 3000).Draw(t, "then")) * time.Millisecond,
			}
		}), 1, 40).Draw(rt, "steps")

		var problem string
		synctest.Test(t, func(*testing.T) {
			l := NewLimiter(real, rate, burst)
			var mu sync.Mutex
			var granted []time.Time
			var pauses [][2]time.Time
			var all sync.WaitGroup
			ended, asked := 0, 0
			for _, s := range steps {
				if s.Pause > 0 {
					pauses = append(pauses, [2]time.Time{time.Now(), l.pause(time.Now().Add(s.Pause))})
				}
				if s.Wait >= 0 {
					asked++
					all.Go(func() {
						ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
						defer cancel()
						err := l.Wait(ctx, backend.Priority(s.Wait))
						mu.Lock()
						defer mu.Unlock()
						ended++
						if err == nil {
							granted = append(granted, time.Now())
						} else if !backend.IsKind(err, backend.RateLimited) {
							problem = err.Error()
						}
					})
				}
				synctest.Wait()
				pass(s.Then)
			}
			all.Wait()
			problem = cmp.Or(problem, checkGrants(granted, pauses, rate, burst))
			if ended != asked || len(l.waiters) > 0 {
				problem = fmt.Sprintf("%d of %d ended, %d in the queue", ended, asked, len(l.waiters))
			}
		})
		if problem != "" {
			rt.Fatal(problem)
		}
	})
}

func checkGrants(granted []time.Time, pauses [][2]time.Time, rate float64, burst int) string {
	for i, at := range granted {
		for _, p := range pauses {
			if at.After(p[0]) && at.Before(p[1]) {
				return fmt.Sprintf("a grant at %v in the pause %v", at, p)
			}
		}
		for j := range i {
			passed := at.Sub(granted[j]).Seconds()
			if n := i - j + 1; float64(n) > float64(burst)+passed*rate+1e-3 {
				return fmt.Sprintf("%d grants within %v s at %v/s and a burst of %d", n, passed, rate, burst)
			}
		}
	}
	return ""
}

func TestLimitersAreSharedByHostAndCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, rate := NewLimiters(real), Rate{PerSecond: 7, Burst: 3}
		a := s.For("api.example:443", Fingerprint("key"), rate)
		if s.For("API.example:443", Fingerprint("key"), rate) != a {
			t.Error("the same host and credential have one limiter")
		}
		if s.For("api.example:443", Fingerprint("other"), rate) == a || s.For("other.example:443", Fingerprint("key"), rate) == a {
			t.Error("another credential or host has another")
		}
		if rate, _ := a.Rate(); rate != 7 || a.burst != 3 {
			t.Errorf("rate %v, burst %v", rate, a.burst)
		}
		if fixed := NewLimiters(real).WithRate(2, 1).For("api.example:443", Fingerprint("key"), rate); fixed.rate != 2 || fixed.burst != 1 {
			t.Errorf("a set with a rate of its own gives %v and %v", fixed.rate, fixed.burst)
		}
		pass(idleAfter)
		if s.For("api.example:443", Fingerprint("key"), rate) != a {
			t.Error("an hour is not yet long")
		}
		pass(idleAfter + 1)
		s.For("third.example", Fingerprint("key"), rate)
		if len(s.all) != 1 {
			t.Errorf("%d limiters are kept", len(s.all))
		}
		b := s.For("api.example:443", Fingerprint("key"), rate)
		b.pause(time.Now().Add(3 * time.Hour))
		pass(2 * time.Hour)
		s.For("third.example", Fingerprint("key"), rate)
		if s.For("api.example:443", Fingerprint("key"), rate) != b {
			t.Error("a limiter that pauses is not forgotten")
		}
	})
}
