package trackingproject

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/binding"
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
	// room is how many more may be imported; beyond are the ids of those that qualify and find none left.
	room   int
	beyond map[string]struct{}
	// sought says that all was listed that may qualify, or as much of it as there is room for; cut, that there is more.
	sought, cut bool
	// hasPods says that a pod of the namespace is known, so that a run may be linked.
	hasPods bool
}

// off says that there is nothing to look for: under the policy Linked without a single pod there is not.
func (c *candidates) off() bool {
	return c.rules.Off() || c.rules.Policy == importing.Linked && !c.hasPods && len(c.rules.Tags) == 0
}

// listsActive says whether runs that are active, or were lately, are imported.
func (c *candidates) listsActive() bool {
	return c.rules.Policy != importing.None && (c.rules.Policy != importing.Linked || c.hasPods)
}

func newCandidates(p *v1alpha1.TrackingProject, tracked []v1alpha1.TrainingRun) candidates {
	room := int(p.Spec.Import.Limit)
	for i := range tracked {
		if trainingrun.Imported(&tracked[i]) {
			room--
		}
	}
	return candidates{rules: rulesOf(p), found: map[string]backend.Run{}, room: max(room, 0), beyond: map[string]struct{}{}}
}

func rulesOf(p *v1alpha1.TrackingProject) importing.Rules {
	in := p.Spec.Import
	policy := importing.Policy(in.Policy)
	if policy == "" {
		policy = importing.Linked // the default, for an object from before there was one
	}
	return importing.Rules{Policy: policy, Tags: in.Tags, WithoutTags: in.WithoutTags, TTL: in.TTLAfterFinished.Duration}
}

// consider takes in a page of runs, each of them one that was active or made lately, or one of all.
func (s *scope) consider(runs []backend.Run) {
	if s.candidates.off() {
		return
	}
	for _, run := range runs {
		_, known := s.candidates.found[run.ID]
		_, late := s.candidates.beyond[run.ID]
		if !known && !late && s.byID[run.ID] == nil && s.candidates.rules.Wants(run, s.asked(run), s.now) {
			s.candidates.found[run.ID] = run
		}
	}
	s.candidates.cutTo(s.candidates.room)
}

// linked says whether a pod of the namespace belongs to a run that may have no TrainingRun yet.
func (c *Controller) linked(s *scope, run backend.Run) bool {
	bindable := trainingrun.Bindable(s.project, s.tracker, run)
	return len(binding.Links(bindable, c.Evidence, c.Bound.Others, s.now).Links) > 0
}

