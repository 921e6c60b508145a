package wandb

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

func TestChangeOfIdleRunsTakesTwoRequests(t *testing.T) {
	f := newFake(t, many(100, "finished")...)
	c := f.client(t)
	results, err := c.Change(t.Context(), addToAll(100, backend.StateFinished, add("ours")))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.kinds(); got != "read write" {
		t.Errorf("requests = %q, want one read and one write", got)
	}
	for i, r := range results {
		name := fmt.Sprintf("r%03d", i)
		if r.Err != nil || !r.Sent || r.Before.ID != name || r.After.ID != name {
			t.Fatalf("result %d = %+v", i, r)
		}
		if diff := cmp.Diff(tags.Set{"theirs": "", "ours": ""}, r.After.Tags); diff != "" {
			t.Fatalf("after: %s", diff)
		}
		if diff := cmp.Diff(tags.Set{"theirs": ""}, r.Before.Tags); diff != "" {
			t.Fatalf("before: %s", diff)
		}
		if diff := cmp.Diff([]string{"theirs", "ours"}, f.tags(name)); diff != "" {
			t.Fatalf("on the server: %s", diff)
		}
	}
}

func TestWriteNamesRunsByStorageIDOnly(t *testing.T) {
	f := newFake(t, &stored{Name: "a", Tags: []string{}})
	if _, err := f.client(t).Change(t.Context(), []backend.Change{changeOf("a", "", add("x"))}); err != nil {
		t.Fatal(err)
	}
	w := f.requests("write")[0]
	if got := w.text("i0"); got != "storage-a" {
		t.Errorf("id = %q, want the storage id", got)
	}
	var names []string
	for name := range w.Variables {
		names = append(names, name)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"i0", "t0"}, names); diff != "" {
		t.Errorf("a write carries more than id and tags: %s", diff)
	}
	if strings.Contains(w.Query, "name:") || strings.Contains(w.Query, "modelName") || strings.Contains(w.Query, "entityName") {
		t.Errorf("a write by name makes runs: %s", w.Query)
	}
}

func TestListOfTags(t *testing.T) {
	cases := []struct {
		reason string
		list   []string
		edit   tags.Edit
		want   []string
		edited tags.Edit
	}{
		{"what others put there keeps its order, ours follow sorted", []string{"z", "a"}, add("m", "b"), []string{"z", "a", "b", "m"}, add("m", "b")},
		{"a duplicate of others is not ours to tidy up", []string{"d", "d"}, add("x"), []string{"d", "d", "x"}, add("x")},
		{"removing takes off every copy", []string{"d", "k", "d"}, tags.Edit{Remove: []string{"d"}}, []string{"k"}, tags.Edit{Remove: []string{"d"}}},
		{"the last tag leaves an empty list, not null", []string{"d"}, tags.Edit{Remove: []string{"d"}}, []string{}, tags.Edit{Remove: []string{"d"}}},
		{"only what changes something counts as edit", []string{"a"}, tags.Edit{Set: tags.Set{"a": "", "b": ""}, Remove: []string{"gone"}}, []string{"a", "b"}, add("b")},
		{"case and composition are kept apart", []string{"Tag", "\u00e9"}, add("tag", "e\u0301"), []string{"Tag", "\u00e9", "e\u0301", "tag"}, add("tag", "e\u0301")},
		{"a value means nothing here", []string{}, tags.Edit{Set: tags.Set{"a": "true"}}, []string{"a"}, add("a")},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			f := newFake(t, &stored{Name: "a", Tags: slices.Clone(tc.list)})
			results, err := f.client(t).Change(t.Context(), []backend.Change{changeOf("a", "", tc.edit)})
			if err != nil || results[0].Err != nil {
				t.Fatal(err, results[0].Err)
			}
			if diff := cmp.Diff(tc.want, f.requests("write")[0].list("t0")); diff != "" {
				t.Error("sent:", diff)
			}
			if diff := cmp.Diff(tc.edited, results[0].Edit); diff != "" {
				t.Error("edit:", diff)
			}
		})
	}
}

