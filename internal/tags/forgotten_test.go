package tags

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestMakeForgotten(t *testing.T) {
	run(t, []planCase{
		{
			name: "forgotten", reason: "it is no longer ours, and stays",
			in:   Input{Dialect: plain, Observed: set("a", "b"), Forgotten: []string{"a"}, Record: record(own("a"), own("b")), Policy: Add},
			want: Plan{Record: record(own("b")), Pending: Pending{Remove: []string{"b"}}},
		},
		{
			name: "forgotten and not on the run", reason: "there is nothing to take off when it comes back",
			in:   Input{Dialect: plain, Observed: set(), Forgotten: []string{"a"}, Record: record(own("a")), Policy: Observe},
			want: Plan{Record: record()},
		},
		{
			name: "declared", reason: "one of two declarations was taken back: it is ours as before",
			in:   Input{Dialect: plain, Observed: set("a"), Declared: declare(of(Spec, "a")), Forgotten: []string{"a"}, Record: record(own("a")), Policy: Add},
			want: Plan{Record: record(own("a"))},
		},
		{
			name: "declared by a source that is unknown", reason: "what it declared last stays declared",
			in: Input{Dialect: plain, Observed: set("a"), Declared: declare(unknown(byRule("TagRule/r", "a"))), Forgotten: []string{"a"},
				Record: record(own("a")), Policy: Add},
			want: Plan{Record: record(own("a")), Unknown: []string{"TagRule/r"}},
		},
		{
			name: "declared and excluded", reason: "what is excluded is not declared; the policy still keeps it there",
			in: Input{Dialect: plain, Observed: set("a"), Declared: declare(of(Spec, "a")), Excluded: []string{"a"}, Forgotten: []string{"a"},
				Record: record(own("a")), Policy: Add},
			want: Plan{Record: record(), Pending: Pending{Remove: []string{"a"}}, Rejected: []Rejected{{Name: "a", Source: Spec, Reason: Excluded}}},
		},
		{
			name: "declared elsewhere", reason: "it is the other object's now: we must not take it off when that lets go",
			in:   Input{Dialect: plain, Observed: set("a"), Elsewhere: []string{"a"}, Forgotten: []string{"a"}, Record: record(own("a")), Policy: Add},
			want: Plan{Record: record()},
		},
		{
			name: "under a policy that removes", reason: "forgetting is asked for all the same, and removes nothing",
			in:   Input{Dialect: plain, Observed: set("a"), Forgotten: []string{"a"}, Record: record(own("a")), Policy: Merge},
			want: Plan{Record: record()},
		},
		{
			name: "never ours", reason: "nothing to forget",
			in:   Input{Dialect: plain, Observed: set("a"), Forgotten: []string{"a", "b"}, Policy: Merge},
			want: Plan{Record: record()},
		},
		{
			name: "removed before", reason: "a removal that is still due was asked for before",
			in:   Input{Dialect: plain, Observed: set("a"), Forgotten: []string{"a"}, Record: record(off("a")), Policy: Merge},
			want: Plan{Edit: write("-a"), Record: record(off("a"))},
		},
		{
			name: "pair", reason: "its value stays, and what it replaced never comes back",
			in:   Input{Dialect: pairs, Observed: set("k=v"), Forgotten: []string{"k=v"}, Record: record(own("k=v", "w")), Policy: Add},
			want: Plan{Record: record()},
		},
		{
			name: "bare, written otherwise", reason: "names are understood as everywhere",
			in:   Input{Dialect: pairs, Observed: set("k=true"), Forgotten: []string{"k=TRUE"}, Record: record(own("k")), Policy: Add},
			want: Plan{Record: record()},
		},
		{
			name: "another value declared", reason: "the old one stays under Add, as a foreign one does, and the new one is owned once it is written",
			in: Input{Dialect: pairs, Observed: set("k=v"), Declared: declare(of(Label, "k=w")), Forgotten: []string{"k=v"}, Record: record(own("k=v", "u")),
				Policy: Add},
			want: Plan{Record: record(), Pending: Pending{Add: []string{"k=w"}},
				Rejected: []Rejected{{Name: "k=w", Source: Label, Reason: Conflict}}},
		},
	})
}

// TestForgettingRecords: a record that lost nothing but a forgotten tag has to be written down.
func TestForgettingRecords(t *testing.T) {
	old := record(own("a"))
	p := Make(Input{Dialect: plain, RunUID: "u1", Observed: set("a"), Forgotten: []string{"a"}, Record: old, Policy: Add, Ceiling: Exclusive, Now: noon})
	if !p.RecordChanged(old) {
		t.Error("the tag is forgotten, and the record is not written")
	}
}

// TestReleaseForgetsNothing: with nothing declared everything would be forgotten that is asked.
func TestReleaseForgetsNothing(t *testing.T) {
	p := Release(Input{Dialect: plain, RunUID: "u1", Observed: set("a"), Declared: declare(of(Spec, "a")), Forgotten: []string{"a"}, Record: record(own("a")),
		Policy: Merge, Ceiling: Exclusive, Now: noon})
	if diff := cmp.Diff(write("-a"), p.Edit, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("what the object owns goes with it (-want +got):\n%s", diff)
	}
}

// TestForgettingNeverRemoves: with a tag forgotten nothing is taken off that would stay without, whatever the policy; and
// once it is, no policy takes it off because it was ours.
func TestForgettingNeverRemoves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDraw(t)
		in := d.input()
		in.Forgotten = nil
		kept := Make(in)
		in.Forgotten = d.some("forgotten")
		plan := Make(in)
		for _, key := range plan.Edit.Remove {
			if _, written := kept.Edit.Set[key]; !written && !slices.Contains(kept.Edit.Remove, key) {
				t.Fatalf("%q is taken off only because %v is forgotten", key, in.Forgotten)
			}
		}

		later := in
		later.Observed, later.Record, later.Forgotten, later.Requested = in.Observed.Apply(plan.Edit), plan.Record, nil, nil
		later.Policy, later.Ceiling = Merge, Exclusive
		raised := Make(later)
		strange := later
		strange.Record.Applied = slices.DeleteFunc(slices.Clone(later.Record.Applied), func(a Applied) bool { return forgets(in, a.Name) })
		same(t, Make(strange).Edit, raised.Edit, "raising the policy takes off what was forgotten")
	})
}

// forgets says that the tag is forgotten and that nobody here declares it, followed or not.
func forgets(in Input, name string) bool {
	p := newPlanner(in)
	_, declared := p.named[name]
	return !declared && slices.ContainsFunc(in.Forgotten, func(s string) bool { return in.Dialect.Format(in.Dialect.split(s)) == name })
}
