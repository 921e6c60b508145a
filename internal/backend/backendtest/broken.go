package backendtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/runtag/runtag/internal/backend"
)

func testWrongCredential(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	run := f.create(NewRun{Tags: f.bare("x")})
	f.client = f.project.Open(t, Options{URL: f.proxy.URL, WrongCredential: true})
	for name, try := range f.reads(run) {
		f.wantKind(try(t.Context()), name+" with a wrong credential", backend.AccessDenied)
	}
	f.want(run.ID, f.bare("x"), "a wrong credential changes nothing")
}

// reads are the ways to ask something, each of which must fail when its first request fails. Those of a list come
// after Check, so that what a client remembers does not hide the request that matters.
func (f *fixture) reads(run backend.Run) map[string]func(context.Context) error {
	list := func(q backend.Query) func(context.Context) error {
		return func(ctx context.Context) error {
			page, err := f.client.List(ctx, q, "")
			if err == nil {
				f.t.Errorf("a list that failed passes for one of %d runs", len(page.Runs))
			}
			return err
		}
	}
	return map[string]func(context.Context) error{
		"list":         list(backend.Query{All: true}),
		"list by id":   list(backend.Query{IDs: []string{run.ID}}),
		"list by name": list(backend.Query{Names: []string{run.Name}}),
		"list by tag":  list(backend.Query{AnyTag: []string{"x"}}),
		"list since":   list(backend.Query{Since: time.Unix(1, 0)}),
		"check": func(ctx context.Context) error {
			_, err := f.client.Check(ctx)
			return err
		},
		"change": func(ctx context.Context) error {
			results, err := f.client.Change(ctx, []backend.Change{f.never(run, "the read failed")})
			if err == nil {
				f.t.Errorf("a batch that could not be read passes for one of results: %+v", results)
			}
			return err
		},
	}
}

type faultCase struct {
	name   string
	fault  Fault
	kind   backend.Kind
	reason string
}

const (
	plenty = 1 << 20 // the longest answer that the client takes in these tests, in bytes
	pause  = 7 * time.Second
)

func faultCases() []faultCase {
	const json, html = "application/json", "text/html"
	return []faultCase{
		{"429 with Retry-After", Answer(429, `{"message":"slow down"}`, "Retry-After", "7", "Content-Type", json), backend.RateLimited, "and Until says when"},
		{"429", Answer(429, "slow down", "Content-Type", "text/plain"), backend.RateLimited, "even where the server does not say for how long"},
		{"500", Answer(500, `{"error":"oops"}`, "Content-Type", json), backend.Unavailable, "the next try may be good"},
		{"502 of a gateway", Answer(502, "<html><h1>Bad Gateway</h1></html>", "Content-Type", html), backend.Unavailable, "so for a gateway's page"},
		{"503 with Retry-After", Answer(503, "", "Retry-After", "7"), backend.Unavailable, "a server that is down is no rate limit"},
		{"401", Answer(401, "who are you?", "Content-Type", "text/plain"), backend.AccessDenied, "the credential is not taken"},
		{"403", Answer(403, `{"message":"no"}`, "Content-Type", json), backend.AccessDenied, "it is not permitted"},
		{"reset before the answer", ResetBefore(), backend.Unavailable, "the connection broke"},
		{"reset in the middle of the answer", ResetMidway(), backend.Unavailable, "half an answer is none"},
		{"truncated answer", Truncate(), backend.Unavailable, "half a document is none"},
		{"huge answer", Huge(2 * plenty), backend.Unavailable, "it is not taken in"},
		{"empty answer", Answer(200, "", "Content-Type", json), backend.Unavailable, "nothing is not an empty list"},
		{"text", Answer(200, "hello", "Content-Type", "text/plain"), backend.AccessDenied, "what is not JSON is no answer of the tracker"},
		{"login page", LoginPage(), backend.AccessDenied, "the ingress wants a login"},
		{"login page called JSON", Answer(200, "<html></html>", "Content-Type", json), backend.AccessDenied, "whatever it calls itself"},
		{"JSON of something else", Answer(200, `{"hello":"world"}`, "Content-Type", json), backend.Unavailable, "it is not an empty list"},
		{"JSON that is no object", Answer(200, `[]`, "Content-Type", json), backend.Unavailable, "it is not an empty list"},
	}
}

