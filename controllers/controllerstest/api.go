package controllerstest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// Write is one write of the operator to the API server.
type Write struct {
	Kind string // TrainingRun, TrackingProject, TagRule, ClusterTagRule or TagChange
	Key  types.NamespacedName
	// Status: the status was written, and not the object itself.
	Status bool
	// Patch is what was sent; empty where the object was created or deleted.
	Patch string
	// Created: the object was made by this write. Deleted: it was deleted, as it was found.
	Created, Deleted bool
	// ResourceVersion of the object after the write; empty where the write failed.
	ResourceVersion string
	// Released: the object is gone with this write.
	Released bool
	// Lost: the write was carried out, and Err is all that the operator learned of it.
	Lost bool
	Err  error
}

// API is the operator's client. It keeps what was written, and can be made to fail or to give old objects.
type API struct {
	client.Client

	mu     sync.Mutex
	writes []Write
	// before a write, and instead of it where it gives an error.
	before func(Write) error
	// after a write that was carried out; its error takes the place of the answer.
	after func(Write) error
	// old objects are given by Get instead of the present ones, each once.
	old map[string]client.Object
}

// FailWrites has f called before each write; its error is that of the write, which is not made then. Nil ends that.
func (a *API) FailWrites(f func(Write) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.before = f
}

// LoseAnswers has f called after each write that was carried out; its error is all that the operator learns of the write.
// Nil ends that.
func (a *API) LoseAnswers(f func(Write) error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.after = f
}

// ServeOld lets the next read of this object give it as it is here: an old cache.
func (a *API) ServeOld(obj client.Object) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.old == nil {
		a.old = map[string]client.Object{}
	}
	a.old[identity(obj, client.ObjectKeyFromObject(obj))] = obj
}

// Writes gives all writes so far.
func (a *API) Writes() []Write {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.writes)
}

// Get gives the object out of the cache, or the old one that a test wants to be there.
func (a *API) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if old := a.takeOld(obj, key); old != nil {
		switch into := obj.(type) {
		case *v1alpha1.TrainingRun:
			*into = *old.DeepCopyObject().(*v1alpha1.TrainingRun)
		case *v1alpha1.TrackingProject:
			*into = *old.DeepCopyObject().(*v1alpha1.TrackingProject)
		}
		return nil
	}
	return a.Client.Get(ctx, key, obj, opts...)
}

// Create makes an object.
func (a *API) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	w := Write{Kind: kindOf(obj), Key: client.ObjectKeyFromObject(obj), Created: true}
	return a.record(obj, w, func() error { return a.Client.Create(ctx, obj, opts...) })
}

// Delete deletes an object; what does not name the object that was looked at is refused.
func (a *API) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	w := Write{Kind: kindOf(obj), Key: client.ObjectKeyFromObject(obj), Deleted: true}
	return a.record(obj, w, func() error {
		var o client.DeleteOptions
		o.ApplyOptions(opts)
		if o.Preconditions == nil || o.Preconditions.UID == nil || o.Preconditions.ResourceVersion == nil {
			return fmt.Errorf("delete %s %s without UID and resourceVersion", w.Kind, w.Key)
		}
		return a.Client.Delete(ctx, obj, opts...)
	})
}

func (a *API) takeOld(obj client.Object, key client.ObjectKey) client.Object {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := identity(obj, key)
	old := a.old[id]
	delete(a.old, id)
	return old
}

// Patch writes an object.
func (a *API) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return a.write(obj, patch, false, func() error { return a.Client.Patch(ctx, obj, patch, opts...) })
}

// Status writes statuses.
func (a *API) Status() client.SubResourceWriter {
	return &statusWriter{SubResourceWriter: a.Client.Status(), api: a}
}

type statusWriter struct {
	client.SubResourceWriter
	api *API
}

// Patch writes a status.
func (w *statusWriter) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return w.api.write(obj, patch, true, func() error { return w.SubResourceWriter.Patch(ctx, obj, patch, opts...) })
}

// Update writes an object as a whole.
func (a *API) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	return a.record(obj, Write{Kind: kindOf(obj), Key: client.ObjectKeyFromObject(obj)}, func() error { return a.Client.Update(ctx, obj, opts...) })
}

func (a *API) write(obj client.Object, patch client.Patch, status bool, do func() error) error {
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	w := Write{Kind: kindOf(obj), Key: client.ObjectKeyFromObject(obj), Status: status, Patch: string(data)}
	return a.record(obj, w, do)
}

// record makes one write, and keeps what came of it.
func (a *API) record(obj client.Object, w Write, do func() error) error {
	a.mu.Lock()
	before, after := a.before, a.after
	a.mu.Unlock()
	if before != nil {
		w.Err = before(w)
	}
	if w.Err == nil {
		w.Err = do()
	}
	if w.Err == nil {
		w.ResourceVersion = obj.GetResourceVersion()
		w.Released = (w.Deleted || !obj.GetDeletionTimestamp().IsZero()) && len(obj.GetFinalizers()) == 0
		if after != nil {
			w.Err = after(w)
			w.Lost = w.Err != nil
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writes = append(a.writes, w)
	return w.Err
}

// The kinds of objects that the operator writes.
const (
	kindRun         = "TrainingRun"
	kindProject     = "TrackingProject"
	kindRule        = "TagRule"
	kindClusterRule = "ClusterTagRule"
	kindChange      = "TagChange"
)

// isCached says whether the operator reads objects of a kind from its cache; ConfigMaps it does not.
func isCached(kind string) bool {
	return slices.Contains([]string{kindRun, kindProject, kindRule, kindClusterRule, kindChange}, kind)
}

func kindOf(obj client.Object) string {
	switch obj.(type) {
	case *v1alpha1.TrainingRun:
		return kindRun
	case *v1alpha1.TrackingProject:
		return kindProject
	case *v1alpha1.TagRule:
		return kindRule
	case *v1alpha1.ClusterTagRule:
		return kindClusterRule
	case *v1alpha1.TagChange:
		return kindChange
	default:
		return fmt.Sprintf("%T", obj)
	}
}

// objectOf makes an object of a kind.
func objectOf(kind string) client.Object {
	switch kind {
	case kindProject:
		return &v1alpha1.TrackingProject{}
	case kindRule:
		return &v1alpha1.TagRule{}
	case kindClusterRule:
		return &v1alpha1.ClusterTagRule{}
	case kindChange:
		return &v1alpha1.TagChange{}
	}
	return &v1alpha1.TrainingRun{}
}

func identity(obj client.Object, key client.ObjectKey) string {
	return kindOf(obj) + " " + key.String()
}
