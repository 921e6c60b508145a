package mlflow

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/tags"
)

// doer answers requests with a function.
type doer func(transport.Request) (transport.Response, error)

func (d doer) Do(_ context.Context, r transport.Request) (transport.Response, error) { return d(r) }

func newClient(t *testing.T, config Config) *Client {
	t.Helper()
	if config.TrackingURI == "" {
		config.TrackingURI = "https://mlflow.example/ml/"
	}
	if config.Experiments == nil {
		config.Experiments = []string{"forecast"}
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewRefuses(t *testing.T) {
	http := doer(nil)
	cases := []struct {
		reason string
		config Config
	}{
		{"an address must be one", Config{TrackingURI: "https://a b/", Experiments: []string{"e"}, HTTP: http}},
		{"only http and https are spoken", Config{TrackingURI: "file:///tmp", Experiments: []string{"e"}, HTTP: http}},
		{"an address without a host leads nowhere", Config{TrackingURI: "https:///ml", Experiments: []string{"e"}, HTTP: http}},
		{"a credential in the address would be shown", Config{TrackingURI: "https://u:p@mlflow.example", Experiments: []string{"e"}, HTTP: http}},
		{"a query would be lost", Config{TrackingURI: "https://mlflow.example?a=b", Experiments: []string{"e"}, HTTP: http}},
		{"a project has experiments", Config{TrackingURI: "https://mlflow.example", HTTP: http}},
		{"an empty name is no experiment", Config{TrackingURI: "https://mlflow.example", Experiments: []string{""}, HTTP: http}},
		{"without a client nothing can be sent", Config{TrackingURI: "https://mlflow.example", Experiments: []string{"e"}}},
	}
	for _, c := range cases {
		if _, err := New(c.config); err == nil {
			t.Errorf("New(%+v) is accepted: %s", c.config, c.reason)
		}
	}
}

func TestRequest(t *testing.T) {
	pass, token := backend.NewSecret("p:w"), backend.NewSecret("tok")
	cases := []struct {
		reason string
		config Config
		want   map[string]string
	}{
		{"nothing is sent that is not configured", Config{}, map[string]string{"Authorization": "", "X-Mlflow-Workspace": ""}},
		{"a token is a bearer's", Config{Token: token}, map[string]string{"Authorization": "Bearer tok"}},
		{"a password wins over a token, as in MLflow's client", Config{Username: "u", Password: pass, Token: token}, map[string]string{"Authorization": "Basic dTpwOnc="}},
		{"a workspace is sent where it is configured", Config{Workspace: "team-a"}, map[string]string{"X-Mlflow-Workspace": "team-a"}},
	}
	for _, c := range cases {
		var sent transport.Request
		c.config.HTTP = doer(func(r transport.Request) (transport.Response, error) {
			sent = r
			return transport.Response{}, &backend.Error{Kind: backend.Unavailable, Op: r.Op, Message: "down"}
		})
		c.config.Experiments = []string{"a & b/c?"}
		_, err := newClient(t, c.config).Check(t.Context())
		if !backend.IsKind(err, backend.Unavailable) || err.Error() != "find experiments of a & b/c?: down" {
			t.Errorf("error %v: %s", err, "an error of the transport is passed on, with the project")
		}
		const url = "https://mlflow.example/ml/api/2.0/mlflow/experiments/get-by-name?experiment_name=a+%26+b%2Fc%3F"
		if sent.URL != url || sent.Method != http.MethodGet {
			t.Errorf("%s %s, want %s: the path is kept and the name escaped", sent.Method, sent.URL, url)
		}
		for key, want := range c.want {
			if got := sent.Header.Get(key); got != want {
				t.Errorf("%s: %q, want %q: %s", key, got, want, c.reason)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	const host = "Invalid Host header - possible DNS rebinding attack detected"
	cases := []struct {
		reason  string
		status  int
		body    string
		kind    backend.Kind
		message string
	}{
		{"the credential is refused in plain text", 401, "You are not authenticated.", backend.AccessDenied, "does not take the credential"},
		{"a host that is not allowed is the server's setting", 403, host, backend.AccessDenied, "--allowed-hosts=mlflow.example"},
		{"a missing permission is one of the experiment", 403, "Permission denied", backend.AccessDenied, "EDIT permission"},
		{"an HTML 404 is no experiment that is missing", 404, "<!doctype html><html>", backend.Unsupported, "https://mlflow.example/ml/api/2.0/mlflow: check the path"},
		{"so is one of a server without this endpoint", 404, `{"error_code":"ENDPOINT_NOT_FOUND","message":"no"}`, backend.Unsupported, "check the path"},
		{"an experiment that is missing denies access", 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}`, backend.AccessDenied, `experiment "forecast" is gone or hidden`},
		{"so does a workspace that is missing", 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Workspace 'w' not found"}`, backend.AccessDenied, "Workspace 'w' not found"},
		{"a conflict is one", 409, `{"error_code":"RESOURCE_CONFLICT","message":"busy"}`, backend.Conflict, "busy"},
		{"anything else will not get better by itself", 400, `{"error_code":"BAD_REQUEST","message":"why <b>"}`, backend.Unsupported, "400 Bad Request: why"},
		{"a gateway's page is not shown", 418, "<html>secret</html>", backend.Unsupported, "418 I'm a teapot"},
	}
	for _, c := range cases {
		client := newClient(t, Config{HTTP: doer(func(transport.Request) (transport.Response, error) {
			return transport.Response{Status: c.status, Body: []byte(c.body)}, nil
		})})
		_, err := client.Check(t.Context())
		if !backend.IsKind(err, c.kind) || !strings.Contains(err.Error(), c.message) || strings.Contains(err.Error(), "<") {
			t.Errorf("%d %s gives %q of kind %s, want %q of kind %s: %s", c.status, c.body, err, backend.KindOf(err), c.message, c.kind, c.reason)
		}
	}
}

func TestCheckKey(t *testing.T) {
	cases := []struct {
		key, reason string
		ok          bool
	}{
		{"preemptible", "a plain word", true},
		{"a.b/c-d_e: f", "all that MLflow's pattern has", true},
		{"日本 語", "letters are letters in any script", true},
		{"x²½Ⅷ", "so are numbers", true},
		{strings.Repeat("é", 250), "characters count, not bytes", true},
		{strings.Repeat("é", 251), "one too many", false},
		{"", "nothing", false},
		{"a=b", "an equals sign", false},
		{"e\u0301", "a combining mark is no letter", false},
		{"a\n", "a newline", false},
		{"a/", "it would be another path", false},
		{"..a", "it looks like a way out", false},
		{"a/..b", "it does not, further in", true},
		{"mlflow.note.content", "MLflow's own", false},
		{"_mlflow_x", "MLflow's own", false},
		{"runtag.dev/pod-uid", "ours", false},
		{"mlflow", "not MLflow's own without the period", true},
	}
	for _, c := range cases {
		if err := Dialect().CheckKey(c.key); (err == nil) != c.ok {
			t.Errorf("key %.40q gives %v: %s", c.key, err, c.reason)
		}
	}
}

func TestFilters(t *testing.T) {
	cases := []struct{ name, want, reason string }{
		{"plain-run_1.2", "attributes.run_name = 'plain-run_1.2'", "a harmless name is looked up"},
		{"it's mine", "attributes.run_name LIKE '%s mine%'", "a quote never gets into a filter, the longest rest picks more than is wanted"},
		{"' OR 'a' = 'a", "attributes.run_name LIKE '% OR %'", "nor does one that would break out"},
		{`\`, "", "where nothing is harmless, all runs are looked at"},
		{" x", "attributes.run_name LIKE '% x%'", "blanks at the ends may get lost"},
		{"日本 語", "attributes.run_name LIKE '% %'", "only ASCII is known to be harmless"},
	}
	for _, c := range cases {
		if got := nameFilter(c.name); got != c.want {
			t.Errorf("filter of %q is %q, want %q: %s", c.name, got, c.want, c.reason)
		}
	}
	for _, id := range []string{"x') OR ('1", "", "-a", "a b", "é", strings.Repeat("a", 257), "a'", `a\`} {
		if runID.MatchString(id) {
			t.Errorf("%.20q passes for an id and would get into a filter", id)
		}
	}
}

func TestFilterNeverBreaksOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		filter := nameFilter(rapid.String().Draw(t, "name"))
		quotes := strings.Count(filter, "'")
		if (filter != "" && quotes != 2) || strings.ContainsAny(filter, "\"`\\\n;") {
			t.Fatalf("filter %q", filter)
		}
	})
}

func TestParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.Just(""), rapid.Just(strings.Repeat("\u2028", maxValue)), rapid.String())
		set := tags.Set(rapid.MapOfN(rapid.StringMatching(`[a-z]{1,5}`), value, 0, 250).Draw(t, "set"))
		remove := rapid.SliceOfDistinct(rapid.StringMatching(`[A-Z]{1,3}`), rapid.ID[string]).Draw(t, "remove")
		var all tags.Edit
		for _, part := range parts(tags.Edit{Set: set, Remove: remove}) {
			bytes := 0
			for k, v := range part.Set {
				bytes += len(quoted(k)) + len(quoted(v)) + len(`{"key":,"value":},`)
			}
			if part.Empty() || len(part.Set) > 100 || len(part.Remove) > 1 || (len(part.Set) > 0 && len(part.Remove) > 0) || bytes > 999_000 {
				t.Fatalf("a part has %d tags of %d bytes and %d removals", len(part.Set), bytes, len(part.Remove))
			}
			all.Set = all.Set.Apply(part)
			all.Remove = append(all.Remove, part.Remove...)
		}
		if diff := cmp.Diff(tags.Edit{Set: set, Remove: remove}, all, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the parts are not the whole:\n%s", diff)
		}
	})
}

func TestRounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.SampledFrom([]string{"a", "b", "c", "d"})).Draw(t, "runs")
		changes := make([]backend.Change, len(names))
		for i, name := range names {
			changes[i].Run.ID = name
		}
		last := map[string]int{}
		count := 0
		for _, round := range rounds(changes) {
			seen := map[string]bool{}
			for _, at := range round {
				name := names[at]
				if before, was := last[name]; seen[name] || (was && before > at) {
					t.Fatalf("run %s twice in a round, or out of order", name)
				}
				seen[name], last[name] = true, at
				count++
			}
		}
		if count != len(names) {
			t.Fatalf("%d of %d changes are in the rounds", count, len(names))
		}
	})
}

func TestBlamed(t *testing.T) {
	part := tags.Edit{Set: tags.Set{"a": "", "abc": "", "b": ""}}
	cases := []struct {
		part    tags.Edit
		message string
		want    string
		reason  string
	}{
		{tags.Edit{Remove: []string{"x"}}, "no", "x", "a single tag is the one, whatever is said"},
		{part, "Invalid value 'abc'", "abc", "the longest key that is named"},
		{part, "???", "", "nobody can tell"},
	}
	for _, c := range cases {
		if got := blamed(c.part, c.message); got != c.want {
			t.Errorf("%q blames %q, want %q: %s", c.message, got, c.want, c.reason)
		}
	}
}

