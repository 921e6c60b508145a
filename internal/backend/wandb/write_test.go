package wandb

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
)

func TestRefusedTagFailsOnlyItsRun(t *testing.T) {
	// As the server does: HTTP 400 for the whole document.
	refuse := func(a asked) (int, string) {
		if a.Kind != "write" {
			return 0, ""
		}
		for i := range a.writes() {
			for _, tag := range a.list(fmt.Sprintf("t%d", i)) {
				if tag == "it's bad" || tag == "" {
					return http.StatusBadRequest, fmt.Sprintf(`{"errors":[{"message":"invalid tag '%s'. must be between 1 and 64 characters","path":["upsertBucket"]}]}`, tag)
				}
			}
		}
		return 0, ""
	}
	f := newFake(t, many(20, "finished")...)
	f.instead = refuse
	changes := addToAll(20, backend.StateFinished, add("ours"))
	changes[3] = changeOf("r003", "", add("it"))
	changes[7] = changeOf("r007", "", add("it's bad"))
	changes[9] = changeOf("r009", "", add(""))
	results, err := f.client(t).Change(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]backend.Kind{"r007": backend.InvalidTag, "r009": backend.InvalidTag}
	if diff := cmp.Diff(want, kindsOf(changes, results)); diff != "" {
		t.Error(diff)
	}
	for i, tag := range map[int]string{7: "it's bad", 9: ""} {
		var e *backend.Error
		if errors.As(results[i].Err, &e) && e.Tag != tag {
			t.Errorf("tag of run %d = %q, want %q", i, e.Tag, tag)
		}
		if results[i].Sent {
			t.Errorf("run %d was not written", i)
		}
	}
	if got, want := f.kinds(), "read write write write"; got != want {
		t.Errorf("requests = %q, want %q: one more for each bad tag", got, want)
	}
}

func TestPartialErrorsAreOfTheirRun(t *testing.T) {
	f := newFake(t, many(4, "finished")...)
	f.instead = func(a asked) (int, string) {
		if a.Kind != "write" {
			return 0, ""
		}
		return 200, `{"data":{"u0":null,"u1":{"bucket":{"id":"storage-r001","name":"r001","tags":["ours","theirs"]},"inserted":false},"u2":null,"u3":null},
			"errors":[{"message":"run not found","path":["u0"]},{"message":"invalid tag 'ours'. no","path":["u2"]},{"message":"deadlock","path":["u3","bucket"]}]}`
	}
	changes := addToAll(4, "", add("ours"))
	results, err := f.client(t).Change(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]backend.Kind{"r000": backend.NotFound, "r002": backend.InvalidTag, "r003": backend.Unavailable}
	if diff := cmp.Diff(want, kindsOf(changes, results)); diff != "" {
		t.Error(diff)
	}
}

func TestAnswersToAWrite(t *testing.T) {
	good := `{"bucket":{"id":"storage-r000","name":"r000","tags":["ours","theirs"]},"inserted":false}`
	cases := []struct {
		reason string
		body   string // of u0
		landed bool   // another write has landed before
		want   backend.Kind
	}{
		{"order does not matter", good, false, ""},
		{"a server that doesn't say inserted did not insert", `{"bucket":{"id":"storage-r000","tags":["theirs","ours"]},"inserted":null}`, false, ""},
		{"a foreign write came between", `{"bucket":{"id":"storage-r000","tags":["theirs"]},"inserted":false}`, false, backend.Conflict},
		{"more tags than were sent", `{"bucket":{"id":"storage-r000","tags":["theirs","ours","x"]},"inserted":false}`, false, backend.Conflict},
		{"no tags in the answer", `{"bucket":{"id":"storage-r000"},"inserted":false}`, false, backend.Conflict},
		{"no run in the answer", `{"bucket":null,"inserted":false}`, false, backend.Conflict},
		{"not an object", `7`, false, backend.Conflict},
		{"nothing at all", `null`, false, backend.Conflict},
		{"a made run, the first time, is how the server is", `{"bucket":{"id":"storage-r000","tags":["theirs","ours"]},"inserted":true}`, false, backend.Unsupported},
		{"another run, the first time, is how the server is", `{"bucket":{"id":"other","tags":["theirs","ours"]},"inserted":false}`, false, backend.Unsupported},
		{"a made run after writes that landed is an accident", `{"bucket":{"id":"new","tags":["theirs","ours"]},"inserted":true}`, true, backend.Conflict},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			f := newFake(t, many(2, "finished")...)
			c := f.client(t)
			if tc.landed {
				if _, err := c.Change(t.Context(), []backend.Change{changeOf("r001", "", add("x"))}); err != nil {
					t.Fatal(err)
				}
			}
			f.instead = func(a asked) (int, string) {
				if a.Kind != "write" {
					return 0, ""
				}
				return 200, `{"data":{"u0":` + tc.body + `}}`
			}
			results, err := c.Change(t.Context(), []backend.Change{changeOf("r000", "", add("ours"))})
			if err != nil {
				t.Fatal(err)
			}
			r := results[0]
			if got := backend.KindOf(r.Err); got != tc.want {
				t.Errorf("err = %v, want kind %q", r.Err, tc.want)
			}
			if !r.Sent {
				t.Error("a write was sent")
			}
		})
	}
}

