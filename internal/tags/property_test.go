package tags

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// The names and raw values that properties are tried with: few, so that they meet.
var (
	plainNames = []string{"a", "A", "b", "k=v", " é", " e\u0301"}
	pairNames  = []string{"a", "k", "k=a", "k=b", "k=B", "k=false", "l=x", "l=False", "l", "mlflow.user=me", "bad!", "k=éééééééé9"}
	rawValues  = []string{"", "true", "TRUE", "a", "b", "B", "false", "False", "x", "éééééééé"}
)

type draw struct {
	*rapid.T
	dialect Dialect
	names   []string
}

func newDraw(t *rapid.T) draw {
	if rapid.Bool().Draw(t, "pairs") {
		return draw{t, pairs, pairNames}
	}
	return draw{t, plain, plainNames}
}

func (d draw) some(label string) []string {
	return rapid.SliceOfN(rapid.SampledFrom(d.names), 0, 4).Draw(d.T, label)
}

func (d draw) set(label string) Set {
	s := Set{}
	for _, name := range d.some(label) {
		key, raw := d.dialect.split(name).Key, ""
		if d.dialect.Pairs {
			raw = rapid.SampledFrom(rawValues).Draw(d.T, label+" value")
		}
		s[key] = raw
	}
	return s
}

func (d draw) replaced(name string) *string {
	if !d.dialect.Pairs || !rapid.Bool().Draw(d.T, "has replaced") {
		return nil
	}
	raw := rapid.SampledFrom(rawValues).Draw(d.T, "replaced")
	if d.dialect.FormatRaw(d.dialect.split(name).Key, raw) == name {
		return nil
	}
	return &raw
}

