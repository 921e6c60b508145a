package trainingrun_test

import (
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// mostLooks are kept that have not come through yet.
const mostLooks = 6

// do makes one step.
func (w *walk) do(s step) {
	w.t.Helper()
	if s.what == "idle" {
		return
	}
	w.t.Logf("%s", s)
	w.h.Clock.Step(time.Microsecond) // no two things happen in the same moment
	if s.n%2 == 0 {
		w.beginLook(s.who)
		w.h.Clock.Step(time.Microsecond)
	}
	if !w.person(s) && !w.personLabels(s) && !w.brokenLabels(s) && !w.onTracker(s) && !w.operator(s) && !w.broken(s) {
		w.fail("unknown step %s", s)
	}
	w.show()
}

// show logs what there is after a step, for a walk that fails.
func (w *walk) show() {
	w.t.Logf("    on the run: %q, put by us: %v", w.before, w.put)
	for _, o := range w.objects {
		if n := len(o.versions); n > 0 {
			v := o.versions[n-1]
			w.t.Logf("    %s %s: tags %q, labels %v, excluded %q, %s, %s; applied %v, removed %v, %s", o.name, v.ResourceVersion, v.Spec.Tags, v.Labels, v.Spec.ExcludeTags,
				v.Spec.TagPolicy, v.Spec.DeletionPolicy, v.Status.AppliedTags, v.Status.RemovedTags, ready(v))
		}
	}
}

// person does what is done to TrainingRuns.
func (w *walk) person(s step) bool {
	w.t.Helper()
	o, spec := w.object(s.who), func(f func(*v1alpha1.TrainingRunSpec)) { w.edit(w.object(s.who), f) }
	switch s.what {
	case "spec+":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.Tags = with(spec.Tags, s.tag) })
	case "spec-":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.Tags = without(spec.Tags, s.tag) })
	case "exclude":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.ExcludeTags = with(spec.ExcludeTags, s.tag) })
	case "include":
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.ExcludeTags = nil })
	case "policy":
		policies := []v1alpha1.TagPolicy{v1alpha1.TagPolicyMerge, v1alpha1.TagPolicyAdd, v1alpha1.TagPolicyObserve, v1alpha1.TagPolicyMerge}
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.TagPolicy = policies[s.n] })
	case "deletion":
		policies := []v1alpha1.DeletionPolicy{v1alpha1.DeletionPolicyRemoveTags, v1alpha1.DeletionPolicyRetain}
		spec(func(spec *v1alpha1.TrainingRunSpec) { spec.DeletionPolicy = policies[s.n%2] })
	case "delete":
		w.delete(o)
	case "create":
		w.create(o)
	default:
		return false
	}
	return true
}

// edit changes a spec, if the object is there to stay.
func (w *walk) edit(o *object, f func(*v1alpha1.TrainingRunSpec)) {
	w.t.Helper()
	if o.run == nil || o.deleting {
		return
	}
	w.h.ExpectEdited(o.run, func(run *v1alpha1.TrainingRun) { f(&run.Spec) })
	w.stored(o.run.DeepCopy())
	w.name(o)
}

// create makes the object, which begins with a tag and with tags that go with it.
func (w *walk) create(o *object) {
	w.t.Helper()
	if o.run != nil {
		return
	}
	run := w.h.NewRun(runID, walkTags[0])
	run.Namespace, run.Name = o.namespace, o.name
	run.Spec.TagPolicy, run.Spec.DeletionPolicy = o.policy, v1alpha1.DeletionPolicyRemoveTags
	w.h.ExpectApplied(run)
	o.run, o.named, o.let, o.labelled = run, map[string]bool{}, map[string]bool{}, map[string]bool{}
	o.saidBefore = w.h.CountEvents(run, "LabelsWiped", nil)
	w.stored(run.DeepCopy())
	w.name(o)
}

func (w *walk) delete(o *object) {
	w.t.Helper()
	if o.run == nil || o.deleting {
		return
	}
	w.h.Refresh(o.run)
	o.deleting, o.left = true, w.leftBehind(o)
	// Without its finalizer the object is gone before anybody can do anything.
	o.leaves = o.run.Spec.DeletionPolicy == v1alpha1.DeletionPolicyRetain || len(o.run.Finalizers) == 0
	w.h.ExpectDeleted(o.run)
	if !o.run.DeletionTimestamp.IsZero() {
		w.stored(o.run.DeepCopy())
	}
	w.seeGone(o)
}

// onTracker does what is done to the run by others.
func (w *walk) onTracker(s step) bool {
	w.t.Helper()
	_, there := w.tracked()
	path := w.h.Tracker.Path(runID)
	var err error
	switch s.what {
	case "page+", "page-", "script-start", "script+", "script-end", "run-delete", "run-make":
		if there == (s.what == "run-make") {
			return true
		}
	}
	switch s.what {
	case "page+":
		err = w.h.Tracker.EditTags(path, []string{s.tag}, nil)
	case "page-":
		err = w.h.Tracker.EditTags(path, nil, []string{s.tag})
	case "script-start":
		w.script = append([]string{}, w.before...)
		err = w.h.Tracker.StartRun(path, []string{"host-0", "host-1"}[s.n%2])
	case "script+":
		if w.script != nil {
			w.script = with(w.script, s.tag)
			err = w.h.Tracker.SetTags(path, w.script...)
		}
	case "script-end":
		w.script = nil
		err = w.h.Tracker.FinishRun(path, 0)
	case "run-delete":
		w.script = nil
		err = w.h.Tracker.DeleteRun(path)
	case "run-make":
		w.makeRun(walkTags[:s.n]...)
	default:
		return false
	}
	if err != nil {
		w.fail("%s: %v", s, err)
	}
	w.seeForeign()
	return true
}