func TestPageAdapts(t *testing.T) {
	c := newClient(t, Config{HTTP: doer(nil), Page: 1000})
	down := &backend.Error{Kind: backend.Unavailable}
	cases := []struct {
		err    error
		want   int
		reason string
	}{
		{nil, 1000, "never larger than configured"},
		{down, 500, "a page that did not come may have been too big"},
		{down, 250, "or still is"},
		{&backend.Error{Kind: backend.RateLimited}, 250, "a rate limit is not about size"},
		{&backend.Error{Kind: backend.Unavailable, Err: context.Canceled}, 250, "nor is a caller who gave up"},
		{down, 125, "half"},
		{down, 100, "never smaller than this"},
		{down, 100, "however often"},
		{nil, 200, "larger again after success"},
	}
	for _, step := range cases {
		c.adapt(c.Limits().Page, step.err)
		if got := c.Limits().Page; got != step.want {
			t.Errorf("page is %d, want %d: %s", got, step.want, step.reason)
		}
	}
}

func TestBatchesArePaced(t *testing.T) {
	c := newClient(t, Config{HTTP: doer(nil)})
	steps := []struct {
		changed int
		took    time.Duration
		want    int
		reason  string
	}{
		{0, 0, 100, "nothing is known yet"},
		{100, time.Second, 300, "three seconds are full of work"},
		{1, 50 * time.Millisecond, 300, "a single change says little about many"},
		{300, 100 * time.Millisecond, 500, "never more than one search reads"},
		{100, 0, 500, "a clock that stands still says nothing"},
		{40, 8 * time.Second, 15, "a slow server gets what it can do before the deadline"},
		{0, 8 * time.Second, 10, "or does nothing at all in that time"},
		{10, 100 * time.Millisecond, 300, "and as much as before once it is fast again"},
	}
	for _, step := range steps {
		c.pace(step.changed, step.took)
		limits := c.Limits()
		if limits.Change != step.want || limits.ChangeActive != min(step.want, 100) {
			t.Errorf("%d changes in %s: batches of %d, active ones of %d, want %d: %s",
				step.changed, step.took, limits.Change, limits.ChangeActive, step.want, step.reason)
		}
	}
}

