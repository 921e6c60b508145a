package evidence

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	memory "github.com/runtag/runtag/internal/evidence"
)

// kueue is the group of Kueue's API, and versions are those whose Workloads we can read, the newest first.
const kueue = "kueue.x-k8s.io"

var versions = []string{"v1beta2", "v1beta1"}

// patience is how long it takes until a Kueue that is installed, removed or brought to another version later is noticed.
const patience = 5 * time.Minute

// watchWorkloads follows Kueue's Workloads while their CRD is served, which it asks for again and again.
func (f *Feeder) watchWorkloads(ctx context.Context) {
	ticker := f.o.Clock.NewTicker(patience)
	defer ticker.Stop()
	version := f.served("")
	for ctx.Err() == nil {
		version = f.followWorkloads(ctx, version, ticker.C())
	}
}

// followWorkloads follows them in one version, or waits if that is empty, until another one is served.
func (f *Feeder) followWorkloads(ctx context.Context, version string, tick <-chan time.Time) (next string) {
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	if version == "" {
		f.workloads.done() // there are none
	} else {
		f.o.Log.Info("following the Workloads of Kueue", "version", version)
		for _, s := range f.workloadsIn(version) {
			running.Go(func() { f.watch(ctx, s) })
		}
	}
	for {
		select {
		case <-ctx.Done():
			return version
		case <-tick:
			if next = f.served(version); next != version {
				return next
			}
		}
	}
}

// served is the newest version in which Workloads are served; empty for none. Where that cannot be seen, it is what it
// was before.
func (f *Feeder) served(before string) string {
	for _, version := range versions {
		resources, err := f.discovery.ServerResourcesForGroupVersion(schema.GroupVersion{Group: kueue, Version: version}.String())
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			f.o.Log.Error(err, "cannot see whether Kueue is installed; this is tried again", "after", patience.String())
			return before
		}
		if slices.ContainsFunc(resources.APIResources, func(r metav1.APIResource) bool { return r.Name == "workloads" }) {
			return version
		}
	}
	return ""
}

// workloadsIn are the Workloads of all namespaces that are looked at. They are seen when those of each namespace are.
func (f *Feeder) workloadsIn(version string) (sources []*source) {
	var left atomic.Int64
	left.Store(int64(len(f.o.Namespaces)))
	for _, namespace := range f.o.Namespaces {
		s := f.workloadsOf(version, namespace)
		s.then = func() {
			if left.Add(-1) == 0 {
				f.workloads.done()
			}
		}
		sources = append(sources, s)
	}
	return sources
}

// workloadsOf are the Workloads of a namespace, or all.
func (f *Feeder) workloadsOf(version, namespace string) *source {
	gvr := schema.GroupVersionResource{Group: kueue, Version: version, Resource: "workloads"}
	s, workloads, store := newSource(kindOf("workloads", namespace)), f.dynamic.Resource(gvr).Namespace(namespace), f.o.Store
	example := &unstructured.Unstructured{}
	example.SetGroupVersionKind(gvr.GroupVersion().WithKind("Workload"))
	s.client, s.kind = f.dynamic, example
	s.list = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		list, err := workloads.List(ctx, o)
		return list, f.refused(s, err)
	}
	s.watch = func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		w, err := workloads.Watch(ctx, o)
		return w, f.refused(s, err)
	}
	s.see = func(obj any) {
		if w, ok := obj.(*unstructured.Unstructured); ok {
			store.SeeWorkload(memory.WorkloadOf(w))
		}
	}
	s.gone = func(obj any) {
		if w, ok := obj.(*unstructured.Unstructured); ok {
			store.GoneWorkload(w.GetUID())
		}
	}
	s.keep = func(there map[types.UID]bool) {
		for _, w := range store.Workloads() {
			if !there[w.UID] && in(namespace, w.Namespace) {
				store.GoneWorkload(w.UID)
			}
		}
	}
	return s
}
