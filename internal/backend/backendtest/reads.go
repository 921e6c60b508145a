package backendtest

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

func testPaging(t *testing.T, h Harness) {
	const count, page = 1001, 100
	f := open(t, h, Options{Page: page})
	want := f.project.Create(t, slices.Repeat([]NewRun{{Name: "many"}}, count)...)

	queries := []struct {
		name   string
		query  backend.Query
		reason string
	}{
		{"all", backend.Query{All: true}, "a list has every run once, however many pages it takes"},
		{"newest", backend.Query{All: true, Newest: true}, "whatever comes first"},
		{"since", backend.Query{Since: time.Now().Add(-24 * time.Hour)}, "so has a list with a filter"},
		{"name", backend.Query{Names: []string{"many"}}, "so has a list by name"},
	}
	for _, q := range queries {
		t.Run(q.name, func(t *testing.T) {
			f := f.in(t)
			runs, pages := f.pages(q.query)
			f.wantIDs(runs, want, q.reason)
			if least := count/page + 1; q.query.All && pages < least {
				t.Errorf("%d pages, want at least %d of %d runs: the page size is heeded", pages, least, page)
			}
		})
	}
	f.client = f.project.Open(t, Options{URL: f.proxy.URL})
	f.wantIDs(f.list(backend.Query{All: true}), want, "with the page size that is the client's own, too")
	for _, run := range f.list(backend.Query{All: true})[:1] {
		if run.Handle == "" || run.UID == "" || run.URL == "" || run.CreatedAt.IsZero() || run.Name != "many" {
			t.Errorf("a run of a list lacks something: %+v", run)
		}
	}
}

// in is the same fixture in a subtest.
func (f *fixture) in(t *testing.T) *fixture {
	out := *f
	out.t = t
	return &out
}

func testIDs(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	made := f.project.Create(t, NewRun{Name: "a", Tags: tags.Set{"x": ""}}, NewRun{Name: "b"}, NewRun{Name: "c"})
	missing := []string{"0123456789abcdef0123456789abcdef", "nosuchrun"}
	cases := []struct {
		name      string
		ids, want []string
		reason    string
	}{
		{"two", made[:2], made[:2], "only those that were asked for come"},
		{"missing", append(missing, made[2]), made[2:], "a run that is missing is left out, and hides no other"},
		{"none", missing, nil, "runs that are missing are no error"},
		{"twice", []string{made[0], made[0]}, made[:1], "an id that is asked for twice comes once"},
		{"quotes", []string{"x') OR ('1'='1", `x","y`, "a b", "", made[1]}, made[1:2], "an id that cannot be one is of no run"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := f.in(t)
			f.wantIDs(f.list(backend.Query{IDs: c.ids}), c.want, c.reason)
		})
	}
	many := make([]string, 0, f.client.Limits().Read)
	for len(many) < cap(many)-1 {
		many = append(many, "missing"+string(rune('a'+len(many)%26))+string(rune('a'+len(many)/26)))
	}
	f.wantIDs(f.list(backend.Query{IDs: append(many, made[0])}), made[:1], "as many ids as Limits.Read says fit")
	page, err := f.client.List(t.Context(), backend.Query{}, "")
	if err == nil && len(page.Runs) > 0 {
		t.Error("a query that asks for nothing gives runs")
	}
}

// oddNames are names that would break out of a filter, mean something in a pattern, or get lost in a trim.
var oddNames = []string{
	"plain", "it's", `say "hi"`, `back\slash`, `trailing\`, "100%", "%", "_", "under_score", "underXscore", "UNDER_SCORE",
	"' OR attributes.run_id != '", `" or "1"="1`, "''", "'", "a`b", "semi;colon -- comment", "(paren)", "[bracket]", "{brace}", "$dollar",
	"日本 語", "🚀 launch", "tab\there", " blank before", "blank after ", "two  blanks", "null", "*", "a=b", "x' AND 'y",
}

