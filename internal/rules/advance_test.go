package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/rules"
)

// yes is a true verdict that pods proved at these seconds, each having begun ten seconds before.
func yes(sources ...int) rules.Verdict {
	v := rules.Verdict{Outcome: rules.True, Evidence: "the run says so"}
	for _, s := range sources {
		v.Source = fmt.Sprint("pod-", s)
		v.Evidence = "pod at " + fmt.Sprint(s)
		v.Sources = append(v.Sources, rules.Source{UID: v.Source, From: at(s - 10), At: at(s)})
	}
	return v
}

func no() rules.Verdict { return rules.Verdict{Outcome: rules.False} }

func unclear() rules.Verdict {
	return rules.Verdict{Outcome: rules.NoInput, Why: "not known yet: pods"}
}

func computes(tags ...string) rules.Verdict {
	v := yes(10)
	v.Tags = tags
	return v
}

// rule asks one that is enforced, sticky, selects the run and gives the tag named like it.
func rule(name string, v rules.Verdict, edit ...func(*rules.Asked)) rules.Asked {
	a := rules.Asked{
		Spec:     rules.Spec{Key: "TagRule/" + name, Tags: []string{name}, Retention: rules.Sticky, Mode: rules.Enforce},
		Selected: true, Verdict: v,
	}
	for _, e := range edit {
		e(&a)
	}
	return a
}

func whileTrue(a *rules.Asked)  { a.Spec.Retention = rules.WhileTrue }
func unselected(a *rules.Asked) { a.Selected = false }
func broken(a *rules.Asked)     { a.Broken, a.Verdict = true, rules.Verdict{} }
func expression(a *rules.Asked) { a.Spec.TagExpression = `[]` }

func mode(m rules.Mode) func(*rules.Asked) { return func(a *rules.Asked) { a.Spec.Mode = m } }

func wait(seconds int) func(*rules.Asked) {
	return func(a *rules.Asked) { a.Spec.For = time.Duration(seconds) * time.Second }
}

func tags(names ...string) func(*rules.Asked) {
	return func(a *rules.Asked) { a.Spec.Tags = names }
}

// pass is one look at a run.
type pass struct {
	at                       int
	rules                    []rules.Asked
	declared, refused, wiped []string
	// want has the facts as "rule:tag State count wiped", the declared and frozen tags, the unknown rules and what is due.
	facts, wantDeclared, frozen, unknown string
	due                                  int
}

func asked(all ...rules.Asked) []rules.Asked { return all }

