package walks_test

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/mirror"
)

// onTracker does what is done to the runs by others.
func (w *world) onTracker(s step) bool {
	w.t.Helper()
	id := runOf(s.who)
	path := w.h.Tracker.Path(id)
	if !slices.Contains([]string{"page+", "page-", "script-start", "script+", "script-end", "run-delete", "run-make", "run-again"}, s.what) {
		return false
	}
	if _, there := w.tracked(id); there == (s.what == "run-make") {
		return true
	}
	tag := s.tag
	if s.n == 3 {
		tag = []string{foreign, unique, "x", "m"}[(s.who+len(w.script))%4]
	}
	var err error
	carried := w.carriesUnique(id)
	switch s.what {
	case "page+":
		err = w.h.Tracker.EditTags(path, []string{tag}, nil)
	case "page-":
		err = w.h.Tracker.EditTags(path, nil, []string{tag})
	case "script-start":
		w.script[id] = slices.Clone(w.before[id])
		err = w.h.Tracker.StartRun(path, fmt.Sprintf("host-%d", s.n%2))
	case "script+":
		if list, runs := w.script[id]; runs {
			w.script[id] = with(list, tag)
			err = w.h.Tracker.SetTags(path, w.script[id]...)
		}
	case "script-end":
		delete(w.script, id)
		err = w.h.Tracker.FinishRun(path, 0)
	case "run-delete":
		delete(w.script, id)
		err = w.h.Tracker.DeleteRun(path)
	case "run-again": // between two looks
		delete(w.script, id)
		if err = w.h.Tracker.DeleteRun(path); err == nil {
			w.makeRun(id, append([]string{foreign}, declarable[:s.n%3]...)...)
		}
	case "run-make":
		w.makeRun(id, append([]string{foreign}, declarable[:s.n%3]...)...)
	}
	if err != nil {
		w.fail("%s: %v", s, err)
	}
	if carried && !w.carriesUnique(id) { // what the operator has seen there is gone, and it can't know yet
		w.mu.Lock()
		w.loose = true
		w.mu.Unlock()
	}
	w.seeForeign()
	return true
}

func (w *world) carriesUnique(id string) bool {
	run, there := w.tracked(id)
	return there && slices.Contains(run.Tags, unique)
}

// makeRun makes a run, and forgets what was true of the one that had the id before; what the operator may not have seen
// to be over counts on.
func (w *world) makeRun(id string, tags ...string) {
	w.t.Helper()
	w.h.AddTrackerRun(wandbtest.Run{ID: id, State: "finished", Tags: tags})
	w.mu.Lock()
	w.named[id], w.put[id] = map[string]bool{}, map[string]bool{}
	w.mu.Unlock()
	all, seen := w.h.Held.Versions("TrainingRun")
	for i, o := range all {
		v, ok := o.(*v1alpha1.TrainingRun)
		if !ok || trainingrun.RunID(v) != id || i < seen-mostBack-1 {
			continue
		}
		lists := mirror.ReadLists(v.Annotations)
		w.name(id, slices.Concat(v.Spec.Tags, v.Spec.ExcludeTags, personal(v), lists.Declared(), lists.Remove)...)
		for _, t := range v.Status.Tags { // a label that is off and was not seen to be
			if t.Mirrored {
				w.name(id, t.Name)
			}
		}
	}
	for _, o := range w.objects {
		if o.run != nil && o.id == id && !o.deleting {
			w.noted(o)
		}
	}
	for _, c := range w.changes {
		w.name(id, touched(c)...)
	}
}

// Rules that a walk has, by number.
var menu = []struct {
	when      string
	retention v1alpha1.Retention
	tag       string
}{
	{when: `nodes.exists(n, n.label("cloud.google.com/gke-spot") == "true")`, retention: v1alpha1.RetentionSticky, tag: "x"},
	{when: `pods.exists(p, p.condition("DisruptionTarget") == "True")`, retention: v1alpha1.RetentionSticky, tag: "y"},
	{when: `nodes.exists(n, n.label("cloud.google.com/gke-spot") == "true")`, retention: v1alpha1.RetentionWhileTrue, tag: "x"},
	{when: `"a" in tags`, retention: v1alpha1.RetentionWhileTrue, tag: "b"},
}

var modes = []v1alpha1.RuleMode{v1alpha1.RuleModeEnforce, v1alpha1.RuleModeReport, v1alpha1.RuleModeSuspend, v1alpha1.RuleModeRetract}

// onRules does what is done to rules.
func (w *world) onRules(s step) bool {
	w.t.Helper()
	slot, chosen := &w.rules[s.who%len(w.rules)], menu[s.n]
	switch s.what {
	case "rule":
		if *slot == nil {
			*slot = w.h.NewRule(fmt.Sprintf("rule-%d", s.who%len(w.rules)), chosen.when, chosen.tag)
		} else {
			w.h.Refresh(*slot)
		}
		(*slot).Spec.When, (*slot).Spec.Tags, (*slot).Spec.Retention = chosen.when, []string{chosen.tag}, chosen.retention
		w.h.ExpectApplied(*slot)
	case "rule-mode":
		if *slot != nil {
			w.h.Refresh(*slot)
			(*slot).Spec.Mode = modes[s.n]
			w.h.ExpectApplied(*slot)
		}
	case "rule-delete":
		if *slot != nil {
			w.h.ExpectDeleted(*slot)
			*slot = nil
		}
	case "wide-rule":
		if w.wide == nil {
			w.wide = w.h.NewClusterRule("wide-"+w.h.Namespace, chosen.when, "z")
			w.wide.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.h.Namespace}}
		} else {
			w.h.Refresh(w.wide)
		}
		w.wide.Spec.When, w.wide.Spec.Retention = chosen.when, chosen.retention
		w.h.ExpectApplied(w.wide)
	case "wide-rule-delete":
		if w.wide != nil {
			w.h.ExpectDeleted(w.wide)
			w.wide = nil
		}
	default:
		return false
	}
	return true
}

