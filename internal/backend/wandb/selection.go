package wandb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

// selectionFilter asks for at least the runs that match. It takes only operators that W&B documents: $all is not one of
// them, so each tag is a condition of its own.
func selectionFilter(s backend.Selection) map[string]any {
	parts := []any{}
	add := func(key, operator string, operand any) {
		parts = append(parts, map[string]any{key: map[string]any{operator: operand}})
	}
	for _, tag := range s.Tags {
		add("tags", "$in", []string{tag})
	}
	if len(s.WithoutTags) > 0 {
		add("tags", "$nin", s.WithoutTags)
	}
	// What we call unknown has many names, or none.
	if len(s.States) > 0 && !slices.Contains(s.States, backend.StateUnknown) {
		add("state", "$in", s.States)
	}
	if len(s.IDs) > 0 {
		add("name", "$in", s.IDs)
	}
	if len(s.Groups) > 0 {
		add("group", "$in", s.Groups)
	}
	if !s.CreatedAfter.IsZero() {
		add("createdAt", "$gt", s.CreatedAfter.UTC().Format(time.RFC3339))
	}
	if !s.CreatedBefore.IsZero() {
		add("createdAt", "$lt", s.CreatedBefore.Add(time.Second-1).UTC().Format(time.RFC3339))
	}
	if len(parts) == 0 {
		return map[string]any{}
	}
	return map[string]any{"$and": parts}
}

// listChosen lists runs that are selected by id, as one page: as many questions as it takes for their number.
func (c *Client) listChosen(ctx context.Context, query backend.Query) (backend.Page, error) {
	var page backend.Page
	ids := slices.Compact(slices.Sorted(slices.Values(query.Select.IDs)))
	for len(ids) > 0 {
		part := *query.Select
		part.IDs = ids[:min(len(ids), c.Limits().Read)]
		q, err := c.question(backend.Query{Select: &part, Newest: query.Newest, Summary: query.Summary})
		if err != nil {
			return backend.Page{}, err
		}
		var runs []backend.Run
		at, err := c.readWhole(ctx, q, func(run seen) { runs = append(runs, run.Run) })
		if errors.Is(err, errAskedTooMany) {
			continue // the next question is about fewer
		}
		if err != nil {
			return backend.Page{}, err
		}
		if page.ServerTime.IsZero() {
			page.ServerTime = at
		}
		page.Runs = append(page.Runs, runs...)
		ids = ids[len(part.IDs):]
	}
	slices.SortStableFunc(page.Runs, func(a, b backend.Run) int {
		if query.Newest {
			a, b = b, a
		}
		return a.CreatedAt.Compare(b.CreatedAt)
	})
	return page, nil
}

// readWhole reads all pages of a question about ids, and gives each run once. Ids are unique in a project, so it ends when
// there are as many runs as were asked for.
func (c *Client) readWhole(ctx context.Context, q question, give func(seen)) (serverTime time.Time, err error) {
	given := make(map[string]bool, q.asked)
	cursor := ""
	for pages := 0; pages <= q.asked; pages++ {
		runs, page, err := c.page(ctx, q, cursor)
		if err != nil {
			return serverTime, err
		}
		if pages == 0 {
			serverTime = page.ServerTime
		}
		for _, run := range runs {
			if !given[run.ID] {
				given[run.ID] = true
				give(run)
			}
		}
		if page.Next == "" || len(given) == q.asked {
			return serverTime, nil
		}
		cursor = page.Next
	}
	return serverTime, c.malformed(q.op, fmt.Sprintf("a list of %d runs does not end", q.asked))
}
