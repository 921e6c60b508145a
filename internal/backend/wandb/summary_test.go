package wandb

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runtag/runtag/internal/backend"
)

// plainList is what lists ask where nobody wants metrics.
const plainList = `query RuntagRuns($entity:String!,$project:String!,$filters:JSONString,$order:String,$first:Int,$after:String){
  viewer{id}
  project(name:$project,entityName:$entity){
    runs(filters:$filters,order:$order,first:$first,after:$after){
      edges{node{id name displayName state tags createdAt heartbeatAt host user{username} group jobType}}
      pageInfo{endCursor hasNextPage}
    }
  }
}`

func TestMetricsAreAskedForInTheSameRequest(t *testing.T) {
	f := newFake(t, many(1, "finished")...)
	c := f.client(t)
	ids := backend.Query{IDs: []string{"r000"}}
	for _, keys := range [][]string{nil, {"loss", "val/loss", "a.b.c"}} {
		ids.Summary = keys
		if _, err := c.List(t.Context(), ids, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Change(t.Context(), addToAll(1, "", add("ours"))); err != nil {
		t.Fatal(err)
	}
	reads := f.requests("read")
	if len(reads) != 3 {
		t.Fatalf("%d reads, want one for each list and one before the write", len(reads))
	}
	for _, i := range []int{0, 2} {
		if diff := cmp.Diff(plainList, reads[i].Query); diff != "" || reads[i].Variables["keys"] != nil {
			t.Errorf("read %d, for which nobody wants metrics, asks something else (-want +got):\n%s", i, diff)
		}
	}
	with := strings.NewReplacer("$after:String)", "$after:String,$keys:[String!])", " host ", " host summaryMetrics(keys:$keys) ").Replace(plainList)
	if diff := cmp.Diff(with, reads[1].Query); diff != "" {
		t.Errorf("a read with metrics (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"loss", "val/loss", "a.b.c", "a", "a.b"}, reads[1].list("keys")); diff != "" {
		t.Errorf("keys, with what may hold a nested one (-want +got):\n%s", diff)
	}
}

// summaries are nodes of runs by their summaryMetrics in JSON.
func summaries(texts ...string) string {
	var nodes []string
	for i, text := range texts {
		run := (&stored{ID: "id" + strconv.Itoa(i), Name: "r" + strconv.Itoa(i), State: "running", CreatedAt: "2026-01-02T00:00:00Z", Tags: []string{}}).json()
		nodes = append(nodes, strings.TrimSuffix(run, "}")+text+"}")
	}
	return listOf(nodes)
}

func TestMetricsAsServersSendThem(t *testing.T) {
	cases := []struct {
		field  string // in the run's node
		want   map[string]float64
		reason string
	}{
		{`,"summaryMetrics":"{\"loss\":0.5,\"more\":1}"`, map[string]float64{"loss": 0.5}, "what was not asked for is let go"},
		{`,"summaryMetrics":"{\"a\":{\"b\":1,\"c\":2}}"`, map[string]float64{"a.b": 1}, "a nested value comes within what holds it"},
		{`,"summaryMetrics":"{\"a.b\":1}"`, map[string]float64{"a.b": 1}, "or by its whole name"},
		{`,"summaryMetrics":"{\"loss\":\"NaN\",\"a.b\":\"-Infinity\"}"`, map[string]float64{"loss": math.NaN(), "a.b": math.Inf(-1)}, "what JSON cannot write comes as words"},
		{`,"summaryMetrics":"{\"loss\":NaN,\"a.b\":Infinity}"`, map[string]float64{"loss": math.NaN(), "a.b": math.Inf(1)}, "maybe bare ones"},
		{`,"summaryMetrics":"{\"loss\":{\"min\":0.1},\"a.b\":\"text\"}"`, map[string]float64{}, "what is no number is left out"},
		{`,"summaryMetrics":"{}"`, map[string]float64{}, "there is none"},
		{`,"summaryMetrics":null`, map[string]float64{}, "nothing was logged yet"},
		{``, map[string]float64{}, "nor is anything said of it"},
		{`,"summaryMetrics":"oops"`, nil, "what cannot be read says nothing, and hides no run"},
		{`,"summaryMetrics":"[1]"`, nil, "nor does what is no object"},
	}
	var fields []string
	for _, tc := range cases {
		fields = append(fields, tc.field)
	}
	f := newFake(t)
	f.instead = func(asked) (int, string) { return 200, summaries(fields...) }
	c := f.client(t)
	page, err := c.List(t.Context(), backend.Query{All: true, Summary: []string{"loss", "a.b"}}, "")
	if err != nil || len(page.Runs) != len(cases) {
		t.Fatalf("%d runs, %v", len(page.Runs), err)
	}
	for i, tc := range cases {
		if diff := cmp.Diff(tc.want, page.Runs[i].Summary, cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s (-want +got):\n%s%s", tc.field, diff, tc.reason)
		}
	}
	if n := c.Notices(); len(n) != 1 || !strings.Contains(n[0], `"r9"`) {
		t.Errorf("notices = %q, want one that names the first run whose metrics cannot be read", n)
	}
}

func TestServerWithoutSingleMetrics(t *testing.T) {
	f := newFake(t, many(1, "finished")...)
	f.instead = func(a asked) (int, string) {
		if strings.Contains(a.Query, "summaryMetrics") {
			return 400, `{"errors":[{"message":"Unknown argument \"keys\" on field \"summaryMetrics\" of type \"Run\"."}]}`
		}
		return 0, ""
	}
	c := f.client(t)
	for range 2 {
		page, err := c.List(t.Context(), backend.Query{IDs: []string{"r000"}, Summary: []string{"loss"}}, "")
		if err != nil || len(page.Runs) != 1 || page.Runs[0].Summary != nil || page.Runs[0].Host != "pod-1" {
			t.Fatalf("%+v, %v, want the run with all but metrics, of which nothing is said", page, err)
		}
	}
	if got := len(f.requests("read")); got != 3 {
		t.Errorf("%d requests, want to ask for metrics only once", got)
	}
	if n := c.Notices(); len(n) != 1 || !strings.Contains(n[0], "run.summary") {
		t.Errorf("notices = %q", n)
	}
}