func testReadFaults(t *testing.T, h Harness) {
	shared := open(t, h, Options{})
	run := shared.create(NewRun{Name: "r", Tags: shared.bare("x")})
	cases := faultCases()
	cases = append(cases, faultCase{"redirect", Redirect(shared.proxy.URL + "/login"), backend.AccessDenied, "the ingress wants a login"})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := shared.in(t)
			clock := testingclock.NewFakeClock(time.Now())
			f.client = f.project.Open(t, Options{URL: f.proxy.URL, MaxBytes: plenty, Clock: clock})
			defer f.proxy.Heal()
			broken := func(name string, try func(context.Context) error) {
				t.Helper()
				f.proxy.Inject(Rule{Fault: c.fault})
				err := try(t.Context())
				f.wantKind(err, name+": "+c.reason, c.kind)
				f.wantUntil(err, clock.Now(), c.name)
				f.proxy.Heal()
				clock.Step(2 * pause)
			}
			reads := f.reads(run)
			broken("first check", reads["check"])
			// From here on, what a client learns once is known, and the fault hits the request itself.
			if _, err := f.client.Check(t.Context()); err != nil {
				t.Fatalf("a check after the fault is over: %v", err)
			}
			for name, try := range reads {
				broken(name, try)
			}
			f.wantIDs(f.list(backend.Query{All: true}), []string{run.ID}, "all is well after the fault is over")
			f.want(run.ID, f.bare("x"), "a fault changes nothing")
		})
	}
	if followed := shared.proxy.Requests(func(r Request) bool { return r.Path == "/login" }); len(followed) > 0 {
		t.Error("a redirect was followed")
	}
}

// wantUntil checks the time of the next request that an error names.
func (f *fixture) wantUntil(err error, now time.Time, name string) {
	f.t.Helper()
	var e *backend.Error
	if name != "429 with Retry-After" || !errors.As(err, &e) {
		return
	}
	if e.Until.Before(now.Add(pause)) || e.Until.After(now.Add(pause+time.Second)) {
		f.t.Errorf("Until is %v from now, the server said %v", e.Until.Sub(now), pause)
	}
}

func testWriteFaults(t *testing.T, h Harness) {
	shared := open(t, h, Options{})
	reached := map[string]bool{"reset in the middle of the answer": true, "truncated answer": true}
	for _, c := range faultCases() {
		t.Run(c.name, func(t *testing.T) {
			f := shared.in(t)
			clock := testingclock.NewFakeClock(time.Now())
			f.client = f.project.Open(t, Options{URL: f.proxy.URL, MaxBytes: plenty, Clock: clock})
			run := f.create(NewRun{Tags: f.bare("x")})
			defer f.proxy.Heal()
			f.proxy.Inject(Rule{Fault: c.fault, Match: f.traits.Write})
			r := f.changeOne(t.Context(), edit(run, f.bare("new")))
			f.wantKind(r.Err, c.reason, c.kind, backend.Conflict)
			f.wantUntil(r.Err, clock.Now(), c.name)
			if !r.Edit.Empty() || !cmp.Equal(r.Before.Tags, r.After.Tags) {
				t.Errorf("a write that failed passes for done: %+v", r)
			}
			if reached[c.name] {
				f.want(run.ID, f.bare("x", "new"), "the tracker did it, though nobody heard")
				if !r.Sent {
					t.Error("a write whose outcome is unknown was sent")
				}
			} else {
				f.want(run.ID, f.bare("x"), "the tracker heard nothing")
			}
			f.proxy.Heal()
			clock.Step(2 * pause)
			if r = f.changeOne(t.Context(), edit(run, f.bare("new"))); r.Err != nil {
				t.Errorf("the same change after the fault is over: %v", r.Err)
			}
			f.want(run.ID, f.bare("x", "new"), "all is well after the fault is over")
		})
	}
}

func testTimeout(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	run := f.create(NewRun{})
	f.client = f.project.Open(t, Options{URL: f.proxy.URL, Timeout: 100 * time.Millisecond})
	f.proxy.Inject(Rule{Fault: Hang()})
	for name, try := range f.reads(run) {
		err := try(t.Context())
		f.wantKind(err, name+" of a server that never answers", backend.Unavailable)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: error %v does not wrap the deadline", name, err)
		}
	}
}

func testCancelled(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	run := f.create(NewRun{Tags: f.bare("x")})
	for name, try := range f.reads(run) {
		ctx, cancel := context.WithCancel(t.Context())
		f.proxy.Inject(Rule{Fault: func(x *Exchange) {
			cancel() // The server works on it when the caller gives up.
			Hang()(x)
		}})
		err := try(ctx)
		f.wantKind(err, name+" that was cancelled under way", backend.Unavailable)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v does not wrap the cancellation", name, err)
		}
		f.proxy.Heal()
		asked := len(f.proxy.Requests(nil))
		if err = try(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s after the cancellation: %v", name, err)
		}
		if now := len(f.proxy.Requests(nil)); now > asked {
			t.Errorf("%s after the cancellation sent %d requests", name, now-asked)
		}
	}
	f.want(run.ID, f.bare("x"), "what was cancelled changed nothing")
	f.wantIDs(f.list(backend.Query{All: true}), []string{run.ID}, "a cancelled request does no harm to the next")
}
