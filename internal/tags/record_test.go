package tags

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestAuthorizes(t *testing.T) {
	stored := record(own("a"), own("k=v", "w"), off("x"), was(off("y"), "z"))
	for _, c := range []struct {
		name, reason string
		planned      Record
		want         bool
	}{
		{name: "same", reason: "what is written down is authorised", planned: stored, want: true},
		{name: "less", reason: "less than what is written down is, too", planned: record(own("a")), want: true},
		{name: "counts", reason: "how often a tag came back does not matter", planned: record(back("x", 2)), want: true},
		{name: "more applied", reason: "an add that is not written down would be nobody's after a crash", planned: record(own("b"))},
		{name: "another value replaced", reason: "another value than the one written down would be lost", planned: record(own("k=v", "u"))},
		{name: "a value replaced", reason: "a value where none is written down would be lost", planned: record(own("a", "u"))},
		{name: "more removed", reason: "a removal that is not written down would be forgotten", planned: record(off("a"))},
		{name: "another value to restore", reason: "what comes back has to be what is written down", planned: record(was(off("y"), "q"))},
		{name: "gone meanwhile", reason: "nothing is written for a tag that is gone", planned: record(gone("y")), want: true},
		{name: "another run", reason: "the record is about one incarnation", planned: Record{RunUID: "u2"}},
	} {
		if got := stored.Authorizes(c.planned); got != c.want {
			t.Errorf("%s: %v, want %v: %s", c.name, got, c.want, c.reason)
		}
	}
}

func TestRecordEqual(t *testing.T) {
	full := record(own("a"), own("k=v", "w"), off("x"), was(gone("y"), "z"))
	for _, c := range []struct {
		name, reason string
		other        Record
		want         bool
	}{
		{name: "order", reason: "order does not matter", other: record(was(gone("y"), "z"), own("k=v", "w"), off("x"), own("a")), want: true},
		{name: "twice", reason: "one entry twice is one entry", other: record(own("a"), own("a"), own("k=v", "w"), off("x"), off("x"), was(gone("y"), "z")), want: true},
		{
			name: "fraction", reason: "the API server keeps whole seconds", want: true,
			other: record(own("a"), own("k=v", "w"), Removed{Name: "x", At: noon.Add(time.Millisecond).In(time.FixedZone("", 3600))}, was(gone("y"), "z")),
		},
		{name: "replaced", reason: "a replaced value counts", other: record(own("a"), own("k=v"), off("x"), was(gone("y"), "z"))},
		{name: "gone", reason: "being gone counts", other: record(own("a"), own("k=v", "w"), gone("x"), was(gone("y"), "z"))},
		{name: "back", reason: "coming back counts", other: record(own("a"), own("k=v", "w"), Removed{Name: "x", At: noon, Back: 1}, was(gone("y"), "z"))},
		{name: "restored", reason: "the value to come back counts", other: record(own("a"), own("k=v", "w"), off("x"), was(gone("y"), "q"))},
		{name: "uid", reason: "another run is another record", other: Record{RunUID: "u2", Applied: full.Applied, Removed: full.Removed}},
		{name: "empty", reason: "nothing is not something", other: record()},
	} {
		if full.Equal(c.other) != c.want || c.other.Equal(full) != c.want {
			t.Errorf("%s: want %v both ways: %s", c.name, c.want, c.reason)
		}
		if (Plan{Record: full}).RecordChanged(c.other) == c.want {
			t.Errorf("%s: RecordChanged is not the contrary of Equal", c.name)
		}
	}
}

func TestRecordEntriesOfOneName(t *testing.T) {
	one := record(own("a"), own("a", "x"), own("a", "y"), off("b"), gone("b"), back("b", 2))
	other := record(back("b", 2), gone("b"), off("b"), own("a", "y"), own("a", "x"), own("a"))
	want := record(own("a", "y"), back("b", 2))
	for _, r := range []Record{one, other} {
		applied, removed := r.maps()
		if diff := cmp.Diff(want, newRecord("u1", applied, removed)); diff != "" {
			t.Errorf("entries of one name count as one, whatever their order (-want +got):\n%s", diff)
		}
	}
}

func TestRecordIsBounded(t *testing.T) {
	removed := map[string]Removed{"due": {Name: "due", At: noon.Add(-time.Hour)}}
	for i := range MaxRemoved + 1 {
		name := fmt.Sprintf("t%04d", i)
		removed[name] = Removed{Name: name, At: noon.Add(time.Duration(i) * time.Second), Gone: true}
	}
	r := newRecord("u1", nil, removed)
	if len(r.Removed) != MaxRemoved {
		t.Fatalf("%d removed tags are remembered, want %d", len(r.Removed), MaxRemoved)
	}
	_, kept := r.maps()
	for name, want := range map[string]bool{"due": true, "t0000": false, "t0001": false, "t0002": true, "t0512": true} {
		if _, ok := kept[name]; ok != want {
			t.Errorf("%s remembered: %v, want %v: the oldest that are gone are dropped, what is due stays", name, ok, want)
		}
	}
}

