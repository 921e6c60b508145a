package backendtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// Run runs the contract on a backend.
func Run(t *testing.T, h Harness) {
	cases := []struct {
		name string
		run  func(*testing.T, Harness)
	}{
		{"Paging", testPaging},
		{"IDs", testIDs},
		{"Names", testNames},
		{"Since", testSince},
		{"AnyTag", testAnyTag},
		{"WithoutTags", testWithoutTags},
		{"Newest", testNewest},
		{"Select", testSelect},
		{"SelectDrawn", testSelectDrawn},
		{"SelectMany", testSelectMany},
		{"States", testStates},
		{"Summary", testSummary},
		{"SummaryOfLists", testSummaryOfLists},
		{"Origins", testOrigins},
		{"Deleted", testDeleted},
		{"Recreated", testRecreated},
		{"Edit", testEdit},
		{"EmptyEdit", testEmptyEdit},
		{"OddTags", testOddTags},
		{"RefusedTags", testRefusedTags},
		{"ManyTags", testManyTags},
		{"PartialFailure", testPartialFailure},
		{"SameRunTwice", testSameRunTwice},
		{"ForeignWriter", testForeignWriter},
		{"Concurrent", testConcurrent},
		{"NotLeading", testNotLeading},
		{"WrongCredential", testWrongCredential},
		{"ReadFaults", testReadFaults},
		{"WriteFaults", testWriteFaults},
		{"Timeout", testTimeout},
		{"Cancelled", testCancelled},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, h) })
	}
}

// fixture is a project with a client that reaches its tracker through a proxy.
type fixture struct {
	t       *testing.T
	traits  Traits
	project Project
	proxy   *Proxy
	client  backend.Backend
}

func open(t *testing.T, h Harness, o Options) *fixture {
	t.Helper()
	f := &fixture{t: t, traits: h.Traits(), project: h.NewProject(t)}
	f.proxy = NewProxy(t, f.project.Server())
	o.URL = f.proxy.URL
	f.client = f.project.Open(t, o)
	return f
}

// create makes one run and returns it as the client sees it.
func (f *fixture) create(r NewRun) backend.Run {
	f.t.Helper()
	return f.get(f.project.Create(f.t, r)[0])
}

// get reads one run by id.
func (f *fixture) get(id string) backend.Run {
	f.t.Helper()
	runs := f.list(backend.Query{IDs: []string{id}})
	if len(runs) != 1 {
		f.t.Fatalf("a read of run %q by id gives %d runs, want 1", id, len(runs))
	}
	return runs[0]
}

// list reads all pages.
func (f *fixture) list(q backend.Query) []backend.Run {
	f.t.Helper()
	runs, _ := f.pages(q)
	return runs
}

func (f *fixture) pages(q backend.Query) (runs []backend.Run, pages int) {
	f.t.Helper()
	cursor := ""
	for {
		page, err := f.client.List(f.t.Context(), q, cursor)
		if err != nil {
			f.t.Fatalf("list %+v: %v", q, err)
		}
		pages++
		runs = append(runs, page.Runs...)
		if cursor = page.Next; cursor == "" {
			return runs, pages
		}
		if pages > 5000 {
			f.t.Fatal("the list does not end")
		}
	}
}

// change changes runs and fails the test where the batch fails as a whole.
func (f *fixture) change(changes ...backend.Change) []backend.Result {
	f.t.Helper()
	results, err := f.client.Change(f.t.Context(), changes)
	if err != nil {
		f.t.Fatalf("the batch failed as a whole: %v", err)
	}
	if len(results) != len(changes) {
		f.t.Fatalf("%d results for %d changes", len(results), len(changes))
	}
	return results
}

// want checks the tags that are on the tracker.
func (f *fixture) want(id string, want tags.Set, reason string) {
	f.t.Helper()
	if diff := cmp.Diff(want, f.project.Tags(f.t, id), cmpopts.EquateEmpty()); diff != "" {
		f.t.Errorf("tags on the tracker (-want +got):\n%s%s", diff, reason)
	}
}

// wantKind checks an error: its kind, that it is of the one type, says something, and shows no secret.
func (f *fixture) wantKind(err error, reason string, kinds ...backend.Kind) {
	f.t.Helper()
	if !slices.Contains(kinds, backend.KindOf(err)) {
		f.t.Errorf("error %v is of kind %q, want %q: %s", err, backend.KindOf(err), kinds, reason)
		return
	}
	var e *backend.Error
	if errors.As(err, &e) && e.Message == "" {
		f.t.Errorf("error %v says nothing to people", err)
	}
	for _, secret := range f.traits.Secrets {
		if secret != "" && strings.Contains(err.Error(), secret) {
			f.t.Errorf("error %v shows the credential", err)
		}
	}
}

// changeOne changes one run and gives its result; an error of the whole batch is taken as its own.
func (f *fixture) changeOne(ctx context.Context, c backend.Change) backend.Result {
	f.t.Helper()
	results, err := f.client.Change(ctx, []backend.Change{c})
	switch {
	case err != nil:
		return backend.Result{Err: err}
	case len(results) != 1:
		f.t.Fatalf("%d results for one change", len(results))
	}
	return results[0]
}

// edit changes a run in this way, whatever it is now.
func edit(run backend.Run, set tags.Set, remove ...string) backend.Change {
	return backend.Change{Run: run, Decide: func(backend.Run) (tags.Edit, error) {
		return tags.Edit{Set: set, Remove: remove}, nil
	}}
}

// never is a change that must not be asked about.
func (f *fixture) never(run backend.Run, reason string) backend.Change {
	return backend.Change{Run: run, Decide: func(backend.Run) (tags.Edit, error) {
		f.t.Errorf("Decide was called: %s", reason)
		return tags.Edit{}, nil
	}}
}

func ids(runs []backend.Run) []string {
	out := make([]string, 0, len(runs))
	for _, r := range runs {
		out = append(out, r.ID)
	}
	return out
}

// wantIDs checks which runs there are, in any order and each once.
func (f *fixture) wantIDs(got []backend.Run, want []string, reason string) {
	f.t.Helper()
	sort := cmpopts.SortSlices(strings.Compare)
	if diff := cmp.Diff(want, ids(got), sort, cmpopts.EquateEmpty()); diff != "" {
		f.t.Errorf("runs (-want +got):\n%s%s", diff, reason)
	}
}

// bare is a tag without a value, written as the tracker's kind of tags wants it.
func (f *fixture) bare(keys ...string) tags.Set {
	value := ""
	if f.client.Dialect().Pairs {
		value = "true"
	}
	set := tags.Set{}
	for _, key := range keys {
		set[key] = value
	}
	return set
}
