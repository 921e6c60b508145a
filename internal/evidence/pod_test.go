package evidence_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/evidence"
)

// morning is when the tests begin.
var morning = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func at(minutes int) time.Time { return morning.Add(time.Duration(minutes) * time.Minute) }

func stamp(minutes int) metav1.Time { return metav1.NewTime(at(minutes)) }

func TestPodOf(t *testing.T) {
	yes, started := true, stamp(1)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			UID: "u", Namespace: "vision", Name: "capsules-0", CreationTimestamp: stamp(0),
			Labels: map[string]string{"app": "t"},
			Annotations: map[string]string{
				"short": "v", corev1.LastAppliedConfigAnnotation: "{}", "kib": strings.Repeat("x", 1024), "long": strings.Repeat("x", 1025),
			},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: "capsules", UID: "j", Controller: &yes}},
		},
		Spec: corev1.PodSpec{
			NodeName: "n", InitContainers: []corev1.Container{{Image: "init"}}, Containers: []corev1.Container{{Image: "a:1"}, {Image: "b:1"}, {Image: "a:1"}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "Terminated", StartTime: &started,
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: "True", LastTransitionTime: stamp(0)},
				{Type: corev1.PodReadyToStartContainers, Status: "True"}, {Type: corev1.PodInitialized, Status: "True"}, {Type: corev1.ContainersReady, Status: "True"},
				{Type: corev1.DisruptionTarget, Status: "True", Reason: "PreemptionByScheduler", Message: "long", LastTransitionTime: stamp(4)},
			},
			InitContainerStatuses: []corev1.ContainerStatus{{RestartCount: 7, State: terminated(9)}},
			ContainerStatuses: []corev1.ContainerStatus{
				{RestartCount: 1, State: terminated(5), ImageID: "docker-pullable://a@sha256:aa"}, {RestartCount: 2, State: terminated(6), ImageID: "b:1"},
			},
		},
	}
	want := &evidence.Pod{
		UID: "u", Namespace: "vision", Name: "capsules-0", Hostname: "capsules-0", NodeName: "n",
		Labels: evidence.TextsOf(map[string]string{"app": "t"}), Annotations: evidence.TextsOf(map[string]string{"short": "v", "kib": strings.Repeat("x", 1024)}),
		Owners: []evidence.Owner{{APIVersion: "batch/v1", Kind: "Job", Name: "capsules", UID: "j", Controller: true}},
		Phase:  "Failed", Reason: "Terminated", CreatedAt: at(0), StartedAt: at(1), EndedAt: at(6), Restarts: 3,
		Images: []string{"a:1", "b:1", "a@sha256:aa"},
		Conditions: []evidence.Condition{
			{Type: "PodScheduled", Status: "True", At: at(0)},
			{Type: "DisruptionTarget", Status: "True", Reason: "PreemptionByScheduler", At: at(4)},
		},
	}
	if diff := cmp.Diff(want, evidence.PodOf(pod)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	pod.Status.Phase = corev1.PodRunning
	if got := evidence.PodOf(pod); got.Over() {
		t.Errorf("one of its containers ended, and it is over since %s", got.EndedAt)
	}
}

func terminated(minutes int) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{FinishedAt: stamp(minutes)}}
}

func TestHostname(t *testing.T) {
	yes, override := true, "as-i-say"
	long := strings.Repeat("a", 61) + "-.b"
	for _, c := range []struct {
		name, reason string
		pod          string
		spec         corev1.PodSpec
		want         string
	}{
		{name: "name", reason: "a pod is called by its name", pod: "p", want: "p"},
		{name: "hostname", reason: "or as it wants", pod: "p", spec: corev1.PodSpec{Hostname: "h"}, want: "h"},
		{name: "host network", reason: "there the host is the node", pod: "p", spec: corev1.PodSpec{HostNetwork: true, Hostname: "h"}},
		{name: "long", reason: "63 characters, and no mark at the end", pod: long, want: strings.Repeat("a", 61)},
		{name: "full", reason: "the kernel is given the full name", pod: "p", spec: corev1.PodSpec{Subdomain: "s", SetHostnameAsFQDN: &yes}, want: "p.s.vision.svc.cluster.local"},
		{name: "full, no domain", reason: "there is none to add", pod: "p", spec: corev1.PodSpec{SetHostnameAsFQDN: &yes}, want: "p"},
		{name: "domain", reason: "only if it is asked for", pod: "p", spec: corev1.PodSpec{Subdomain: "s"}, want: "p"},
		{name: "override", reason: "it wins over all", pod: "p", spec: corev1.PodSpec{HostnameOverride: &override, Hostname: "h"}, want: "as-i-say"},
	} {
		t.Run(c.name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "vision", Name: c.pod}, Spec: c.spec}
			if got := evidence.PodOf(pod).Hostname; got != c.want {
				t.Errorf("%s: got %q, want %q", c.reason, got, c.want)
			}
		})
	}
}

