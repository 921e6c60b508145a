package backendtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// selectable makes runs that differ in all that a selection asks for. The one of index i was made i hours before the first.
func (f *fixture) selectable() []string {
	f.t.Helper()
	news := []NewRun{
		{Tags: f.bare("a")},
		{Tags: f.bare("a", "b"), State: backend.StateFailed, Group: "g"},
		{Tags: f.bare("a", "not"), State: backend.StateRunning, Group: "g"},
		{Tags: f.bare("b"), Group: "it's"},
		{State: backend.StateFailed},
		{Tags: f.bare("A", "b"), State: backend.StateRunning, Group: "G"},
	}
	for i := range news {
		news[i].Name, news[i].Age = "r", time.Duration(i)*time.Hour
		if !f.traits.Groups {
			news[i].Group = ""
		}
	}
	return f.project.Create(f.t, news...)
}

type selectCase struct {
	reason string
	sel    backend.Selection
	want   []string // the oldest first
}

// selectCases are about the runs of selectable.
func (f *fixture) selectCases(made []string) []selectCase {
	f.t.Helper()
	at := func(i int) time.Time { return f.get(made[i]).CreatedAt }
	pick := func(is ...int) (ids []string) {
		for _, i := range is {
			ids = append(ids, made[i])
		}
		return ids
	}
	grouped := func(is ...int) []string {
		if !f.traits.Groups {
			return nil
		}
		return pick(is...)
	}
	return []selectCase{
		{"nothing said is every run", backend.Selection{}, pick(5, 4, 3, 2, 1, 0)},
		{"one tag", backend.Selection{Tags: []string{"a"}}, pick(2, 1, 0)},
		{"all of the tags, not one of them", backend.Selection{Tags: []string{"b", "a"}}, pick(1)},
		{"none of these", backend.Selection{WithoutTags: []string{"a", "nobody"}}, pick(5, 4, 3)},
		{"both", backend.Selection{Tags: []string{"a"}, WithoutTags: []string{"not", "b"}}, pick(0)},
		{"against itself", backend.Selection{Tags: []string{"a"}, WithoutTags: []string{"a"}}, nil},
		{"one state", backend.Selection{States: []backend.State{backend.StateFailed}}, pick(4, 1)},
		{"one of the states", backend.Selection{States: []backend.State{backend.StateFailed, backend.StateRunning}}, pick(5, 4, 2, 1)},
		{"a state that no run is in", backend.Selection{States: []backend.State{backend.StatePreempted}}, nil},
		{"nor one nobody knows", backend.Selection{States: []backend.State{backend.StateUnknown}}, nil},
		{"which hides no other", backend.Selection{States: []backend.State{backend.StateUnknown, backend.StateFailed}}, pick(4, 1)},
		{"ids", backend.Selection{IDs: []string{made[3], "nosuchrun", made[1], made[3]}}, pick(3, 1)},
		{"an id that is none finds none, and not all", backend.Selection{IDs: []string{"x') OR ('1'='1"}}, nil},
		{"ids and more", backend.Selection{IDs: pick(0, 1, 2, 3), Tags: []string{"b"}}, pick(3, 1)},
		{"a group", backend.Selection{Groups: []string{"g"}}, grouped(2, 1)},
		{"one of the groups", backend.Selection{Groups: []string{"it's", "G"}}, grouped(5, 3)},
		{"a group without a name is none", backend.Selection{Groups: []string{""}}, nil},
		{"after leaves out the time itself", backend.Selection{CreatedAfter: at(2)}, pick(1, 0)},
		{"so does before", backend.Selection{CreatedBefore: at(2)}, pick(5, 4, 3)},
		{"a moment earlier is another time", backend.Selection{CreatedAfter: at(2).Add(-1)}, pick(2, 1, 0)},
		{"so is a moment later", backend.Selection{CreatedBefore: at(2).Add(1)}, pick(5, 4, 3, 2)},
		{"between, in whatever zone", backend.Selection{CreatedAfter: at(4), CreatedBefore: at(1).In(time.FixedZone("", -7200))}, pick(3, 2)},
		{"long ago", backend.Selection{CreatedBefore: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)}, nil},
		{"since long ago", backend.Selection{CreatedAfter: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC)}, pick(5, 4, 3, 2, 1, 0)},
		{"all at once", backend.Selection{Tags: []string{"a"}, WithoutTags: []string{"not"}, States: []backend.State{backend.StateFailed, backend.StateFinished},
			IDs: made, CreatedAfter: at(2), CreatedBefore: at(0)}, pick(1)},
	}
}

