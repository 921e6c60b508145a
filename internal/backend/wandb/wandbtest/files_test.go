package wandbtest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

const files = `query($names: [String], $first: Int, $after: String, $pattern: String) {
	project(name: "capsules", entityName: "acme") { run(name: "r") { fileCount files(names: $names, first: $first, after: $after, pattern: $pattern) {
		edges { node { id name sizeBytes url } } pageInfo { endCursor hasNextPage } } } } }`

func TestFiles(t *testing.T) {
	server, c := serve(t)
	add(t, server, wandbtest.Run{ID: "r"})
	made := at(c.ok(`mutation { createRunFiles(input: {entityName: "acme", projectName: "capsules", runName: "r", files: ["b/sub dir/x.txt", "a.json"]}) {
		runID files { name uploadUrl } } }`, nil), "createRunFiles", "files")
	for i := range 2 {
		url := at(made, i, "uploadUrl").(string)
		response, _, err := c.do("PUT", strings.TrimPrefix(url, c.url), "content")
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("uploading to %s: %v %v", url, response, err)
		}
	}
	names := func(variables fields) (out []string) {
		t.Helper()
		run := at(c.ok(files, variables), "project", "run")
		for _, edge := range at(run, "files", "edges").([]any) {
			out = append(out, at(edge, "node", "name").(string))
		}
		return out
	}
	for name, tc := range map[string]struct {
		variables fields
		want      []string
	}{
		"all":         {nil, []string{"a.json", "b/sub dir/x.txt"}},
		"by name":     {fields{"names": []string{"a.json", "none"}}, []string{"a.json"}},
		"by pattern":  {fields{"pattern": "b/%.txt"}, []string{"b/sub dir/x.txt"}},
		"first page":  {fields{"first": 1}, []string{"a.json"}},
		"second page": {fields{"first": 1, "after": "1"}, []string{"b/sub dir/x.txt"}},
	} {
		if diff := cmp.Diff(tc.want, names(tc.variables)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}

	node := at(c.ok(files, fields{"pattern": "%.txt"}), "project", "run", "files", "edges", 0, "node")
	_, body, err := c.do("GET", strings.TrimPrefix(at(node, "url").(string), c.url), nil)
	if err != nil || string(body) != `"content"` || at(node, "sizeBytes") != 9.0 {
		t.Errorf("%v: %s, %v", node, body, err)
	}
	c.ok(`mutation($f: [ID!]!) { deleteFiles(input: {files: $f}) { success } }`, fields{"f": []any{at(node, "id")}})
	if diff := cmp.Diff([]string{"a.json"}, names(nil)); diff != "" {
		t.Errorf("after deleting (-want +got):\n%s", diff)
	}
	if status, _, message := c.graphql(`mutation { createRunFiles(input: {entityName: "acme", projectName: "capsules", runName: "none", files: ["x"]}) { runID } }`, nil); status != 404 {
		t.Errorf("files of no run: %d %s", status, message)
	}
}

func TestStreamsThatComeTwice(t *testing.T) {
	server, c := serve(t)
	add(t, server, wandbtest.Run{ID: "r"})
	send := func(offset int, lines ...string) {
		t.Helper()
		body := fields{"files": fields{
			"wandb-history.jsonl": fields{"offset": offset, "content": lines},
			"wandb-summary.json":  fields{"offset": 0, "content": []string{`{"loss":` + lines[len(lines)-1][len(`{"_step":`):]}},
		}}
		if response, _, err := c.do("POST", "/files/acme/capsules/r/file_stream", body); err != nil || response.StatusCode != 200 {
			t.Fatalf("%v %v", response, err)
		}
	}
	send(0, `{"_step":0}`, `{"_step":1}`)
	send(1, `{"_step":1}`, `{"_step":2}`) // a retry after an answer that was lost
	run := at(c.ok(`{ project(name: "capsules", entityName: "acme") { run(name: "r") { history historyLineCount historyTail historyKeys summaryMetrics } } }`, nil), "project", "run")
	want := fields{
		"history": []any{`{"_step":0}`, `{"_step":1}`, `{"_step":2}`}, "historyLineCount": 3.0, "historyTail": `["{\"_step\":2}"]`,
		"historyKeys": fields{
			"sets": []any{}, "lastStep": 2.0,
			"keys": fields{"_step": fields{"typeCounts": []any{fields{"type": "number", "count": 3.0}}}},
		},
		"summaryMetrics": `{"loss":2}`,
	}
	if diff := cmp.Diff(any(want), run); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestKeysOfConfiguration(t *testing.T) {
	server, c := serve(t)
	add(t, server,
		wandbtest.Run{ID: "wrapped", Config: fields{"lr": fields{"value": 0.5}, "model": fields{"value": fields{"depth": 3.0}}}},
		wandbtest.Run{ID: "plain", Config: fields{"lr": 0.5, "model": fields{"depth": 3.0}}, Summary: fields{"eval.loss": 1.0}},
	)
	for filter, want := range map[string][]string{
		`{"config.lr":0.5}`:                 {"wrapped", "plain"},
		`{"config.lr.value":0.5}`:           {"wrapped"},
		`{"config.model.depth":3}`:          {"wrapped", "plain"},
		`{"config.model.depth":4}`:          nil,
		`{"summary_metrics.eval.loss":1}`:   {"plain"},
		`{"summary_metrics.none":null}`:     {"wrapped", "plain"},
		`{"config.lr":{"$exists":false}}`:   nil,
		`{"username":"runtag","host":null}`: {"wrapped", "plain"},
	} {
		if got, _ := c.pages(fields{"filters": filter}); cmp.Diff(want, got) != "" {
			t.Errorf("%s: got %v, want %v", filter, got, want)
		}
	}
}