func TestRunsOfTheEnvironment(t *testing.T) {
	secret := &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{Key: "k"}}
	env := func(pairs ...string) (list []corev1.EnvVar) {
		for i := 0; i < len(pairs); i += 2 {
			e := corev1.EnvVar{Name: pairs[i], Value: pairs[i+1]}
			if e.Value == "SECRET" {
				e.Value, e.ValueFrom = "", secret
			}
			list = append(list, e)
		}
		return list
	}
	for _, c := range []struct {
		name, reason string
		init, main   []corev1.EnvVar
		want         []evidence.RunRef
		unreadable   []string
	}{
		{
			name: "literal", reason: "all that narrows it is taken along",
			main: env("WANDB_RUN_ID", "x", "WANDB_PROJECT", "p", "WANDB_ENTITY", "e", "WANDB_BASE_URL", "https://w"),
			want: []evidence.RunRef{{Tracker: "wandb", ID: "x", Project: "p", Entity: "e", URL: "https://w"}},
		}, {
			name: "both trackers", reason: "a process may log to both",
			main: env("MLFLOW_RUN_ID", "m", "MLFLOW_TRACKING_URI", "http://m", "WANDB_RUN_ID", "x"),
			want: []evidence.RunRef{{Tracker: "wandb", ID: "x"}, {Tracker: "mlflow", ID: "m", URL: "http://m"}},
		}, {
			name: "init container", reason: "it may be a sidecar, which trains; the same run is said once",
			init: env("WANDB_RUN_ID", "x"), main: env("WANDB_RUN_ID", "x"),
			want: []evidence.RunRef{{Tracker: "wandb", ID: "x"}},
		}, {
			name: "reference", reason: "the kubelet expands earlier variables, and $$ is a $",
			main: env("A", "a", "B", "$(A)b", "WANDB_RUN_ID", "$$(A)-$(B)-$x$("),
			want: []evidence.RunRef{{Tracker: "wandb", ID: "$(A)-ab-$x$("}},
		}, {
			name: "later reference", reason: "a variable that comes later is not known; a service's may have the name",
			main: env("WANDB_RUN_ID", "$(A)", "A", "a"), unreadable: []string{"WANDB_RUN_ID"},
		}, {
			name: "secret", reason: "what is elsewhere cannot be read, nor what refers to it",
			main: env("A", "SECRET", "WANDB_RUN_ID", "x-$(A)", "MLFLOW_RUN_ID", "SECRET"), init: env("WANDB_RUN_ID", "SECRET"),
			unreadable: []string{"MLFLOW_RUN_ID", "WANDB_RUN_ID"},
		}, {
			name: "secret project", reason: "what does not name the run is as if it were not there",
			main: env("WANDB_RUN_ID", "x", "WANDB_PROJECT", "SECRET"), want: []evidence.RunRef{{Tracker: "wandb", ID: "x"}},
		}, {
			name: "twice", reason: "the last one counts",
			main: env("WANDB_RUN_ID", "SECRET", "WANDB_RUN_ID", "x", "MLFLOW_RUN_ID", "m", "MLFLOW_RUN_ID", ""),
			want: []evidence.RunRef{{Tracker: "wandb", ID: "x"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := evidence.PodOf(&corev1.Pod{Spec: corev1.PodSpec{
				InitContainers: []corev1.Container{{Env: c.init}}, Containers: []corev1.Container{{Env: c.main}},
			}})
			if diff := cmp.Diff(c.want, got.Runs); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if diff := cmp.Diff(c.unreadable, got.Unreadable); diff != "" {
				t.Errorf("%s: unreadable (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestWorkloadOf(t *testing.T) {
	w := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{
			"uid": "w", "namespace": "vision", "name": "job-x", "labels": map[string]any{"a": "b"},
			"ownerReferences": []any{map[string]any{"uid": "j2"}, map[string]any{"uid": "j1"}},
		},
		"status": map[string]any{"conditions": []any{
			map[string]any{"type": "Evicted", "status": "True", "reason": "Preempted", "lastTransitionTime": "2026-11-24T10:00:00+01:00"},
			map[string]any{"type": "Odd", "status": int64(1)}, "odd",
		}},
	}}
	want := &evidence.Workload{
		UID: "w", Namespace: "vision", Name: "job-x", Owners: []types.UID{"j1", "j2"}, Labels: evidence.TextsOf(map[string]string{"a": "b"}),
		Conditions: []evidence.Condition{{Type: "Evicted", Status: "True", Reason: "Preempted", At: at(0)}, {Type: "Odd"}},
	}
	if diff := cmp.Diff(want, evidence.WorkloadOf(w)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	delete(w.Object, "status")
	if got := evidence.WorkloadOf(w); got.Conditions != nil {
		t.Errorf("without a status: %v", got.Conditions)
	}
}
