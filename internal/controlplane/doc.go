// Package controlplane runs a real etcd and a real kube-apiserver on free loopback ports, for tests, the demo and trials.
//
// [Locate] finds the executables: in KUBEBUILDER_ASSETS, in our cache, through setup-envtest, or by building them from
// source through the Go module proxy. [Start] runs them below a folder, [StartForTest] below a folder that goes with the
// test. Whatever ends the process that called Start, the children end with it (on Linux; elsewhere only Stop ends them).
//
// By itself there is no controller manager and no scheduler: namespaces are never emptied when they are deleted, owners do
// not take their dependents with them, no pod is ever scheduled, and a namespace gets no ServiceAccount named default, so a
// pod is refused until that ServiceAccount, or the one that it names, has been made. ClusterRoles that are aggregated
// from others, such as view and edit, stay empty. Token requests work without it.
//
// With Options.Nodes there are both, found by [LocateForNodes], and kwok plays the kubelets of simulated nodes. Jobs make
// pods, pods are scheduled and are Running a moment later, and then run until they are deleted or [ExitAnnotation] ends
// them. Preemption, taints with NoExecute, the eviction API and the deletion of a node mark pods as they do in a cluster;
// a pod that is deleted takes a second to end, see [TerminationAnnotation]. There are no containers, so no logs and no
// exec, and only the controllers that pods and nodes need: no Deployments, StatefulSets or DaemonSets.
package controlplane