func (d draw) canonical(label string) []string {
	names := d.some(label)
	for i, name := range names {
		names[i] = d.dialect.Format(d.dialect.split(name))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (d draw) record() Record {
	r := Record{RunUID: "u1"}
	for _, name := range d.canonical("applied") {
		r.Applied = append(r.Applied, Applied{Name: name, Replaced: d.replaced(name)})
	}
	for _, name := range d.canonical("removed") {
		r.Removed = append(r.Removed, Removed{
			Name: name, At: noon.Add(-time.Duration(rapid.IntRange(0, 20).Draw(d.T, "minutes")) * time.Minute), Replaced: d.replaced(name),
			Back: rapid.IntRange(0, MaxBack).Draw(d.T, "back"), Gone: rapid.Bool().Draw(d.T, "gone"),
		})
	}
	return r
}

func (d draw) policy(label string) Policy {
	return Policy(rapid.IntRange(int(Observe), int(Exclusive)).Draw(d.T, label))
}

func (d draw) declarations() []Declarations {
	all := declare(of(Spec, d.some("spec")...), of(Label, d.some("labels")...))
	for _, rule := range []string{"TagRule/a", "ClusterTagRule/a"} {
		all = append(all, byRule(rule, d.some(rule)...))
	}
	for i := range all {
		all[i].Unknown = rapid.IntRange(0, 5).Draw(d.T, "unknown") == 0
	}
	return all
}

// input draws any input, whether or not our own passes can lead to it.
func (d draw) input() Input {
	in := Input{
		Dialect: d.dialect, RunUID: "u1", Observed: d.set("observed"), Declared: d.declarations(), Excluded: d.some("excluded"), Requested: d.some("requested"), Forgotten: d.some("forgotten"),
		Elsewhere: d.some("elsewhere"), Frozen: held(d.some("frozen")...), Record: d.record(), Policy: d.policy("policy"), Ceiling: d.policy("ceiling"), Now: noon,
	}
	if rapid.Bool().Draw(d.T, "ended") {
		in.EndedAt = noon.Add(-time.Duration(rapid.IntRange(0, 20).Draw(d.T, "ended minutes")) * time.Minute)
	}
	for _, name := range d.canonical("held") {
		if in.HeldUntil == nil {
			in.HeldUntil = map[string]time.Time{}
		}
		in.HeldUntil[d.dialect.split(name).Key] = noon.Add(time.Duration(rapid.IntRange(-1, 1).Draw(d.T, "hold")) * time.Minute)
	}
	return in
}

func same(t *rapid.T, want, got any, why string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", why, diff)
	}
}

func touched(e Edit) map[string]bool {
	keys := map[string]bool{}
	for key := range e.Set {
		keys[key] = true
	}
	for _, key := range e.Remove {
		keys[key] = true
	}
	return keys
}

// TestPlanTwice is half of the first invariant: a plan that was carried out leaves nothing to do.
func TestPlanTwice(t *testing.T) { rapid.Check(t, planTwice) }

func planTwice(t *rapid.T) {
	in := newDraw(t).input()
	first := Make(in)
	in.Observed = in.Observed.Apply(first.Edit)
	in.Record = first.Record
	second := Make(in)
	same(t, Edit{}, second.Edit, fmt.Sprintf("after %+v there is still something to do", first.Edit))
	if !first.Record.Authorizes(second.Record) {
		t.Fatalf("%+v is not authorised by %+v", second.Record, first.Record)
	}
	in.Record = second.Record
	if third := Make(in); third.RecordChanged(second.Record) {
		t.Fatalf("the record does not stand still: %+v, then %+v", second.Record, third.Record)
	}
}

// TestPlanOrder is the other half: neither order nor duplicates matter, and the input is left alone.
func TestPlanOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := newDraw(t).input()
		want := Make(in)
		same(t, want, Make(in), "planning changed its input, or is not the same each time")
		other := in
		other.Declared = nil
		for _, d := range shuffled(t, in.Declared) {
			d.Tags = shuffled(t, d.Tags)
			other.Declared = append(other.Declared, d)
		}
		other.Excluded, other.Elsewhere = shuffled(t, in.Excluded), shuffled(t, in.Elsewhere)
		other.Requested, other.Forgotten = shuffled(t, in.Requested), shuffled(t, in.Forgotten)
		other.Record.Applied, other.Record.Removed = shuffled(t, in.Record.Applied), shuffled(t, in.Record.Removed)
		same(t, want, Make(other), "order or duplicates matter")
	})
}

// shuffled gives the items in another order, and some of them twice.
func shuffled[T any](t *rapid.T, items []T) []T {
	if len(items) == 0 {
		return items
	}
	twice := rapid.SliceOfN(rapid.SampledFrom(items), 0, 2).Draw(t, "twice")
	return rapid.Permutation(append(slices.Clone(items), twice...)).Draw(t, "order")
}

// TestPlanRemovesOnlyOurs is the second invariant: nothing goes that was not declared on our side, excluded or asked off.
func TestPlanRemovesOnlyOurs(t *testing.T) { rapid.Check(t, planRemovesOnlyOurs) }

func planRemovesOnlyOurs(t *rapid.T) {
	in := newDraw(t).input()
	d := in.Dialect
	plan := Make(in)
	effective := min(in.Policy, in.Ceiling)
	excluded := newExclusion(d, in.Excluded)
	applied, removed := in.Record.maps()
	for key := range touched(plan.Edit) {
		raw, there := in.Observed[key]
		after, stays := plan.Edit.Set[key]
		name := d.FormatRaw(key, raw)
		_, ours := applied[name]
		_, late := removed[name]
		asked := slices.ContainsFunc(in.Requested, func(s string) bool { return d.Format(d.split(s)) == name })
		switch {
		case d.hides(key):
			t.Fatalf("touched the hidden key %q", key)
		case stays && there && raw == after || !stays && !there:
			t.Fatalf("%q is written as it is", key)
		case effective == Observe || effective == Add && there:
			t.Fatalf("%v changed %q", effective, name)
		case !there || ours || late || asked || excluded.coversRaw(key, raw) || effective == Exclusive && !stays && len(plan.Unknown) == 0:
		case !stays:
			t.Fatalf("foreign %q is removed", name)
		default:
			written := d.FormatRaw(key, after)
			if i := slices.IndexFunc(plan.Record.Applied, func(a Applied) bool { return a.Name == written }); i < 0 || !equalValue(plan.Record.Applied[i].Replaced, &raw) {
				t.Fatalf("foreign %q is replaced by %q and not remembered: %+v", name, written, plan.Record.Applied)
			}
		}
	}
}

