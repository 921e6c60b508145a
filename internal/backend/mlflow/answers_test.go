package mlflow

import (
	"fmt"
	"strings"
	"testing"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
)

// TestAnswersToSomethingElse: what is not found counts as deleted, so what does not answer the question must be an error.
func TestAnswersToSomethingElse(t *testing.T) {
	run := func(id string) string { return fmt.Sprintf(`{"info":{"run_id":%q}}`, id) }
	const forecast = `{"experiment":{"experiment_id":"1","name":"forecast"}}`
	cases := map[string]struct {
		reason      string
		experiments string // whose names the project has; empty is forecast
		found       string // the answer for experiments
		runs        []string
		want        int // runs; -1 is an error
	}{
		"all":                       {reason: "it is what was asked for", found: forecast, runs: []string{"a", "b"}, want: 2},
		"one":                       {reason: "a run may be gone", found: forecast, runs: []string{"b"}, want: 1},
		"none":                      {reason: "so may all", found: forecast},
		"another case":              {reason: "databases may compare without regard to it", found: forecast, runs: []string{"a", "A", "b"}, want: 2},
		"another run":               {reason: "then nobody asked about ours", found: forecast, runs: []string{"a", "c"}, want: -1},
		"a run twice":               {reason: "then one of the others is missing", found: forecast, runs: []string{"a", "a"}, want: -1},
		"another experiment":        {reason: "ours are not in it", found: `{"experiment":{"experiment_id":"0","name":"Default"}}`, want: -1},
		"an experiment's case":      {reason: "databases may compare without regard to it", found: `{"experiment":{"experiment_id":"1","name":"Forecast"}}`, runs: []string{"a"}, want: 1},
		"experiments without an id": {reason: "runs cannot be looked for there", experiments: "fore*", found: `{"experiments":[{"name":"forecast"}]}`, want: -1},
		"experiments in a circle": {
			reason: "the end never comes", experiments: "fore*", want: -1,
			found: `{"experiments":[{"name":"forecast","experiment_id":"1"}],"next_page_token":"a"}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			config := Config{HTTP: doer(func(r transport.Request) (transport.Response, error) {
				if strings.Contains(r.URL, "/experiments/") {
					return transport.Response{Status: 200, Body: []byte(c.found)}, nil
				}
				var runs []string
				for _, id := range c.runs {
					runs = append(runs, run(id))
				}
				return transport.Response{Status: 200, Body: fmt.Appendf(nil, `{"runs":[%s]}`, strings.Join(runs, ","))}, nil
			})}
			if c.experiments != "" {
				config.Experiments = []string{c.experiments}
			}
			page, err := newClient(t, config).List(t.Context(), backend.Query{IDs: []string{"a", "b"}}, "")
			switch {
			case c.want < 0 && !backend.IsKind(err, backend.Unavailable):
				t.Errorf("%d runs and the error %v, want one of Unavailable: %s", len(page.Runs), err, c.reason)
			case c.want >= 0 && (err != nil || len(page.Runs) != c.want):
				t.Errorf("%d runs and the error %v, want %d: %s", len(page.Runs), err, c.want, c.reason)
			}
		})
	}
}
