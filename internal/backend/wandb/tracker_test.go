package wandb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/backendtest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/tags"
)

// onTracker makes n runs in a state on the embedded tracker, and changes that add a tag to each.
func onTracker(t *testing.T, bulk bool, n int, state backend.State, options ...wandbtest.Option) (*wandbtest.Server, *project, backend.Backend, []backend.Change) {
	t.Helper()
	h := newHarness(t, bulk, options...)
	p := h.NewProject(t).(*project)
	var runs []backendtest.NewRun
	for range n {
		runs = append(runs, backendtest.NewRun{Name: "r", State: state, Tags: tags.Set{"theirs": ""}})
	}
	var changes []backend.Change
	for _, id := range p.Create(t, runs...) {
		changes = append(changes, changeOf(id, state, add("ours")))
	}
	client := p.Open(t, backendtest.Options{URL: h.url})
	return h.tracker, p, client, changes
}

// askedOf lists the top-level fields of the requests and how many runs each was about.
func askedOf(s *wandbtest.Server) []string {
	var out []string
	for _, r := range s.Requests() {
		out = append(out, fmt.Sprintf("%s %d", strings.Join(r.Fields, "+"), r.Count))
	}
	return out
}

func TestRequestsOnTheTracker(t *testing.T) {
	read := "project+viewer 2"
	cases := []struct {
		reason string
		n      int
		state  backend.State
		faults wandbtest.Faults
		want   []string
		limits backend.Limits
	}{
		{"100 idle runs take two requests", 100, backend.StateFinished, wandbtest.Faults{},
			[]string{read, "upsertBucket 100"}, backend.Limits{Read: firstRead, Change: 100, ChangeActive: 10, Page: 500}},
		{"active ones go by tens", 15, backend.StateRunning, wandbtest.Faults{},
			[]string{read, "upsertBucket 10", read, "upsertBucket 5"}, backend.Limits{Read: firstRead, Change: 100, ChangeActive: 10, Page: 500}},
		{"fewer aliases: halve and remember", 100, backend.StateFinished, wandbtest.Faults{MaxAliases: 30},
			[]string{read, "upsertBucket 100", "upsertBucket 50", "upsertBucket 25", "upsertBucket 25", "upsertBucket 25", "upsertBucket 25"},
			backend.Limits{Read: firstRead, Change: 25, ChangeActive: 10, Page: 500}},
		{"a shorter document: halve and remember", 40, backend.StateFinished, wandbtest.Faults{MaxDocument: 2500},
			[]string{read, "upsertBucket 40", "upsertBucket 20", "upsertBucket 20"},
			backend.Limits{Read: firstRead, Change: 20, ChangeActive: 10, Page: 500}},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			s, p, c, changes := onTracker(t, false, tc.n, tc.state)
			s.SetFaults(tc.faults)
			results, err := c.Change(t.Context(), changes)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
				if diff := cmp.Diff(tags.Set{"theirs": "", "ours": ""}, p.Tags(t, r.After.ID)); diff != "" {
					t.Fatal(diff)
				}
			}
			if diff := cmp.Diff(tc.want, askedOf(s)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.limits, c.Limits()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTrackerThatDoesNotUpdateByID(t *testing.T) {
	for _, how := range []string{"insert", "other"} {
		t.Run(how, func(t *testing.T) {
			s, _, c, changes := onTracker(t, false, 15, backend.StateRunning)
			s.SetFaults(wandbtest.Faults{UpsertByID: how})
			results, err := c.Change(t.Context(), changes)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if !backend.IsKind(r.Err, backend.Unsupported) {
					t.Fatalf("err = %v, want Unsupported", r.Err)
				}
			}
			if _, err := c.Check(t.Context()); !backend.IsKind(err, backend.Unsupported) {
				t.Errorf("check: %v, want Unsupported", err)
			}
			if n := strings.Count(strings.Join(askedOf(s), " "), "upsertBucket"); n != 1 {
				t.Errorf("%d writes, want no more after the first", n)
			}
		})
	}
}

func TestServerThatNoLongerUpdatesByIDGetsNoMoreWrites(t *testing.T) {
	s, _, c, changes := onTracker(t, false, 3, backend.StateFinished)
	for n, want := range []struct {
		reason, how string
		kind        backend.Kind
	}{
		{"writes by id land", "", ""},
		{"a run may have been deleted at that moment", "insert", backend.Conflict},
		{"and another one", "insert", backend.Conflict},
		{"what lands ends the row", "", ""},
		{"so that it begins anew", "insert", backend.Conflict},
		{"and goes on", "insert", backend.Conflict},
		{"but three in a row are no accident", "insert", backend.Unsupported},
		{"and no more is written", "", backend.Unsupported},
	} {
		s.SetFaults(wandbtest.Faults{UpsertByID: want.how})
		for i := range changes {
			changes[i] = changeOf(changes[i].Run.ID, backend.StateFinished, add(fmt.Sprintf("ours-%d", n)))
		}
		before := strings.Count(strings.Join(askedOf(s), " "), "upsertBucket")
		results, err := c.Change(t.Context(), changes)
		for _, r := range results {
			if backend.KindOf(r.Err) != want.kind {
				t.Fatalf("%s: write %d gives %v, want %q", want.reason, n, r.Err, want.kind)
			}
		}
		last := n == 7
		if last != backend.IsKind(err, backend.Unsupported) {
			t.Fatalf("%s: write %d gives %v", want.reason, n, err)
		}
		if sent := strings.Count(strings.Join(askedOf(s), " "), "upsertBucket") - before; last && sent > 0 {
			t.Errorf("%d writes after it was seen", sent)
		}
	}
}

func TestTrackerThatIgnoresTags(t *testing.T) {
	for _, bulk := range []bool{false, true} {
		s, _, c, changes := onTracker(t, bulk, 3, backend.StateFinished)
		s.SetFaults(wandbtest.Faults{IgnoreTags: true})
		results, err := c.Change(t.Context(), changes)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if !backend.IsKind(r.Err, backend.Conflict) {
				t.Errorf("bulk %v: err = %v, want Conflict", bulk, r.Err)
			}
		}
		if got := len(c.Notices()); (got == 1) != bulk {
			t.Errorf("bulk %v: notices = %q", bulk, c.Notices())
		}
	}
}

