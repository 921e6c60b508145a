// Package controlplane runs a real etcd and a real kube-apiserver on free loopback ports, for tests, the demo and trials.
//
// [Locate] finds the executables: in KUBEBUILDER_ASSETS, in our cache, through setup-envtest, or by building them from
// source through the Go module proxy. [Start] runs them below a folder, [StartForTest] below a folder that goes with the
// test. Whatever ends the process that called Start, the children end with it (on Linux; elsewhere only Stop ends them).
//
// There is no controller manager and no scheduler: namespaces are never emptied when they are deleted, owners do not
// take their dependents with them, no pod is ever scheduled, and a namespace gets no ServiceAccount named default, so a
// pod is refused until that ServiceAccount, or the one that it names, has been made. ClusterRoles that are aggregated
// from others, such as view and edit, stay empty. Token requests work without it.
package controlplane
