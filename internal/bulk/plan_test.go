package bulk

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runtag/runtag/internal/tags"
)

var (
	plain = tags.Dialect{Tracker: "W&B", MaxKey: 10}
	pairs = tags.Dialect{Tracker: "MLflow", Pairs: true, MaxKey: 10, MaxValue: 5, Hidden: func(key string) bool { return strings.HasPrefix(key, "ml.") }}
	free  = Guard{Policy: tags.Merge}
)

func split(s string) []string { return strings.Fields(s) }

// set reads tags as they are on a run: "k" has the empty value on W&B and "true" on MLflow, "k=" has the empty one.
func set(d tags.Dialect, s string) tags.Set {
	out := tags.Set{}
	for _, word := range split(s) {
		key, value, valued := strings.Cut(word, "=")
		switch {
		case !d.Pairs:
			out[word] = ""
		case valued:
			out[key] = value
		default:
			out[key] = "true"
		}
	}
	return out
}

// change reads "+add -remove from>to".
func change(s string) Change {
	var c Change
	for _, word := range split(s) {
		from, to, renames := strings.Cut(word, ">")
		switch {
		case word[0] == '+':
			c.Add = append(c.Add, word[1:])
		case word[0] == '-':
			c.Remove = append(c.Remove, word[1:])
		case renames:
			c.Rename = append(c.Rename, Rename{From: from, To: to})
		}
	}
	return c
}

type planCase struct{ reason, on, change, want string }

func checkPlans(t *testing.T, d tags.Dialect, cases []planCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			if err := Check(d, change(c.change)); err != nil {
				t.Fatal(err)
			}
			on := set(d, c.on)
			got := Plan(d, on, change(c.change), free)
			if diff := cmp.Diff(set(d, c.want), on.Apply(got.Edit)); diff != "" || len(got.Skipped) > 0 {
				t.Errorf("%q after %q (-want +got):\n%sskipped %v", c.on, c.change, diff, got.Skipped)
			}
			for range 20 { // of a map, what comes first is chance
				if diff := cmp.Diff(got, Plan(d, on, change(c.change), free)); diff != "" {
					t.Fatalf("planned again (-want +got):\n%s", diff)
				}
			}
			if diff := cmp.Diff(set(d, c.on), on); diff != "" {
				t.Errorf("the run as it was given is changed (-want +got):\n%s", diff)
			}
			for key, value := range got.Edit.Set {
				if old, there := on[key]; there && old == value {
					t.Errorf("%s is written though it is there: %+v", key, got.Edit)
				}
			}
		})
	}
}

func TestPlanOfPlainTags(t *testing.T) {
	checkPlans(t, plain, []planCase{
		{"nothing is asked", "a", "", "a"},
		{"a tag is added", "a", "+b", "a b"},
		{"one that is there stays", "a", "+a", "a"},
		{"a tag is removed", "a b", "-a", "b"},
		{"one that is not there is not missed", "b", "-a", "b"},
		{"a tag is exact", "A a=1", "-a", "A a=1"},
		{"an equals sign is nothing special", "k=v k", "-k=v", "k"},
		{"a rename", "a x", "a>b", "b x"},
		{"a rename on a run without the tag adds nothing", "x", "a>b", "x"},
		{"a new name that is there already is kept", "a b", "a>b", "b"},
		{"two old names become one", "a b", "a>c b>c", "c"},
		{"a chain starts from what was before", "a b", "a>b b>c", "b c"},
		{"from its start it goes one step", "a", "a>b b>c", "b"},
		{"from its middle too", "b", "a>b b>c", "c"},
		{"two tags change places", "a", "a>b b>a", "b"},
		{"what goes makes room for what comes in its place", "a b", "-b a>b", "b"},
		{"what is renamed away may be added anew", "a", "a>b +a", "a b"},
		{"a new name may be added as well", "x", "a>b +b", "x b"},
		{"all at once", "a b c", "+d -b a>e", "c d e"},
	})
}

