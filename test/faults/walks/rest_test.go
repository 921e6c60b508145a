package walks_test

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/mirror"
)

// How a walk ends after everything has come to rest.
const (
	asItIs = iota
	undeclared
	deleted
)

// comeToRest ends all faults, lets the operator do what it has to, and checks what has to be true then.
func (w *world) comeToRest(ending int) {
	w.t.Helper()
	w.t.Logf("come to rest, ending %d", ending)
	w.h.API.FailWrites(nil)
	w.h.API.LoseAnswers(nil)
	w.h.Tracker.SetFaults(wandbtest.Faults{})
	w.hold(false)
	w.settle()
	for _, id := range runIDs {
		if _, ok := w.tracked(id); !ok && ending != asItIs {
			w.makeRun(id, foreign)
			w.seeForeign()
		}
	}
	w.allowAll()
	w.settle()
	for _, o := range w.objects {
		if o.run != nil {
			w.checkObject(o)
		}
	}
	w.checkUnique()
	w.checkChanges()
	owned := w.owned()
	switch ending {
	case asItIs:
		w.expectRest()
		return
	case undeclared:
		w.undeclareAll()
	case deleted:
		for _, o := range w.objects {
			w.delete(o)
		}
	}
	w.settle()
	w.checkNothingLeft(owned)
}

// settle waits for all that is due.
func (w *world) settle() {
	w.t.Helper()
	w.h.Step(longEnough)
	w.seeOurs()
	w.show()
	for _, p := range w.projects {
		w.h.Refresh(p)
		w.t.Logf("    project %s/%s: %+v", p.Namespace, p.Name, meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady))
	}
}

// allowAll raises all policies, so that nothing keeps the operator from what it has to do.
func (w *world) allowAll() {
	w.t.Helper()
	for i := range w.projects {
		w.ceiling(i, v1alpha1.TagPolicyMerge)
	}
	for _, o := range w.objects {
		w.edit(o, func(run *v1alpha1.TrainingRun) {
			run.Spec.TagPolicy, run.Spec.DeletionPolicy = v1alpha1.TagPolicyMerge, v1alpha1.DeletionPolicyRemoveTags
		})
	}
}

// expectRest checks that nobody writes anything any more, nor does an operator that begins anew.
func (w *world) expectRest() {
	w.t.Helper()
	if !slices.ContainsFunc(w.objects, func(o *object) bool { return o.run != nil }) {
		w.h.ExpectNoWrites(func() { w.h.Step(3 * interval) }) // nothing is looked at then
		return
	}
	w.h.ExpectQuiet(interval)
	w.h.Restart()
	activity := w.h.During(func() { w.h.Step(3 * interval) })
	for _, write := range activity.Writes {
		w.fail("a restart at rest writes %s %s: %s", write.Kind, write.Key, write.Patch)
	}
	if n := activity.Requests[controllerstest.OpWrite]; n > 0 {
		w.fail("a restart at rest writes %d times to the tracker", n)
	}
	w.seeOurs()
}

// checkObject checks an object that is there to stay.
func (w *world) checkObject(o *object) {
	w.t.Helper()
	if o.deleting {
		w.fail("%s is deleted and still there", o.name)
	}
	w.h.Refresh(o.run)
	for _, problem := range controllerstest.KstatusProblems(o.run, o.run.Status.ObservedGeneration, o.run.Status.Conditions) {
		w.fail("%s does not follow kstatus: %s", o.name, problem)
	}
	run, ok := w.tracked(o.id)
	if !ok {
		reason := v1alpha1.ReasonRunNotFound
		if o.run.Status.Run != nil {
			reason = v1alpha1.ReasonRunDeleted
		}
		w.h.ExpectCondition(o.run, v1alpha1.ConditionReady, metav1.ConditionFalse, reason)
		return
	}
	w.checkReady(o)
	var shown []string
	for _, tag := range o.run.Status.Tags {
		if tag.Present {
			shown = append(shown, tag.Name)
		}
	}
	if have := slices.Sorted(slices.Values(run.Tags)); !slices.Equal(shown, have) || o.run.Status.Run.UID != uid(run) {
		w.fail("%s shows %q of run %s, want %q of run %s", o.name, shown, o.run.Status.Run.UID, have, uid(run))
	}
	w.checkLabels(o, run.Tags)
	w.checkWanted(o, run.Tags)
}

