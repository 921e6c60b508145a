package tags

import (
	"strings"
	"testing"
)

func TestMakeValues(t *testing.T) {
	run(t, []planCase{
		{
			name: "add a bare tag", reason: "true is what MLflow's filters find on every version",
			in:   Input{Dialect: pairs, Declared: declare(of(Spec, "k")), Policy: Merge},
			want: Plan{Edit: write("k=true"), Record: record(own("k"))},
		},
		{
			name: "add a pair", reason: "a pair is written with its value",
			in:   Input{Dialect: pairs, Declared: declare(of(Spec, "k=v")), Policy: Add},
			want: Plan{Edit: write("k=v"), Record: record(own("k=v"))},
		},
		{
			name: "a bare tag is there", reason: "empty and true in any case are the bare tag, and declaring is owning",
			in:   Input{Dialect: pairs, Observed: set("e=", "t=TRUE"), Declared: declare(of(Spec, "e", "t")), Policy: Merge},
			want: Plan{Record: record(own("e"), own("t"))},
		},
		{
			name: "a bare tag is served by a pair", reason: "any value but false does, and then nothing is ours",
			in:   Input{Dialect: pairs, Observed: set("k=v"), Declared: declare(of(Spec, "k")), Record: record(own("k")), Policy: Merge},
			want: Plan{},
		},
		{
			name: "a bare tag over false", reason: "false in any case says the opposite; it is replaced and remembered",
			in:   Input{Dialect: pairs, Observed: set("k=False"), Declared: declare(of(Spec, "k")), Policy: Merge},
			want: Plan{Edit: write("k=true"), Record: record(own("k", "False"))},
		},
		{
			name: "replace", reason: "a declared pair replaces another value and remembers it",
			in:   Input{Dialect: pairs, Observed: set("team=nlp"), Declared: declare(of(Spec, "team=vision")), Policy: Merge},
			want: Plan{Edit: write("team=vision"), Record: record(own("team=vision", "nlp"))},
		},
		{
			name: "replace under Add", reason: "Add may not replace values: a conflict that a person sees, and nothing is owned",
			in:   Input{Dialect: pairs, Observed: set("team=nlp"), Declared: declare(of(Spec, "team=vision")), Policy: Add},
			want: Plan{Pending: Pending{Add: []string{"team=vision"}}, Rejected: []Rejected{{Name: "team=vision", Source: Spec, Reason: Conflict}}},
		},
		{
			name: "replace under Observe", reason: "Observe shows it as pending; what was not replaced is not recorded as replaced",
			in:   Input{Dialect: pairs, Observed: set("team=nlp"), Declared: declare(of(Spec, "team=vision")), Policy: Observe},
			want: Plan{Pending: Pending{Add: []string{"team=vision"}}},
		},
		{
			name: "replace by a rule", reason: "a rule's replacement is entered, too",
			in:   Input{Dialect: pairs, Observed: set("k=b"), Declared: declare(byRule("TagRule/r", "k=a")), Policy: Merge},
			want: Plan{Edit: write("k=a"), Record: record(own("k=a", "b")), Entered: []string{"k=a"}},
		},
		{
			name: "undeclare", reason: "the replaced value comes back",
			in:   Input{Dialect: pairs, Observed: set("team=vision"), Record: record(own("team=vision", "nlp")), Policy: Merge},
			want: Plan{Edit: write("team=nlp"), Record: record(was(off("team=vision"), "nlp"))},
		},
		{
			name: "undeclare, crashed before the write", reason: "the replaced value outlives the applied entry",
			in:   Input{Dialect: pairs, Observed: set("team=vision"), Record: record(was(off("team=vision"), "nlp")), Policy: Merge},
			want: Plan{Edit: write("team=nlp"), Record: record(was(off("team=vision"), "nlp"))},
		},
		{
			name: "undeclare under Exclusive", reason: "what came back would have to go again at once",
			in:   Input{Dialect: pairs, Observed: set("team=vision"), Record: record(own("team=vision", "nlp")), Policy: Exclusive},
			want: Plan{Edit: write("-team"), Record: record(was(off("team=vision"), "nlp"))},
		},
		{
			name: "undeclare, excluded before", reason: "an excluded value does not come back",
			in:   Input{Dialect: pairs, Observed: set("team=vision"), Excluded: []string{"team=nlp"}, Record: record(own("team=vision", "nlp")), Policy: Merge},
			want: Plan{Edit: write("-team"), Record: record(was(off("team=vision"), "nlp"))},
		},
		{
			name: "undeclare, removed before", reason: "a value that was asked off meanwhile does not come back",
			in:   Input{Dialect: pairs, Observed: set("team=vision"), Requested: []string{"team=nlp"}, Record: record(own("team=vision", "nlp")), Policy: Merge},
			want: Plan{Edit: write("-team"), Record: record(gone("team=nlp"), was(off("team=vision"), "nlp"))},
		},
		{
			name: "undeclare, changed since", reason: "another value that somebody wrote since is not ours to take off",
			in:   Input{Dialect: pairs, Observed: set("team=rl"), Record: record(own("team=vision", "nlp")), Policy: Merge},
			want: Plan{Record: record(was(gone("team=vision"), "nlp"))},
		},
		{
			name: "change the value", reason: "what was there before us comes back in the end, not what we wrote in between",
			in:   Input{Dialect: pairs, Observed: set("k=a"), Declared: declare(of(Spec, "k=b")), Record: record(own("k=a", "orig")), Policy: Merge},
			want: Plan{Edit: write("k=b"), Record: record(own("k=b", "orig"), was(off("k=a"), "orig"))},
		},
		{
			name: "change the value, crashed before the write", reason: "what is on the run is still known as ours",
			in:   Input{Dialect: pairs, Observed: set("k=a"), Declared: declare(of(Spec, "k=b")), Record: record(own("k=b", "orig"), was(off("k=a"), "orig")), Policy: Merge},
			want: Plan{Edit: write("k=b"), Record: record(own("k=b", "orig"), was(off("k=a"), "orig"))},
		},
		{
			name: "change the value, entered by us", reason: "our own former value is not remembered as somebody's",
			in:   Input{Dialect: pairs, Observed: set("k=a"), Declared: declare(of(Spec, "k=b")), Record: record(own("k=a")), Policy: Merge},
			want: Plan{Edit: write("k=b"), Record: record(own("k=b"), off("k=a"))},
		},
		{
			name: "change to the value that was replaced", reason: "declaring is owning: there is nothing else to come back",
			in:   Input{Dialect: pairs, Observed: set("k=a"), Declared: declare(of(Spec, "k=orig")), Record: record(own("k=a", "orig")), Policy: Merge},
			want: Plan{Edit: write("k=orig"), Record: record(own("k=orig"), was(off("k=a"), "orig"))},
		},
		{
			name: "change a pair to a bare tag", reason: "our own former value goes, so it does not serve the bare tag",
			in:   Input{Dialect: pairs, Observed: set("k=a"), Declared: declare(of(Spec, "k")), Record: record(own("k=a", "orig")), Policy: Merge},
			want: Plan{Edit: write("k=true"), Record: record(own("k", "orig"), was(off("k=a"), "orig"))},
		},
		{
			name: "drift to another value", reason: "put back, and what somebody wrote last is what comes back in the end",
			in:   Input{Dialect: pairs, Observed: set("k=c"), Declared: declare(of(Spec, "k=a")), Record: record(own("k=a", "b")), Policy: Merge},
			want: Plan{Edit: write("k=a"), Record: record(own("k=a", "c"))},
		},
		{
			name: "drift to nothing", reason: "put back, and nothing is there any more that could come back in the end",
			in:   Input{Dialect: pairs, Declared: declare(of(Spec, "k=a")), Record: record(own("k=a", "b")), Policy: Merge},
			want: Plan{Edit: write("k=a"), Record: record(own("k=a"))},
		},
		{
			name: "drift back to the value before", reason: "it was written anew and replaced anew",
			in:   Input{Dialect: pairs, Observed: set("k=b"), Declared: declare(of(Spec, "k=a")), Record: record(own("k=a", "b")), Policy: Merge},
			want: Plan{Edit: write("k=a"), Record: record(own("k=a", "b"))},
		},
		{
			name: "declare what is there after ours was gone", reason: "what a tag of ours replaced before has come back already",
			in:   Input{Dialect: pairs, Observed: set("k=b"), Declared: declare(of(Spec, "k=b")), Record: record(was(gone("k=a"), "w")), Policy: Merge},
			want: Plan{Record: record(own("k=b"), was(gone("k=a"), "w"))},
		},
		{
			name: "elsewhere another value", reason: "two objects of different minds do not fight: the first stays",
			in:   Input{Dialect: pairs, Observed: set("k=b"), Declared: declare(of(Spec, "k=a")), Elsewhere: []string{"k=b"}, Policy: Merge},
			want: Plan{Rejected: []Rejected{{Name: "k=a", Source: Spec, Reason: Conflict}}},
		},
		{
			name: "elsewhere bare", reason: "another object's bare tag is served by our pair, so the key stays",
			in:   Input{Dialect: pairs, Observed: set("k=a"), Elsewhere: []string{"k"}, Record: record(own("k=a")), Policy: Merge},
			want: Plan{Record: record(own("k=a"))},
		},
		{
			name: "a long value", reason: "compared and written as the server would cut it, or it would differ for ever",
			in:   Input{Dialect: pairs, Observed: set("a=éééééééé"), Declared: declare(of(Spec, "a=ééééééééxyz", "b=123456789")), Policy: Merge},
			want: Plan{Edit: write("b=12345678"), Record: record(own("a=éééééééé"), own("b=12345678"))},
		},
		{
			name: "hidden", reason: "the tracker's own keys are neither seen nor touched",
			in: Input{Dialect: pairs, Observed: set("mlflow.user=me", "f=1"), Declared: declare(of(Spec, "mlflow.x")), Excluded: []string{"mlflow.user"},
				Requested: []string{"mlflow.user=me"}, Policy: Exclusive},
			want: Plan{Edit: write("-f"), Rejected: []Rejected{{Name: "mlflow.x", Source: Spec, Reason: Invalid}}},
		},
		{
			name: "exclude a key", reason: "a bare name covers every value of the key",
			in:   Input{Dialect: pairs, Observed: set("k=v", "l=w", "kk=v"), Declared: declare(of(Spec, "k=z")), Excluded: []string{"k", "l=v"}, Policy: Merge},
			want: Plan{Edit: write("-k"), Rejected: []Rejected{{Name: "k=z", Source: Spec, Reason: Excluded}}},
		},
		{
			name: "exclude a pair", reason: "a pair covers only itself; spelled out, the bare tag as well",
			in:   Input{Dialect: pairs, Observed: set("k=v", "l=True", "m=w"), Excluded: []string{"k=v", "l=true", "m=true"}, Policy: Merge},
			want: Plan{Edit: write("-k", "-l")},
		},
		{
			name: "declare bare, exclude the pair that is there", reason: "an excluded value serves no declaration and does not come back",
			in:   Input{Dialect: pairs, Observed: set("k=v"), Declared: declare(of(Spec, "k")), Excluded: []string{"k=v"}, Policy: Merge},
			want: Plan{Edit: write("k=true"), Record: record(own("k"))},
		},
		{
			name: "asked off", reason: "a request is for the exact tag: the bare name does not take the pair",
			in:   Input{Dialect: pairs, Observed: set("k=v", "l=1"), Requested: []string{"k", "l=1"}, Policy: Merge},
			want: Plan{Edit: write("-l"), Record: record(gone("k"), off("l=1"))},
		},
		{
			name: "undeclared and gone", reason: "where the key is gone there is nothing to come back",
			in:   Input{Dialect: pairs, Record: record(own("k=a", "b")), Policy: Merge},
			want: Plan{Record: record(gone("k=a"))},
		},
		{
			name: "back", reason: "a value that came back is replaced again by the one before it",
			in:   Input{Dialect: pairs, Observed: set("k=a"), Record: record(was(gone("k=a"), "b")), Policy: Merge},
			want: Plan{Edit: write("k=b"), Record: record(was(Removed{Name: "k=a", At: noon, Back: 1}, "b"))},
		},
	})
}