// TestPoliciesAreOrdered: each policy may change all that the one before it may, and no ceiling adds to that.
func TestPoliciesAreOrdered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := newDraw(t).input()
		in.Ceiling = Exclusive
		before := map[string]bool{}
		for policy := Observe; policy <= Exclusive; policy++ {
			in.Policy = policy
			plan := Make(in)
			now := touched(plan.Edit)
			for key := range before {
				if !now[key] {
					t.Fatalf("%v changes %q, %v does not", policy-1, key, policy)
				}
			}
			if policy == Observe && len(now) > 0 || policy == Add && len(plan.Edit.Remove) > 0 {
				t.Fatalf("%v makes the edit %+v", policy, plan.Edit)
			}
			lowered := in
			lowered.Policy, lowered.Ceiling = Exclusive, policy
			same(t, plan.Edit, Make(lowered).Edit, "a ceiling is not the same as a policy")
			before = now
		}
	})
}

// TestUnknownSources: a source that cannot be read takes nothing off that it declared last, and Exclusive is Merge then.
func TestUnknownSources(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := newDraw(t).input()
		in.Policy, in.Ceiling = Exclusive, Exclusive
		in.Declared[rapid.IntRange(0, len(in.Declared)-1).Draw(t, "which")].Unknown = true
		exclusive := Make(in)
		in.Policy = Merge
		merge := Make(in)
		same(t, merge.Edit, exclusive.Edit, "Exclusive does more than Merge")
		for i := range in.Declared {
			in.Declared[i].Unknown = false
		}
		same(t, Make(in).Edit, merge.Edit, "what a source declared last is not what counts")
		for _, c := range resolve(in.Dialect, in.Declared, newExclusion(in.Dialect, in.Excluded)).want {
			if _, ok := merge.Edit.Set[c.tag.Key]; !ok && slices.Contains(merge.Edit.Remove, c.tag.Key) {
				t.Fatalf("declared %q is removed", c.name)
			}
		}
	})
}

// TestReplacedValuesComeBack: declaring and undeclaring leaves what was there, but for the tags that were declared.
func TestReplacedValuesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDraw(t)
		in := Input{Dialect: d.dialect, RunUID: "u1", Observed: d.set("observed"), Policy: Merge, Ceiling: Merge, Now: noon}
		want := maps.Clone(in.Observed)
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			in.Declared = declare(of(Spec, d.some("spec")...))
			plan := Make(in)
			for _, a := range plan.Record.Applied {
				key := d.dialect.split(a.Name).Key
				if raw, ok := want[key]; ok && d.dialect.FormatRaw(key, raw) == a.Name {
					delete(want, key) // declaring is owning
				}
			}
			in.Observed, in.Record = in.Observed.Apply(plan.Edit), plan.Record
		}
		in.Declared = nil
		plan := Make(in)
		same(t, want, in.Observed.Apply(plan.Edit), fmt.Sprintf("from %v and %+v", in.Observed, in.Record))
	})
}

