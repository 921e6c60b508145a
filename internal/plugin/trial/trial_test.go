package trial_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/plugin/trial"
	"github.com/runtag/runtag/internal/rules"
	"github.com/runtag/runtag/internal/tags"
)

// start is when the run of the tests was made, in a pod that began a minute earlier.
var start = time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)

func at(after time.Duration) metav1.Time { return metav1.NewTime(start.Add(after)) }

// run is a TrainingRun of a run that is running.
func run(id string, changes ...func(*v1alpha1.TrainingRun)) trial.Run {
	created := at(0)
	r := &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: "r-" + id, Labels: map[string]string{"team": "x", "tracking.runtag.dev/project": "p", "tag.runtag.dev/debug": "run", "tag.runtag.dev/byrule": "rule"}},
		Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: "p"}, RunID: id, Tags: []string{"mine"}},
		Status: v1alpha1.TrainingRunStatus{
			ObservedDeclarations: "1", Run: &v1alpha1.RunStatus{ID: id, UID: "u-" + id, State: "running", CreatedAt: &created, Attempts: 1},
			Tags:        []v1alpha1.TagStatus{{Name: "debug", Source: "Run", Present: true, Mirrored: true}, {Name: "byrule", Source: "Rule", Present: true, Mirrored: true}},
			AppliedTags: []v1alpha1.AppliedTag{{Name: "byrule"}}, RuleTags: []v1alpha1.RuleTag{{Rule: "TagRule/other", Tag: "byrule", State: "Held"}},
		},
	}
	for _, change := range changes {
		change(r)
	}
	return trial.Run{Run: plan.Run{Object: r, Dialect: tags.Dialect{Tracker: "W&B"}, Ceiling: tags.Merge, Now: start.Add(time.Hour)}}
}

func finished(r *v1alpha1.TrainingRun) {
	end := at(30 * time.Minute)
	r.Status.Run.State, r.Status.Run.FinishedAt = "finished", &end
}

// pod names a run in its environment.
func pod(name, node, runID string, changes ...func(*corev1.Pod)) *corev1.Pod {
	started := at(-time.Minute)
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: name, UID: types.UID("uid-" + name), CreationTimestamp: at(-time.Minute)},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "main", Image: "x", Env: []corev1.EnvVar{{Name: "WANDB_RUN_ID", Value: runID}}}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &started},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func over(p *corev1.Pod) {
	p.Status.Phase = corev1.PodFailed
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: at(20 * time.Minute)}}}}
}

func node(name string, labels map[string]string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), Labels: labels}}
}

func rule(when string, changes ...func(*v1alpha1.TagRuleSpec)) client.Object {
	r := &v1alpha1.TagRule{ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: "rule"}, Spec: v1alpha1.TagRuleSpec{When: when, Tags: []string{"found"}}}
	for _, change := range changes {
		change(&r.Spec)
	}
	return r
}

var spot = map[string]string{"spot": "true"}

func sights() trial.Sights {
	return trial.Sights{
		Nodes: []*corev1.Node{node("n1", spot), node("n2", nil)}, Now: start.Add(time.Hour),
		Namespaces: []*corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "vision", Labels: map[string]string{"tier": "prod"}}}},
	}
}

func with(s trial.Sights, pods ...*corev1.Pod) trial.Sights {
	s.Pods = pods
	return s
}

func unread(s trial.Sights, variable string) trial.Sights {
	s.Unread = map[string]string{variable: "you may not read " + variable}
	if variable == "namespace" {
		s.Namespaces = nil
	}
	if variable == "nodes" {
		s.Nodes = nil
	}
	return s
}

const onSpot = `nodes.exists(n, n.label("spot") == "true")`

// told writes an answer in short.
func told(a trial.Answer) string {
	parts := []string{string(a.Outcome)}
	for _, part := range []string{strings.Join(a.Tags, ","), a.Evidence, a.Why, strings.Join(a.Invalid, ",")} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " | ")
}

