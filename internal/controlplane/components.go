package controlplane

import "time"

// Version of Kubernetes that is built, and of which any patch release will do when it is there prebuilt.
const (
	Version      = minorVersion + ".2"
	minorVersion = "1.37"
)

// Component is one executable of the control plane, by its file name.
type Component string

// The components that Locate finds.
const (
	Etcd          Component = "etcd"
	KubeAPIServer Component = "kube-apiserver"
	Kubectl       Component = "kubectl"
)

// Components lists all that Locate finds, in the order in which they are built.
func Components() []Component {
	names := make([]Component, 0, len(recipes))
	for _, r := range recipes {
		names = append(names, r.component)
	}
	return names
}

// source is a Go module that components are built from. Each has a scratch module of its own, since their requirements
// do not agree with each other or with ours.
type source struct {
	module, version string
	// staging is the version of the modules that this one requires at v0.0.0 and replaces with folders of its own
	// repository, which a requirement from outside does not see; empty where there are none.
	staging string
	// ldflags stamp the version.
	ldflags string
}

const versionPackage = "k8s.io/component-base/version"

var (
	kubernetesSource = &source{
		module: "k8s.io/kubernetes", version: "v" + Version, staging: "v0.37.2",
		ldflags: "-X " + versionPackage + ".gitVersion=v" + Version + " -X " + versionPackage + ".gitMajor=1 -X " +
			versionPackage + ".gitMinor=37 -X " + versionPackage + ".gitTreeState=clean",
	}
	etcdSource = &source{module: "go.etcd.io/etcd/server/v3", version: "v3.7.3"}
)

// recipe says how a component is built. A further component is one more line here.
type recipe struct {
	component Component
	source    *source
	pkg       string
	// usually is how long it takes from nothing on two cores.
	usually time.Duration
}

var recipes = []recipe{
	{Etcd, etcdSource, "go.etcd.io/etcd/server/v3", 30 * time.Second},
	{KubeAPIServer, kubernetesSource, "k8s.io/kubernetes/cmd/kube-apiserver", 4 * time.Minute},
	{Kubectl, kubernetesSource, "k8s.io/kubernetes/cmd/kubectl", 30 * time.Second},
}
