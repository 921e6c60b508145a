package wandbtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

const list = `query Runs($filters: JSONString, $order: String, $first: Int, $after: String, $names: [String]) {
	project(name: "capsules", entityName: "acme") {
		runCount(filters: $filters)
		runs(filters: $filters, order: $order, first: $first, after: $after, names: $names) {
			edges { cursor node { name } } pageInfo { endCursor hasNextPage } totalCount
		}
	}
}`

// page asks for one page and returns the names on it, the next cursor ("" on the last page), and the total.
func (c client) page(variables fields) (names []string, next string, total float64) {
	c.t.Helper()
	runs := at(c.ok(list, variables), "project", "runs")
	for _, edge := range at(runs, "edges").([]any) {
		names = append(names, at(edge, "node", "name").(string))
	}
	if more, _ := at(runs, "pageInfo", "hasNextPage").(bool); more {
		next = at(runs, "pageInfo", "endCursor").(string)
	}
	return names, next, at(runs, "totalCount").(float64)
}

func (c client) pages(variables fields) (names []string, pages int) {
	c.t.Helper()
	for {
		some, next, _ := c.page(variables)
		names = append(names, some...)
		pages++
		if next == "" {
			return names, pages
		}
		variables["after"] = next
	}
}

func seed(t *testing.T, server *wandbtest.Server, n int) (names []string) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("r%04d", i)
		add(t, server, wandbtest.Run{
			ID: name, State: "finished", CreatedAt: noon.Add(time.Duration(i) * time.Second),
			Summary: fields{"loss": float64(i % 10)}, Config: fields{"lr": fields{"value": float64(-i)}},
		})
		names = append(names, name)
	}
	return names
}

func TestPages(t *testing.T) {
	server, c := serve(t)
	names := seed(t, server, 1001)
	reversed := slices.Clone(names)
	slices.Reverse(reversed)
	for name, tc := range map[string]struct {
		variables fields
		want      []string
		pages     int
	}{
		"all by default":     {fields{"first": 100}, names, 11},
		"50 at a time":       {fields{}, names, 21},
		"never over 1000":    {fields{"first": 5000}, names, 2},
		"newest first":       {fields{"first": 400, "order": "-created_at"}, reversed, 3},
		"by configuration":   {fields{"first": 1000, "order": "+config.lr.value"}, reversed, 2},
		"filtered":           {fields{"first": 2, "filters": `{"name":{"$lt":"r0004"}}`}, names[:4], 2},
		"by name, in a list": {fields{"names": []string{"r0009", "r0003", "none"}}, []string{"r0003", "r0009"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, pages := c.pages(tc.variables)
			if diff := cmp.Diff(tc.want, got); diff != "" || pages != tc.pages {
				t.Errorf("%d pages, want %d; runs (-want +got):\n%s", pages, tc.pages, diff)
			}
		})
	}
}

func TestListCounts(t *testing.T) {
	server, c := serve(t)
	seed(t, server, 30)
	_, _, total := c.page(fields{"first": 1, "filters": `{"summary_metrics.loss":{"$lt":3}}`})
	count := at(c.ok(list, fields{"filters": `{"summary_metrics.loss":{"$lt":3}}`}), "project", "runCount")
	if total != 9 || count != 9.0 {
		t.Errorf("totalCount %v, runCount %v, want 9", total, count)
	}
}

func TestListRefuses(t *testing.T) {
	server, c := serve(t)
	seed(t, server, 1)
	for name, tc := range map[string]struct {
		variables fields
		want      string
	}{
		"malformed filter": {fields{"filters": `{"name":`}, "not a JSON object"},
		"unknown key":      {fields{"filters": `{"colour":"red"}`}, `unknown key "colour"`},
		"unknown order":    {fields{"order": "+colour"}, `invalid order "+colour"`},
		"cursor":           {fields{"after": "x!"}, `invalid cursor "x!"`},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _, message := c.graphql(list, tc.variables); status != 400 || !strings.Contains(message, tc.want) {
				t.Errorf("status %d, message %q", status, message)
			}
		})
	}
}

func TestNothingIsNull(t *testing.T) {
	server, c := serve(t)
	seed(t, server, 1)
	data := c.ok(`{ project(name: "none", entityName: "acme") { name } model(name: "capsules", entityName: "acme") {
		run(name: "none") { id } bucket(name: "none", missingOk: true) { id } there: run(name: "r0000") { id group notes host } } }`, nil)
	want := fields{"project": nil, "model": fields{"run": nil, "bucket": nil, "there": fields{
		"id": wandbtest.StorageID("acme", "capsules", "r0000"), "group": nil, "notes": nil, "host": nil,
	}}}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHiddenRowsLeavePagesEmpty(t *testing.T) {
	server, c := serve(t, wandbtest.WithFaults(wandbtest.Faults{HiddenRows: 10}))
	names := seed(t, server, 12)
	first, next, total := c.page(fields{"first": 5})
	if len(first) != 0 || next == "" || total != 12 {
		t.Errorf("the first page has %v, next %q, of %v", first, next, total)
	}
	if got, pages := c.pages(fields{"first": 5}); !slices.Equal(got, names[10:]) || pages != 3 {
		t.Errorf("%d pages have %v", pages, got)
	}
}

// TestPagesMissNoRunThatStays: runs that are there all the time are on exactly one page each, whatever comes and goes
// between the pages.
func TestPagesMissNoRunThatStays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		server, c := serve(t)
		names := seed(t, server, rapid.IntRange(1, 30).Draw(rt, "runs"))
		variables := fields{
			"first": rapid.IntRange(1, 7).Draw(rt, "first"),
			"order": rapid.SampledFrom([]string{"+created_at", "-created_at", "-summary_metrics.loss", "+config.none", "+name"}).Draw(rt, "order"),
		}
		gone := map[string]bool{}
		seen := map[string]int{}
		for added := 0; ; added++ {
			some, next, _ := c.page(variables)
			for _, name := range some {
				seen[name]++
			}
			if next == "" {
				break
			}
			variables["after"] = next
			victim := rapid.SampledFrom(names).Draw(rt, "deleted")
			if !gone[victim] {
				gone[victim] = true
				must(t, server.DeleteRun("acme/capsules/"+victim))
			}
			if added < 5 {
				add(t, server, wandbtest.Run{ID: fmt.Sprintf("new%d", added), CreatedAt: noon.Add(-time.Hour)})
			}
		}
		for _, name := range names {
			if seen[name] != 1 && !gone[name] || seen[name] > 1 {
				rt.Fatalf("%s was seen %d times", name, seen[name])
			}
		}
	})
}

func TestTagCounts(t *testing.T) {
	server, c := serve(t)
	add(t, server, wandbtest.Run{ID: "a", Tags: []string{"x", "y"}}, wandbtest.Run{ID: "b", Tags: []string{"x"}})
	data := c.ok(`{ project(name: "capsules", entityName: "acme") { tags { name } tagCounts { name count } runActiveCount } }`, nil)
	want := fields{"project": fields{
		"tags": []any{fields{"name": "x"}, fields{"name": "y"}}, "runActiveCount": 2.0,
		"tagCounts": []any{fields{"name": "x", "count": 2.0}, fields{"name": "y", "count": 1.0}},
	}}
	if diff := cmp.Diff(want, data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