func (w *world) checkReady(o *object) {
	w.t.Helper()
	ready := meta.FindStatusCondition(o.run.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready != nil && ready.Reason == v1alpha1.ReasonSynced && ready.Status == metav1.ConditionTrue:
	case ready != nil && ready.Reason == v1alpha1.ReasonTagConflict && w.declarers() > 1 && slices.Contains(o.run.Spec.Tags, unique):
	default:
		w.fail("%s is not Ready: %+v", o.name, ready)
	}
}

// checkLabels checks that the labels are those of the run, and that those of people are as people left them.
func (w *world) checkLabels(o *object, onRun []string) {
	w.t.Helper()
	want := map[string]bool{}
	for _, tag := range slices.Concat(onRun, personal(o.run)) {
		want[tag] = true
	}
	have := slices.Sorted(maps.Keys(tagLabels(o.run)))
	if !slices.Equal(have, keys(want)) {
		w.fail("the labels of %s are for %q, want %q", o.name, have, keys(want))
	}
	if o.run.Labels[mirror.Project] == "" {
		w.fail("%s has no identity label", o.name)
	}
	if people := personal(o.run); !o.wiped && !slices.Equal(people, keys(o.labelled)) {
		w.fail("labels of people declare %q on %s, want %q", people, o.name, keys(o.labelled))
	}
}

// checkWanted checks that all that an object wants is on its run, and that it owns nothing there that nobody wants.
func (w *world) checkWanted(o *object, onRun []string) {
	w.t.Helper()
	for _, tag := range declared(o.run) {
		if tag != unique && !slices.Contains(onRun, tag) {
			w.fail("tag %q is declared by %s and not on run %s", tag, o.name, o.id)
		}
	}
	wanted := w.wanted(o.id)
	for _, t := range o.run.Status.RuleTags {
		held := t.State == v1alpha1.RuleTagHeld && !slices.Contains(o.run.Spec.ExcludeTags, t.Tag)
		if held && !slices.Contains(onRun, t.Tag) && w.enforced(t.Rule) {
			w.fail("tag %q is held by %s of %s and not on run %s", t.Tag, t.Rule, o.name, o.id)
		}
	}
	for _, a := range o.run.Status.AppliedTags {
		if a.Name != unique && slices.Contains(onRun, a.Name) && !wanted[a.Name] {
			w.fail("tag %q is owned by %s, wanted by nobody, and on run %s", a.Name, o.name, o.id)
		}
	}
	for _, tag := range o.run.Spec.ExcludeTags {
		if slices.Contains(onRun, tag) && !w.wantedBesides(o, tag) {
			w.fail("tag %q is excluded by %s and on run %s", tag, o.name, o.id)
		}
	}
	for tag := range w.put[o.id] {
		if tag != unique && !wanted[tag] {
			w.fail("tag %q was put on run %s by us, is wanted by nobody, and still there", tag, o.id)
		}
	}
}

// enforced says that a rule is there and gives its tags.
func (w *world) enforced(key string) bool {
	for _, rule := range w.rules {
		if rule != nil && key == "TagRule/"+rule.Name {
			return rule.Spec.Mode == "" || rule.Spec.Mode == v1alpha1.RuleModeEnforce
		}
	}
	return w.wide != nil && key == "ClusterTagRule/"+w.wide.Name
}

// wanted are the tags that objects declare on a run, or hold by rules.
func (w *world) wanted(id string) map[string]bool {
	all := map[string]bool{}
	for _, o := range w.objects {
		if o.run == nil || o.id != id {
			continue
		}
		for _, tag := range declared(o.run) {
			all[tag] = true
		}
		for _, t := range o.run.Status.RuleTags {
			all[t.Tag] = all[t.Tag] || t.State == v1alpha1.RuleTagHeld
		}
	}
	return all
}

// wantedBesides says that another object wants a tag on the same run, by a rule too.
func (w *world) wantedBesides(o *object, tag string) bool {
	return slices.ContainsFunc(w.objects, func(other *object) bool {
		if other == o || other.id != o.id || other.run == nil {
			return false
		}
		held := slices.ContainsFunc(other.run.Status.RuleTags, func(t v1alpha1.RuleTag) bool {
			return t.Tag == tag && t.State == v1alpha1.RuleTagHeld && !slices.Contains(other.run.Spec.ExcludeTags, tag)
		})
		return held || slices.Contains(declared(other.run), tag)
	})
}