func TestMakeTwoValues(t *testing.T) {
	lost := func(name string, source Source) Rejected {
		return Rejected{Name: name, Source: source, Reason: Conflict}
	}
	bad := func(name string, source Source) Rejected {
		return Rejected{Name: name, Source: source, Reason: Invalid}
	}
	run(t, []planCase{
		{
			name: "spec first", reason: "Spec comes before Label before Rule",
			in:   Input{Dialect: pairs, Declared: declare(byRule("TagRule/a", "k=r"), of(Label, "k=l"), of(Spec, "k=s")), Policy: Merge},
			want: Plan{Edit: write("k=s"), Record: record(own("k=s")), Rejected: []Rejected{lost("k=l", Label), lost("k=r", Rule)}},
		},
		{
			name: "label first", reason: "Label comes before Rule",
			in:   Input{Dialect: pairs, Declared: declare(byRule("TagRule/a", "k=r"), of(Label, "k=l")), Policy: Merge},
			want: Plan{Edit: write("k=l"), Record: record(own("k=l")), Rejected: []Rejected{lost("k=r", Rule)}},
		},
		{
			name: "namespaced rule first", reason: "TagRule comes before ClusterTagRule, whatever their names",
			in:   Input{Dialect: pairs, Declared: declare(byRule("ClusterTagRule/a", "k=c"), byRule("TagRule/z", "k=z"), byRule("TagRule/b", "k=b")), Policy: Merge},
			want: Plan{Edit: write("k=b"), Record: record(own("k=b")), Entered: []string{"k=b"}, Rejected: []Rejected{lost("k=c", Rule), lost("k=z", Rule)}},
		},
		{
			name: "two in one spec", reason: "neither is written, and what is on the run stays while it is unclear which is meant",
			in:   Input{Dialect: pairs, Observed: set("k=a"), Declared: declare(of(Spec, "k=a", "k=b"), of(Label, "k=c")), Record: record(own("k=a")), Policy: Exclusive},
			want: Plan{Record: record(own("k=a")), Rejected: []Rejected{bad("k=a", Spec), bad("k=b", Spec), lost("k=c", Label)}},
		},
		{
			name: "two in one spec, none on the run", reason: "the first of the two is not preferred",
			in:   Input{Dialect: pairs, Declared: declare(of(Spec, "k=a", "k=b")), Policy: Merge},
			want: Plan{Rejected: []Rejected{bad("k=a", Spec), bad("k=b", Spec)}},
		},
		{
			name: "two of one rule", reason: "a rule may be of two minds as well",
			in:   Input{Dialect: pairs, Declared: declare(byRule("TagRule/r", "k=a", "k=b"), byRule("TagRule/s", "k=a")), Policy: Merge},
			want: Plan{Rejected: []Rejected{bad("k=a", Rule), bad("k=b", Rule)}},
		},
		{
			name: "one excluded", reason: "of two values one may be excluded: then the other is meant",
			in:   Input{Dialect: pairs, Declared: declare(of(Spec, "k=a", "k=b")), Excluded: []string{"k=a"}, Policy: Merge},
			want: Plan{Edit: write("k=b"), Record: record(own("k=b")), Rejected: []Rejected{{Name: "k=a", Source: Spec, Reason: Excluded}}},
		},
		{
			name: "one tag, two ways to write it", reason: "the bare tag is one tag however it is written",
			in:   Input{Dialect: pairs, Declared: declare(of(Spec, "k", "k=", "k=True")), Policy: Merge},
			want: Plan{Edit: write("k=true"), Record: record(own("k"))},
		},
		{
			name: "refused key", reason: "a key that the tracker refuses is left as it is",
			in:   Input{Dialect: pairs, Observed: set("a!=v"), Declared: declare(of(Spec, "a!=v")), Policy: Exclusive},
			want: Plan{Rejected: []Rejected{bad("a!=v", Spec)}},
		},
	})
}

