package evidence

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// longestAnnotation is the longest value of an annotation that is kept, in bytes. What is longer is a document, and no
// rule reads it.
const longestAnnotation = 1 << 10

// clusterDomain is what kubelets append to a pod's full name unless they are told otherwise (--cluster-domain), which
// nothing in the API says.
const clusterDomain = "cluster.local"

// steps are conditions on the way to Ready. They come and go with each start of a pod and say nothing that PodScheduled
// and Ready do not, so they are not worth their room.
var steps = []corev1.PodConditionType{corev1.PodInitialized, corev1.ContainersReady, corev1.PodReadyToStartContainers}

// PodOf takes from a pod what links and rules can read.
func PodOf(pod *corev1.Pod) *Pod {
	p := &Pod{
		UID: pod.UID, Namespace: pod.Namespace, Name: pod.Name,
		Labels: TextsOf(pod.Labels), Annotations: annotations(pod.Annotations),
		NodeName: pod.Spec.NodeName, Hostname: hostname(pod),
		Phase: string(pod.Status.Phase), Reason: pod.Status.Reason,
		CreatedAt: pod.CreationTimestamp.UTC(), Images: images(pod),
	}
	for _, o := range pod.OwnerReferences {
		p.Owners = append(p.Owners, Owner{
			APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, UID: o.UID, Controller: o.Controller != nil && *o.Controller,
		})
	}
	p.Runs, p.Unreadable = runs(pod)
	if pod.Status.StartTime != nil {
		p.StartedAt = pod.Status.StartTime.UTC()
	}
	for _, status := range pod.Status.ContainerStatuses {
		p.Restarts += int(status.RestartCount)
		if t := status.State.Terminated; t != nil && ended(p.Phase) {
			p.EndedAt = later(p.EndedAt, t.FinishedAt.Time)
		}
	}
	for _, c := range pod.Status.Conditions {
		if !slices.Contains(steps, c.Type) {
			p.Conditions = append(p.Conditions, Condition{string(c.Type), string(c.Status), c.Reason, moment(c.LastTransitionTime)})
		}
	}
	return p
}

func ended(phase string) bool {
	return phase == string(corev1.PodSucceeded) || phase == string(corev1.PodFailed)
}

// hostname is what gethostname gives in the pod's containers, after the kubelet's GeneratePodHostNameAndDomain and
// GetNodenameForKernel (v1.37).
func hostname(pod *corev1.Pod) string {
	if pod.Spec.HostNetwork {
		return ""
	}
	if override := pod.Spec.HostnameOverride; override != nil {
		return cut(*override)
	}
	name := pod.Name
	if pod.Spec.Hostname != "" {
		name = pod.Spec.Hostname
	}
	name = cut(name)
	if fqdn := pod.Spec.SetHostnameAsFQDN; fqdn != nil && *fqdn && pod.Spec.Subdomain != "" {
		return strings.Join([]string{name, pod.Spec.Subdomain, pod.Namespace, "svc", clusterDomain}, ".")
	}
	return name
}

// cut makes a name fit into 63 characters as the kubelet does.
func cut(name string) string {
	const most = 63
	if len(name) <= most {
		return name
	}
	return strings.TrimRight(name[:most], "-.")
}

// images are those that the pod asks for, and those by digest that it got.
func images(pod *corev1.Pod) (all []string) {
	add := func(image string) {
		if image != "" && !slices.Contains(all, image) {
			all = append(all, image)
		}
	}
	for _, c := range pod.Spec.Containers {
		add(c.Image)
	}
	for _, status := range pod.Status.ContainerStatuses {
		if strings.Contains(status.ImageID, "sha256:") {
			add(strings.TrimPrefix(status.ImageID, "docker-pullable://"))
		}
	}
	return all
}

// annotations leaves out the copies of manifests and other documents.
func annotations(all map[string]string) Texts {
	kept := make(map[string]string, len(all))
	for k, v := range all {
		if k != corev1.LastAppliedConfigAnnotation && len(v) <= longestAnnotation {
			kept[k] = v
		}
	}
	return TextsOf(kept)
}

func moment(t metav1.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b.UTC()
	}
	return a
}

// same says that nobody can see a difference.
func (p *Pod) same(q *Pod) bool {
	return p.UID == q.UID && p.Namespace == q.Namespace && p.Name == q.Name &&
		p.NodeName == q.NodeName && p.Hostname == q.Hostname && p.Phase == q.Phase && p.Reason == q.Reason &&
		p.Restarts == q.Restarts && p.Node == q.Node &&
		p.CreatedAt.Equal(q.CreatedAt) && p.StartedAt.Equal(q.StartedAt) && p.EndedAt.Equal(q.EndedAt) &&
		slices.Equal(p.Conditions, q.Conditions) && p.sameSpec(q)
}

// sameSpec compares what changes rarely.
func (p *Pod) sameSpec(q *Pod) bool {
	return p.Labels.Equal(q.Labels) && p.Annotations.Equal(q.Annotations) && slices.Equal(p.Owners, q.Owners) &&
		slices.Equal(p.Runs, q.Runs) && slices.Equal(p.Unreadable, q.Unreadable) && slices.Equal(p.Images, q.Images) &&
		slices.Equal(p.OwnerRuns, q.OwnerRuns)
}
