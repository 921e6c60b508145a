package trackingproject

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/importing"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

const (
	// importBatch is how many TrainingRuns one pass makes, so that looks go on meanwhile.
	importBatch = 500
	// importAtOnce is how many are made in parallel; the API server says itself when that is too much.
	importAtOnce = 16
)

// candidates are runs that qualify for import and have no TrainingRun yet, by id.
type candidates struct {
	rules importing.Rules
	found map[string]backend.Run
	// qualify counts all runs that qualify, also those beyond the limit.
	qualify int
	limit   int
}

func rulesOf(p *v1alpha1.TrackingProject) importing.Rules {
	in := p.Spec.Import
	policy := importing.Policy(in.Policy)
	if policy == "" {
		policy = importing.None
	}
	return importing.Rules{Policy: policy, Tags: in.Tags, WithoutTags: in.WithoutTags, TTL: in.TTLAfterFinished.Duration}
}

// consider takes in a page of runs, of which isNew says whether a run was first seen since the previous look.
func (s *scope) consider(runs []backend.Run, isNew func(backend.Run) bool) {
	if s.candidates.rules.Off() {
		return
	}
	for _, run := range runs {
		if _, known := s.candidates.found[run.ID]; known || s.byID[run.ID] != nil || !s.candidates.rules.Wants(run, s.asked(run), isNew(run), s.now) {
			continue
		}
		s.candidates.qualify++
		if len(s.candidates.found) < s.candidates.limit {
			s.candidates.found[run.ID] = run
		}
	}
}

// asked gives the names by which a run's tags can be asked for: on a key/value tracker a key stands for all its values
// but false.
func (s *scope) asked(run backend.Run) []string {
	names := s.names(run)
	for key, raw := range run.Tags {
		if s.tracker.Backend().Dialect().Pairs && !strings.EqualFold(raw, "false") {
			names = append(names, key)
		}
	}
	return names
}

// names gives the names of the tags on a run.
func (s *scope) names(run backend.Run) []string {
	d := s.tracker.Backend().Dialect()
	names := make([]string, 0, len(run.Tags))
	for key, raw := range run.Tags {
		names = append(names, d.FormatRaw(key, raw))
	}
	return names
}

// seekImports lists what may be imported beyond what is active, the newest first, as far as the limit goes. The filter
// is the tracker's work.
func (c *Controller) seekImports(ctx context.Context, s *scope) error {
	rules := s.candidates.rules
	queries := []backend.Query(nil)
	if rules.Policy == importing.All {
		queries = append(queries, backend.Query{All: true, WithoutTags: rules.WithoutTags, Newest: true})
	}
	if len(rules.Tags) > 0 {
		queries = append(queries, backend.Query{AnyTag: rules.Tags, WithoutTags: rules.WithoutTags, Newest: true})
	}
	for _, query := range queries {
		if err := c.pages(ctx, s, query, func(runs []backend.Run) {
			s.consider(runs, func(backend.Run) bool { return true })
		}); err != nil {
			return err
		}
	}
	return nil
}

// importRuns makes TrainingRuns for runs that qualify, active ones first, and takes those away that nobody has touched
// and whose run no longer does.
func (c *Controller) importRuns(ctx context.Context, s *scope) error {
	if !s.health.OK() || !s.tracker.Primed() {
		return nil
	}
	imported := 0
	for i := range s.runs {
		if s.runs[i].Labels[mirror.Imported] == "true" {
			imported++
			if err := c.takeAway(ctx, s, &s.runs[i]); err != nil {
				return err
			}
		}
	}
	room := max(int(s.project.Spec.Import.Limit)-imported, 0)
	s.memory.waiting = slices.DeleteFunc(s.memory.waiting, func(r backend.Run) bool { return s.byID[r.ID] != nil })
	for _, run := range s.candidates.found {
		if !slices.ContainsFunc(s.memory.waiting, func(r backend.Run) bool { return r.ID == run.ID }) {
			s.memory.waiting = append(s.memory.waiting, run)
		}
	}
	slices.SortFunc(s.memory.waiting, byUrgency)
	if s.candidates.qualify > room {
		s.memory.limited = fmt.Sprintf("%d further runs qualify for import and spec.import.limit is %d; raise it, or import fewer by tags or policy",
			s.candidates.qualify-room, s.project.Spec.Import.Limit)
	} else if s.looked {
		s.memory.limited = ""
	}
	s.memory.waiting = s.memory.waiting[:min(len(s.memory.waiting), room)]
	batch := s.memory.waiting[:min(len(s.memory.waiting), importBatch)]
	if err := c.create(ctx, s, batch); err != nil {
		return err
	}
	s.memory.waiting = slices.Clone(s.memory.waiting[len(batch):])
	return nil
}

