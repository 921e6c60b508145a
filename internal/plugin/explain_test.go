package plugin_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
)

// file writes a file for a command to read.
func (c *scene) file(text string) string {
	c.t.Helper()
	name := filepath.Join(c.t.TempDir(), "manifest.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	return name
}

// expectIn says that a command ends well and says all this, in this order.
func (c *scene) expectIn(reason string, args []string, want ...string) {
	c.t.Helper()
	got := c.command(args...)
	rest, ok := got.out, got.code == 0
	for _, text := range want {
		before, after, found := strings.Cut(rest, text)
		if !found {
			c.t.Errorf("%s: %q is not said, or not after %q", reason, text, before)
			ok = false
			break
		}
		rest = after
	}
	if !ok {
		c.t.Errorf("%s\nkubectl runtag %s: %s", reason, strings.Join(args, " "), got)
	}
}

func synced(r *v1alpha1.TrainingRun) {
	r.Status.ObservedGeneration = 1
	r.Status.Run.UID = "u-" + r.Status.Run.ID
	r.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "True", Reason: "Synced", Message: "as declared", LastTransitionTime: metav1.NewTime(now)}}
}

func testWhy(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a", tagged("prod", v1alpha1.TagSourceSpec), tagged("debug", v1alpha1.TagSourceRun), synced, func(r *v1alpha1.TrainingRun) {
		r.Spec.ExcludeTags = []string{"wip"}
		for i := range 10 {
			r.Status.History = append(r.Status.History, v1alpha1.TagHistory{Time: metav1.NewTime(now.Add(-time.Duration(i) * time.Minute)), Tag: fmt.Sprint("t", i), Change: "Removed", Source: "Run"})
		}
		r.Status.Pods = []v1alpha1.PodLink{{Name: "capsules-0", UID: "p", Node: "n1", BoundBy: "Env", From: metav1.NewTime(now)}}
	})
	c.expectIn("all tags, the pods, the changes, and where to look for older ones", []string{"why", "https://wandb.ai/acme/capsules/runs/a"},
		"why/capsules-a: run a of project capsules, finished", "debug: on the run, since 2026-11-24T12:00:00Z\n  by     the tracker", "off by kubectl runtag rm debug capsules-a -n why",
		"prod: on the run", "by     spec.tags, written by argocd-controller (", "wip: not on the run\n  why    spec.excludeTags keeps it off, written by argocd-controller (",
		"POD", "capsules-0   n1     Env", "2026-11-24T12:00:00Z   Removed   t0", "t9", "deploy/runtag-manager", `grep '"trainingRun":"capsules-a"'`)
	got := c.command("why", "a", "t3")
	if got.code != 0 || strings.Contains(got.out, "t4") || !strings.Contains(got.out, "taken off 2026-11-24T11:57:00Z on the tracker by somebody else") {
		c.t.Errorf("one tag, and its changes alone: %s", got)
	}
	var data struct {
		Tags []struct{ Tag string }
		Pods []v1alpha1.PodLink
	}
	if err := yaml.Unmarshal([]byte(c.command("why", "a", "-o", "yaml").out), &data); err != nil || len(data.Tags) < 3 || len(data.Pods) != 1 {
		c.t.Errorf("as data: %v %v", err, data)
	}
	c.expect("a run has to be named", said{code: 2, err: "error: kubectl runtag why takes RUN [TAG], and got 0 arguments; see kubectl runtag why --help\n"}, "why")
	if got := c.command("why", "nope"); got.code != 1 || !strings.Contains(got.err, "there is no such run") {
		c.t.Errorf("got %s", got)
	}
}

// spotPod makes a node and a pod on it that names a run.
func (c *scene) spotPod(runID string) *corev1.Pod {
	c.t.Helper()
	c.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: c.namespace, Labels: map[string]string{"spot": c.namespace}}})
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "capsules-0"},
		Spec: corev1.PodSpec{NodeName: c.namespace, Containers: []corev1.Container{{Name: "main", Image: "x", Env: []corev1.EnvVar{{Name: "WANDB_RUN_ID", Value: runID}}}},
			ServiceAccountName: "default", AutomountServiceAccountToken: new(bool)},
	}
	c.create(pod)
	return pod
}

func onSpot(namespace, rest string) string {
	return lines("apiVersion: tracking.runtag.dev/v1alpha1", "kind: TagRule", "metadata: {name: spot}", "spec:", `  when: nodes.exists(n, n.label("spot") == "`+namespace+`")`, "  tags: [preemptible]", rest)
}

