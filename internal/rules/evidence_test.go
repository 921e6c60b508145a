package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/rules"
)

func TestEvidence(t *testing.T) {
	for _, c := range []struct {
		reason, when string
		links        []rules.Linked
		want         string
	}{
		{"the pod, its node and the label", `nodes.exists(n, n.label("spot") == "true")`, []rules.Linked{link("a", 0, spot)}, "pod a on node node-a: spot=true"},
		{"only what is true of several signs", `nodes.exists(n, n.label("gke") == "true" || n.hasLabel("spot") || n.label("zone") == "b")`, []rules.Linked{link("a", 0, spot)}, "pod a on node node-a: spot=true"},
		{"a reason instead of the status", `pods.exists(p, p.condition("DisruptionTarget") == "True" && p.conditionReason("DisruptionTarget") == "PreemptionByScheduler")`,
			[]rules.Linked{link("a", 0, disrupted("PreemptionByScheduler", 9))}, "pod a on node node-a: DisruptionTarget=PreemptionByScheduler"},
		{"the status where there is no reason", `nodes.exists(n, n.condition("XIDErrors") == "True")`, []rules.Linked{link("a", 0, faulty("XIDErrors", 9))}, "pod a on node node-a: XIDErrors=True"},
		{"a pod and its node together", `pods.exists(p, p.condition("DisruptionTarget") == "True" && nodes.exists(n, n.name == p.node && n.label("spot") == "true"))`,
			[]rules.Linked{link("b", 20), link("a", 0, spot, disrupted("E", 9))}, "pod a on node node-a: DisruptionTarget=True, spot=true"},
		{"a taint by its key and value", `nodes.exists(n, n.hasTaint("itn"))`, []rules.Linked{link("a", 0, tainted("itn", 9))}, "pod a on node node-a: taint itn=v"},
		{"a pod without node", `pods.exists(p, p.label("x") == "")`, []rules.Linked{link("a", 0, func(l *rules.Linked) { l.Pod.NodeName, l.Node = "", nil })}, "pod a: no label x"},
		{"fields of pods", `pods.exists(p, p.restarts > 1 && p.phase == "Running")`, []rules.Linked{link("a", 0, func(l *rules.Linked) { l.Pod.Restarts = 2 })}, "pod a on node node-a: restarts=2, phase=Running"},
		{"the branch that was taken", `pods.exists(p, p.live ? p.label("x") == "y" : p.phase == "Failed")`, []rules.Linked{link("a", 0, over(9))}, "pod a on node node-a: live=false, phase=Failed"},
		{"not that it was something else than it might have been, beside what it was", `pods.exists(p, p.condition("DisruptionTarget") == "True" && p.phase != "Succeeded")`,
			[]rules.Linked{link("a", 0, disrupted("E", 9))}, "pod a on node node-a: DisruptionTarget=True"},
		{"that, if it is all", `pods.exists(p, p.phase != "Succeeded")`, []rules.Linked{link("a", 0)}, "pod a on node node-a: phase=Running"},
		{"what all pods make true together", `size(pods) > 1`, []rules.Linked{link("b", 1), link("a", 0)}, "size(pods) > 1"},
		{"what the run says, whatever its pods are", `run.attempts > 1 || nodes.exists(n, n.hasLabel("spot"))`, []rules.Linked{link("a", 0, spot)}, "run.attempts=2"},
		{"metrics by their names", `run.summary["val/loss"] < 0.1 && isNaN(run.summary.loss)`, nil, "val/loss=0.05, loss=NaN"},
		{"tags and labels", `"debug" in tags && labels["team"] == "vision" && !("nope" in tags)`, nil, "tag debug, label team=vision"},
		{"labels as fields", `labels.team == "vision"`, nil, "label team=vision"},
		{"the namespace", `namespace.label("owner") == "research"`, nil, "namespace owner=research"},
		{"what is not there, if that is all", `!("nope" in tags)`, nil, "no tag nope"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			v := compile(t, rules.Spec{When: c.when}).Eval(input(c.links...))
			if v.Outcome != rules.True {
				t.Fatalf("not true: %+v", v)
			}
			if diff := cmp.Diff(c.want, v.Evidence); diff != "" {
				t.Error(diff)
			}
		})
	}
	v := compile(t, rules.Spec{When: `pods.exists(p, p.hasLabel("` + strings.Repeat("x", 300) + `"))`}).Eval(input(link("a", 0, func(l *rules.Linked) {
		l.Pod.Labels = evidence.TextsOf(map[string]string{strings.Repeat("x", 300): ""})
	})))
	if n := len([]rune(v.Evidence)); n > 250 || !strings.HasSuffix(v.Evidence, "…") {
		t.Errorf("evidence of %d characters: %s", n, v.Evidence)
	}
}