func testSelect(t *testing.T, h Harness) {
	f := open(t, h, Options{Page: 2})
	made := f.selectable()
	for _, c := range f.selectCases(made) {
		t.Run(c.reason, func(t *testing.T) {
			f := f.in(t)
			want := slices.Clone(c.want)
			if diff := cmp.Diff(want, ids(f.list(backend.Query{Select: &c.sel})), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the oldest first (-want +got):\n%s", diff)
			}
			slices.Reverse(want)
			if diff := cmp.Diff(want, ids(f.list(backend.Query{Select: &c.sel, Newest: true})), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("the newest first (-want +got):\n%s", diff)
			}
		})
	}
	for _, tag := range breakouts {
		f.wantIDs(f.list(backend.Query{Select: &backend.Selection{Tags: []string{tag}}}), nil, "a tag says nothing but itself: "+tag)
		f.wantIDs(f.list(backend.Query{Select: &backend.Selection{WithoutTags: []string{tag}, IDs: made}}), made, "nor does it when it is to be absent: "+tag)
	}
	for _, tag := range f.traits.Odd {
		id := f.project.Create(t, NewRun{Name: "odd", Tags: tags.Set{tag.Key: tag.Value}})[0]
		name := f.client.Dialect().FormatRaw(tag.Key, tag.Value)
		f.wantIDs(f.list(backend.Query{Select: &backend.Selection{Tags: []string{name}}}), []string{id}, "exactly the run with the tag "+name)
		f.project.Delete(t, id)
	}
}

// testSelectDrawn checks that a list is what Selection.Matches says, whatever is selected.
func testSelectDrawn(t *testing.T, h Harness) {
	f := open(t, h, Options{Page: 4})
	made := f.selectable()
	all := f.list(backend.Query{All: true})
	rapid.Check(t, func(rt *rapid.T) {
		some := func(label string, from ...string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, 2, rapid.ID[string]).Draw(rt, label)
		}
		sel := backend.Selection{
			Tags: some("tags", "a", "b", "a=true", "it's"), WithoutTags: some("without", "not", "b", "A"),
			IDs: some("ids", append([]string{"none"}, made...)...), Groups: some("groups", "g", "G"),
		}
		if rapid.Bool().Draw(rt, "any group") {
			sel.Groups = nil
		}
		for _, state := range some("states", "running", "failed", "finished", "pending", "unknown") {
			sel.States = append(sel.States, backend.State(state))
		}
		moment := func(label string) time.Time {
			if rapid.Bool().Draw(rt, label+" any time") {
				return time.Time{}
			}
			return rapid.SampledFrom(all).Draw(rt, label).CreatedAt.Add(rapid.SampledFrom([]time.Duration{-time.Hour, -1, 0, 1}).Draw(rt, label+" by"))
		}
		sel.CreatedAfter, sel.CreatedBefore = moment("after"), moment("before")
		var want []string
		for _, run := range all {
			if sel.Matches(f.client.Dialect(), run) {
				want = append(want, run.ID)
			}
		}
		if diff := cmp.Diff(want, ids(f.list(backend.Query{Select: &sel})), cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("%+v (-want +got):\n%s", sel, diff)
		}
	})
}

// testSelectMany checks that more ids than fit in one question are listed all the same.
func testSelectMany(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	count := f.client.Limits().Read
	made := f.project.Create(t, slices.Repeat([]NewRun{{Name: "many"}}, count+1)...)
	asked := slices.Clone(made)
	for i := range count {
		asked = append(asked, fmt.Sprintf("missing%d", i))
	}
	f.wantIDs(f.list(backend.Query{Select: &backend.Selection{IDs: asked}}), made, "each comes once, in as many questions as it takes")
	f.wantIDs(f.list(backend.Query{Select: &backend.Selection{IDs: asked, States: []backend.State{backend.StateRunning}}}), nil, "and all the rest is heeded in each")
}
