package evidence_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/evidence"
)

// No pod of an indexed Job has the same labels as another one, which is the worst there is; replicas of a Deployment share
// theirs. A cluster has both.
func TestMemoryOfPods(t *testing.T) {
	const n, most = 10_000, 1 << 10
	for _, c := range []struct {
		name string
		most int64
		pod  func(int) *corev1.Pod
	}{
		{"half of each", most, func(i int) *corev1.Pod {
			if i%2 == 0 {
				return replica(i)
			}
			return jobPod(i)
		}},
		{"indexed Jobs", most, jobPod},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := store(evidence.Options{Keys: binding.Keys})
			each := measure(n, func(i int) { s.SeePod(evidence.PodOf(decoded(t, c.pod(i), &corev1.Pod{}))) })
			runtime.KeepAlive(s)
			t.Logf("%d bytes for each pod", each)
			if each > c.most {
				t.Errorf("%d bytes for each pod, want at most %d", each, c.most)
			}
		})
	}
}

func TestMemoryOfNodes(t *testing.T) {
	const n, most = 1_000, 1 << 10
	s, _ := store(evidence.Options{})
	each := measure(n, func(i int) { s.SeeNode(evidence.NodeOf(decoded(t, node(fmt.Sprintf("node-%04d", i)), &corev1.Node{}))) })
	runtime.KeepAlive(s)
	t.Logf("%d bytes for each node", each)
	if each > most {
		t.Errorf("%d bytes for each node, want at most %d", each, most)
	}
}

// measure gives the bytes of heap that each of n steps leaves.
func measure(n int, step func(int)) int64 {
	step(0) // decoders have caches of their own
	before := heap()
	for i := range n {
		step(i + 1)
	}
	return (heap() - before) / int64(n)
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// decoded makes an object as a client does: with strings of its own.
func decoded[T any](t *testing.T, from any, to *T) *T {
	t.Helper()
	data, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatal(err)
	}
	return to
}

// jobPod is the pod of an indexed Job of 64, as the Job controller, the scheduler and a kubelet make it.
func jobPod(i int) *corev1.Pod {
	job, rank, yes, started := fmt.Sprintf("train-%03d", i/64), fmt.Sprint(i%64), true, stamp(i+1)
	uid := fmt.Sprintf("3e1a4c2e-6a51-4cf5-9d5e-%012d", i/64)
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

// replica is a pod of a Deployment.
func replica(i int) *corev1.Pod {
	pod := jobPod(i)
	pod.Name, pod.Spec.Hostname = fmt.Sprintf("web-%03d-6d8f7c5b9-%05d", i/64, i), ""
	pod.Labels, pod.Annotations = map[string]string{"app": "web", "pod-template-hash": "6d8f7c5b9"}, nil
	return pod
}

// node is one as kubelets register it.
func node(name string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		UID: types.UID("uid-of-" + name + "-8f44-2b1c3d4e5f60"), Name: name, CreationTimestamp: stamp(-60),
		Labels: map[string]string{
			"kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux", "cloud.google.com/gke-spot": "true",
			"node.kubernetes.io/instance-type": "a3-highgpu-8g", "topology.kubernetes.io/zone": "europe-west4-b", "topology.kubernetes.io/region": "europe-west4",
		},
		Annotations: map[string]string{"node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/controller-managed-attach-detach": "true"},
	}}
	for i, kind := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure, corev1.NodeReady} {
		n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{
			Type: kind, Status: "False", Reason: "Kubelet", LastHeartbeatTime: stamp(i), LastTransitionTime: stamp(-60),
		})
	}
	return n
}