// onCluster does what happens to pods and nodes. The operator is told later while its cache is held.
func (w *world) onCluster(s step) bool {
	w.t.Helper()
	name := fmt.Sprintf("pod-%d", s.who%len(runIDs))
	pod := w.pods[name]
	switch s.what {
	case "pod":
		if pod != nil {
			return true
		}
		pod = w.h.NewPod(name, []string{"spot", "plain"}[s.n%2], corev1.EnvVar{Name: "WANDB_RUN_ID", Value: runOf(s.who)})
		pod.UID = types.UID(fmt.Sprintf("%s-%d", pod.UID, w.steps))
		w.pods[name] = pod
		w.later(func() { w.h.SeePods(pod.DeepCopy()) })
	case "pod-disrupt":
		if pod == nil {
			return true
		}
		pod.Status.Conditions = append(pod.Status.Conditions[:0:0], corev1.PodCondition{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "PreemptionByScheduler", LastTransitionTime: metav1.NewTime(w.h.Clock.Now()),
		})
		seen := pod.DeepCopy()
		w.later(func() { w.h.SeePods(seen) })
	case "pod-gone":
		if pod == nil {
			return true
		}
		delete(w.pods, name)
		w.later(func() { w.h.GonePods(pod) })
	case "node-spot":
		labels := map[string]string{"cloud.google.com/gke-spot": []string{"true", "false"}[s.n%2]}
		w.later(func() { w.h.SeeNodes(w.h.NewNode("spot", labels), w.h.NewNode("plain", nil)) })
	case "node-gone":
		w.later(func() { w.h.GoneNodes("spot") })
	default:
		return false
	}
	return true
}

// later tells the operator something about the cluster, once its cache gets it.
func (w *world) later(tell func()) {
	w.unseen = append(w.unseen, tell)
	if !w.holding {
		w.tellAll()
	}
}

func (w *world) tellAll() {
	for _, tell := range w.unseen {
		tell()
	}
	w.unseen = nil
}

// bulk does what is done by TagChanges.
func (w *world) bulk(s step) bool {
	w.t.Helper()
	switch s.what {
	case "change":
		if len(w.changes) >= 4 {
			return true
		}
		spec := v1alpha1.TagChangeSpec{Select: &v1alpha1.RunSelection{All: true}}
		switch s.n {
		case 0:
			spec.Select = &v1alpha1.RunSelection{Tags: []string{s.tag}}
			spec.Rename = []v1alpha1.TagRename{{From: s.tag, To: "m"}}
		case 1:
			spec.Add = []string{"m"}
		case 2:
			spec.Remove = []string{"m", s.tag}
		default:
			spec.Rename = []v1alpha1.TagRename{{From: "m", To: "n"}}
		}
		w.makeChange(w.newName(), spec)
	case "change-undo":
		if n := len(w.changes); n > 0 && n < 4 {
			w.makeChange(w.newName(), v1alpha1.TagChangeSpec{UndoOf: &v1alpha1.TagChangeReference{Name: w.changes[n-1].Name}})
		}
	case "change-again":
		if n := len(w.changes); n > 0 {
			w.deleteChange(w.changes[n-1])
			w.makeChange(w.changes[n-1].Name, v1alpha1.TagChangeSpec{
				Select: &v1alpha1.RunSelection{All: true}, Rename: []v1alpha1.TagRename{{From: s.tag, To: "n"}},
			})
		}
	case "change-delete":
		if n := len(w.changes); n > 0 {
			w.deleteChange(w.changes[n-1])
		}
	default:
		return false
	}
	return true
}

func (w *world) newName() string { return fmt.Sprintf("change-%d", w.steps) }

func (w *world) deleteChange(c *v1alpha1.TagChange) {
	w.t.Helper()
	there := &v1alpha1.TagChange{}
	err := w.h.Admin.Get(w.ctx, client.ObjectKeyFromObject(c), there)
	switch {
	case err == nil:
		w.h.ExpectDeleted(there)
	case !apierrors.IsNotFound(err):
		w.fail("%v", err)
	}
}

// makeChange makes a TagChange. What it puts on is not the TrainingRuns'.
func (w *world) makeChange(name string, spec v1alpha1.TagChangeSpec) {
	w.t.Helper()
	spec.ProjectRef, spec.Apply = v1alpha1.ProjectReference{Name: controllerstest.ProjectName}, true
	change := &v1alpha1.TagChange{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.h.Namespace, Name: name}, Spec: spec,
	}
	w.h.ExpectApplied(change)
	w.mu.Lock()
	w.changes = append(w.changes, change)
	w.mu.Unlock()
	for _, id := range runIDs {
		w.name(id, touched(change)...)
	}
}

// touched are the tags that a TagChange may take off.
func touched(c *v1alpha1.TagChange) (tags []string) {
	tags = append(tags, c.Spec.Remove...)
	for _, r := range c.Spec.Rename {
		tags = append(tags, r.From)
	}
	if c.Spec.UndoOf != nil {
		tags = append(tags, "m", "n")
	}
	return tags
}

// longEnough for all that waits: contested changes, retries, and the end of a deletion that can't be done.
const longEnough = 6 * time.Minute