// cutTo keeps the most urgent ones, and only the ids of the others.
func (c *candidates) cutTo(room int) {
	if len(c.found) <= room {
		return
	}
	for _, run := range slices.SortedFunc(maps.Values(c.found), byUrgency)[room:] {
		c.beyond[run.ID] = struct{}{}
		delete(c.found, run.ID)
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

// seekImports lists what may be imported beyond what is active, the newest first, as far as there is room: a project of
// many runs is not read to its end for the few that fit. The filter is the tracker's work.
func (c *Controller) seekImports(ctx context.Context, s *scope) error {
	rules := s.candidates.rules
	query := backend.Query{WithoutTags: rules.WithoutTags, Newest: true}
	switch {
	case rules.Policy == importing.All: // which includes those with a tag
		query.All = true
	case len(rules.Tags) > 0:
		query.AnyTag = rules.Tags
	default:
		s.candidates.sought = true
		return nil
	}
	if err := c.pagesUntil(ctx, s, query, func(runs []backend.Run) (enough bool) {
		s.consider(runs)
		s.candidates.cut = len(s.candidates.beyond) > 0
		return s.candidates.cut
	}); err != nil {
		return err
	}
	s.candidates.sought = true
	return nil
}

// importRuns makes TrainingRuns for runs that qualify, active ones first, and takes those away that nobody has touched
// and whose run no longer does.
func (c *Controller) importRuns(ctx context.Context, s *scope) error {
	if !s.health.OK() || !s.tracker.Primed() || s.memory.terminating {
		return nil
	}
	for i := range s.runs {
		if err := c.takeAway(ctx, s, &s.runs[i]); err != nil {
			return err
		}
	}
	s.noteLimit()
	m := s.memory
	m.waiting = slices.DeleteFunc(m.waiting, func(r backend.Run) bool {
		_, again := s.candidates.found[r.ID]
		return again || s.byID[r.ID] != nil || !s.candidates.rules.Wants(r, s.asked(r), s.now)
	})
	m.waiting = slices.AppendSeq(m.waiting, maps.Values(s.candidates.found))
	slices.SortFunc(m.waiting, byUrgency)
	m.waiting = m.waiting[:min(len(m.waiting), s.candidates.room)]
	batch := m.waiting[:min(len(m.waiting), importBatch)]
	if err := c.create(ctx, s, batch); err != nil {
		return err
	}
	m.waiting = slices.Clone(m.waiting[len(batch):])
	return nil
}

// noteLimit says what spec.import.limit keeps from being imported. Only a full look knows that there is nothing.
func (s *scope) noteLimit() {
	beyond, limit := len(s.candidates.beyond), s.project.Spec.Import.Limit
	switch {
	case beyond > 0 && (s.candidates.sought || s.memory.limited == ""):
		atLeast := ""
		if s.candidates.cut {
			atLeast = "at least "
		}
		s.memory.limited = fmt.Sprintf("spec.import.limit is %d, and %s%d further runs qualify for import; raise it, or import fewer by tags or policy",
			limit, atLeast, beyond)
	case beyond == 0 && s.candidates.sought:
		s.memory.limited = ""
	}
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
	group, limited := errgroup.WithContext(ctx)
	group.SetLimit(importAtOnce)
	for _, run := range runs {
		group.Go(func() error {
			select {
			case <-limited.Done(): // another one failed
				return nil
			default:
				return c.createOne(limited, s, run)
			}
		})
	}
	err := group.Wait()
	if s.memory.terminating = apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause); s.memory.terminating {
		return nil // for ever: nothing is made there any more
	}
	return err
}

func (c *Controller) createOne(ctx context.Context, s *scope, run backend.Run) error {
	s.tracker.Snapshot.TrackID(run.ID)
	s.tracker.Snapshot.ReadByID(s.now, []string{run.ID}, []backend.Run{run}) // so that nobody has to ask once more
	for _, name := range []string{importing.Name(s.project.Name, run.ID), importing.HashedName(s.project.Name, run.ID)} {
		object := c.importedObject(s, run, name)
		err := c.Client.Create(ctx, object)
		switch {
		case err == nil:
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
	c.Recorder.Eventf(s.project, nil, corev1.EventTypeWarning, "NameTaken", "Import",
		"run %s has no TrainingRun: both names for it are taken; rename one of them", run.ID)
	return nil
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

// takeAway deletes an imported TrainingRun whose time is over or whose run is deleted, unless a person has touched it.
func (c *Controller) takeAway(ctx context.Context, s *scope, run *v1alpha1.TrainingRun) error {
	if !trainingrun.Imported(run) {
		return nil
	}
	view, rules := s.tracker.Snapshot.Get(run.Spec.RunID), s.candidates.rules
	switch {
	case view.Presence == snapshot.Present && rules.Keeps(view.Run, s.asked(view.Run), run.Status.Run != nil && run.Status.Run.Stale, s.now):
		if until := rules.Until(view.Run, s.asked(view.Run)); !until.IsZero() {
			s.dueAt(until)
		}
		return nil
	case view.Presence != snapshot.Present && !s.isGone(run, view), !trainingrun.Untouched(run):
		return nil
	}
	if err := trainingrun.TakeAway(ctx, c.Client, run); !apierrors.IsConflict(err) {
		return err
	}
	return nil // a person edits it at this moment: the next pass looks again
}

// isGone says whether the run of an imported TrainingRun is deleted, be it before anything was written down of it.
func (s *scope) isGone(run *v1alpha1.TrainingRun, view snapshot.View) bool {
	return s.tracker.Judge(run.Spec.RunID) == tracking.Gone ||
		view.Presence == snapshot.Absent && trainingrun.KnownRun(run).UID == ""
}

// dueAt asks for another pass at this time at the latest.
func (s *scope) dueAt(at time.Time) {
	if s.importDue.IsZero() || at.Before(s.importDue) {
		s.importDue = at
	}
}