func testRuleTest(_ *testing.T, c *scene) {
	c.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "default"}})
	c.project("capsules")
	later := func(r *v1alpha1.TrainingRun) { // than the pod that the API server makes now
		created := metav1.NewTime(time.Now().Add(time.Minute))
		r.Status.Run.CreatedAt = &created
	}
	c.run("a", inState("running"), synced, later)
	c.run("b", inState("running"), synced, later)
	pod := c.spotPod("a")
	file := c.file(onSpot(c.namespace, "  for: 30s"))
	c.expect("matches with evidence, and others with why", said{out: lines(
		"TagRule/spot: 1 of 2 runs; it must hold for 30s before it gives tags",
		"RESULT     RUN          TAGS          WHY",
		"match      capsules-a   preemptible   pod capsules-0 on node rule-test: spot=rule-test",
		"no input   capsules-b                 not known yet: nodes",
	)}, "rule", "test", "-f", file, "--all")
	c.expect("none matches", said{code: 3, out: lines(
		"TagRule/spot: 0 of 1 run; it must hold for 30s before it gives tags",
		"RESULT     RUN          TAGS   WHY", "no input   capsules-b          not known yet: nodes",
	)}, "rule", "test", "-f", file, "b")
	reader := c.kubeconfig("reader", rbacv1.PolicyRule{APIGroups: []string{"tracking.runtag.dev"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch"}})
	got := c.commandWith(c.t.Context(), strings.NewReader(""), reader, "rule", "test", "-f", file, "a")
	if got.code != 3 || !strings.Contains(got.err, "you may not read nodes: rules that need them get no input") || !strings.Contains(got.out, "you may not read pods of namespace rule-test") {
		c.t.Errorf("what may not be read is said: %s", got)
	}
	inTurn := func(after time.Duration) func(*v1alpha1.TrainingRun) {
		return func(r *v1alpha1.TrainingRun) {
			created := metav1.NewTime(time.Now().Add(after))
			r.Status.Run.CreatedAt = &created
			r.Status.Pods = []v1alpha1.PodLink{{Name: pod.Name, UID: string(pod.UID), BoundBy: "Selector", From: created}}
		}
	}
	c.run("first", inState("running"), synced, inTurn(time.Minute))
	c.run("second", inState("running"), synced, inTurn(time.Hour))
	live := c.file(strings.Replace(onSpot("", ""), `nodes.exists(n, n.label("spot") == "")`, "pods.exists(p, p.live)", 1))
	c.expectIn("the next run in a pod ends the time of the one before, whether it is asked about or not", []string{"rule", "test", "-f", live, "second", "first"}, "match      capsules-second", "no match   capsules-first")
	c.expect("and alone", said{code: 3, out: lines("TagRule/spot: 0 of 1 run", "RESULT     RUN              TAGS   WHY", "no match   capsules-first          pods.exists(p, p.live) is false")}, "rule", "test", "-f", live, "first")
	broken := c.file(strings.Replace(onSpot("x", ""), "nodes.exists", "nods.exists", 1))
	c.expect("an expression that does not compile, with its place", said{code: 1, err: "error: " + broken + ": TagRule/spot: spec.when, line 1, column 1: undeclared reference to 'nods'; did you mean 'nodes'?\n"}, "rule", "test", "-f", broken, "--all")
	other := c.file("{apiVersion: v1, kind: Pod, metadata: {name: x}}")
	c.expect("a file without a rule", said{code: 2, err: "error: there is no TagRule or ClusterTagRule in " + other + "\n"}, "rule", "test", "-f", other, "--all")
	c.expect("no file", said{code: 2, err: "error: say which rules: -f FILE\n"}, "rule", "test", "--all")
	c.expect("a metric that is none", said{code: 2, err: "error: --summary loss: \"much\" is no number, NaN or Infinity\n"}, "rule", "test", "-f", file, "--all", "--summary", "loss=much")
	c.create(&v1alpha1.TagRule{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "spot"}, Spec: v1alpha1.TagRuleSpec{When: `run.state == "failed"`, Tags: []string{"bad"}}})
	c.expectIn("why asks the rules that could give a tag", []string{"why", "a", "bad"}, "TagRule/spot does not match: run.state == \"failed\" is false")
}

func testFixtures(_ *testing.T, c *scene) {
	folder := filepath.Join(c.t.TempDir(), "fixtures")
	if err := os.MkdirAll(filepath.Join(folder, "deep"), 0o700); err != nil {
		c.t.Fatal(err)
	}
	for name, text := range map[string]string{
		"run.yaml": `{apiVersion: tracking.runtag.dev/v1alpha1, kind: TrainingRun, metadata: {name: r, namespace: v}, spec: {projectRef: {name: p}, runID: a},
status: {run: {id: a, uid: u, state: finished, createdAt: "2020-01-01T10:00:00Z", finishedAt: "2020-01-01T11:00:00Z"}}}`,
		"deep/pod.yaml": `{apiVersion: v1, kind: Pod, metadata: {name: p0, namespace: v, creationTimestamp: "2020-01-01T10:00:00Z"}, spec: {nodeName: one, containers: [{name: m, image: x, env: [{name: WANDB_RUN_ID, value: a}]}]},
status: {phase: Failed, startTime: "2020-01-01T10:00:00Z"}}`,
		"deep/node.yaml": `{apiVersion: v1, kind: Node, metadata: {name: one, labels: {spot: "yes"}}}`,
		"job.yaml":       `{apiVersion: batch/v1, kind: Job, metadata: {name: j}}`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	rule := c.file(strings.Replace(onSpot("yes", ""), "name: spot}", "name: spot, namespace: v}", 1))
	nowhere := filepath.Join(c.t.TempDir(), "none")
	if err := os.WriteFile(nowhere, []byte("apiVersion: v1\nkind: Config\n"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	got := c.commandWith(c.t.Context(), strings.NewReader(""), nowhere, "rule", "test", "-f", rule, "--fixtures", folder)
	want := said{out: lines("TagRule/spot: 1 of 1 run", "RESULT   RUN   TAGS          WHY", "match    r     preemptible   pod p0 on node one: spot=yes"), err: "not read by rules, and ignored: Job/j\n"}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(said{})); diff != "" {
		c.t.Errorf("files alone, of long ago, without a cluster (-want +got):\n%s", diff)
	}
	if got := c.commandWith(c.t.Context(), strings.NewReader(""), nowhere, "rule", "test", "-f", rule, "--fixtures", folder, "a", "-o", "json"); got.code != 0 || !strings.Contains(got.out, `"outcome": "match"`) {
		c.t.Errorf("a run by its id, as data: %s", got)
	}
	if got := c.commandWith(c.t.Context(), strings.NewReader(""), nowhere, "rule", "test", "-f", rule, "--fixtures", folder, "x"); got.code != 1 || !strings.Contains(got.err, "there is no such run") {
		c.t.Errorf("a run that is not there: %s", got)
	}
}

func testRuleList(_ *testing.T, c *scene) {
	last := metav1.NewTime(now.Add(-5 * time.Minute))
	r := &v1alpha1.TagRule{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "spot"}, Spec: v1alpha1.TagRuleSpec{When: "true", Tags: []string{"a"}, TagExpression: `["b"]`, Mode: "Report"}}
	c.create(r)
	r.Status = v1alpha1.TagRuleStatus{MatchedRuns: 3, LastMatch: &last, Conditions: []metav1.Condition{{Type: "Ready", Status: "False", Reason: "InvalidExpression", Message: "x", LastTransitionTime: last}}}
	if err := c.client.Status().Update(c.t.Context(), r); err != nil {
		c.t.Fatal(err)
	}
	wide := &v1alpha1.ClusterTagRule{ObjectMeta: metav1.ObjectMeta{Name: "wide"}, Spec: v1alpha1.ClusterTagRuleSpec{TagRuleSpec: v1alpha1.TagRuleSpec{When: "true", Tags: []string{"x"}}}}
	c.create(wide)
	defer c.delete(wide)
	c.expect("matches, age of the last, mode, ready", said{out: lines(
		"RULE                  MODE      TAGS            MATCHES   LAST MATCH   READY",
		"TagRule/spot          Report    a, (computed)   3         5m ago       False InvalidExpression",
		"ClusterTagRule/wide   Enforce   x               0                      -",
	)}, "rule", "ls")
	c.expect("names alone", said{out: lines("tagrule.tracking.runtag.dev/spot", "clustertagrule.tracking.runtag.dev/wide")}, "rule", "ls", "-o", "name")
	own := c.kubeconfig("own", rbacv1.PolicyRule{APIGroups: []string{"tracking.runtag.dev"}, Resources: []string{"tagrules"}, Verbs: []string{"list"}})
	got := c.commandWith(c.t.Context(), strings.NewReader(""), own, "rule", "ls", "-o", "name")
	if got.code != 0 || got.out != "tagrule.tracking.runtag.dev/spot\n" || got.err != "ClusterTagRules are not listed: you may not read them\n" {
		c.t.Errorf("who may not read ClusterTagRules sees the rest: %s", got)
	}
}

func (c *scene) delete(object client.Object) {
	c.t.Helper()
	if err := c.client.Delete(c.t.Context(), object); err != nil {
		c.t.Fatal(err)
	}
}
