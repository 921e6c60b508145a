package trainingrun

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
)

// Field indexes of TrainingRuns. Each value of an index costs some 700 bytes where it is of one object alone, so there is
// one for the run, and not one more for its incarnation.
const (
	// IndexProject finds the TrainingRuns of a project, within a namespace.
	IndexProject = "spec.projectRef.name"
	// indexRun finds the TrainingRuns of all runs that have an id, on whatever tracker.
	indexRun = "run"
)

// AddIndexes adds the field indexes that the controllers look things up by.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	for field, extract := range map[string]func(*v1alpha1.TrainingRun) []string{
		IndexProject: func(r *v1alpha1.TrainingRun) []string { return []string{r.Spec.ProjectRef.Name} },
		indexRun:     runIDs,
	} {
		if err := indexer.IndexField(ctx, &v1alpha1.TrainingRun{}, field, func(o client.Object) []string {
			if run, ok := o.(*v1alpha1.TrainingRun); ok {
				return extract(run)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// runIDs are the ids of the run, and of the run that the status knows. They differ only where somebody else wrote the status.
func runIDs(run *v1alpha1.TrainingRun) []string {
	var ids []string
	if id := RunID(run); id != "" {
		ids = append(ids, id)
	}
	if known := KnownRun(run).ID; known != "" && known != RunID(run) {
		ids = append(ids, known)
	}
	return ids
}

// OfRun lists the TrainingRuns of a namespace that stand for a run of a project. They are shared with the cache.
func OfRun(ctx context.Context, reader client.Reader, namespace, project, id string) ([]*v1alpha1.TrainingRun, error) {
	return find(ctx, reader, id, func(run *v1alpha1.TrainingRun) bool {
		return RunID(run) == id && run.Spec.ProjectRef.Name == project
	}, client.InNamespace(namespace))
}

// OfIncarnation lists the TrainingRuns of all namespaces whose status knows this incarnation of a run: none where it has no
// uid. They are shared with the cache.
func OfIncarnation(ctx context.Context, reader client.Reader, id, uid string) ([]*v1alpha1.TrainingRun, error) {
	if uid == "" {
		return nil, nil
	}
	return find(ctx, reader, id, func(run *v1alpha1.TrainingRun) bool { return KnownRun(run).UID == uid })
}

// OfRunAnywhere lists those of OfRun, and those of OfIncarnation for what is known of the run, each once. They are shared
// with the cache.
func OfRunAnywhere(ctx context.Context, reader client.Reader, namespace, project, id string, known backend.Run) ([]*v1alpha1.TrainingRun, error) {
	found, err := OfRun(ctx, reader, namespace, project, id)
	if err != nil {
		return nil, err
	}
	elsewhere, err := OfIncarnation(ctx, reader, known.ID, known.UID)
	if err != nil {
		return nil, err
	}
	for _, run := range elsewhere {
		if !slices.ContainsFunc(found, func(r *v1alpha1.TrainingRun) bool { return r.UID == run.UID }) {
			found = append(found, run)
		}
	}
	return found, nil
}

// find lists the TrainingRuns of runs with an id that are wanted, as the cache has them now.
func find(
	ctx context.Context, reader client.Reader, id string, wanted func(*v1alpha1.TrainingRun) bool, options ...client.ListOption,
) ([]*v1alpha1.TrainingRun, error) {
	if id == "" {
		return nil, nil
	}
	var list v1alpha1.TrainingRunList
	options = append(options, client.MatchingFields{indexRun: id}, client.DisableReadYourWritesConsistency, client.UnsafeDisableDeepCopy)
	if err := reader.List(ctx, &list, options...); err != nil {
		return nil, fmt.Errorf("list TrainingRuns of run %s: %w", id, err)
	}
	var found []*v1alpha1.TrainingRun
	for i := range list.Items {
		if run := &list.Items[i]; wanted(run) {
			found = append(found, run)
		}
	}
	return found, nil
}
