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

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const upsert = `mutation U($i: UpsertBucketInput!) { upsertBucket(input: $i) { bucket { id name tags state createdAt } inserted } }`

func TestUpsertBucket(t *testing.T) {
	id := wandbtest.StorageID("acme", "capsules", "old")
	long := strings.Repeat("ü", 64)
	for name, tc := range map[string]struct {
		reason   string
		input    fields
		status   int
		message  string
		run      string
		inserted bool
		tags     []string
	}{
		"by id": {
			reason: "an id alone names the run, and tags replace the list",
			input:  fields{"id": id, "tags": []string{"x", "y"}}, status: 200, run: "old", tags: []string{"x", "y"},
		},
		"null tags": {
			reason: "null leaves the tags alone", input: fields{"id": id, "tags": nil, "notes": "n"}, status: 200, run: "old", tags: []string{"a", "b"},
		},
		"absent tags": {
			reason: "so does not naming them", input: fields{"id": id, "notes": "n"}, status: 200, run: "old", tags: []string{"a", "b"},
		},
		"no tags": {
			reason: "an empty list clears them", input: fields{"id": id, "tags": []string{}}, status: 200, run: "old", tags: []string{},
		},
		"duplicates": {
			reason: "order is kept, exact duplicates go", input: fields{"id": id, "tags": []string{"b", "B", "b", " b"}}, status: 200, run: "old", tags: []string{"b", "B", " b"},
		},
		"64 characters": {
			reason: "characters are counted, not bytes", input: fields{"id": id, "tags": []string{long}}, status: 200, run: "old", tags: []string{long},
		},
		"65 characters": {
			reason: "a longer tag is refused, and the others with it", input: fields{"id": id, "tags": []string{"x", long + "e"}},
			status: 400, message: "invalid tag '" + long + "e'. must be between 1 and 64 characters", run: "old", tags: []string{"a", "b"},
		},
		"empty tag": {
			reason: "as is one without characters", input: fields{"id": id, "tags": []string{""}},
			status: 400, message: "invalid tag ''. must be between 1 and 64 characters", run: "old", tags: []string{"a", "b"},
		},
		"by name, there": {
			reason: "a name finds the run", input: fields{"entityName": "acme", "modelName": "capsules", "name": "old", "tags": []string{"x"}},
			status: 200, run: "old", tags: []string{"x"},
		},
		"by name, absent": {
			reason: "a name that is not there makes a run: why a client that only updates must not use it",
			input:  fields{"entityName": "acme", "modelName": "capsules", "name": "new", "tags": []string{"x"}}, status: 200, run: "new", inserted: true, tags: []string{"x"},
		},
		"by name, bad tag": {
			reason: "nothing is made of what is refused", input: fields{"entityName": "acme", "modelName": "capsules", "name": "new", "tags": []string{""}},
			status: 400, message: "invalid tag ''. must be between 1 and 64 characters",
		},
		"id and name": {
			reason: "the id wins", input: fields{"id": id, "entityName": "acme", "modelName": "capsules", "name": "other", "tags": []string{"x"}}, status: 200, run: "old", tags: []string{"x"},
		},
		"id of no run": {
			reason: "by id no run is made", input: fields{"id": wandbtest.StorageID("acme", "capsules", "gone"), "tags": []string{"x"}},
			status: 404, message: "could not find run acme/capsules/gone",
		},
		"id that is none": {reason: "an id has a form", input: fields{"id": "old"}, status: 400, message: `invalid run id "old"`},
		"bad name":        {reason: "ids of runs have no such characters", input: fields{"name": "a:b"}, status: 400, message: "invalid run name"},
		"bad config":      {reason: "config is JSON in a string", input: fields{"id": id, "config": "{"}, status: 400, message: "config is not a JSON object", run: "old", tags: []string{"a", "b"}},
		"bad state":       {reason: "states are known", input: fields{"id": id, "state": "dreaming"}, status: 400, message: `invalid state "dreaming"`, run: "old", tags: []string{"a", "b"}},
		"unknown field":   {reason: "a typing error does not go unnoticed", input: fields{"id": id, "tag": "x"}, status: 400, message: `Field "tag" is not defined by type "UpsertBucketInput".`, run: "old", tags: []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := serve(t)
			add(t, server, wandbtest.Run{ID: "old", Tags: []string{"a", "b"}, State: "finished"}, wandbtest.Run{ID: "other"})
			status, data, message := c.graphql(upsert, fields{"i": tc.input})
			if status != tc.status || !strings.Contains(message, tc.message) || (message == "") != (tc.message == "") {
				t.Fatalf("%s: got status %d, message %q", tc.reason, status, message)
			}
			if tc.status == http.StatusOK && at(data, "upsertBucket", "inserted") != tc.inserted {
				t.Errorf("%s: inserted is %v", tc.reason, at(data, "upsertBucket", "inserted"))
			}
			if tc.run == "" {
				if got := len(server.Runs("acme", "capsules")); got != 2 {
					t.Errorf("%s: there are %d runs now", tc.reason, got)
				}
				return
			}
			if diff := cmp.Diff(tc.tags, get(t, server, tc.run).Tags); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if tc.run == "old" && get(t, server, "old").State != "finished" {
				t.Errorf("editing a run brought it to %s", get(t, server, "old").State)
			}
		})
	}
}

