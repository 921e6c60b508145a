package mlflow

import (
	"fmt"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
)

func TestSelectionFilters(t *testing.T) {
	many := make([]string, mostIDs+1)
	for i := range many {
		many[i] = fmt.Sprintf("r%04d", i)
	}
	noon := time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC)
	cases := []struct {
		reason string
		sel    backend.Selection
		want   []string
	}{
		{"nothing said is one search of all", backend.Selection{}, []string{""}},
		{"tags are searched for together", backend.Selection{Tags: []string{"a", "team=nlp"}}, []string{"tags.`a` LIKE '%%' AND tags.`team` = 'nlp'"}},
		{"one that could break out is not", backend.Selection{Tags: []string{"x` LIKE '%", "a"}}, []string{"tags.`a` LIKE '%%'"}},
		{"one that no run can have finds none", backend.Selection{Tags: []string{"a", "mlflow.user"}}, nil},
		{"!= gives no run that lacks a tag", backend.Selection{WithoutTags: []string{"a"}}, []string{""}},
		{"of states the others are left out", backend.Selection{States: []backend.State{backend.StateFailed, backend.StateKilled, backend.StateCrashed}},
			[]string{"attributes.status != 'FINISHED' AND attributes.status != 'RUNNING' AND attributes.status != 'SCHEDULED'"}},
		{"what we do not know is none of those we know", backend.Selection{States: []backend.State{backend.StateUnknown, backend.StateFinished}},
			[]string{"attributes.status != 'FAILED' AND attributes.status != 'KILLED' AND attributes.status != 'RUNNING' AND attributes.status != 'SCHEDULED'"}},
		{"states that MLflow has not find none", backend.Selection{States: []backend.State{backend.StateCrashed, backend.StatePreempted}}, nil},
		{"nor do groups", backend.Selection{Groups: []string{"g"}}, nil},
		{"times are milliseconds", backend.Selection{CreatedAfter: noon, CreatedBefore: noon}, []string{"attributes.start_time > 1784116800000 AND attributes.start_time < 1784116800000"}},
		{"between two of them, what is outside is asked for", backend.Selection{CreatedAfter: noon.Add(1), CreatedBefore: noon.Add(1)},
			[]string{"attributes.start_time > 1784116800000 AND attributes.start_time < 1784116800001"}},
		{"a server need not know negative ones", backend.Selection{CreatedAfter: time.Unix(-5, 0), CreatedBefore: time.Unix(-5, 0)}, []string{"attributes.start_time > 0 AND attributes.start_time < 0"}},
		{"ids are asked for once, those that are none are not", backend.Selection{IDs: []string{"b", "a", "b", "x') OR ('1'='1"}, Tags: []string{"t"}}, []string{"attributes.run_id IN ('a','b') AND tags.`t` LIKE '%%'"}},
		{"if none is one, nothing is", backend.Selection{IDs: []string{"x y"}}, nil},
		{"more than fit are more searches", backend.Selection{IDs: many}, []string{idFilter(many[:mostIDs]), idFilter(many[mostIDs:])}},
	}
	for _, c := range cases {
		if diff := gocmp.Diff(c.want, selectionFilters(c.sel)); diff != "" {
			t.Errorf("filters (-want +got):\n%s%s", diff, c.reason)
		}
	}
}

func TestSelectionOfNothingPossibleIsNotAsked(t *testing.T) {
	server := &searches{t: t}
	page, err := newClient(t, Config{HTTP: doer(server.answer)}).List(t.Context(), backend.Query{Select: &backend.Selection{Groups: []string{"g"}}}, "")
	if err != nil || len(page.Runs) != 0 || page.Next != "" || len(server.log) != 0 {
		t.Errorf("%+v, %v after %s; want no runs and no search", page, err, strings.Join(server.log, "; "))
	}
}
