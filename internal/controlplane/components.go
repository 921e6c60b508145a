package controlplane

import (
	"crypto/sha256"
	_ "embed" // the source of our controller manager
	"fmt"
	"time"
)

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

// The components that LocateForNodes finds.
const (
	KubeScheduler         Component = "kube-scheduler"
	KubeControllerManager Component = "kube-controller-manager"
	Kwok                  Component = "kwok"
)

// Components lists all that Locate finds, in the order in which they are built.
func Components() []Component { return names(recipes) }

// NodeComponents lists all that LocateForNodes finds, in the order in which they are built.
func NodeComponents() []Component { return names(nodeRecipes) }

func names(of []recipe) []Component {
	names := make([]Component, 0, len(of))
	for _, r := range of {
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
	kwokSource = &source{module: "sigs.k8s.io/kwok", version: "v0.8.0"}
)

// recipe says how a component is built. A further component is one more line here.
type recipe struct {
	component Component
	source    *source
	// pkg is what is built, unless there is main: the text of a command of our own that uses the source.
	pkg, main string
	// usually is how long it takes from nothing on two cores.
	usually time.Duration
}

// recipes are for what every control plane needs.
var recipes = []recipe{
	{component: Etcd, source: etcdSource, pkg: "go.etcd.io/etcd/server/v3", usually: 30 * time.Second},
	{component: KubeAPIServer, source: kubernetesSource, pkg: "k8s.io/kubernetes/cmd/kube-apiserver", usually: 4 * time.Minute},
	{component: Kubectl, source: kubernetesSource, pkg: "k8s.io/kubernetes/cmd/kubectl", usually: 30 * time.Second},
}

//go:embed controllermanager/main.go
var controllerManager string

// nodeRecipes are for what simulated nodes need on top. Where kube-apiserver was built before, the first takes half a
// minute too, since Go has most of its packages already.
var nodeRecipes = []recipe{
	{component: KubeScheduler, source: kubernetesSource, pkg: "k8s.io/kubernetes/cmd/kube-scheduler", usually: 3 * time.Minute},
	{component: KubeControllerManager, source: kubernetesSource, main: controllerManager, usually: time.Minute},
	{component: Kwok, source: kwokSource, pkg: "sigs.k8s.io/kwok/cmd/kwok", usually: time.Minute},
}

// nodeFolder names the folder of the cache with what nodeRecipes build; another command of ours is another folder.
func nodeFolder() string {
	return fmt.Sprintf("nodes-v%s-kwok-%s-%.4x", Version, kwokSource.version, sha256.Sum256([]byte(controllerManager)))
}
