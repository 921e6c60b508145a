package wandbtest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// control calls a control endpoint and returns the status and what was answered.
func (c client) control(method, path string, body any) (int, any) {
	c.t.Helper()
	response, text, err := c.do(method, "/_runtag/"+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	var answer any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			c.t.Fatalf("%s: %v", text, err)
		}
	}
	return response.StatusCode, answer
}

func TestControlOfRuns(t *testing.T) {
	server, c := serve(t)
	const here = "?entity=acme&project=capsules"
	if status, got := c.control("GET", "runs"+here, nil); status != 200 || len(got.([]any)) != 0 {
		t.Errorf("a project that is not there: %d %v", status, got)
	}
	seed := fields{"entity": "acme", "project": "capsules", "id": "r", "tags": []string{"a"}, "state": "finished", "host": "pod-0", "createdAt": noon}
	if status, got := c.control("POST", "runs", seed); status != 200 || at(got, "storageID") != wandbtest.StorageID("acme", "capsules", "r") {
		t.Fatalf("adding a run: %d %v", status, got)
	}
	c.control("POST", "runs", fields{"entity": "acme", "project": "capsules", "id": "r", "state": "crashed"})
	run := get(t, server, "r")
	if run.State != "crashed" || run.Host != "pod-0" || len(run.Tags) != 1 || !run.CreatedAt.Equal(noon) {
		t.Errorf("changing one field leaves the others: %+v", run)
	}
	edit := fields{"entity": "acme", "project": "capsules", "id": "r", "add": []string{"b", "c"}, "remove": []string{"a"}}
	if status, got := c.control("PUT", "tags", edit); status != 200 || cmp.Diff([]any{"b", "c"}, at(got, "tags")) != "" {
		t.Errorf("adding and removing tags: %d %v", status, got)
	}
	set := fields{"entity": "acme", "project": "capsules", "id": "r", "tags": []string{"z"}}
	if status, got := c.control("PUT", "tags", set); status != 200 || cmp.Diff([]any{"z"}, at(got, "tags")) != "" {
		t.Errorf("setting tags: %d %v", status, got)
	}
	if status, got := c.control("GET", "projects", nil); status != 200 || at(got, 0, "name") != "capsules" || at(got, 0, "runs") != 1.0 || at(got, 0, "active") != 0.0 {
		t.Errorf("projects: %d %v", status, got)
	}
	if status, _ := c.control("DELETE", "runs"+here+"&id=r", nil); status != 204 {
		t.Errorf("deleting: %d", status)
	}
	if status, _ := c.control("GET", "runs"+here+"&id=r", nil); status != 404 {
		t.Errorf("after deleting: %d", status)
	}
	c.control("DELETE", "runs"+here, nil)
	if len(server.Projects()) != 0 {
		t.Error("the project is still there")
	}
}

func TestControlRefuses(t *testing.T) {
	server, c := serve(t)
	add(t, server, wandbtest.Run{ID: "r", Tags: []string{"a"}})
	run := func(more fields) fields {
		out := fields{"entity": "acme", "project": "capsules", "id": "r"}
		for key, value := range more {
			out[key] = value
		}
		return out
	}
	for name, tc := range map[string]struct {
		method, path string
		body         any
		status       int
		message      string
	}{
		"tag too long":    {"PUT", "tags", run(fields{"add": []string{strings.Repeat("x", 65)}}), 400, "must be between 1 and 64"},
		"no such run":     {"PUT", "tags", fields{"entity": "acme", "project": "capsules", "id": "s", "tags": []string{"a"}}, 400, "there is no run acme/capsules/s"},
		"no id":           {"POST", "runs", fields{"entity": "acme", "project": "capsules"}, 400, "not of the form entity/project/id"},
		"unknown state":   {"POST", "runs", run(fields{"state": "dreaming"}), 400, `unknown state "dreaming"`},
		"unknown field":   {"POST", "faults", fields{"chaos": true}, 400, `unknown field "chaos"`},
		"bad duration":    {"POST", "faults", fields{"clockSkew": "long"}, 400, "invalid duration"},
		"bad drop":        {"POST", "faults", fields{"faults": []fields{{"drop": "never"}}}, 400, "faults[0].drop"},
		"bad rate":        {"POST", "faults", fields{"faults": []fields{{"rate": 2}}}, 400, "faults[0].rate"},
		"bad status":      {"POST", "faults", fields{"faults": []fields{{"status": 42}}}, 400, "faults[0].status"},
		"bad limit":       {"POST", "faults", fields{"rateLimit": fields{"requests": 0, "per": "1s"}}, 400, "rateLimit"},
		"bad upsertByID":  {"POST", "faults", fields{"upsertByID": "maybe"}, 400, "upsertByID"},
		"since":           {"GET", "requests?since=yesterday", nil, 400, "since must be"},
		"deleting nobody": {"DELETE", "runs?entity=acme&project=capsules&id=s", nil, 404, "there is no run"},
	} {
		t.Run(name, func(t *testing.T) {
			status, got := client{t, c.url, ""}.control(tc.method, tc.path, tc.body)
			if message, _ := at(got, "errors", 0, "message").(string); status != tc.status || !strings.Contains(message, tc.message) {
				t.Errorf("got %d %v", status, got)
			}
		})
	}
	if tags := get(t, server, "r").Tags; len(tags) != 1 {
		t.Errorf("something changed the run: %v", tags)
	}
}

