package mlflow

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

const listOp = "list runs"

// List gives one page of the runs that match. A look since a time is three searches, which come as one page while they
// are short. Reads by id or name come whole.
func (c *Client) List(ctx context.Context, query backend.Query, cursor string) (backend.Page, error) {
	page, err := c.list(ctx, query, cursor)
	return page, c.about(err)
}

func (c *Client) list(ctx context.Context, query backend.Query, cursor string) (backend.Page, error) {
	switch {
	case query.Select != nil:
		return c.listSelected(ctx, query, cursor)
	case query.All, len(query.AnyTag) > 0:
		return c.listTagged(ctx, query, cursor)
	case len(query.IDs) > 0:
		runs, at, err := c.byIDs(ctx, query.IDs, query.Summary)
		return backend.Page{Runs: runs, ServerTime: at}, err
	case len(query.Names) > 0:
		return c.byNames(ctx, query.Names, query.Summary)
	case !query.Since.IsZero():
		return c.listStages(ctx, sinceStages(query.Since), query.Summary, cursor)
	}
	return backend.Page{}, nil
}

// listStages goes through the searches one after the other. The cursor is the number of the search and its token.
func (c *Client) listStages(ctx context.Context, stages []stage, metrics []string, cursor string) (backend.Page, error) {
	at, token, err := parseCursor(cursor, len(stages))
	if err != nil {
		return backend.Page{}, err
	}
	ids, err := c.resolve(ctx, experimentsFor)
	if err != nil || len(ids) == 0 {
		return backend.Page{}, err
	}
	var page backend.Page
	for ; at < len(stages); at, token = at+1, "" {
		found, err := c.searchTwice(ctx, ids, search{filter: stages[at].filter, token: token, metrics: metrics})
		if err != nil {
			return backend.Page{}, err
		}
		page.ServerTime = earliest(page.ServerTime, found.at)
		for _, r := range found.runs {
			if stages[at].keep == nil || stages[at].keep(r) {
				page.Runs = append(page.Runs, c.run(r))
			}
		}
		if found.next != "" {
			page.Next = strconv.Itoa(at) + ":" + found.next
			return page, nil
		}
	}
	return page, nil
}

func parseCursor(cursor string, stages int) (stage int, token string, err error) {
	if cursor == "" {
		return 0, "", nil
	}
	number, token, _ := strings.Cut(cursor, ":")
	stage, err = strconv.Atoi(number)
	if err != nil || stage < 0 || stage >= stages || token == "" {
		return 0, "", errCursor()
	}
	return stage, token, nil
}

func errCursor() error {
	return &backend.Error{Kind: backend.Unsupported, Op: listOp, Message: "the cursor is not of this list: begin again"}
}

// byIDs reads runs by id. What is not found may be in an experiment that is newer than our list of them, so the list is
// read again, unless that was just now.
func (c *Client) byIDs(ctx context.Context, wanted, metrics []string) ([]backend.Run, time.Time, error) {
	var ids []string
	for _, id := range wanted {
		// An id that cannot be one is of no run; it must not get into a filter.
		if runID.MatchString(id) && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, time.Time{}, nil
	}
	among, err := c.resolve(ctx, experimentsFor)
	if err != nil {
		return nil, time.Time{}, err
	}
	runs, at, err := c.searchIDs(ctx, among, ids, metrics)
	if err != nil || len(runs) == len(ids) {
		return runs, at, err
	}
	again, err := c.resolve(ctx, experimentsAgain)
	if err != nil || slices.Equal(among, again) {
		return runs, at, err
	}
	return c.searchIDs(ctx, again, ids, metrics)
}

func (c *Client) searchIDs(ctx context.Context, among, ids, metrics []string) ([]backend.Run, time.Time, error) {
	found, err := c.searchAll(ctx, among, search{filter: idFilter(ids), metrics: metrics})
	if err != nil {
		return nil, time.Time{}, err
	}
	var runs []backend.Run
	seen := make(map[string]bool, len(found.runs))
	for _, r := range found.runs {
		id := r.Info.RunID
		if seen[id] {
			return nil, time.Time{}, c.notMLflow(listOp, errTwice)
		}
		seen[id] = true
		switch {
		case slices.Contains(ids, id):
			runs = append(runs, c.run(r))
		// Some databases compare without regard to case.
		case !slices.ContainsFunc(ids, func(asked string) bool { return strings.EqualFold(asked, id) }):
			return nil, time.Time{}, c.notMLflow(listOp, errOtherRuns)
		}
	}
	return runs, found.at, nil
}

// What is not in an answer by id counts as deleted, so an answer to something else must not pass for one.
var (
	errTwice     = errors.New("the answer has a run twice")
	errOtherRuns = errors.New("the answer is about other runs")
)

