package batch_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/batch"
)

type read struct {
	ID    string
	Found bool
}

func TestReadsAreGathered(t *testing.T) {
	f := newFake()
	f.limits.Read = 3
	f.pages = func(_ context.Context, query backend.Query, cursor string) (backend.Page, error) {
		// One run a page; "gone" is not there.
		ids := slices.DeleteFunc(slices.Clone(query.IDs), func(id string) bool { return id == "gone" })
		if cursor == "" {
			return backend.Page{Runs: []backend.Run{{ID: ids[0]}}, Next: "2"}, nil
		}
		if len(ids) < 2 {
			return backend.Page{}, nil
		}
		return backend.Page{Runs: []backend.Run{{ID: ids[1]}}}, nil
	}
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		var got []read
		began := time.Now()
		for _, id := range []string{"a", "gone", "b", "a", "c"} {
			b.Read(id, backend.PriorityFullLook, func(run backend.Run, found bool, readAt time.Time, err error) {
				if err != nil || found && run.ID != id || readAt.Before(began) || readAt.After(time.Now()) {
					t.Errorf("%s: got run %s at %v, error %v", id, run.ID, readAt, err)
				}
				got = append(got, read{id, found})
			})
		}
		start()
		settle()
		if diff := cmp.Diff([]read{{"a", true}, {"a", true}, {"gone", false}, {"b", true}, {"c", true}}, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		want := []backend.Query{{IDs: []string{"a", "gone", "b"}}, {IDs: []string{"a", "gone", "b"}}, {IDs: []string{"c"}}, {IDs: []string{"c"}}}
		if diff := cmp.Diff(want, f.queries); diff != "" {
			t.Errorf("queries (-want +got):\n%s", diff)
		}
	})
}

func TestAReadThatSomebodyNeedsSoonerGoesSooner(t *testing.T) {
	f := newFake()
	f.limits.Read = 1
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		none := func(backend.Run, bool, time.Time, error) {}
		b.Read("a", backend.PriorityFullLook, none)
		b.Read("b", backend.PriorityFullLook, none)
		b.Read("b", backend.PriorityEdit, none)
		start()
		settle()
		if diff := cmp.Diff([]backend.Query{{IDs: []string{"b"}}, {IDs: []string{"a"}}}, f.queries); diff != "" {
			t.Errorf("queries (-want +got):\n%s", diff)
		}
	})
}

func TestNamesGiveAllTheirRuns(t *testing.T) {
	f := newFake()
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		got := map[string][]string{}
		for _, name := range []string{"nightly", "weekly"} {
			b.ReadName(name, backend.PriorityRule, func(runs []backend.Run, _ time.Time, err error) {
				if err != nil {
					t.Error(err)
				}
				for _, r := range runs {
					got[name] = append(got[name], r.ID)
				}
			})
		}
		b.Read("a", backend.PriorityRule, func(backend.Run, bool, time.Time, error) {})
		start()
		settle()
		want := map[string][]string{"nightly": {"1-nightly", "2-nightly"}, "weekly": {"1-weekly", "2-weekly"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]backend.Query{{Names: []string{"nightly", "weekly"}}, {IDs: []string{"a"}}}, f.queries); diff != "" {
			t.Errorf("queries (-want +got):\n%s", diff)
		}
	})
}

func TestAReadThatFailsTellsNothing(t *testing.T) {
	down := &backend.Error{Kind: backend.Unavailable, Message: "down"}
	for _, c := range []struct {
		reason string
		pages  func(ctx context.Context, query backend.Query, cursor string) (backend.Page, error)
		want   error
	}{
		{"the first page fails", func(context.Context, backend.Query, string) (backend.Page, error) { return backend.Page{}, down }, down},
		{"the second page fails", func(_ context.Context, _ backend.Query, cursor string) (backend.Page, error) {
			if cursor == "" {
				return backend.Page{Runs: []backend.Run{{ID: "a"}}, Next: "2"}, nil
			}
			return backend.Page{}, down
		}, down},
		{"the pages never end", func(context.Context, backend.Query, string) (backend.Page, error) {
			return backend.Page{Runs: []backend.Run{{ID: "a"}}, Next: "2"}, nil
		}, nil},
		{"it takes too long", func(ctx context.Context, _ backend.Query, _ string) (backend.Page, error) {
			<-ctx.Done()
			return backend.Page{}, ctx.Err()
		}, context.DeadlineExceeded},
	} {
		t.Run(c.reason, func(t *testing.T) {
			f := newFake()
			f.pages = c.pages
			inBubble(t, f, batch.Options{ReadDeadline: time.Second}, func(b *batch.Batcher, start func(), _ func(...func())) {
				answers := 0
				for _, id := range []string{"a", "b"} {
					b.Read(id, backend.PriorityEdit, func(run backend.Run, found bool, _ time.Time, err error) {
						answers++
						if found || run.ID != "" || err == nil || c.want != nil && !errors.Is(err, c.want) {
							t.Errorf("%s: found %v, %v", id, found, err)
						}
					})
				}
				start()
				settle()
				if answers != 2 {
					t.Errorf("%d answers", answers)
				}
			})
		})
	}
}

func TestACallbackMayCallTheBatcher(t *testing.T) {
	f := newFake()
	inBubble(t, f, batch.Options{}, func(b *batch.Batcher, start func(), _ func(...func())) {
		start()
		got := collected{}
		b.Read("a", backend.PriorityEdit, func(run backend.Run, _ bool, _ time.Time, _ error) {
			got.change(t, b, "key", backend.PriorityEdit, run)
		})
		settle()
		if len(got) != 1 {
			t.Error("the change that the read led to is done")
		}
	})
}