func TestAsk(t *testing.T) {
	nan := math.NaN()
	workload := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "Workload",
		"metadata": map[string]any{"name": "w", "namespace": "vision", "uid": "w", "ownerReferences": []any{map[string]any{"uid": "uid-p", "kind": "Pod", "name": "p", "apiVersion": "v1"}}},
		"status":   map[string]any{"conditions": []any{map[string]any{"type": "Evicted", "status": "True", "reason": "Preempted", "lastTransitionTime": "2026-03-01T10:10:00Z"}}},
	}}
	withWorkload := with(sights(), pod("p", "n1", "1"))
	withWorkload.Workloads = []*unstructured.Unstructured{workload}
	for _, test := range []struct {
		reason  string
		sights  trial.Sights
		rule    client.Object
		run     trial.Run
		summary map[string]*float64
		want    string
	}{
		{"a match has the evidence", with(sights(), pod("p", "n1", "1")), rule(onSpot), run("1"), nil, "match | found | pod p on node n1: spot=true"},
		{"a pod that ended is linked with the node that it had", with(sights(), pod("p", "n1", "1", over)), rule(onSpot), run("1", finished), nil, "match | found | pod p on node n1: spot=true"},
		{"no match has the part that is false", with(sights(), pod("p", "n2", "1")), rule(`run.state == "running" && ` + onSpot), run("1"), nil, `no match | nodes.exists(n, n.label("spot") == "true") is false`},
		{"a pod of another run is no evidence", with(sights(), pod("p", "n1", "2")), rule(onSpot), run("1"), nil, "no input | not known yet: nodes"},
		{"a link that status knows stays, though nothing in the pod says so", with(sights(), pod("p", "n1", "")), rule(onSpot), run("1", func(r *v1alpha1.TrainingRun) {
			r.Status.Pods = []v1alpha1.PodLink{{Name: "p", UID: "uid-p", Node: "n1", BoundBy: "PodUID", From: at(0)}}
		}), nil, "match | found | pod p on node n1: spot=true"},
		{"the host", with(sights(), pod("p", "n1", "")), rule(onSpot), run("1", func(r *v1alpha1.TrainingRun) { r.Status.Run.Host = "p" }), nil, "match | found | pod p on node n1: spot=true"},
		{"spec.podSelector", with(sights(), pod("p", "n1", "", func(p *corev1.Pod) { p.Labels = map[string]string{"job-name": "j"} })), rule(onSpot), run("1", func(r *v1alpha1.TrainingRun) {
			r.Spec.PodSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"job-name": "j"}}
		}), nil, "match | found | pod p on node n1: spot=true"},
		{"a finished run has no live pods", with(sights(), pod("p", "n1", "1", over)), rule(onSpot, func(s *v1alpha1.TagRuleSpec) { s.Retention = "WhileTrue" }), run("1", finished), nil, "no match | the run has ended, and a rule with retention WhileTrue goes by pods that live"},
		{"a pod that ended is not live", with(sights(), pod("p", "n1", "1", over)), rule("pods.exists(p, p.live)"), run("1"), nil, "no match | pods.exists(p, p.live) is false"},
		{"a run that was killed is in no pod that started after its last sign of life", with(sights(), pod("p", "n1", "", func(p *corev1.Pod) {
			started := at(30 * time.Minute)
			p.Labels, p.Status.StartTime = map[string]string{"job-name": "j"}, &started
		})), rule(onSpot), run("1", func(r *v1alpha1.TrainingRun) {
			heard := at(10 * time.Minute)
			r.Status.Run.State, r.Status.Run.FinishedAt = "crashed", &heard
			r.Spec.PodSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"job-name": "j"}}
		}), nil, "no input | not known yet: nodes"},
		{"a run that was killed is in the pod in which it was heard of", with(sights(), pod("p", "n1", "", func(p *corev1.Pod) {
			started := at(5 * time.Minute)
			p.Labels, p.Status.StartTime = map[string]string{"job-name": "j"}, &started
		})), rule(onSpot), run("1", func(r *v1alpha1.TrainingRun) {
			heard := at(10 * time.Minute)
			r.Status.Run.State, r.Status.Run.FinishedAt = "crashed", &heard
			r.Spec.PodSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"job-name": "j"}}
		}), nil, "match | found | pod p on node n1: spot=true"},
		{"the run's facts", sights(), rule(`run.attempts == 1 && run.createdAt == timestamp("2026-03-01T10:00:00Z")`), run("1"), nil, "match | found | run.attempts=1, run.createdAt=2026-03-01T10:00:00Z"},
		{"tags are those of people and the tracker", sights(), rule(`"debug" in tags && "mine" in tags && !("byrule" in tags)`), run("1"), nil, "match | found | tag debug, tag mine"},
		{"labels are without those that rules caused", sights(), rule(`"tag.runtag.dev/debug" in labels && labels["team"] == "x" && !("tag.runtag.dev/byrule" in labels)`), run("1"), nil, "match | found | label tag.runtag.dev/debug, label team=x"},
		{"the namespace", sights(), rule(`namespace.label("tier") == "prod"`), run("1"), nil, "match | found | namespace tier=prod"},
		{"a namespace that is not known is no input", trial.Sights{}, rule(`namespace.label("tier") == "prod"`), run("1"), nil, "no input | namespace vision is not known"},
		{"a namespace that may not be read is no input", unread(sights(), "namespace"), rule(`namespace.label("tier") == ""`), run("1"), nil, "no input | you may not read namespace"},
		{"nodes that may not be read are no input", unread(with(sights(), pod("p", "n1", "1")), "nodes"), rule(onSpot), run("1"), nil, "no input | not known yet: nodes; you may not read nodes"},
		{"a Workload of Kueue", withWorkload, rule(`workloads.exists(w, w.conditionReason("Evicted") == "Preempted")`), run("1"), nil, "match | found | workload w: Evicted=Preempted"},
		{"Workloads that may not be read make nothing false", unread(with(sights(), pod("p", "n1", "1")), "workloads"), rule(`workloads.exists(w, w.condition("Evicted") == "True")`), run("1"), nil, "no input | you may not read workloads"},
		{"a metric that nobody gives is no input", sights(), rule(`!run.hasSummary("loss")`), run("1"), nil, `no input | the metric "loss" is known to the operator alone (kubectl runtag rule test takes --summary loss=VALUE, or loss= for none)`},
		{"a metric that is given", sights(), rule(`isNaN(run.summary["loss"])`), run("1"), map[string]*float64{"loss": &nan}, "match | found | loss=NaN"},
		{"a metric that is given as absent", sights(), rule(`run.hasSummary("loss")`), run("1"), map[string]*float64{"loss": nil}, `no match | run.hasSummary("loss") is false`},
		{"a run that was not looked at is no input", sights(), rule(`run.attempts == 0`), run("1", func(r *v1alpha1.TrainingRun) { r.Status.Run = nil }), nil, "no input | not known yet: run"},
		{"runSelector", sights(), rule("true", func(s *v1alpha1.TagRuleSpec) {
			s.RunSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "y"}}
		}), run("1"), nil, "not selected | runSelector does not select its labels"},
		{"a TagRule is for its namespace", sights(), &v1alpha1.TagRule{ObjectMeta: metav1.ObjectMeta{Namespace: "other", Name: "r"}, Spec: v1alpha1.TagRuleSpec{When: "true", Tags: []string{"found"}}}, run("1"), nil, "not selected | the rule is for namespace other"},
		{"namespaceSelector", sights(), &v1alpha1.ClusterTagRule{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Spec: v1alpha1.ClusterTagRuleSpec{
			TagRuleSpec: v1alpha1.TagRuleSpec{When: "true", Tags: []string{"found"}}, NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"tier": "dev"}},
		}}, run("1"), nil, "not selected | namespaceSelector does not select namespace vision"},
		{"tagExpression, and what of it is no tag", with(sights(), pod("p", "n1", "1")), rule("true", func(s *v1alpha1.TagRuleSpec) { s.TagExpression = `["on-" + nodes[0].name, ""]` }), run("1"), nil, "match | found,on-n1 | true | a tag is empty"},
	} {
		world, err := trial.NewWorld(test.sights, []trial.Run{test.run, run("2")}, test.summary)
		if err != nil {
			t.Fatal(err)
		}
		compiled, err := trial.Understand(t.Context(), test.rule)
		if err != nil || compiled.Err != nil {
			t.Fatal(test.reason, err, compiled.Err)
		}
		answer, err := world.Ask(compiled, &test.run)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, told(answer)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
	}
}