func TestNothingToWriteSendsNoWrite(t *testing.T) {
	own := errors.New("not authorised any more")
	f := newFake(t, &stored{Name: "a", Tags: []string{"x"}}, &stored{Name: "b"}, &stored{Name: "c"}, &stored{Name: "again"})
	changes := []backend.Change{
		changeOf("a", "", add("x")),
		changeOf("b", "", tags.Edit{}),
		{Run: backend.Run{ID: "c"}, Decide: func(backend.Run) (tags.Edit, error) { return tags.Edit{}, own }},
		changeOf("missing", "", add("x")),
		{Run: backend.Run{ID: "again", UID: "storage-again/2020-01-01T00:00:00Z"}, Decide: func(backend.Run) (tags.Edit, error) {
			t.Error("asked about a run that was made again")
			return tags.Edit{}, nil
		}},
	}
	results, err := f.client(t).Change(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.kinds(); got != "read" {
		t.Errorf("requests = %q, want only the read", got)
	}
	for i, r := range results {
		if r.Sent || !r.Edit.Empty() {
			t.Errorf("result %d says that something was sent: %+v", i, r)
		}
	}
	if results[0].Err != nil || results[1].Err != nil {
		t.Error("an edit that changes nothing is no error", results[0].Err, results[1].Err)
	}
	if !errors.Is(results[2].Err, own) {
		t.Errorf("err = %v, want the one of Decide", results[2].Err)
	}
	if results[3].Before.ID != "" || !backend.IsKind(results[3].Err, backend.NotFound) {
		t.Errorf("missing run: %+v", results[3])
	}
	if !backend.IsKind(results[4].Err, backend.NotFound) {
		t.Errorf("run made again: %v", results[4].Err)
	}
}

func TestActiveRunsGoInSmallBatches(t *testing.T) {
	f := newFake(t, many(25, "running")...)
	if _, err := f.client(t).Change(t.Context(), addToAll(25, backend.StateRunning, add("ours"))); err != nil {
		t.Fatal(err)
	}
	if got, want := f.kinds(), "read write read write read write"; got != want {
		t.Errorf("requests = %q, want %q", got, want)
	}
	for _, w := range f.requests("write") {
		if w.writes() > 10 {
			t.Errorf("%d active runs in one write", w.writes())
		}
	}
}

func TestRunsThatBecameActiveAreReadAgainInSmallBatches(t *testing.T) {
	f := newFake(t, many(30, "running")...)
	changes := addToAll(30, backend.StateFinished, add("ours"))
	results, err := f.client(t).Change(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	if kinds := kindsOf(changes, results); len(kinds) > 0 {
		t.Errorf("errors: %v", kinds)
	}
	if got, want := f.kinds(), "read read write read write read write"; got != want {
		t.Errorf("requests = %q, want %q", got, want)
	}
}

func TestOldReadOfActiveRunsIsReadAgain(t *testing.T) {
	cases := []struct {
		reason string
		state  backend.State
		slow   int // how many calls of Decide take 3 s
		want   string
		failed int
	}{
		{"the batch that was too slow is read again in halves", backend.StateRunning, 1, "read read write read write", 0},
		{"idle runs cannot be changed by their process", backend.StateFinished, 100, "read write", 0},
		{"it ends, even if Decide is always slow", backend.StateRunning, 1000, "", 8},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			f := newFake(t, many(8, string(tc.state))...)
			fakeClock := clocktesting.NewFakePassiveClock(time.Unix(1e9, 0))
			c := f.client(t, func(config *Config) { config.Clock = fakeClock })
			changes := addToAll(8, tc.state, add("ours"))
			calls := 0
			for i := range changes {
				changes[i].Decide = func(backend.Run) (tags.Edit, error) {
					if calls++; calls <= tc.slow {
						fakeClock.SetTime(fakeClock.Now().Add(3 * time.Second))
					}
					return add("ours"), nil
				}
			}
			results, err := c.Change(t.Context(), changes)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.kinds(); tc.want != "" && got != tc.want {
				t.Errorf("requests = %q, want %q", got, tc.want)
			}
			kinds := kindsOf(changes, results)
			if len(kinds) != tc.failed {
				t.Errorf("%d runs failed, want %d", len(kinds), tc.failed)
			}
			for name, kind := range kinds {
				if kind != backend.Conflict {
					t.Errorf("%s failed with %s, want Conflict", name, kind)
				}
			}
		})
	}
}

