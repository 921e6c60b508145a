// Package rules tests the rules that are shipped and those of the documentation on objects as platforms make them.
package rules

import (
	"cmp"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/rules"
)

// What testdata goes by: the run and its pod begin at nine, and what happens happens at eleven.
var (
	began    = time.Date(2026, 11, 24, 9, 0, 1, 0, time.UTC)
	happened = time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC)
)

// read reads an object of testdata strictly: a misspelt field is no field.
func read[T any](t *testing.T, kind, name string) *T {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", kind, name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := new(T)
	if err := yaml.UnmarshalStrict(raw, out); err != nil {
		t.Fatalf("%s %s: %v", kind, name, err)
	}
	return out
}

// linked is a pod of testdata on a node of testdata, as the run that it trains sees them.
func linked(t *testing.T, podName, nodeName string, nodeChanges ...func(*corev1.Node)) rules.Linked {
	t.Helper()
	node := read[corev1.Node](t, "nodes", nodeName)
	for _, change := range nodeChanges {
		change(node)
	}
	object := read[corev1.Pod](t, "pods", podName)
	object.Spec.NodeName = node.Name
	pod := evidence.PodOf(object)
	if pod.EndedAt.IsZero() && (pod.Phase == string(corev1.PodFailed) || pod.Phase == string(corev1.PodSucceeded)) {
		pod.EndedAt = happened.Add(time.Second) // when it was seen
	}
	from := pod.StartedAt
	if from.IsZero() {
		from = pod.CreatedAt
	}
	return rules.Linked{
		Pod: pod, Node: evidence.NodeOf(node), Direct: true, Live: !pod.Over(), From: from, Until: pod.EndedAt,
	}
}

// workload is a Workload of testdata.
func workload(t *testing.T, name string, reason ...string) *evidence.Workload {
	t.Helper()
	w := &unstructured.Unstructured{Object: *read[map[string]any](t, "workloads", name)}
	out := evidence.WorkloadOf(w)
	for i := range out.Conditions {
		if c := &out.Conditions[i]; c.Type == "Evicted" && len(reason) > 0 {
			c.Reason = reason[0]
		}
	}
	return out
}

// world is what a run of these pods sees.
func world(pods []rules.Linked, workloads ...*evidence.Workload) rules.Input {
	return rules.Input{
		Run:       rules.Facts{ID: "3f9a1c", UID: "3f9a1c@1", State: "running", CreatedAt: began.Add(4 * time.Second), Attempts: 1},
		Namespace: rules.Namespace{Name: "vision"},
		Pods:      pods, Workloads: workloads,
	}
}

// condition sets a condition of a node, as of eleven.
func condition(kind, status, reason string) func(*corev1.Node) {
	return func(n *corev1.Node) {
		c := corev1.NodeCondition{
			Type: corev1.NodeConditionType(kind), Status: corev1.ConditionStatus(status), Reason: reason,
			LastHeartbeatTime: metav1.NewTime(happened), LastTransitionTime: metav1.NewTime(happened),
		}
		for i := range n.Status.Conditions {
			if n.Status.Conditions[i].Type == c.Type {
				n.Status.Conditions[i] = c
				return
			}
		}
		n.Status.Conditions = append(n.Status.Conditions, c)
	}
}

// taint adds a taint to a node, as of eleven.
func taint(key, value string, effect corev1.TaintEffect) func(*corev1.Node) {
	return func(n *corev1.Node) {
		at := metav1.NewTime(happened)
		n.Spec.Taints = append(n.Spec.Taints, corev1.Taint{Key: key, Value: value, Effect: effect, TimeAdded: &at})
	}
}

func label(key, value string) func(*corev1.Node) {
	return func(n *corev1.Node) { n.Labels[key] = value }
}

// cordoned is what kubectl cordon leaves.
func cordoned(n *corev1.Node) {
	n.Spec.Unschedulable = true
	taint(corev1.TaintNodeUnschedulable, "", corev1.TaintEffectNoSchedule)(n)
}

// silent is a node whose kubelet has sent nothing for 40 seconds, as the node lifecycle controller marks it.
func silent(n *corev1.Node) {
	for _, kind := range []string{"MemoryPressure", "DiskPressure", "PIDPressure", "Ready"} {
		condition(kind, "Unknown", "NodeStatusUnknown")(n)
	}
	taint(corev1.TaintNodeUnreachable, "", corev1.TaintEffectNoSchedule)(n)
	taint(corev1.TaintNodeUnreachable, "", corev1.TaintEffectNoExecute)(n)
}

// specOf is what the operator makes of a rule.
func specOf(kind, name string, s v1alpha1.TagRuleSpec) rules.Spec {
	return rules.Spec{
		Key: kind + "/" + name, When: s.When, Tags: s.Tags, TagExpression: s.TagExpression, For: s.For.Duration,
		Retention:       rules.Retention(cmp.Or(s.Retention, v1alpha1.RetentionSticky)),
		Mode:            rules.Mode(cmp.Or(s.Mode, v1alpha1.RuleModeEnforce)),
		NodeAnnotations: kind == "ClusterTagRule",
	}
}

func compile(t *testing.T, s rules.Spec) *rules.Program {
	t.Helper()
	p, err := rules.Compile(s)
	if err != nil {
		t.Fatalf("%s: %v", s.Key, err)
	}
	return p
}
