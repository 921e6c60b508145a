package controlplane

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// simulated is a control plane with nodes that is tested.
type simulated struct {
	*ControlPlane
	api kubernetes.Interface
}

func (s simulated) add(t *testing.T, node *corev1.Node) {
	t.Helper()
	if err := s.AddNodes(t.Context(), node); err != nil {
		t.Fatal(err)
	}
}

func (s simulated) node(t *testing.T, name string) *corev1.Node {
	t.Helper()
	node, err := s.api.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

func (s simulated) patchNode(ctx context.Context, name, subresource string, patch map[string]any) error {
	content, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = s.api.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, content, metav1.PatchOptions{}, subresource)
	return err
}

func (s simulated) annotate(t *testing.T, pod, key, value string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{key: value}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.api.CoreV1().Pods("default").Patch(t.Context(), pod, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

// template is for pods that run on a node, or on any for an empty name, with a sidecar.
func template(label, node string) corev1.PodTemplateSpec {
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"test": label}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "main", Image: "example.com/train:1"}},
			InitContainers: []corev1.Container{
				{Name: "prepare", Image: "example.com/prepare:1"},
				{Name: "sidecar", Image: "example.com/sidecar:1", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)},
			},
		},
	}
	if node != "" {
		template.Spec.NodeSelector = map[string]string{corev1.LabelHostname: node}
	}
	return template
}

func (s simulated) createPod(t *testing.T, name, node string, annotations map[string]string) {
	t.Helper()
	template := template(name, node)
	template.Name, template.Annotations = name, annotations
	s.create(t, &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec})
}

// bigPod takes more than half of a node's CPUs.
func bigPod(name, node string) *corev1.Pod {
	template := template(name, node)
	template.Name = name
	template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("20")}
	return &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
}

func (s simulated) create(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if _, err := s.api.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (s simulated) createJob(t *testing.T, job *batchv1.Job) {
	t.Helper()
	if _, err := s.api.BatchV1().Jobs("default").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// podOf waits for the pod of a Job, by the label of its template.
func (s simulated) podOf(t *testing.T, label string) *corev1.Pod {
	t.Helper()
	var pods *corev1.PodList
	NewWithT(t).Eventually(func() (int, error) {
		var err error
		pods, err = s.api.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{LabelSelector: "test=" + label})
		return len(pods.Items), err
	}, signalLimit).Should(Equal(1), "the Job's pod")
	return &pods.Items[0]
}

// followed is all that is said of one pod, from when it was first followed.
type followed struct {
	name   string
	events watch.Interface
}

func (s simulated) follow(t *testing.T, pod string) followed {
	t.Helper()
	events, err := s.api.CoreV1().Pods("default").Watch(t.Context(), metav1.SingleObject(metav1.ObjectMeta{Name: pod}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(events.Stop)
	return followed{pod, events}
}

// until gives the first state of the pod from here on of which found is true. None in between is missed.
func (f followed) until(t *testing.T, found func(watch.EventType, *corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	last, limit := &corev1.Pod{}, time.After(signalLimit)
	for {
		select {
		case event := <-f.events.ResultChan():
			pod, ok := event.Object.(*corev1.Pod)
			if !ok {
				t.Fatalf("the watch of pod %s says %+v", f.name, event)
			}
			if found(event.Type, pod) {
				return pod
			}
			last = pod
		case <-limit:
			t.Fatalf("pod %s did not come to what was waited for within %s; it is %+v", f.name, signalLimit, last.Status)
		}
	}
}

func phase(want corev1.PodPhase) func(watch.EventType, *corev1.Pod) bool {
	return func(_ watch.EventType, p *corev1.Pod) bool { return p.Status.Phase == want }
}

func gone(event watch.EventType, _ *corev1.Pod) bool { return event == watch.Deleted }

// disruption is the reason of the condition DisruptionTarget, empty without it.
func disruption(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return c.Reason
		}
	}
	return ""
}

// exit is how the pod's only container ended, nil if it has not.
func exit(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	if len(pod.Status.ContainerStatuses) != 1 {
		return nil
	}
	return pod.Status.ContainerStatuses[0].State.Terminated
}

// running names the containers that run.
func running(pod *corev1.Pod) []string {
	var names []string
	for _, c := range append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...) {
		if c.State.Running != nil {
			names = append(names, c.Name)
		}
	}
	return names
}

func podCondition(pod *corev1.Pod, kind corev1.PodConditionType) corev1.ConditionStatus {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

func nodeCondition(node *corev1.Node, kind corev1.NodeConditionType) corev1.ConditionStatus {
	for _, c := range node.Status.Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}
