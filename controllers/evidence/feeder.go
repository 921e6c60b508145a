// Package evidence feeds what happens to pods, nodes and Workloads of Kueue into the memory of internal/evidence, on every
// replica, and asks the owners of pods which runs they name, on the leader.
package evidence

import (
	"context"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	memory "github.com/runtag/runtag/internal/evidence"
)

// +kubebuilder:rbac:groups="",resources=pods;nodes,verbs=list;watch
// +kubebuilder:rbac:groups=kueue.x-k8s.io,resources=workloads,verbs=list;watch

// Options of a Feeder.
type Options struct {
	Config *rest.Config
	// Namespaces whose pods are looked at; none for all.
	Namespaces []string
	Store      *memory.Store
	Clock      clock.WithTicker
	Log        logr.Logger
}

// Feeder watches and feeds. It is a manager.Runnable that runs with and without leadership: a condition that stands for
// 10 ms is seen once, so a replica that becomes the leader must have seen it itself.
type Feeder struct {
	o         Options
	core      kubernetes.Interface
	dynamic   dynamic.Interface
	discovery discovery.DiscoveryInterface
	pods      []*source
	nodes     *source
	workloads *source
}

// New makes a Feeder. It asks nothing yet.
func New(o Options) (*Feeder, error) {
	binary := rest.CopyConfig(o.Config)
	binary.ContentType = runtime.ContentTypeProtobuf
	binary.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	core, err := kubernetes.NewForConfig(binary)
	if err != nil {
		return nil, fmt.Errorf("make a client for pods and nodes: %w", err)
	}
	dyn, err := dynamic.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("make a client for Workloads: %w", err)
	}
	f := &Feeder{o: o, core: core, dynamic: dyn, discovery: core.Discovery(), workloads: newSource("workloads")}
	if len(o.Namespaces) == 0 {
		f.o.Namespaces = []string{corev1.NamespaceAll}
	}
	for _, namespace := range f.o.Namespaces {
		f.pods = append(f.pods, f.podsOf(namespace))
	}
	f.nodes = f.allNodes()
	return f, nil
}

// NeedLeaderElection says that it runs on every replica.
func (f *Feeder) NeedLeaderElection() bool { return false }

// Start watches until the context is over.
func (f *Feeder) Start(ctx context.Context) error {
	var running sync.WaitGroup
	for _, s := range append(f.pods, f.nodes) {
		running.Go(func() { f.watch(ctx, s) })
	}
	running.Go(func() { f.watchWorkloads(ctx) })
	running.Wait()
	return nil
}

// watch follows a source until the context is over.
func (f *Feeder) watch(ctx context.Context, s *source) {
	log := f.o.Log.WithValues("resource", s.name)
	lists := &cache.ListWatch{ListWithContextFunc: s.list, WatchFuncWithContext: s.watch}
	cache.NewReflectorWithOptions(
		cache.ToListWatcherWithWatchListSemantics(lists, s.client), s.kind, &sink{source: s},
		cache.ReflectorOptions{Name: "evidence", TypeDescription: s.name, Logger: &log, Clock: f.o.Clock},
	).RunWithContext(ctx)
}

// Synced says that everything that was there at the start has been seen.
func (f *Feeder) Synced() bool {
	for _, s := range f.sources() {
		select {
		case <-s.synced:
		default:
			return false
		}
	}
	return true
}

// WaitForSync waits until it is Synced. The error is the context's.
func (f *Feeder) WaitForSync(ctx context.Context) error {
	for _, s := range f.sources() {
		select {
		case <-s.synced:
		case <-ctx.Done():
			return fmt.Errorf("wait until all %s have been seen: %w", s.name, ctx.Err())
		}
	}
	return nil
}

func (f *Feeder) sources() []*source { return append([]*source{f.nodes, f.workloads}, f.pods...) }

// refused says that the API server will not give something, whoever asks how often. Rules see nothing of it then, which is
// better than an operator that does nothing at all; it goes on asking.
func (f *Feeder) refused(s *source, err error) error {
	if apierrors.IsForbidden(err) {
		s.refused.Do(func() {
			f.o.Log.Error(err, "rules see none of these until the operator's role allows list and watch", "resource", s.name)
		})
		s.done()
	}
	return err
}
