package wandb

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/tags"
)

// canary is the API key of all tests; no message may show it.
const canary = "canary-0123456789abcdef0123456789abcdef01234567"

// asked is one request as the fake server got it.
type asked struct {
	Kind      string // read, write, modify or check
	Query     string
	Variables map[string]json.RawMessage
	Header    http.Header
	Path      string
}

// text reads a variable.
func (a asked) text(name string) string {
	var s string
	_ = json.Unmarshal(a.Variables[name], &s)
	return s
}

func (a asked) list(name string) []string {
	var s []string
	_ = json.Unmarshal(a.Variables[name], &s)
	return s
}

// writes is the number of runs that an upsert request writes.
func (a asked) writes() int { return strings.Count(a.Query, "upsertBucket") }

// stored is a run on the fake server.
type stored struct {
	ID, Name, State, CreatedAt string
	Tags                       []string
}

func (s *stored) json() string {
	list, _ := json.Marshal(s.Tags)
	return fmt.Sprintf(`{"id":%q,"name":%q,"displayName":"run %s","state":%q,"tags":%s,"createdAt":%q,"heartbeatAt":"2026-01-02T03:04:05Z","host":"pod-1","user":{"username":"mel"},"group":"g","jobType":"train"}`,
		s.ID, s.Name, s.Name, s.State, list, s.CreatedAt)
}

// fake is a server for answers that no good server gives: it speaks just enough to read and write runs, and lets a
// test answer any request in its place.
type fake struct {
	mu   sync.Mutex
	runs map[string]*stored
	log  []asked
	// instead answers in place of the server where it gives a status.
	instead func(a asked) (status int, body string)
	// before is called with each request before it is answered.
	before func(a asked)
	url    string
}

