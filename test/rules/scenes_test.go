package rules

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/rules"
)

func uidOf(i int) types.UID { return types.UID(fmt.Sprint(i)) }

func names(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Fields(list)
}

func changes(c ...func(*corev1.Node)) []func(*corev1.Node) { return c }

// spotNodes have what says that they are preemptible, and regularNodes their twins of the same platform.
var (
	spotNodes = []string{
		"gke-spot", "gke-spot-old", "gke-preemptible", "gke-preemptible-old", "gke-provisioning-spot", "eks-spot",
		"karpenter-spot", "aks-spot", "openshift-spot", "capi-spot", "spotio-spot", "castai-spot",
	}
	regularNodes = []string{
		"gke-standard", "eks-on-demand", "eks-capacity-block", "karpenter-on-demand", "karpenter-reserved", "aks-regular",
		"openshift-worker", "capi-worker", "spotio-od", "castai-fallback", "nvsentinel", "kops-home-made",
	}
)

func scenes() []scene {
	var all []scene
	for _, part := range [][]scene{
		placeScenes(), noticeScenes(), schedulerScenes(), endScenes(), completedScenes(), kueueScenes(), goingScenes(),
		faultScenes(), linkScenes(),
	} {
		all = append(all, part...)
	}
	return all
}

// placeScenes are the same events on each kind of node.
func placeScenes() []scene {
	var all []scene
	for _, node := range spotNodes {
		all = append(all,
			scene{name: node + " runs", reason: "the label says that the provider may take the node back",
				pod: "running", node: node, want: names("preemptible")},
			scene{name: node + " vanishes", reason: "a preemptible node that is gone was taken back",
				pod: "pod-gc", node: node, want: names("preemptible preempted")},
			scene{name: node + " is drained", reason: "a drain for an upgrade is none by the provider",
				pod: "evicted", node: node, changes: changes(cordoned), want: names("preemptible disrupted")},
			scene{name: node + " falls silent", reason: "a preemptible node that is silent was most likely taken back, so it is not broken",
				pod: "running", node: node, changes: changes(silent), want: names("preemptible")},
		)
	}
	for _, node := range regularNodes {
		all = append(all,
			scene{name: node + " runs", reason: "nothing says that the provider may take the node back",
				pod: "running", node: node},
			scene{name: node + " vanishes", reason: "a node that is not preemptible went away, for whatever reason",
				pod: "pod-gc", node: node, want: names("disrupted")},
			scene{name: node + " is drained", reason: "a drain for an upgrade",
				pod: "evicted", node: node, changes: changes(cordoned), want: names("disrupted")},
			scene{name: node + " falls silent", reason: "a node that nobody may take back and that is silent is broken",
				pod: "running", node: node, changes: changes(silent), want: names("node-fault")},
		)
	}
	return all
}

