// Package manifest makes of TrainingRuns what one keeps in Git, and reads what is kept there.
package manifest

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/plugin/plan"
)

// MaxTags is how many tags spec.tags takes, as in the CRD.
const MaxTags = 128

// identity are the labels that the operator writes on every TrainingRun.
var identity = []string{mirror.Project, mirror.State, mirror.User, mirror.Group, mirror.Imported}

// hands are the annotations by which hands declare and ask, and the copy of a manifest that kubectl keeps.
var hands = []string{
	mirror.AnnotationTags, mirror.AnnotationAdd, mirror.AnnotationRemove, mirror.AnnotationIgnore, v1alpha1.AnnotationLookAt,
	corev1.LastAppliedConfigAnnotation,
}

// Clean gives what a TrainingRun says without what the API server and the operator add: no status, no managed fields, no
// labels that mirror tags or identify the run, and no defaults. What people declared by label or annotation is in
// spec.tags. It fails where that is more than spec.tags takes, or where an annotation can't be read.
func Clean(r plan.Run) (map[string]any, error) {
	run := r.Object
	tags, err := declared(r)
	if err != nil {
		return nil, err
	}
	metadata := map[string]any{"name": run.Name, "namespace": run.Namespace}
	put := func(key string, kept map[string]string) {
		if len(kept) > 0 {
			metadata[key] = kept
		}
	}
	put("labels", keep(run.Labels, func(key string) bool { return !mirror.IsMirror(key) && !slices.Contains(identity, key) }))
	put("annotations", keep(run.Annotations, func(key string) bool { return !slices.Contains(hands, key) }))
	spec := map[string]any{"projectRef": map[string]any{"name": run.Spec.ProjectRef.Name}}
	for key, value := range map[string]string{
		"runID": run.Spec.RunID, "runName": run.Spec.RunName,
		"tagPolicy":      unless(string(run.Spec.TagPolicy), string(v1alpha1.TagPolicyMerge)),
		"deletionPolicy": unless(string(run.Spec.DeletionPolicy), string(v1alpha1.DeletionPolicyRetain)),
	} {
		if value != "" {
			spec[key] = value
		}
	}
	if len(tags) > 0 {
		spec["tags"] = tags
	}
	if len(run.Spec.ExcludeTags) > 0 {
		spec["excludeTags"] = run.Spec.ExcludeTags
	}
	if run.Spec.PodSelector != nil {
		spec["podSelector"] = run.Spec.PodSelector
	}
	return map[string]any{"apiVersion": v1alpha1.GroupVersion.String(), "kind": "TrainingRun", "metadata": metadata, "spec": spec}, nil
}

// declared are spec.tags as they are, and after them, in order, what else people declare.
func declared(r plan.Run) ([]string, error) {
	lists := mirror.ReadLists(r.Object.Annotations)
	for _, problem := range lists.Unread {
		return nil, fmt.Errorf("TrainingRun %s/%s: %s", r.Object.Namespace, r.Object.Name, problem)
	}
	tags, known := slices.Clone(r.Object.Spec.Tags), map[string]bool{}
	for _, tag := range tags {
		known[r.Name(tag)] = true
	}
	more := slices.Concat(r.Labels().Declared, lists.Declared())
	slices.SortFunc(more, strings.Compare)
	for _, tag := range more {
		if name := r.Name(tag); !known[name] {
			known[name] = true
			tags = append(tags, tag)
		}
	}
	if len(tags) > MaxTags {
		return nil, fmt.Errorf("TrainingRun %s/%s: %d tags are declared, and spec.tags takes %d: take some off", r.Object.Namespace, r.Object.Name, len(tags), MaxTags)
	}
	return tags, nil
}

func keep(all map[string]string, wanted func(string) bool) map[string]string {
	kept := map[string]string{}
	for key, value := range all {
		if wanted(key) {
			kept[key] = value
		}
	}
	return kept
}

// unless gives a value that is not the default.
func unless(value, byDefault string) string {
	if value == byDefault {
		return ""
	}
	return value
}
