package trainingrun_test

import (
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

// personLabels does what is done to the labels of TrainingRuns.
func (w *walk) personLabels(s step) bool {
	w.t.Helper()
	o, key := w.object(s.who), mirror.TagPrefix+s.tag
	switch s.what {
	case "label":
		w.editLabels(o, func(run *v1alpha1.TrainingRun) {
			if run.Labels == nil {
				run.Labels = map[string]string{}
			}
			run.Labels[key] = ""
			o.labelled[s.tag] = true
		})
	case "unlabel":
		w.editLabels(o, func(run *v1alpha1.TrainingRun) { w.unlabel(o, run, s.tag) })
	case "unlabel-all":
		w.editLabels(o, func(run *v1alpha1.TrainingRun) {
			for _, tag := range walkTags {
				w.unlabel(o, run, tag)
			}
		})
	case "wipe":
		w.editLabels(o, func(run *v1alpha1.TrainingRun) {
			run.Labels, run.Annotations = nil, nil
			o.labelled, o.wiped = byLabel(run), true
		})
	default:
		return false
	}
	return true
}

// brokenLabels lets something fail between the two writes of a pass, that of the labels and that of the status.
func (w *walk) brokenLabels(s step) bool {
	w.t.Helper()
	switch s.what {
	case "api-labels":
		w.breakOne(false)
	case "api-status":
		w.breakOne(true)
	case "blink": // a tag is off the run just while a pass ends early
		w.page(s.who, "page+")
		w.settled()
		w.page(s.who, "page-")
		w.breakOne(true)
		w.h.Reconcile()
		w.seeOurs(false)
		w.page(s.who, "page+")
	case "flash": // the pass that shows a tag ends early
		w.page(s.who, "page-")
		w.settled()
		w.page(s.who, "page+")
		w.breakOne(false)
		w.h.Reconcile()
		w.seeOurs(false)
	case "let-go": // a person's label goes while nothing is taken off
		w.person(step{what: "policy", who: s.who, n: 1 + s.n%2})
		w.personLabels(step{what: "label", who: s.who, tag: s.tag})
		w.settled()
		w.personLabels(step{what: "unlabel", who: s.who, tag: s.tag})
		w.h.Reconcile()
		w.seeOurs(false)
	default:
		return false
	}
	return true
}

// foreignTag is one that no person names.
const foreignTag = "foreign"

// page puts the foreign tag on the run or takes it off, and a look sees that.
func (w *walk) page(who int, what string) {
	w.t.Helper()
	w.onTracker(step{what: what, tag: foreignTag})
	w.looks = nil
	w.beginLook(who)
	w.endLook(0)
}

func (w *walk) settled() {
	w.t.Helper()
	w.h.Settle()
	w.seeOurs(true)
}

// breakOne lets the next write of a TrainingRun's status fail, or of its labels.
func (w *walk) breakOne(status bool) {
	failed := false
	w.h.API.FailWrites(func(write controllerstest.Write) error {
		if failed || write.Kind != "TrainingRun" || write.Status != status {
			return nil
		}
		failed = true
		return apierrors.NewInternalError(errBroken)
	})
}

// editLabels changes the metadata, if the object is there to stay.
func (w *walk) editLabels(o *object, f func(*v1alpha1.TrainingRun)) {
	w.t.Helper()
	if o.run == nil || o.deleting {
		return
	}
	w.h.ExpectEdited(o.run, f)
	w.stored(o.run.DeepCopy())
	w.name(o)
}

// unlabel takes a label off. While the identity is gone with a wipe, that says nothing about what status knows.
func (w *walk) unlabel(o *object, run *v1alpha1.TrainingRun, tag string) {
	if _, there := run.Labels[mirror.TagPrefix+tag]; !there {
		return
	}
	delete(run.Labels, mirror.TagPrefix+tag)
	_, identified := run.Labels[mirror.Project]
	o.labelled[tag] = !identified && byLabel(run)[tag]
	w.mu.Lock()
	defer w.mu.Unlock()
	o.named[tag] = true
	delete(o.let, tag)
}

// byLabel are the tags of which status knows that labels of people declare them.
func byLabel(run *v1alpha1.TrainingRun) map[string]bool {
	tags := map[string]bool{}
	for _, t := range run.Status.Tags {
		if t.ByLabel && t.Mirrored {
			tags[t.Name] = true
		}
	}
	return tags
}

// pending are the tags of which people took the label off and no pass has seen that.
func pending(run *v1alpha1.TrainingRun) map[string]bool {
	tags := map[string]bool{}
	if _, identified := run.Labels[mirror.Project]; !identified {
		return tags
	}
	for _, t := range run.Status.Tags {
		if _, there := run.Labels[mirror.TagPrefix+t.Name]; t.Mirrored && !there {
			tags[t.Name] = true
		}
	}
	return tags
}

// personal are the tags that labels of people declare.
func personal(run *v1alpha1.TrainingRun) []string {
	var tags []string
	for key, value := range run.Labels {
		if tag, ok := strings.CutPrefix(key, mirror.TagPrefix); ok && value == "" {
			tags = append(tags, tag)
		}
	}
	return tags
}

// ownedByAnother says that another object may still take the tag off.
func (w *walk) ownedByAnother(run *v1alpha1.TrainingRun, tag string) bool {
	return slices.ContainsFunc(w.objects, func(o *object) bool {
		if o.run == nil || o.run.UID == run.UID || len(o.versions) == 0 {
			return false
		}
		stored := o.versions[len(o.versions)-1].Status
		return slices.ContainsFunc(stored.AppliedTags, func(a v1alpha1.AppliedTag) bool { return a.Name == tag }) ||
			slices.ContainsFunc(stored.RemovedTags, func(r v1alpha1.RemovedTag) bool { return r.Name == tag })
	})
}

// forgive takes note of the tags that a person let go of while the policy removed nothing: they stay, as nobody's.
// The caller holds mu.
func (w *walk) forgive(o *object, before, after *v1alpha1.TrainingRun) {
	if after.Spec.TagPolicy == v1alpha1.TagPolicyMerge {
		return
	}
	for tag := range byLabel(before) {
		owned := slices.ContainsFunc(after.Status.AppliedTags, func(a v1alpha1.AppliedTag) bool { return a.Name == tag })
		if byLabel(after)[tag] || slices.Contains(after.Spec.Tags, tag) || w.ownedByAnother(after, tag) {
			continue
		}
		o.let[tag] = true
		if !owned {
			delete(w.put, tag)
		}
	}
}

// checkLabels checks that the labels are those of the run, and those of people are as people left them.
func (w *walk) checkLabels(o *object, onRun []string) {
	w.t.Helper()
	want := map[string]string{}
	for _, tag := range onRun {
		want[tag] = "run"
		if slices.Contains(o.run.Spec.Tags, tag) && !slices.Contains(o.run.Spec.ExcludeTags, tag) {
			want[tag] = "spec"
		}
	}
	w.checkPersonal(o)
	for _, tag := range personal(o.run) {
		want[tag] = ""
	}
	have := map[string]string{}
	for key, value := range o.run.Labels {
		if tag, ok := strings.CutPrefix(key, mirror.TagPrefix); ok {
			have[tag] = value
		}
	}
	if !maps.Equal(have, want) {
		w.fail("the labels of %s are %v, want %v", o.name, have, want)
	}
}

// checkPersonal checks the labels that say which run it is, and those of people.
func (w *walk) checkPersonal(o *object) {
	w.t.Helper()
	if o.run.Labels[mirror.Project] == "" {
		w.fail("%s has no identity label", o.name)
	}
	for _, tag := range walkTags {
		if have := slices.Contains(personal(o.run), tag); have != o.labelled[tag] {
			w.fail("%s: a label of a person declares %q: %t, want %t", o.name, tag, have, o.labelled[tag])
		}
	}
	if n := w.h.CountEvents(o.run, "LabelsWiped", nil); n > o.saidBefore && !o.wiped {
		w.fail("%s is said to have been wiped, and was not", o.name)
	}
}
