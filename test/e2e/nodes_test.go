package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What the specs call their nodes: those that can be taken back at any time, and others.
var (
	onDemand labels
	spot     = labels{"cloud.google.com/gke-spot": "true"}
)

var nodes int

// newNode adds a node to the cluster that goes with the spec, and gives its name. Pods run on it only if they ask for it.
func newNode(ctx context.Context, labelled labels, changes ...func(*corev1.Node)) string {
	GinkgoHelper()
	nodes++
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("e2e-%d", nodes), Labels: maps.Clone(labelled)}}
	for _, change := range changes {
		change(node)
	}
	Expect(suite.plane.AddNodes(ctx, node)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { deleteAtOnce(ctx, node) })
	return node.Name
}

// deleteAtOnce deletes an object that may be gone, without time to end.
func deleteAtOnce(ctx context.Context, object client.Object) {
	GinkgoHelper()
	err := suite.client.Delete(ctx, object, client.GracePeriodSeconds(0), client.PropagationPolicy(metav1.DeletePropagationBackground))
	Expect(client.IgnoreNotFound(err)).To(Succeed())
}

// setNodeCondition is what an agent on the node, or the provider's controller, does.
func setNodeCondition(ctx context.Context, node, condition string, status corev1.ConditionStatus) {
	GinkgoHelper()
	patchStatus(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, corev1.NodeCondition{
		Type: corev1.NodeConditionType(condition), Status: status, Reason: "E2E", LastTransitionTime: metav1.Now(),
	})
}

// patchStatus adds or replaces a condition.
func patchStatus(ctx context.Context, object client.Object, condition any) {
	GinkgoHelper()
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []any{condition}}})
	Expect(err).NotTo(HaveOccurred())
	Expect(suite.client.Status().Patch(ctx, object, client.RawPatch(types.StrategicMergePatchType, patch))).To(Succeed())
}

// taint puts a NoExecute taint on a node.
func taint(ctx context.Context, node string) {
	GinkgoHelper()
	kubectl(ctx, "taint", "node", node, "e2e=down:NoExecute")
}

// drain is what an administrator does before an upgrade.
func drain(ctx context.Context, node string) {
	GinkgoHelper()
	kubectl(ctx, "drain", node, "--force", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=60s")
}

// urgent is the priority of pods that others have to make room for.
const urgent = "e2e-urgent"

// preempt makes a pod on a node that needs the room of the others there. It goes with the spec.
func preempt(ctx context.Context, node string) *corev1.Pod {
	GinkgoHelper()
	class := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: urgent}, Value: 1000}
	Expect(client.IgnoreAlreadyExists(suite.client.Create(ctx, class))).To(Succeed())
	template := template(node)
	template.Spec.PriorityClassName = urgent
	return createPod(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "urgent-on-" + node}, Spec: template.Spec,
	})
}

// template is for pods on a node that take more than half of it.
func template(node string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		NodeSelector:  map[string]string{corev1.LabelHostname: node},
		Containers: []corev1.Container{{
			Name: "train", Image: "example.com/train:1",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: more}},
		}},
		AutomountServiceAccountToken: ptr.To(false),
	}}
}

// createPod creates a pod that goes with the spec, as soon as its namespace has a ServiceAccount.
func createPod(ctx context.Context, pod *corev1.Pod) *corev1.Pod {
	GinkgoHelper()
	Eventually(func() error { return suite.client.Create(ctx, pod) }).Should(Succeed())
	DeferCleanup(func(ctx SpecContext) { deleteAtOnce(ctx, pod) })
	return pod
}
