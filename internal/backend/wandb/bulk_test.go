package wandb

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

func bulk(c *Config) { c.BulkEdits = true }

func TestBulkEditsLetTheServerAddAndRemove(t *testing.T) {
	f := newFake(t, many(4, "finished")...)
	f.before = func(a asked) {
		if a.Kind != "modify" {
			return
		}
		// Somebody writes after our read.
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, run := range f.runs {
			run.Tags = append(run.Tags, "foreign")
		}
	}
	changes := addToAll(4, "", add("b", "a"))
	changes[2] = changeOf("r002", "", tags.Edit{Remove: []string{"theirs"}})
	results, err := f.client(t, bulk).Change(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.kinds(); got != "read modify" {
		t.Errorf("requests = %q", got)
	}
	m := f.requests("modify")[0]
	got := [][]string{m.list("i0"), m.list("a0"), m.list("r0"), m.list("i1"), m.list("a1"), m.list("r1")}
	want := [][]string{{"storage-r000", "storage-r001", "storage-r003"}, {"a", "b"}, {}, {"storage-r002"}, {}, {"theirs"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("groups:", diff)
	}
	for i, r := range results {
		if r.Err != nil || !r.Sent {
			t.Errorf("result %d = %+v", i, r)
		}
		if _, kept := r.After.Tags["foreign"]; !kept {
			t.Errorf("run %d: the foreign tag is lost: %v", i, r.After.Tags)
		}
	}
}

func TestBulkEditsEnd(t *testing.T) {
	cases := []struct {
		reason string
		status int
		body   string
		then   string // requests of the first change
		ends   bool
		kind   backend.Kind // of the first change
	}{
		{"the server does not know it", 400, `{"errors":[{"message":"Cannot query field \"modifyRuns\" on type \"Mutation\"."}]}`, "read modify write", true, ""},
		{"a run is missing in the answer", 200, `{"data":{"u0":{"runs":[{"id":"storage-r000","tags":["theirs","ours"]}]}}}`, "read modify write", true, ""},
		{"a tag is missing in the answer", 200, `{"data":{"u0":{"runs":[{"id":"storage-r000","tags":["theirs"]},{"id":"storage-r001","tags":["ours"]}]}}}`, "read modify write", true, ""},
		{"tags are missing in the answer", 200, `{"data":{"u0":{"runs":[{"id":"storage-r000"},{"id":"storage-r001"}]}}}`, "read modify write", true, ""},
		{"an answer of another type", 200, `{"data":{"u0":{"runs":3}}}`, "read modify write", true, ""},
		{"an error of its own", 500 - 1, `{"error":"unused mutation"}`, "read modify write", true, ""},
		{"a tag that no write would land", 400, `{"errors":[{"message":"invalid tag 'x'. must be"}]}`, "read modify write", false, ""},
		{"a document that is too long", 413, `too big`, "read modify write", false, ""},
		{"a key that may not write", 403, `{"error":"no"}`, "read modify", false, backend.AccessDenied},
		{"a key that may not write, in words", 200, `{"errors":[{"message":"permission denied"}]}`, "read modify", false, backend.AccessDenied},
		{"a rate limit", http.StatusTooManyRequests, `{}`, "read modify", false, backend.RateLimited},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			f := newFake(t, many(2, "finished")...)
			f.instead = func(a asked) (int, string) {
				if a.Kind != "modify" {
					return 0, ""
				}
				return tc.status, tc.body
			}
			c := f.client(t, bulk)
			results, err := c.Change(t.Context(), addToAll(2, "", add("ours")))
			if backend.KindOf(err) != tc.kind {
				t.Fatalf("err = %v, want kind %q", err, tc.kind)
			}
			for _, r := range results {
				if r.Err != nil {
					t.Error(r.Err)
				}
			}
			if got := f.kinds(); got != tc.then {
				t.Errorf("requests = %q, want %q", got, tc.then)
			}
			if ended := len(c.Notices()) == 1 && strings.Contains(c.Notices()[0], "bulkEdits"); ended != tc.ends {
				t.Errorf("notices = %q, want the end of bulk edits: %v", c.Notices(), tc.ends)
			}
			if tc.ends {
				if _, err := c.Change(t.Context(), addToAll(2, "", add("more"))); err != nil {
					t.Fatal(err)
				}
				if got := len(f.requests("modify")); got != 1 {
					t.Errorf("%d modifyRuns, want none after the first failed", got)
				}
			}
		})
	}
}

func TestBrokenBulkEditMayHaveLanded(t *testing.T) {
	f := newFake(t, many(2, "finished")...)
	f.instead = func(a asked) (int, string) {
		if a.Kind != "modify" {
			return 0, ""
		}
		return http.StatusBadGateway, ``
	}
	results, err := f.client(t, bulk).Change(t.Context(), addToAll(2, "", add("ours")))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if !backend.IsKind(r.Err, backend.Unavailable) || !r.Sent {
			t.Errorf("result %d = %+v", i, r)
		}
	}
}

func TestBulkEditsOffAreNotTried(t *testing.T) {
	f := newFake(t, many(1, "finished")...)
	if _, err := f.client(t).Change(t.Context(), addToAll(1, "", add("ours"))); err != nil {
		t.Fatal(err)
	}
	if got := len(f.requests("modify")); got != 0 {
		t.Error(fmt.Sprint(got) + " requests with modifyRuns")
	}
}