func TestRejectedSaysWhatToDo(t *testing.T) {
	in := Input{
		Dialect: pairs, RunUID: "u1", Observed: set("team=nlp"), Policy: Add, Ceiling: Exclusive, Now: noon, Excluded: []string{"ex"},
		Declared: declare(of(Spec, "two=a", "two=b", "mlflow.x", "ex", "team=vision", "a!", "=v", "", "\xff"), of(Label, "two=c")),
	}
	for _, want := range []string{
		`"two=a": Spec gives key "two" several values, "two=a" and "two=b"`,
		`"two=c" is not written: Spec declares`,
		`"mlflow.x" belongs to MLflow or to runtag itself, and runtag never touches it`,
		`"ex" is declared and in excludeTags`,
		`the run has "team=nlp" and policy Add replaces no values`,
		`"a!" is refused by MLflow: keys have no "!"`,
		`"=v" has a value and no key`,
		`a tag is empty`,
		`"\xff" is not valid UTF-8`,
	} {
		name, text := "", want
		if strings.HasPrefix(want, `"two=a": `) {
			name, text = "two=a", strings.TrimPrefix(want, `"two=a": `)
		}
		found := false
		for _, r := range Make(in).Rejected {
			found = found || strings.Contains(r.Message, text) && (name == "" || r.Name == name)
		}
		if !found {
			t.Errorf("no message says %s; a person could not tell what to do. Got %+v", text, Make(in).Rejected)
		}
	}
}