func testNames(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	var news []NewRun
	for _, name := range oddNames {
		news = append(news, NewRun{Name: name})
	}
	made := f.project.Create(t, news...)
	for i, name := range oddNames {
		runs := f.list(backend.Query{Names: []string{name}})
		f.wantIDs(runs, made[i:i+1], "exactly the run with the name "+name)
		for _, run := range runs {
			if run.Name != name {
				t.Errorf("name %q comes as %q", name, run.Name)
			}
		}
	}
	f.wantIDs(f.list(backend.Query{Names: oddNames}), made, "all names at once give each run once")
	f.wantIDs(f.list(backend.Query{Names: []string{"nobody", "plai", "plain2", "it''s"}}), nil, "a name that no run has gives none")
	twin := f.project.Create(t, NewRun{Name: "it's"})
	f.wantIDs(f.list(backend.Query{Names: []string{"it's"}}), []string{made[1], twin[0]}, "a name that two runs have gives both")
}

func testSince(t *testing.T, h Harness) {
	f := open(t, h, Options{Page: 2})
	made := f.project.Create(t, NewRun{State: backend.StateRunning}, NewRun{}, NewRun{State: backend.StateFailed}, NewRun{State: backend.StateRunning})
	day := 24 * time.Hour
	f.wantIDs(f.list(backend.Query{Since: time.Now().Add(-day)}), made, "all of them are newer than yesterday, and each comes once")
	f.wantIDs(f.list(backend.Query{Since: time.Now().Add(day)}), []string{made[0], made[3]}, "those that run come whatever the time")
}

func testStates(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	for _, state := range []backend.State{backend.StateRunning, backend.StateFinished, backend.StateFailed} {
		run := f.create(NewRun{Name: "r", State: state})
		if run.State != state {
			t.Errorf("a run that is %s comes as %s", state, run.State)
		}
		if run.State.Active() && !run.FinishedAt.IsZero() {
			t.Errorf("a run that is %s has an end: %v", state, run.FinishedAt)
		}
	}
	info, err := f.client.Check(t.Context())
	if err != nil {
		t.Fatalf("check: %v", err)
	}
	if info.Runs != 3 && info.Runs != -1 {
		t.Errorf("the project has %d runs, want 3, or -1 where they are not counted", info.Runs)
	}
}

func testDeleted(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	run, other := f.create(NewRun{Name: "gone"}), f.create(NewRun{Name: "stays"})
	f.project.Delete(t, run.ID)

	f.wantIDs(f.list(backend.Query{IDs: []string{run.ID, other.ID}}), []string{other.ID}, "a deleted run is not there when it is read by id")
	f.wantIDs(f.list(backend.Query{All: true}), []string{other.ID}, "nor in a list")
	f.wantIDs(f.list(backend.Query{Names: []string{"gone"}}), nil, "nor by name")
	results := f.change(f.never(run, "the run is deleted"), edit(other, f.bare("x")))
	f.wantKind(results[0].Err, "a deleted run is not found", backend.NotFound)
	if results[0].Sent || results[0].Before.ID != "" {
		t.Errorf("a run that was not found was read or written: %+v", results[0])
	}
	f.want(other.ID, f.bare("x"), "the run beside it is changed all the same")

	late := f.changeOne(t.Context(), backend.Change{Run: other, Decide: func(backend.Run) (tags.Edit, error) {
		f.project.Delete(t, other.ID)
		return tags.Edit{Set: f.bare("late")}, nil
	}})
	f.wantKind(late.Err, "a run that is deleted between read and write", backend.NotFound, backend.Conflict)
	f.wantIDs(f.list(backend.Query{IDs: []string{other.ID}}), nil, "a write to a deleted run does not bring it back")
}

func testRecreated(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	if !f.traits.Recreate {
		t.Skip("the tracker never uses an id again")
	}
	before := f.create(NewRun{Name: "r", Tags: f.bare("ours")})
	f.project.Delete(t, before.ID)
	f.project.Recreate(t, before.ID)
	after := f.get(before.ID)
	if after.UID == before.UID {
		t.Errorf("a run that was made again has the same UID %q", after.UID)
	}
	results := f.change(f.never(before, "the run is another one"))
	f.wantKind(results[0].Err, "a change of the run that was is not one of the run that is", backend.NotFound)
	f.want(after.ID, nil, "the new run is left alone")
	results = f.change(edit(after, f.bare("x")))
	if results[0].Err != nil {
		t.Errorf("changing the new run: %v", results[0].Err)
	}
	f.want(after.ID, f.bare("x"), "the new run can be changed")
	if diff := cmp.Diff(after.UID, f.get(after.ID).UID); diff != "" {
		t.Errorf("the UID changes with the tags:\n%s", diff)
	}
}
