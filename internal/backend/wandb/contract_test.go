package wandb

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/backendtest"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/tags"
)

func TestContract(t *testing.T) {
	for name, bulk := range map[string]bool{"lists": false, "modifyRuns": true} {
		t.Run(name, func(t *testing.T) { backendtest.Run(t, newHarness(t, bulk)) })
	}
}

// harness runs the contract on the embedded tracker.
type harness struct {
	tracker  *wandbtest.Server
	url      string
	bulk     bool
	projects atomic.Int64
}

func newHarness(t testing.TB, bulk bool, options ...wandbtest.Option) *harness {
	t.Helper()
	options = append(options, wandbtest.WithAPIKey(canary))
	if bulk {
		options = append(options, wandbtest.WithBulk())
	}
	h := &harness{tracker: wandbtest.New(options...), bulk: bulk}
	server := httptest.NewServer(h.tracker)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

func (h *harness) Traits() backendtest.Traits {
	longest := strings.Repeat("é", maxTag)
	return backendtest.Traits{
		Recreate: true,
		Groups:   true,
		TagByTag: h.bulk,
		Odd: tagsOf("a b", "a,b", "k=v", "=", ",", "Tag", "tag", " blank ", "日本", "🚀", "\u00e9", "e\u0301", `"quoted"`, `back\slash`, "it's", "it",
			"<b>", "&amp;", "tab\there", "null", "true", "$in", "{}", longest),
		Refused: tagsOf("", longest+"e", strings.Repeat("x", 300), "it's "+longest),
		Write: func(r backendtest.Request) bool {
			return strings.Contains(string(r.Body), "upsertBucket") || strings.Contains(string(r.Body), "modifyRuns")
		},
		Secrets: []string{canary, "wrong-" + canary},
	}
}

func tagsOf(names ...string) []tags.Tag {
	var out []tags.Tag
	for _, name := range names {
		out = append(out, tags.Tag{Key: name})
	}
	return out
}

func (h *harness) NewProject(t *testing.T) backendtest.Project {
	t.Helper()
	p := &project{h: h, name: fmt.Sprintf("project %d", h.projects.Add(1))}
	// A project is there once it has had a run.
	p.Delete(t, p.Create(t, backendtest.NewRun{Name: "first"})[0])
	return p
}

type project struct {
	h    *harness
	name string
	runs atomic.Int64
}

func (p *project) Server() string { return p.h.url }

func (p *project) path(id string) string { return "team/" + p.name + "/" + id }

func (p *project) Open(t *testing.T, o backendtest.Options) backend.Backend {
	t.Helper()
	key := canary
	if o.WrongCredential {
		key = "wrong-" + canary
	}
	var c clock.WithTicker = clock.RealClock{}
	if o.Clock != nil {
		c = o.Clock
	}
	client, err := New(Config{
		BaseURL: o.URL, Entity: "team", Project: p.name, APIKey: backend.NewSecret(key), BulkEdits: p.h.bulk, PageSize: o.Page,
		HTTP: loopback(t, transport.Options{Timeout: o.Timeout, MaxBytes: o.MaxBytes, WriteTime: o.WriteTime, Clock: c}), Clock: c,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (p *project) Create(t *testing.T, runs ...backendtest.NewRun) []string {
	t.Helper()
	var ids []string
	for _, r := range runs {
		id := fmt.Sprintf("run%04d", p.runs.Add(1))
		state := string(r.State)
		if state == "" {
			state = string(backend.StateFinished)
		}
		p.put(t, wandbtest.Run{ID: id, DisplayName: r.Name, State: state, Group: r.Group, Tags: slices.Sorted(maps.Keys(r.Tags)), CreatedAt: time.Now().Add(-r.Age)})
		if err := p.h.tracker.SetMetrics(p.path(id), r.Metrics); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func (p *project) put(t *testing.T, r wandbtest.Run) {
	t.Helper()
	r.Entity, r.Project = "team", p.name
	if _, err := p.h.tracker.AddRun(r); err != nil {
		t.Fatal(err)
	}
}

func (p *project) SetTags(t *testing.T, id string, set tags.Set) {
	t.Helper()
	if err := p.h.tracker.EditTags(p.path(id), slices.Sorted(maps.Keys(set)), nil); err != nil {
		t.Error(err)
	}
}

func (p *project) Tags(t *testing.T, id string) tags.Set {
	t.Helper()
	run, ok := p.h.tracker.Run(p.path(id))
	if !ok {
		t.Errorf("the tracker has no run %s", id)
	}
	return setOf(run.Tags)
}

func (p *project) Delete(t *testing.T, id string) {
	t.Helper()
	if err := p.h.tracker.DeleteRun(p.path(id)); err != nil {
		t.Error(err)
	}
}

func (p *project) Recreate(t *testing.T, id string) {
	t.Helper()
	p.put(t, wandbtest.Run{ID: id, State: string(backend.StateFinished)})
}