func TestServerThatDoesNotUpdateByIDGetsNoMoreWrites(t *testing.T) {
	f := newFake(t, many(30, "running")...)
	f.instead = func(a asked) (int, string) {
		if a.Kind != "write" {
			return 0, ""
		}
		var parts []string
		for i := range a.writes() {
			parts = append(parts, fmt.Sprintf(`"u%d":{"bucket":{"id":"new%d","tags":["theirs","ours"]},"inserted":true}`, i, i))
		}
		return 200, `{"data":{` + strings.Join(parts, ",") + `}}`
	}
	c := f.client(t)
	changes := addToAll(30, backend.StateRunning, add("ours"))
	results, err := c.Change(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !backend.IsKind(r.Err, backend.Unsupported) {
			t.Fatalf("err = %v, want Unsupported for all", r.Err)
		}
	}
	if n := len(f.requests("write")); n != 1 {
		t.Errorf("%d writes, want to stop after the first", n)
	}
	if _, err := c.Change(t.Context(), changes); !backend.IsKind(err, backend.Unsupported) {
		t.Errorf("the next change: %v, want Unsupported", err)
	}
	if _, err := c.Check(t.Context()); !backend.IsKind(err, backend.Unsupported) {
		t.Errorf("check: %v, want Unsupported", err)
	}
	if n := c.Notices(); len(n) != 1 || !strings.Contains(n[0], "does not update runs by id") {
		t.Errorf("notices = %q", n)
	}
	if n := len(f.requests("write")); n != 1 {
		t.Errorf("%d writes after that", n-1)
	}
}

func TestRefusedDocumentIsHalvedAndRemembered(t *testing.T) {
	refusals := map[string]struct {
		status int
		body   string
	}{
		"HTTP 413 of a proxy":     {http.StatusRequestEntityTooLarge, "<html>413 Request Entity Too Large</html>"},
		"too many aliases":        {http.StatusBadRequest, `{"errors":[{"message":"document has too many aliases"}]}`},
		"complexity, as HTTP 200": {http.StatusOK, `{"data":null,"errors":[{"message":"query complexity 900 exceeds the maximum of 500"}]}`},
	}
	for reason, refusal := range refusals {
		t.Run(reason, func(t *testing.T) {
			f := newFake(t, many(100, "finished")...)
			f.instead = func(a asked) (int, string) {
				if a.Kind == "write" && a.writes() > 30 {
					return refusal.status, refusal.body
				}
				return 0, ""
			}
			c := f.client(t)
			changes := addToAll(100, "", add("ours"))
			results, err := c.Change(t.Context(), changes)
			if err != nil {
				t.Fatal(err)
			}
			if kinds := kindsOf(changes, results); len(kinds) > 0 {
				t.Error(kinds)
			}
			// 100 and 50 are refused, and what is left goes in 25s at once.
			if got := len(f.requests("write")); got != 6 {
				t.Errorf("%d writes, want 6", got)
			}
			if got := c.Limits().Change; got != 25 {
				t.Errorf("limit = %d, want 25", got)
			}
		})
	}
}

func TestUnknownRefusalIsIsolatedByHalves(t *testing.T) {
	cases := []struct {
		reason string
		bad    func(id string) bool
		failed int
		most   int // writes
	}{
		{"one run that the server does not like", func(id string) bool { return id == "storage-r037" }, 1, 2*7 + 1},
		{"all of them: it is not the runs", func(string) bool { return true }, 64, 9},
	}
	for _, tc := range cases {
		t.Run(tc.reason, func(t *testing.T) {
			f := newFake(t, many(64, "finished")...)
			f.instead = func(a asked) (int, string) {
				for i := range a.writes() {
					if tc.bad(a.text(fmt.Sprintf("i%d", i))) {
						return http.StatusBadRequest, `{"error":"this run is odd"}`
					}
				}
				return 0, ""
			}
			changes := addToAll(64, "", add("ours"))
			results, err := f.client(t).Change(t.Context(), changes)
			failed := len(kindsOf(changes, results))
			if err != nil {
				failed = len(changes)
			}
			if failed != tc.failed {
				t.Errorf("%d failed, want %d (%v)", failed, tc.failed, err)
			}
			if got := len(f.requests("write")); got > tc.most {
				t.Errorf("%d writes, want at most %d", got, tc.most)
			}
		})
	}
}
