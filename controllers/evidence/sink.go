package evidence

import (
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	memory "github.com/runtag/runtag/internal/evidence"
)

// source is one kind of object that is watched, and what becomes of it.
type source struct {
	name   string
	client any
	kind   runtime.Object
	list   cache.ListWithContextFunc
	watch  cache.WatchFuncWithContext
	// see takes a sight of an object, and gone its end.
	see  func(any)
	gone func(any)
	// keep takes it that all others are gone.
	keep func(map[types.UID]bool)

	synced        chan struct{}
	once, refused sync.Once
	// then is called when it is synced.
	then func()
}

func newSource(name string) *source {
	return &source{name: name, synced: make(chan struct{}), then: func() {}}
}

// done says that all that was there has been seen, or that nothing will be.
func (s *source) done() {
	s.once.Do(func() {
		close(s.synced)
		s.then()
	})
}

// kindOf names the objects of a namespace, or of all.
func kindOf(resource, namespace string) string {
	if namespace == corev1.NamespaceAll {
		return resource
	}
	return resource + " of " + namespace
}

// in says that a namespace is the one that is looked at.
func in(looked, namespace string) bool { return looked == corev1.NamespaceAll || looked == namespace }

// sink is what a Reflector writes to. A usual one keeps the objects; this one passes them on, so that nothing is held
// twice, nor anything that nobody reads.
type sink struct{ *source }

var _ cache.TransformingStore = &sink{}

// Add takes a new object.
func (s *sink) Add(obj any) error {
	s.see(obj)
	return nil
}

// Update takes an object that changed.
func (s *sink) Update(obj any) error {
	s.see(obj)
	return nil
}

// Delete takes an object as it was last, which may say more than any sight before.
func (s *sink) Delete(obj any) error {
	s.see(obj)
	s.gone(obj)
	return nil
}

// Replace takes all objects that there are, after a break that may have hidden changes.
func (s *sink) Replace(objs []any, _ string) error {
	there := make(map[types.UID]bool, len(objs))
	for _, obj := range objs {
		object, err := meta.Accessor(obj)
		if err != nil {
			return fmt.Errorf("take what there is of %s: %w", s.name, err)
		}
		there[object.GetUID()] = true
		s.see(obj)
	}
	s.keep(there)
	s.done()
	return nil
}

// Resync has nothing to do: there is no copy that could differ.
func (s *sink) Resync() error { return nil }

// Transformer makes objects smaller that wait until the first list is complete.
func (s *sink) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		if object, err := meta.Accessor(obj); err == nil {
			object.SetManagedFields(nil)
		}
		if pod, ok := obj.(*corev1.Pod); ok {
			pod.Spec.Volumes, pod.Spec.Affinity, pod.Spec.Tolerations = nil, nil, nil
		}
		if node, ok := obj.(*corev1.Node); ok {
			node.Status.Images = nil
		}
		return obj, nil
	}
}

// podsOf are the pods of a namespace, or all.
func (f *Feeder) podsOf(namespace string) *source {
	s, pods, store := newSource(kindOf("pods", namespace)), f.core.CoreV1().Pods(namespace), f.o.Store
	s.client, s.kind = f.core, &corev1.Pod{}
	s.list = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return pods.List(ctx, o) }
	s.watch = func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return pods.Watch(ctx, o) }
	s.see = func(obj any) {
		if pod, ok := obj.(*corev1.Pod); ok {
			store.SeePod(memory.PodOf(pod))
		}
	}
	s.gone = func(obj any) {
		if pod, ok := obj.(*corev1.Pod); ok {
			store.GonePod(pod.UID)
		}
	}
	s.keep = func(there map[types.UID]bool) {
		for _, p := range store.Pods() {
			if !there[p.UID] && !p.Over() && in(namespace, p.Namespace) {
				store.GonePod(p.UID)
			}
		}
	}
	return s
}

// allNodes are the nodes. Who may not list them sees pods without theirs.
func (f *Feeder) allNodes() *source {
	s, nodes, store := newSource("nodes"), f.core.CoreV1().Nodes(), f.o.Store
	s.client, s.kind = f.core, &corev1.Node{}
	s.list = func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		list, err := nodes.List(ctx, o)
		return list, f.refused(s, err)
	}
	s.watch = func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
		w, err := nodes.Watch(ctx, o)
		return w, f.refused(s, err)
	}
	s.see = func(obj any) {
		if node, ok := obj.(*corev1.Node); ok {
			store.SeeNode(memory.NodeOf(node))
		}
	}
	s.gone = func(obj any) {
		if node, ok := obj.(*corev1.Node); ok {
			store.GoneNode(node.Name)
		}
	}
	s.keep = func(there map[types.UID]bool) {
		for _, n := range store.Nodes() {
			if !there[n.UID] {
				store.GoneNode(n.Name)
			}
		}
	}
	return s
}
