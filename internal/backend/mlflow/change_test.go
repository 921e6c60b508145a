package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/tags"
)

// failingWrites is a tracker of 100 runs whose writes fail from some number on: with an error of the transport, or with
// a status.
type failingWrites struct {
	t      *testing.T
	after  int64
	fail   *backend.Error
	status int
	body   string
	writes atomic.Int64
}

func (*failingWrites) ids() []string {
	var ids []string
	for i := range 100 {
		ids = append(ids, fmt.Sprintf("run%d", i))
	}
	return ids
}

func (f *failingWrites) Do(_ context.Context, r transport.Request) (transport.Response, error) {
	switch {
	case strings.Contains(r.URL, "/get-by-name"):
		return transport.Response{Status: 200, Body: []byte(`{"experiment":{"experiment_id":"1","name":"forecast"}}`)}, nil
	case strings.HasSuffix(r.URL, "/runs/search"):
		return transport.Response{Status: 200, Body: f.runs(string(r.Body))}, nil
	}
	if f.writes.Add(1) <= f.after {
		return transport.Response{Status: 200, Body: []byte(`{}`)}, nil
	}
	if f.fail != nil {
		failure := *f.fail
		failure.Op = r.Op
		return transport.Response{}, &failure
	}
	return transport.Response{Status: f.status, Body: []byte(f.body)}, nil
}

// runs answers a search for some of them.
func (f *failingWrites) runs(search string) []byte {
	var runs []wireRun
	for _, id := range f.ids() {
		if !strings.Contains(search, "'"+id+"'") {
			continue
		}
		var r wireRun
		r.Info.RunID, r.Info.Status = id, "FINISHED"
		runs = append(runs, r)
	}
	body, err := json.Marshal(map[string]any{"runs": runs})
	if err != nil {
		f.t.Error(err)
	}
	return body
}

func TestRefusedWrites(t *testing.T) {
	cases := []struct {
		reason string
		status int
		body   string
		kind   backend.Kind
		tag    string
	}{
		{"a run that went away", 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Run with id=run0 not found"}`, backend.NotFound, ""},
		{"a workspace that went away is no missing run", 404, `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"Workspace 'w' not found"}`, backend.AccessDenied, ""},
		{"a run that was deleted", 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"The run run0 must be in the 'active' state."}`, backend.NotFound, ""},
		{"a tag that this server takes not, though we thought so", 400, `{"error_code":"INVALID_PARAMETER_VALUE","message":"Invalid value 'k' for tag"}`, backend.InvalidTag, "k"},
		{"anything else", 400, `{"error_code":"BAD_REQUEST","message":"no"}`, backend.Unsupported, ""},
	}
	for _, c := range cases {
		for _, edit := range []tags.Edit{{Set: tags.Set{"k": "v"}}, {Remove: []string{"k"}}} {
			tracker := &failingWrites{t: t, status: c.status, body: c.body}
			results, err := newClient(t, Config{HTTP: tracker}).Change(t.Context(), []backend.Change{{
				Run: backend.Run{ID: "run0"}, Decide: func(backend.Run) (tags.Edit, error) { return edit, nil },
			}})
			if err == nil {
				err = results[0].Err
			}
			var e *backend.Error
			if !errors.As(err, &e) || e.Kind != c.kind || e.Tag != c.tag {
				t.Errorf("%+v gives %v of kind %q: %s", edit, err, backend.KindOf(err), c.reason)
			}
		}
	}
}

func TestNotEvenSent(t *testing.T) {
	cases := []struct {
		reason string
		edit   tags.Edit
		tag    string
	}{
		{"MLflow's own tags are never written", tags.Edit{Set: tags.Set{"mlflow.runName": "x", "good": ""}}, "mlflow.runName"},
		{"nor taken off", tags.Edit{Remove: []string{"good", "mlflow.user"}}, "mlflow.user"},
		{"nor are runtag's own", tags.Edit{Remove: []string{"runtag.dev/pod-uid"}}, "runtag.dev/pod-uid"},
		{"a key that the server would refuse is not worth a request", tags.Edit{Set: tags.Set{"a=b": ""}}, "a=b"},
	}
	for _, c := range cases {
		tracker := &failingWrites{t: t, after: 100}
		results, err := newClient(t, Config{HTTP: tracker}).Change(t.Context(), []backend.Change{{
			Run: backend.Run{ID: "run0"}, Decide: func(backend.Run) (tags.Edit, error) { return c.edit, nil },
		}})
		if err != nil {
			t.Fatal(err)
		}
		var e *backend.Error
		if !errors.As(results[0].Err, &e) || e.Kind != backend.InvalidTag || e.Tag != c.tag || tracker.writes.Load() > 0 {
			t.Errorf("%+v after %d writes: %s", results[0], tracker.writes.Load(), c.reason)
		}
	}
}

// TestBatchStops has a server that fails writes from the third on.
func TestBatchStops(t *testing.T) {
	cases := []struct {
		reason string
		fail   *backend.Error
		status int
		most   int // writes that may be sent after the first failure
	}{
		{"a rate limit is for all", &backend.Error{Kind: backend.RateLimited, Message: "slow"}, 0, 7},
		{"a credential is for all", nil, 401, 7},
		{"a server that does not answer thrice is down", &backend.Error{Kind: backend.Unavailable, Message: "down"}, 0, 10},
		{"a permission is for one experiment", nil, 403, 100},
	}
	for _, c := range cases {
		tracker := &failingWrites{t: t, after: 2, fail: c.fail, status: c.status}
		client := newClient(t, Config{HTTP: tracker})
		var changes []backend.Change
		for _, id := range tracker.ids() {
			changes = append(changes, backend.Change{Run: backend.Run{ID: id}, Decide: func(backend.Run) (tags.Edit, error) {
				return tags.Edit{Set: tags.Set{"k": "v"}}, nil
			}})
		}
		results, err := client.Change(t.Context(), changes)
		if err != nil {
			t.Fatalf("after a success, a batch does not fail as a whole: %v", err)
		}
		good := 0
		for _, r := range results {
			if r.Err == nil {
				good++
			}
			if unknown := backend.IsKind(r.Err, backend.Unavailable); r.Sent && r.Err != nil && !unknown {
				t.Errorf("a write that was refused counts as sent: %v", r.Err)
			}
		}
		if writes := int(tracker.writes.Load()); good != 2 || writes > 2+c.most || (c.status == 403 && writes != len(changes)) {
			t.Errorf("%d writes were sent and %d of %d changes are good: %s", writes, good, len(changes), c.reason)
		}
	}
}

// TestBatchFailsWhole has a server that refuses the first write.
func TestBatchFailsWhole(t *testing.T) {
	tracker := &failingWrites{t: t, fail: &backend.Error{Kind: backend.RateLimited, Message: "slow"}}
	_, err := newClient(t, Config{HTTP: tracker}).Change(t.Context(), []backend.Change{{
		Run: backend.Run{ID: tracker.ids()[0]},
		Decide: func(backend.Run) (tags.Edit, error) {
			return tags.Edit{Remove: []string{"k"}}, nil
		},
	}})
	if !backend.IsKind(err, backend.RateLimited) {
		t.Errorf("where nothing was written, the batch fails as a whole, got %v", err)
	}
	var e *backend.Error
	if errors.As(err, &e) && e.Op != "change tags of forecast" {
		t.Errorf("the operation is %q", e.Op)
	}
}
