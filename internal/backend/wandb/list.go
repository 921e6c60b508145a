package wandb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/metric"
)

// listDocument asks for what backend.Run holds and no more; the places are for a variable more, and for fields.
const listDocument = `query RuntagRuns($entity:String!,$project:String!,$filters:JSONString,$order:String,$first:Int,$after:String%s){
  viewer{id}
  project(name:$project,entityName:$entity){
    runs(filters:$filters,order:$order,first:$first,after:$after){
      edges{node{id name displayName state tags createdAt heartbeatAt%s user{username} group jobType}}
      pageInfo{endCursor hasNextPage}
    }
  }
}`

// question is one list: its filter, and what the filter promises, which is checked on our side as well.
type question struct {
	op      string
	filters string
	order   string
	// asked is the number of ids or names; 0 for other lists.
	asked int
	// metrics are the keys of Query.Summary.
	metrics []string
	matches func(backend.Run) bool
	// strange says of a run that no server gives that heeds the filter: what else it leaves out is not missing.
	strange func(backend.Run) bool
}

// List gives one page of the runs that match.
func (c *Client) List(ctx context.Context, query backend.Query, cursor string) (backend.Page, error) {
	if query.Select != nil && len(query.Select.IDs) > 0 {
		return c.listChosen(ctx, query)
	}
	q, err := c.question(query)
	if err != nil {
		return backend.Page{}, err
	}
	runs, page, err := c.page(ctx, q, cursor)
	if err != nil {
		return backend.Page{}, err
	}
	for _, run := range runs {
		page.Runs = append(page.Runs, run.Run)
	}
	return page, nil
}

// question writes the filter of a query. It is JSON made by the encoder, so that no id or name can say more than itself.
func (c *Client) question(query backend.Query) (question, error) {
	q := question{op: "list runs of " + c.place(), order: oldestFirst, metrics: query.Summary, matches: func(backend.Run) bool { return true }}
	var filter map[string]any
	switch {
	case query.Select != nil:
		filter, q.asked = selectionFilter(*query.Select), len(query.Select.IDs)
		q.matches = func(r backend.Run) bool { return query.Select.Matches(c.Dialect(), r) }
		q.order = orderOf(query)
	case len(query.IDs) > 0:
		wanted := setOf(query.IDs)
		q.op, q.asked = "read runs of "+c.place(), len(query.IDs)
		q.matches = func(r backend.Run) bool { _, ok := wanted[r.ID]; return ok }
		q.strange = notOf(query.IDs)
		filter = map[string]any{"name": map[string]any{"$in": query.IDs}}
	case len(query.Names) > 0:
		wanted := setOf(query.Names)
		q.op, q.asked = "read runs of "+c.place()+" by name", len(query.Names)
		q.matches = func(r backend.Run) bool { _, ok := wanted[r.Name]; return ok }
		filter = map[string]any{"displayName": map[string]any{"$in": query.Names}}
	case !query.Since.IsZero():
		filter = changedSince(query.Since)
	case query.All, len(query.AnyTag) > 0:
		filter = tagFilter(query)
		q.matches = func(r backend.Run) bool { return query.WantsTags(c.Dialect(), r.Tags) }
		q.order = orderOf(query)
	default:
		return q, &backend.Error{Kind: backend.Unsupported, Op: q.op, Message: "the query names no ids, no names, no time, no tags, no selection and not all runs"}
	}
	encoded, err := json.Marshal(filter)
	if err != nil {
		return q, &backend.Error{Kind: backend.Unsupported, Op: q.op, Message: "the filter could not be encoded", Err: err}
	}
	q.filters = string(encoded)
	return q, nil
}

// notOf tells runs of other ids. A database may take upper and lower case for the same, which is none of our business.
func notOf(ids []string) func(backend.Run) bool {
	folded := make(map[string]bool, len(ids))
	for _, id := range ids {
		folded[strings.ToLower(id)] = true
	}
	return func(r backend.Run) bool { return !folded[strings.ToLower(r.ID)] }
}

// changedSince filters what is active, or was active or created after t. The time is cut to the second before it, and
// ends in Z: without the Z, servers silently match nothing.
func changedSince(t time.Time) map[string]any {
	after := map[string]any{"$gt": t.UTC().Format(time.RFC3339)}
	active := []backend.State{backend.StateRunning, backend.StatePending, backend.StatePreempting}
	return map[string]any{"$or": []any{
		map[string]any{"state": map[string]any{"$in": active}},
		map[string]any{"heartbeatAt": after},
		map[string]any{"createdAt": after},
	}}
}

// The orders of lists. They are the names that W&B documents, though filters call the same createdAt.
const (
	oldestFirst = "+created_at"
	newestFirst = "-created_at"
)

func orderOf(query backend.Query) string {
	if query.Newest {
		return newestFirst
	}
	return oldestFirst
}

// tagFilter filters by tags alone. On a list, $in asks for one of them and $nin for none.
func tagFilter(query backend.Query) map[string]any {
	var parts []any
	if !query.All {
		parts = append(parts, map[string]any{"tags": map[string]any{"$in": query.AnyTag}})
	}
	if len(query.WithoutTags) > 0 {
		parts = append(parts, map[string]any{"tags": map[string]any{"$nin": query.WithoutTags}})
	}
	if len(parts) == 0 {
		return map[string]any{}
	}
	return map[string]any{"$and": parts}
}