func TestAppliedIsBounded(t *testing.T) {
	in := Input{Dialect: plain, RunUID: "u1", Observed: set("a-there"), Declared: declare(of(Spec, "a-declared")), Record: record(own("a-there")), Policy: Add, Ceiling: Add, Now: noon}
	for i := range MaxApplied {
		in.Record.Applied = append(in.Record.Applied, own(fmt.Sprintf("t%04d", i)))
	}
	plan := Make(in)
	applied, _ := plan.Record.maps()
	if len(applied) != MaxApplied {
		t.Fatalf("%d applied tags are remembered, want %d", len(applied), MaxApplied)
	}
	for name, want := range map[string]bool{"a-declared": true, "a-there": true, "t0000": false, "t0001": false, "t0002": true, "t0511": true} {
		if _, ok := applied[name]; ok != want {
			t.Errorf("%s remembered: %v, want %v: what nobody declares and is not on the run is dropped", name, ok, want)
		}
	}
}

func TestSettled(t *testing.T) {
	in := Input{
		Dialect: pairs, RunUID: "u1", Policy: Merge, Ceiling: Exclusive, Now: noon,
		Declared: declare(of(Spec, "s"), byRule("TagRule/r", "r", "k=v", "l=v")),
	}
	plan := Make(in)
	got := plan.Settled(set("s=true", "r=True", "k=w"), pairs)
	if diff := cmp.Diff(record(own("k=v"), own("l=v"), own("s")), got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("of what rules entered, only what was there already is not ours (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Make(in).Record, plan.Record); diff != "" {
		t.Errorf("Settled changed the plan:\n%s", diff)
	}
}

func TestRelease(t *testing.T) {
	in := Input{
		Dialect: pairs, RunUID: "u1", Now: noon, Policy: Exclusive, Ceiling: Exclusive,
		Observed: set("a=", "b=true", "k=v", "f=1", "x=1", "late="), Declared: declare(of(Spec, "a", "b", "k=v")), Excluded: []string{"x"}, Requested: []string{"f=1"},
		Elsewhere: []string{"b"}, Record: record(own("a"), own("b"), own("k=v", "w"), off("late")), HeldUntil: map[string]time.Time{"a": noon.Add(time.Hour)},
	}
	plan := Release(in)
	if diff := cmp.Diff(write("k=w", "-a", "-late"), plan.Edit); diff != "" {
		t.Errorf("what we own goes at once and only that; a replaced value comes back; a removal that was due is made; what is declared elsewhere stays (-want +got):\n%s", diff)
	}
	if !plan.RecordChanged(in.Record) || in.Record.Authorizes(plan.Record) {
		t.Error("the record has to be written before")
	}
	in.Ceiling = Add
	plan = Release(in)
	if !plan.Edit.Empty() {
		t.Errorf("Add removes nothing, not even on deletion; got %+v", plan.Edit)
	}
	if diff := cmp.Diff([]string{"a", "k=v", "late"}, plan.Pending.Remove); diff != "" {
		t.Errorf("and says what stays (-want +got):\n%s", diff)
	}
}

func TestEntries(t *testing.T) {
	plan := Make(Input{
		Dialect: pairs, RunUID: "u1", Policy: Merge, Ceiling: Exclusive, Now: noon,
		Observed: set("a=True", "b=v", "f=1", "two=x", "ex=", "mlflow.user=me", "k=old"), Excluded: []string{"ex"},
		Declared: declare(of(Spec, "a", "b", "ex", "two=x", "two=y", "k=new"), byRule("ClusterTagRule/c", "a", "r"), byRule("TagRule/z", "r"), byRule("TagRule/d", "r")),
	})
	want := []Entry{
		{Name: "a", Source: Spec, Present: true},
		{Name: "b", Source: Spec, Present: true},
		{Name: "b=v", Source: Run, Present: true},
		{Name: "ex", Source: Run, Present: true},
		{Name: "f=1", Source: Run, Present: true},
		{Name: "k=new", Source: Spec},
		{Name: "k=old", Source: Run, Present: true},
		{Name: "r", Source: Rule, Rule: "TagRule/d"},
		{Name: "two=x", Source: Spec, Present: true},
	}
	if diff := cmp.Diff(want, plan.Entries); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
