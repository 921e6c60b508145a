package trainingrun_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/tracking"
)

const (
	runID = "r1"
	// The intervals of the project; its looks are jittered.
	interval     = 15 * time.Second
	fullInterval = time.Minute
)

// object is one TrainingRun of the walk, which may be deleted and made again.
type object struct {
	namespace, name string
	policy          v1alpha1.TagPolicy    // that it begins with
	run             *v1alpha1.TrainingRun // as people wrote it last; nil while there is none
	deleting        bool
	leaves          bool                    // its tags stay when it goes
	left            int                     // events TagsLeft at its deletion
	versions        []*v1alpha1.TrainingRun // that were stored
	named           map[string]bool         // tags that it ever named, since run and object are there
	let             map[string]bool         // tags that a person let go of while nothing was removed, and did not name since
	labelled        map[string]bool         // tags that labels of people declare
	wiped           bool                    // its labels were wiped
	saidBefore      int                     // events LabelsWiped of those that had the name before
}

// look is one that has been answered and not been taken in.
type look struct {
	project *tracking.Project
	began   time.Time
	found   []backend.Run
}

// tester is *testing.T or *rapid.T.
type tester interface {
	controllerstest.TB
	Logf(format string, args ...any)
}

// walk is one world: one run, one or two objects that declare tags on it, and everybody else.
type walk struct {
	t   tester
	ctx context.Context //nolint:containedctx // the life of the walk
	h   *controllerstest.Harness
	api *walkClient

	objects  []*object
	projects []*v1alpha1.TrackingProject
	script   []string // what the SDK has in memory; nil while no script runs
	looks    []look
	before   []string // the run's tags after the last step; nil while there is no run

	mu       sync.Mutex // what follows is also used by requests to the tracker
	problems []string
	// may says what stored records and specs allow to be put on, and to be taken off, by the incarnation of the run.
	mayAdd, mayRemove map[string]map[string]bool
	// put are tags on the run by us, and by nobody else since.
	put map[string]bool
	// going names what objects named that have gone while a change of theirs may be on its way; leaving is what of it
	// nobody takes off.
	going, leaving map[string]bool
}

func newWalk(ctx context.Context, suite *controllerstest.Suite, t tester, second v1alpha1.TagPolicy) *walk {
	w := &walk{
		t: t, ctx: ctx, before: []string{}, mayAdd: map[string]map[string]bool{}, mayRemove: map[string]map[string]bool{},
		put: map[string]bool{}, going: map[string]bool{}, leaving: map[string]bool{},
	}
	w.h = suite.New(ctx, t, controllerstest.Options{OnWrite: w.onWrite, MayLag: true})
	w.api = &walkClient{Client: w.h.API.Client, stored: w.operatorStored}
	w.h.API.Client = w.api
	w.h.AddRun(runID)
	objects := []*object{{namespace: w.h.Namespace, policy: v1alpha1.TagPolicyMerge}}
	if second != "" {
		objects = append(objects, &object{namespace: w.h.NewNamespace(), policy: second})
	}
	for i, o := range objects {
		project := w.h.NewProject(func(p *v1alpha1.TrackingProject) {
			p.Namespace = o.namespace
			p.Spec.Interval.Duration, p.Spec.FullInterval.Duration = interval, fullInterval
		})
		w.h.ExpectApplied(project)
		w.projects = append(w.projects, project)
		o.name = fmt.Sprintf("run-%d", i)
		w.objects = append(w.objects, o)
		w.create(o)
	}
	return w
}

func (w *walk) fail(format string, args ...any) {
	w.t.Helper()
	w.h.Fail(format, args...)
}

// object gives the one that a step is about.
func (w *walk) object(who int) *object { return w.objects[who%len(w.objects)] }

// uid is how the operator knows the run as it is now.
func uid(r wandbtest.Run) string { return r.StorageID + "/" + r.CreatedAt.Format(time.RFC3339Nano) }

// operatorStored takes note of a version that the operator made of another one.
func (w *walk) operatorStored(run *v1alpha1.TrainingRun, from string) {
	w.mu.Lock()
	for _, o := range w.objects {
		if o.run == nil || o.run.UID != run.UID {
			continue
		}
		if last := o.versions[len(o.versions)-1].ResourceVersion; last != from {
			w.problems = append(w.problems, fmt.Sprintf("%s was written as it is made of version %s, and was in version %s", o.name, from, last))
		}
	}
	w.mu.Unlock()
	w.stored(run)
}

// stored takes note of a version of an object that the API server has.
func (w *walk) stored(run *v1alpha1.TrainingRun) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.objects {
		if o.run != nil && o.run.UID == run.UID {
			if n := len(o.versions); n > 0 {
				w.forgive(o, o.versions[n-1], run)
			}
			o.versions = append(o.versions, run)
		}
	}
	if run.Status.Run == nil {
		return
	}
	for _, a := range run.Status.AppliedTags {
		note(w.mayAdd, run.Status.Run.UID, a.Name)
	}
	for _, r := range run.Status.RemovedTags {
		note(w.mayRemove, run.Status.Run.UID, r.Name)
	}
}