func TestTagsHaveTheTrackersNames(t *testing.T) {
	r := run("1")
	r.Dialect = tags.Dialect{Tracker: "MLflow", Pairs: true}
	world, err := trial.NewWorld(sights(), []trial.Run{r}, nil)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := trial.Understand(t.Context(), rule("true", func(s *v1alpha1.TagRuleSpec) { s.Tags, s.TagExpression = []string{"gpu=true"}, `["k=v", "b="]` }))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := world.Ask(compiled, &r)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("gpu b k=v", strings.Join(answer.Tags, " ")); diff != "" {
		t.Errorf("a value that stands for the bare tag gives it (-want +got):\n%s", diff)
	}
	if answer.Asked.Verdict.Outcome != rules.True || !answer.Asked.Selected {
		t.Errorf("the operator's own code is told otherwise: %+v", answer.Asked)
	}
}

func TestUnderstand(t *testing.T) {
	broken, err := trial.Understand(t.Context(), rule("true &&\n  nods.exists(n, true)"))
	if err != nil || broken.Err == nil || broken.Err.Error() != "spec.when, line 2, column 3: undeclared reference to 'nods'; did you mean 'nodes'?" {
		t.Errorf("the place of an error is told: %v %v", err, broken.Err)
	}
	if _, err := trial.Understand(t.Context(), &corev1.Pod{}); err == nil {
		t.Error("a pod was understood as a rule")
	}
	annotation := `nodes.exists(n, n.annotation("x") == "y")`
	if own, err := trial.Understand(t.Context(), rule(annotation)); err != nil || own.Err == nil {
		t.Error("a TagRule may not read annotations of nodes")
	}
	wide, err := trial.Understand(t.Context(), &v1alpha1.ClusterTagRule{Spec: v1alpha1.ClusterTagRuleSpec{TagRuleSpec: v1alpha1.TagRuleSpec{When: annotation, Tags: []string{"x"}}}})
	if err != nil || wide.Err != nil {
		t.Errorf("a ClusterTagRule may: %v %v", err, wide.Err)
	}
}

// TestFixturesOfManyDays: objects of files are of different times, and none is forgotten because another one is newer.
func TestFixturesOfManyDays(t *testing.T) {
	seen := with(sights(), pod("new", "n2", "2", func(p *corev1.Pod) {
		later := at(1000 * time.Hour)
		p.CreationTimestamp, p.Status.StartTime = later, &later
	}), pod("old", "n1", "1", over), pod("oldest", "n1", "3", func(p *corev1.Pod) {
		before := at(-1000 * time.Hour)
		p.CreationTimestamp, p.Status.StartTime, p.Status.Phase = before, &before, corev1.PodFailed
	}))
	seen.Now = time.Time{}
	first := run("1")
	world, err := trial.NewWorld(seen, []trial.Run{first}, nil)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := trial.Understand(t.Context(), rule(onSpot))
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := world.Ask(compiled, &first); err != nil || answer.Outcome != trial.Match {
		t.Errorf("got %s, %v", told(answer), err)
	}
}
