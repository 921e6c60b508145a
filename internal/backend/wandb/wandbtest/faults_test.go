package wandbtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

const (
	whoami = `query Viewer { viewer { id } }`
	whole  = `{"data":{"viewer":{"id":"VXNlcjpydW50YWc="}}}`
	look   = `query Look { project(name: "capsules", entityName: "acme") { name } }`
)

// outcome is how a request went, in a word: the status, or "broken" for a connection that broke.
func (c client) outcome(query string) string {
	c.t.Helper()
	response, _, err := c.do("POST", "/graphql", fields{"query": query})
	if err != nil {
		return "broken"
	}
	return response.Status[:3]
}

func TestFaultsHitWhatTheyName(t *testing.T) {
	for name, tc := range map[string]struct {
		fault wandbtest.Fault
		want  string // of whoami and look in turn, four times
	}{
		"all":               {wandbtest.Fault{Status: 503}, "503 503 503 503 503 503 503 503"},
		"an operation":      {wandbtest.Fault{Status: 503, Operations: []string{"Look"}}, "200 503 200 503 200 503 200 503"},
		"a field":           {wandbtest.Fault{Status: 503, Operations: []string{"viewer", "none"}}, "503 200 503 200 503 200 503 200"},
		"every third":       {wandbtest.Fault{Status: 503, Every: 3}, "200 200 503 200 200 503 200 200"},
		"skip":              {wandbtest.Fault{Status: 503, Skip: 6}, "200 200 200 200 200 200 503 503"},
		"count":             {wandbtest.Fault{Status: 503, Count: 2}, "503 503 200 200 200 200 200 200"},
		"skip and count":    {wandbtest.Fault{Status: 503, Skip: 1, Count: 1, Operations: []string{"Look"}}, "200 200 200 503 200 200 200 200"},
		"an agent":          {wandbtest.Fault{Status: 503, UserAgent: "wandb-core"}, "200 200 200 200 200 200 200 200"},
		"this agent":        {wandbtest.Fault{Status: 503, UserAgent: "Go-http"}, "503 503 503 503 503 503 503 503"},
		"dropped before":    {wandbtest.Fault{Drop: "before", Operations: []string{"Look"}}, "200 broken 200 broken 200 broken 200 broken"},
		"dropped after":     {wandbtest.Fault{Drop: "after", Operations: []string{"Look"}}, "200 broken 200 broken 200 broken 200 broken"},
		"dropped in midway": {wandbtest.Fault{Drop: "middle", Operations: []string{"Look"}}, "200 broken 200 broken 200 broken 200 broken"},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := serve(t, wandbtest.WithFaults(wandbtest.Faults{Faults: []wandbtest.Fault{tc.fault}}))
			var got []string
			for range 4 {
				got = append(got, c.outcome(whoami), c.outcome(look))
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRateIsRepeatable(t *testing.T) {
	run := func(seed uint64) (got string) {
		_, c := serve(t, wandbtest.WithFaults(wandbtest.Faults{Seed: seed, Faults: []wandbtest.Fault{{Status: 500, Rate: 0.5}}}))
		for range 20 {
			got += c.outcome(whoami)[:1]
		}
		return got
	}
	one, again, other := run(1), run(1), run(2)
	if one != again || one == other || !strings.Contains(one, "2") || !strings.Contains(one, "5") {
		t.Errorf("seed 1 %s and %s, seed 2 %s", one, again, other)
	}
}

func TestFaultsSpoilTheAnswer(t *testing.T) {
	for name, tc := range map[string]struct {
		fault       wandbtest.Fault
		status      int
		body        string
		contentType string
		header      [2]string
		operations  string
	}{
		"status":       {fault: wandbtest.Fault{Status: 502}, status: 502, body: `{"errors":[{"message":"injected: Bad Gateway"}]}`, contentType: "application/json"},
		"body":         {fault: wandbtest.Fault{Status: 429, Body: "slow down", ContentType: "text/plain", Headers: map[string]string{"Retry-After": "7"}}, status: 429, body: "slow down", contentType: "text/plain", header: [2]string{"Retry-After", "7"}},
		"login page":   {fault: wandbtest.Fault{LoginPage: true}, status: 200, body: "<!doctype html><title>Sign in</title><form>Please sign in.</form>", contentType: "text/html; charset=utf-8"},
		"redirect":     {fault: wandbtest.Fault{Redirect: "https://login.invalid/"}, status: 302, contentType: "text/html; charset=utf-8", header: [2]string{"Location", "https://login.invalid/"}},
		"content type": {fault: wandbtest.Fault{ContentType: "text/html"}, status: 200, body: whole, contentType: "text/html"},
		"truncated":    {fault: wandbtest.Fault{Truncate: 10}, status: 200, body: whole[:10], contentType: "application/json"},
		"padded":       {fault: wandbtest.Fault{Pad: 100_000}, status: 200, body: strings.Repeat(" ", 100_000) + whole, contentType: "application/json"},
		"null viewer":  {fault: wandbtest.Fault{NullViewer: true}, status: 200, body: `{"data":{"viewer":null}}`, contentType: "application/json"},
		"slow":         {fault: wandbtest.Fault{ByteDelay: wandbtest.Duration{Duration: time.Microsecond}}, status: 200, body: whole, contentType: "application/json"},
	} {
		t.Run(name, func(t *testing.T) {
			_, c := serve(t, wandbtest.WithFaults(wandbtest.Faults{Faults: []wandbtest.Fault{tc.fault}}))
			response, body, err := c.do("POST", "/graphql", fields{"query": whoami})
			if err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != tc.status || string(body) != tc.body || response.Header.Get("Content-Type") != tc.contentType {
				t.Errorf("got %s %s %.200s", response.Status, response.Header.Get("Content-Type"), body)
			}
			if key := tc.header[0]; key != "" && response.Header.Get(key) != tc.header[1] {
				t.Errorf("%s: %s", key, response.Header.Get(key))
			}
		})
	}
}

func TestFaultsAndWhatHasHappened(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		fault  wandbtest.Fault
		happen bool
	}{
		"status":         {"an error means that nothing was done", wandbtest.Fault{Status: 503}, false},
		"status, done":   {"unless the fault says so", wandbtest.Fault{Status: 503, Apply: true}, true},
		"dropped before": {"a broken connection may mean either: nothing was done", wandbtest.Fault{Drop: "before"}, false},
		"dropped after":  {"or all was", wandbtest.Fault{Drop: "after"}, true},
		"dropped midway": {"also where half an answer came", wandbtest.Fault{Drop: "middle"}, true},
		"truncated":      {"or one that cannot be read", wandbtest.Fault{Truncate: 5}, true},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := serve(t, wandbtest.WithFaults(wandbtest.Faults{Faults: []wandbtest.Fault{tc.fault}}))
			add(t, server, wandbtest.Run{ID: "r"})
			c.outcome(`mutation { upsertBucket(input: {id: "` + wandbtest.StorageID("acme", "capsules", "r") + `", tags: ["x"]}) { inserted } }`)
			if happened := len(get(t, server, "r").Tags) == 1; happened != tc.happen {
				t.Errorf("the tag is there: %v; %s", happened, tc.reason)
			}
		})
	}
}

