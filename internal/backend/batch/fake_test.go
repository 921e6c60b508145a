package batch_test

import (
	"context"
	"sync"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// fakeTracker is a Backend that a test looks into and breaks. Its requests can be held up.
type fakeTracker struct {
	backend.Backend

	mu      sync.Mutex
	limits  backend.Limits
	changes [][]string // the ids of each call of Change
	queries []backend.Query
	prios   []backend.Priority
	broken  func(ctx context.Context, ids []string) error // of a whole batch
	pages   func(query backend.Query, cursor string) (backend.Page, error)
	entered chan []string // each call is sent here first, if not nil
	release chan struct{} // and waits for this
}

func newFake() *fakeTracker {
	return &fakeTracker{limits: backend.Limits{Read: 100, Change: 100, ChangeActive: 10}}
}

func (f *fakeTracker) Limits() backend.Limits { return f.limits }

func (f *fakeTracker) Change(ctx context.Context, changes []backend.Change) ([]backend.Result, error) {
	ids := make([]string, len(changes))
	for i, c := range changes {
		ids[i] = c.Run.ID
	}
	f.mu.Lock()
	f.changes = append(f.changes, ids)
	f.prios = append(f.prios, backend.PriorityOf(ctx))
	f.mu.Unlock()
	if f.entered != nil {
		f.entered <- ids
		<-f.release
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

func (f *fakeTracker) List(ctx context.Context, query backend.Query, cursor string) (backend.Page, error) {
	f.mu.Lock()
	f.queries = append(f.queries, query)
	f.prios = append(f.prios, backend.PriorityOf(ctx))
	f.mu.Unlock()
	if f.pages != nil {
		return f.pages(query, cursor)
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