func TestAdvance(t *testing.T) {
	for _, c := range []struct {
		reason string
		passes []pass
	}{
		{"true once is a fact about the run", []pass{
			{at: 0, rules: asked(rule("a", yes(0))), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 1, rules: asked(rule("a", no())), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 2, rules: asked(rule("a", unclear())), facts: "a:a Held 1", wantDeclared: "a"},
		}},
		{"WhileTrue goes when it no longer holds, and stays as long as that is not known", []pass{
			{at: 0, rules: asked(rule("a", yes(0), whileTrue)), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 1, rules: asked(rule("a", unclear(), whileTrue)), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 2, rules: asked(rule("a", no(), whileTrue))},
		}},
		{"what is false or not known finds nothing", []pass{
			{at: 0, rules: asked(rule("a", no()), rule("b", unclear()))},
		}},
		{"a rule waits for as long as it asks", []pass{
			{at: 0, rules: asked(rule("a", yes(0), wait(30))), facts: "a:a Pending 1", due: 30},
			{at: 20, rules: asked(rule("a", yes(0), wait(30))), facts: "a:a Pending 1", due: 30},
			{at: 30, rules: asked(rule("a", yes(0), wait(30))), facts: "a:a Held 1", wantDeclared: "a"},
		}},
		{"a break begins the wait anew", []pass{
			{at: 0, rules: asked(rule("a", yes(0), wait(30))), facts: "a:a Pending 1", due: 30},
			{at: 20, rules: asked(rule("a", no(), wait(30)))},
			{at: 25, rules: asked(rule("a", yes(0), wait(30))), facts: "a:a Pending 1", due: 55},
		}},
		{"not knowing is no break, and no end of the wait either", []pass{
			{at: 0, rules: asked(rule("a", yes(0), wait(30))), facts: "a:a Pending 1", due: 30},
			{at: 20, rules: asked(rule("a", unclear(), wait(30))), facts: "a:a Pending 1"},
			{at: 40, rules: asked(rule("a", unclear(), wait(30))), facts: "a:a Pending 1"},
			{at: 41, rules: asked(rule("a", yes(0), wait(30))), facts: "a:a Held 1", wantDeclared: "a"},
		}},
		{"three preemptions in three pods are three", []pass{
			{at: 90, rules: asked(rule("a", yes(90))), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 190, rules: asked(rule("a", yes(90, 190))), facts: "a:a Held 2", wantDeclared: "a"},
			{at: 200, rules: asked(rule("a", yes(190))), facts: "a:a Held 2", wantDeclared: "a"},
			{at: 290, rules: asked(rule("a", yes(90, 190, 290))), facts: "a:a Held 3", wantDeclared: "a"},
		}},
		{"they are three if they are seen at once", []pass{
			{at: 500, rules: asked(rule("a", yes(90, 190, 290))), facts: "a:a Held 3", wantDeclared: "a"},
			{at: 501, rules: asked(rule("a", yes(290))), facts: "a:a Held 3", wantDeclared: "a"},
		}},
		{"another pod of the gang that began before is not new, earlier or later", []pass{
			{at: 90, rules: asked(rule("a", yes(90))), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 95, rules: asked(rule("a", yes(95))), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 96, rules: asked(rule("a", yes(85))), facts: "a:a Held 1", wantDeclared: "a"},
		}},
		{"rules that select the run no more keep what is a fact and lose the rest", []pass{
			{at: 0, rules: asked(rule("a", yes(0)), rule("b", yes(0), whileTrue), rule("c", yes(0), wait(30))), facts: "a:a Held 1, b:b Held 1, c:c Pending 1", wantDeclared: "a b", due: 30},
			{at: 1, rules: asked(rule("a", yes(0), unselected), rule("b", yes(0), whileTrue, unselected), rule("c", yes(0), wait(30), unselected)), facts: "a:a Held 1", wantDeclared: "a"},
		}},
		{"a rule that selects it for the first time finds nothing while it does not", []pass{
			{at: 0, rules: asked(rule("a", yes(0), unselected))},
		}},
		{"changing tags replaces what the rule set, also of what is known no more", []pass{
			{at: 0, rules: asked(rule("a", yes(0), tags("x", "y"))), facts: "a:x Held 1, a:y Held 1", wantDeclared: "x y"},
			{at: 1, rules: asked(rule("a", unclear(), tags("y", "z"))), facts: "a:y Held 1, a:z Held 1", wantDeclared: "y z"},
			{at: 2, rules: asked(rule("a", no(), tags("z"), unselected)), facts: "a:z Held 1", wantDeclared: "z"},
		}},
		{"tagExpression keeps its latest result that was not empty", []pass{
			{at: 10, rules: asked(rule("a", computes("x"), tags(), expression)), facts: "a:x Held 1 computed", wantDeclared: "x"},
			{at: 11, rules: asked(rule("a", computes(), tags(), expression)), facts: "a:x Held 1 computed", wantDeclared: "x"},
			{at: 12, rules: asked(rule("a", unclear(), tags(), expression)), facts: "a:x Held 1 computed", wantDeclared: "x"},
			{at: 13, rules: asked(rule("a", computes("y", "z"), tags(), expression)), facts: "a:y Held 1 computed, a:z Held 1 computed", wantDeclared: "y z"},
			{at: 14, rules: asked(rule("a", computes("y"), tags("b"))), facts: "a:b Held 1", wantDeclared: "b"},
		}},
		{"a tag that is given twice is one", []pass{
			{at: 10, rules: asked(rule("a", computes("a", "b"), expression)), facts: "a:a Held 1, a:b Held 1 computed", wantDeclared: "a b"},
		}},
		{"Sticky that becomes WhileTrue goes with its truth", []pass{
			{at: 0, rules: asked(rule("a", yes(0))), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 1, rules: asked(rule("a", unclear(), whileTrue)), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 2, rules: asked(rule("a", no(), whileTrue))},
		}},
		{"a refused tag is overruled for every rule, present or future, until somebody declares it", []pass{
			{at: 0, rules: asked(rule("a", yes(0), tags("x")), rule("b", yes(0), tags("x", "y"))), facts: "a:x Held 1, b:x Held 1, b:y Held 1", wantDeclared: "x x y"},
			{at: 1, rules: asked(rule("a", yes(0), tags("x")), rule("b", yes(0), tags("x", "y"))), refused: []string{"x"}, facts: "a:x Overruled 1, b:y Held 1", wantDeclared: "y"},
			{at: 2, rules: asked(rule("c", yes(0), tags("x"))), facts: "a:x Overruled 1, b:y Held 1 (rule deleted)", wantDeclared: "y"},
			{at: 3, rules: asked(rule("a", no(), tags("x")), rule("c", no(), tags("x"))), declared: []string{"x"}, facts: "a:x Held 1, b:y Held 1 (rule deleted)", wantDeclared: "x y"},
			{at: 4, rules: asked(rule("a", no(), tags("x")), rule("c", no(), tags("x"))), facts: "a:x Held 1, b:y Held 1 (rule deleted)", wantDeclared: "x y"},
		}},
		{"a tag that a rule is about to hold can be refused, and has never been found", []pass{
			{at: 0, rules: asked(rule("a", yes(0), wait(30))), facts: "a:a Pending 1", due: 30},
			{at: 1, rules: asked(rule("a", yes(0), wait(30))), refused: []string{"a"}, facts: "a:a Overruled"},
			{at: 60, rules: asked(rule("a", yes(0), wait(30))), facts: "a:a Overruled"},
			{at: 61, rules: asked(rule("a", unclear(), wait(30))), declared: []string{"a"}},
		}},
		{"a WhileTrue tag that is wanted again comes when it is true", []pass{
			{at: 0, rules: asked(rule("a", yes(0), whileTrue)), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 1, rules: asked(rule("a", yes(0), whileTrue)), refused: []string{"a"}, facts: "a:a Overruled 1"},
			{at: 2, rules: asked(rule("a", no(), whileTrue)), declared: []string{"a"}},
			{at: 3, rules: asked(rule("a", yes(0), whileTrue)), facts: "a:a Held 1", wantDeclared: "a"},
		}},
		{"a tag that no rule gives can't be overruled", []pass{
			{at: 0, rules: asked(rule("a", yes(0))), refused: []string{"b"}, facts: "a:a Held 1", wantDeclared: "a"},
		}},
		{"a tag that spec declares is not overruled by taking its label off", []pass{
			{at: 0, rules: asked(rule("a", yes(0))), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 1, rules: asked(rule("a", yes(0))), refused: []string{"a"}, declared: []string{"a"}, facts: "a:a Held 1", wantDeclared: "a"},
		}},
		{"a tag that is taken off an ended run twice is not wanted", []pass{
			{at: 0, rules: asked(rule("a", yes(0))), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 1, rules: asked(rule("a", yes(0))), wiped: []string{"a"}, facts: "a:a Held 1 wiped 1", wantDeclared: "a"},
			{at: 2, rules: asked(rule("a", yes(0))), wiped: []string{"a"}, declared: []string{"a"}, facts: "a:a Held 1 wiped 1", wantDeclared: "a"},
			{at: 3, rules: asked(rule("a", yes(0))), wiped: []string{"a"}, facts: "a:a Overruled 1 wiped 2"},
			{at: 4, rules: asked(rule("a", no())), declared: []string{"a"}, facts: "a:a Held 1", wantDeclared: "a"},
		}},
		{"Report and Suspend freeze what is held, drop nothing of it and add nothing", []pass{
			{at: 0, rules: asked(rule("a", yes(0), whileTrue), rule("b", yes(0), wait(9))), facts: "a:a Held 1, b:b Pending 1", wantDeclared: "a", due: 9},
			{at: 10, rules: asked(rule("a", no(), whileTrue, mode(rules.Report)), rule("b", yes(0), wait(9), mode(rules.Suspend)), rule("c", yes(0), mode(rules.Report))), facts: "a:a Held 1", frozen: "a"},
			{at: 11, rules: asked(rule("a", no(), whileTrue, mode(rules.Suspend), tags("x"))), facts: "a:a Held 1", frozen: "a"},
			{at: 12, rules: asked(rule("a", no(), whileTrue))},
		}},
		{"a suspended rule that is deleted leaves a fact about the run", []pass{
			{at: 0, rules: asked(rule("a", yes(0))), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 1, rules: asked(rule("a", yes(0), mode(rules.Suspend))), facts: "a:a Held 1", frozen: "a"},
			{at: 2, facts: "a:a Held 1 (rule deleted)", wantDeclared: "a"},
		}},
		{"Retract takes back all but what people decided", []pass{
			{at: 0, rules: asked(rule("a", yes(0), tags("x", "y"))), facts: "a:x Held 1, a:y Held 1", wantDeclared: "x y"},
			{at: 1, rules: asked(rule("a", yes(0), tags("x", "y"))), refused: []string{"y"}, facts: "a:x Held 1, a:y Overruled 1", wantDeclared: "x"},
			{at: 2, rules: asked(rule("a", yes(0), tags("x", "y"), mode(rules.Retract))), facts: "a:y Overruled 1"},
		}},
		{"a rule that does not compile keeps what it set, as it was", []pass{
			{at: 0, rules: asked(rule("a", yes(0), whileTrue), rule("b", yes(0), wait(30))), facts: "a:a Held 1, b:b Pending 1", wantDeclared: "a", due: 30},
			{at: 40, rules: asked(rule("a", no(), whileTrue, tags("x"), broken), rule("b", no(), wait(30), broken)), facts: "a:a Held 1, b:b Pending 1", wantDeclared: "a", unknown: "TagRule/a TagRule/b"},
			{at: 41, rules: asked(rule("a", no(), whileTrue, broken, unselected))},
		}},
		{"broken or not, Suspend freezes and Retract takes back", []pass{
			{at: 0, rules: asked(rule("a", yes(0)), rule("b", yes(0))), facts: "a:a Held 1, b:b Held 1", wantDeclared: "a b"},
			{at: 1, rules: asked(rule("a", no(), broken, mode(rules.Suspend)), rule("b", no(), broken, mode(rules.Retract))), facts: "a:a Held 1", frozen: "a"},
		}},
		{"what a deleted Sticky rule found stays, and a rule made again finds it", []pass{
			{at: 0, rules: asked(rule("a", yes(0))), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 1, facts: "a:a Held 1 (rule deleted)", wantDeclared: "a"},
			{at: 999999, facts: "a:a Held 1 (rule deleted)", wantDeclared: "a"},
			{at: 1000000, rules: asked(rule("a", unclear())), facts: "a:a Held 1", wantDeclared: "a"},
		}},
		{"a deleted WhileTrue rule has five minutes to come back", []pass{
			{at: 0, rules: asked(rule("a", yes(0), whileTrue)), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 1, facts: "a:a Held 1", wantDeclared: "a", due: 301},
			{at: 300, facts: "a:a Held 1", wantDeclared: "a", due: 301},
			{at: 300, rules: asked(rule("a", yes(0), whileTrue)), facts: "a:a Held 1", wantDeclared: "a"},
			{at: 301, facts: "a:a Held 1", wantDeclared: "a", due: 601},
			{at: 601},
		}},
		{"what a deleted rule was waiting for is over", []pass{
			{at: 0, rules: asked(rule("a", yes(0), wait(30))), facts: "a:a Pending 1", due: 30},
			{at: 1},
		}},
		{"the nearest of what is due is said", []pass{
			{at: 0, rules: asked(rule("a", yes(0), wait(30)), rule("b", yes(0), wait(20)), rule("c", yes(0), wait(40))), facts: "a:a Pending 1, b:b Pending 1, c:c Pending 1", due: 20},
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			var facts []rules.Fact
			for i, p := range c.passes {
				got := rules.Advance(rules.Situation{Facts: facts, Rules: p.rules, Declared: p.declared, Refused: p.refused, Wiped: p.wiped, Now: at(p.at)})
				facts = got.Facts
				want := []string{p.facts, p.wantDeclared, p.frozen, p.unknown, fmt.Sprint(p.due)}
				if diff := cmp.Diff(want, described(got)); diff != "" {
					t.Fatalf("pass %d:\n%s", i, diff)
				}
			}
		})
	}
}