func TestPlanOfPairs(t *testing.T) {
	checkPlans(t, pairs, []planCase{
		{"a bare tag is written as true", "", "+k", "k=true"},
		{"any value does for it", "k=5", "+k", "k=5"},
		{"the empty one too", "k=", "+k", "k="},
		{"but not false", "k=False", "+k", "k"},
		{"true stands for bare", "k=5", "+k=TRUE", "k=5"},
		{"a pair is written", "", "+k=v", "k=v"},
		{"it replaces another value", "k=w", "+k=v", "k=v"},
		{"whatever the case", "k=V", "+k=v", "k=v"},
		{"and leaves its own", "k=v", "+k=v", "k=v"},
		{"a value is cut as the tracker cuts it", "k=12345", "+k=123456", "k=12345"},
		{"a pair serves the bare tag of its key", "", "+k +k=v", "k=v"},
		{"a bare tag is removed with any value", "k=5", "-k", ""},
		{"false is one", "k=false", "-k", ""},
		{"a pair is removed with just its value", "k=v", "-k=v", ""},
		{"and with no other", "k=w", "-k=v", "k=w"},
		{"one value may give way to another", "k=v", "-k=v +k=w", "k=w"},
		{"a renamed key keeps its value", "k=5", "k>n", "n=5"},
		{"false too", "k=false", "k>n", "n=false"},
		{"an odd way to write true too", "k=True", "k>n", "n=True"},
		{"a new key that is there is kept as it is", "k=5 n=7", "k>n", "n=7"},
		{"one that says no is there as well", "k=5 n=false", "k>n", "n=false"},
		{"a pair is renamed with just its value", "k=v", "k=v>n=w", "n=w"},
		{"and with no other", "k=u", "k=v>n=w", "k=u"},
		{"within its key", "k=v", "k=v>k=w", "k=w"},
		{"any value of a key may become one", "k=v", "k>k=w", "k=w"},
		{"which it may be already", "k=w", "k>k=w", "k=w"},
		{"a key may get a value with its new name", "k=v", "k>n=w", "n=w"},
		{"a pair may become a bare tag", "team=nlp", "team=nlp>nlp", "nlp=true"},
		{"or the bare tag of its own key", "k=v", "k=v>k", "k=true"},
		{"the name with the value goes before the one without", "k=v", "k>a k=v>b", "b=true"},
		{"which is for the rest", "k=w", "k>a k=v>b", "a=w"},
		{"so it is with removals", "k=v", "-k k=v>b", ""},
		{"two values change places", "k=v", "k=v>k=w k=w>k=v", "k=w"},
		{"keys change places with their values", "a=1 b=2", "a>b b>a", "a=2 b=1"},
		{"of two keys that become one, the first in order wins", "b=2 a=1", "b>c a>c", "c=1"},
		{"an added value wins over one that comes by a new name", "a=1", "a>b +b=2", "b=2"},
		{"a bare one is served by it", "a=1", "a>b +b", "b=1"},
	})
}