// noticeScenes are drains of preemptible nodes, with and without the provider's notice.
func noticeScenes() []scene {
	const noSchedule = corev1.TaintEffectNoSchedule
	return []scene{
		{name: "NTH drains for a spot interruption", reason: "the instance gets its two-minute notice",
			pod: "evicted", node: "eks-spot", changes: changes(cordoned, taint("aws-node-termination-handler/spot-itn", "spot-itn-5f0a", noSchedule)),
			want: names("preemptible preempted interrupted")},
		{name: "NTH drains for a rebalance recommendation", reason: "a raised risk is no notice; the instance may stay",
			pod: "evicted", node: "eks-spot", changes: changes(cordoned, taint("aws-node-termination-handler/rebalance-recommendation", "rebalance-recommendation-5f0a", noSchedule)),
			want: names("preemptible disrupted interrupted")},
		{name: "NTH drains for a lifecycle hook", reason: "an autoscaling group ends instances for many reasons",
			pod: "evicted", node: "eks-spot", changes: changes(cordoned, taint("aws-node-termination-handler/asg-lifecycle-termination", "asg-lifecycle-term-5f0a", noSchedule)),
			want: names("preemptible disrupted interrupted")},
		{name: "NTH drains for maintenance", reason: "maintenance is no reclaim",
			pod: "evicted", node: "eks-on-demand", changes: changes(cordoned, taint("aws-node-termination-handler/scheduled-maintenance", "maintenance-5f0a", noSchedule)),
			want: names("disrupted interrupted")},
		{name: "a spot notice on an on-demand node", reason: "what can't be taken back was not; somebody tests the handler",
			pod: "evicted", node: "eks-on-demand", changes: changes(taint("aws-node-termination-handler/spot-itn", "spot-itn-5f0a", noSchedule)),
			want: names("disrupted interrupted")},
		{name: "GKE announces the end of a spot VM", reason: "a spot VM is not moved, so its end is a reclaim",
			pod: "evicted", node: "gke-spot", changes: changes(taint("cloud.google.com/impending-node-termination", "", noSchedule)),
			want: names("preemptible preempted interrupted")},
		{name: "GKE announces maintenance of a GPU VM", reason: "a standard VM is not taken back",
			pod: "evicted", node: "gke-standard", changes: changes(taint("cloud.google.com/impending-node-termination", "", noSchedule)),
			want: names("disrupted interrupted")},
		{name: "AKS drains for a scheduled event", reason: "AKS drains a spot VM only when it is preempted, redeployed or terminated",
			pod: "evicted", node: "aks-spot", changes: changes(cordoned, condition("VMEventScheduled", "True", "VMEventScheduled")),
			want: names("preemptible preempted interrupted")},
		{name: "AKS drains a regular VM for a scheduled event", reason: "a regular VM is redeployed, not preempted",
			pod: "evicted", node: "aks-regular", changes: changes(cordoned, condition("VMEventScheduled", "True", "VMEventScheduled")),
			want: names("disrupted interrupted")},
		{name: "an old AKS image says Preempt", reason: "older images have a condition for each kind of event",
			pod: "evicted", node: "aks-spot", changes: changes(cordoned, condition("PreemptScheduled", "True", "PreemptScheduled")),
			want: names("preemptible preempted interrupted")},
		{name: "an old AKS image says Freeze", reason: "a freeze of seconds takes nothing away; the drain is another's",
			pod: "evicted", node: "aks-spot", changes: changes(condition("FreezeScheduled", "True", "FreezeScheduled")),
			want: names("preemptible disrupted")},
		{name: "OpenShift marks a spot machine", reason: "the termination handler saw the provider's notice",
			pod: "evicted", node: "openshift-spot", changes: changes(condition("Terminating", "True", "TerminationRequested")),
			want: names("preemptible preempted interrupted")},
		{name: "OpenShift takes the mark back", reason: "the condition is there and False",
			pod: "evicted", node: "openshift-spot", changes: changes(condition("Terminating", "False", "TerminationNotRequested")),
			want: names("preemptible disrupted")},
		{name: "CAST AI drains for an interruption", reason: "its spot handler saw the provider's notice",
			pod: "evicted", node: "castai-spot", changes: changes(cordoned, label("autoscaling.cast.ai/draining", "spot-interruption"), taint("autoscaling.cast.ai/draining", "true", noSchedule)),
			want: names("preemptible preempted interrupted")},
		{name: "CAST AI drains to rebalance", reason: "rebalancing saves money and is no reclaim",
			pod: "evicted", node: "castai-spot", changes: changes(cordoned, label("autoscaling.cast.ai/draining", "rebalancing"), taint("autoscaling.cast.ai/draining", "true", noSchedule)),
			want: names("preemptible disrupted interrupted")},
		{name: "Karpenter consolidates spot nodes", reason: "karpenter.sh/disrupted alone says nothing of why",
			pod: "evicted", node: "karpenter-spot", changes: changes(taint("karpenter.sh/disrupted", "", noSchedule)),
			want: names("preemptible disrupted interrupted")},
		{name: "Karpenter consolidates on-demand nodes", reason: "karpenter.sh/disrupted alone says nothing of why",
			pod: "evicted", node: "karpenter-on-demand", changes: changes(taint("karpenter.sh/disrupted", "", noSchedule)),
			want: names("disrupted interrupted")},
		{name: "Cluster Autoscaler scales spot nodes down", reason: "the cluster gives the node back, nobody takes it",
			pod: "evicted", node: "eks-spot", changes: changes(taint("ToBeDeletedByClusterAutoscaler", "1763974800", noSchedule)),
			want: names("preemptible disrupted interrupted")},
		{name: "Cluster Autoscaler deletes the node under a slow pod", reason: "the pod outlived its eviction, and PodGC ended it on a node that was given back",
			pod: "pod-gc", node: "eks-spot", changes: changes(taint("ToBeDeletedByClusterAutoscaler", "1763974800", noSchedule)),
			want: names("preemptible disrupted")},
		{name: "Cluster Autoscaler scales on-demand nodes down", reason: "no more than a drain",
			pod: "evicted", node: "gke-standard", changes: changes(taint("ToBeDeletedByClusterAutoscaler", "1763974800", noSchedule)),
			want: names("disrupted interrupted")},
		{name: "kops with a label of one's own", reason: "labels that are no platform's are for rules of one's own",
			pod: "evicted", node: "kops-home-made", want: names("disrupted")},
	}
}

