package controlplane

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// signalLimit is for what a controller does by itself; it takes some seconds at most on a quiet machine.
const signalLimit = 60 * time.Second

func TestNodes(t *testing.T) { // what needs no control plane of its own
	c := StartForTest(t, WithNodes(2, map[string]string{"pool": "spot"}))
	nodes := simulated{c, client(t, c.RESTConfig())}
	for name, test := range map[string]func(*testing.T){
		"first nodes": nodes.areReady, "AddNodes": nodes.canBeAdded, "Job": nodes.runJobs, "exit codes": nodes.endPodsAsTold,
		"disruptions": nodes.disruptPods, "pod failure policy": nodes.countFailures, "termination": nodes.takeTheirTimeToTerminate,
		"heartbeats": nodes.keepWhatIsPatched,
	} {
		t.Run(name, test)
	}
	t.Run("restart of the API server", nodes.outliveTheAPIServer)
}

func (s simulated) areReady(t *testing.T) {
	type seen struct{ Name, Ready, Hostname, Pool, CPU, Memory, Pods string }
	var got []seen
	for _, name := range []string{"node-0", "node-1"} {
		node := s.node(t, name)
		room := node.Status.Allocatable
		got = append(got, seen{
			node.Name, string(nodeCondition(node, corev1.NodeReady)), node.Labels[corev1.LabelHostname], node.Labels["pool"],
			room.Cpu().String(), room.Memory().String(), room.Pods().String(),
		})
	}
	want := []seen{
		{"node-0", "True", "node-0", "spot", "32", "256Gi", "110"},
		{"node-1", "True", "node-1", "spot", "32", "256Gi", "110"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after the start (-want +got):\n%s", diff)
	}
	if _, err := s.api.CoreV1().ServiceAccounts("default").Get(t.Context(), "default", metav1.GetOptions{}); err != nil {
		t.Errorf("no pod can be created in the default namespace: %v", err)
	}
}

func (s simulated) canBeAdded(t *testing.T) {
	own := corev1.Taint{Key: "nvidia.com/gpu", Value: "present", Effect: corev1.TaintEffectNoSchedule}
	s.add(t, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "gpu", Labels: map[string]string{"gpu": "h100"}},
		Spec:       corev1.NodeSpec{ProviderID: "test:///gpu", Taints: []corev1.Taint{own}},
		Status:     corev1.NodeStatus{Capacity: corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("8"), "cpu": resource.MustParse("4")}},
	})
	node := s.node(t, "gpu")
	if diff := cmp.Diff([]corev1.Taint{own}, node.Spec.Taints); diff != "" {
		t.Errorf("taints (-want +got):\n%s", diff)
	}
	got := map[corev1.ResourceName]string{}
	for name, quantity := range node.Status.Allocatable {
		got[name] = quantity.String()
	}
	want := map[corev1.ResourceName]string{"nvidia.com/gpu": "8", "cpu": "4", "memory": "256Gi", "pods": "110"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("room (-want +got):\n%s", diff)
	}
	if err := s.AddNodes(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "gpu"}}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a second one of that name: got %v, want AlreadyExists", err)
	}
}