func TestTrackerWithoutModifyRuns(t *testing.T) {
	h := newHarness(t, false)
	h.bulk = true // the client wants what the tracker lacks
	p := h.NewProject(t).(*project)
	id := p.Create(t, backendtest.NewRun{})[0]
	c := p.Open(t, backendtest.Options{URL: h.url})
	results, err := c.Change(t.Context(), []backend.Change{changeOf(id, "", add("ours"))})
	if err != nil || results[0].Err != nil {
		t.Fatal(err, results)
	}
	if diff := cmp.Diff(tags.Set{"ours": ""}, p.Tags(t, id)); diff != "" {
		t.Error(diff)
	}
	if n := c.Notices(); len(n) != 1 || !strings.Contains(n[0], "Cannot query field") {
		t.Errorf("notices = %q", n)
	}
}

func TestTrackerThatHidesRows(t *testing.T) {
	s, _, c, changes := onTracker(t, false, 30, backend.StateFinished)
	s.SetFaults(wandbtest.Faults{HiddenRows: 25})
	small, err := New(configOf(c, 10))
	if err != nil {
		t.Fatal(err)
	}
	seen, cursor := 0, ""
	for pages := 0; pages == 0 || cursor != ""; pages++ {
		page, err := small.List(t.Context(), backend.Query{All: true}, cursor)
		if err != nil || pages > 5 {
			t.Fatal(err, pages)
		}
		seen, cursor = seen+len(page.Runs), page.Next
	}
	if seen != 5 {
		t.Errorf("%d runs, want the 5 after pages that are empty", seen)
	}
	results, err := small.Change(t.Context(), changes[28:])
	if err != nil || results[0].Err != nil || results[1].Err != nil {
		t.Error(err, results)
	}
}

// configOf is the configuration of a client with another page size.
func configOf(b backend.Backend, page int) Config {
	c := b.(*Client)
	return Config{
		BaseURL: strings.TrimSuffix(c.endpoint, "/graphql"), Entity: c.entity, Project: c.project,
		APIKey: c.key, HTTP: c.http, Clock: c.clock, PageSize: page,
	}
}

func TestProjectThatIsGoneIsNoMissingRun(t *testing.T) {
	s, p, c, changes := onTracker(t, false, 2, backend.StateFinished)
	s.DeleteProject("team", p.name)
	_, err := c.Change(t.Context(), changes)
	if !backend.IsKind(err, backend.AccessDenied) || !strings.Contains(err.Error(), "team/"+p.name) {
		t.Errorf("change: %v", err)
	}
	if _, err := c.List(t.Context(), backend.Query{IDs: []string{"a"}}, ""); !backend.IsKind(err, backend.AccessDenied) {
		t.Errorf("list: %v", err)
	}
	if _, err := c.Check(t.Context()); !backend.IsKind(err, backend.AccessDenied) {
		t.Errorf("check: %v", err)
	}
}

func TestErrorsOfSomeRunsWithEitherStatus(t *testing.T) {
	for _, as200 := range []bool{false, true} {
		s, p, c, changes := onTracker(t, false, 4, backend.StateFinished)
		s.SetFaults(wandbtest.Faults{ErrorsAs200: as200})
		changes[1] = changeOf(changes[1].Run.ID, "", add(strings.Repeat("x", maxTag+1)))
		gone := changes[2].Run.ID
		changes[2].Decide = func(backend.Run) (tags.Edit, error) {
			p.Delete(t, gone)
			return add("ours"), nil
		}
		results, err := c.Change(t.Context(), changes)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]backend.Kind{changes[1].Run.ID: backend.InvalidTag, gone: backend.NotFound}
		if diff := cmp.Diff(want, kindsOf(changes, results)); diff != "" {
			t.Errorf("as 200 %v: %s", as200, diff)
		}
		if got := len(s.Runs("team", p.name)); got != 3 {
			t.Errorf("%d runs, want 3: a write must not bring a deleted run back", got)
		}
	}
}