// errAskedTooMany: ask again, for as many as Limits now says.
var errAskedTooMany = errors.New("the server takes fewer ids at once")

// page asks for one page, with smaller pages and without host or metrics where the server insists. Each try asks for
// less than the one before it, so it ends.
func (c *Client) page(ctx context.Context, q question, cursor string) ([]seen, backend.Page, error) {
	for {
		limits := c.learned.current()
		askHost := c.learned.ask(fieldHost)
		if !c.learned.ask(fieldSummary) {
			q.metrics = nil
		}
		answer, err := c.call(ctx, q.op, "list runs", listQuery(askHost, len(q.metrics) > 0), c.listVariables(q, cursor, limits.Page))
		switch {
		case err != nil:
			return nil, backend.Page{}, err
		case askHost && refuses(answer, fieldHost):
			c.learned.forget(fieldHost)
		case len(q.metrics) > 0 && refuses(answer, fieldSummary):
			c.learned.forget(fieldSummary)
		case tooLarge(answer) && q.asked > 1 && c.learned.readRefused(q.asked):
			return nil, backend.Page{}, &backend.Error{Kind: backend.Unavailable, Op: q.op, Err: errAskedTooMany, Message: fmt.Sprintf(
				"%s does not take a question about %d runs; the next one is about fewer", c.server, q.asked)}
		case tooLarge(answer) && q.asked <= 1 && c.learned.pageRefused(limits.Page):
		default:
			return c.decodePage(q, cursor, answer)
		}
	}
}

// Fields of Run that a server may not have, or not as we ask for them. Lists are worth having without.
const (
	fieldHost    = "host"
	fieldSummary = "summaryMetrics"
)

func listQuery(askHost, askMetrics bool) string {
	variable, fields := "", ""
	if askHost {
		fields += " " + fieldHost
	}
	if askMetrics {
		variable, fields = ",$keys:[String!]", fields+" "+fieldSummary+"(keys:$keys)"
	}
	return fmt.Sprintf(listDocument, variable, fields)
}

func (c *Client) listVariables(q question, cursor string, page int) map[string]any {
	variables := c.names()
	variables["filters"] = q.filters
	variables["order"] = q.order
	variables["first"] = page
	if cursor != "" {
		variables["after"] = cursor
	}
	if len(q.metrics) > 0 {
		// That keys may be paths is written nowhere, and W&B's own client asks for outermost names alone
		// (weave/ops_domain/run_ops.py in wandb/weave). So a nested value is also asked for by what holds it.
		variables["keys"] = metric.Parents(q.metrics)
	}
	return variables
}

// refuses says that the server does not know a field, or an argument of it.
func refuses(answer reply, field string) bool {
	return slices.ContainsFunc(answer.errors, func(e graphError) bool {
		return saysAny(e.Message, []string{"cannot query field", "unknown argument"}) && saysAny(e.Message, []string{strings.ToLower(field)})
	})
}

type connection struct {
	Runs *struct {
		Edges []struct {
			Node *node `json:"node"`
		} `json:"edges"`
		PageInfo *struct {
			EndCursor   string `json:"endCursor"`
			HasNextPage *bool  `json:"hasNextPage"`
		} `json:"pageInfo"`
	} `json:"runs"`
}

// decodePage reads a page. Whether another one follows is told by pageInfo alone: a page of runs that the key may not
// see is empty and not the last.
func (c *Client) decodePage(q question, cursor string, answer reply) ([]seen, backend.Page, error) {
	var project connection
	if err := c.readProject(q.op, answer, &project); err != nil {
		return nil, backend.Page{}, err
	}
	if project.Runs == nil || project.Runs.PageInfo == nil || project.Runs.PageInfo.HasNextPage == nil {
		return nil, backend.Page{}, c.malformed(q.op, "the list of runs has no pageInfo")
	}
	page := backend.Page{ServerTime: answer.serverTime}
	if *project.Runs.PageInfo.HasNextPage {
		page.Next = project.Runs.PageInfo.EndCursor
		if page.Next == "" || page.Next == cursor {
			return nil, backend.Page{}, c.malformed(q.op, "the list of runs goes on without saying where")
		}
	}
	runs := make([]seen, 0, len(project.Runs.Edges))
	had := map[string]bool{}
	for _, edge := range project.Runs.Edges {
		if edge.Node == nil {
			return nil, backend.Page{}, c.malformed(q.op, "the list of runs has a run that is null")
		}
		run, err := c.decodeRun(*edge.Node)
		if err != nil {
			return nil, backend.Page{}, c.malformed(q.op, c.clean(err.Error()))
		}
		if q.strange != nil && (q.strange(run.Run) || had[run.ID]) {
			return nil, backend.Page{}, c.malformed(q.op, "it was asked for some runs by id and gave other ones, or one of them twice")
		}
		had[run.ID] = true
		run.Summary = c.summary(*edge.Node, q.metrics)
		if q.matches(run.Run) {
			runs = append(runs, run)
		}
	}
	return runs, page, nil
}
