package wandb

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

func TestRunAsListed(t *testing.T) {
	f := newFake(t)
	f.instead = func(asked) (int, string) {
		return 200, listOf([]string{`{"id":"UnVuOnYx","name":"a b/c","displayName":"dreamy-1","state":"crashed","tags":["z","a","a"],"createdAt":"2026-01-02T03:04:05","heartbeatAt":"2026-01-02T04:00:00.5Z","host":"pod-1","user":{"username":"mel"},"group":"g","jobType":"train"}`})
	}
	page, err := f.client(t).List(t.Context(), backend.Query{All: true}, "")
	if err != nil {
		t.Fatal(err)
	}
	beat := time.Date(2026, 1, 2, 4, 0, 0, 5e8, time.UTC)
	want := []backend.Run{{
		ID: "a b/c", Handle: "UnVuOnYx", UID: "UnVuOnYx/2026-01-02T03:04:05Z", Name: "dreamy-1",
		URL: f.url + "/acme/capsules/runs/a%20b%2Fc", State: backend.StateCrashed,
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), HeartbeatAt: beat, FinishedAt: beat,
		Host: "pod-1", User: "mel", Group: "g", JobType: "train", Tags: tags.Set{"z": "", "a": ""},
	}}
	if diff := cmp.Diff(want, page.Runs); diff != "" {
		t.Error(diff)
	}
	if page.ServerTime.IsZero() || page.Next != "" {
		t.Errorf("page = %+v", page)
	}
}

func TestStates(t *testing.T) {
	beat, created := "2026-01-02T04:00:00Z", "2026-01-02T03:00:00Z"
	cases := []struct {
		reason, state, beat string
		want                backend.State
		finished            string
	}{
		{"running is not over", "running", beat, backend.StateRunning, ""},
		{"nor is one that waits", "pending", "", backend.StatePending, ""},
		{"nor is one about to be preempted", "preempting", beat, backend.StatePreempting, ""},
		{"the last heartbeat is the end", "finished", beat, backend.StateFinished, beat},
		{"for every way to end", "failed", beat, backend.StateFailed, beat},
		{"for every way to end", "killed", beat, backend.StateKilled, beat},
		{"for every way to end", "preempted", beat, backend.StatePreempted, beat},
		{"without a heartbeat it ended when it was made, for all we know", "finished", "", backend.StateFinished, created},
		{"of a state nobody knows nothing is said", "hibernating", beat, backend.StateUnknown, ""},
		{"nor of none", "", beat, backend.StateUnknown, ""},
	}
	c := newFake(t).client(t)
	for _, tc := range cases {
		t.Run(tc.reason+" "+tc.state, func(t *testing.T) {
			run, err := c.decodeRun(node{ID: "i", Name: "n", State: tc.state, Tags: []byte("null"), CreatedAt: created, HeartbeatAt: tc.beat})
			if err != nil {
				t.Fatal(err)
			}
			finished := ""
			if !run.FinishedAt.IsZero() {
				finished = run.FinishedAt.Format(time.RFC3339)
			}
			if run.State != tc.want || finished != tc.finished {
				t.Errorf("state %s, finished %q, want %s, %q", run.State, finished, tc.want, tc.finished)
			}
		})
	}
}