// byUrgency puts active runs first, then the newest.
func byUrgency(a, b backend.Run) int {
	if a.State.Active() != b.State.Active() {
		if a.State.Active() {
			return -1
		}
		return 1
	}
	return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// create makes the TrainingRuns, with their labels, so that only the status is left to be written.
func (c *Controller) create(ctx context.Context, s *scope, runs []backend.Run) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(importAtOnce)
	for _, run := range runs {
		group.Go(func() error { return c.createOne(ctx, s, run) })
	}
	return group.Wait()
}

func (c *Controller) createOne(ctx context.Context, s *scope, run backend.Run) error {
	s.tracker.Snapshot.TrackID(run.ID)
	s.tracker.Snapshot.ReadByID(s.now, []string{run.ID}, []backend.Run{run}) // so that nobody has to ask once more
	for _, name := range []string{importing.Name(s.project.Name, run.ID), importing.HashedName(s.project.Name, run.ID)} {
		object := c.importedObject(s, run, name)
		err := c.Client.Create(ctx, object)
		switch {
		case err == nil || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
			return nil
		case !apierrors.IsAlreadyExists(err):
			return fmt.Errorf("import run %s as TrainingRun %s: %w", run.ID, name, err)
		}
		there := &v1alpha1.TrainingRun{}
		if err := c.Client.Get(ctx, client.ObjectKeyFromObject(object), there); err != nil {
			return client.IgnoreNotFound(err)
		}
		if there.Spec.ProjectRef.Name == s.project.Name && trainingrun.RunID(there) == run.ID {
			return nil
		}
	}
	return nil // both names stand for something else; it is said at the next look that the run has no TrainingRun
}

func (c *Controller) importedObject(s *scope, run backend.Run, name string) *v1alpha1.TrainingRun {
	shown := make([]mirror.Shown, 0, len(run.Tags))
	for _, tag := range s.names(run) {
		shown = append(shown, mirror.Shown{Name: tag, Source: tags.Run, Present: true})
	}
	object := &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: s.project.Namespace,
			Labels: mirror.Labels(mirror.Input{Dialect: s.tracker.Backend().Dialect(), Observed: run.Tags}, mirror.Reading{}, shown),
		},
		Spec: v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: s.project.Name}, RunID: run.ID},
	}
	for key, value := range trainingrun.Identity(s.project.Name, run) {
		object.Labels[key] = value
	}
	object.Labels[mirror.Imported] = "true"
	return object
}

// takeAway deletes an imported TrainingRun whose time is over, unless a person has touched it.
func (c *Controller) takeAway(ctx context.Context, s *scope, run *v1alpha1.TrainingRun) error {
	if !trainingrun.Untouched(run) {
		return nil
	}
	view := s.tracker.Snapshot.Get(run.Spec.RunID)
	switch {
	case view.Presence == snapshot.Present && s.candidates.rules.Keeps(view.Run, s.asked(view.Run), s.now):
		if until := s.candidates.rules.Until(view.Run, s.asked(view.Run)); !until.IsZero() {
			s.dueAt(until)
		}
		return nil
	case view.Presence == snapshot.Present, s.tracker.Judge(run.Spec.RunID) == tracking.Gone:
		return c.remove(ctx, run)
	}
	return nil
}

// remove deletes just the object that was looked at: one that a person edits at this moment stays.
func (c *Controller) remove(ctx context.Context, run *v1alpha1.TrainingRun) error {
	uid, version := run.UID, run.ResourceVersion
	err := c.Client.Delete(ctx, run.DeepCopy(), client.Preconditions{UID: &uid, ResourceVersion: &version})
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil // the next pass looks again
	}
	if err != nil {
		return fmt.Errorf("take away imported TrainingRun %s: %w", client.ObjectKeyFromObject(run), err)
	}
	return nil
}

// removeImported takes the untouched imported TrainingRuns of a deleted project away.
func (c *Controller) removeImported(ctx context.Context, key types.NamespacedName, runs []v1alpha1.TrainingRun) error {
	for i := range runs {
		if runs[i].Labels[mirror.Imported] == "true" && trainingrun.Untouched(&runs[i]) {
			if err := c.remove(ctx, &runs[i]); err != nil {
				return fmt.Errorf("project %s is gone: %w", key, err)
			}
		}
	}
	return nil
}

// dueAt asks for another pass at this time at the latest.
func (s *scope) dueAt(at time.Time) {
	if s.importDue.IsZero() || at.Before(s.importDue) {
		s.importDue = at
	}
}
