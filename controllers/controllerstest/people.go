package controllerstest

import (
	"github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// ExpectApplied creates the objects, or patches those that exist to what they are here, as Person, and queues them.
func (h *Harness) ExpectApplied(objs ...client.Object) {
	h.t.Helper()
	for _, obj := range objs {
		owner := client.FieldOwner(Person)
		if obj.GetUID() == "" {
			h.g.Expect(h.Admin.Create(h.ctx, obj, owner)).To(gomega.Succeed())
		} else {
			stored, ok := obj.DeepCopyObject().(client.Object)
			h.g.Expect(ok).To(gomega.BeTrue())
			h.Refresh(stored)
			h.g.Expect(h.Admin.Patch(h.ctx, obj, client.MergeFrom(stored), owner)).To(gomega.Succeed())
		}
		h.changed(obj)
	}
}

// ExpectEdited reads a TrainingRun anew and lets f change it.
func (h *Harness) ExpectEdited(run *v1alpha1.TrainingRun, f func(*v1alpha1.TrainingRun)) {
	h.t.Helper()
	h.Refresh(run)
	f(run)
	h.ExpectApplied(run)
}

// ExpectProjectEdited reads a TrackingProject anew and lets f change it.
func (h *Harness) ExpectProjectEdited(p *v1alpha1.TrackingProject, f func(*v1alpha1.TrackingProject)) {
	h.t.Helper()
	h.Refresh(p)
	f(p)
	h.ExpectApplied(p)
}

// ExpectDeleted deletes the objects. Those with a finalizer stay for a pass to let them go.
func (h *Harness) ExpectDeleted(objs ...client.Object) {
	h.t.Helper()
	for _, obj := range objs {
		h.g.Expect(h.Admin.Delete(h.ctx, obj)).To(gomega.Succeed())
		switch err := h.Admin.Get(h.ctx, client.ObjectKeyFromObject(obj), obj); {
		case apierrors.IsNotFound(err):
			obj.SetResourceVersion(never)
		default:
			h.g.Expect(err).NotTo(gomega.HaveOccurred())
		}
		h.changed(obj)
	}
}

// Refresh reads objects from the API server.
func (h *Harness) Refresh(objs ...client.Object) {
	h.t.Helper()
	for _, obj := range objs {
		h.g.Expect(h.Admin.Get(h.ctx, client.ObjectKeyFromObject(obj), obj)).To(gomega.Succeed())
	}
}

// Touch queues objects as if somebody had edited them.
func (h *Harness) Touch(objs ...client.Object) {
	h.t.Helper()
	for _, obj := range objs {
		h.changed(obj)
	}
}

// changed waits until the cache knows of a change by a person, and queues the object as a watch does.
func (h *Harness) changed(obj client.Object) {
	h.t.Helper()
	if h.Held != nil {
		h.Held.changedByPerson(obj)
		return
	}
	key := client.ObjectKeyFromObject(obj)
	switch obj.(type) {
	case *v1alpha1.TrainingRun:
		if h.cached(&v1alpha1.TrainingRun{}, key, obj.GetResourceVersion()) {
			h.gone(obj, key)
		} else {
			h.concerned(h.last[key])
		}
		h.runs.Add(requestFor(obj))
	case *v1alpha1.TrackingProject:
		h.known[key] = true
		h.cached(&v1alpha1.TrackingProject{}, key, obj.GetResourceVersion())
		h.projects.Add(requestFor(obj))
	case *v1alpha1.TagRule, *v1alpha1.ClusterTagRule:
		h.cached(objectOf(kindOf(obj)), key, obj.GetResourceVersion())
		h.ruleChanged(obj)
	case *v1alpha1.TagChange:
		if h.cached(&v1alpha1.TagChange{}, key, obj.GetResourceVersion()) {
			h.gone(obj, key)
			return
		}
		h.changes.Add(requestFor(obj))
	}
}

// AddRun puts a run that has ended into the tracker's project ProjectName, or replaces the one with that id.
func (h *Harness) AddRun(id string, onRun ...string) wandbtest.Run {
	h.t.Helper()
	return h.AddTrackerRun(wandbtest.Run{ID: id, State: "finished", Tags: onRun})
}

// AddActiveRun does so with a run that goes on.
func (h *Harness) AddActiveRun(id string, onRun ...string) wandbtest.Run {
	h.t.Helper()
	return h.AddTrackerRun(wandbtest.Run{ID: id, State: "running", Tags: onRun})
}

// AddTrackerRun puts any run into the tracker; its project is ProjectName unless it names one.
func (h *Harness) AddTrackerRun(run wandbtest.Run) wandbtest.Run {
	h.t.Helper()
	if run.Project == "" {
		run.Project = ProjectName
	}
	added, err := h.Tracker.Server.AddRun(run)
	h.g.Expect(err).NotTo(gomega.HaveOccurred())
	return added
}

// EditTags adds and removes tags on the tracker's page.
func (h *Harness) EditTags(id string, add, remove []string) {
	h.t.Helper()
	h.g.Expect(h.Tracker.EditTags(h.Tracker.Path(id), add, remove)).To(gomega.Succeed())
}

// DeleteRuns deletes runs on the tracker's page.
func (h *Harness) DeleteRuns(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		h.g.Expect(h.Tracker.DeleteRun(h.Tracker.Path(id))).To(gomega.Succeed())
	}
}

func requestFor(obj client.Object) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKeyFromObject(obj)}
}