func TestRequestOfAList(t *testing.T) {
	since := time.Date(2026, 7, 15, 12, 0, 0, 999, time.FixedZone("", 7200))
	cases := []struct {
		reason  string
		query   backend.Query
		filters string
		order   string
	}{
		{"all is an empty filter", backend.Query{All: true}, `{}`, "+created_at"},
		{"the newest can come first", backend.Query{All: true, Newest: true}, `{}`, "-created_at"},
		{"one of the tags", backend.Query{AnyTag: []string{"a", `"]}}`}, Newest: true}, `{"$and":[{"tags":{"$in":["a","\"]}}"]}}]}`, "-created_at"},
		{"none of the tags", backend.Query{All: true, WithoutTags: []string{"it's", "b"}}, `{"$and":[{"tags":{"$nin":["it's","b"]}}]}`, "+created_at"},
		{"both", backend.Query{AnyTag: []string{"a"}, WithoutTags: []string{"b"}}, `{"$and":[{"tags":{"$in":["a"]}},{"tags":{"$nin":["b"]}}]}`, "+created_at"},
		{"times are UTC and end in Z, or the server matches nothing", backend.Query{Since: since},
			`{"$or":[{"state":{"$in":["running","pending","preempting"]}},{"heartbeatAt":{"$gt":"2026-07-15T10:00:00Z"}},{"createdAt":{"$gt":"2026-07-15T10:00:00Z"}}]}`, "+created_at"},
		{"ids are names on W&B", backend.Query{IDs: []string{"a", `"]}}`}}, `{"name":{"$in":["a","\"]}}"]}}`, "+created_at"},
		{"a selection of nothing in particular is an empty filter", backend.Query{Select: &backend.Selection{}, Newest: true}, `{}`, "-created_at"},
		{"each tag is a condition, by operators that are documented", backend.Query{Select: &backend.Selection{Tags: []string{"a", `"]}}`}, WithoutTags: []string{"b"}, Groups: []string{"g"}}},
			`{"$and":[{"tags":{"$in":["a"]}},{"tags":{"$in":["\"]}}"]}},{"tags":{"$nin":["b"]}},{"group":{"$in":["g"]}}]}`, "+created_at"},
		{"times are cut to the second outside of them", backend.Query{Select: &backend.Selection{CreatedAfter: since, CreatedBefore: since}},
			`{"$and":[{"createdAt":{"$gt":"2026-07-15T10:00:00Z"}},{"createdAt":{"$lt":"2026-07-15T10:00:01Z"}}]}`, "+created_at"},
		{"a whole second is left as it is", backend.Query{Select: &backend.Selection{CreatedBefore: since.Truncate(time.Second)}}, `{"$and":[{"createdAt":{"$lt":"2026-07-15T10:00:00Z"}}]}`, "+created_at"},
		{"states go as they are", backend.Query{Select: &backend.Selection{States: []backend.State{"failed", "killed"}}}, `{"$and":[{"state":{"$in":["failed","killed"]}}]}`, "+created_at"},
		{"but for those that nobody knows", backend.Query{Select: &backend.Selection{States: []backend.State{"failed", "unknown"}}}, `{}`, "+created_at"},
		{"names are display names", backend.Query{Names: []string{`o'brien "x"`}}, `{"displayName":{"$in":["o'brien \"x\""]}}`, "+created_at"},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			f := newFake(t)
			if _, err := f.client(t, func(c *Config) { c.BaseURL += "/wandb/" }).List(t.Context(), tc.query, "cur"); err != nil {
				t.Fatal(err)
			}
			a := f.requests("")[0]
			if diff := cmp.Diff(tc.filters, a.text("filters")); diff != "" {
				t.Error(diff)
			}
			got := []string{a.Path, a.text("entity"), a.text("project"), a.text("order"), string(a.Variables["first"]), a.text("after"), a.Header.Get("User-Agent"), a.Header.Get("Authorization")}
			want := []string{"/wandb/graphql", "acme", "capsules", tc.order, "500", "cur", "runtag/1.2.3", "Basic " + base64.StdEncoding.EncodeToString([]byte("api:"+canary))}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestListBelievesNoFilter(t *testing.T) {
	// The server ignores all filters.
	f := newFake(t)
	f.instead = func(asked) (int, string) {
		return 200, listOf([]string{
			(&stored{ID: "1", Name: "a", CreatedAt: "2026-01-02T00:00:00Z", Tags: []string{"t"}}).json(),
			(&stored{ID: "2", Name: "A", CreatedAt: "2026-01-02T00:00:00Z", Tags: []string{"T", "not"}}).json(),
		})
	}
	for reason, query := range map[string]backend.Query{
		"ids":          {IDs: []string{"a", "x"}},
		"names":        {Names: []string{"run a"}},
		"any tag":      {AnyTag: []string{"x", "t"}},
		"without tags": {All: true, WithoutTags: []string{"not"}},
		"both":         {AnyTag: []string{"t", "T"}, WithoutTags: []string{"not"}},
		"selection":    {Select: &backend.Selection{Tags: []string{"t"}}},
		"selected ids": {Select: &backend.Selection{IDs: []string{"a", "x"}, WithoutTags: []string{"not"}}},
	} {
		page, err := f.client(t).List(t.Context(), query, "")
		if err != nil || len(page.Runs) != 1 || page.Runs[0].ID != "a" {
			t.Errorf("%s: %+v, %v; want only the exact match", reason, page.Runs, err)
		}
	}
}

func TestEmptyPageNeedNotBeTheLast(t *testing.T) {
	f := newFake(t)
	f.instead = func(a asked) (int, string) {
		if a.text("after") == "" {
			return 200, `{"data":{"viewer":{"id":"v"},"project":{"runs":{"edges":[],"pageInfo":{"endCursor":"c1","hasNextPage":true}}}}}`
		}
		return 200, listOf(nil)
	}
	c := f.client(t)
	page, err := c.List(t.Context(), backend.Query{All: true}, "")
	if err != nil || len(page.Runs) != 0 || page.Next != "c1" {
		t.Fatalf("page = %+v, %v", page, err)
	}
	page, err = c.List(t.Context(), backend.Query{All: true}, page.Next)
	if err != nil || page.Next != "" {
		t.Fatalf("page = %+v, %v", page, err)
	}
}

func TestReadBeforeWriteGoesThroughThePages(t *testing.T) {
	f := newFake(t, &stored{Name: "a"})
	f.instead = func(a asked) (int, string) {
		if a.Kind == "read" && a.text("after") == "" {
			return 200, `{"data":{"viewer":{"id":"v"},"project":{"runs":{"edges":[],"pageInfo":{"endCursor":"c1","hasNextPage":true}}}}}`
		}
		return 0, ""
	}
	results, err := f.client(t).Change(t.Context(), []backend.Change{changeOf("a", "", add("x"))})
	if err != nil || results[0].Err != nil {
		t.Fatal(err, results)
	}
	if got := f.kinds(); got != "read read write" {
		t.Errorf("requests = %q", got)
	}
	n := 0
	f.instead = func(asked) (int, string) {
		n++
		return 200, fmt.Sprintf(`{"data":{"viewer":{"id":"v"},"project":{"runs":{"edges":[],"pageInfo":{"endCursor":"c%d","hasNextPage":true}}}}}`, n)
	}
	if _, err := f.client(t).Change(t.Context(), []backend.Change{changeOf("a", "", add("x"))}); !backend.IsKind(err, backend.Unavailable) || n > 5 {
		t.Errorf("a list without end: %v after %d pages", err, n)
	}
}

func TestServerWithoutHost(t *testing.T) {
	f := newFake(t, &stored{Name: "a"})
	f.instead = func(a asked) (int, string) {
		if strings.Contains(a.Query, " host") {
			return 400, `{"errors":[{"message":"Cannot query field \"host\" on type \"Run\"."}]}`
		}
		return 0, ""
	}
	c := f.client(t)
	for range 2 {
		page, err := c.List(t.Context(), backend.Query{IDs: []string{"a"}}, "")
		if err != nil || len(page.Runs) != 1 {
			t.Fatal(page, err)
		}
	}
	if got := len(f.requests("")); got != 3 {
		t.Errorf("%d requests, want to ask for host only once", got)
	}
	if n := c.Notices(); len(n) != 1 || !strings.Contains(n[0], "host") {
		t.Errorf("notices = %q", n)
	}
}

func TestRefusedSizesShrink(t *testing.T) {
	f := newFake(t, many(100, "finished")...)
	f.instead = func(a asked) (int, string) {
		var first int
		_ = json.Unmarshal(a.Variables["first"], &first)
		if len(a.text("filters")) > 600 || first > 200 && a.text("filters") == "{}" {
			return 400, `{"errors":[{"message":"request too large"}]}`
		}
		return 0, ""
	}
	c := f.client(t)
	if _, err := c.List(t.Context(), backend.Query{All: true}, ""); err != nil {
		t.Fatal(err)
	}
	if got := c.Limits().Page; got != 125 {
		t.Errorf("page = %d, want 500 halved twice", got)
	}
	ids := make([]string, 100)
	for i := range ids {
		ids[i] = fmt.Sprintf("r%03d", i)
	}
	if _, err := c.List(t.Context(), backend.Query{IDs: ids}, ""); !backend.IsKind(err, backend.Unavailable) {
		t.Errorf("err = %v", err)
	}
	if got := c.Limits(); got.Read != 50 || got.Change != 50 {
		t.Errorf("limits = %+v, want 50 ids in one read", got)
	}
	// A client that has not learnt it yet does so on the way.
	page, err := f.client(t).List(t.Context(), backend.Query{Select: &backend.Selection{IDs: append(ids, "r000")}}, "")
	if err != nil || len(page.Runs) != 100 || page.Next != "" {
		t.Errorf("a selection by 100 ids gives %d runs, %v; want all, on one page", len(page.Runs), err)
	}
	results, err := f.client(t).Change(t.Context(), addToAll(100, "", add("ours")))
	if err != nil {
		t.Fatal(err)
	}
	if kinds := kindsOf(addToAll(100, "", add()), results); len(kinds) > 0 {
		t.Error(kinds)
	}
}

func TestQueryOfNothingIsRefused(t *testing.T) {
	f := newFake(t)
	if _, err := f.client(t).List(t.Context(), backend.Query{}, ""); !backend.IsKind(err, backend.Unsupported) || f.kinds() != "" {
		t.Errorf("err = %v, requests = %q: it must not list everything", err, f.kinds())
	}
}

func TestCheck(t *testing.T) {
	f := newFake(t, many(3, "finished")...)
	info, err := f.client(t).Check(t.Context())
	if err != nil || info.Runs != 3 || f.kinds() != "check" {
		t.Errorf("info = %+v, %v, requests %q", info, err, f.kinds())
	}
}

func TestConfig(t *testing.T) {
	good := Config{BaseURL: "https://api.wandb.ai", Entity: "e", Project: "p", APIKey: backend.NewSecret(canary)}
	cases := []struct {
		reason string
		change func(*Config)
		want   backend.Kind
	}{
		{"as it should be", func(*Config) {}, ""},
		{"no host", func(c *Config) { c.BaseURL = "https://" }, backend.Unsupported},
		{"another scheme", func(c *Config) { c.BaseURL = "ftp://api.wandb.ai" }, backend.Unsupported},
		{"not a URL", func(c *Config) { c.BaseURL = "https://api wandb" }, backend.Unsupported},
		{"no entity", func(c *Config) { c.Entity = "" }, backend.Unsupported},
		{"no project", func(c *Config) { c.Project = "" }, backend.Unsupported},
		{"no key", func(c *Config) { c.APIKey = backend.NewSecret("") }, backend.AccessDenied},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			config := good
			tc.change(&config)
			if _, err := New(config); backend.KindOf(err) != tc.want {
				t.Errorf("err = %v, want kind %q", err, tc.want)
			}
		})
	}
}