func TestFailuresOfTheWholeChange(t *testing.T) {
	cases := []struct {
		reason string
		kind   string // of the request that fails
		status int
		body   string
		whole  backend.Kind // of the error
		each   backend.Kind // of the results
	}{
		{"a read that fails says nothing about runs", "read", 500, `{}`, backend.Unavailable, ""},
		{"a project that is gone is no missing run", "read", 200, `{"data":{"viewer":{"id":"v"},"project":null}}`, backend.AccessDenied, ""},
		{"a rate limit at the write has written nothing", "write", 429, `{}`, backend.RateLimited, ""},
		{"nor has a key that may not write", "write", 403, `{"errors":[{"message":"permission denied"}]}`, backend.AccessDenied, ""},
		{"nor has a server that lacks the mutation", "write", 400, `{"errors":[{"message":"Cannot query field \"upsertBucket\" on type \"Mutation\"."}]}`, backend.Unsupported, ""},
		{"a write that breaks may have landed", "write", 502, `{}`, "", backend.Unavailable},
		{"so may one that failed inside the server", "write", 200, `{"data":null,"errors":[{"message":"internal error"}]}`, "", backend.Unavailable},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			f := newFake(t, many(3, "finished")...)
			f.instead = func(a asked) (int, string) {
				if a.Kind != tc.kind {
					return 0, ""
				}
				return tc.status, tc.body
			}
			results, err := f.client(t).Change(t.Context(), addToAll(3, "", add("ours")))
			if got := backend.KindOf(err); got != tc.whole {
				t.Fatalf("err = %v, want kind %q", err, tc.whole)
			}
			for _, r := range results {
				if got := backend.KindOf(r.Err); got != tc.each || !r.Sent {
					t.Errorf("result = %v (sent %v), want kind %q, sent", r.Err, r.Sent, tc.each)
				}
			}
		})
	}
}

func TestFailureAfterSomeWereWritten(t *testing.T) {
	f := newFake(t, many(25, "running")...)
	writes := 0
	f.instead = func(a asked) (int, string) {
		if a.Kind == "write" {
			if writes++; writes == 2 {
				return http.StatusTooManyRequests, `{}`
			}
		}
		return 0, ""
	}
	changes := addToAll(25, backend.StateRunning, add("ours"))
	results, err := f.client(t).Change(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if i < 10 && (r.Err != nil || !r.Sent) {
			t.Errorf("run %d was written: %+v", i, r)
		}
		if i >= 10 && (!backend.IsKind(r.Err, backend.RateLimited) || r.Sent) {
			t.Errorf("run %d was not: %+v", i, r)
		}
	}
}

func TestSameRunTwiceInOneChange(t *testing.T) {
	f := newFake(t, &stored{Name: "a"})
	results, err := f.client(t).Change(t.Context(), []backend.Change{changeOf("a", "", add("x")), changeOf("a", "", add("y"))})
	if err != nil || results[0].Err != nil || results[1].Err != nil {
		t.Fatal(err, results)
	}
	if diff := cmp.Diff([]string{"x", "y"}, f.tags("a")); diff != "" {
		t.Error("the second must build on the first:", diff)
	}
}

func TestChangeOfNothing(t *testing.T) {
	f := newFake(t)
	results, err := f.client(t).Change(t.Context(), nil)
	if err != nil || len(results) != 0 || f.kinds() != "" {
		t.Error(results, err, f.kinds())
	}
}

func TestCancelledChange(t *testing.T) {
	f := newFake(t, many(1, "finished")...)
	ctx, cancel := context.WithCancel(t.Context())
	f.before = func(a asked) {
		if a.Kind == "write" {
			cancel()
		}
	}
	results, err := f.client(t, func(c *Config) { c.Clock = clock.RealClock{} }).Change(ctx, addToAll(1, "", add("ours")))
	if err != nil {
		t.Fatal(err)
	}
	// The request may have been answered before the cancelling was noticed.
	if r := results[0]; r.Err != nil && (!errors.Is(r.Err, context.Canceled) || !r.Sent) {
		t.Errorf("result = %+v", r)
	}
}
