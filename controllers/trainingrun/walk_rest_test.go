package trainingrun_test

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// longEnough for all that waits: contested changes, retries, and the end of a deletion that can't be done.
const longEnough = 6 * time.Minute

// How a walk ends after everything has come to rest.
const (
	asItIs = iota
	undeclared
	deleted
)

// comeToRest ends all faults, lets the operator do what it has to, and checks what has to be true then.
func (w *walk) comeToRest(ending int) {
	w.t.Helper()
	w.t.Logf("come to rest, ending %d", ending)
	w.h.API.FailWrites(nil)
	w.api.lose = false
	w.h.Tracker.SetFaults(wandbtest.Faults{})
	w.settle()
	if _, ok := w.tracked(); !ok && ending != asItIs {
		w.makeRun(walkTags[0])
		w.seeForeign()
		w.settle()
	}
	if ending == asItIs { // so that nobody names the tag after it was let go of
		w.do(step{what: "let-go", tag: walkTags[2]})
		w.settle()
	}
	were := map[string]bool{}
	for _, o := range w.objects {
		if o.run != nil && ending != asItIs {
			for _, tag := range declared(o) {
				were[tag] = true
			}
		}
	}
	if ending == undeclared { // one after the other, under the policies that they have
		for _, o := range w.objects {
			w.edit(o, func(spec *v1alpha1.TrainingRunSpec) { spec.Tags = nil })
			w.settle()
		}
	}
	for _, o := range w.objects {
		w.edit(o, func(spec *v1alpha1.TrainingRunSpec) {
			spec.TagPolicy, spec.DeletionPolicy = v1alpha1.TagPolicyMerge, v1alpha1.DeletionPolicyRemoveTags
		})
	}
	w.settle()
	if ending == undeclared { // labels only now: one that is taken off while the policy removes nothing leaves its tag there
		for _, o := range w.objects {
			w.editLabels(o, func(run *v1alpha1.TrainingRun) {
				for _, tag := range personal(run) {
					w.unlabel(o, run, tag)
				}
			})
		}
		w.settle()
	}
	if ending == deleted {
		for _, o := range w.objects {
			w.delete(o)
		}
		w.settle()
	}
	if run, ok := w.tracked(); ok {
		for _, tag := range run.Tags {
			if were[tag] {
				w.fail("tag %q was declared, is declared no more, and still on the run", tag)
			}
		}
	}
}

// settle waits for all that is due and checks that there is rest, and the right one.
func (w *walk) settle() {
	w.t.Helper()
	w.h.Step(longEnough)
	w.seeOurs(true)
	w.show()
	if slices.ContainsFunc(w.objects, func(o *object) bool { return o.run != nil }) {
		w.h.ExpectQuiet(interval)
	} else { // nothing is looked at then
		w.h.ExpectNoWrites(func() { w.h.Step(3 * interval) })
	}
	w.seeOurs(true)
	merging, wanted := true, map[string]bool{}
	for _, o := range w.objects {
		if o.run == nil {
			continue
		}
		if o.deleting {
			w.fail("%s is deleted and still there", o.name)
		}
		w.h.Refresh(o.run)
		merging = merging && o.run.Spec.TagPolicy == v1alpha1.TagPolicyMerge
		for _, tag := range declared(o) {
			wanted[tag] = true
		}
	}
	for _, o := range w.objects {
		if o.run != nil {
			w.checkObject(o, wanted)
		}
	}
	for tag := range w.put {
		if merging && !wanted[tag] {
			w.fail("tag %q was put on the run by us, is declared by nobody, and still there", tag)
		}
	}
}

// declared is what an object wants on the run.
func declared(o *object) []string {
	return slices.DeleteFunc(slices.Concat(o.run.Spec.Tags, personal(o.run)), func(tag string) bool { return slices.Contains(o.run.Spec.ExcludeTags, tag) })
}

// checkObject checks an object that is there to stay, and what it wants, where all together want these tags.
func (w *walk) checkObject(o *object, wanted map[string]bool) {
	w.t.Helper()
	for _, problem := range controllerstest.KstatusProblems(o.run, o.run.Status.ObservedGeneration, o.run.Status.Conditions) {
		w.fail("%s does not follow kstatus: %s", o.name, problem)
	}
	run, ok := w.tracked()
	if !ok {
		w.checkAbsent(o)
		return
	}
	w.h.ExpectReady(o.run, v1alpha1.ReasonSynced)
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
	if o.run.Spec.TagPolicy == v1alpha1.TagPolicyObserve {
		return
	}
	for _, tag := range declared(o) {
		if !slices.Contains(run.Tags, tag) {
			w.fail("tag %q is declared by %s and not on the run", tag, o.name)
		}
	}
	if o.run.Spec.TagPolicy != v1alpha1.TagPolicyMerge {
		return
	}
	for _, a := range o.run.Status.AppliedTags {
		if slices.Contains(run.Tags, a.Name) && !wanted[a.Name] {
			w.fail("tag %q is owned by %s, declared by nobody, and on the run", a.Name, o.name)
		}
	}
	for _, tag := range o.run.Spec.ExcludeTags {
		if slices.Contains(run.Tags, tag) && !w.elsewhere(o, tag) {
			w.fail("tag %q is excluded by %s and on the run", tag, o.name)
		}
	}
}

func (w *walk) checkAbsent(o *object) {
	w.t.Helper()
	reason := v1alpha1.ReasonRunNotFound
	if o.run.Status.Run != nil {
		reason = v1alpha1.ReasonRunDeleted
	}
	w.h.ExpectCondition(o.run, v1alpha1.ConditionReady, metav1.ConditionFalse, reason)
	w.checkPersonal(o)
}

// elsewhere says that another object wants the tag.
func (w *walk) elsewhere(o *object, tag string) bool {
	return slices.ContainsFunc(w.objects, func(other *object) bool {
		return other != o && other.run != nil && slices.Contains(declared(other), tag)
	})
}
