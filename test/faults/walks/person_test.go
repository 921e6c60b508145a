package walks_test

import (
	"slices"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
)

var (
	policies  = []v1alpha1.TagPolicy{v1alpha1.TagPolicyMerge, v1alpha1.TagPolicyAdd, v1alpha1.TagPolicyObserve, v1alpha1.TagPolicyMerge}
	deletions = []v1alpha1.DeletionPolicy{v1alpha1.DeletionPolicyRemoveTags, v1alpha1.DeletionPolicyRetain}
)

// person does what is done to TrainingRuns and projects.
func (w *world) person(s step) bool {
	w.t.Helper()
	o := w.object(s.who)
	spec := func(f func(*v1alpha1.TrainingRunSpec)) {
		w.t.Helper()
		w.edit(o, func(run *v1alpha1.TrainingRun) { f(&run.Spec) })
	}
	switch s.what {
	case "spec+":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.Tags = with(spec.Tags, s.tag) })
	case "spec-":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.Tags = without(spec.Tags, s.tag) })
	case "exclude":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.ExcludeTags = with(spec.ExcludeTags, s.tag) })
	case "include":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.ExcludeTags = nil })
	case "unique+":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.Tags = with(spec.Tags, unique) })
	case "unique-":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.Tags = without(spec.Tags, unique) })
	case "move":
		w.move(s)
	case "policy":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.TagPolicy = policies[s.n] })
	case "deletion":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.DeletionPolicy = deletions[s.n%2] })
	case "ceiling":
		w.ceiling(s.who, policies[s.n])
	case "delete":
		w.delete(o)
	case "create":
		w.create(o)
	default:
		return false
	}
	return true
}

// move declares the unique tag on one object and on no other, in one order or the other.
func (w *world) move(s step) {
	w.t.Helper()
	to := w.object(s.who)
	on := func() {
		w.edit(to, func(run *v1alpha1.TrainingRun) { run.Spec.Tags = with(run.Spec.Tags, unique) })
	}
	if s.n%2 == 0 {
		on()
	}
	for _, o := range w.objects {
		if o != to {
			w.edit(o, func(run *v1alpha1.TrainingRun) { run.Spec.Tags = without(run.Spec.Tags, unique) })
		}
	}
	if s.n%2 == 1 {
		on()
	}
}

// ceiling sets what the operator may do in a project at most.
func (w *world) ceiling(who int, policy v1alpha1.TagPolicy) {
	w.t.Helper()
	p := w.projects[who%len(w.projects)]
	w.h.ExpectProjectEdited(p, func(p *v1alpha1.TrackingProject) { p.Spec.MaxTagPolicy = policy })
	if policy == v1alpha1.TagPolicyMerge {
		return
	}
	for _, o := range w.objects { // labels that were taken off and not seen to be are let go of
		if o.namespace == p.Namespace {
			w.excuse(o.id, declarable...)
		}
	}
}

// mayLetGo says that a label that is taken off may leave its tag on the run.
func (w *world) mayLetGo(o *object) bool {
	return o.run.Spec.TagPolicy != v1alpha1.TagPolicyMerge || w.project(o).Spec.MaxTagPolicy != v1alpha1.TagPolicyMerge || w.h.Held.Behind("TrackingProject")+w.h.Held.Behind("TrainingRun") > 0
}

func (w *world) project(o *object) *v1alpha1.TrackingProject {
	for _, p := range w.projects {
		if p.Namespace == o.namespace {
			return p
		}
	}
	return nil
}

// edit changes an object, if it is there to stay.
func (w *world) edit(o *object, f func(*v1alpha1.TrainingRun)) {
	w.t.Helper()
	if o.run == nil || o.deleting {
		return
	}
	w.h.ExpectEdited(o.run, f)
	w.noted(o)
}

// noted takes note of what an object names after an edit.
func (w *world) noted(o *object) {
	lists := mirror.ReadLists(o.run.Annotations)
	w.name(o.id, slices.Concat(o.run.Spec.Tags, o.run.Spec.ExcludeTags, personal(o.run), lists.Declared(), lists.Remove)...)
	if o.run.Spec.TagPolicy != v1alpha1.TagPolicyMerge { // a label that was taken off and not seen to be is let go of
		w.excuse(o.id, declarable...)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.claimed = w.claimed || slices.Contains(o.run.Spec.Tags, unique)
	w.loose = w.loose || w.declarers() == 0
}

// create makes the object, which begins with a tag and with tags that go with it.
func (w *world) create(o *object) {
	w.t.Helper()
	if o.run != nil {
		return
	}
	run := w.h.NewRun(o.id, declarable[0])
	run.Namespace, run.Name = o.namespace, o.name
	run.Spec.TagPolicy, run.Spec.DeletionPolicy = o.policy, v1alpha1.DeletionPolicyRemoveTags
	w.h.ExpectApplied(run)
	o.run, o.labelled, o.wiped = run, map[string]bool{}, false
	w.noted(o)
}

func (w *world) delete(o *object) {
	w.t.Helper()
	if o.run == nil || o.deleting {
		return
	}
	w.h.Refresh(o.run)
	o.deleting = true
	if o.run.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRetain || len(o.run.Finalizers) == 0 || w.mayLetGo(o) {
		w.excuse(o.id, append(keys(w.put[o.id]), declarable...)...)
	}
	w.h.ExpectDeleted(o.run)
	if w.declarers() == 0 {
		w.mu.Lock()
		w.loose = true
		w.mu.Unlock()
	}
	w.seeGone(o)
}

// lists does what is done to labels and annotations.
func (w *world) lists(s step) bool {
	w.t.Helper()
	o, key := w.object(s.who), mirror.TagPrefix+s.tag
	annotate := func(annotation string, names ...string) {
		w.t.Helper()
		w.edit(o, func(run *v1alpha1.TrainingRun) {
			if run.Annotations == nil {
				run.Annotations = map[string]string{}
			}
			run.Annotations[annotation] = mirror.Text(names)
		})
	}
	switch s.what {
	case "label":
		w.edit(o, func(run *v1alpha1.TrainingRun) {
			if run.Labels == nil {
				run.Labels = map[string]string{}
			}
			run.Labels[key] = ""
			o.labelled[s.tag] = true
		})
	case "unlabel":
		w.unlabel(o, s.tag)
	case "wipe":
		w.edit(o, func(run *v1alpha1.TrainingRun) { run.Labels, run.Annotations, o.wiped = nil, nil, true })
	case "add-list":
		annotate(mirror.AnnotationAdd, s.tag)
	case "remove-list":
		annotate(mirror.AnnotationRemove, s.tag)
	case "unlist":
		if o.run != nil && w.mayLetGo(o) {
			w.excuse(o.id, declarable...)
		}
		w.edit(o, func(run *v1alpha1.TrainingRun) { delete(run.Annotations, mirror.AnnotationTags) })
	default:
		return false
	}
	return true
}

func (w *world) unlabel(o *object, tag string) {
	w.t.Helper()
	if o.run == nil || o.deleting {
		return
	}
	if w.mayLetGo(o) {
		w.excuse(o.id, tag)
	}
	w.edit(o, func(run *v1alpha1.TrainingRun) {
		if _, there := run.Labels[mirror.TagPrefix+tag]; there {
			delete(run.Labels, mirror.TagPrefix+tag)
			w.name(o.id, tag)
		}
		delete(o.labelled, tag)
	})
}
