package rules_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/rules"
)

// at is a second of the day on which all tests play.
func at(seconds int) time.Time {
	return time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC).Add(time.Duration(seconds) * time.Second)
}

func compile(t testing.TB, spec rules.Spec) *rules.Program {
	t.Helper()
	p, err := rules.Compile(spec)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// link makes a pod that is alive from a time on, on a node of its own.
func link(name string, from int, edit ...func(*rules.Linked)) rules.Linked {
	l := rules.Linked{
		Pod:    &evidence.Pod{UID: types.UID("uid-" + name), Namespace: "team-a", Name: name, NodeName: "node-" + name, Phase: "Running", StartedAt: at(from)},
		Node:   &evidence.Node{UID: types.UID("uid-node-" + name), Name: "node-" + name, Labels: evidence.TextsOf(map[string]string{"zone": "a"})},
		Direct: true, Live: true, From: at(from),
	}
	for _, e := range edit {
		e(&l)
	}
	return l
}

func spot(l *rules.Linked) {
	l.Node.Labels = evidence.TextsOf(map[string]string{"zone": "b", "spot": "true"})
}

func unseen(l *rules.Linked) { l.Node = nil }

func gang(l *rules.Linked) { l.Direct = false }

func until(seconds int) func(*rules.Linked) {
	return func(l *rules.Linked) { l.Live, l.Until = false, at(seconds) }
}

// over ends the pod and with it the link.
func over(seconds int) func(*rules.Linked) {
	return func(l *rules.Linked) {
		l.Live, l.Until, l.Pod.EndedAt, l.Pod.Phase, l.Pod.Reason = false, at(seconds), at(seconds), "Failed", "Evicted"
	}
}

func disrupted(reason string, seconds int) func(*rules.Linked) {
	return func(l *rules.Linked) {
		l.Pod.Conditions = append(l.Pod.Conditions, evidence.Condition{Type: "DisruptionTarget", Status: "True", Reason: reason, At: at(seconds)})
	}
}

func tainted(key string, seconds int) func(*rules.Linked) {
	return func(l *rules.Linked) {
		l.Node.Taints = append(l.Node.Taints, evidence.Taint{Key: key, Value: "v", At: at(seconds)})
	}
}

func faulty(kind string, seconds int) func(*rules.Linked) {
	return func(l *rules.Linked) {
		l.Node.Conditions = append(l.Node.Conditions, evidence.Condition{Type: kind, Status: "True", Reason: "Because", At: at(seconds)})
	}
}

func input(links ...rules.Linked) rules.Input {
	return rules.Input{
		Run: rules.Facts{ID: "3f9a1c", State: "running", Attempts: 2, CreatedAt: at(0), Summary: map[string]float64{
			"loss": math.NaN(), "grad": math.Inf(1), "val/loss": 0.05,
		}},
		Labels: map[string]string{"team": "vision"}, Tags: []string{"debug"},
		Namespace: rules.Namespace{Name: "team-a", Labels: map[string]string{"owner": "research"}, Annotations: map[string]string{"cost": "42"}},
		Pods:      links,
	}
}

func ended(in rules.Input) rules.Input {
	in.Ended, in.Run.State, in.Run.FinishedAt = true, "finished", at(1000)
	return in
}

func TestEvalOutcome(t *testing.T) {
	const onSpot, allSpot, none = `nodes.exists(n, n.label("spot") == "true")`, `nodes.all(n, n.label("spot") == "true")`, `!pods.exists(p, p.condition("DisruptionTarget") == "True")`
	for _, c := range []struct {
		reason    string
		when      string
		retention rules.Retention
		in        rules.Input
		want      rules.Outcome
	}{
		{"a node says that it is a spot node", onSpot, "", input(link("a", 0, spot)), rules.True},
		{"a node that does not is none", onSpot, "", input(link("a", 0)), rules.False},
		{"without pods nothing is known of nodes", onSpot, "", input(), rules.NoInput},
		{"all of none is no fact", allSpot, "", input(), rules.NoInput},
		{"neither is none of none", none, "", input(), rules.NoInput},
		{"a pod that has no node yet leaves its nodes unknown", allSpot, "",
			input(link("a", 0, unseen, func(l *rules.Linked) { l.Pod.NodeName = "" })), rules.NoInput},
		{"a live pod's node that is not cached is waited for", allSpot, "", input(link("a", 0, unseen), link("b", 0, spot)), rules.NoInput},
		{"a node that was never seen while its pod lived will not be", allSpot, "", input(link("a", 10, spot), link("b", 0, unseen, over(5))), rules.True},
		{"what a pod itself proves waits for no node",
			`pods.exists(p, p.conditionReason("DisruptionTarget") == "PreemptionByScheduler") || ` + onSpot, "",
			input(link("a", 0, unseen, disrupted("PreemptionByScheduler", 9))), rules.True},
		{"what the run itself proves waits for no pod", `run.attempts > 1 || ` + onSpot, "", input(), rules.True},
		{"a run that was not observed yet is no input", `run.state != "finished"`, "", rules.Input{}, rules.NoInput},
		{"neither are its tags", `!("debug" in tags)`, "", rules.Input{}, rules.NoInput},
		{"the namespace is known before the run is", `namespace.name == ""`, "", rules.Input{}, rules.True},
		{"a metric that is missing is no input", `run.summary["acc"] > 0.9`, "", input(), rules.NoInput},
		{"one that may be missing can be asked for", `run.hasSummary("acc") && run.summary["acc"] > 0.9`, "", input(), rules.False},
		{"a metric passes a threshold", `run.summary["val/loss"] < 0.1`, "", input(), rules.True},
		{"NaN is nothing, itself least of all", `run.summary["loss"] != run.summary["loss"]`, "", input(), rules.True},
		{"NaN is neither below nor above a threshold", `run.summary["loss"] < 0.1`, "", input(), rules.NoInput},
		{"NaN has a name", `isNaN(run.summary["loss"]) && !isNaN(run.summary["val/loss"])`, "", input(), rules.True},
		{"so has infinity", `isInf(run.summary["grad"]) && !isInf(run.summary["loss"])`, "", input(), rules.True},
		{"an error is no input", `labels["owner"] == "x"`, "", input(), rules.NoInput},
		{"an index that there is not is no input", `pods[1].name == "x"`, "", input(link("a", 0)), rules.NoInput},
		{"a sum that does not fit is no input", `run.attempts + 9223372036854775807 > 0`, "", input(), rules.NoInput},
		{"helpers don't fail on what is absent",
			`pods.all(p, p.label("x") == "" && !p.hasLabel("x") && p.annotation("x") == "" && p.condition("x") == "" && p.conditionReason("x") == "" && p.conditionTime("x") == timestamp(0)) &&
				nodes.all(n, n.taint("x") == "" && !n.hasTaint("x") && n.label("x") == "" && n.conditionTime("x") == timestamp(0)) && namespace.label("x") == "" && run.finishedAt == timestamp(0)`, "",
			input(link("a", 0)), rules.True},
		{"a namespace has labels and annotations", `namespace.label("owner") == "research" && namespace.hasLabel("owner") && namespace.annotation("cost") == "42"`, "", input(), rules.True},
		{"a rule that is no longer so is false as long as it has pods", onSpot, rules.WhileTrue, input(link("a", 0)), rules.False},
		{"WhileTrue goes by pods that live", onSpot, rules.WhileTrue, input(link("b", 10), link("a", 0, spot, over(9))), rules.False},
		{"Sticky goes by all", onSpot, rules.Sticky, input(link("b", 10), link("a", 0, spot, over(9))), rules.True},
		{"no pod that lives, none that WhileTrue goes by", none, rules.WhileTrue, input(link("a", 0, over(9))), rules.False},
		{"a finished run has no live pods", none, rules.WhileTrue, ended(input(link("a", 0))), rules.False},
		{"nor has one of which no pod is known", onSpot, rules.WhileTrue, ended(input()), rules.False},
		{"no pod of a run that goes on is known: nothing changes", onSpot, rules.WhileTrue, input(), rules.NoInput},
		{"a rule that reads no pods does not care that the run ended", `run.state == "finished"`, rules.WhileTrue, ended(input()), rules.True},
		{"a Workload alone is enough", `workloads.exists(w, w.conditionReason("Evicted") == "Preempted") || ` + onSpot, "",
			func() rules.Input {
				in := input()
				in.Workloads = []*evidence.Workload{{UID: "w", Name: "job-a", Conditions: []evidence.Condition{{Type: "Evicted", Status: "True", Reason: "Preempted"}}}}
				return in
			}(), rules.True},
		{"what became of the Workload after the run's time is not the run's", `workloads.exists(w, w.conditionReason("Evicted") == "Preempted")`, "",
			func() rules.Input {
				in := input(link("a", 0, over(9)))
				in.Workloads = []*evidence.Workload{{UID: "w", Conditions: []evidence.Condition{{Type: "Evicted", Status: "True", Reason: "Preempted", At: in.Pods[0].Until.Add(time.Minute)}}}}
				return in
			}(), rules.False},
		{"without pods nothing is known of Workloads", `workloads.all(w, w.condition("Evicted") == "")`, "", input(), rules.NoInput},
		{"pods without a Workload have none", `workloads.exists(w, w.condition("Evicted") == "True")`, "", input(link("a", 0)), rules.False},
		{"what grows out of hand ends the evaluation, not the operator",
			`[run.id + run.id + run.id + run.id + run.id + run.id + run.id + run.id].exists(a, [a+a+a+a+a+a+a+a].exists(b, [b+b+b+b+b+b+b+b].exists(c, [c+c+c+c+c+c+c+c].exists(d, d.replace("3", d) != ""))))`, "",
			input(), rules.NoInput},
	} {
		t.Run(c.reason, func(t *testing.T) {
			v := compile(t, rules.Spec{When: c.when, Retention: c.retention}).Eval(c.in)
			if v.Outcome != c.want {
				t.Errorf("got %+v, want outcome %d", v, c.want)
			}
			if v.Outcome == rules.NoInput && v.Why == "" {
				t.Error("nobody is told why there was no input")
			}
		})
	}
}

func TestEvalCostLimit(t *testing.T) {
	var links []rules.Linked
	for i := range 1200 {
		links = append(links, link(fmt.Sprint("p", i), i, over(i+1)))
	}
	v := compile(t, rules.Spec{When: `pods.all(p, pods.all(q, q.name != p.node))`}).Eval(input(links...))
	if v.Outcome != rules.NoInput || !strings.Contains(v.Why, "cost limit exceeded") {
		t.Errorf("over a million comparisons were made: %+v", v)
	}
	if v := compile(t, rules.Spec{When: `nodes.exists(n, n.label("spot") == "true")`}).Eval(input(links...)); v.Outcome != rules.False {
		t.Errorf("a rule that goes through 1200 nodes once is affordable: %+v", v)
	}
}

// What happened outside a link is not to be seen; what is so all the time is.
func TestEvalEventsOutsideLink(t *testing.T) {
	const podEvent, nodeEvent, taint = `pods.exists(p, p.condition("DisruptionTarget") == "True")`, `nodes.exists(n, n.condition("XIDErrors") == "True")`, `nodes.exists(n, n.hasTaint("itn") && n.taint("itn") == "v")`
	for _, c := range []struct {
		reason string
		when   string
		links  []rules.Linked
		want   rules.Outcome
	}{
		{"an eviction within the link", podEvent, []rules.Linked{link("a", 0, disrupted("E", 50), until(60))}, rules.True},
		{"one as late as clocks may differ", podEvent, []rules.Linked{link("a", 0, disrupted("E", 65), until(60))}, rules.True},
		{"one after the run had ended", podEvent, []rules.Linked{link("a", 0, disrupted("E", 66), until(60))}, rules.False},
		{"one before the link, which stands when it begins", podEvent, []rules.Linked{link("a", 20, disrupted("E", 10))}, rules.True},
		{"one while the link stands", podEvent, []rules.Linked{link("a", 0, disrupted("E", 5000))}, rules.True},
		{"a later condition of the same type hides no earlier one that was true", podEvent, []rules.Linked{link("a", 0, func(l *rules.Linked) {
			l.Pod.Conditions = []evidence.Condition{{Type: "DisruptionTarget", Status: "False", At: at(70)}, {Type: "DisruptionTarget", Status: "True", At: at(40)}}
		})}, rules.True},
		{"a node's fault within the link", nodeEvent, []rules.Linked{link("a", 0, faulty("XIDErrors", 50), until(60))}, rules.True},
		{"a node's fault after it", nodeEvent, []rules.Linked{link("a", 0, faulty("XIDErrors", 66), until(60))}, rules.False},
		{"a taint within the link", taint, []rules.Linked{link("a", 0, tainted("itn", 50), until(60))}, rules.True},
		{"a taint after it", taint, []rules.Linked{link("a", 0, tainted("itn", 66), until(60))}, rules.False},
		{"a label whose time nobody knows", `nodes.exists(n, n.label("spot") == "true")`, []rules.Linked{link("a", 0, spot, until(60))}, rules.True},
		{"the end of a pod that made another run after this one",
			`pods.exists(p, p.phase == "Failed" || p.reason == "Evicted")`, []rules.Linked{link("a", 0, over(500), until(60))}, rules.False},
		{"the end of a pod that was the end of the run",
			`pods.exists(p, p.phase == "Failed" && p.reason == "Evicted")`, []rules.Linked{link("a", 0, over(60))}, rules.True},
		{"a shared node that one of its links shows with a taint", taint, func() []rules.Linked {
			first, second := link("a", 0, tainted("itn", 50), until(40)), link("b", 0, until(60))
			second.Node = first.Node
			return []rules.Linked{first, second}
		}(), rules.True},
		{"a shared node whose newest sight counts first",
			`nodes.exists(n, n.label("spot") == "true" && n.condition("XIDErrors") == "False" && n.hasTaint("itn")) && size(nodes) == 1`, func() []rules.Linked {
				old, young := link("a", 0, tainted("itn", 50), faulty("XIDErrors", 30), until(60)), link("b", 0, spot)
				young.Node.UID, young.Node.Seen = old.Node.UID, 2
				young.Node.Conditions = []evidence.Condition{{Type: "XIDErrors", Status: "False", At: at(55)}}
				return []rules.Linked{old, young}
			}(), rules.True},
		{"nodes are in the pods' order", `nodes.map(n, n.name) == ["node-b", "node-a"] && pods.map(p, p.node) == ["node-b", "node-a"]`,
			[]rules.Linked{link("b", 10), link("a", 0)}, rules.True},
	} {
		t.Run(c.reason, func(t *testing.T) {
			if v := compile(t, rules.Spec{When: c.when}).Eval(input(c.links...)); v.Outcome != c.want {
				t.Errorf("got %+v, want outcome %d", v, c.want)
			}
		})
	}
}

func TestEvalTags(t *testing.T) {
	for _, c := range []struct {
		reason, when, expression string
		want                     rules.Verdict
	}{
		{"sorted and without duplicates", `true`, `["b", "a", "b"]`, rules.Verdict{Tags: []string{"a", "b"}}},
		{"made of what the cluster knows", `true`, `nodes.map(n, "zone-" + n.label("zone"))`, rules.Verdict{Tags: []string{"zone-b"}}},
		{"no tag is dropped in silence", `true`, `["", " a", "b\n", "ok", "c\u0007d"]`,
			rules.Verdict{Tags: []string{"ok"}, Invalid: []string{`a tag is empty`, `tag " a" has a blank at its start or end`, `tag "b\n" has a blank at its start or end`, `tag "c\ad" has a control character`}}},
		{"an error leaves the rule's other tags alone", `true`, `[labels["nope"]]`, rules.Verdict{Why: "tagExpression gives no tags: no such key: nope"}},
		{"none is none", `true`, `["a"].filter(t, t == "b")`, rules.Verdict{}},
		{"sixteen and no more", `true`, `[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17].map(i, string(i + 100))`,
			rules.Verdict{Tags: strings.Fields("101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116"), Invalid: []string{"tagExpression gives 17 tags; the first 16 of them count"}}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			v := compile(t, rules.Spec{When: c.when, TagExpression: c.expression}).Eval(input(link("a", 0, spot)))
			c.want.Outcome, c.want.Evidence = rules.True, "true"
			if diff := cmp.Diff(c.want, v); diff != "" {
				t.Error(diff)
			}
		})
	}
	long := compile(t, rules.Spec{When: `true`, TagExpression: `["` + strings.Repeat("é", 251) + `", "` + strings.Repeat("é", 250) + `"]`}).Eval(input())
	if len(long.Tags) != 1 || len(long.Invalid) != 1 {
		t.Errorf("a tag has at most 250 characters: %+v", long)
	}
	if v := compile(t, rules.Spec{When: `false`, TagExpression: `["a"]`}).Eval(input()); v.Outcome != rules.False || v.Tags != nil {
		t.Errorf("a false rule has no tags: %+v", v)
	}
}