// schedulerScenes are preemptions by priority, which need no preemptible node.
func schedulerScenes() []scene {
	return []scene{
		{name: "the scheduler preempts on a regular node", reason: "a pod of higher priority needed the room",
			pod: "preempted-by-scheduler", node: "gke-standard", want: names("preempted")},
		{name: "the scheduler preempts on a spot node", reason: "preempted is said once, and it is not disrupted as well",
			pod: "preempted-by-scheduler", node: "gke-spot", want: names("preemptible preempted")},
	}
}

// endScenes are the other ends of pods.
func endScenes() []scene {
	var all []scene
	add := func(pod, onSpot, onRegular, reason string) {
		all = append(all,
			scene{name: pod + " on spot", reason: reason, pod: pod, node: "gke-spot", want: names("preemptible " + onSpot)},
			scene{name: pod + " on demand", reason: reason, pod: pod, node: "gke-standard", want: names(onRegular)})
	}
	add("node-shutdown", "preempted", "disrupted", "the kubelet ends pods when its machine is shut down, as GKE's spot VMs are")
	add("node-shutdown-1.25", "preempted", "disrupted", "before 1.26 a shutdown shows in the pod's reason only")
	add("node-shutdown-1.21", "preempted", "disrupted", "and in 1.21 in another one")
	add("node-shutdown-not-admitted", "preempted", "disrupted", "the machine was going down when the pod came")
	add("taint-manager", "preempted", "disrupted", "a taint NoExecute ended it; on a spot node most likely since the node fell silent")
	add("evicted-failed", "disrupted", "disrupted", "a drain whose pod has ended is still a drain")
	add("evicted-checkpointed", "disrupted", "disrupted", "a trainer that saves its state and exits with 0 was disrupted all the same")
	add("memory-pressure", "disrupted", "disrupted", "the node ran out of memory, and nobody took it back")
	add("memory-pressure-1.24", "disrupted", "disrupted", "before 1.26 node pressure shows in the pod's reason only")
	add("device-taint", "disrupted", "disrupted", "a device is bad, and the machine stays")
	add("eviction-called-off", "", "", "the condition is False: the pod was not ended after all")
	add("deleted", "", "", "kubectl delete pod is somebody's wish")
	add("crashed", "", "", "the program failed by itself")
	add("out-of-memory", "", "", "the program used more memory than it asked for")
	add("deadline", "", "", "the job's own deadline")
	add("completed", "", "", "it ended well")
	return append(all,
		scene{name: "a checkpointed pod with a notice", reason: "it saved its state within the notice and exits with 0: preempted all the same",
			pod: "evicted-checkpointed", node: "eks-spot", changes: changes(taint("aws-node-termination-handler/spot-itn", "spot-itn-5f0a", corev1.TaintEffectNoSchedule)),
			want: names("preemptible preempted")})
}