func newFake(t testing.TB, runs ...*stored) *fake {
	t.Helper()
	f := &fake{runs: make(map[string]*stored)}
	for _, r := range runs {
		if r.ID == "" {
			r.ID = "storage-" + r.Name
		}
		if r.CreatedAt == "" {
			r.CreatedAt = "2026-01-02T00:00:00Z"
		}
		if r.State == "" {
			r.State = "finished"
		}
		f.runs[r.Name] = r
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// many makes n runs r000, r001, … in a state.
func many(n int, state string) []*stored {
	runs := make([]*stored, n)
	for i := range runs {
		runs[i] = &stored{Name: fmt.Sprintf("r%03d", i), State: state, Tags: []string{"theirs"}}
	}
	return runs
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Query     string                     `json:"query"`
		Variables map[string]json.RawMessage `json:"variables"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a := asked{Kind: kindOf(body.Query), Query: body.Query, Variables: body.Variables, Header: r.Header.Clone(), Path: r.URL.Path}
	f.mu.Lock()
	f.log = append(f.log, a)
	before, instead := f.before, f.instead
	f.mu.Unlock()
	if before != nil {
		before(a)
	}
	status, answer := http.StatusOK, ""
	if instead != nil {
		status, answer = instead(a)
	}
	if instead == nil || status == 0 {
		status, answer = http.StatusOK, f.answer(a)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(answer))
}

func kindOf(query string) string {
	switch {
	case strings.Contains(query, "modifyRuns"):
		return "modify"
	case strings.Contains(query, "upsertBucket"):
		return "write"
	case strings.Contains(query, "runCount"):
		return "check"
	}
	return "read"
}

func (f *fake) answer(a asked) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch a.Kind {
	case "check":
		return fmt.Sprintf(`{"data":{"viewer":{"id":"v"},"project":{"runCount":%d}}}`, len(f.runs))
	case "write":
		return f.upsert(a)
	case "modify":
		return f.modify(a)
	}
	return listOf(f.named(a))
}

func listOf(nodes []string) string {
	for i, n := range nodes {
		nodes[i] = `{"node":` + n + `}`
	}
	return `{"data":{"viewer":{"id":"v"},"project":{"runs":{"edges":[` + strings.Join(nodes, ",") + `],"pageInfo":{"endCursor":"end","hasNextPage":false}}}}}`
}

// named gives the runs that a filter names, be it as one condition of several.
func (f *fake) named(a asked) []string {
	type condition struct {
		Name struct {
			In []string `json:"$in"`
		} `json:"name"`
	}
	var filter struct {
		condition
		And []condition `json:"$and"`
	}
	_ = json.Unmarshal([]byte(a.text("filters")), &filter)
	var nodes []string
	for _, c := range append(filter.And, filter.condition) {
		for _, name := range c.Name.In {
			if run := f.runs[name]; run != nil {
				nodes = append(nodes, run.json())
			}
		}
	}
	return nodes
}

var aliases = regexp.MustCompile(`u(\d+):`)

func (f *fake) upsert(a asked) string {
	var parts []string
	for _, m := range aliases.FindAllStringSubmatch(a.Query, -1) {
		run := f.byID(a.text("i" + m[1]))
		if run == nil {
			parts = append(parts, fmt.Sprintf(`"u%s":{"bucket":{"id":"new","name":"new","tags":[]},"inserted":true}`, m[1]))
			continue
		}
		run.Tags = a.list("t" + m[1])
		parts = append(parts, fmt.Sprintf(`"u%s":{"bucket":%s,"inserted":false}`, m[1], run.json()))
	}
	return `{"data":{` + strings.Join(parts, ",") + `}}`
}

func (f *fake) modify(a asked) string {
	var parts []string
	for _, m := range aliases.FindAllStringSubmatch(a.Query, -1) {
		var nodes []string
		for _, id := range a.list("i" + m[1]) {
			run := f.byID(id)
			if run == nil {
				continue
			}
			run.Tags = slices.DeleteFunc(run.Tags, func(t string) bool { return slices.Contains(a.list("r"+m[1]), t) })
			for _, t := range a.list("a" + m[1]) {
				if !slices.Contains(run.Tags, t) {
					run.Tags = append(run.Tags, t)
				}
			}
			nodes = append(nodes, run.json())
		}
		parts = append(parts, fmt.Sprintf(`"u%s":{"runs":[%s]}`, m[1], strings.Join(nodes, ",")))
	}
	return `{"data":{` + strings.Join(parts, ",") + `}}`
}

func (f *fake) byID(id string) *stored {
	for _, run := range f.runs {
		if run.ID == id {
			return run
		}
	}
	return nil
}

// tags of a run now.
func (f *fake) tags(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.runs[name].Tags)
}

// kinds of the requests so far, such as "read write".
func (f *fake) kinds() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var kinds []string
	for _, a := range f.log {
		kinds = append(kinds, a.Kind)
	}
	return strings.Join(kinds, " ")
}

func (f *fake) requests(kind string) []asked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.log), func(a asked) bool { return kind != "" && a.Kind != kind })
}

// loopback sends real requests to 127.0.0.1.
func loopback(t testing.TB, o transport.Options) *transport.Client {
	t.Helper()
	policy, err := transport.ParseAllow([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	o.Policy = policy
	client, err := transport.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	return client
}

func (f *fake) client(t testing.TB, change ...func(*Config)) *Client {
	t.Helper()
	config := Config{
		BaseURL: f.url, Entity: "acme", Project: "capsules", APIKey: backend.NewSecret(canary),
		HTTP: loopback(t, transport.Options{Timeout: 10 * time.Second}), Clock: clock.RealClock{}, Version: "1.2.3",
	}
	for _, do := range change {
		do(&config)
	}
	client, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// changeOf asks for the same edit of a run whatever is on it.
func changeOf(name string, state backend.State, edit tags.Edit) backend.Change {
	return backend.Change{
		Run:    backend.Run{ID: name, State: state},
		Decide: func(backend.Run) (tags.Edit, error) { return edit, nil },
	}
}

func add(names ...string) tags.Edit {
	edit := tags.Edit{Set: tags.Set{}}
	for _, n := range names {
		edit.Set[n] = ""
	}
	return edit
}

func addToAll(n int, state backend.State, edit tags.Edit) []backend.Change {
	changes := make([]backend.Change, n)
	for i := range changes {
		changes[i] = changeOf(fmt.Sprintf("r%03d", i), state, edit)
	}
	return changes
}

// kindsOf gives the kinds of the errors of results, by run, leaving out those without.
func kindsOf(changes []backend.Change, results []backend.Result) map[string]backend.Kind {
	kinds := make(map[string]backend.Kind)
	for i, r := range results {
		if r.Err != nil {
			kinds[changes[i].Run.ID] = backend.KindOf(r.Err)
		}
	}
	return kinds
}