func TestSearchesOnceMore(t *testing.T) {
	down := func(e backend.Error) error {
		e.Kind, e.Message = backend.Unavailable, "down"
		return &e
	}
	cases := []struct {
		reason string
		first  error
		want   []int // the page sizes that are asked for
	}{
		{"a page that is there is not asked for again", nil, []int{1000}},
		{"a server that answers badly is asked for less", down(backend.Error{}), []int{1000, 500}},
		{"one that wants a pause gets it", down(backend.Error{Until: time.Unix(1, 0)}), []int{1000}},
		{"one that did not answer would not now", down(backend.Error{Err: context.DeadlineExceeded}), []int{1000}},
		{"a rate limit is heeded", &backend.Error{Kind: backend.RateLimited, Message: "slow"}, []int{1000}},
	}
	for _, c := range cases {
		var sizes []int
		client := newClient(t, Config{Page: 1000, HTTP: doer(func(r transport.Request) (transport.Response, error) {
			if strings.Contains(r.URL, "/get-by-name") {
				return transport.Response{Status: 200, Body: []byte(`{"experiment":{"experiment_id":"1"}}`)}, nil
			}
			var in struct {
				MaxResults int `json:"max_results"`
			}
			if err := json.Unmarshal(r.Body, &in); err != nil {
				t.Error(err)
			}
			sizes = append(sizes, in.MaxResults)
			if len(sizes) == 1 && c.first != nil {
				return transport.Response{}, c.first
			}
			return transport.Response{Status: 200, Body: []byte(`{}`)}, nil
		})})
		_, err := client.List(t.Context(), backend.Query{All: true}, "")
		if diff := cmp.Diff(c.want, sizes); diff != "" || (err != nil) != (c.first != nil && len(c.want) == 1) {
			t.Errorf("error %v after pages of (-want +got):\n%s%s", err, diff, c.reason)
		}
	}
}

func TestCursorOfAnotherList(t *testing.T) {
	c := newClient(t, Config{HTTP: doer(nil)})
	for _, cursor := range []string{"x", "9:abc", "-1:abc", "0:", "3:abc", "[{}]"} {
		_, err := c.List(t.Context(), backend.Query{Since: time.Unix(1, 0)}, cursor)
		if !backend.IsKind(err, backend.Unsupported) {
			t.Errorf("cursor %q gives %v", cursor, err)
		}
	}
}