// completedScenes are drains of what had completed.
func completedScenes() []scene {
	notice := changes(taint("aws-node-termination-handler/spot-itn", "spot-itn-5f0a", corev1.TaintEffectNoSchedule))
	return []scene{
		{name: "a completed pod is drained", reason: "drains delete completed pods too, a minute later",
			pod: "completed-drained-later", node: "gke-standard"},
		{name: "a pod is drained right after it completed", reason: "three seconds later it is as complete as ever",
			pod: "completed-drained-soon", node: "gke-standard"},
		{name: "a completed pod's spot node is taken back", reason: "the run was done, so nothing was taken from it",
			pod: "completed-drained-later", node: "eks-spot", changes: notice, want: names("preemptible")},
		{name: "a spot node is taken back right after a pod completed", reason: "three seconds later it is as complete as ever",
			pod: "completed-drained-soon", node: "eks-spot", changes: notice, want: names("preemptible")},
	}
}

// kueueScenes are what Kueue does, whose jobs' pods vanish without any condition of their own.
func kueueScenes() []scene {
	all := []scene{
		{name: "Kueue admits", reason: "nothing happened", pod: "running", node: "gke-standard", workload: "admitted"},
		{name: "Kueue preempts", reason: "the Workload says so, and the pods are just deleted",
			pod: "deleted", node: "gke-standard", workload: "preempted", want: names("preempted")},
		{name: "Kueue preempts, before it had the condition Preempted", reason: "the reason of Evicted is enough",
			pod: "deleted", node: "gke-standard", workload: "preempted-0.5", want: names("preempted")},
		{name: "Kueue preempts, and Evicted is not there yet", reason: "the condition Preempted is enough",
			pod: "running", node: "gke-standard", workload: "preempted-reclaimed", want: names("preempted")},
		{name: "Kueue preempts a plain pod", reason: "the pod's condition says so, whatever became of the Workload",
			pod: "kueue-plain-preempted", node: "gke-standard", want: names("preempted")},
		{name: "Kueue stops a plain pod that was deactivated", reason: "somebody wanted it",
			pod: "kueue-plain-deactivated", node: "gke-standard", workload: "evicted", evictedFor: "Deactivated"},
		{name: "Kueue admits again", reason: "what is False now is no proof; what was true is remembered by the rule",
			pod: "running", node: "gke-standard", workload: "readmitted"},
		{name: "Kueue's job finished", reason: "nothing happened", pod: "completed", node: "gke-standard", workload: "finished"},
	}
	for _, why := range []string{
		"AdmissionCheck", "ClusterQueueStopped", "EvictedOnManagerCluster", "FlavorMigration", "LocalQueueStopped", "NodeFailures", "PodsReadyTimeout",
	} {
		all = append(all, scene{name: "Kueue evicts for " + why, reason: "neither the job nor another one wanted it",
			pod: "deleted", node: "gke-standard", workload: "evicted", evictedFor: why, want: names("disrupted")})
	}
	for _, why := range []string{"Deactivated", "MaximumExecutionTimeExceeded", "WorkloadSliceReplaced"} {
		all = append(all, scene{name: "Kueue evicts for " + why, reason: "somebody wanted it so, or the job goes on elsewhere",
			pod: "deleted", node: "gke-standard", workload: "evicted", evictedFor: why})
	}
	return all
}