func described(c rules.Change) []string {
	var facts []string
	for _, f := range c.Facts {
		text := fmt.Sprintf("%s:%s %s", strings.TrimPrefix(f.Rule, "TagRule/"), f.Tag, f.State)
		if f.Count > 0 {
			text += fmt.Sprint(" ", f.Count)
		}
		if f.Wiped > 0 {
			text += fmt.Sprint(" wiped ", f.Wiped)
		}
		if f.Computed {
			text += " computed"
		}
		if strings.HasSuffix(f.Reason, " (rule deleted)") {
			text += " (rule deleted)"
		}
		facts = append(facts, text)
	}
	due := 0
	if !c.Due.IsZero() {
		due = int(c.Due.Sub(at(0)).Seconds())
	}
	return []string{strings.Join(facts, ", "), names(c.Declared), names(c.Frozen), strings.Join(c.Unknown, " "), fmt.Sprint(due)}
}

func names(facts []rules.Fact) string {
	var out []string
	for _, f := range facts {
		out = append(out, f.Tag)
	}
	return strings.Join(out, " ")
}

func TestAdvanceFact(t *testing.T) {
	local := time.FixedZone("CET", 3600)
	s := rules.Situation{Rules: asked(rule("a", yes(5))), Now: at(9).Add(300 * time.Millisecond).In(local)}
	want := []rules.Fact{{
		Rule: "TagRule/a", Tag: "a", State: rules.Held, First: at(9), Last: at(5), Count: 1, Reason: "pod at 5", Source: "pod-5", Sticky: true,
	}}
	got := rules.Advance(s)
	if diff := cmp.Diff(want, got.Facts); diff != "" {
		t.Errorf("times are whole seconds in UTC, First by our clock and Last by the cluster's:\n%s", diff)
	}
	s.Facts, s.Rules = got.Facts, asked(rule("a", yes(4)))
	if diff := cmp.Diff(want, rules.Advance(s).Facts); diff != "" {
		t.Errorf("the reason flips between pods of one gang:\n%s", diff)
	}
	s.Rules = asked(rule("a", yes(5, 105)))
	want[0].Last, want[0].Count, want[0].Reason, want[0].Source = at(105), 2, "pod at 105", "pod-105"
	if diff := cmp.Diff(want, rules.Advance(s).Facts); diff != "" {
		t.Errorf("what is new is told:\n%s", diff)
	}
}

