package calls_test

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/mirror"
)

// scripts are lives that together do whatever people and clusters do to TrainingRuns. They are apart so that each is short.
var scripts = map[string][]step{
	"labels": {
		{"create", func(l *life) {
			l.onTracker("a", "finished", "shared")
			l.onTracker("b", "running")
			l.begin()
			l.create("a", declare("base", "shared"))
			l.create("b")
		}},
		{"label", func(l *life) { l.edit("b", label("good")) }},
		{"undeclare", func(l *life) {
			l.edit("a", declare("other"))
			l.edit("b", func(r *v1alpha1.TrainingRun) { delete(r.Labels, mirror.TagPrefix+"good") })
		}},
		{"take off", func(l *life) { // what the spec never named, by its label
			l.EditTags("a", []string{"note"}, nil)
			l.edit("a", label("mine"))
		}},
		{"wipe", func(l *life) {
			l.edit("a", func(r *v1alpha1.TrainingRun) { r.Labels, r.Annotations = nil, nil })
		}},
		{"request", func(l *life) {
			l.edit("a", func(r *v1alpha1.TrainingRun) { delete(r.Labels, mirror.TagPrefix+"note") })
		}},
	},
	"rules": {
		{"create", func(l *life) {
			l.onTracker("a", "running")
			l.begin()
			l.node = l.NewNode("node-"+l.Namespace, map[string]string{"spot": "true"})
			l.SeeNodes(l.node)
			l.SeePods(l.NewPod("pod", l.node.Name, corev1.EnvVar{Name: "WANDB_RUN_ID", Value: "a"}))
			l.rule = l.NewRule("going", `nodes.exists(n, n.hasTaint("going"))`, "going")
			l.rule.Spec.Retention = v1alpha1.RetentionWhileTrue
			l.ExpectApplied(l.rule, l.NewRule("spot", `nodes.exists(n, n.label("spot") == "true")`, "spot"))
			l.create("a", declare("base"))
		}},
		{"true", func(l *life) { l.taint(corev1.Taint{Key: "going", Effect: corev1.TaintEffectNoSchedule}) }},
		{"false", func(l *life) { l.taint() }},
		{"retract", func(l *life) {
			l.taint(corev1.Taint{Key: "going", Effect: corev1.TaintEffectNoSchedule})
			l.Refresh(l.rule)
			l.rule.Spec.Mode = v1alpha1.RuleModeRetract
			l.ExpectApplied(l.rule)
		}},
	},
	"unique": {
		{"create", func(l *life) {
			for _, id := range []string{"a", "b", "c"} {
				l.onTracker(id, "finished")
			}
			l.begin(func(p *v1alpha1.TrackingProject) { p.Spec.UniqueTags = []string{"champion"} })
			l.create("a", declare("champion", "base"))
			l.create("b")
		}},
		{"move", func(l *life) {
			l.edit("b", declare("champion"))
			l.edit("a", declare("base"))
		}},
		{"page", func(l *life) { l.EditTags("c", []string{"champion"}, nil) }},
		{"undeclare", func(l *life) { l.edit("b", declare()) }},
		{"a minute later", func(*life) {}},
	},
	"policy": {
		{"create", func(l *life) {
			l.onTracker("a", "finished", "bad", "worse")
			l.begin(func(p *v1alpha1.TrackingProject) { p.Spec.MaxTagPolicy = v1alpha1.TagPolicyObserve })
			l.create("a", declare("base", "late"))
		}},
		{"raise", func(l *life) {
			l.ExpectProjectEdited(l.project, func(p *v1alpha1.TrackingProject) { p.Spec.MaxTagPolicy = v1alpha1.TagPolicyMerge })
		}},
		{"exclude", func(l *life) {
			l.edit("a", func(r *v1alpha1.TrainingRun) { r.Spec.ExcludeTags = []string{"bad", "late"} })
		}},
		{"add only", func(l *life) {
			l.edit("a", func(r *v1alpha1.TrainingRun) {
				r.Spec.TagPolicy, r.Spec.Tags, r.Spec.ExcludeTags = v1alpha1.TagPolicyAdd, []string{"more"}, []string{"worse"}
			})
		}},
		{"merge", func(l *life) {
			l.edit("a", func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = v1alpha1.TagPolicyMerge })
		}},
	},
	"deletion": {
		{"create", func(l *life) {
			l.onTracker("a", "finished", "shared")
			l.onTracker("b", "finished")
			l.begin()
			l.create("a", declare("base", "shared"), removeTags)
			l.create("b", declare("base"))
		}},
		{"finalizer", func(l *life) { l.edit("b", removeTags) }},
		{"delete", func(l *life) {
			l.delete("a")
			l.delete("b")
		}},
		{"again", func(l *life) { l.create("a", declare("new"), removeTags) }},
		{"keep", func(l *life) {
			l.edit("a", func(r *v1alpha1.TrainingRun) { r.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRetain })
		}},
	},
	"bulk": {
		{"create", func(l *life) {
			for _, id := range []string{"a", "b", "c"} {
				l.onTracker(id, "finished", "debug")
			}
			l.begin()
			l.create("a", declare("base"))
		}},
		{"rename", func(l *life) {
			l.ExpectApplied(l.change("fix", func(s *v1alpha1.TagChangeSpec) {
				s.Select = &v1alpha1.RunSelection{Tags: []string{"debug"}}
				s.Rename = []v1alpha1.TagRename{{From: "debug", To: "wip"}}
			}))
		}},
		{"undo", func(l *life) {
			l.ExpectApplied(l.change("undo", func(s *v1alpha1.TagChangeSpec) { s.UndoOf = &v1alpha1.TagChangeReference{Name: "fix"} }))
		}},
	},
}

func label(tag string) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) {
		if r.Labels == nil {
			r.Labels = map[string]string{}
		}
		r.Labels[mirror.TagPrefix+tag] = ""
	}
}

func removeTags(r *v1alpha1.TrainingRun) { r.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags }

// taint has the node of the life carry these taints.
func (l *life) taint(taints ...corev1.Taint) {
	l.node.Spec.Taints = taints
	l.SeeNodes(l.node)
}

// change is a TagChange that is applied at once.
func (l *life) change(name string, edit func(*v1alpha1.TagChangeSpec)) *v1alpha1.TagChange {
	c := &v1alpha1.TagChange{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: name},
		Spec:       v1alpha1.TagChangeSpec{ProjectRef: v1alpha1.ProjectReference{Name: controllerstest.ProjectName}, Apply: true},
	}
	edit(&c.Spec)
	return c
}