// goingScenes are signs that the node of a live pod goes away, and what only looks like one.
func goingScenes() []scene {
	var all []scene
	add := func(what string, change func(*corev1.Node), want, reason string) {
		all = append(all, scene{name: what + " while a pod runs", reason: reason, pod: "running", node: "aks-regular", changes: changes(change), want: names(want)})
	}
	for key, value := range map[string]string{
		"aws-node-termination-handler/spot-itn": "spot-itn-5f0a", "aws-node-termination-handler/rebalance-recommendation": "rebalance-recommendation-5f0a",
		"aws-node-termination-handler/asg-lifecycle-termination": "asg-lifecycle-term-5f0a", "aws-node-termination-handler/scheduled-maintenance": "maintenance-5f0a",
		"karpenter.sh/disrupted": "", "cloud.google.com/impending-node-termination": "", "autoscaling.cast.ai/draining": "true",
		"remediator.aks.microsoft.com/unschedulable": "", "remediator.kubernetes.azure.com/unschedulable": "",
		"ToBeDeletedByClusterAutoscaler": "1763974800", "node.kubernetes.io/out-of-service": "nodeshutdown",
		"ignore-taint.cluster-autoscaler.kubernetes.io/oke-impending-node-termination": "1763974800",
	} {
		add("taint "+key, taint(key, value, corev1.TaintEffectNoSchedule), "interrupted", "who sets it takes the node away")
	}
	for _, kind := range []string{
		"VMEventScheduled", "PreemptScheduled", "TerminateScheduled", "RedeployScheduled", "RebootScheduled", "Terminating",
		"GracefulNodeShutdownInProgress", "DrainInProgress",
	} {
		add("condition "+kind, condition(kind, "True", kind), "interrupted", "who sets it takes the node away")
		add("condition "+kind+"=False", condition(kind, "False", "No"+kind), "", "the healthy status of the same condition")
	}
	add("label cloud.google.com/active-node-maintenance", label("cloud.google.com/active-node-maintenance", "ONGOING"), "interrupted", "GKE has begun")
	add("label cloud.google.com/scheduled-maintenance-time", label("cloud.google.com/scheduled-maintenance-time", "1764579600"), "", "next week")
	add("cordon", cordoned, "", "a cordon keeps new pods off, and the old ones stay")
	add("taint DeletionCandidateOfClusterAutoscaler", taint("DeletionCandidateOfClusterAutoscaler", "1763974800", corev1.TaintEffectPreferNoSchedule), "", "a candidate may stay for ever")
	for _, kind := range []string{"FreezeScheduled", "Drained", "MaintenancePlanned", "MaintenanceInProgress"} {
		add("condition "+kind, condition(kind, "True", kind), "", "pods may well stay")
	}
	return all
}