func TestPageOfARun(t *testing.T) {
	cases := []struct{ reason, base, want string }{
		{"the public server", "https://api.wandb.ai", "https://wandb.ai/my%20team/p/runs/"},
		{"a slash at the end", "https://api.wandb.ai/", "https://wandb.ai/my%20team/p/runs/"},
		{"a dedicated one", "https://acme.wandb.io", "https://acme.wandb.io/my%20team/p/runs/"},
		{"a self-hosted one with two hosts", "https://api.ml.example", "https://app.ml.example/my%20team/p/runs/"},
		{"a path and a port", "http://ml.example:8080/wandb", "http://ml.example:8080/wandb/my%20team/p/runs/"},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			c, err := New(Config{BaseURL: tc.base, Entity: "my team", Project: "p", APIKey: backend.NewSecret("k")})
			if err != nil || c.runsURL != tc.want {
				t.Errorf("%q, %v; want %q", c.runsURL, err, tc.want)
			}
		})
	}
}

func TestListIsKeptButForTheEdit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "A", "é", "a b", ""}), 0, 6)
		list := some.Draw(t, "list")
		edit := tags.Edit{Set: setOf(some.Draw(t, "set"))}
		for _, tag := range some.Draw(t, "remove") {
			if _, set := edit.Set[tag]; !set {
				edit.Remove = append(edit.Remove, tag)
			}
		}
		after, effective := applyTo(list, edit)
		if diff := cmp.Diff(setOf(list).Apply(edit), setOf(after)); diff != "" {
			t.Error("not the edit:", diff)
		}
		if diff := cmp.Diff(setOf(list).Apply(effective), setOf(after)); diff != "" {
			t.Error("the effective edit does something else:", diff)
		}
		kept := 0
		for _, tag := range list {
			if kept < len(after) && after[kept] == tag {
				kept++
			}
		}
		if kept < len(after)-len(effective.Set) {
			t.Errorf("%q became %q: what stays must keep its order", list, after)
		}
		if _, again := applyTo(after, edit); !again.Empty() {
			t.Errorf("twice is not once: %+v", again)
		}
	})
}

