// Package sample makes the objects and the pure work that the benchmarks and the gate measure: pods and nodes as clusters
// have them, and looks, plans, rules and links of a given size. All of it is the same each time.
package sample

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Start is when everything here begins.
var Start = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

// at is so many seconds after Start.
func at(seconds int) time.Time { return Start.Add(time.Duration(seconds) * time.Second) }

func stamp(seconds int) metav1.Time { return metav1.NewTime(at(seconds)) }

// gang is how many pods a job has.
const gang = 64

// JobPod is the pod of an indexed Job of 64, as the Job controller, the scheduler and a kubelet make it. No pod of such a Job
// has the labels of another one, which is the worst there is.
func JobPod(i int) *corev1.Pod {
	job, rank, yes, started := fmt.Sprintf("train-%03d", i/gang), fmt.Sprint(i%gang), true, stamp(i+1)
	uid := fmt.Sprintf("3e1a4c2e-6a51-4cf5-9d5e-%012d", i/gang)
	condition := func(kind corev1.PodConditionType, at int) corev1.PodCondition {
		return corev1.PodCondition{Type: kind, Status: "True", LastTransitionTime: stamp(at)}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			UID: types.UID(fmt.Sprintf("7d9cf2f1-12ab-4b2e-8f44-%012d", i)), Namespace: "vision", Name: job + "-" + rank + "-x7k2p", CreationTimestamp: stamp(i),
			Labels: map[string]string{
				"app": "train", "team": "vision", "batch.kubernetes.io/controller-uid": uid, "controller-uid": uid,
				"batch.kubernetes.io/job-name": job, "job-name": job, "batch.kubernetes.io/job-completion-index": rank,
			},
			Annotations:     map[string]string{"batch.kubernetes.io/job-completion-index": rank},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job, UID: types.UID(uid), Controller: &yes}},
		},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprintf("gke-spot-pool-%04d", i%1000), Hostname: job + "-" + rank,
			Containers: []corev1.Container{{Image: "registry.example/train:2026-11-24", Env: []corev1.EnvVar{{Name: "WANDB_RUN_ID", Value: job}}}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &started,
			Conditions: []corev1.PodCondition{
				condition(corev1.PodReadyToStartContainers, i+1), condition(corev1.PodInitialized, i+1), condition(corev1.PodReady, i+2),
				condition(corev1.ContainersReady, i+2), condition(corev1.PodScheduled, i),
			},
			ContainerStatuses: []corev1.ContainerStatus{{ImageID: "registry.example/train@sha256:4f0c1a"}},
		},
	}
}

// Replica is a pod of a Deployment, whose pods share their labels.
func Replica(i int) *corev1.Pod {
	pod := JobPod(i)
	pod.Name, pod.Spec.Hostname = fmt.Sprintf("web-%03d-6d8f7c5b9-%05d", i/gang, i), ""
	pod.Labels, pod.Annotations = map[string]string{"app": "web", "pod-template-hash": "6d8f7c5b9"}, nil
	return pod
}

// Node is one as kubelets register it.
func Node(name string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		UID: types.UID("uid-of-" + name + "-8f44-2b1c3d4e5f60"), Name: name, CreationTimestamp: stamp(-3600),
		Labels: map[string]string{
			"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "cloud.google.com/gke-spot": "true",
			"node.kubernetes.io/instance-type": "a3-highgpu-8g", "topology.kubernetes.io/zone": "europe-west4-b", "topology.kubernetes.io/region": "europe-west4",
		},
		Annotations: map[string]string{"node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
	}}
	for i, kind := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeReady} {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
			Type: kind, Status: "False", Reason: "Kubelet", LastHeartbeatTime: stamp(i), LastTransitionTime: stamp(-3600),
		})
	}
	return n
}

// decoded makes an object as a client does: with strings of its own.
func decoded[T any](from *T) *T {
	data, err := json.Marshal(from)
	if err == nil {
		from = new(T)
		err = json.Unmarshal(data, from)
	}
	if err != nil {
		panic(err) // an object of Kubernetes always can
	}
	return from
}