func (s simulated) runJobs(t *testing.T) {
	s.createJob(t, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "train"}, Spec: batchv1.JobSpec{Template: template("train", "node-0")}})
	pod := s.podOf(t, "train")
	seen := s.follow(t, pod.Name).until(t, phase(corev1.PodRunning))
	status := seen.Status
	if status.PodIP == "" || status.HostIP == "" || status.StartTime == nil || podCondition(seen, corev1.PodReady) != "True" {
		t.Errorf("a running pod has address, start time and condition Ready; got %+v", status)
	}
	if diff := cmp.Diff([]string{"sidecar", "main"}, running(seen)); diff != "" || status.ContainerStatuses[0].ImageID == "" {
		t.Errorf("its containers have images and run, those that prepare have ended (-want +got):\n%s", diff)
	}
	s.annotate(t, pod.Name, ExitAnnotation, "0")
	NewWithT(t).Eventually(func() (bool, error) {
		job, err := s.api.BatchV1().Jobs("default").Get(t.Context(), "train", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, c := range job.Status.Conditions {
			if c.Type == batchv1.JobComplete && c.Status == corev1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	}, signalLimit).Should(BeTrue(), "the Job is complete once its pod has exited with 0")
}

func (s simulated) endPodsAsTold(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		annotations  []string // one after the other
		want         corev1.PodPhase
		code         int32
	}{
		{"success", "0 is what a program ends with that did its work", []string{"0"}, corev1.PodSucceeded, 0},
		{"failure", "any other code is a failure, and kept", []string{"137"}, corev1.PodFailed, 137},
		{"slip", "what is no code must not pass for 0", []string{"seven", "7"}, corev1.PodFailed, 7},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := "exit-" + test.name
			s.createPod(t, name, "node-0", nil)
			pod := s.follow(t, name)
			pod.until(t, phase(corev1.PodRunning))
			for _, code := range test.annotations {
				s.annotate(t, name, ExitAnnotation, code)
			}
			got := pod.until(t, func(e watch.EventType, p *corev1.Pod) bool {
				return e == watch.Deleted || p.Status.Phase != corev1.PodRunning
			})
			if ended := exit(got); got.Status.Phase != test.want || ended == nil || ended.ExitCode != test.code || ended.FinishedAt.IsZero() {
				t.Errorf("%s: got phase %s and %+v, want %s and %d", test.reason, got.Status.Phase, ended, test.want, test.code)
			}
			if left := running(got); len(left) > 0 {
				t.Errorf("%s: %v still run", test.reason, left)
			}
		})
	}
}

func (s simulated) disruptPods(t *testing.T) {
	classes := s.api.SchedulingV1().PriorityClasses()
	urgent := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "urgent"}, Value: 1000}
	if _, err := classes.Create(t.Context(), urgent, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, reason string
		disrupt      func(ctx context.Context, node, pod string) error
		want         string // the reason of DisruptionTarget
		before       bool   // the condition is there before the pod is deleted
	}{
		{
			name: "preempted", reason: "the scheduler makes room for a pod of a higher priority", want: corev1.PodReasonPreemptionByScheduler, before: true,
			disrupt: func(ctx context.Context, node, pod string) error {
				preemptor := bigPod(pod+"-preemptor", node)
				preemptor.Spec.PriorityClassName = "urgent"
				_, err := s.api.CoreV1().Pods("default").Create(ctx, preemptor, metav1.CreateOptions{})
				return err
			},
		},
		{
			name: "tainted", reason: "a taint with NoExecute drives pods off", want: "DeletionByTaintManager", before: true,
			disrupt: func(ctx context.Context, node, _ string) error {
				return s.patchNode(ctx, node, "", map[string]any{"spec": map[string]any{
					"taints": []corev1.Taint{{Key: "reclaimed", Effect: corev1.TaintEffectNoExecute}},
				}})
			},
		},
		{
			name: "evicted", reason: "kubectl drain evicts", want: "EvictionByEvictionAPI", before: true,
			disrupt: func(ctx context.Context, _, pod string) error {
				return s.api.PolicyV1().Evictions("default").Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: "default"}})
			},
		},
		{
			name: "orphaned", reason: "the pods of a deleted node are collected", want: "DeletionByPodGC",
			disrupt: func(ctx context.Context, node, _ string) error {
				return s.api.CoreV1().Nodes().Delete(ctx, node, metav1.DeleteOptions{})
			},
		},
		{
			name: "deleted", reason: "kubectl delete is no disruption",
			disrupt: func(ctx context.Context, _, pod string) error {
				return s.api.CoreV1().Pods("default").Delete(ctx, pod, metav1.DeleteOptions{})
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.add(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: test.name}})
			s.create(t, bigPod(test.name, test.name))
			pod := s.follow(t, test.name)
			pod.until(t, phase(corev1.PodRunning))
			if err := test.disrupt(t.Context(), test.name, test.name); err != nil {
				t.Fatal(err)
			}
			if test.before {
				first := pod.until(t, func(_ watch.EventType, p *corev1.Pod) bool {
					return disruption(p) != "" || p.DeletionTimestamp != nil
				})
				if disruption(first) != test.want || first.DeletionTimestamp != nil {
					t.Errorf("%s: first seen with %q and deleted at %v", test.reason, disruption(first), first.DeletionTimestamp)
				}
			}
			last := pod.until(t, gone)
			if disruption(last) != test.want || last.Status.Phase != corev1.PodFailed {
				t.Errorf("%s: it went with %q in phase %s, want %q and Failed", test.reason, disruption(last), last.Status.Phase, test.want)
			}
			if test.name == "orphaned" {
				return // its kubelet went with the node, and nobody says how the containers ended
			}
			if ended := exit(last); ended == nil || ended.ExitCode != 143 || len(running(last)) > 0 {
				t.Errorf("%s: it ended with %+v, and %v still run; want exit code 143 of SIGTERM", test.reason, ended, running(last))
			}
		})
	}
}

