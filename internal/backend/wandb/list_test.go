package wandb

import (
	"encoding/base64"
	"encoding/json"
	"errors"
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
	}{
		{"all is an empty filter", backend.Query{All: true}, `{}`},
		{"times are UTC and end in Z, or the server matches nothing", backend.Query{Since: since},
			`{"$or":[{"state":{"$in":["running","pending","preempting"]}},{"heartbeatAt":{"$gt":"2026-07-15T10:00:00Z"}},{"createdAt":{"$gt":"2026-07-15T10:00:00Z"}}]}`},
		{"ids are names on W&B", backend.Query{IDs: []string{"a", `"]}}`}}, `{"name":{"$in":["a","\"]}}"]}}`},
		{"names are display names", backend.Query{Names: []string{`o'brien "x"`}}, `{"displayName":{"$in":["o'brien \"x\""]}}`},
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
			want := []string{"/wandb/graphql", "acme", "capsules", "+created_at", "500", "cur", "runtag/1.2.3", "Basic " + base64.StdEncoding.EncodeToString([]byte("api:"+canary))}
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
		return 200, listOf([]string{(&stored{ID: "1", Name: "a", CreatedAt: "2026-01-02T00:00:00Z"}).json(), (&stored{ID: "2", Name: "A", CreatedAt: "2026-01-02T00:00:00Z"}).json()})
	}
	for reason, query := range map[string]backend.Query{
		"ids":   {IDs: []string{"a", "x"}},
		"names": {Names: []string{"run a"}},
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
	f.instead = func(a asked) (int, string) {
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
	results, err := c.Change(t.Context(), addToAll(100, "", add("ours")))
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

// answers that are no list; the same are tried on Check.
var badAnswers = []struct {
	reason string
	status int
	body   string
	want   backend.Kind
	says   string
}{
	{"a key that the server does not know", 200, `{"data":{"viewer":null,"project":{"runs":null}}}`, backend.AccessDenied, "API key"},
	{"a project that is hidden or gone", 200, `{"data":{"viewer":{"id":"v"},"project":null}}`, backend.AccessDenied, "acme/capsules"},
	{"a project that is not found, in words", 200, `{"data":{"viewer":{"id":"v"},"project":null},"errors":[{"message":"project not found"}]}`, backend.AccessDenied, "team"},
	{"401", 401, `{"error":"bad key"}`, backend.AccessDenied, "bad key"},
	{"403 of a proxy", 403, `<html>denied</html>`, backend.AccessDenied, "HTTP 403"},
	{"404: the base URL is another server's", 404, `404 page not found`, backend.AccessDenied, "base URL"},
	{"permission denied, as HTTP 200", 200, `{"data":{"viewer":null,"project":null},"errors":[{"message":"permission denied"}]}`, backend.AccessDenied, "permission denied"},
	{"rate limit, as HTTP 200", 200, `{"error":{"message":"Rate limit exceeded"}}`, backend.RateLimited, "Rate limit"},
	{"a schema without what we need", 400, `{"errors":[{"message":"Cannot query field \"runs\" on type \"Project\"."}]}`, backend.Unsupported, "update"},
	{"an error nobody knows", 400, `{"error":{"code":7}}`, backend.Unavailable, "without a message"},
	{"a refusal without words", 400, `{}`, backend.Unavailable, "HTTP 400"},
	{"a refusal with data", 400, `{"data":{"viewer":{"id":"v"},"project":{"runs":null}}}`, backend.Unavailable, "HTTP 400"},
	{"no viewer", 200, `{"data":{"project":{}}}`, backend.Unavailable, "viewer"},
	{"no project", 200, `{"data":{"viewer":{"id":"v"}}}`, backend.Unavailable, "project"},
	{"a project of another type", 200, `{"data":{"viewer":{"id":"v"},"project":[1]}}`, backend.Unavailable, "decode"},
	{"not GraphQL", 200, `{"status":"ok"}`, backend.Unavailable, "GraphQL"},
	{"a list", 200, `[1,2]`, backend.Unavailable, "GraphQL"},
	{"no list", 200, `{"data":{"viewer":{"id":"v"},"project":{}}}`, backend.Unavailable, ""},
	{"the server shows the key", 400, `{"error":"no user for ` + canary + `"}`, backend.Unavailable, "no user"},
	{"the server shows the key, as HTTP 200", 200, `{"error":"no user for ` + canary + `"}`, backend.Unavailable, "no user"},
}

func TestBadAnswers(t *testing.T) {
	for _, tc := range badAnswers {
		t.Run(tc.reason, func(t *testing.T) {
			f := newFake(t)
			f.instead = func(asked) (int, string) { return tc.status, tc.body }
			c := f.client(t)
			_, listErr := c.List(t.Context(), backend.Query{All: true}, "")
			_, checkErr := c.Check(t.Context())
			for _, err := range []error{listErr, checkErr} {
				if !backend.IsKind(err, tc.want) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("err = %v (%s), want %s that says %q", err, backend.KindOf(err), tc.want, tc.says)
				}
				if err != nil && strings.Contains(err.Error(), canary) {
					t.Errorf("the error shows the key: %v", err)
				}
			}
		})
	}
}

func TestDamagedLists(t *testing.T) {
	page := func(edges, info string) string {
		return `{"data":{"viewer":{"id":"v"},"project":{"runs":{"edges":[` + edges + `],"pageInfo":` + info + `}}}}`
	}
	last := `{"endCursor":null,"hasNextPage":false}`
	cases := []struct{ reason, body string }{
		{"no pageInfo", `{"data":{"viewer":{"id":"v"},"project":{"runs":{"edges":[]}}}}`},
		{"no hasNextPage", page("", `{"endCursor":"x"}`)},
		{"another page, but not where", page("", `{"endCursor":null,"hasNextPage":true}`)},
		{"another page, but the same", page("", `{"endCursor":"cur","hasNextPage":true}`)},
		{"a run that is null", page(`{"node":null}`, last)},
		{"a run without id", page(`{"node":{"name":"a","tags":[],"createdAt":"2026-01-01T00:00:00Z"}}`, last)},
		{"a run without name", page(`{"node":{"id":"a","tags":[],"createdAt":"2026-01-01T00:00:00Z"}}`, last)},
		{"a run without tags would lose them at the next write", page(`{"node":{"id":"a","name":"a","createdAt":"2026-01-01T00:00:00Z"}}`, last)},
		{"tags that are no list", page(`{"node":{"id":"a","name":"a","tags":"x","createdAt":"2026-01-01T00:00:00Z"}}`, last)},
		{"a run without a time has no identity", page(`{"node":{"id":"a","name":"a","tags":[]}}`, last)},
		{"a heartbeat that is no time", page(`{"node":{"id":"a","name":"a","tags":[],"createdAt":"2026-01-01T00:00:00Z","heartbeatAt":"soon"}}`, last)},
		{"an error beside the data", `{"data":{"viewer":{"id":"v"},"project":{"runs":{"edges":[],"pageInfo":` + last + `}}},"errors":[{"message":"shard 3 is down","path":["project","runs"]}]}`},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			f := newFake(t)
			f.instead = func(asked) (int, string) { return 200, tc.body }
			if page, err := f.client(t).List(t.Context(), backend.Query{All: true}, "cur"); !backend.IsKind(err, backend.Unavailable) {
				t.Errorf("page = %+v, err = %v; half a list must be none", page, err)
			}
		})
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

// Whatever the server says: no panic, and an error only of our type.
func FuzzAnswers(f *testing.F) {
	for _, tc := range badAnswers {
		f.Add(tc.status, []byte(tc.body))
	}
	f.Add(200, []byte(listOf([]string{(&stored{ID: "1", Name: "r000", CreatedAt: "2026-01-02T00:00:00Z"}).json()})))
	f.Add(200, []byte(`{"data":{"u0":{"bucket":{"id":"storage-r000","tags":["ours"]},"inserted":false},"u1":null},"errors":[{"message":"invalid tag 'ours'","path":["u1"]}]}`))
	f.Add(400, []byte(`{"errors":[{"message":"invalid tag 'ours'"}]}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		c, err := New(Config{BaseURL: "https://api.wandb.ai", Entity: "e", Project: "p", APIKey: backend.NewSecret(canary), BulkEdits: len(body)%2 == 0,
			HTTP: canned{status: 200 + (status&0xff)%250, body: body, first: listOf([]string{
				(&stored{ID: "storage-r000", Name: "r000", CreatedAt: "2026-01-02T00:00:00Z"}).json(),
				(&stored{ID: "storage-r001", Name: "r001", CreatedAt: "2026-01-02T00:00:00Z"}).json(),
			})}, Clock: realClock})
		if err != nil {
			t.Fatal(err)
		}
		_, listErr := c.List(t.Context(), backend.Query{All: true}, "")
		_, checkErr := c.Check(t.Context())
		results, changeErr := c.Change(t.Context(), addToAll(2, "", add("ours")))
		errs := []error{listErr, checkErr, changeErr}
		for _, r := range results {
			errs = append(errs, r.Err)
		}
		for _, err := range errs {
			var e *backend.Error
			if err != nil && !errors.As(err, &e) {
				t.Errorf("%T: %v", err, err)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows the key: %v", err)
			}
		}
		if changeErr == nil && len(results) != 2 {
			t.Errorf("%d results for 2 changes", len(results))
		}
	})
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