// checkUnique checks where the unique tag is.
func (w *world) checkUnique() {
	w.t.Helper()
	var carriers []string
	for _, id := range runIDs {
		if run, ok := w.tracked(id); ok && slices.Contains(run.Tags, unique) {
			carriers = append(carriers, id)
		}
	}
	if w.declarers() != 1 {
		return
	}
	for _, o := range w.objects {
		if o.run == nil || !slices.Contains(o.run.Spec.Tags, unique) {
			continue
		}
		if _, ok := w.tracked(o.id); ok && !slices.Equal(carriers, []string{o.id}) {
			w.fail("%s alone declares the unique tag for run %s, and it is on %q", o.name, o.id, carriers)
		}
	}
}

// checkChanges checks that all TagChanges have ended.
func (w *world) checkChanges() {
	w.t.Helper()
	for _, c := range w.changes {
		there := &v1alpha1.TagChange{}
		err := w.h.Admin.Get(w.ctx, client.ObjectKeyFromObject(c), there)
		if client.IgnoreNotFound(err) != nil {
			w.fail("%v", err)
		}
		if err == nil && there.Status.FinishedAt == nil {
			w.fail("TagChange %s has not ended: %+v", c.Name, there.Status)
		}
	}
}

// owned gives by run what goes when the objects want it no more: all that they declare and is on the run.
func (w *world) owned() map[string][]string {
	owned := map[string][]string{}
	for _, o := range w.objects {
		if o.run == nil {
			continue
		}
		run, _ := w.tracked(o.id)
		for _, tag := range declared(o.run) {
			if tag != unique && slices.Contains(run.Tags, tag) {
				owned[o.id] = append(owned[o.id], tag)
			}
		}
	}
	return owned
}

// undeclareAll takes back all that people and rules declare.
func (w *world) undeclareAll() {
	w.t.Helper()
	for _, o := range w.objects {
		w.edit(o, func(run *v1alpha1.TrainingRun) {
			run.Spec.Tags = nil
			for _, tag := range personal(run) {
				delete(run.Labels, mirror.TagPrefix+tag)
			}
			delete(run.Annotations, mirror.AnnotationTags)
			delete(run.Annotations, mirror.AnnotationAdd)
		})
	}
	for _, rule := range w.rules {
		if rule != nil {
			w.h.Refresh(rule)
			rule.Spec.Mode = v1alpha1.RuleModeRetract
			w.h.ExpectApplied(rule)
		}
	}
	if w.wide != nil {
		w.h.Refresh(w.wide)
		w.wide.Spec.Mode = v1alpha1.RuleModeRetract
		w.h.ExpectApplied(w.wide)
	}
}

// checkNothingLeft checks that what was owned is off the runs, apart from what rules still hold.
func (w *world) checkNothingLeft(owned map[string][]string) {
	w.t.Helper()
	for _, o := range w.objects {
		if o.run != nil {
			w.h.Refresh(o.run)
		}
	}
	for _, id := range runIDs {
		run, ok := w.tracked(id)
		held := w.heldBy(id)
		for _, tag := range owned[id] {
			if ok && slices.Contains(run.Tags, tag) && !held[tag] {
				w.fail("tag %q was declared, is declared no more, and still on run %s", tag, id)
			}
		}
	}
}

// heldBy are the tags that rules hold on a run, or held for an object that is gone.
func (w *world) heldBy(id string) map[string]bool {
	held := map[string]bool{}
	all, _ := w.h.Held.Versions("TrainingRun")
	for _, o := range all {
		v, ok := o.(*v1alpha1.TrainingRun)
		if !ok || v.Spec.RunID != id {
			continue
		}
		current := slices.ContainsFunc(w.objects, func(o *object) bool {
			return o.run != nil && o.run.UID == v.UID && o.run.ResourceVersion != v.ResourceVersion
		})
		for _, t := range v.Status.RuleTags {
			held[t.Tag] = held[t.Tag] || !current && t.State == v1alpha1.RuleTagHeld
		}
	}
	return held
}
