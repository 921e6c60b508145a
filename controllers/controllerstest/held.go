package controllerstest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/tagrule"
	"github.com/runtag/runtag/controllers/trainingrun"
)

// Held is an operator's cache that comes as far as a test lets it. It has one stream of versions for each kind, as a watch
// has, and everything that the operator reads of a kind is as of one place in its stream. A read after a write of its own
// brings the cache as far as that write, as the manager's client does. What the cache skips in one go it never saw:
// handlers are told of the last version alone, and an object that was deleted and made again looks edited.
type Held struct {
	client.Client // for writes, and for kinds that are not ours
	h             *Harness
	indexes       map[string]client.IndexerFunc // of TrainingRuns

	mu      sync.Mutex
	holding bool
	streams map[string]*stream
}

// stream is what happened to the objects of one kind, in order.
type stream struct {
	versions []version
	seen     int                                    // how many of them the cache has
	objects  map[types.NamespacedName]client.Object // as of these
	own      map[types.NamespacedName]int           // how many the cache has to have to know what the operator wrote
}

// version is an object as it was written; nil where it was gone.
type version struct {
	key    types.NamespacedName
	object client.Object
}

// edit is what handlers are told of; one of the two may be nil.
type edit struct{ before, now client.Object }

// HeldKinds are the kinds of which the cache can be held back.
func HeldKinds() []string {
	return []string{kindRun, kindProject, kindRule, kindClusterRule, kindChange}
}

func newHeld(ctx context.Context, h *Harness, below client.Client) *Held {
	held := &Held{Client: below, h: h, indexes: map[string]client.IndexerFunc{}, streams: map[string]*stream{}}
	for _, add := range []func(context.Context, client.FieldIndexer) error{trainingrun.AddIndexes, tagrule.AddIndexes} {
		if err := add(ctx, held); err != nil {
			h.t.Fatalf("index the cache: %v", err)
		}
	}
	for _, kind := range HeldKinds() {
		held.streams[kind] = &stream{objects: map[types.NamespacedName]client.Object{}, own: map[types.NamespacedName]int{}}
	}
	return held
}

// IndexField takes note of an index; all are of TrainingRuns.
func (c *Held) IndexField(_ context.Context, _ client.Object, field string, extract client.IndexerFunc) error {
	c.indexes[field] = extract
	return nil
}

// Hold holds the cache back from now on, or lets it have all there is at once.
func (c *Held) Hold(hold bool) {
	c.mu.Lock()
	c.holding = hold
	c.mu.Unlock()
	c.catchUp()
}

// Behind says how many versions of a kind the cache does not have yet.
func (c *Held) Behind(kind string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.streams[kind].versions) - c.streams[kind].seen
}

// Deliver lets the cache have so many more versions of a kind, in one go.
func (c *Held) Deliver(kind string, n int) {
	c.mu.Lock()
	s := c.streams[kind]
	edits := s.to(min(s.seen+n, len(s.versions)))
	c.mu.Unlock()
	c.tell(edits)
}

// catchUp lets the cache have all there is, unless it is held.
func (c *Held) catchUp() {
	c.mu.Lock()
	var edits []edit
	for _, kind := range HeldKinds() {
		if !c.holding {
			edits = append(edits, c.streams[kind].to(len(c.streams[kind].versions))...)
		}
	}
	c.mu.Unlock()
	c.tell(edits)
}

// restart has the operator's new process begin with a cache that is so many versions behind of each kind, older than what
// the one before it had seen or not. All objects are new to it.
func (c *Held) restart(back int) {
	c.mu.Lock()
	var edits []edit
	for _, kind := range HeldKinds() {
		s := c.streams[kind]
		s.objects, s.own, s.seen = map[types.NamespacedName]client.Object{}, map[types.NamespacedName]int{}, 0
		edits = append(edits, s.to(max(0, len(s.versions)-back))...)
	}
	c.mu.Unlock()
	c.tell(edits)
}

// to brings the objects as far as so many versions, never back, and says what is different.
func (s *stream) to(n int) (edits []edit) {
	if n <= s.seen {
		return nil
	}
	var keys []types.NamespacedName
	before := map[types.NamespacedName]client.Object{}
	for _, v := range s.versions[s.seen:n] {
		if _, known := before[v.key]; !known {
			before[v.key] = s.objects[v.key]
			keys = append(keys, v.key)
		}
		if s.objects[v.key] = v.object; v.object == nil {
			delete(s.objects, v.key)
		}
	}
	s.seen = n
	for _, key := range keys {
		if before[key] != nil || s.objects[key] != nil {
			edits = append(edits, edit{before: before[key], now: s.objects[key]})
		}
	}
	return edits
}

