package controllerstest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/tagchange"
	"github.com/runtag/runtag/controllers/tagrule"
	"github.com/runtag/runtag/controllers/trackingproject"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/controllers/trigger"
)

// Create makes an object.
func (c *Held) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	return c.wrote(obj, c.Client.Create(ctx, obj, opts...))
}

// Update writes an object as a whole.
func (c *Held) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	return c.wrote(obj, c.Client.Update(ctx, obj, opts...))
}

// Patch writes an object.
func (c *Held) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return c.wrote(obj, c.Client.Patch(ctx, obj, patch, opts...))
}

// Delete deletes an object.
func (c *Held) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	return c.wrote(obj, c.Client.Delete(ctx, obj, opts...))
}

// Status writes statuses.
func (c *Held) Status() client.SubResourceWriter {
	return &heldStatus{SubResourceWriter: c.Client.Status(), held: c}
}

type heldStatus struct {
	client.SubResourceWriter
	held *Held
}

// Patch writes a status.
func (w *heldStatus) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	return w.held.wrote(obj, w.SubResourceWriter.Patch(ctx, obj, patch, opts...))
}

// wrote takes note of a write of the operator.
func (c *Held) wrote(obj client.Object, err error) error {
	c.h.t.Helper()
	if err == nil {
		c.observe(kindOf(obj), client.ObjectKeyFromObject(obj), true)
	}
	return err
}

// tell queues what the watches of a manager queue.
func (c *Held) tell(edits []edit) {
	c.h.t.Helper()
	for _, e := range edits {
		o := e.now
		if o == nil {
			o = e.before
		}
		switch o.(type) {
		case *v1alpha1.TrainingRun:
			c.h.tellRun(e)
		case *v1alpha1.TrackingProject:
			if passes(e, trackingproject.Relevant()) {
				c.h.projects.Add(requestFor(o))
			}
		case *v1alpha1.TagRule, *v1alpha1.ClusterTagRule:
			if passes(e, trigger.Edited()) {
				c.h.tellRule(o)
			}
		case *v1alpha1.TagChange:
			c.h.tellChange(e, o)
		}
	}
}

// passes says whether a predicate lets an edit by.
func passes(e edit, p interface {
	Create(event.CreateEvent) bool
	Update(event.UpdateEvent) bool
	Delete(event.DeleteEvent) bool
},
) bool {
	switch {
	case e.before == nil:
		return p.Create(event.CreateEvent{Object: e.now})
	case e.now == nil:
		return p.Delete(event.DeleteEvent{Object: e.before})
	}
	return p.Update(event.UpdateEvent{ObjectOld: e.before, ObjectNew: e.now})
}

func (h *Harness) tellRun(e edit) {
	h.t.Helper()
	if e.now == nil {
		h.runs.Add(requestFor(e.before))
		h.wake(e.before)
		h.rulesConcerned(e.before)
		return
	}
	if passes(e, trainingrun.Relevant()) {
		h.runs.Add(requestFor(e.now))
	}
	if e.before == nil {
		return
	}
	before, ok := e.before.(*v1alpha1.TrainingRun)
	now, alsoOK := e.now.(*v1alpha1.TrainingRun)
	retagged := ok && alsoOK && !equality.Semantic.DeepEqual(before.Status.Tags, now.Status.Tags)
	if passes(e, trainingrun.Relevant()) || retagged {
		h.wake(e.now)
	}
	if tagrule.RuleTagsChanged(e.before, e.now) {
		h.rulesConcerned(e.before, e.now)
	}
}

// wake queues what an edit or the deletion of a TrainingRun queues besides it.
func (h *Harness) wake(obj client.Object) {
	h.t.Helper()
	run, ok := obj.(*v1alpha1.TrainingRun)
	if !ok {
		return
	}
	project := requestFor(run)
	project.Name = run.Spec.ProjectRef.Name
	if tracker, known := h.Registry.Find(project.NamespacedName); known && tracker.HasUnique() {
		h.projects.Add(project)
	}
	h.concerned(run)
}

func (h *Harness) tellRule(rule client.Object) {
	h.t.Helper()
	if _, wide := rule.(*v1alpha1.ClusterTagRule); wide {
		h.clusterRules.Add(requestFor(rule))
	} else {
		h.rules.Add(requestFor(rule))
	}
	for _, obj := range h.Held.all(kindRun, rule.GetNamespace()) {
		h.runs.Add(requestFor(obj))
	}
	for _, obj := range h.Held.all(kindProject, rule.GetNamespace()) {
		h.projects.Add(requestFor(obj))
	}
}

func (h *Harness) tellChange(e edit, change client.Object) {
	h.t.Helper()
	if passes(e, trigger.Edited()) {
		h.changes.Add(requestFor(change))
	}
	if e.before != nil && (e.now == nil || tagchange.Finished(e.now) && !tagchange.Finished(e.before)) {
		for _, other := range h.Held.all(kindChange, change.GetNamespace()) {
			if !tagchange.Finished(other) {
				h.changes.Add(requestFor(other))
			}
		}
	}
}

// all lists what the cache has of a kind, in a namespace or everywhere.
func (c *Held) all(kind, namespace string) (all []client.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, o := range c.streams[kind].objects {
		if namespace == "" || key.Namespace == namespace {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b client.Object) int { return compareKeys(a, b) })
	return all
}

// latest lists what the API server has of a kind in a namespace, without asking it.
func (c *Held) latest(kind, namespace string) (all []client.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := map[types.NamespacedName]client.Object{}
	for _, v := range c.streams[kind].versions {
		last[v.key] = v.object
	}
	for key, o := range last {
		if o != nil && key.Namespace == namespace {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b client.Object) int { return compareKeys(a, b) })
	return all
}

// changedByPerson takes note of an edit by a person.
func (c *Held) changedByPerson(obj client.Object) {
	c.h.t.Helper()
	key := client.ObjectKeyFromObject(obj)
	switch obj.(type) {
	case *v1alpha1.TrackingProject:
		c.h.known[key] = true
	case *v1alpha1.ClusterTagRule:
		c.h.global = append(c.h.global, obj)
	}
	c.observe(kindOf(obj), key, false)
	c.catchUp()
}

func kindOfList(list client.ObjectList) string {
	return strings.TrimSuffix(reflect.TypeOf(list).Elem().Name(), "List")
}

// copyInto copies an object into another one of its type.
func copyInto(from, into client.Object) error {
	source, target := reflect.ValueOf(from.DeepCopyObject()), reflect.ValueOf(into)
	if source.Type() != target.Type() {
		return fmt.Errorf("copy a %T into a %T", from, into)
	}
	target.Elem().Set(source.Elem())
	return nil
}

func compareKeys(a, b runtime.Object) int {
	return strings.Compare(keyOf(a), keyOf(b))
}

func keyOf(o runtime.Object) string {
	if obj, ok := o.(client.Object); ok {
		return client.ObjectKeyFromObject(obj).String()
	}
	return ""
}
