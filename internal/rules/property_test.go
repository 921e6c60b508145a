package rules_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/rules"
)

// condition draws an expression over everything that rules read.
func condition(t *rapid.T, depth int) string {
	if depth > 0 {
		inner := func() string { return condition(t, depth-1) }
		switch rapid.IntRange(0, 4).Draw(t, "form") {
		case 0:
			return "!(" + inner() + ")"
		case 1:
			return "(" + inner() + " && " + inner() + ")"
		case 2:
			return "(" + inner() + " || " + inner() + ")"
		case 3:
			return "(" + inner() + " ? " + inner() + " : " + inner() + ")"
		}
	}
	return rapid.SampledFrom([]string{
		`"t0" in tags`, `"t1" in tags`, `size(tags) > 1`, `"team" in labels`, `labels["team"] == "vision"`, `labels["tag.runtag.dev/t0"] == ""`,
		`pods.exists(p, p.condition("DisruptionTarget") == "True")`, `pods.all(p, p.direct)`, `pods.exists(p, p.live)`, `size(pods) > 1`, `pods[1].name == "b"`,
		`nodes.exists(n, n.label("spot") == "true")`, `nodes.all(n, n.hasLabel("zone"))`, `nodes.exists(n, n.hasTaint("itn"))`,
		`workloads.exists(w, w.condition("Evicted") == "True")`, `workloads.all(w, w.name != "")`,
		`run.summary["loss"] < 0.1`, `isNaN(run.summary["loss"])`, `run.summary["loss"] != run.summary["loss"]`, `run.attempts > 1`, `run.state == "failed"`,
		`namespace.label("owner") == "research"`, `run.finishedAt > run.createdAt`,
	}).Draw(t, "atom")
}

func someTags(t *rapid.T, label string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"t0", "t1", "t2", "t3", "t4"}), 0, 3, rapid.ID).Draw(t, label)
}

func someSpec(t *rapid.T, key string) rules.Spec {
	s := rules.Spec{
		Key: key, When: condition(t, rapid.IntRange(0, 3).Draw(t, "depth")), Tags: someTags(t, "tags"),
		TagExpression: rapid.SampledFrom([]string{"", "", `tags.map(t, t + "x")`, `nodes.map(n, n.label("zone"))`, `["t0", "t1"].filter(t, !(t in tags))`}).Draw(t, "expression"),
		For:           time.Duration(rapid.SampledFrom([]int{0, 0, 5, 30}).Draw(t, "for")) * time.Second,
		Retention:     rapid.SampledFrom([]rules.Retention{rules.Sticky, rules.WhileTrue}).Draw(t, "retention"),
		Mode:          rapid.SampledFrom([]rules.Mode{rules.Enforce, rules.Enforce, rules.Enforce, rules.Report, rules.Suspend, rules.Retract}).Draw(t, "mode"),
	}
	return s
}

// someWorld draws a run that stands still.
func someWorld(t *rapid.T) rules.Input {
	in := rules.Input{
		Run: rules.Facts{
			ID: rapid.SampledFrom([]string{"", "x", "x", "x"}).Draw(t, "run"), State: rapid.SampledFrom([]string{"running", "failed"}).Draw(t, "state"),
			Attempts: rapid.IntRange(0, 3).Draw(t, "attempts"), CreatedAt: at(0),
		},
		Tags: someTags(t, "foreign"), Ended: rapid.Bool().Draw(t, "ended"),
		Namespace: rules.Namespace{Name: "n", Labels: map[string]string{"owner": rapid.SampledFrom([]string{"research", "x"}).Draw(t, "owner")}},
	}
	if rapid.Bool().Draw(t, "labelled") {
		in.Labels = map[string]string{"team": "vision"}
	}
	if rapid.Bool().Draw(t, "measured") {
		in.Run.Summary = map[string]float64{"loss": rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), 0.05, 3}).Draw(t, "loss")}
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "pods") {
		edits := []func(*rules.Linked){spot, gang, unseen, over(50), until(40), disrupted("E", 45), tainted("itn", 30)}
		chosen := rapid.SliceOfNDistinct(rapid.IntRange(0, len(edits)-1), 0, 3, rapid.ID).Draw(t, "pod")
		in.Pods = append(in.Pods, link(string(rune('c'-i)), 60-20*i, func(l *rules.Linked) {
			slices.Sort(chosen)
			slices.Reverse(chosen)
			for _, e := range chosen {
				if l.Node != nil || e == 1 || e == 3 || e == 4 || e == 5 {
					edits[e](l)
				}
			}
		}))
	}
	if rapid.Bool().Draw(t, "workload") {
		in.Workloads = []*evidence.Workload{{UID: "w", Name: "job", Conditions: []evidence.Condition{{Type: "Evicted", Status: "True", At: at(9)}}}}
	}
	return in
}

