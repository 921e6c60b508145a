package trackingproject

import (
	"context"
	"errors"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/importing"
	"github.com/runtag/runtag/internal/tracking"
)

// errSuspended ends a pass over a suspended project.
var errSuspended = errors.New("suspended")

// healthOf turns what ended a pass into what the conditions say.
func healthOf(err error) tracking.Health {
	if errors.Is(err, errSuspended) {
		return tracking.Health{
			Reason:  v1alpha1.ReasonSuspended,
			Message: "spec.suspend is set, so nothing is sent to the tracker; set it to false to go on",
		}
	}
	return tracking.HealthOf(err)
}

// connect opens the tracker.
func (c *Controller) connect(ctx context.Context, s *scope) error {
	if s.project.Spec.Suspend {
		return errSuspended
	}
	if was := s.memory.unsupported; was != 0 && was != s.project.Generation {
		// A client that has seen its tracker do harm gives it up for good; whoever edits the project wants another try.
		c.Connector.Forget(s.project.UID)
		s.memory.unsupported = 0
	}
	conn, err := c.Connector.Open(ctx, s.project)
	if err != nil {
		return err
	}
	if s.tracker.Connection() != conn {
		if err := c.Registry.Connect(ctx, s.tracker, conn); err != nil {
			return err
		}
		s.memory.checkDue, s.memory.activeAt, s.memory.fullAt, s.memory.listedAt = true, time.Time{}, time.Time{}, time.Time{}
	}
	return nil
}

// check verifies access before the first look and once per full look, or where something went wrong.
func (c *Controller) check(ctx context.Context, s *scope) error {
	if s.tracker.CheckAsked() {
		s.memory.checkDue = true
	}
	if !s.memory.checkDue && s.memory.failures == 0 && !s.fullDue() {
		return nil
	}
	info, err := s.tracker.Backend().Check(backend.WithPriority(ctx, backend.PriorityActiveLook))
	if err != nil {
		return err
	}
	s.memory.checkDue, s.memory.runs = false, info.Runs
	return nil
}

// fullDue says whether every tracked run is to be looked at now: it is time, there was none on this connection, other runs
// are to be imported, rules read other metrics, or a person asked.
func (s *scope) fullDue() bool {
	return !equality.Semantic.DeepEqual(s.memory.importing, s.project.Spec.Import) || !slices.Equal(s.memory.summary, s.summary) || !s.memory.fullAt.After(s.now) || !s.tracker.Primed() || s.project.Annotations[v1alpha1.AnnotationLookAt] != s.memory.lookAt
}

// look lists what is due and queues the TrainingRuns whose run changed.
func (c *Controller) look(ctx context.Context, s *scope) error {
	asked := s.project.Annotations[v1alpha1.AnnotationLookAt]
	c.hasten(s)
	full := s.fullDue()
	if !full && s.memory.activeAt.After(s.now) {
		return nil
	}
	kind, spec := "active", s.project.Spec
	var err error
	if full {
		kind = "full"
		err = c.fullLook(ctx, s)
	} else {
		err = c.activeLook(ctx, s)
	}
	if err != nil {
		return err
	}
	s.looked = true
	took := c.Clock.Now().Sub(s.now)
	c.Metrics.Looked(kind, took)
	s.memory.slow = 0
	if took > spec.Interval.Duration {
		s.memory.slow = took
	}
	s.project.Status.LookAt = bounded(asked)
	s.memory.lookAt, s.memory.activeAt = asked, c.Clock.Now().Add(c.Jitter(spec.Interval.Duration))
	if full {
		s.memory.fullAt = c.Clock.Now().Add(c.Jitter(spec.FullInterval.Duration))
		s.memory.importing, s.memory.summary = spec.Import, s.summary
		s.tracker.SetPrimed()
	}
	return nil
}

// hasten brings looks forward that were put off by longer intervals than those of the spec now.
func (c *Controller) hasten(s *scope) {
	m, spec := s.memory, s.project.Spec
	for at, interval := range map[*time.Time]time.Duration{&m.activeAt: spec.Interval.Duration, &m.fullAt: spec.FullInterval.Duration} {
		if latest := s.now.Add(time.Duration(float64(interval) * (1 + jitter))); at.After(latest) {
			*at = s.now.Add(c.Jitter(interval))
		}
	}
}

// activeLook lists what is active or was since the last look, and asks by id for what left that list or was not found.
func (c *Controller) activeLook(ctx context.Context, s *scope) error {
	ctx = backend.WithPriority(ctx, backend.PriorityActiveLook)
	if len(s.byID)+len(s.byName) == 0 && s.candidates.off() {
		return nil
	}
	changes, err := c.listRecent(ctx, s, s.recently(c.Clock.Now()))
	if err != nil {
		return err
	}
	ask := slices.Concat(changes.Left, s.tracker.Snapshot.Unseen())
	slices.Sort(ask)
	if err := c.readByID(ctx, s, slices.Compact(ask)); err != nil {
		return err
	}
	return c.readByName(ctx, s)
}

// recently is when the last list of active runs began, or so long ago that a look misses nothing.
func (s *scope) recently(now time.Time) time.Time {
	if s.memory.listedAt.IsZero() {
		return now.Add(-s.project.Spec.FullInterval.Duration)
	}
	return s.memory.listedAt
}