func TestBatchOfMutations(t *testing.T) {
	server, c := serve(t)
	add(t, server, wandbtest.Run{ID: "a"}, wandbtest.Run{ID: "b"}, wandbtest.Run{ID: "c"})
	query := `mutation($a: String, $b: String, $c: String, $bad: [String!]) {
		r0: upsertBucket(input: {id: $a, tags: ["x"]}) { bucket { tags } inserted }
		r1: upsertBucket(input: {id: $b, tags: $bad}) { bucket { tags } }
		r2: upsertBucket(input: {id: $c, tags: ["z"]}) { bucket { tags } }
	}`
	variables := fields{"bad": []string{""}}
	for _, id := range []string{"a", "b", "c"} {
		variables[id] = wandbtest.StorageID("acme", "capsules", id)
	}
	status, data, _ := c.graphql(query, variables)
	want := fields{
		"r0": fields{"bucket": fields{"tags": []any{"x"}}, "inserted": false}, "r1": nil, "r2": fields{"bucket": fields{"tags": []any{"z"}}},
	}
	if diff := cmp.Diff(want, data); diff != "" || status != http.StatusBadRequest {
		t.Errorf("the bad one of three has status %d, and the others are done (-want +got):\n%s", status, diff)
	}
	server.SetFaults(wandbtest.Faults{ErrorsAs200: true})
	if status, _, message := c.graphql(query, variables); status != http.StatusOK || message == "" {
		t.Errorf("with ErrorsAs200: status %d, message %q", status, message)
	}
}