func TestControlWantsJSON(t *testing.T) {
	server, c := serve(t)
	response, err := http.Post(c.url+"/_runtag/faults", "text/plain", strings.NewReader(`{"ignoreTags":true}`))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 400 || server.Faults().IgnoreTags {
		t.Errorf("a form of another page was obeyed: %s", response.Status)
	}
}

func TestControlOfFaults(t *testing.T) {
	server, c := serve(t)
	want := fields{"clockSkew": "1h0m0s", "faults": []any{fields{"operations": []any{"Runs"}, "status": 503.0, "latency": "1.5s"}}}
	if status, got := c.control("POST", "faults", want); status != 200 || cmp.Diff(any(want), got) != "" {
		t.Errorf("setting: %d %v", status, got)
	}
	if _, got := c.control("GET", "faults", nil); cmp.Diff(any(want), got) != "" {
		t.Errorf("showing: %v", got)
	}
	if f := server.Faults(); f.Faults[0].Latency.Duration != 1500*time.Millisecond || f.ClockSkew.Duration != time.Hour {
		t.Errorf("they are %+v", f)
	}
	c.control("DELETE", "faults", nil)
	if _, got := c.control("GET", "faults", nil); len(got.(fields)) != 0 {
		t.Errorf("after clearing: %v", got)
	}
}

func TestLogOfRequests(t *testing.T) {
	server, c := serve(t, wandbtest.WithClock(clocktesting.NewFakeClock(noon)))
	c.key = "do-not-log-me"
	add(t, server, wandbtest.Run{ID: "r"})
	c.graphql(`query Named($n: String!) { project(name: $n) { name } }`, fields{"n": "x"})
	c.graphql(`{ a: viewer { id } b: viewer { id } serverInfo { features { name } } }`, nil)
	c.graphql(`{ nope }`, nil)
	_, _, err := c.do("POST", "/files/acme/capsules/r/file_stream", fields{"complete": true, "exitcode": 3, "files": fields{"output.log": fields{"content": []string{"secret"}}}})
	must(t, err)
	_, _, err = c.do("PUT", "/_files/acme/capsules/r/notes.txt", "content")
	must(t, err)

	_, log := c.control("GET", "requests", nil)
	for _, entry := range log.([]any) {
		delete(entry.(fields), "bytes")
	}
	agent, when := "Go-http-client/1.1", "2026-11-24T12:00:00Z"
	want := []any{
		fields{"seq": 1.0, "time": when, "operation": "Named", "kind": "query", "fields": []any{"project"}, "count": 1.0, "variables": fields{"n": "x"}, "userAgent": agent, "status": 200.0},
		fields{"seq": 2.0, "time": when, "operation": "serverInfo,viewer", "kind": "query", "fields": []any{"serverInfo", "viewer"}, "count": 3.0, "userAgent": agent, "status": 200.0},
		fields{"seq": 3.0, "time": when, "operation": "nope", "kind": "query", "fields": []any{"nope"}, "count": 1.0, "userAgent": agent, "status": 400.0},
		fields{"seq": 4.0, "time": when, "operation": "file_stream", "path": "acme/capsules/r", "variables": fields{"complete": true, "exitcode": 3.0, "output.log": 1.0}, "userAgent": agent, "status": 200.0},
		fields{"seq": 5.0, "time": when, "operation": "upload", "path": "acme/capsules/r", "userAgent": agent, "status": 200.0},
	}
	if diff := cmp.Diff(any(want), log); diff != "" {
		t.Errorf("neither keys nor contents are in it (-want +got):\n%s", diff)
	}
	if _, got := c.control("GET", "requests?since=4", nil); len(got.([]any)) != 1 || at(got, 0, "seq") != 5.0 {
		t.Errorf("since 4: %v", got)
	}
	c.control("DELETE", "requests", nil)
	c.outcome(whoami)
	if got := server.Requests(); len(got) != 1 || got[0].Seq != 6 {
		t.Errorf("after clearing: %v", got)
	}
	server.SetFaults(wandbtest.Faults{Faults: []wandbtest.Fault{{Drop: "before"}}})
	c.outcome(whoami)
	if got := server.RequestsSince(6); len(got) != 1 || got[0].Status != 0 || got[0].Fault != "drop before" {
		t.Errorf("a dropped request: %+v", got)
	}
}