// faultScenes are nodes that are broken, and nodes that are not.
func faultScenes() []scene {
	var all []scene
	add := func(node, what string, change func(*corev1.Node), want, reason string) {
		all = append(all, scene{name: what + " on " + node, reason: reason, pod: "running", node: node, changes: changes(change), want: names(want)})
	}
	for node, kinds := range map[string][]string{
		"gke-standard": {
			"KernelDeadlock", "ReadonlyFilesystem", "FrequentKubeletRestart", "FrequentDockerRestart", "FrequentContainerdRestart",
			"FrequentUnregisterNetDevice", "CorruptDockerOverlay2", "KubeletUnhealthy", "ContainerRuntimeUnhealthy", "KubeProxyUnhealthy",
			"NTPProblem", "DiskBadBlock", "XfsShutdown", "CperHardwareErrorFatal",
		},
		"aks-regular": {
			"GPUMissing", "NVLinkStatusInactive", "XIDErrors", "IBLinkFlapping", "FilesystemCorruptionProblem", "KubeletProblem", "ContainerRuntimeProblem",
		},
		"nvsentinel": {"GpuMemWatch", "GpuInforomWatch", "GpuXidError", "SysLogsXIDError", "SysLogsSXIDError", "SysLogsGPUFallenOff"},
	} {
		for _, kind := range kinds {
			add(node, kind, condition(kind, "True", kind+"IsNotHealthy"), "node-fault", "the monitor found the node broken")
			add(node, kind+"=False", condition(kind, "False", kind+"IsHealthy"), "", "the monitor found nothing")
			add(node, kind+"=Unknown", condition(kind, "Unknown", "NoCheckYet"), "", "the monitor does not know")
		}
	}
	for kind, reason := range map[string]string{
		"AcceleratedHardwareReady": "NvidiaDoubleBitError", "KernelReady": "SoftLockup", "NetworkingReady": "IPAMDNotRunning",
		"StorageReady": "XFSSmallAverageClusterSize", "ContainerRuntimeReady": "ContainerRuntimeFailed",
	} {
		add("eks-on-demand", kind+"=False", condition(kind, "False", reason), "node-fault", "on EKS False is bad")
		add("eks-on-demand", kind+"=True", condition(kind, "True", kind), "", "on EKS True is good")
	}
	for _, state := range []string{"quarantined", "draining", "drain-succeeded", "drain-failed", "remediating", "remediation-failed"} {
		add("nvsentinel", "state "+state, label("dgxc.nvidia.com/nvsentinel-state", state), "node-fault", "a fault was found and is not mended")
	}
	add("nvsentinel", "state remediation-succeeded", label("dgxc.nvidia.com/nvsentinel-state", "remediation-succeeded"), "", "it was mended")
	for _, kind := range []string{"MemoryPressure", "DiskPressure", "PIDPressure"} {
		add("gke-standard", kind, condition(kind, "True", "KubeletHas"+kind), "", "load is no fault")
	}
	add("gke-spot", "XID", condition("XIDErrors", "True", "XIDErrors"), "preemptible node-fault", "a preemptible node can be broken too")
	notReady := condition("Ready", "False", "KubeletNotReady")
	add("gke-standard", "not ready for a moment", notReady, "", "a kubelet that restarts is not ready for a moment")
	return append(all,
		scene{name: "not ready until its pods were ended", reason: "it was not ready for minutes, and cost the run its pod",
			pod: "taint-manager", node: "gke-standard", changes: changes(notReady), want: names("disrupted node-fault")},
		scene{name: "a spot node that is not ready as it goes down", reason: "it was taken back, and is not broken",
			pod: "taint-manager", node: "gke-spot", changes: changes(notReady), want: names("preemptible preempted")},
		scene{name: "a healthy node that is drained at its shutdown", reason: "not ready since it is shut down",
			pod: "node-shutdown", node: "gke-standard", changes: changes(notReady), want: names("disrupted")},
	)
}

// linkScenes are events before, within and after the time in which the pod made the run.
func linkScenes() []scene {
	until := func(at time.Time) func(*rules.Linked) {
		return func(l *rules.Linked) { l.Until, l.Live = at, false }
	}
	return []scene{
		{name: "an eviction after the run", reason: "the pod went on with another run, which was evicted",
			pod: "evicted", node: "gke-standard", link: until(happened.Add(-time.Minute))},
		{name: "an eviction within five seconds of the run's end", reason: "clocks differ",
			pod: "evicted", node: "gke-standard", link: until(happened.Add(-4 * time.Second)), want: names("disrupted")},
		{name: "a fault after the run", reason: "the node broke under another run",
			pod: "running", node: "aks-regular", changes: changes(condition("XIDErrors", "True", "XIDErrors")), link: until(happened.Add(-time.Minute))},
		{name: "a spot node of an earlier run", reason: "what a node is counts for each run that it had",
			pod: "evicted", node: "gke-spot", link: until(happened.Add(-time.Minute)), want: names("preemptible")},
		{name: "a notice after the run", reason: "the pod went on with another run, which was preempted",
			pod: "evicted", node: "eks-spot", changes: changes(taint("aws-node-termination-handler/spot-itn", "spot-itn-5f0a", corev1.TaintEffectNoSchedule)),
			link: until(happened.Add(-time.Minute)), want: names("preemptible")},
	}
}