func TestNullProject(t *testing.T) {
	server, c := serve(t, wandbtest.WithFaults(wandbtest.Faults{Faults: []wandbtest.Fault{{NullProject: true}}}))
	add(t, server, wandbtest.Run{ID: "r"})
	if data := c.ok(look, nil); data["project"] != nil {
		t.Errorf("got %v", data)
	}
}

func TestLatencyPassesOnTheClock(t *testing.T) {
	clock := clocktesting.NewFakeClock(noon)
	server, c := serve(t, wandbtest.WithClock(clock))
	server.SetFaults(wandbtest.Faults{Faults: []wandbtest.Fault{{Latency: wandbtest.Duration{Duration: time.Hour}}}})
	answered := make(chan string)
	go func() { answered <- c.outcome(whoami) }()
	for !clock.HasWaiters() {
		select {
		case got := <-answered:
			t.Fatalf("answered %s at once", got)
		default:
		}
	}
	clock.Step(time.Hour)
	if got := <-answered; got != "200" {
		t.Errorf("after the hour: %s", got)
	}
}

func TestRateLimit(t *testing.T) {
	for name, retryAfter := range map[string]bool{"with Retry-After": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(noon)
			server, c := serve(t, wandbtest.WithClock(clock))
			server.SetFaults(wandbtest.Faults{RateLimit: &wandbtest.RateLimit{Requests: 4, Per: wandbtest.Duration{Duration: time.Minute}, RetryAfter: retryAfter}})
			type answer struct{ Status, Remaining, Reset, RetryAfter string }
			ask := func() answer {
				response, _, err := c.do("POST", "/graphql", fields{"query": whoami})
				if err != nil {
					t.Fatal(err)
				}
				h := response.Header
				return answer{response.Status[:3], h.Get("RateLimit-Remaining"), h.Get("RateLimit-Reset"), h.Get("Retry-After")}
			}
			wait := ""
			if retryAfter {
				wait = "30"
			}
			var got []answer
			for range 3 {
				got = append(got, ask())
			}
			clock.Step(30 * time.Second)
			got = append(got, ask(), ask())
			clock.Step(30 * time.Second)
			got = append(got, ask())
			want := []answer{
				{"200", "750", "60", ""}, {"200", "500", "60", ""}, {"200", "250", "60", ""},
				{"200", "0", "30", ""}, {"429", "0", "30", wait}, {"200", "750", "60", ""},
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if response, _, err := c.do("POST", "/files/acme/capsules/r/file_stream", fields{}); err != nil || response.StatusCode != 404 {
				t.Errorf("streams are not limited: %v %v", response, err)
			}
		})
	}
}