func TestAnAnswerAboutOtherRunsIsNone(t *testing.T) {
	run := func(id string) string {
		return (&stored{ID: "storage-" + id, Name: id, CreatedAt: "2026-01-02T00:00:00Z"}).json()
	}
	for name, tc := range map[string]struct {
		reason string
		rows   []string
		found  int
		ok     bool
	}{
		"all":            {"what was asked for", []string{run("a"), run("b")}, 2, true},
		"fewer":          {"a run may be gone", []string{run("a")}, 1, true},
		"other case":     {"a database may not tell upper from lower case", []string{run("a"), run("A"), run("b")}, 2, true},
		"another":        {"the filter was not heeded: what is missing may be there", []string{run("a"), run("c")}, 0, false},
		"the same twice": {"a run that is not given is not gone", []string{run("a"), run("a")}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.instead = func(asked) (int, string) { return 200, listOf(tc.rows) }
			page, err := f.client(t).List(t.Context(), backend.Query{IDs: []string{"a", "b"}}, "")
			if (err == nil) != tc.ok || len(page.Runs) != tc.found {
				t.Errorf("%d runs and %v; %s", len(page.Runs), err, tc.reason)
			}
			if err != nil && !backend.IsKind(err, backend.Unavailable) {
				t.Errorf("%v, want Unavailable", err)
			}
		})
	}
}
