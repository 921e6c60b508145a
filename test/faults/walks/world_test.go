package walks_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/mirror"
)

const (
	// The intervals of the projects; their looks are jittered.
	interval     = 15 * time.Second
	fullInterval = time.Minute

	unique  = "u" // the tag that at most one run carries
	foreign = "f" // one that nobody here ever names
)

var (
	// declarable are the tags that people declare, and others put on and take off too.
	declarable = []string{"a", "b"}
	// seconds are the policies that an object of another namespace begins with, if there is one.
	seconds = []v1alpha1.TagPolicy{"", "", v1alpha1.TagPolicyMerge, v1alpha1.TagPolicyAdd, v1alpha1.TagPolicyObserve}
	runIDs  = []string{"r0", "r1"}
)

// tester is *testing.T or *rapid.T.
type tester interface {
	controllerstest.TB
	Logf(format string, args ...any)
}

// object is one TrainingRun of the walk, which may be deleted and made again.
type object struct {
	namespace, name, id string
	policy              v1alpha1.TagPolicy    // that it begins with
	run                 *v1alpha1.TrainingRun // as people wrote it last; nil while there is none
	deleting            bool
	labelled            map[string]bool // tags that labels of people declare
	wiped               bool            // its labels were wiped: what people declared by them is what status knew
}

// world is one operator, its cluster, its tracker and everybody who acts on them.
type world struct {
	t   tester
	ctx context.Context //nolint:containedctx // the life of the walk
	h   *controllerstest.Harness

	objects  []*object
	projects []*v1alpha1.TrackingProject
	changes  []*v1alpha1.TagChange
	rules    [2]*v1alpha1.TagRule
	wide     *v1alpha1.ClusterTagRule
	pods     map[string]*corev1.Pod
	unseen   []func() // what happened to pods and nodes and was not told yet
	holding  bool

	script map[string][]string // by run, what the SDK has in memory; absent while no script runs
	before map[string][]string // the tags of each run after the last step

	steps, stalePasses, restarts int

	mu       sync.Mutex // what follows is also used by requests to the tracker
	problems []string
	named    map[string]map[string]bool // by run: what people here named since it is there
	put      map[string]map[string]bool // by run: on it by us for a TrainingRun, and by nobody else since
	// loose says that nobody declared the unique tag at some moment that the cache may show yet, or that somebody else took
	// it off a run.
	loose bool
	// claimed says that somebody declared it once.
	claimed bool
}

func newWorld(ctx context.Context, suite *controllerstest.Suite, t tester, second v1alpha1.TagPolicy) *world {
	w := &world{
		t: t, ctx: ctx, pods: map[string]*corev1.Pod{}, script: map[string][]string{}, before: map[string][]string{},
		named: map[string]map[string]bool{}, put: map[string]map[string]bool{}, loose: true,
	}
	w.h = suite.New(ctx, t, controllerstest.Options{Hold: true, OnWrite: w.onWrite, MayLag: true})
	for _, id := range runIDs {
		w.makeRun(id, foreign)
		w.objects = append(w.objects, &object{namespace: w.h.Namespace, name: "o-" + id, id: id, policy: v1alpha1.TagPolicyMerge})
	}
	namespaces := []string{w.h.Namespace}
	if second != "" {
		ns := w.h.NewNamespace()
		namespaces = append(namespaces, ns)
		w.objects = append(w.objects, &object{namespace: ns, name: "o-2", id: runIDs[0], policy: second})
	}
	for _, ns := range namespaces {
		project := w.h.NewProject(func(p *v1alpha1.TrackingProject) {
			p.Namespace = ns
			p.Spec.Interval.Duration, p.Spec.FullInterval.Duration = interval, fullInterval
			p.Spec.Import.Policy = v1alpha1.ImportNone
			p.Spec.UniqueTags = []string{unique}
		})
		w.h.ExpectApplied(project)
		w.projects = append(w.projects, project)
	}
	for _, o := range w.objects {
		w.create(o)
	}
	return w
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.h.Fail(format, args...)
}

func (w *world) object(who int) *object { return w.objects[who%len(w.objects)] }

func runOf(who int) string { return runIDs[who%len(runIDs)] }

func (w *world) tracked(id string) (wandbtest.Run, bool) {
	return w.h.Tracker.Run(w.h.Tracker.Path(id))
}

// uid is how the operator knows a run as it is now.
func uid(r wandbtest.Run) string { return r.StorageID + "/" + r.CreatedAt.Format(time.RFC3339Nano) }

// do makes one step.
func (w *world) do(s step) {
	w.t.Helper()
	w.t.Logf("%s", s)
	w.steps++
	w.h.Clock.Step(time.Microsecond) // no two things happen in the same moment
	for _, act := range []func(step) bool{w.person, w.lists, w.onTracker, w.onRules, w.onCluster, w.bulk, w.operator, w.broken} {
		if act(s) {
			w.show()
			return
		}
	}
	w.fail("unknown step %s", s)
}