// TestReturningTag: a removed tag that a script sends again and again is removed at most three times more, then it stays.
func TestReturningTag(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDraw(t)
		name := rapid.SampledFrom([]string{"a", "k=a"}).Draw(t, "tag")
		tag := d.dialect.split(name)
		there := Set{tag.Key: d.dialect.raw(tag)}
		in := Input{Dialect: d.dialect, RunUID: "u1", Observed: there, Record: record(own(name)), Policy: Merge, Ceiling: Merge, Now: noon}
		sent, removals, givenUp := 0, 0, 0
		for range 20 {
			plan := Make(in)
			givenUp += len(plan.GivenUp)
			removals += len(plan.Edit.Remove)
			in.Record, in.Observed = plan.Record, in.Observed.Apply(plan.Edit)
			in.Record = Make(in).Record // a look after each write
			if _, ok := in.Observed[tag.Key]; !ok && rapid.Bool().Draw(t, "sent again") {
				sent++
				in.Observed = there
			}
		}
		plan := Make(in)
		if pending := len(plan.Edit.Remove) + len(plan.GivenUp); removals+givenUp+pending != 1+sent || removals > 1+MaxBack || givenUp > 1 {
			t.Fatalf("sent %d times, removed %d times, given up %d times, %d to do", sent, removals, givenUp, pending)
		}
		if _, ok := in.Observed[tag.Key]; ok != (sent > MaxBack) && len(plan.Edit.Remove) == 0 {
			t.Fatalf("on the run: %v after it was sent %d times", ok, sent)
		}
	})
}

// TestRenaming: names have no meaning, whatever their letters: planning renamed tags is renaming the plan.
func TestRenaming(t *testing.T) {
	to := map[string]string{"a": "Ä", "A": "ä", "b": "a\u0308", "k=v": "日本", " é": "é", " e\u0301": "\u200bé"}
	rename := func(names []string) []string {
		out := make([]string, len(names))
		for i, name := range names {
			out[i] = to[name]
		}
		return out
	}
	rapid.Check(t, func(t *rapid.T) {
		in := draw{t, plain, plainNames}.input()
		plan := Make(in)
		renamed := in
		renamed.Observed, renamed.Declared, renamed.Record = Set{}, nil, Record{RunUID: "u1"}
		for key := range in.Observed {
			renamed.Observed[to[key]] = ""
		}
		for _, d := range in.Declared {
			d.Tags = slices.Clone(d.Tags)
			for i := range d.Tags {
				d.Tags[i].Tag = to[d.Tags[i].Tag]
			}
			renamed.Declared = append(renamed.Declared, d)
		}
		for _, a := range in.Record.Applied {
			renamed.Record.Applied = append(renamed.Record.Applied, Applied{Name: to[a.Name]})
		}
		for _, e := range in.Record.Removed {
			e.Name = to[e.Name]
			renamed.Record.Removed = append(renamed.Record.Removed, e)
		}
		renamed.HeldUntil = map[string]time.Time{}
		for key, until := range in.HeldUntil {
			renamed.HeldUntil[to[key]] = until
		}
		renamed.Excluded, renamed.Requested, renamed.Elsewhere = rename(in.Excluded), rename(in.Requested), rename(in.Elsewhere)
		renamed.Forgotten, renamed.Frozen = rename(in.Forgotten), slices.Clone(in.Frozen)
		for i := range renamed.Frozen {
			renamed.Frozen[i].Tag = to[renamed.Frozen[i].Tag]
		}
		got := Make(renamed)
		anyOrder := cmpopts.SortSlices(func(a, b string) bool { return a < b })
		if diff := cmp.Diff(rename(plan.Edit.Remove), got.Edit.Remove, anyOrder, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("removes differ:\n%s", diff)
		}
		if diff := cmp.Diff(rename(slices.Collect(maps.Keys(plan.Edit.Set))), slices.Collect(maps.Keys(got.Edit.Set)), anyOrder, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("adds differ:\n%s", diff)
		}
	})
}

func FuzzPlan(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a run has at most one value for a key, and a plain tag is a key without one"))
	f.Add([]byte{1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		planTwice(t)
		planRemovesOnlyOurs(t)
	}))
}