func TestStates(t *testing.T) {
	const run = "acme/capsules/r"
	minutes := func(n int) func(*wandbtest.Server, client, *clocktesting.FakeClock) {
		return func(_ *wandbtest.Server, _ client, clock *clocktesting.FakeClock) {
			clock.Step(time.Duration(n) * time.Minute)
		}
	}
	stream := func(body fields) func(*wandbtest.Server, client, *clocktesting.FakeClock) {
		return func(_ *wandbtest.Server, c client, _ *clocktesting.FakeClock) {
			c.t.Helper()
			if response, body, err := c.do("POST", "/files/acme/capsules/r/file_stream", body); err != nil || response.StatusCode != 200 {
				c.t.Fatalf("%v %s", err, body)
			}
		}
	}
	mutate := func(query string) func(*wandbtest.Server, client, *clocktesting.FakeClock) {
		return func(_ *wandbtest.Server, c client, _ *clocktesting.FakeClock) {
			c.t.Helper()
			c.ok(query, fields{"id": wandbtest.StorageID("acme", "capsules", "r")})
		}
	}
	stop := mutate(`mutation($id: ID!) { stopRun(input: {id: $id}) { success } }`)
	type step = func(*wandbtest.Server, client, *clocktesting.FakeClock)
	for name, tc := range map[string]struct {
		reason string
		steps  []step
		want   string
	}{
		"silent":               {"silence is no end before its time", []step{minutes(5)}, "running"},
		"silent for long":      {"a run that is silent for too long has crashed", []step{minutes(6)}, "crashed"},
		"heartbeats":           {"heartbeats keep it alive", []step{minutes(4), stream(fields{}), minutes(4)}, "running"},
		"came back":            {"a heartbeat revives", []step{minutes(6), stream(fields{})}, "running"},
		"finished":             {"exit code 0", []step{stream(fields{"complete": true, "exitcode": 0}), minutes(60)}, "finished"},
		"failed":               {"another exit code", []step{stream(fields{"complete": true, "exitcode": 1})}, "failed"},
		"preempting":           {"the SDK said so", []step{stream(fields{"preempting": true}), stream(fields{})}, "preempting"},
		"preempted":            {"and then the process failed", []step{stream(fields{"preempting": true}), stream(fields{"complete": true, "exitcode": 1})}, "preempted"},
		"preempted in silence": {"or was not heard of again", []step{stream(fields{"preempting": true}), minutes(6)}, "preempted"},
		"preempting, finished": {"or finished all the same", []step{stream(fields{"preempting": true}), stream(fields{"complete": true, "exitcode": 0})}, "finished"},
		"stopped":              {"a stop takes the process's end", []step{stop}, "running"},
		"killed":               {"which makes it killed, whatever the exit code", []step{stop, stream(fields{"complete": true, "exitcode": 255})}, "killed"},
		"killed in silence":    {"or its silence", []step{stop, minutes(6)}, "killed"},
		"edited":               {"an edit is no heartbeat", []step{minutes(4), func(s *wandbtest.Server, c client, _ *clocktesting.FakeClock) { must(c.t, s.SetTags(run, "x")) }, minutes(4)}, "crashed"},
		"pending":              {"requeued runs send no heartbeats", []step{mutate(`mutation($id: ID!) { updateRunState(input: {id: $id, state: "pending"}) { success } }`), minutes(60)}, "pending"},
		"resumed":              {"a process that names its program has taken the run up", []step{stream(fields{"complete": true}), mutate(`mutation($id: String) { upsertBucket(input: {id: $id, jobProgram: "train.py"}) { inserted } }`)}, "running"},
	} {
		t.Run(name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(noon)
			server, c := serve(t, wandbtest.WithClock(clock), wandbtest.WithHeartbeatTimeout(5*time.Minute))
			add(t, server, wandbtest.Run{ID: "r"})
			for _, step := range tc.steps {
				step(server, c, clock)
			}
			if got := get(t, server, "r").State; got != tc.want {
				t.Errorf("got %s, want %s: %s", got, tc.want, tc.reason)
			}
		})
	}
}

func TestStopReachesTheProcess(t *testing.T) {
	server, c := serve(t)
	add(t, server, wandbtest.Run{ID: "r"})
	c.ok(`mutation($id: ID!) { stopRun(input: {id: $id}) { success } }`, fields{"id": wandbtest.StorageID("acme", "capsules", "r")})
	if _, body, err := c.do("POST", "/files/acme/capsules/r/file_stream", fields{}); err != nil || string(body) != `{"stopped":true}` {
		t.Errorf("got %s, %v", body, err)
	}
}

func TestARunMadeAgainIsAnother(t *testing.T) {
	clock := clocktesting.NewFakeClock(noon)
	server, c := serve(t, wandbtest.WithClock(clock))
	byName := fields{"entityName": "acme", "modelName": "capsules", "name": "r", "tags": []string{"x"}}
	first := at(c.ok(upsert, fields{"i": byName}), "upsertBucket", "bucket").(fields)
	c.ok(`mutation($id: ID!) { deleteRun(input: {id: $id}) { clientMutationId } }`, fields{"id": first["id"]})
	if _, ok := server.Run("acme/capsules/r"); ok {
		t.Fatal("the run is still there")
	}
	byName["tags"] = nil
	second := at(c.ok(upsert, fields{"i": byName}), "upsertBucket", "bucket").(fields)
	if second["id"] != first["id"] || second["createdAt"] == first["createdAt"] || len(second["tags"].([]any)) != 0 {
		t.Errorf("of the same id, another creation time, and no tags of the one before; got\n%v\n%v", first, second)
	}
}

