package evidence

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// NodeOf takes from a node what rules can read. Heartbeats, images, addresses and capacity are not among it.
func NodeOf(node *corev1.Node) *Node {
	n := &Node{
		UID: node.UID, Name: node.Name, CreatedAt: node.CreationTimestamp.UTC(),
		Labels: TextsOf(node.Labels), Annotations: annotations(node.Annotations),
	}
	for _, t := range node.Spec.Taints {
		taint := Taint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)}
		if t.TimeAdded != nil {
			taint.At = moment(*t.TimeAdded)
		}
		n.Taints = append(n.Taints, taint)
	}
	for _, c := range node.Status.Conditions {
		n.Conditions = append(n.Conditions, Condition{string(c.Type), string(c.Status), c.Reason, moment(c.LastTransitionTime)})
	}
	return n
}

func (n *Node) same(o *Node) bool {
	return n.UID == o.UID && n.Name == o.Name && n.CreatedAt.Equal(o.CreatedAt) && !n.warns(o) &&
		n.Labels.Equal(o.Labels) && n.Annotations.Equal(o.Annotations)
}

// warns says that taints or conditions differ, which may mean that the node is about to go away.
func (n *Node) warns(o *Node) bool {
	return !slices.Equal(n.Taints, o.Taints) || !slices.Equal(n.Conditions, o.Conditions)
}

// dated fills in when what has no time was first seen so: before, or now.
func dated(conditions, before []Condition, now time.Time) {
	for i, c := range conditions {
		if !c.At.IsZero() {
			continue
		}
		conditions[i].At = now
		at := slices.IndexFunc(before, func(b Condition) bool { return b.Type == c.Type && b.Status == c.Status })
		if at >= 0 {
			conditions[i].At = before[at].At
		}
	}
}

// datedTaints does so for taints.
func datedTaints(taints, before []Taint, now time.Time) {
	for i, t := range taints {
		if !t.At.IsZero() {
			continue
		}
		taints[i].At = now
		at := slices.IndexFunc(before, func(b Taint) bool { return b.Key == t.Key && b.Value == t.Value && b.Effect == t.Effect })
		if at >= 0 {
			taints[i].At = before[at].At
		}
	}
}

// WorkloadOf takes from a Workload of Kueue, of whatever version, what rules can read.
func WorkloadOf(w *unstructured.Unstructured) *Workload {
	out := &Workload{UID: w.GetUID(), Namespace: w.GetNamespace(), Name: w.GetName(), Labels: TextsOf(w.GetLabels())}
	for _, o := range w.GetOwnerReferences() {
		out.Owners = append(out.Owners, o.UID)
	}
	slices.Sort(out.Owners)
	found, _, err := unstructured.NestedFieldNoCopy(w.Object, "status", "conditions")
	conditions, ok := found.([]any)
	if err != nil || !ok {
		return out // a version of another shape has no conditions that we know
	}
	for _, item := range conditions {
		if c, ok := item.(map[string]any); ok {
			out.Conditions = append(out.Conditions, conditionOf(c))
		}
	}
	return out
}

func conditionOf(c map[string]any) Condition {
	text := func(key string) string { s, _ := c[key].(string); return s } // another type is as none
	at, err := time.Parse(time.RFC3339, text("lastTransitionTime"))
	if err != nil {
		at = time.Time{} // as when there is none: the time when it was seen stands in
	}
	return Condition{text("type"), text("status"), text("reason"), at.UTC()}
}

func (w *Workload) same(o *Workload) bool {
	return w.UID == o.UID && w.Name == o.Name && slices.Equal(w.Owners, o.Owners) && w.Labels.Equal(o.Labels) &&
		slices.Equal(w.Conditions, o.Conditions)
}
