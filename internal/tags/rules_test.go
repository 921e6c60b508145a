package tags

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// held are tags that a rule is held still on.
func held(names ...string) []Declaration {
	list := make([]Declaration, 0, len(names))
	for _, name := range names {
		list = append(list, Declaration{Tag: name, Source: Rule, Rule: "TagRule/r"})
	}
	return list
}

func TestMakeFrozen(t *testing.T) {
	run(t, []planCase{
		{
			name: "on the run and ours", reason: "it stays, and is ours as before: the rule may be taken back later",
			in:   Input{Dialect: plain, Observed: set("a"), Frozen: held("a"), Record: record(own("a")), Policy: Merge},
			want: Plan{Record: record(own("a"))},
		},
		{
			name: "not on the run", reason: "somebody took it off, and it is not put back",
			in:   Input{Dialect: plain, Observed: set(), Frozen: held("a"), Record: record(own("a")), Policy: Merge},
			want: Plan{Record: record(own("a"))},
		},
		{
			name: "never ours", reason: "it was on the run before",
			in:   Input{Dialect: plain, Observed: set("a"), Frozen: held("a"), Policy: Merge},
			want: Plan{Record: record()},
		},
		{
			name: "under Exclusive", reason: "it is known to us, if not declared: not what Exclusive is for",
			in:   Input{Dialect: plain, Observed: set("a", "b"), Frozen: held("a"), Policy: Exclusive},
			want: Plan{Edit: write("-b"), Record: record()},
		},
		{
			name: "declared", reason: "a declaration is followed",
			in:   Input{Dialect: plain, Observed: set(), Declared: declare(of(Spec, "a")), Frozen: held("a"), Policy: Merge},
			want: Plan{Edit: write("a"), Record: record(own("a"))},
		},
		{
			name: "excluded", reason: "it is kept off whatever a rule says",
			in:   Input{Dialect: plain, Observed: set("a"), Excluded: []string{"a"}, Frozen: held("a"), Policy: Merge},
			want: Plan{Edit: write("-a"), Record: record()},
		},
	})
}

func TestReleaseKeepsWhatIsFrozen(t *testing.T) {
	p := Release(Input{
		Dialect: plain, Observed: set("a", "b"), Frozen: held("b"), Record: record(own("a"), own("b")), RunUID: record().RunUID,
		Policy: Exclusive, Ceiling: Exclusive,
	})
	if diff := cmp.Diff([]string{"a"}, p.Edit.Remove); diff != "" {
		t.Errorf("a fact about the run goes with the object, or what it declared stays (-want +got):\n%s", diff)
	}
}

func TestByOthers(t *testing.T) {
	for _, tc := range []struct {
		name, reason string
		in           Input
		want         []string
	}{
		{
			name: "foreign", reason: "on the run, and we did not put it there",
			in: Input{Dialect: plain, Observed: set("a", "b")}, want: []string{"a", "b"},
		},
		{
			name: "declared by people", reason: "on the run or not",
			in: Input{Dialect: plain, Declared: declare(of(Spec, "a"), of(Label, "b"))}, want: []string{"a", "b"},
		},
		{
			name: "put there for a rule", reason: "no rule sees what rules do",
			in: Input{Dialect: plain, Observed: set("a"), Declared: declare(byRule("TagRule/r", "a")), Record: record(own("a"))},
		},
		{
			name: "there before a rule gave it", reason: "it would be there without the rule",
			in: Input{Dialect: plain, Observed: set("a"), Declared: declare(byRule("TagRule/r", "a"))}, want: []string{"a"},
		},
		{
			name: "given by a rule and by a person", reason: "it would be there without the rule",
			in: Input{Dialect: plain, Observed: set("a"), Declared: declare(of(Spec, "a"), byRule("TagRule/r", "a")), Record: record(own("a"))}, want: []string{"a"},
		},
		{
			name: "on its way off", reason: "a rule that no longer holds must not be seen for a moment longer",
			in: Input{Dialect: plain, Observed: set("a"), Record: record(off("a"))},
		},
		{
			name: "undeclared just now", reason: "the same",
			in: Input{Dialect: plain, Observed: set("a"), Record: record(own("a"))},
		},
		{
			name: "excluded", reason: "it is declared by nobody then",
			in: Input{Dialect: plain, Declared: declare(of(Spec, "a")), Excluded: []string{"a"}},
		},
		{
			name: "pairs", reason: "by the name of the value",
			in: Input{Dialect: pairs, Observed: set("k=v", "m=true")}, want: []string{"k=v", "m"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.RunUID = record().RunUID
			if diff := cmp.Diff(tc.want, ByOthers(tc.in)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
