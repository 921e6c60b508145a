package tags

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestContest(t *testing.T) {
	at := func(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }
	type step struct {
		attempt   int
		edit      Edit
		at        int // seconds
		held      int // seconds after the write; 0 is not held
		contested bool
	}
	add, remove := write("a"), write("-a")
	for _, c := range []struct {
		name, reason string
		steps        []step
	}{
		{
			name: "re-adds", reason: "the first add and two re-adds go at once; the third waits 10 s, then twice as long each time, up to 5 minutes",
			steps: []step{
				{edit: add, at: 0}, {edit: add, at: 30}, {edit: add, at: 60, held: 10}, {edit: add, at: 90, held: 20, contested: true},
				{edit: add, at: 120, held: 40, contested: true}, {edit: add, at: 200, held: 80, contested: true}, {edit: add, at: 300, held: 160, contested: true},
				{edit: add, at: 500, held: 300, contested: true}, {edit: add, at: 900, held: 300, contested: true},
			},
		},
		{
			name: "removals again", reason: "what is excluded and comes back is contested just so",
			steps: []step{{edit: remove, at: 0}, {edit: remove, at: 30}, {edit: remove, at: 60, held: 10}, {edit: remove, at: 90, held: 20, contested: true}},
		},
		{
			name: "a new attempt", reason: "a resumed run starts with a clean slate",
			steps: []step{{edit: add, at: 0}, {edit: add, at: 1}, {edit: add, at: 2, held: 10}, {attempt: 1, edit: add, at: 3}, {attempt: 1, edit: add, at: 4}},
		},
		{
			name: "a person changes her mind", reason: "adding and removing in turn is nobody's contest",
			steps: []step{{edit: add, at: 0}, {edit: remove, at: 1}, {edit: add, at: 2}, {edit: remove, at: 3}, {edit: add, at: 4}, {edit: remove, at: 5}},
		},
		{
			name: "a value that changes", reason: "nor is declaring one value after the other",
			steps: []step{{edit: write("a=1"), at: 0}, {edit: write("a=2"), at: 1}, {edit: write("a=3"), at: 2}, {edit: write("a=4"), at: 3}},
		},
		{
			name: "removed, or emptied", reason: "an empty value is no removal",
			steps: []step{{edit: remove, at: 0}, {edit: add, at: 1}, {edit: remove, at: 2}, {edit: add, at: 3}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var contest Contest
			for i, s := range c.steps {
				contest.Wrote(s.attempt, s.edit, at(s.at))
				var held map[string]time.Time
				var contested []string
				if s.held > 0 {
					held = map[string]time.Time{"a": at(s.at + s.held)}
				}
				if s.contested {
					contested = []string{"a"}
				}
				if diff := cmp.Diff(held, contest.Held(at(s.at))); diff != "" {
					t.Errorf("step %d: %s: held (-want +got):\n%s", i, c.reason, diff)
				}
				if diff := cmp.Diff(contested, contest.Contested(at(s.at)), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("step %d: %s: contested (-want +got):\n%s", i, c.reason, diff)
				}
				if over := at(s.at + s.held); len(contest.Held(over)) > 0 || len(contest.Contested(over)) > 0 {
					t.Errorf("step %d: the hold is not over at its time", i)
				}
			}
		})
	}
}

func TestContestBegin(t *testing.T) {
	var contest Contest
	for range 4 {
		contest.Wrote(2, write("a"), noon)
	}
	contest.Begin(2)
	if len(contest.Held(noon)) != 1 {
		t.Error("the same attempt forgets nothing")
	}
	contest.Begin(3)
	if len(contest.Held(noon)) != 0 {
		t.Error("another attempt waits for nothing, even before its first write")
	}
}

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		name, reason  string
		dialect       Dialect
		before, after Set
		want          []SeenChange
	}{
		{name: "same", reason: "nothing changed", dialect: plain, before: set("a"), after: set("a")},
		{
			name: "plain", reason: "tags come and go", dialect: plain, before: set("c", "a"), after: set("b", "a"),
			want: []SeenChange{{Name: "b", Kind: WasAdded}, {Name: "c", Kind: WasRemoved}},
		},
		{
			name: "values", reason: "a value that changes is one change", dialect: pairs, before: set("k=v", "l=TRUE", "mlflow.a=1"), after: set("k=w", "l=", "mlflow.b=2"),
			want: []SeenChange{{Name: "k=w", Kind: WasChanged, Before: "k=v"}},
		},
		{name: "first look", reason: "nil is empty", dialect: pairs, after: set("k=v"), want: []SeenChange{{Name: "k=v", Kind: WasAdded}}},
	} {
		if diff := cmp.Diff(c.want, Diff(c.before, c.after, c.dialect)); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", c.name, c.reason, diff)
		}
	}
}

func TestMakeHeld(t *testing.T) {
	soon, later := noon.Add(time.Second), noon.Add(time.Minute)
	run(t, []planCase{
		{
			name: "held", reason: "contested changes wait, the others go",
			in: Input{Dialect: plain, Observed: set("x", "y"), Declared: declare(of(Spec, "a", "b")), Excluded: []string{"x", "y"}, Record: record(own("a"), own("b")), Policy: Merge,
				HeldUntil: map[string]time.Time{"a": later, "x": soon}},
			want: Plan{Edit: write("b", "-y"), Record: record(own("a"), own("b")), Held: []string{"a", "x"}, HeldUntil: soon},
		},
		{
			name: "due", reason: "a hold ends at its time",
			in:   Input{Dialect: plain, Declared: declare(of(Spec, "a")), Policy: Merge, HeldUntil: map[string]time.Time{"a": noon}},
			want: Plan{Edit: write("a"), Record: record(own("a"))},
		},
		{
			name: "nothing to do", reason: "only a change that is due is held",
			in:   Input{Dialect: plain, Observed: set("a"), Declared: declare(of(Spec, "a")), Policy: Merge, HeldUntil: map[string]time.Time{"a": later}},
			want: Plan{Record: record(own("a"))},
		},
		{
			name: "rule", reason: "a rule does not own what waits",
			in:   Input{Dialect: plain, Declared: declare(byRule("TagRule/r", "a")), Policy: Merge, HeldUntil: map[string]time.Time{"a": later}},
			want: Plan{Held: []string{"a"}, HeldUntil: later},
		},
		{
			name: "back", reason: "a removal that waits does not count",
			in:   Input{Dialect: plain, Observed: set("a"), Record: record(back("a", 2)), Policy: Merge, HeldUntil: map[string]time.Time{"a": later}},
			want: Plan{Record: record(back("a", 2)), Held: []string{"a"}, HeldUntil: later},
		},
		{
			name: "value", reason: "a replacement waits as well, and what it would replace is not recorded yet",
			in: Input{Dialect: pairs, Observed: set("k=c"), Declared: declare(of(Spec, "k=a")), Record: record(own("k=a", "b")), Policy: Merge,
				HeldUntil: map[string]time.Time{"k": later}},
			want: Plan{Record: record(own("k=a", "b")), Held: []string{"k=a"}, HeldUntil: later},
		},
	})
}
