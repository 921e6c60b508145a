package wandb

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
)

func TestSelectedIDsComeInOrder(t *testing.T) {
	runs := many(firstRead+1, "finished")
	var asked []string
	for i, r := range runs { // the first is the newest
		r.CreatedAt = time.Date(2026, 1, 2, 0, 0, -i, 0, time.UTC).Format(time.RFC3339)
		asked = append(asked, r.Name)
	}
	f := newFake(t, runs...)
	for _, newest := range []bool{true, false} {
		want := slices.Clone(asked)
		if !newest {
			slices.Reverse(want)
		}
		page, err := f.client(t).List(t.Context(), backend.Query{Select: &backend.Selection{IDs: asked}, Newest: newest}, "")
		var got []string
		for _, run := range page.Runs {
			got = append(got, run.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("over all questions, newest %v: %v (-want +got):\n%s", newest, err, diff)
		}
		if page.ServerTime.IsZero() {
			t.Error("the server's time is not said")
		}
	}
	if got := len(f.requests("read")); got != 4 {
		t.Errorf("%d requests for twice %d runs, want 4", got, len(asked))
	}
}

func TestSelectedIDsComeOnceFromPagesThatShift(t *testing.T) {
	f := newFake(t)
	a, b := (&stored{ID: "1", Name: "a", CreatedAt: "2026-01-02T00:00:00Z"}).json(), (&stored{ID: "2", Name: "b", CreatedAt: "2026-01-02T00:00:00Z"}).json()
	f.instead = func(q asked) (int, string) {
		if q.text("after") == "" {
			return 200, fmt.Sprintf(`{"data":{"viewer":{"id":"v"},"project":{"runs":{"edges":[{"node":%s}],"pageInfo":{"endCursor":"c1","hasNextPage":true}}}}}`, a)
		}
		return 200, listOf([]string{a, b})
	}
	page, err := f.client(t).List(t.Context(), backend.Query{Select: &backend.Selection{IDs: []string{"a", "b"}}}, "")
	if err != nil || len(page.Runs) != 2 || page.Next != "" {
		t.Errorf("%d runs, next %q, %v; want each once, on one page", len(page.Runs), page.Next, err)
	}
}