func TestPlanUnderAGuard(t *testing.T) {
	declared := func(names string) map[string]bool {
		out := map[string]bool{}
		for _, name := range split(names) {
			out[name] = true
		}
		return out
	}
	cases := []struct {
		reason           string
		dialect          tags.Dialect
		on, change, want string
		guard            Guard
		skipped          []Skip
	}{
		{"what is declared is not removed", plain, "a b", "-a -b", "a", Guard{Declared: declared("a"), Policy: tags.Merge}, []Skip{{Declared, "a"}}},
		{"nor renamed, and the new name does not come", plain, "a", "a>b", "a", Guard{Declared: declared("a"), Policy: tags.Merge}, []Skip{{Declared, "a"}}},
		{"what is declared and not there is nothing to skip", plain, "b", "-a a>b", "b", Guard{Declared: declared("a"), Policy: tags.Merge}, nil},
		{"a name that is not declared says nothing", plain, "a", "-a", "", Guard{Declared: map[string]bool{"a": false}, Policy: tags.Merge}, nil},
		{"a new name may be declared", plain, "a", "a>b", "b", Guard{Declared: declared("b"), Policy: tags.Merge}, nil},
		{"what is excluded is not added", plain, "", "+a +b", "b", Guard{Excluded: []string{"a"}, Policy: tags.Merge}, []Skip{{Excluded, "a"}}},
		{"nor does it come by a new name, and the old one stays", plain, "a", "a>b", "a", Guard{Excluded: []string{"b"}, Policy: tags.Merge}, []Skip{{Excluded, "b"}}},
		{"what is excluded and there already is nothing to skip", plain, "a", "+a", "a", Guard{Excluded: []string{"a"}, Policy: tags.Merge}, nil},
		{"what is excluded may be removed", plain, "a", "-a", "", Guard{Excluded: []string{"a"}, Policy: tags.Merge}, nil},
		{"Exclusive takes off what is not declared, so it is not put on", plain, "x", "+a +b x>c", "x b", Guard{Declared: declared("b"), Exclusive: true, Policy: tags.Exclusive}, []Skip{{Exclusive, "a"}, {Exclusive, "c"}}},
		{"it lets go what is not declared", plain, "x", "-x", "", Guard{Exclusive: true, Policy: tags.Exclusive}, nil},
		{"Observe forbids all", plain, "a b", "-a +c b>d", "a b", Guard{Policy: tags.Observe}, []Skip{{Policy, "a"}, {Policy, "b"}, {Policy, "c"}}},
		{"but not what changes nothing", plain, "a", "-b +a c>d", "a", Guard{Policy: tags.Observe}, nil},
		{"the zero guard is of that policy", plain, "a", "-a", "a", Guard{}, []Skip{{Policy, "a"}}},
		{"Add adds only", plain, "a b", "-a +c b>d", "a b c", Guard{Policy: tags.Add}, []Skip{{Policy, "a"}, {Policy, "b"}}},
		{"it replaces no value", pairs, "k=v n=false", "+k=w +m=1 +n", "k=v n=false m=1", Guard{Policy: tags.Add}, []Skip{{Policy, "k=w"}, {Policy, "n"}}},
		{"what is declared is not replaced", pairs, "k=v", "+k=w", "k=v", Guard{Declared: declared("k=v"), Policy: tags.Merge}, []Skip{{Declared, "k=w"}}},
		{"a bare declaration holds any value", pairs, "k=v", "-k +k=w", "k=v", Guard{Declared: declared("k"), Policy: tags.Merge}, []Skip{{Declared, "k"}, {Declared, "k=w"}}},
		{"but false", pairs, "k=false", "-k", "", Guard{Declared: declared("k"), Policy: tags.Merge}, nil},
		{"another value than the declared one is free", pairs, "k=u", "-k", "", Guard{Declared: declared("k=v"), Policy: tags.Merge}, nil},
		{"a key is excluded with any value", pairs, "", "+k=v +n=v", "n=v", Guard{Excluded: []string{"k"}, Policy: tags.Merge}, []Skip{{Excluded, "k=v"}}},
		{"a pair with just its own", pairs, "", "+k=v +n=w", "n=w", Guard{Excluded: []string{"k=v", "n=v"}, Policy: tags.Merge}, []Skip{{Excluded, "k=v"}}},
		{"a renamed key is judged with its value", pairs, "k=v l=w", "k>n l>m", "k=v m=w", Guard{Excluded: []string{"n=v", "m=v"}, Policy: tags.Merge}, []Skip{{Excluded, "n"}}},
		{"Exclusive wants the declared value", pairs, "", "+k=w +n=5", "n=5", Guard{Declared: declared("k=v n"), Exclusive: true, Policy: tags.Exclusive}, []Skip{{Exclusive, "k=w"}}},
		{"what stays keeps its key from what comes", pairs, "a=1 b=2", "a>b b>c", "b=2", Guard{Declared: declared("b"), Policy: tags.Merge}, []Skip{{Declared, "b"}}},
		{"a value that a key has already is no change", pairs, "k=w", "k>k=w", "k=w", Guard{}, nil},
		{"a bare tag that a pair serves is not judged by itself", pairs, "", "+k +k=v", "k=v", Guard{Declared: declared("k=v"), Exclusive: true, Policy: tags.Exclusive}, nil},
		{"what is asked twice is skipped once, by its one name", pairs, "k", "-k -k=True +m=true +m", "k", Guard{}, []Skip{{Policy, "k"}, {Policy, "m"}}},
		{"a run without TrainingRun has the project's ceiling", plain, "", "+a", "", Guard{Policy: tags.Observe}, []Skip{{Policy, "a"}}},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			on := set(c.dialect, c.on)
			got := Plan(c.dialect, on, change(c.change), c.guard)
			if diff := cmp.Diff(set(c.dialect, c.want), on.Apply(got.Edit)); diff != "" {
				t.Errorf("%q after %q (-want +got):\n%s", c.on, c.change, diff)
			}
			if diff := cmp.Diff(c.skipped, got.Skipped, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	cases := []struct {
		reason  string
		dialect tags.Dialect
		change  string
		want    string // in the error; empty is no error
	}{
		{"nothing", plain, "", ""},
		{"as it should be", plain, "+a -b c>d d>c", ""},
		{"a tag that is too long is not added", plain, "+a +12345678901", `"12345678901"`},
		{"nor a new name", plain, "a>12345678901", `"12345678901"`},
		{"but it may be taken off, as it may be there from former times", plain, "-12345678901 12345678902>a", ""},
		{"what is hidden is not touched", pairs, "-ml.user", `"ml.user"`},
		{"in no way", pairs, "ml.user>a", `"ml.user"`},
		{"be it added", pairs, "+ml.user=a", `"ml.user=a"`},
		{"what is no tag", pairs, "-=v", `remove: tag "=v"`},
		{"or an empty one", plain, "a>", "rename to: a tag is empty"},
		{"one way of two", plain, "+a -a", `"a" is both added and removed`},
		{"also where it is written in two ways", pairs, "+k -k=True", `"k" is both added and removed`},
		{"a value may be removed and another one added", pairs, "+k=v -k -k=w", ""},
		{"a run has one value for a key", pairs, "+k=v +k=w", `"k=v" and "k=w" are both added`},
		{"whatever is beside them", pairs, "+k=v +k +k=w", `"k=v" and "k=w" are both added`},
		{"one of which the bare tag is no other", pairs, "+k +k=v +k", ""},
		{"plain tags are no pairs", plain, "+k=v +k=w", ""},
		{"a name is given once", plain, "a>b a>c", `"a" is renamed twice`},
		{"to something else", pairs, "k>k=true", `"k" is renamed to itself`},
		{"and not to what goes", plain, "a>b -a", `"a" is both removed and renamed`},
	}
	for _, c := range cases {
		err := Check(c.dialect, change(c.change))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q: %s", c.change, err, c.want, c.reason)
		}
	}
}

func TestWhatIsNoTagDoesNothing(t *testing.T) {
	// An empty tag is on some runs of W&B, and nobody can name it.
	for i, d := range []tags.Dialect{plain, pairs, plain, pairs} {
		on := tags.Set{"": "", "a": ""}
		if i > 1 {
			delete(on, "")
		}
		c := Change{Add: []string{"", "\xff"}, Remove: []string{"", "\xff"}, Rename: []Rename{{From: "", To: "b"}, {From: "\xff", To: "c"}, {From: "a", To: ""}}}
		if got := Plan(d, on, c, free); !got.Edit.Empty() || len(got.Skipped) > 0 {
			t.Errorf("%s: %+v", d.Tracker, got)
		}
	}
}

func TestEmpty(t *testing.T) {
	for _, s := range []string{"+a", "-a", "a>b"} {
		if change(s).Empty() {
			t.Errorf("%q is empty", s)
		}
	}
	if !change("").Empty() {
		t.Error("nothing is not empty")
	}
}

func TestReasonsSayWhatToDo(t *testing.T) {
	for _, r := range []Reason{Declared, Excluded, Exclusive, Policy} {
		if s := r.Sentence(); s == string(r) || !strings.Contains(s, ": ") {
			t.Errorf("%s says %q", r, s)
		}
	}
}