// show logs what there is after a step, for a walk that fails.
func (w *world) show() {
	for _, id := range runIDs {
		w.t.Logf("    run %s: %q, put by us %v", id, w.before[id], keys(w.put[id]))
	}
	all, seen := w.h.Held.Versions("TrainingRun")
	for _, o := range w.objects {
		for i := len(all) - 1; o.run != nil && i >= 0; i-- {
			v, ok := all[i].(*v1alpha1.TrainingRun)
			if !ok || v.UID != o.run.UID {
				continue
			}
			w.t.Logf("    %s %s: %q -%q %v %s; applied %v, removed %v, cache is %d behind", o.name, v.ResourceVersion, v.Spec.Tags, v.Spec.ExcludeTags,
				tagLabels(v), v.Spec.TagPolicy, v.Status.AppliedTags, v.Status.RemovedTags, len(all)-seen)
			break
		}
	}
}

// check fails if anything was wrong since the last step.
func (w *world) check() {
	w.t.Helper()
	w.mu.Lock()
	problems := w.problems
	w.mu.Unlock()
	if len(problems) > 0 {
		w.fail("%s", problems[0])
	}
}

// seeForeign takes note of what somebody else did to the runs.
func (w *world) seeForeign() {
	for _, id := range runIDs {
		run, ok := w.tracked(id)
		w.before[id] = nil
		if ok {
			w.before[id] = slices.Clone(run.Tags)
		}
		for tag := range w.put[id] {
			if !slices.Contains(w.before[id], tag) {
				delete(w.put[id], tag)
			}
		}
	}
}

// seeOurs takes note of what the operator did. A tag that no TrainingRun's record had is one that a TagChange put on.
func (w *world) seeOurs() {
	w.t.Helper()
	w.check()
	for _, id := range runIDs {
		run, ok := w.tracked(id)
		for _, tag := range run.Tags {
			if ok && !slices.Contains(w.before[id], tag) && w.everApplied(uid(run), tag) {
				w.put[id][tag] = true
			}
		}
	}
	w.seeForeign()
	for _, o := range w.objects {
		w.seeGone(o)
	}
	if w.inStep() {
		w.mu.Lock()
		w.loose = w.declarers() == 0
		w.mu.Unlock()
	}
}

// inStep says that the cache has all there is and nothing is under way.
func (w *world) inStep() bool {
	for _, kind := range controllerstest.HeldKinds() {
		if w.h.Held.Behind(kind) > 0 {
			return false
		}
	}
	return w.h.Idle()
}

// declarers counts the objects that declare the unique tag.
func (w *world) declarers() (n int) {
	for _, o := range w.objects {
		if o.run != nil && !o.deleting && slices.Contains(o.run.Spec.Tags, unique) {
			n++
		}
	}
	return n
}

// seeGone takes note that a deleted object is gone.
func (w *world) seeGone(o *object) {
	w.t.Helper()
	if !o.deleting {
		return
	}
	err := w.h.Admin.Get(w.ctx, client.ObjectKeyFromObject(o.run), &v1alpha1.TrainingRun{})
	switch {
	case err == nil:
		return
	case !apierrors.IsNotFound(err):
		w.fail("%v", err)
	}
	*o = object{namespace: o.namespace, name: o.name, id: o.id, policy: o.policy}
}

// name takes note of tags that somebody here named for a run.
func (w *world) name(id string, tags ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tag := range tags {
		w.named[id][tag] = true
	}
}

// excuse takes note that tags stay on a run though we put them there.
func (w *world) excuse(id string, tags ...string) {
	for _, tag := range tags {
		delete(w.put[id], tag)
	}
}

func keys(set map[string]bool) (all []string) {
	for key := range set {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// tagLabels are the labels that stand for tags.
func tagLabels(run *v1alpha1.TrainingRun) map[string]string {
	all := map[string]string{}
	for key, value := range run.Labels {
		if tag, ok := strings.CutPrefix(key, mirror.TagPrefix); ok {
			all[tag] = value
		}
	}
	return all
}

// personal are the tags that labels of people declare.
func personal(run *v1alpha1.TrainingRun) (tags []string) {
	for tag, value := range tagLabels(run) {
		if value == "" {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return tags
}

// declared is what an object wants on its run.
func declared(run *v1alpha1.TrainingRun) []string {
	all := slices.Concat(run.Spec.Tags, personal(run), mirror.ReadLists(run.Annotations).Declared())
	return slices.DeleteFunc(all, func(tag string) bool { return slices.Contains(run.Spec.ExcludeTags, tag) })
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

func (w *world) problem(format string, args ...any) {
	w.problems = append(w.problems, fmt.Sprintf(format, args...))
}