func TestAdvanceBound(t *testing.T) {
	s := rules.Situation{Now: at(100)}
	for i := range 200 {
		s.Rules = append(s.Rules, rule(fmt.Sprintf("s%03d", i), yes(0)), rule(fmt.Sprintf("p%03d", i), yes(0), wait(30)))
	}
	got := rules.Advance(s)
	if len(got.Facts) != 256 || len(got.Declared) != 200 {
		t.Errorf("of 400 facts %d are kept and %d declared: what waits goes first", len(got.Facts), len(got.Declared))
	}
	s.Facts = got.Facts
	if diff := cmp.Diff(got, rules.Advance(s)); diff != "" {
		t.Errorf("what there is no room for comes and goes:\n%s", diff)
	}
	for i := range 100 {
		s.Rules = append(s.Rules, rule(fmt.Sprintf("a%03d", i), yes(0)))
	}
	s.Now, s.Facts = at(101), got.Facts
	full := rules.Advance(s)
	if len(full.Facts) != 256 || len(full.Declared) != 256 {
		t.Errorf("of 300 that are held %d are declared", len(full.Declared))
	}
	for _, f := range got.Declared {
		if !strings.Contains(names(full.Declared), f.Tag) {
			t.Errorf("%s, which was held before, gave way to a younger one", f.Tag)
		}
	}
}
