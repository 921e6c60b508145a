package backend_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
)

// lister keeps what it was asked.
type lister struct {
	backend.Backend
	asked  []backend.Query
	cursor string
}

var errListed = errors.New("listed")

func (l *lister) List(_ context.Context, query backend.Query, cursor string) (backend.Page, error) {
	l.asked, l.cursor = append(l.asked, query), cursor
	return backend.Page{Next: "next"}, errListed
}

func (l *lister) Limits() backend.Limits { return backend.Limits{Read: 7} }

func TestWithSummary(t *testing.T) {
	cases := []struct {
		reason       string
		keys         []string
		asked, wants backend.Query
	}{
		{"keys are filled in", []string{"loss"}, backend.Query{All: true}, backend.Query{All: true, Summary: []string{"loss"}}},
		{"a query that has its own keeps them", []string{"loss"}, backend.Query{IDs: []string{"a"}, Summary: []string{"acc"}}, backend.Query{IDs: []string{"a"}, Summary: []string{"acc"}}},
		{"while there are no keys, the query stays as it is", nil, backend.Query{Names: []string{"n"}}, backend.Query{Names: []string{"n"}}},
	}
	inner := &lister{}
	var keys []string
	b := backend.WithSummary(inner, func() []string { return keys })
	for _, c := range cases {
		keys = c.keys // They may change at any time.
		page, err := b.List(t.Context(), c.asked, "cursor")
		if diff := cmp.Diff(c.wants, inner.asked[len(inner.asked)-1]); diff != "" {
			t.Errorf("query (-want +got):\n%s%s", diff, c.reason)
		}
		if !errors.Is(err, errListed) || page.Next != "next" || inner.cursor != "cursor" {
			t.Errorf("%v, %+v: the answer is the backend's own", err, page)
		}
	}
	if b.Limits().Read != 7 {
		t.Error("other calls are not the backend's own")
	}
}
