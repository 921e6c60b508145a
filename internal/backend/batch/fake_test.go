package batch_test

import (
	"context"
	"sync"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// fakeTracker is a Backend that a test looks into, holds up and breaks.
type fakeTracker struct {
	backend.Backend

	limits  backend.Limits
	mu      sync.Mutex // for tests that look at changes while the batcher goes on
	changes [][]string // the ids of each call of Change
	queries []backend.Query
	prios   []backend.Priority
	broken  func(ctx context.Context, ids []string) error // of a whole call, after its edits were decided
	pages   func(ctx context.Context, query backend.Query, cursor string) (backend.Page, error)

	once    sync.Once
	entered chan struct{} // closed by the first call of Change, if not nil,
	release chan struct{} // which then waits for this
}

func newFake() *fakeTracker {
	return &fakeTracker{limits: backend.Limits{Read: 100, Change: 100, ChangeActive: 10}}
}

// hold makes the first call of Change wait for letGo. It has to be called in the bubble, whose channels these are.
func (f *fakeTracker) hold() { f.entered, f.release = make(chan struct{}), make(chan struct{}) }

func (f *fakeTracker) waitForCall() { <-f.entered }
func (f *fakeTracker) letGo()       { close(f.release) }

func (f *fakeTracker) calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.changes)
}

func (f *fakeTracker) Limits() backend.Limits { return f.limits }

func (f *fakeTracker) Change(ctx context.Context, changes []backend.Change) ([]backend.Result, error) {
	ids := make([]string, len(changes))
	for i, c := range changes {
		ids[i] = c.Run.ID
	}
	f.mu.Lock()
	f.changes = append(f.changes, ids)
	f.mu.Unlock()
	f.prios = append(f.prios, backend.PriorityOf(ctx))
	if f.entered != nil {
		f.once.Do(func() {
			close(f.entered)
			<-f.release
		})
	}
	results := make([]backend.Result, len(changes))
	for i, c := range changes {
		edit, err := c.Decide(c.Run)
		results[i] = backend.Result{Before: c.Run, After: c.Run, Edit: edit, Sent: err == nil && !edit.Empty(), Err: err}
		results[i].After.Tags = c.Run.Tags.Apply(edit)
	}
	if f.broken != nil {
		if err := f.broken(ctx, ids); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// List knows every id, and two runs of every name.
func (f *fakeTracker) List(ctx context.Context, query backend.Query, cursor string) (backend.Page, error) {
	f.queries = append(f.queries, query)
	f.prios = append(f.prios, backend.PriorityOf(ctx))
	if f.pages != nil {
		return f.pages(ctx, query, cursor)
	}
	var page backend.Page
	for _, id := range query.IDs {
		page.Runs = append(page.Runs, backend.Run{ID: id})
	}
	for _, name := range query.Names {
		page.Runs = append(page.Runs, backend.Run{ID: "1-" + name, Name: name}, backend.Run{ID: "2-" + name, Name: name})
	}
	return page, nil
}

func addX(backend.Run) (tags.Edit, error) { return tags.Edit{Set: tags.Set{"x": ""}}, nil }

func nothing(backend.Run) (tags.Edit, error) { return tags.Edit{}, nil }