func TestServersThatRefuseOrLie(t *testing.T) {
	edit := fields{"i": fields{"id": wandbtest.StorageID("acme", "capsules", "r"), "tags": []string{"x"}}}
	for name, tc := range map[string]struct {
		faults wandbtest.Faults
		query  string
		check  func(t *testing.T, status int, data fields, message string, server *wandbtest.Server)
	}{
		"aliases": {wandbtest.Faults{MaxAliases: 2}, `{ a: viewer { id } b: viewer { id } c: viewer { id } }`,
			func(t *testing.T, status int, _ fields, message string, _ *wandbtest.Server) {
				if status != 400 || !strings.Contains(message, "too many fields: 3, at most 2") {
					t.Error(status, message)
				}
			}},
		"document": {wandbtest.Faults{MaxDocument: 10}, `{ viewer { id } }`,
			func(t *testing.T, status int, _ fields, message string, _ *wandbtest.Server) {
				if status != 400 || !strings.Contains(message, "too long") {
					t.Error(status, message)
				}
			}},
		"inserts": {wandbtest.Faults{UpsertByID: "insert"}, upsert,
			func(t *testing.T, _ int, data fields, _ string, server *wandbtest.Server) {
				inserted, _ := at(data, "upsertBucket", "inserted").(bool)
				if !inserted || len(server.Runs("acme", "capsules")) != 3 || len(get(t, server, "r").Tags) != 0 {
					t.Error(data)
				}
			}},
		"another run": {wandbtest.Faults{UpsertByID: "other"}, upsert,
			func(t *testing.T, _ int, data fields, _ string, server *wandbtest.Server) {
				if at(data, "upsertBucket", "bucket", "name") != "s" || len(get(t, server, "r").Tags) != 0 {
					t.Error(data)
				}
			}},
		"tags ignored": {wandbtest.Faults{IgnoreTags: true}, upsert,
			func(t *testing.T, status int, data fields, _ string, server *wandbtest.Server) {
				if status != 200 || len(at(data, "upsertBucket", "bucket", "tags").([]any)) != 0 || len(get(t, server, "r").Tags) != 0 {
					t.Error(data)
				}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := serve(t, wandbtest.WithFaults(tc.faults))
			add(t, server, wandbtest.Run{ID: "r"}, wandbtest.Run{ID: "s"})
			variables := edit
			if tc.query != upsert {
				variables = nil
			}
			status, data, message := c.graphql(tc.query, variables)
			tc.check(t, status, data, message, server)
		})
	}
}

func TestClockSkew(t *testing.T) {
	_, c := serve(t, wandbtest.WithClock(clocktesting.NewFakeClock(noon)), wandbtest.WithFaults(wandbtest.Faults{ClockSkew: wandbtest.Duration{Duration: time.Hour}}))
	response, _, err := c.do("POST", "/graphql", fields{"query": whoami})
	if err != nil || response.Header.Get("Date") != noon.Add(time.Hour).Format(http.TimeFormat) {
		t.Errorf("%v, %v", response, err)
	}
}