// makeRun makes the run again, and forgets what was true of the one that had the id before.
func (w *walk) makeRun(onRun ...string) {
	w.t.Helper()
	w.h.AddRun(runID, onRun...)
	w.mu.Lock()
	w.put, w.going, w.leaving = map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, o := range w.objects {
		o.named, o.let = map[string]bool{}, map[string]bool{}
		if n := len(o.versions); n > 0 { // that is meant for any run of the id
			o.named = pending(o.versions[n-1])
		}
	}
	w.mu.Unlock()
	for _, o := range w.objects {
		if o.run != nil {
			w.name(o)
		}
	}
}

// operator does what the operator does by itself.
func (w *walk) operator(s step) bool {
	w.t.Helper()
	switch s.what {
	case "pass":
		if s.n >= 2 {
			w.endLook(2*(s.n-2) + s.who)
		}
		w.h.Reconcile()
		w.seeOurs(false)
	case "old":
		w.passOnOld(w.object(s.who), s.n)
	case "send":
		w.h.Send()
		w.seeOurs(true)
	case "look":
		w.h.Step(interval + time.Second)
		w.seeOurs(true)
	case "later":
		w.h.Settle()
		w.seeOurs(true)
		w.h.Step(11 * time.Minute)
		w.seeOurs(true)
	case "restart":
		w.h.Restart()
		w.looks = nil
		w.seeOurs(true)
	default:
		return false
	}
	return true
}

// passOnOld makes a pass over an object as it was some versions ago; then the cache gets the present one.
func (w *walk) passOnOld(o *object, back int) {
	w.t.Helper()
	last := len(o.versions) - 1
	if o.run == nil || last < 1 {
		return
	}
	w.h.API.ServeOld(o.versions[max(0, last-1-back)])
	w.touch(o)
	w.h.Reconcile()
	w.seeOurs(false)
	w.touch(o)
}

// touch queues an object, if it is there.
func (w *walk) touch(o *object) {
	w.t.Helper()
	if o.run == nil {
		return
	}
	current := &v1alpha1.TrainingRun{}
	err := w.h.Admin.Get(w.ctx, client.ObjectKeyFromObject(o.run), current)
	switch {
	case err == nil:
		w.h.Touch(current)
	case !apierrors.IsNotFound(err):
		w.fail("%v", err)
	}
}

// beginLook looks at the run, as a list does that takes its time to come through.
func (w *walk) beginLook(who int) {
	project, ok := w.h.Registry.Find(client.ObjectKeyFromObject(w.projects[who%len(w.projects)]))
	if !ok || project.Backend() == nil {
		return
	}
	began := w.h.Clock.Now()
	page, err := project.Backend().List(w.ctx, backend.Query{IDs: []string{runID}}, "")
	if err != nil {
		return // a fault hit it
	}
	w.looks = append(w.looks[max(0, len(w.looks)-mostLooks+1):], look{project: project, began: began, found: page.Runs})
}

// endLook takes in a look that was begun before so many others.
func (w *walk) endLook(back int) {
	w.t.Helper()
	if len(w.looks) <= back {
		return
	}
	late := w.looks[len(w.looks)-1-back]
	before := late.project.Snapshot.Get(runID)
	changed := late.project.Snapshot.ReadByID(late.began, []string{runID}, late.found)
	if now := late.project.Snapshot.Get(runID); now.LookedAt.Before(before.LookedAt) {
		w.fail("a look that began at %s took the place of one that began at %s", late.began, before.LookedAt)
	}
	if len(changed.IDs) == 0 {
		return
	}
	for _, o := range w.objects {
		if o.namespace == late.project.Key.Namespace {
			w.touch(o)
		}
	}
}

// broken lets something fail.
func (w *walk) broken(s step) bool {
	switch s.what {
	case "api":
		w.breakAPI(s.n)
	case "tracker":
		faults := []wandbtest.Fault{
			{Operations: []string{controllerstest.OpWrite}, Count: 1, Drop: "after"},
			{Operations: []string{controllerstest.OpWrite}, Count: 1, Drop: "before"},
			{Operations: []string{controllerstest.OpWrite}, Count: 1, Status: 500, Apply: true},
			{Operations: []string{controllerstest.OpList}, Count: 1, Status: 503},
		}
		w.h.Tracker.SetFaults(wandbtest.Faults{Faults: faults[s.n : s.n+1]})
	default:
		return false
	}
	return true
}

// breakAPI lets the next write of a TrainingRun fail.
func (w *walk) breakAPI(n int) {
	if n >= 2 {
		w.api.lose = true
		return
	}
	failed := false
	w.h.API.FailWrites(func(write controllerstest.Write) error {
		switch {
		case failed || write.Kind != "TrainingRun":
			return nil
		case n == 0:
			failed = true
			return conflict(write.Key.Name)
		}
		failed = true
		return apierrors.NewInternalError(errBroken)
	})
}

func with(list []string, tag string) []string {
	if slices.Contains(list, tag) {
		return list
	}
	return append(slices.Clone(list), tag)
}

func without(list []string, tag string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(t string) bool { return t == tag })
}

// ready says how it is with an object.
func ready(run *v1alpha1.TrainingRun) string {
	c := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil {
		return "no condition"
	}
	return string(c.Status) + " for " + c.Reason
}
