package controllerstest

import (
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/evidence"
)

// NewRule is a TagRule that gives these tags when an expression holds. It is not applied yet.
func (h *Harness) NewRule(name, when string, give ...string) *v1alpha1.TagRule {
	return &v1alpha1.TagRule{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: name}, Spec: v1alpha1.TagRuleSpec{When: when, Tags: give},
	}
}

// NewClusterRule is a ClusterTagRule that gives these tags when an expression holds. It is not applied yet.
func (h *Harness) NewClusterRule(name, when string, give ...string) *v1alpha1.ClusterTagRule {
	return &v1alpha1.ClusterTagRule{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.ClusterTagRuleSpec{TagRuleSpec: v1alpha1.TagRuleSpec{When: when, Tags: give}},
	}
}

// NewPod is a pod of the harness's namespace that runs on a node since now, with these environment variables as
// "NAME=value". Nobody has seen it yet.
func (h *Harness) NewPod(name, node string, env ...corev1.EnvVar) *corev1.Pod {
	now := metav1.NewTime(h.Clock.Now())
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: h.Namespace, Name: name, UID: types.UID(h.Namespace + "-" + name), CreationTimestamp: now, Labels: map[string]string{},
		},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "main", Image: "train:1", Env: env}}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &now,
			ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}}},
		},
	}
}

// NewNode is a node with these labels, each "key=value". Nobody has seen it yet.
func (h *Harness) NewNode(name string, labels map[string]string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("node-" + name), Labels: labels},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}}},
	}
}

// SeePods has the operator see pods as they are now.
func (h *Harness) SeePods(pods ...*corev1.Pod) {
	h.t.Helper()
	for _, pod := range pods {
		h.pods[pod.UID] = pod
		h.Evidence.SeePod(evidence.PodOf(pod))
	}
}

// Disrupt has the operator see that a pod is going to be disrupted, for this reason.
func (h *Harness) Disrupt(pod *corev1.Pod, reason string) {
	h.t.Helper()
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, LastTransitionTime: metav1.NewTime(h.Clock.Now()),
	})
	h.SeePods(pod)
}

// GonePods has the operator see that pods are gone.
func (h *Harness) GonePods(pods ...*corev1.Pod) {
	h.t.Helper()
	for _, pod := range pods {
		delete(h.pods, pod.UID)
		h.Evidence.GonePod(pod.UID)
	}
}

// SeeNodes has the operator see nodes as they are now.
func (h *Harness) SeeNodes(nodes ...*corev1.Node) {
	h.t.Helper()
	for _, node := range nodes {
		h.nodes[node.Name] = node
		h.Evidence.SeeNode(evidence.NodeOf(node))
	}
}

// GoneNodes has the operator see that nodes are gone.
func (h *Harness) GoneNodes(names ...string) {
	h.t.Helper()
	for _, name := range names {
		delete(h.nodes, name)
		h.Evidence.GoneNode(name)
	}
}

// ruleChanged queues what a change of a rule queues: the rule, and the TrainingRuns and projects that it may concern.
func (h *Harness) ruleChanged(rule client.Object) {
	h.t.Helper()
	namespaces := []string{rule.GetNamespace()}
	if _, wide := rule.(*v1alpha1.ClusterTagRule); wide {
		h.clusterRules.Add(requestFor(rule))
		h.global = append(h.global, rule)
		namespaces = h.namespaces
	} else {
		h.rules.Add(requestFor(rule))
	}
	for _, ns := range namespaces {
		for _, r := range h.runsIn(ns) {
			h.runs.Add(requestFor(&r))
		}
		for _, p := range h.projectsIn(ns) {
			h.projects.Add(requestFor(&p))
		}
	}
}

// queueRules queues all rules of a namespace, or those of the cluster.
func (h *Harness) queueRules(namespace string) {
	h.t.Helper()
	if namespace == "" {
		var wide v1alpha1.ClusterTagRuleList
		h.g.Expect(h.Admin.List(h.ctx, &wide)).To(gomega.Succeed())
		for i := range wide.Items {
			h.clusterRules.Add(requestFor(&wide.Items[i]))
		}
		return
	}
	for _, rule := range h.rulesIn(namespace) {
		h.rules.Add(requestFor(&rule))
	}
}

func (h *Harness) rulesIn(namespace string) []v1alpha1.TagRule {
	h.t.Helper()
	var own v1alpha1.TagRuleList
	h.list(kindRule, &own, namespace, h.Admin)
	return own.Items
}