func TestRunOfWire(t *testing.T) {
	c := newClient(t, Config{HTTP: doer(nil)})
	wire := wireRun{}
	wire.Info.RunID, wire.Info.ExperimentID, wire.Info.Status = "abc", "7", "PAUSED"
	wire.Info.StartTime, wire.Info.EndTime = 1_000, 2_000
	wire.Data.Tags = []wireTag{{"mlflow.user", "ada"}, {"k", "v"}, {"runtag.dev/pod", "p"}, {"_mlflow_x", ""},
		{"runtag.dev/pod-uid", "u"}, {"mlflow.parentRunId", "def"}, {"runtag.dev/other", "x"}}
	want := backend.Run{
		ID: "abc", Handle: "abc", UID: "abc@1000", URL: "https://mlflow.example/ml/#/experiments/7/runs/abc",
		State: backend.StateUnknown, CreatedAt: time.Unix(1, 0).UTC(), User: "ada", Tags: tags.Set{"k": "v"},
		PodName: "p", PodUID: "u", Parent: "def",
	}
	if diff := cmp.Diff(want, c.run(wire)); diff != "" {
		t.Errorf("a run in a state that we do not know, with hidden tags (-want +got):\n%s", diff)
	}
}

func TestMetricsOfWire(t *testing.T) {
	const all = `[{"key":"loss","value":0.5,"timestamp":1,"step":0},{"key":"nan","value":"NaN"},{"key":"up","value":1.7976931348623157e308},
		{"key":"down","value":-1.7976931348623157e308},{"key":"word","value":"x"},{"key":"a.b","value":2},{"key":"a","value":3},{"key":"none"}]`
	cases := []struct {
		metrics string
		keys    []string
		want    map[string]float64
		reason  string
	}{
		{all, nil, nil, "nothing is read that nobody wants"},
		{`"no list"`, nil, nil, "whatever it is"},
		{all, []string{"loss", "nan", "absent"}, map[string]float64{"loss": 0.5, "nan": math.NaN()}, "only what is wanted is kept"},
		{all, []string{"up", "down"}, map[string]float64{"up": math.Inf(1), "down": math.Inf(-1)}, "the largest number stands for infinity in the database"},
		{all, []string{"word", "none"}, map[string]float64{}, "what is no number is left out"},
		{all, []string{"a.b", "a.c"}, map[string]float64{"a.b": 2}, "MLflow's metrics are not nested"},
		{"", []string{"loss"}, map[string]float64{}, "MLflow leaves out empty lists"},
	}
	for _, c := range cases {
		wire := wireRun{}
		wire.Data.Metrics = json.RawMessage(c.metrics)
		if c.metrics == "" {
			wire.Data.Metrics = nil
		}
		if err := wire.takeMetrics(c.keys); err != nil {
			t.Errorf("%v: %s", err, c.reason)
		}
		if diff := cmp.Diff(c.want, wire.summary, cmpopts.EquateNaNs()); diff != "" || wire.Data.Metrics != nil {
			t.Errorf("metrics (-want +got):\n%s%s", diff, c.reason)
		}
	}
}

func TestMetricsThatAreNone(t *testing.T) {
	c := newClient(t, Config{HTTP: doer(func(r transport.Request) (transport.Response, error) {
		if strings.Contains(r.URL, "/get-by-name") {
			return transport.Response{Status: 200, Body: []byte(`{"experiment":{"experiment_id":"1","name":"forecast"}}`)}, nil
		}
		return transport.Response{Status: 200, Body: []byte(`{"runs":[{"info":{"run_id":"abc"},"data":{"metrics":{"loss":1}}}]}`)}, nil
	})})
	_, err := c.List(t.Context(), backend.Query{All: true, Summary: []string{"loss"}}, "")
	if !backend.IsKind(err, backend.Unavailable) || !strings.Contains(err.Error(), "not MLflow's") {
		t.Errorf("error %v, want that the answer is not MLflow's", err)
	}
}