// listRecent lists what is active, or was or was made since then.
func (c *Controller) listRecent(ctx context.Context, s *scope, since time.Time) (snapshot.Changes, error) {
	began := c.Clock.Now()
	look := s.tracker.Snapshot.Begin(began, snapshot.Recent)
	if err := c.pages(ctx, s, backend.Query{Since: s.tracker.ToServer(since.Add(-sinceSlack))}, func(runs []backend.Run) {
		look.Add(runs)
		s.consider(runs)
	}); err != nil {
		return snapshot.Changes{}, err
	}
	changes := look.End()
	s.memory.listedAt = began
	s.queue(c.Runs, changes)
	return changes, nil
}

// sinceSlack covers the tracker's clock, which may be off by as much as is not corrected, and its slow indexes.
const sinceSlack = 10 * time.Second

// fullLook looks at every tracked run: by id, or by all pages of the project where these are fewer requests.
func (c *Controller) fullLook(ctx context.Context, s *scope) error {
	ctx = backend.WithPriority(ctx, backend.PriorityFullLook)
	limits := s.tracker.Backend().Limits()
	ids := make([]string, 0, len(s.byID))
	for id := range s.byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	began := c.Clock.Now()
	if s.memory.runs > 0 && requests(s.memory.runs, limits.Page) < requests(len(ids), limits.Read) {
		changes, err := c.listAll(ctx, s, began)
		if err != nil {
			return err
		}
		s.queue(c.Runs, changes)
		ids = slices.Concat(changes.Left, s.tracker.Snapshot.Unseen())
		slices.Sort(ids)
		ids = slices.Compact(ids)
	}
	if err := c.readByID(ctx, s, ids); err != nil {
		return err
	}
	if err := c.readByName(ctx, s); err != nil {
		return err
	}
	if s.candidates.listsActive() { // the active ones come first
		since := s.recently(began)
		if alive := began.Add(-s.candidates.rules.TTL); s.candidates.rules.Policy != importing.All && alive.Before(since) {
			since = alive // also what ended while nobody looked, came from offline, or lost its TrainingRun to a person
		}
		if _, err := c.listRecent(ctx, s, since); err != nil {
			return err
		}
	}
	s.memory.listedAt = began
	return c.seekImports(ctx, s)
}

func requests(items, each int) int { return (items + each - 1) / max(each, 1) }

// listAll takes in all runs of the project; a page that fails leaves everything as it was.
func (c *Controller) listAll(ctx context.Context, s *scope, began time.Time) (snapshot.Changes, error) {
	look := s.tracker.Snapshot.Begin(began, snapshot.Everything)
	if err := c.pages(ctx, s, backend.Query{All: true}, look.Add); err != nil {
		return snapshot.Changes{}, err
	}
	return look.End(), nil
}

// pages goes through all pages of a query.
func (c *Controller) pages(ctx context.Context, s *scope, query backend.Query, take func([]backend.Run)) error {
	return c.pagesUntil(ctx, s, query, func(runs []backend.Run) bool { take(runs); return false })
}

// pagesUntil goes through the pages of a query until one is enough.
func (c *Controller) pagesUntil(ctx context.Context, s *scope, query backend.Query, take func([]backend.Run) (enough bool)) error {
	for pages := (backend.Pages{}); ; {
		page, err := s.tracker.Backend().List(ctx, query, pages.Cursor())
		if err != nil {
			return err
		}
		s.tracker.SetServerTime(page.ServerTime, c.Clock.Now())
		if take(page.Runs) {
			return nil
		}
		if more, err := pages.Turn(page.Next); !more {
			return err
		}
	}
}

// readByID asks for runs by id, which is the only way to learn that one is gone.
func (c *Controller) readByID(ctx context.Context, s *scope, ids []string) error {
	for batch := range slices.Chunk(ids, max(s.tracker.Backend().Limits().Read, 1)) {
		began := c.Clock.Now()
		var found []backend.Run
		if err := c.pages(ctx, s, backend.Query{IDs: batch}, func(runs []backend.Run) { found = append(found, runs...) }); err != nil {
			return err
		}
		s.queue(c.Runs, s.tracker.Snapshot.ReadByID(began, batch, found))
	}
	return nil
}

// readByName asks for the names of which the run is not known yet.
func (c *Controller) readByName(ctx context.Context, s *scope) error {
	names := make([]string, 0, len(s.byName))
	for name := range s.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	for batch := range slices.Chunk(names, max(s.tracker.Backend().Limits().Read, 1)) {
		began := c.Clock.Now()
		var found []backend.Run
		if err := c.pages(ctx, s, backend.Query{Names: batch}, func(runs []backend.Run) { found = append(found, runs...) }); err != nil {
			return err
		}
		s.queue(c.Runs, s.tracker.Snapshot.ReadByName(began, batch, found))
	}
	return nil
}

// maxLookAt is the most characters of the value of a request for a look that status repeats.
const maxLookAt = 256

// bounded cuts the value of a request for a look to what status has room for.
func bounded(asked string) string {
	if runes := []rune(asked); len(runes) > maxLookAt {
		return string(runes[:maxLookAt])
	}
	return asked
}
