package plugin

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	changes "github.com/runtag/runtag/internal/bulk"
	"github.com/runtag/runtag/internal/plugin/terminal"
)

// discardTime is how long the end of a command may take to delete what it made.
const discardTime = 5 * time.Second

// matchesKey is the key of the ConfigMaps with what a query found.
const matchesKey = "runs"

// query asks the operator which runs of the tracker are selected, by a TagChange that changes nothing and is deleted
// afterwards.
func (s *session) query(ctx context.Context, project string, sel *v1alpha1.RunSelection, maxRuns int32) ([]changes.Match, error) {
	change := s.newChange("query-"+project, project)
	change.Spec.Select, change.Spec.MaxRuns = sel, maxRuns
	change.Spec.TTLAfterFinished = &metav1.Duration{Duration: time.Hour} // should this command die before it can delete it
	if err := s.client.Create(ctx, change, client.FieldOwner(FieldManager)); err != nil {
		return nil, fmt.Errorf("ask for the runs of project %s by a TagChange: %w", project, err)
	}
	defer s.discardChange(ctx, change)
	bar := terminal.NewBar(s.errTerminal(), "runs", 0)
	if err := s.follow(ctx, change, bar, func(c *v1alpha1.TagChange, _ metav1.Condition) bool { return isOver(c) }); err != nil {
		return nil, err
	}
	if err := failure(change); err != nil {
		return nil, err
	}
	var found []changes.Match
	for _, name := range change.Status.Matches {
		var page corev1.ConfigMap
		if err := s.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &page); err != nil {
			return nil, fmt.Errorf("read what was found: %w", err)
		}
		more, err := changes.ParseMatches(page.Data[matchesKey])
		if err != nil {
			return nil, fmt.Errorf("read what was found, in ConfigMap %s: %w; is the plugin as new as the operator?", name, err)
		}
		found = append(found, more...)
	}
	return found, nil
}
