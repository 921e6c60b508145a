package mlflow

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
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
		return transport.Response{Status: 200, Body: f.runs()}, nil
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

func (f *failingWrites) runs() []byte {
	var runs []wireRun
	for _, id := range f.ids() {
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
