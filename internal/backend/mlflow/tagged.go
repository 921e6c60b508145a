package mlflow

import (
	"context"
	"encoding/json"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

// listTagged gives all runs, or those with one of the tags. There is no OR, so each tag is a search of its own.
func (c *Client) listTagged(ctx context.Context, query backend.Query, cursor string) (backend.Page, error) {
	filters := []string{""}
	if !query.All {
		filters = tagFilters(query.AnyTag)
	}
	return c.listMerged(ctx, query, filters, cursor, experimentsFor, func(run backend.Run) bool { return query.WantsTags(Dialect(), run.Tags) })
}

// listSelected gives the runs that match. More ids than fit in a filter are several searches.
func (c *Client) listSelected(ctx context.Context, query backend.Query, cursor string) (backend.Page, error) {
	maxAge := experimentsFor
	if len(query.Select.IDs) > 0 && cursor == "" {
		maxAge = experimentsAgain // a run that somebody names may be in an experiment that is new
	}
	return c.listMerged(ctx, query, selectionFilters(*query.Select), cursor, maxAge, func(run backend.Run) bool { return query.Select.Matches(Dialect(), run) })
}

// listMerged merges searches in the order of the list, which gives each run once, and leaves out what is not wanted.
func (c *Client) listMerged(ctx context.Context, query backend.Query, filters []string, cursor string, maxAge time.Duration, wanted func(backend.Run) bool) (backend.Page, error) {
	m, err := newMerge(len(filters), query.Newest, cursor)
	if err != nil || len(filters) == 0 {
		return backend.Page{}, err
	}
	ids, err := c.resolve(ctx, maxAge)
	if err != nil || len(ids) == 0 {
		return backend.Page{}, err
	}
	var page backend.Page
	for i, filter := range filters {
		at, err := c.fill(ctx, m, i, ids, search{filter: filter, among: len(filters), newest: query.Newest, metrics: query.Summary})
		if err != nil {
			return backend.Page{}, err
		}
		page.ServerTime = earliest(page.ServerTime, at)
	}
	for r, more := m.next(); more; r, more = m.next() {
		if run := c.run(r); wanted(run) {
			page.Runs = append(page.Runs, run)
		}
	}
	page.Next, err = m.cursor()
	return page, err
}

// fill reads on in a search until there is a run that was not given yet.
func (c *Client) fill(ctx context.Context, m *merge, i int, experiments []string, s search) (at time.Time, err error) {
	h := &m.heads[i]
	for pages := backend.PagesFrom(h.Token); h.due(); {
		s.token = h.Token
		page, err := c.searchTwice(ctx, experiments, s)
		if err != nil {
			return at, err
		}
		if _, err := pages.Turn(page.next); err != nil {
			return at, c.notMLflow(listOp, err)
		}
		at = earliest(at, page.at)
		h.take(page)
	}
	return at, nil
}

// merge makes one page of a list out of pages of searches that are in the same order.
type merge struct {
	newest bool
	heads  []head
	given  map[string]bool // by run id, on this page
}

// place is how far a list has come with one of its searches; the cursor of the list is the places of all of them.
type place struct {
	// Token is that of the page which comes next, and Skip how many of its runs were given already.
	Token string `json:"token,omitempty"`
	Skip  int    `json:"skip,omitempty"`
	Done  bool   `json:"done,omitempty"`
}

// head is a search with what is left of its page.
type head struct {
	place
	runs  []wireRun
	token string // of the page after this one; empty where this is the last
}

func newMerge(searches int, newest bool, cursor string) (*merge, error) {
	m := &merge{newest: newest, heads: make([]head, searches), given: map[string]bool{}}
	if cursor == "" {
		return m, nil
	}
	var places []place
	if err := json.Unmarshal([]byte(cursor), &places); err != nil || len(places) != searches {
		return nil, errCursor()
	}
	for i, p := range places {
		if p.Skip < 0 {
			return nil, errCursor()
		}
		m.heads[i].place = p
	}
	return m, nil
}

// cursor is empty where nothing is left.
func (m *merge) cursor() (string, error) {
	places, left := make([]place, len(m.heads)), false
	for i, h := range m.heads {
		places[i] = h.place
		left = left || !h.Done
	}
	if !left {
		return "", nil
	}
	cursor, err := json.Marshal(places)
	if err != nil {
		return "", &backend.Error{Kind: backend.Unsupported, Op: listOp, Message: "the place in the list could not be encoded", Err: err}
	}
	return string(cursor), nil
}

// next gives the next run, once; none where a search has to be read on before it is known which one that is.
func (m *merge) next() (wireRun, bool) {
	var first *head
	due := false
	for i := range m.heads {
		h := &m.heads[i]
		for len(h.runs) > 0 && m.given[h.runs[0].Info.RunID] {
			h.pop()
		}
		due = due || h.due()
		if len(h.runs) > 0 && (first == nil || m.before(h.runs[0], first.runs[0])) {
			first = h
		}
	}
	if due || first == nil {
		return wireRun{}, false
	}
	run := first.pop()
	m.given[run.Info.RunID] = true
	return run, true
}

// before is the order of the server: by start, what has none at the end, and by id among those that started at once.
func (m *merge) before(a, b wireRun) bool {
	x, y := a.Info.StartTime, b.Info.StartTime
	switch {
	case x == y:
		return a.Info.RunID < b.Info.RunID
	case x == 0 || y == 0:
		return y == 0
	}
	return (x < y) != m.newest
}

// due says that a page has to be read.
func (h *head) due() bool { return !h.Done && len(h.runs) == 0 }

// take takes over a page, from the first run that was not given yet. The page may be smaller than the one it was when
// runs of it were given.
func (h *head) take(page searched) {
	if h.token = page.next; h.Skip < len(page.runs) {
		h.runs = page.runs[h.Skip:]
		return
	}
	h.turn(h.Skip - len(page.runs))
}

func (h *head) pop() wireRun {
	run := h.runs[0]
	h.runs = h.runs[1:]
	if h.Skip++; len(h.runs) == 0 {
		h.turn(0)
	}
	return run
}

// turn goes on to the next page.
func (h *head) turn(skip int) {
	h.place = place{Token: h.token, Skip: skip, Done: h.token == ""}
}