// observe takes note of an object as the API server has it now; own says that the operator wrote it.
func (c *Held) observe(kind string, key types.NamespacedName, own bool) {
	c.h.t.Helper()
	stream := c.streams[kind]
	if stream == nil {
		return
	}
	obj := objectOf(kind)
	err := c.h.Admin.Get(c.h.ctx, key, obj)
	switch {
	case apierrors.IsNotFound(err):
		obj = nil
	case err != nil:
		c.h.t.Fatalf("read %s %s: %v", kind, key, err)
	default:
		if _, err := trainingrun.StripManagedFields(obj); err != nil {
			c.h.t.Fatalf("strip %s %s: %v", kind, key, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var last client.Object
	at := -1
	for i := len(stream.versions) - 1; i >= 0; i-- {
		if stream.versions[i].key == key {
			last, at = stream.versions[i].object, i
			break
		}
	}
	same := last == nil && obj == nil || last != nil && obj != nil && last.GetResourceVersion() == obj.GetResourceVersion()
	if !same {
		at = len(stream.versions)
		stream.versions = append(stream.versions, version{key: key, object: obj})
	}
	if own {
		stream.own[key] = at + 1
	}
}

// Get gives an object as the cache has it.
func (c *Held) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	stream := c.streams[kindOf(obj)]
	if stream == nil {
		return c.Client.Get(ctx, key, obj, opts...)
	}
	c.mu.Lock()
	var edits []edit
	if !(&client.GetOptions{}).ApplyOptions(opts).DisableReadYourWritesConsistency {
		edits = stream.to(stream.own[key])
	}
	found := stream.objects[key]
	c.mu.Unlock()
	c.tell(edits)
	if found == nil {
		return apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: kindOf(obj)}, key.Name)
	}
	return copyInto(found, obj)
}

// List lists objects as the cache has them.
func (c *Held) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	kind := kindOfList(list)
	stream := c.streams[kind]
	if stream == nil {
		return c.Client.List(ctx, list, opts...)
	}
	options := (&client.ListOptions{}).ApplyOptions(opts)
	c.mu.Lock()
	var edits []edit
	if !options.DisableReadYourWritesConsistency {
		for _, n := range stream.own {
			edits = append(edits, stream.to(n)...)
		}
	}
	var items []runtime.Object
	for _, o := range stream.objects {
		if c.selected(o, options) {
			items = append(items, o.DeepCopyObject())
		}
	}
	c.mu.Unlock()
	c.tell(edits)
	slices.SortFunc(items, compareKeys)
	return meta.SetList(list, items)
}

// selected says whether a list is to have an object.
func (c *Held) selected(o client.Object, options *client.ListOptions) bool {
	if options.Namespace != "" && o.GetNamespace() != options.Namespace {
		return false
	}
	if options.LabelSelector != nil && !options.LabelSelector.Matches(labels.Set(o.GetLabels())) {
		return false
	}
	if options.FieldSelector == nil {
		return true
	}
	for _, r := range options.FieldSelector.Requirements() {
		extract, ok := c.indexes[r.Field]
		if !ok {
			panic(fmt.Sprintf("there is no index %s", r.Field)) // a mistake in the controllers
		}
		if !slices.Contains(extract(o), r.Value) {
			return false
		}
	}
	return true
}

// Versions gives all versions of the objects of a kind, in order, and how many of them the cache has. They are for reading.
func (c *Held) Versions(kind string) (all []client.Object, seen int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[kind]
	for _, v := range s.versions {
		all = append(all, v.object)
	}
	return all, s.seen
}

// Tick moves the clock to the next timer, by no more than d, makes the passes that are due, and lets their requests go to
// the tracker. Unlike Step it does not insist that anything settles, so that it may be called while the cache is held.
func (h *Harness) Tick(d time.Duration) {
	h.t.Helper()
	end := h.Clock.Now().Add(d)
	if next := h.nextTimer(); !next.IsZero() && next.Before(end) {
		end = next
	}
	h.to(end)
	h.Reconcile()
	h.send()
	h.Reconcile()
}

// Idle says that nothing is on its way to a tracker.
func (h *Harness) Idle() bool {
	for key := range h.known {
		if project, ok := h.Registry.Find(key); ok && project.Queue() != nil && !project.Queue().Idle() {
			return false
		}
	}
	return true
}