func TestHookComesBeforeTheRequest(t *testing.T) {
	var server *wandbtest.Server
	var calls atomic.Int64
	server, c := serve(t, wandbtest.OnRequest(func(r wandbtest.Request) {
		if calls.Add(1); r.Operation == "U" {
			must(t, server.EditTags("acme/capsules/r", []string{"person"}, nil))
		}
	}))
	add(t, server, wandbtest.Run{ID: "r"})
	c.ok(upsert, fields{"i": fields{"id": wandbtest.StorageID("acme", "capsules", "r"), "tags": []string{"ours"}}})
	if diff := cmp.Diff([]string{"ours"}, get(t, server, "r").Tags); diff != "" || calls.Load() != 1 {
		t.Errorf("%d calls (-want +got):\n%s", calls.Load(), diff)
	}
}

func TestKeep(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	clock := clocktesting.NewFakeClock(noon)
	server, c := serve(t, wandbtest.WithClock(clock))
	add(t, server, wandbtest.Run{ID: "r", Tags: []string{"a"}, Config: fields{"lr": 1.0}}, wandbtest.Run{ID: "gone"})
	must(t, server.DeleteRun("acme/capsules/gone"))
	_, _, err := c.do("PUT", "/_files/acme/capsules/r/notes.txt", "content")
	must(t, err)

	ctx, stop := context.WithCancel(t.Context())
	kept := make(chan error)
	go func() { kept <- server.Keep(ctx, dir) }()
	stop()
	must(t, <-kept)
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
		t.Errorf("in the directory: %v %v", left, err)
	}

	again, c2 := serve(t, wandbtest.WithClock(clock))
	must(t, again.Load(dir))
	if diff := cmp.Diff(server.Runs("acme", "capsules"), again.Runs("acme", "capsules")); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	if response, body, err := c2.do("GET", "/_files/acme/capsules/r/notes.txt", nil); err != nil || string(body) != `"content"` {
		t.Errorf("the file: %v %s %v", response, body, err)
	}
	add(t, again, wandbtest.Run{ID: "gone"})
	if got := get(t, again, "gone").CreatedAt; !got.After(noon) {
		t.Errorf("a run made again after a restart has the creation time %v of the one before", got)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	server := wandbtest.New()
	must(t, server.Load(dir)) // nothing was kept there yet
	must(t, os.WriteFile(filepath.Join(dir, "tracker.json"), []byte("{"), 0o600))
	if err := server.Load(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestPagesAreThere(t *testing.T) {
	_, c := serve(t)
	for _, path := range []string{"/", "/acme", "/acme/capsules", "/acme/capsules/workspace", "/acme/capsules/runs/r", "/acme/a%20b/runs/r%2F1"} {
		response, body, err := c.do("GET", path, nil)
		if err != nil || response.StatusCode != 200 || !strings.Contains(string(body), "<title>tracker</title>") {
			t.Errorf("%s: %v %v", path, response, err)
		}
	}
}