func TestDeleteRuns(t *testing.T) {
	server, c := serve(t)
	add(t, server, wandbtest.Run{ID: "a", Tags: []string{"x"}}, wandbtest.Run{ID: "b"}, wandbtest.Run{ID: "c", Tags: []string{"x"}})
	c.ok(`mutation { deleteRuns(input: {entityName: "acme", projectName: "capsules", filters: "{\"tags\":\"x\"}"}) { errors } }`, nil)
	runs := server.Runs("acme", "capsules")
	if len(runs) != 1 || runs[0].ID != "b" {
		t.Errorf("left are %v", runs)
	}
}

func TestModifyRuns(t *testing.T) {
	const modify = `mutation($ids: [String], $filters: JSONString) { modifyRuns(input: {entityName: "acme", projectName: "capsules",
		ids: $ids, filters: $filters, addTags: ["new", "a"], removeTags: ["b"]}) { runs { name tags } } }`
	runs := []wandbtest.Run{{ID: "r1", Tags: []string{"a", "b"}}, {ID: "r2", Tags: []string{"b", "c"}}, {ID: "r3", Tags: []string{"b"}}}

	_, c := serve(t)
	if status, _, message := c.graphql(modify, fields{"ids": []string{"r1"}}); status != 400 || message != `Cannot query field "modifyRuns" on type "Mutation".` {
		t.Errorf("without WithBulk: status %d, message %q", status, message)
	}

	server, c := serve(t, wandbtest.WithBulk())
	add(t, server, runs...)
	ids := []string{"r1", wandbtest.StorageID("acme", "capsules", "r2")}
	got := at(c.ok(modify, fields{"ids": ids}), "modifyRuns", "runs")
	want := []any{fields{"name": "r1", "tags": []any{"a", "new"}}, fields{"name": "r2", "tags": []any{"c", "new", "a"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("by ids (-want +got):\n%s", diff)
	}
	c.ok(modify, fields{"filters": `{"name":"r3"}`})
	if diff := cmp.Diff([]string{"new", "a"}, get(t, server, "r3").Tags); diff != "" {
		t.Errorf("by filter (-want +got):\n%s", diff)
	}
	if status, _, _ := c.graphql(modify, nil); status != http.StatusBadRequest {
		t.Errorf("neither ids nor filters: status %d", status)
	}
}

func TestKeys(t *testing.T) {
	const query = `{ viewer { id entity username } project(name: "capsules", entityName: "acme") { name } serverInfo { features { name } } }`
	const edit = `mutation { upsertBucket(input: {name: "r"}) { inserted } }`
	for name, tc := range map[string]struct {
		options    []wandbtest.Option
		key        string
		authorized bool
		status     int
	}{
		"any key":         {key: "whatever", authorized: true, status: 200},
		"no key":          {key: "", status: 200},
		"the key":         {options: []wandbtest.Option{wandbtest.WithAPIKey("k1"), wandbtest.WithAPIKey("k2")}, key: "k2", authorized: true, status: 200},
		"another key":     {options: []wandbtest.Option{wandbtest.WithAPIKey("k1")}, key: "k2", status: 200},
		"another, as 401": {options: []wandbtest.Option{wandbtest.WithAPIKey("k1"), wandbtest.WithUnauthorizedStatus(401)}, key: "k2", status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			server, c := serve(t, tc.options...)
			add(t, server, wandbtest.Run{ID: "r"})
			c.key = tc.key
			status, data, _ := c.graphql(query, nil)
			if status != tc.status || (data["viewer"] != nil) != tc.authorized || (data["project"] != nil) != tc.authorized {
				t.Errorf("status %d, data %v", status, data)
			}
			if status, data, _ := c.graphql(edit, nil); (status == 200) != tc.authorized || (data["upsertBucket"] != nil) != tc.authorized {
				t.Errorf("a mutation: status %d, data %v", status, data)
			}
			response, _, err := c.do("POST", "/files/acme/capsules/r/file_stream", fields{})
			if err != nil || (response.StatusCode == 200) != tc.authorized {
				t.Errorf("a stream: %v, %v", response, err)
			}
		})
	}
}
