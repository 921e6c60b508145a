package trainingrun

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/mirror"
)

// FieldManager is the name that all our writes are made under.
const FieldManager = "runtag"

// soon is when a pass follows that takes off what status has forgotten.
const soon = time.Millisecond

// Identity gives the labels that say which run an object stands for, as far as they are valid as values of labels.
func Identity(project string, run backend.Run) map[string]string {
	labels := map[string]string{mirror.Project: ""} // a name may be too long for a value; that it is there tells an edit from a wipe
	for key, value := range map[string]string{
		mirror.Project: project, mirror.State: string(run.State), mirror.User: run.User, mirror.Group: run.Group,
	} {
		if value != "" && mirror.ValidValue(value) {
			labels[key] = value
		}
	}
	return labels
}

// identityKeys are the labels that Identity gives.
var identityKeys = []string{mirror.Project, mirror.State, mirror.User, mirror.Group}

// identity are the labels that say which run the object stands for.
func (s *scope) identity() map[string]string {
	var run backend.Run
	if r := s.run.Status.Run; r != nil {
		run = backend.Run{State: backend.State(r.State), User: r.User, Group: r.Group}
	}
	return Identity(s.run.Spec.ProjectRef.Name, run)
}

// changed gives the labels of want that differ, and nil for those that are there and not wanted.
func changed(want, now map[string]string) map[string]any {
	patch := map[string]any{}
	for key, value := range want {
		if current, there := now[key]; !there || current != value {
			patch[key] = value
		}
	}
	for key := range now {
		if _, wanted := want[key]; !wanted {
			patch[key] = nil
		}
	}
	return patch
}

// patchMetadata writes the keys that change, with resourceVersion: a person's edit that we have not seen is a conflict,
// never overwritten.
func (c *Controller) patchMetadata(ctx context.Context, s *scope, labels, annotations map[string]any) error {
	if len(labels)+len(annotations) == 0 {
		return nil
	}
	metadata := map[string]any{"resourceVersion": s.run.ResourceVersion, "uid": s.run.UID}
	if len(labels) > 0 {
		metadata["labels"] = labels
	}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("write labels of TrainingRun %s: %w", s.key(), err)
	}
	status := s.run.Status.DeepCopy()
	if err := c.Client.Patch(ctx, s.run, client.RawPatch(types.MergePatchType, body)); err != nil {
		return fmt.Errorf("write labels of TrainingRun %s: %w", s.key(), err)
	}
	s.stored = s.run.DeepCopy()
	s.run.Status = *status
	return nil
}

// declarations are the labels and annotations that people declare with, in a stable form.
func declarations(meta *metav1.ObjectMeta) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(meta.Labels)) {
		if mirror.IsMirror(key) {
			fmt.Fprintf(&b, "%s=%s\x00", key, meta.Labels[key])
		}
	}
	for _, key := range []string{
		v1alpha1.AnnotationLookAt, mirror.AnnotationTags, mirror.AnnotationAdd, mirror.AnnotationRemove, mirror.AnnotationIgnore,
	} {
		fmt.Fprintf(&b, "%s=%s\x00", key, meta.Annotations[key])
	}
	return b.String()
}

// StripManagedFields keeps of an object's managed fields only what says which labels we wrote, and has it share memory with
// others, to save memory. It is for objects that nobody changes any more, as those of a cache.
func StripManagedFields(in any) (any, error) {
	run, ok := in.(*v1alpha1.TrainingRun)
	if !ok {
		return in, nil
	}
	run.ManagedFields = slices.DeleteFunc(run.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager != FieldManager || e.Subresource != ""
	})
	compact(run)
	return run, nil
}