func TestEvidenceOfWorkload(t *testing.T) {
	in := input(link("a", 0))
	in.Workloads = []*evidence.Workload{{UID: "w", Name: "job-a", Conditions: []evidence.Condition{{Type: "Evicted", Status: "True", Reason: "Preempted", At: at(7)}}}}
	v := compile(t, rules.Spec{When: `workloads.exists(w, w.conditionReason("Evicted") == "Preempted") || nodes.exists(n, n.hasLabel("spot"))`}).Eval(in)
	want := rules.Verdict{
		Outcome: rules.True, Evidence: "workload job-a: Evicted=Preempted", Source: "w",
		Sources: []rules.Source{{UID: "w", From: at(7), At: at(7)}},
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Error(diff)
	}
}

func TestSources(t *testing.T) {
	const preempted, onSpot = `pods.exists(p, p.conditionReason("DisruptionTarget") == "PreemptionByScheduler")`, `nodes.exists(n, n.label("spot") == "true")`
	wide := func(edit func(i int) []func(*rules.Linked)) (links []rules.Linked) {
		for i := range 64 {
			links = append(links, link(fmt.Sprintf("p%02d", i), i, append(edit(i), gang)...))
		}
		return links
	}
	for _, c := range []struct {
		reason, when string
		links        []rules.Linked
		want         string
	}{
		{"three preemptions in three pods, each resumed after it", preempted, []rules.Linked{
			link("c", 200, disrupted("PreemptionByScheduler", 290)), link("b", 100, disrupted("PreemptionByScheduler", 190), over(195)),
			link("a", 0, disrupted("PreemptionByScheduler", 90), over(120)),
		}, "a@90 b@190 c@290"},
		{"a pod that was not disrupted is none", preempted, []rules.Linked{link("b", 100), link("a", 0, disrupted("PreemptionByScheduler", 90), over(95))}, "a@90"},
		{"64 pods of a gang that start within a minute on spot nodes are one", onSpot,
			wide(func(int) []func(*rules.Linked) { return []func(*rules.Linked){spot} }), "p00@0"},
		{"64 pods of a gang that are preempted within a minute are one", preempted,
			wide(func(i int) []func(*rules.Linked) {
				return []func(*rules.Linked){disrupted("PreemptionByScheduler", 500-i)}
			}), "p63@437"},
		{"the pod that made the run is named where others did at the same time", onSpot, []rules.Linked{link("a", 0, spot, gang), link("b", 0, spot)}, "b@0"},
		{"a spot node in each of two attempts", onSpot, []rules.Linked{link("b", 100, spot), link("a", 0, spot, over(90))}, "a@0 b@100"},
		{"a taint that was there before is no event", `nodes.exists(n, n.hasTaint("spot"))`, []rules.Linked{link("a", 10, tainted("spot", 5))}, "a@10"},
		{"what is true of the run anyway has no source", `run.attempts > 1 || ` + onSpot, []rules.Linked{link("a", 0, spot)}, ""},
	} {
		t.Run(c.reason, func(t *testing.T) {
			v := compile(t, rules.Spec{When: c.when}).Eval(input(c.links...))
			var got []string
			for _, s := range v.Sources {
				got = append(got, fmt.Sprintf("%s@%d", strings.TrimPrefix(s.UID, "uid-"), int(s.At.Sub(at(0)).Seconds())))
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" || v.Outcome != rules.True {
				t.Errorf("%+v\n%s", v, diff)
			}
			if n := len(v.Sources); n > 0 && v.Source != v.Sources[n-1].UID {
				t.Errorf("the last source is not %s", v.Source)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	for _, c := range []struct{ reason, when, want string }{
		{"the part of an and", `run.attempts == 2 && (nodes.exists(n, n.label("spot") == "true") && "debug" in tags)`, `nodes.exists(n, n.label("spot") == "true") is false`},
		{"both parts of an or", `run.attempts > 2 || "nope" in tags`, `run.attempts > 2 || "nope" in tags is false`},
		{"the branch that was taken", `run.state == "running" ? run.attempts > 5 : true`, `run.attempts > 5 is false`},
		{"the namespace by its name", `namespace.name == "x"`, `namespace.name == "x" is false`},
		{"a negation as a whole", `!("debug" in tags)`, `!("debug" in tags) is false`},
		{"no input is said as such", `run.summary["nope"] > 1.0`, "no such key: nope"},
		{"a rule that is true needs none", `run.attempts == 2`, ""},
	} {
		t.Run(c.reason, func(t *testing.T) {
			if diff := cmp.Diff(c.want, compile(t, rules.Spec{When: c.when}).Explain(input(link("a", 0))).Why); diff != "" {
				t.Error(diff)
			}
		})
	}
}