// byNames reads runs by name: a search for each, as there is no OR.
func (c *Client) byNames(ctx context.Context, names, metrics []string) (backend.Page, error) {
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	found, err := c.searchNames(ctx, names, metrics, experimentsFor)
	if err == nil && slices.ContainsFunc(found, func(r searched) bool { return len(r.runs) == 0 }) {
		before, _ := c.experiments.known()
		after, again := c.resolve(ctx, experimentsAgain)
		switch {
		case again != nil:
			err = again
		case !slices.Equal(before, after):
			found, err = c.searchNames(ctx, names, metrics, experimentsFor)
		}
	}
	if err != nil {
		return backend.Page{}, err
	}
	var page backend.Page
	for i, result := range found {
		page.ServerTime = earliest(page.ServerTime, result.at)
		for _, r := range result.runs {
			if r.Info.RunName == names[i] {
				page.Runs = append(page.Runs, c.run(r))
			}
		}
	}
	return page, nil
}

func (c *Client) searchNames(ctx context.Context, names, metrics []string, maxAge time.Duration) ([]searched, error) {
	among, err := c.resolve(ctx, maxAge)
	if err != nil {
		return nil, err
	}
	found := make([]searched, len(names))
	for i, name := range names {
		if found[i], err = c.searchAll(ctx, among, search{filter: nameFilter(name), metrics: metrics}); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// search is one page of runs/search.
type search struct {
	filter, token string
	size          int
	// among is how many searches share the size, as a page of each is in memory at once; 0 is one.
	among  int
	newest bool
	// metrics are the keys of those to keep.
	metrics []string
}

func (s search) results() int { return max(s.size/max(s.among, 1), min(s.size, smallestPage)) }

// searched is what a search found.
type searched struct {
	runs []wireRun
	next string
	// at is the server's time, of the first page.
	at time.Time
}

// searchAll reads all pages of a search.
func (c *Client) searchAll(ctx context.Context, experiments []string, s search) (searched, error) {
	var all searched
	if len(experiments) == 0 {
		return all, nil
	}
	for pages := (backend.Pages{}); ; s.token = all.next {
		page, err := c.searchTwice(ctx, experiments, s)
		if err != nil {
			return searched{}, err
		}
		all.runs = append(all.runs, page.runs...)
		all.next, all.at = page.next, earliest(all.at, page.at)
		if more, err := pages.Turn(page.next); err != nil {
			return searched{}, c.notMLflow(listOp, err)
		} else if !more {
			return all, nil
		}
	}
}

// searchTwice reads one page of the size that fits now. Where the server answered, but not with a page, it is asked once
// more, for a smaller one: it may have been too big; and 3.17 answers 500 to one in some hundred searches that overlap
// where Flask-WTF is not installed, as each imports mlflow.server.auth anew and may see it half done (seen on 3.17.2).
func (c *Client) searchTwice(ctx context.Context, experiments []string, s search) (searched, error) {
	for again := true; ; again = false {
		s.size = int(c.page.Load())
		found, err := c.searchPage(ctx, experiments, s)
		c.adapt(s.size, err)
		if err == nil || !again || !answeredBadly(err) {
			return found, err
		}
	}
}

// answeredBadly tells a server that answered from one that did not, or that wants to be left alone for a while.
func answeredBadly(err error) bool {
	var e *backend.Error
	return errors.As(err, &e) && e.Kind == backend.Unavailable && e.Until.IsZero() && e.Err == nil
}

// searchPage reads one page. Tokens are offsets, so the oldest come first: a run that is made meanwhile is at the end.
func (c *Client) searchPage(ctx context.Context, experiments []string, s search) (searched, error) {
	order := "attributes.start_time ASC"
	if s.newest {
		order = "attributes.start_time DESC"
	}
	in := struct {
		ExperimentIDs []string `json:"experiment_ids"`
		Filter        string   `json:"filter,omitempty"`
		RunViewType   string   `json:"run_view_type"`
		MaxResults    int      `json:"max_results"`
		OrderBy       []string `json:"order_by"`
		PageToken     string   `json:"page_token,omitempty"`
	}{experiments, s.filter, "ACTIVE_ONLY", s.results(), []string{order}, s.token}
	var out struct {
		Runs          []wireRun `json:"runs"`
		NextPageToken string    `json:"next_page_token"`
	}
	response, err := c.do(ctx, call{op: listOp, method: http.MethodPost, path: "runs/search",
		in: in, out: &out, fields: []string{"runs", "next_page_token"}})
	if err != nil {
		return searched{}, err
	}
	for i := range out.Runs {
		if out.Runs[i].Info.RunID == "" {
			return searched{}, c.notMLflow(listOp, errNoID)
		}
		if err := out.Runs[i].takeMetrics(s.metrics); err != nil {
			return searched{}, c.notMLflow(listOp, err)
		}
	}
	return searched{runs: out.Runs, next: out.NextPageToken, at: response.ServerTime}, nil
}

// errNoID: what has no id is no run.
var errNoID = errors.New("the list has a run without an id")

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
