package wandb

import (
	"errors"
	"strings"
	"testing"

	"github.com/runtag/runtag/internal/backend"
)

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
