package backend_test

import (
	"testing"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

func TestSelectionMatches(t *testing.T) {
	noon := time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC)
	run := backend.Run{ID: "r1", Name: "n", State: backend.StateFailed, Group: "g", CreatedAt: noon, Tags: tags.Set{"a": "", "b": "", "k=v": ""}}
	bare := backend.Run{ID: "r2"}
	cases := []struct {
		reason string
		sel    backend.Selection
		run    backend.Run
		want   bool
	}{
		{"nothing said is every run", backend.Selection{}, bare, true},
		{"the tag is there", backend.Selection{Tags: []string{"a"}}, run, true},
		{"all of them are", backend.Selection{Tags: []string{"a", "k=v"}}, run, true},
		{"one of them is not", backend.Selection{Tags: []string{"a", "c"}}, run, false},
		{"none of these is there", backend.Selection{WithoutTags: []string{"c", "k"}}, run, true},
		{"one of these is", backend.Selection{WithoutTags: []string{"c", "b"}}, run, false},
		{"both are heeded", backend.Selection{Tags: []string{"a"}, WithoutTags: []string{"b"}}, run, false},
		{"one of the states", backend.Selection{States: []backend.State{backend.StateRunning, backend.StateFailed}}, run, true},
		{"none of the states", backend.Selection{States: []backend.State{backend.StateRunning}}, run, false},
		{"one of the ids", backend.Selection{IDs: []string{"r2", "r1"}}, run, true},
		{"an id is exact, and no name", backend.Selection{IDs: []string{"R1", "n"}}, run, false},
		{"one of the groups", backend.Selection{Groups: []string{"h", "g"}}, run, true},
		{"none of the groups", backend.Selection{Groups: []string{"G"}}, run, false},
		{"a run without a group is in none, not even in one without a name", backend.Selection{Groups: []string{""}}, bare, false},
		{"after", backend.Selection{CreatedAfter: noon.Add(-1)}, run, true},
		{"not at the time itself", backend.Selection{CreatedAfter: noon}, run, false},
		{"before", backend.Selection{CreatedBefore: noon.Add(1)}, run, true},
		{"nor at this one", backend.Selection{CreatedBefore: noon}, run, false},
		{"between", backend.Selection{CreatedAfter: noon.Add(-1), CreatedBefore: noon.Add(1)}, run, true},
		{"a run of unknown age is not before", backend.Selection{CreatedBefore: noon}, bare, false},
		{"one thing that is not so is enough", backend.Selection{Tags: []string{"a"}, IDs: []string{"r1"}, Groups: []string{"h"}}, run, false},
	}
	for _, c := range cases {
		if got := c.sel.Matches(tags.Dialect{}, c.run); got != c.want {
			t.Errorf("%+v matches: %v, want %v: %s", c.sel, got, c.want, c.reason)
		}
	}
	pair := backend.Run{Tags: tags.Set{"team": "vision", "no": "false"}}
	for name, want := range map[string]bool{"team": true, "team=vision": true, "team=nlp": false, "no": false} {
		sel, not := backend.Selection{Tags: []string{name}}, backend.Selection{WithoutTags: []string{name}}
		if got := sel.Matches(tags.Dialect{Pairs: true}, pair); got != want || not.Matches(tags.Dialect{Pairs: true}, pair) == want {
			t.Errorf("%q is on the run: %v, want %v, where tags are keys with values", name, got, want)
		}
	}
}