// TestPropertyStill: no set of rules over a world that stands still changes a tag twice. The world is what the caller
// shows: tags and labels without those that rules caused.
func TestPropertyStill(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		world := someWorld(t)
		var all []rules.Asked
		programs := make([]*rules.Program, rapid.IntRange(1, 6).Draw(t, "rules"))
		for i := range programs {
			spec := someSpec(t, fmt.Sprintf("TagRule/r%d", i))
			p, err := rules.Compile(spec)
			if err != nil {
				t.Fatalf("%s: %v", spec.When, err)
			}
			programs[i], all = p, append(all, rules.Asked{Spec: spec, Selected: true})
		}
		var facts []rules.Fact
		now, changes, on := at(100), map[string]int{}, map[string]bool{}
		for range 12 {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "later")) * time.Second)
			for i := range programs {
				all[i].Verdict = programs[i].Eval(world)
			}
			change := rules.Advance(rules.Situation{Facts: facts, Rules: all, Now: now})
			facts = change.Facts
			is := map[string]bool{}
			for _, f := range change.Declared {
				is[f.Tag] = true
			}
			for tag := range is {
				if !on[tag] {
					changes[tag]++
				}
			}
			for tag := range on {
				if !is[tag] {
					changes[tag]++
				}
			}
			on = is
		}
		for tag, n := range changes {
			if n > 1 {
				t.Fatalf("tag %s changed %d times under %+v", tag, n, all)
			}
		}
	})
}

// TestPropertyNoPods: a run of which no pod is known makes no rule over pods and nodes true or false.
func TestPropertyNoPods(t *testing.T) {
	atoms := []string{
		`nodes.all(n, n.label("spot") == "true")`, `nodes.exists(n, n.label("spot") == "true")`, `pods.exists(p, p.condition("DisruptionTarget") == "True")`,
		`pods.all(p, p.live)`, `size(pods) == 0`, `size(nodes) < 1`, `pods.map(p, p.name) == nodes.map(n, n.name)`,
	}
	rapid.Check(t, func(t *rapid.T) {
		when := rapid.SampledFrom(atoms).Draw(t, "atom")
		for range rapid.IntRange(0, 4).Draw(t, "depth") {
			other := rapid.SampledFrom(atoms).Draw(t, "atom")
			when = rapid.SampledFrom([]string{"!(" + when + ")", "(" + when + " && " + other + ")", "(" + when + " || " + other + ")", "(" + when + " ? " + other + " : " + when + ")"}).Draw(t, "form")
		}
		p, err := rules.Compile(rules.Spec{When: when})
		if err != nil {
			t.Fatal(err)
		}
		if v := p.Eval(input()); v.Outcome != rules.NoInput {
			t.Fatalf("%s: %+v", when, v)
		}
	})
}

// someVerdict draws what a rule may say.
func someVerdict(t *rapid.T) rules.Verdict {
	switch rapid.IntRange(0, 3).Draw(t, "verdict") {
	case 0:
		return no()
	case 1:
		return unclear()
	case 2:
		return computes(someTags(t, "computed")...)
	}
	return yes(rapid.SampledFrom([][]int{nil, {10}, {10, 30}, {30}, {15}}).Draw(t, "sources")...)
}

func someFact(t *rapid.T) rules.Fact {
	f := rules.Fact{
		Rule: rapid.SampledFrom([]string{"TagRule/r0", "TagRule/r1", "TagRule/r2", "ClusterTagRule/r0"}).Draw(t, "rule"),
		Tag:  rapid.SampledFrom([]string{"t0", "t1", "t2", "t3", "t4"}).Draw(t, "tag"), State: rapid.SampledFrom([]rules.State{rules.Pending, rules.Held, rules.Held, rules.Overruled}).Draw(t, "state"),
		First: at(rapid.IntRange(0, 50).Draw(t, "first")), Last: at(rapid.IntRange(0, 50).Draw(t, "last")), Count: rapid.IntRange(0, 3).Draw(t, "count"),
		Wiped: rapid.IntRange(0, 1).Draw(t, "wiped"), Source: "pod-10", Computed: rapid.Bool().Draw(t, "computed"), Sticky: rapid.Bool().Draw(t, "sticky"),
		Reason: rapid.SampledFrom([]string{"because", "because (rule deleted)"}).Draw(t, "reason"),
	}
	if rapid.Bool().Draw(t, "gone") {
		f.Gone = at(rapid.IntRange(0, 50).Draw(t, "since"))
	}
	return f
}

// someSituation draws any situation, also those that no history leads to.
func someSituation(t *rapid.T) rules.Situation {
	s := rules.Situation{
		Facts:    rapid.SliceOfNDistinct(rapid.Custom(someFact), 0, 6, func(f rules.Fact) string { return f.Rule + " " + f.Tag }).Draw(t, "facts"),
		Declared: someTags(t, "declared"), Refused: someTags(t, "refused"), Wiped: someTags(t, "wiped"), Now: at(rapid.IntRange(0, 400).Draw(t, "now")),
	}
	for _, key := range []string{"TagRule/r0", "TagRule/r1", "TagRule/r2", "ClusterTagRule/r0"} {
		if rapid.Bool().Draw(t, "there") {
			s.Rules = append(s.Rules, rules.Asked{
				Spec: someSpec(t, key), Verdict: someVerdict(t), Selected: rapid.IntRange(0, 3).Draw(t, "selected") > 0, Broken: rapid.IntRange(0, 5).Draw(t, "broken") == 0,
			})
		}
	}
	return s
}

func TestPropertyIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := someSituation(t)
		once := rules.Advance(s)
		s.Facts, s.Refused, s.Wiped = once.Facts, nil, nil
		if diff := cmp.Diff(once, rules.Advance(s)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestPropertyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := someSituation(t)
		mixed := s
		mixed.Rules = rapid.Permutation(s.Rules).Draw(t, "order of rules")
		mixed.Facts = rapid.Permutation(s.Facts).Draw(t, "order of facts")
		mixed.Refused = rapid.Permutation(s.Refused).Draw(t, "order of refused")
		if diff := cmp.Diff(rules.Advance(s), rules.Advance(mixed)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestPropertyInputUntouched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := someSituation(t)
		before := s
		before.Facts, before.Refused, before.Wiped = slices.Clone(s.Facts), slices.Clone(s.Refused), slices.Clone(s.Wiped)
		rules.Advance(s)
		if diff := cmp.Diff(before, s); diff != "" {
			t.Fatal(diff)
		}
	})
}

// TestPropertyNoInput: where there is nothing to go by, nothing changes, however long.
func TestPropertyNoInput(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := someSituation(t)
		before := rules.Advance(s)
		s.Facts, s.Refused, s.Wiped, s.Now = before.Facts, nil, nil, s.Now.Add(time.Hour)
		there := map[string]bool{}
		for i := range s.Rules {
			s.Rules[i].Verdict = unclear()
			there[s.Rules[i].Spec.Key] = true
		}
		after := rules.Advance(s)
		left := slices.DeleteFunc(before.Facts, func(f rules.Fact) bool {
			return !there[f.Rule] && !f.Sticky && f.State == rules.Held
		})
		if diff := cmp.Diff(left, after.Facts); diff != "" && len(left)+len(after.Facts) > 0 {
			t.Fatal(diff)
		}
	})
}

// TestPropertyOverruled: no rule declares, freezes or remembers otherwise a tag that is overruled.
func TestPropertyOverruled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rules.Advance(someSituation(t))
		overruled := map[string]int{}
		for _, f := range c.Facts {
			if f.State == rules.Overruled {
				overruled[f.Tag]++
			}
		}
		for _, f := range slices.Concat(c.Facts, c.Declared, c.Frozen) {
			if n := overruled[f.Tag]; n > 1 || n == 1 && f.State != rules.Overruled {
				t.Fatalf("%s is overruled %d times, and %s", f.Tag, n, f.State)
			}
		}
	})
}

// TestPropertyCompile: whatever people write, they get a program or a position.
func TestPropertyCompile(t *testing.T) {
	pieces := rapid.SampledFrom([]string{
		"pods", "nodes", "run", "tags", "labels", "namespace", "workloads", ".", ".exists(", ".all(", ".label(", ".condition(", ".summary", "(", ")", "[", "]", "{", "}", "n", "p", ",", " ", "\n", `"x"`, "'", `"`, `"""`, "r'", "//",
		"&&", "||", "!", "?", ":", "==", "in", "1", "1.0", "-", "+", "true", "has(", "dyn(", "size(", "é", "\x00", "\\", "isNaN(", "timestamp(0)", ".map(", ".split(", "Pod", "null",
	})
	rapid.Check(t, func(t *rapid.T) {
		source := strings.Join(rapid.SliceOfN(pieces, 0, 12).Draw(t, "pieces"), "")
		if rapid.IntRange(0, 3).Draw(t, "raw") == 0 {
			source = rapid.String().Draw(t, "text")
		}
		checkCompile(t, source)
	})
}

// checkCompile fails for an error without position, for one of many lines, and for a program that can't be asked.
func checkCompile(t interface{ Fatalf(string, ...any) }, source string) {
	p, err := rules.Compile(rules.Spec{When: source, TagExpression: `["x"]`})
	if err == nil {
		p.Eval(input(link("a", 0)))
		p.Explain(input())
		return
	}
	if wrong := new(rules.CompileError); !errors.As(err, &wrong) || wrong.Line < 1 || wrong.Column < 1 || wrong.Message == "" || strings.ContainsAny(err.Error(), "\n\r") {
		t.Fatalf("%q: %v", source, err)
	}
}

// FuzzCompile is TestPropertyCompile for a fuzzer.
func FuzzCompile(f *testing.F) {
	for _, source := range []string{
		`nodes.exists(n, n.label("cloud.google.com/gke-spot") == "true")`, `run.summary["val/loss"] < 0.1`, `namespace.label('namespace') == r"\" // namespace`,
		`pods.exists(p, p.condition("DisruptionTarget") == "True" && nodes.exists(n, n.name == p.node && n.hasTaint("x")))`, `"a".replace("a", "b").split("").all(c, c != "é")`, `[1, 2.0, "x"]`, "",
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) { checkCompile(t, source) })
}