func note(sets map[string]map[string]bool, key, tag string) {
	if sets[key] == nil {
		sets[key] = map[string]bool{}
	}
	sets[key][tag] = true
}

// onWrite judges a write to the tracker before it is carried out.
func (w *walk) onWrite(run wandbtest.Run, list []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tag := range list {
		if !slices.Contains(run.Tags, tag) && !w.mayAdd[uid(run)][tag] {
			w.problems = append(w.problems, fmt.Sprintf("tag %q is put on the run before any record of ours has it", tag))
		}
	}
	for _, tag := range run.Tags {
		switch {
		case slices.Contains(list, tag):
		case !w.isNamed(tag):
			w.problems = append(w.problems, fmt.Sprintf("foreign tag %q is taken off", tag))
		case !w.mayRemove[uid(run)][tag]:
			w.problems = append(w.problems, fmt.Sprintf("tag %q is taken off before any record of ours says so", tag))
		}
	}
}

func (w *walk) isNamed(tag string) bool {
	return w.going[tag] || slices.ContainsFunc(w.objects, func(o *object) bool { return o.named[tag] && !o.let[tag] })
}

// name takes note of what an object names.
func (w *walk) name(o *object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tag := range slices.Concat(o.run.Spec.Tags, o.run.Spec.ExcludeTags, personal(o.run), slices.Collect(maps.Keys(byLabel(o.versions[len(o.versions)-1])))) {
		o.named[tag] = true
	}
	for _, tag := range slices.Concat(o.run.Spec.Tags, o.run.Spec.ExcludeTags, personal(o.run)) {
		delete(o.let, tag)
	}
	for _, tag := range o.run.Spec.ExcludeTags {
		if run, ok := w.tracked(); ok {
			note(w.mayRemove, uid(run), tag)
		}
	}
}

func (w *walk) tracked() (wandbtest.Run, bool) { return w.h.Tracker.Run(w.h.Tracker.Path(runID)) }

// seeForeign takes note of what somebody else did to the run.
func (w *walk) seeForeign() {
	run, ok := w.tracked()
	w.before = nil
	if ok {
		w.before = append([]string{}, run.Tags...)
	}
	for tag := range w.put {
		if !slices.Contains(w.before, tag) {
			delete(w.put, tag)
		}
	}
}

// seeOurs takes note of what the operator did; drained says that nothing of it is on its way any more.
func (w *walk) seeOurs(drained bool) {
	w.t.Helper()
	w.mu.Lock()
	problems := w.problems
	w.mu.Unlock()
	if len(problems) > 0 {
		w.fail("%s", problems[0])
	}
	if run, ok := w.tracked(); ok {
		for _, tag := range run.Tags {
			if !slices.Contains(w.before, tag) && !w.leaving[tag] {
				w.put[tag] = true
			}
		}
	}
	w.seeForeign()
	for _, o := range w.objects {
		w.seeGone(o)
	}
	if drained {
		w.mu.Lock()
		w.going, w.leaving = map[string]bool{}, map[string]bool{}
		w.mu.Unlock()
	}
}

// seeGone takes note that a deleted object is gone.
func (w *walk) seeGone(o *object) {
	w.t.Helper()
	if !o.deleting {
		return
	}
	current := &v1alpha1.TrainingRun{}
	err := w.h.Admin.Get(w.ctx, client.ObjectKeyFromObject(o.run), current)
	if err == nil {
		return
	}
	if !apierrors.IsNotFound(err) {
		w.fail("%v", err)
	}
	w.gone(o)
}

func (w *walk) gone(o *object) {
	leaves := o.leaves || w.leftBehind(o) > o.left
	w.mu.Lock()
	defer w.mu.Unlock()
	for tag := range o.named {
		w.going[tag] = true
		if leaves && !w.ownedBesides(o, tag) {
			w.leaving[tag] = true
			delete(w.put, tag)
		}
	}
	*o = object{namespace: o.namespace, name: o.name, policy: o.policy}
}

// ownedBesides says that the record of another object has the tag.
func (w *walk) ownedBesides(o *object, tag string) bool {
	return slices.ContainsFunc(w.objects, func(other *object) bool {
		if other == o || other.run == nil || len(other.versions) == 0 {
			return false
		}
		applied := other.versions[len(other.versions)-1].Status.AppliedTags
		return slices.ContainsFunc(applied, func(a v1alpha1.AppliedTag) bool { return a.Name == tag })
	})
}

// leftBehind counts how often it was said that tags of the object stay.
func (w *walk) leftBehind(o *object) int { return w.h.CountEvents(o.run, "TagsLeft", nil) }
