package walks_test

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/bulk"
)

// onWrite judges a write to the tracker before it is carried out.
func (w *world) onWrite(run wandbtest.Run, list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ours, listed := w.recorded(run), w.listed(run.ID)
	for _, tag := range list {
		if !slices.Contains(run.Tags, tag) && !ours.applied[tag] && !listed[tag] {
			w.problem("tag %q is put on run %s before any record of ours has it", tag, run.ID)
		}
	}
	for _, tag := range run.Tags {
		if slices.Contains(list, tag) {
			continue
		}
		switch {
		case tag == foreign:
			w.problem("foreign tag %q is taken off run %s", tag, run.ID)
		case tag == unique:
			w.judgeUnique(run.ID)
		case !w.named[run.ID][tag] && !ours.byRule[tag] && !w.put[run.ID][tag]:
			w.problem("tag %q is taken off run %s, and nobody here ever named it", tag, run.ID)
		case !ours.leaving[tag] && !listed[tag]:
			w.problem("tag %q is taken off run %s before any record of ours says so", tag, run.ID)
		}
	}
}

// judgeUnique says what is wrong where the unique tag leaves a run. The caller holds mu.
func (w *world) judgeUnique(from string) {
	if !w.claimed {
		w.problem("the unique tag is taken off run %s, and nobody ever declared it", from)
	}
	for _, id := range runIDs {
		if id != from && w.carriesUnique(id) {
			return
		}
	}
	if !w.loose {
		w.problem("the unique tag is taken off run %s, somebody declares it, and no other run has it", from)
	}
}

// record is what stored TrainingRuns say, or said, of one incarnation of a run.
type record struct{ applied, leaving, byRule map[string]bool }

func (w *world) recorded(run wandbtest.Run) record {
	r := record{applied: map[string]bool{}, leaving: map[string]bool{}, byRule: map[string]bool{}}
	all, _ := w.h.Held.Versions("TrainingRun")
	for _, o := range all {
		v, ok := o.(*v1alpha1.TrainingRun)
		if !ok || trainingrun.RunID(v) != run.ID {
			continue
		}
		for _, tag := range v.Spec.ExcludeTags {
			r.leaving[tag] = true
		}
		if v.Status.Run == nil || v.Status.Run.UID != uid(run) {
			continue
		}
		for _, a := range v.Status.AppliedTags {
			r.applied[a.Name] = true
		}
		for _, e := range v.Status.RemovedTags {
			r.leaving[e.Name] = true
		}
		for _, t := range v.Status.RuleTags {
			r.byRule[t.Tag] = true
		}
	}
	return r
}

// everApplied says that the record of a TrainingRun has had a tag of one incarnation of a run.
func (w *world) everApplied(uid, tag string) bool {
	all, _ := w.h.Held.Versions("TrainingRun")
	return slices.ContainsFunc(all, func(o client.Object) bool {
		v, ok := o.(*v1alpha1.TrainingRun)
		return ok && v.Status.Run != nil && v.Status.Run.UID == uid &&
			slices.ContainsFunc(v.Status.AppliedTags, func(a v1alpha1.AppliedTag) bool { return a.Name == tag })
	})
}

// listed are the tags that TagChanges have written down for a run.
func (w *world) listed(id string) map[string]bool {
	tags := map[string]bool{}
	if len(w.changes) == 0 {
		return tags
	}
	var pages corev1.ConfigMapList
	if err := w.h.Admin.List(w.ctx, &pages, client.InNamespace(w.h.Namespace)); err != nil {
		w.problem("list ConfigMaps: %v", err)
		return tags
	}
	for _, page := range pages.Items {
		if !strings.Contains(page.Name, "undo") {
			continue
		}
		entries, err := bulk.ParseEntries(page.Data["runs"])
		if err != nil {
			w.problem("read ConfigMap %s: %v", page.Name, err)
			continue
		}
		for _, e := range entries {
			for key := range e.Before {
				tags[key] = tags[key] || e.ID == id
			}
		}
	}
	return tags
}
