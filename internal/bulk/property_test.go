package bulk

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

var pool = []string{"a", "b", "c", "d", "a=1", "a=2", "b=1", "b=True", "c=false", "d=1"}

func drawDialect(t *rapid.T) tags.Dialect {
	return rapid.SampledFrom([]tags.Dialect{plain, pairs}).Draw(t, "dialect")
}

func drawRun(t *rapid.T, d tags.Dialect, label string) tags.Set {
	on := tags.Set{}
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "x"}), 0, 5, rapid.ID[string]).Draw(t, label) {
		if on[key] = ""; d.Pairs {
			on[key] = rapid.SampledFrom([]string{"true", "", "1", "2", "false", "True"}).Draw(t, label+" value")
		}
	}
	return on
}

// drawChange draws a change that passes Check.
func drawChange(t *rapid.T, d tags.Dialect) Change {
	var c Change
	name := rapid.SampledFrom(pool)
	for range rapid.IntRange(0, 6).Draw(t, "parts") {
		next := Change{Add: slices.Clone(c.Add), Remove: slices.Clone(c.Remove), Rename: slices.Clone(c.Rename)}
		switch rapid.IntRange(0, 2).Draw(t, "part") {
		case 0:
			next.Add = append(next.Add, name.Draw(t, "add"))
		case 1:
			next.Remove = append(next.Remove, name.Draw(t, "remove"))
		default:
			next.Rename = append(next.Rename, Rename{From: name.Draw(t, "from"), To: name.Draw(t, "to")})
		}
		if Check(d, next) == nil {
			c = next
		}
	}
	return c
}

func drawGuard(t *rapid.T) Guard {
	some := rapid.SliceOfN(rapid.SampledFrom(pool), 0, 2)
	g := Guard{
		Declared: map[string]bool{}, Excluded: some.Draw(t, "excluded"), Exclusive: rapid.Bool().Draw(t, "exclusive"),
		Policy: rapid.SampledFrom([]tags.Policy{tags.Merge, tags.Merge, tags.Exclusive, tags.Add, tags.Observe}).Draw(t, "policy"),
	}
	for _, name := range some.Draw(t, "declared") {
		g.Declared[name] = true
	}
	return g
}

// TestPlanOfPlainTagsIsWhatItSays compares with the sentence that says it: what was there, without what is removed or
// renamed, with the new names and what is added.
func TestPlanOfPlainTagsIsWhatItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		on, c := drawRun(t, plain, "on"), drawChange(t, plain)
		want := maps.Clone(on)
		for _, name := range c.Remove {
			delete(want, name)
		}
		for _, r := range c.Rename {
			delete(want, r.From)
		}
		for _, r := range c.Rename {
			if _, there := on[r.From]; there {
				want[r.To] = ""
			}
		}
		for _, name := range c.Add {
			want[name] = ""
		}
		if diff := cmp.Diff(want, on.Apply(Plan(plain, on, c, free).Edit)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

func TestPlanDependsOnNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDialect(t)
		on, c, g := drawRun(t, d, "on"), drawChange(t, d), drawGuard(t)
		shuffled := Change{
			Add: rapid.Permutation(c.Add).Draw(t, "add in another order"), Remove: rapid.Permutation(c.Remove).Draw(t, "remove in another order"),
			Rename: rapid.Permutation(c.Rename).Draw(t, "rename in another order"),
		}
		if err := Check(d, shuffled); err != nil {
			t.Fatalf("in another order it is refused: %v", err)
		}
		if diff := cmp.Diff(Plan(d, on, c, g), Plan(d, on, shuffled, g)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// TestPlanTwicePlansNothing holds for changes that take off nothing that they put on. Any change says by its entry that it
// is done.
func TestPlanTwicePlansNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDialect(t)
		on, c, g := drawRun(t, d, "on"), drawChange(t, d), drawGuard(t)
		first := Plan(d, on, c, g)
		after := on.Apply(first.Edit)
		if !EntryOf(backend.Run{ID: "r", Tags: on}, first.Edit).Applied(after) {
			t.Fatalf("%+v leaves %v, and the entry says that it is not done", first.Edit, after)
		}
		puts, takes, err := parse(d, c)
		if err != nil {
			t.Fatal(err)
		}
		for _, put := range puts {
			if slices.ContainsFunc(takes, func(take tags.Tag) bool { return take.Key == put.Key }) {
				return
			}
		}
		if again := Plan(d, after, c, g); !again.Edit.Empty() {
			t.Fatalf("first %+v, then %+v", first.Edit, again.Edit)
		}
	})
}

func TestPlanTouchesNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDialect(t)
		on, c, g := drawRun(t, d, "on"), drawChange(t, d), drawGuard(t)
		puts, takes, err := parse(d, c)
		if err != nil {
			t.Fatal(err)
		}
		is := func(list []tags.Tag, key string) bool {
			return slices.ContainsFunc(list, func(tag tags.Tag) bool { return tag.Key == key })
		}
		edit := Plan(d, on, c, g).Edit
		for key := range edit.Set {
			if !is(puts, key) {
				t.Fatalf("%q is written and not in the change: %+v", key, edit)
			}
		}
		for _, key := range edit.Remove {
			if !is(takes, key) {
				t.Fatalf("%q is taken off and not in the change: %+v", key, edit)
			}
		}
	})
}

func TestPlanKeepsToTheGuard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDialect(t)
		on, c, g := drawRun(t, d, "on"), drawChange(t, d), drawGuard(t)
		got := Plan(d, on, c, g)
		declared := slices.Collect(maps.Keys(g.Declared))
		gone := slices.Clone(got.Edit.Remove)
		for key, value := range got.Edit.Set {
			one := tags.Set{key: value}
			switch {
			case g.Policy < tags.Add:
				t.Fatalf("%q is written under %v", key, g.Policy)
			case g.Exclusive && !backend.Carries(d, one, declared...):
				t.Fatalf("%q is written, and Exclusive would remove it: %+v", key, got.Edit)
			}
			for _, name := range g.Excluded {
				if d.Has(one, d.Format(read(d, name))) || d.Pairs && name == key {
					t.Fatalf("%q is written and excluded: %+v", key, got.Edit)
				}
			}
			if _, there := on[key]; there {
				gone = append(gone, key)
			}
		}
		for _, key := range gone {
			if g.Policy < tags.Merge || backend.Carries(d, tags.Set{key: on[key]}, declared...) {
				t.Fatalf("%q goes, with %q declared, under %v: %+v", key, declared, g.Policy, got.Edit)
			}
		}
		if unguarded := Plan(d, on, c, free); len(got.Skipped) == 0 && cmp.Diff(unguarded.Edit, got.Edit) != "" {
			t.Fatalf("without the guard it is %+v, with it %+v, and nothing is said to be skipped", unguarded.Edit, got.Edit)
		}
	})
}

// TestUndoGivesBack: where nobody interfered, the run is as it was before. Where somebody did, what he changed stays, and
// the rest is as it was.
func TestUndoGivesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDialect(t)
		on := drawRun(t, d, "on")
		entry := EntryOf(backend.Run{ID: "r", Tags: on}, Plan(d, on, drawChange(t, d), drawGuard(t)).Edit)
		if !entry.Untouched(on) {
			t.Fatal("the run that it was made of is not untouched")
		}
		done := on.Apply(entry.Edit())
		undo, since := entry.Undo(done)
		if diff := cmp.Diff(on, done.Apply(undo)); diff != "" || len(since) > 0 {
			t.Fatalf("undone (-want +got):\n%schanged since %q", diff, since)
		}
		if again, _ := entry.Undo(done.Apply(undo)); !again.Empty() {
			t.Fatalf("undone twice: %+v", again)
		}
		if rest, _ := entry.Rest(on); cmp.Diff(entry.Edit(), rest) != "" {
			t.Fatalf("all is left to be done, and that is %+v, not %+v", entry.Edit(), rest)
		}

		foreign := Plan(d, done, drawChange(t, d), free).Edit
		now := done.Apply(foreign)
		undo, since = entry.Undo(now)
		after := now.Apply(undo)
		for key := range mapsOf(on, done, now, after) {
			value := func(s tags.Set) *string { return valueOf(s, key) }
			want := value(now)
			if same(value(now), value(done)) {
				want = value(on)
			}
			if !same(value(after), want) {
				t.Fatalf("%q is %v, %v after the change, %v after somebody else's and %v after the undo", key, on, done, now, after)
			}
			_, touched := entry.After[key]
			if changed := touched && !same(value(now), value(done)) && !same(value(now), value(on)); changed != slices.Contains(since, key) {
				t.Fatalf("%q was changed since: %v; said of %q", key, changed, since)
			}
		}
	})
}

func mapsOf(sets ...tags.Set) tags.Set {
	all := tags.Set{}
	for _, s := range sets {
		maps.Copy(all, s)
	}
	return all
}