// countFailures: with a pod failure policy a pod has to be seen Failed before the Job lets go of it.
func (s simulated) countFailures(t *testing.T) {
	s.createJob(t, &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "policy"},
		Spec: batchv1.JobSpec{
			Template: template("policy", "node-0"),
			PodFailurePolicy: &batchv1.PodFailurePolicy{Rules: []batchv1.PodFailurePolicyRule{{
				Action:          batchv1.PodFailurePolicyActionIgnore,
				OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}},
			}}},
		},
	})
	first := s.podOf(t, "policy")
	pod := s.follow(t, first.Name)
	pod.until(t, phase(corev1.PodRunning))
	if err := s.api.PolicyV1().Evictions("default").Evict(t.Context(), &policyv1.Eviction{ObjectMeta: first.ObjectMeta}); err != nil {
		t.Fatal(err)
	}
	pod.until(t, gone)
	second := s.podOf(t, "policy")
	s.follow(t, second.Name).until(t, phase(corev1.PodRunning))
}

func (s simulated) takeTheirTimeToTerminate(t *testing.T) {
	s.createPod(t, "slow", "node-0", map[string]string{TerminationAnnotation: "1h"})
	pod := s.follow(t, "slow")
	pod.until(t, phase(corev1.PodRunning))
	s.createPod(t, "quick", "node-0", map[string]string{TerminationAnnotation: "10ms"})
	quick := s.follow(t, "quick")
	quick.until(t, phase(corev1.PodRunning))
	for _, name := range []string{"slow", "quick"} { // in this order
		if err := s.api.CoreV1().Pods("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	quick.until(t, gone)
	slow, err := s.api.CoreV1().Pods("default").Get(t.Context(), "slow", metav1.GetOptions{})
	if err != nil || slow.DeletionTimestamp == nil || slow.Status.Phase != corev1.PodRunning {
		t.Errorf("a pod that takes an hour to terminate is terminating, and still runs; got %v in phase %s", err, slow.Status.Phase)
	}
	s.annotate(t, "slow", TerminationAnnotation, "0s")
	pod.until(t, gone)
}

func (s simulated) keepWhatIsPatched(t *testing.T) {
	s.add(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "faulty", Annotations: map[string]string{HeartbeatAnnotation: "1s"}}})
	taint := corev1.Taint{Key: "test", Value: "x", Effect: corev1.TaintEffectPreferNoSchedule}
	if err := s.patchNode(t.Context(), "faulty", "", map[string]any{"spec": map[string]any{"taints": []corev1.Taint{taint}}}); err != nil {
		t.Fatal(err)
	}
	want := map[corev1.NodeConditionType]corev1.ConditionStatus{
		corev1.NodeReady: "False", corev1.NodeDiskPressure: "True", corev1.NodeMemoryPressure: "False", corev1.NodePIDPressure: "False",
		corev1.NodeNetworkUnavailable: "False", "Terminating": "True",
	}
	err := s.patchNode(t.Context(), "faulty", "status", map[string]any{"status": map[string]any{"conditions": []map[string]string{
		{"type": "Ready", "status": "False", "reason": "KubeletNotReady"},
		{"type": "DiskPressure", "status": "True", "reason": "KubeletHasDiskPressure"},
		{"type": "Terminating", "status": "True", "reason": "SpotInterruption"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	heartbeats := map[time.Time]bool{}
	events, err := s.api.CoreV1().Nodes().Watch(t.Context(), metav1.SingleObject(metav1.ObjectMeta{Name: "faulty"}))
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	limit := time.After(signalLimit)
	for len(heartbeats) < 4 { // that of before, and three
		select {
		case event := <-events.ResultChan():
			node, ok := event.Object.(*corev1.Node)
			if !ok {
				t.Fatalf("the watch says %+v", event.Object)
			}
			got := map[corev1.NodeConditionType]corev1.ConditionStatus{}
			for _, c := range node.Status.Conditions {
				got[c.Type] = c.Status
				if c.Type == corev1.NodeReady {
					heartbeats[c.LastHeartbeatTime.Time] = true
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("conditions after %d heartbeats (-want +got):\n%s", len(heartbeats), diff)
			}
		case <-limit:
			t.Fatalf("only the heartbeats %v were seen", heartbeats)
		}
	}
	found := false
	for _, got := range s.node(t, "faulty").Spec.Taints {
		found = found || got.Key == taint.Key
	}
	if !found {
		t.Error("the taint is gone")
	}
}

func (s simulated) outliveTheAPIServer(t *testing.T) {
	if err := s.RestartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.createPod(t, "later", "", nil)
	s.follow(t, "later").until(t, phase(corev1.PodRunning))
	if err := s.Err(); err != nil {
		t.Errorf("the control plane went down: %v", err)
	}
}

func TestNodesComeAndGoWithTheControlPlane(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trial")
	begin := func(label string) *ControlPlane {
		c, err := Start(t.Context(), Options{Dir: dir, Log: t.Logf, Nodes: 1, NodeLabels: map[string]string{"pool": label}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, c) })
		return c
	}
	first := begin("old")
	if out, err := exec.CommandContext(t.Context(), first.Kubectl(), "--kubeconfig="+first.KubeconfigPath(), "wait",
		"--for=condition=Ready", "node/node-0", "--timeout=0").CombinedOutput(); err != nil {
		t.Errorf("when the kubeconfig is there, so are the nodes; got %v: %s", err, out)
	}
	stop(t, first)
	if left := processesOn(dir); len(left) > 0 || len(first.simulators) != 3 {
		t.Errorf("after Stop the processes %v run; %d simulated nodes, want 3", left, len(first.simulators))
	}

	second := begin("new")
	node := simulated{second, client(t, second.RESTConfig())}.node(t, "node-0")
	if node.Labels["pool"] != "new" || !takesPods(node) {
		t.Errorf("the node of last time is Ready and has this time's labels; got %v, Ready is %s", node.Labels, nodeCondition(node, corev1.NodeReady))
	}
	if err := syscall.Kill(second.simulators[2].pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Eventually(second.Done(), "30s").Should(BeClosed())
	if err := second.Err(); err == nil || !strings.Contains(err.Error(), "kwok ended (signal: killed)") {
		t.Errorf("Err is %v, want that kwok was killed", err)
	}
	if left := processesOn(dir); len(left) > 0 {
		t.Errorf("without kwok the processes %v still run", left)
	}
}

func TestAddNodesNeedsNodes(t *testing.T) {
	if err := (&ControlPlane{}).AddNodes(t.Context()); err == nil || !strings.Contains(err.Error(), "Options.Nodes") {
		t.Errorf("got %v, want advice", err)
	}
}
