package tags

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var (
	plain = Dialect{Tracker: "W&B", MaxKey: 64}
	pairs = Dialect{
		Tracker: "MLflow", Pairs: true, MaxKey: 250, MaxValue: 8,
		Hidden: func(key string) bool { return strings.HasPrefix(key, "mlflow.") },
		CheckKey: func(key string) error {
			if strings.ContainsAny(key, "!") {
				return errors.New(`keys have no "!": take it out`)
			}
			return nil
		},
	}
	noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

func of(source Source, names ...string) Declarations {
	d := Declarations{Name: string(source)}
	for _, name := range names {
		d.Tags = append(d.Tags, Declaration{Tag: name, Source: source})
	}
	return d
}

func byRule(rule string, names ...string) Declarations {
	d := Declarations{Name: rule}
	for _, name := range names {
		d.Tags = append(d.Tags, Declaration{Tag: name, Source: Rule, Rule: rule})
	}
	return d
}

func unknown(d Declarations) Declarations { d.Unknown = true; return d }

func declare(d ...Declarations) []Declarations { return d }

func set(names ...string) Set {
	s := Set{}
	for _, name := range names {
		key, value, _ := strings.Cut(name, "=")
		s[key] = value
	}
	return s
}

// own is an applied tag; was is the value it replaced, if any.
func own(name string, was ...string) Applied {
	if len(was) > 0 {
		return Applied{Name: name, Replaced: &was[0]}
	}
	return Applied{Name: name}
}

func record(entries ...any) Record {
	r := Record{RunUID: "u1"}
	for _, e := range entries {
		switch e := e.(type) {
		case Applied:
			r.Applied = append(r.Applied, e)
		case Removed:
			r.Removed = append(r.Removed, e)
		}
	}
	return r
}

func off(name string) Removed  { return Removed{Name: name, At: noon} }
func gone(name string) Removed { return Removed{Name: name, At: noon, Gone: true} }
func back(name string, n int) Removed {
	return Removed{Name: name, At: noon, Back: n, Gone: true}
}
func was(e Removed, value string) Removed { e.Replaced = &value; return e }

// write is an edit that sets the given "key=value" tags ("key" sets an empty value, as on a tracker of plain tags) and
// removes the keys after "-".
func write(changes ...string) Edit {
	var e Edit
	for _, c := range changes {
		if key, ok := strings.CutPrefix(c, "-"); ok {
			e.Remove = append(e.Remove, key)
			continue
		}
		if e.Set == nil {
			e.Set = Set{}
		}
		key, value, _ := strings.Cut(c, "=")
		e.Set[key] = value
	}
	return e
}

type planCase struct {
	name, reason string
	in           Input
	// observeOnly makes Observe the ceiling; without it, and without another in.Ceiling, there is none.
	observeOnly bool
	want        Plan
}

// run compares plans but for entries and messages, which have tests of their own.
func run(t *testing.T, cases []planCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.in.RunUID, c.want.Record.RunUID = "u1", "u1"
			if c.in.Record.RunUID == "" {
				c.in.Record.RunUID = "u1"
			}
			if c.in.Ceiling == Observe && !c.observeOnly {
				c.in.Ceiling = Exclusive
			}
			if c.in.Now.IsZero() {
				c.in.Now = noon
			}
			got := Make(c.in)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Plan{}, "Entries"), cmpopts.IgnoreFields(Rejected{}, "Message")); diff != "" {
				t.Errorf("%s\nplan (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestMakeByPolicy(t *testing.T) {
	run(t, []planCase{
		{
			name: "observe", reason: "Observe writes nothing, owns what is declared and says what it would do",
			in:   Input{Dialect: plain, Observed: set("old", "foreign"), Declared: declare(of(Spec, "a")), Record: record(own("old")), Policy: Observe},
			want: Plan{Record: record(own("a"), own("old")), Pending: Pending{Add: []string{"a"}, Remove: []string{"old"}}},
		},
		{
			name: "add", reason: "Add adds, and what it may not remove stays ours",
			in:   Input{Dialect: plain, Observed: set("old", "x"), Declared: declare(of(Spec, "a")), Excluded: []string{"x"}, Record: record(own("old")), Policy: Add},
			want: Plan{Edit: write("a"), Record: record(own("a"), own("old")), Pending: Pending{Remove: []string{"old", "x"}}},
		},
		{
			name: "merge", reason: "Merge removes what was declared, is excluded or asked off, and nothing else",
			in: Input{Dialect: plain, Observed: set("old", "x", "asked", "foreign"), Declared: declare(of(Label, "a")), Excluded: []string{"x"}, Requested: []string{"asked"},
				Record: record(own("old")), Policy: Merge},
			want: Plan{Edit: write("a", "-asked", "-old", "-x"), Record: record(own("a"), off("asked"), off("old"))},
		},
		{
			name: "exclusive", reason: "Exclusive removes all that is not declared, without remembering it",
			in:   Input{Dialect: plain, Observed: set("a", "foreign"), Declared: declare(of(Spec, "a")), Policy: Exclusive},
			want: Plan{Edit: write("-foreign"), Record: record(own("a"))},
		},
		{
			name: "exclusive lowered by the ceiling", reason: "the ceiling wins; what it holds back is pending",
			in:   Input{Dialect: plain, Observed: set("foreign"), Declared: declare(of(Spec, "a")), Policy: Exclusive, Ceiling: Merge},
			want: Plan{Edit: write("a"), Record: record(own("a")), Pending: Pending{Remove: []string{"foreign"}}},
		},
		{
			name: "exclusive with an unknown source", reason: "what looks foreign may be declared by the source that cannot be read; what is declared no more goes all the same",
			in: Input{Dialect: plain, Observed: set("foreign", "old", "r"), Declared: declare(of(Spec), unknown(byRule("TagRule/r", "r"))), Record: record(own("old"), own("r")),
				Policy: Exclusive},
			want: Plan{Edit: write("-old"), Record: record(own("r"), off("old")), Unknown: []string{"TagRule/r"}},
		},
		{
			name: "drift", reason: "a declared tag that somebody takes off on the tracker's page is put back",
			in:   Input{Dialect: plain, Observed: set(), Declared: declare(of(Spec, "a")), Record: record(own("a")), Policy: Merge},
			want: Plan{Edit: write("a"), Record: record(own("a"))},
		},
		{
			name: "quiet", reason: "what is as declared needs nothing",
			in:   Input{Dialect: plain, Observed: set("a", "f"), Declared: declare(of(Spec, "a")), Record: record(own("a")), Policy: Merge},
			want: Plan{Record: record(own("a"))},
		},
	})
}

func TestMakeOwnership(t *testing.T) {
	run(t, []planCase{
		{
			name: "declaring is owning", reason: "a foreign tag that a person declares is ours from then on",
			in:   Input{Dialect: plain, Observed: set("a"), Declared: declare(of(Spec, "a")), Policy: Merge},
			want: Plan{Record: record(own("a"))},
		},
		{
			name: "undeclared", reason: "whoever put it there first",
			in:   Input{Dialect: plain, Observed: set("a"), Record: record(own("a")), Policy: Merge},
			want: Plan{Edit: write("-a"), Record: record(off("a"))},
		},
		{
			name: "undeclared and not there", reason: "remembered all the same: the SDK may still send it",
			in:   Input{Dialect: plain, Observed: set(), Record: record(own("a")), Policy: Merge},
			want: Plan{Record: record(gone("a"))},
		},
		{
			name: "rule, there before", reason: "a rule owns only what it adds",
			in:   Input{Dialect: plain, Observed: set("a"), Declared: declare(byRule("TagRule/r", "a")), Policy: Merge},
			want: Plan{},
		},
		{
			name: "rule, entered", reason: "a rule owns what it adds",
			in:   Input{Dialect: plain, Observed: set(), Declared: declare(byRule("TagRule/r", "a")), Policy: Merge},
			want: Plan{Edit: write("a"), Record: record(own("a")), Entered: []string{"a"}},
		},
		{
			name: "rule, kept back", reason: "a rule owns nothing that was not added",
			in:   Input{Dialect: plain, Observed: set(), Declared: declare(byRule("TagRule/r", "a")), Policy: Observe},
			want: Plan{Pending: Pending{Add: []string{"a"}}},
		},
		{
			name: "rule, again", reason: "ours already, so it is not entered again",
			in:   Input{Dialect: plain, Observed: set(), Declared: declare(byRule("TagRule/r", "a")), Record: record(own("a")), Policy: Merge},
			want: Plan{Edit: write("a"), Record: record(own("a"))},
		},
		{
			name: "spec left, rule holds", reason: "a tag that anybody declares stays ours",
			in:   Input{Dialect: plain, Observed: set("a"), Declared: declare(of(Spec), byRule("TagRule/r", "a")), Record: record(own("a")), Policy: Merge},
			want: Plan{Record: record(own("a"))},
		},
		{
			name: "elsewhere", reason: "what another object declares stays, and stays ours to take off when nobody declares it",
			in:   Input{Dialect: plain, Observed: set("a", "x", "f"), Excluded: []string{"x"}, Elsewhere: []string{"a", "x", "f"}, Record: record(own("a")), Policy: Exclusive},
			want: Plan{Record: record(own("a"))},
		},
		{
			name: "another incarnation", reason: "ownership belongs to one run: nothing of the record holds for the next one",
			in: Input{Dialect: plain, Observed: set("a", "b"), Declared: declare(of(Spec, "c")), Policy: Merge,
				Record: Record{RunUID: "u0", Applied: []Applied{own("a")}, Removed: []Removed{off("b")}}},
			want: Plan{Edit: write("c"), Record: record(own("c"))},
		},
		{
			name: "excluded and declared", reason: "excluded wins, and a person is told",
			in:   Input{Dialect: plain, Observed: set("a"), Declared: declare(of(Spec, "a")), Excluded: []string{"a"}, Policy: Merge},
			want: Plan{Edit: write("-a"), Rejected: []Rejected{{Name: "a", Source: Spec, Reason: Excluded}}},
		},
		{
			name: "blanks and case", reason: "tags are exact: excluding one spelling does not touch another",
			in:   Input{Dialect: plain, Observed: set(" a", "A", "a", "é", "e\u0301"), Excluded: []string{" a", "é"}, Policy: Merge},
			want: Plan{Edit: write("- a", "-é")},
		},
		{
			name: "not allowed", reason: "what the ceiling keeps a person's tag from is said apart from what only rules want",
			in:          Input{Dialect: plain, Declared: declare(of(Spec, "s"), of(Label, "l"), byRule("TagRule/r", "r")), Policy: Merge},
			observeOnly: true,
			want:        Plan{Record: record(own("l"), own("s")), Pending: Pending{Add: []string{"l", "r", "s"}, NotAllowed: []string{"l", "s"}}},
		},
		{
			name: "own policy", reason: "what the object's own policy holds back is not disallowed",
			in:   Input{Dialect: plain, Declared: declare(of(Spec, "s")), Policy: Observe},
			want: Plan{Record: record(own("s")), Pending: Pending{Add: []string{"s"}}},
		},
		{
			name: "invalid", reason: "what the tracker refuses is rejected and nothing else is held up",
			in: Input{Dialect: plain, Declared: declare(of(Spec, "ok", strings.Repeat("é", 65), strings.Repeat("é", 64), "", "\xff")), Policy: Merge},
			want: Plan{Edit: write("ok", strings.Repeat("é", 64)), Record: record(own("ok"), own(strings.Repeat("é", 64))),
				Rejected: []Rejected{{Name: "", Source: Spec, Reason: Invalid}, {Name: strings.Repeat("é", 65), Source: Spec, Reason: Invalid}, {Name: "\xff", Source: Spec, Reason: Invalid}}},
		},
	})
}

func TestMakeRemoved(t *testing.T) {
	minutes := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }
	run(t, []planCase{
		{
			name: "seen gone", reason: "a removal that worked is noted",
			in:   Input{Dialect: plain, Observed: set(), Record: record(off("a")), Policy: Merge},
			want: Plan{Record: record(gone("a"))},
		},
		{
			name: "not yet gone", reason: "a removal that did not land is tried again and is no return",
			in:   Input{Dialect: plain, Observed: set("a"), Record: record(off("a")), Policy: Merge},
			want: Plan{Edit: write("-a"), Record: record(off("a"))},
		},
		{
			name: "back", reason: "the SDK sends its list from memory: removed again and counted",
			in:   Input{Dialect: plain, Observed: set("a"), Record: record(gone("a")), Policy: Merge},
			want: Plan{Edit: write("-a"), Record: record(Removed{Name: "a", At: noon, Back: 1})},
		},
		{
			name: "back too often", reason: "after three times it is left as foreign, and a person is told",
			in:   Input{Dialect: plain, Observed: set("a"), Record: record(back("a", 3)), Policy: Merge},
			want: Plan{GivenUp: []string{"a"}},
		},
		{
			name: "excluded", reason: "excluding goes on without limit, so nothing is given up",
			in:   Input{Dialect: plain, Observed: set("a"), Excluded: []string{"a"}, Record: record(back("a", 3)), Policy: Merge},
			want: Plan{Edit: write("-a")},
		},
		{
			name: "active", reason: "the memory lasts as long as the run is active",
			in:   Input{Dialect: plain, Observed: set("a"), Record: record(gone("a")), Policy: Merge, Now: minutes(600)},
			want: Plan{Edit: write("-a"), Record: record(Removed{Name: "a", At: noon, Back: 1})},
		},
		{
			name: "just before it expires", reason: "ten minutes after the later of removal and end",
			in:   Input{Dialect: plain, Observed: set("a"), Record: record(gone("a")), Policy: Merge, EndedAt: minutes(5), Now: minutes(15).Add(-1)},
			want: Plan{Edit: write("-a"), Record: record(Removed{Name: "a", At: noon, Back: 1})},
		},
		{
			name: "expired", reason: "an expired entry has no effect and is not worth a write by itself",
			in:   Input{Dialect: plain, Observed: set("a"), Record: record(gone("a")), Policy: Merge, EndedAt: minutes(5), Now: minutes(15)},
			want: Plan{Record: record(gone("a"))},
		},
		{
			name: "expired, ended before", reason: "a tag that was removed after the end of the run is remembered from its removal",
			in:   Input{Dialect: plain, Observed: set("a"), Record: record(gone("a")), Policy: Merge, EndedAt: minutes(-5), Now: minutes(9)},
			want: Plan{Edit: write("-a"), Record: record(Removed{Name: "a", At: noon, Back: 1})},
		},
		{
			name: "expired, with another change", reason: "what only expires is written away with the next other change",
			in:   Input{Dialect: plain, Observed: set("a"), Declared: declare(of(Spec, "b")), Record: record(gone("a")), Policy: Merge, EndedAt: minutes(5), Now: minutes(15)},
			want: Plan{Edit: write("b"), Record: record(own("b"))},
		},
		{
			name: "due for long", reason: "a removal that never landed does not expire: the tracker may have been away",
			in:   Input{Dialect: plain, Observed: set("a"), Record: record(off("a")), Policy: Merge, EndedAt: minutes(-60), Now: minutes(60)},
			want: Plan{Edit: write("-a"), Record: record(off("a"))},
		},
		{
			name: "gone at last", reason: "the ten minutes begin when the tag is seen gone, not when it should have gone",
			in:   Input{Dialect: plain, Observed: set(), Record: record(off("a")), Policy: Merge, EndedAt: minutes(-60), Now: minutes(60)},
			want: Plan{Record: record(Removed{Name: "a", At: minutes(60), Gone: true})},
		},
		{
			name: "declared again", reason: "declaring ends the removal",
			in:   Input{Dialect: plain, Observed: set(), Declared: declare(of(Spec, "a")), Record: record(gone("a")), Policy: Merge},
			want: Plan{Edit: write("a"), Record: record(own("a"))},
		},
		{
			name: "declared again by a rule before it went", reason: "it was never gone, so it is still ours",
			in:   Input{Dialect: plain, Observed: set("a"), Declared: declare(byRule("TagRule/r", "a")), Record: record(off("a")), Policy: Merge},
			want: Plan{Record: record(own("a"))},
		},
		{
			name: "declared again by a rule after it went", reason: "somebody else put it back, so a rule does not own it",
			in:   Input{Dialect: plain, Observed: set("a"), Declared: declare(byRule("TagRule/r", "a")), Record: record(gone("a")), Policy: Merge},
			want: Plan{},
		},
		{
			name: "policy lowered", reason: "nothing is removed, and nothing counted",
			in:   Input{Dialect: plain, Observed: set("a", "b"), Record: record(back("a", 3), off("b")), Policy: Observe},
			want: Plan{Record: record(back("a", 3), off("b")), Pending: Pending{Remove: []string{"b"}}},
		},
		{
			name: "asked off and declared", reason: "a request does not take off what is declared",
			in:   Input{Dialect: plain, Observed: set("a"), Declared: declare(of(Spec, "a")), Requested: []string{"a"}, Record: record(own("a")), Policy: Merge},
			want: Plan{Record: record(own("a"))},
		},
		{
			name: "asked off when given up", reason: "asking anew starts anew",
			in:   Input{Dialect: plain, Observed: set("a"), Requested: []string{"a"}, Record: record(back("a", 3)), Policy: Merge, Now: minutes(1)},
			want: Plan{Edit: write("-a"), Record: record(Removed{Name: "a", At: minutes(1)})},
		},
		{
			name: "asked off under Add", reason: "a request does not outlive a policy that forbids it: it is not remembered",
			in:   Input{Dialect: plain, Observed: set("a"), Requested: []string{"a"}, Policy: Add},
			want: Plan{Pending: Pending{Remove: []string{"a"}}},
		},
	})
}
