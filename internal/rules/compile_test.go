package rules_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/rules"
)

func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct {
		reason  string
		spec    rules.Spec
		message string
	}{
		{"a variable that there is not is named with its place and its neighbour",
			rules.Spec{When: `true || nods.exists(n, n.name == "a")`},
			`spec.when, line 1, column 9: undeclared reference to 'nods'; did you mean 'nodes'?`},
		{"lines and columns count from one",
			rules.Spec{When: "true &&\n  pods.exists(p, p.nme == 'x')"},
			`spec.when, line 2, column 19: undefined field 'nme'; did you mean 'name'?`},
		{"a helper that is misspelt is no field that may be there at run time",
			rules.Spec{When: `nodes[0].lable("x") == ""`},
			`spec.when, line 1, column 15: undeclared reference to 'lable'; did you mean 'label'?`},
		{"a helper has one kind of argument",
			rules.Spec{When: `pods.exists(p, p.condition(1) == "x")`},
			`spec.when, line 1, column 27: found no matching overload for 'condition' applied to 'Pod.(int)'`},
		{"runs have no labels of their own to read",
			rules.Spec{When: `run.label("x") == "y"`},
			`spec.when, line 1, column 10: found no matching overload for 'label' applied to 'Run.(string)'`},
		{"the second expression is named as well",
			rules.Spec{When: `true`, TagExpression: `["a", 1]`},
			`spec.tagExpression, line 1, column 7: expected type 'string' but found 'int'`},
		{"what does not parse is said in one line without the parser's list of tokens",
			rules.Spec{When: `pods.exists(p, `},
			`spec.when, line 1, column 16: Syntax error: mismatched input '<EOF>'`},
		{"an empty expression is no rule",
			rules.Spec{When: ``},
			`spec.when, line 1, column 1: Syntax error: mismatched input '<EOF>'`},
		{"a condition is true or false",
			rules.Spec{When: `"true"`},
			`spec.when, line 1, column 1: the expression must give true or false, and it gives string`},
		{"tagExpression gives a list",
			rules.Spec{When: `true`, TagExpression: `"zone"`},
			`spec.tagExpression, line 1, column 1: the expression must give a list of strings, and it gives string`},
		{"the present is no input: a rule would change with time alone",
			rules.Spec{When: `run.createdAt < now`},
			`spec.when, line 1, column 17: undeclared reference to 'now'`},
		{"there is no function of the present either",
			rules.Spec{When: `run.createdAt < now()`},
			`spec.when, line 1, column 20: undeclared reference to 'now'`},
		{"annotations of nodes are not for namespaces",
			rules.Spec{When: `nodes.exists(n, n.annotation("a") == "b")`},
			`spec.when, line 1, column 29: only a ClusterTagRule may read annotations of nodes; read a label, or make it a ClusterTagRule`},
		{"a metric that is named by an expression can't be fetched",
			rules.Spec{When: `run.summary[run.group] > 1.0`},
			`spec.when, line 1, column 4: name the metric in the expression itself, as in run.summary["loss"] or run.hasSummary("loss"): only metrics that rules name are fetched`},
		{"nor can all metrics be gone through",
			rules.Spec{When: `run.summary.exists(k, run.summary[k] > 1.0)`},
			`spec.when, line 1, column 4: name the metric in the expression itself, as in run.summary["loss"] or run.hasSummary("loss"): only metrics that rules name are fetched`},
		{"the same goes for the helper",
			rules.Spec{When: `run.hasSummary(run.group)`},
			`spec.when, line 1, column 19: name the metric in the expression itself, as in run.hasSummary("loss"): only metrics that rules name are fetched`},
		{"dyn would hide which metric is read",
			rules.Spec{When: `dyn(run).summary["a"] > 1.0`},
			`spec.when, line 1, column 4: dyn hides what a rule reads; leave it out`},
		{"objects are given, not made",
			rules.Spec{When: `Pod{name: "x"}.name == "x"`},
			`spec.when, line 1, column 4: rules read objects and can't make them`},
		{"loops inside loops cost too much before anybody has run them",
			rules.Spec{When: `pods.all(p, pods.all(q, pods.all(r, nodes.all(n, n.name == p.name + q.name + r.name))))`},
			`spec.when, line 1, column 1: the expression is too expensive: for a run with 64 pods it may cost 278.6 times the limit; go through pods and nodes once, not inside each other`},
		{"the word namespace is ours where it is a variable, in messages too",
			rules.Spec{When: `namespace`},
			`spec.when, line 1, column 1: the expression must give true or false, and it gives Namespace`},
		{"an expression is text",
			rules.Spec{When: "\xff"},
			`spec.when, line 1, column 1: the expression is not valid UTF-8`},
	} {
		t.Run(c.reason, func(t *testing.T) {
			_, err := rules.Compile(c.spec)
			if at := new(rules.CompileError); !errors.As(err, &at) {
				t.Fatalf("not a CompileError: %v", err)
			}
			if diff := cmp.Diff(c.message, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCompileLongExpression(t *testing.T) {
	for _, source := range []string{strings.Repeat("(", 1000) + "true" + strings.Repeat(")", 1000), `"` + strings.Repeat("x", 20000) + `" == ""`} {
		_, err := rules.Compile(rules.Spec{When: source})
		if at := new(rules.CompileError); !errors.As(err, &at) || strings.Contains(at.Message, "\n") {
			t.Errorf("want one line that refuses it, got %v", err)
		}
	}
}

func TestCompileAccepts(t *testing.T) {
	const spot = `(n.label("cloud.google.com/gke-spot") == "true" || n.label("cloud.google.com/gke-preemptible") == "true" || n.label("eks.amazonaws.com/capacityType") == "SPOT" ||
		n.label("karpenter.sh/capacity-type") == "spot" || n.label("kubernetes.azure.com/scalesetpriority") == "spot" || n.hasLabel("machine.openshift.io/interruptible-instance") ||
		n.hasLabel("cluster.x-k8s.io/interruptible") || n.label("spotinst.io/node-lifecycle") == "spot" || n.label("scheduling.cast.ai/spot") == "true")`
	for _, c := range []struct {
		reason, when string
		summary      []string
		reads        []string
	}{
		{"all labels of spot nodes are affordable, also for the node of each pod",
			`pods.exists(p, p.condition("DisruptionTarget") == "True" && nodes.exists(n, n.name == p.node && ` + spot + `))`, nil, []string{"nodes", "pods"}},
		{"the namespace is read by its own name, and the word stays what it is in strings, comments and fields",
			"namespace.label('namespace') == r\"namespace\\\" && namespace.annotation(\"\"\"a\"namespace\"\"\") == 'it\\'s' // namespace\n || namespace.name == \"x\"",
			nil, []string{"namespace"}},
		{"metrics are named in each way that CEL has",
			`run.summary["a"] < 0.1 || run.summary.b > 0.1 || "c" in run.summary || has(run.summary.d) || run.hasSummary("e") || isNaN(run.summary["a"]) || isInf(run.summary["f/g"])`,
			[]string{"a", "b", "c", "d", "e", "f/g"}, []string{"run"}},
		{"images can be taken apart",
			`pods.exists(p, p.images.exists(i, i.split("@")[1].startsWith("sha256:") && i.substring(0, i.indexOf("@")).endsWith("/train")))`, nil, []string{"pods"}},
		{"everything that pods, nodes and workloads have",
			`pods.all(p, p.name + p.node + p.phase + p.reason != "" && p.direct && p.live && p.createdAt <= p.startedAt && p.restarts < 3 && size(p.images) > 0 &&
				p.label("a") + p.annotation("b") + p.conditionReason("c") != "" && p.hasLabel("d") && p.conditionTime("e") > timestamp(0)) &&
			nodes.all(n, n.name != "" && n.hasTaint("a") && n.taint("a") == "b" && n.condition("c") == "True" && n.hasLabel("d")) &&
			workloads.all(w, w.name != "" && w.label("a") == "b" && w.conditionReason("Evicted") == "Preempted")`,
			nil, []string{"nodes", "pods", "workloads"}},
		{"everything that a run has",
			`run.id + run.uid + run.displayName + run.state + run.url + run.host + run.user + run.group + run.jobType != "" && run.finishedAt - run.createdAt > duration("1h") &&
				run.attempts > 3 && "debug" in tags && labels["team"] == "vision"`, nil, []string{"labels", "run", "tags"}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			p, err := rules.Compile(rules.Spec{When: c.when})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.summary, p.SummaryKeys()); diff != "" {
				t.Errorf("metrics:\n%s", diff)
			}
			var reads []string
			for _, name := range []string{"labels", "namespace", "nodes", "pods", "run", "tags", "workloads"} {
				if p.Reads(name) {
					reads = append(reads, name)
				}
			}
			if diff := cmp.Diff(c.reads, reads); diff != "" {
				t.Errorf("variables:\n%s", diff)
			}
		})
	}
}

func TestCompileForClusters(t *testing.T) {
	p, err := rules.Compile(rules.Spec{When: `nodes.exists(n, n.annotation("a") == "b")`, TagExpression: `[string(run.summary["x"])]`, NodeAnnotations: true})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"x"}, p.SummaryKeys()); diff != "" {
		t.Errorf("a tagExpression's metrics are fetched too:\n%s", diff)
	}
	if !p.Reads("run") {
		t.Error("a rule reads what its tagExpression reads")
	}
}
