package mlflowtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// client heeds no proxy of the environment, for all is on loopback.
var client = &http.Client{Transport: &http.Transport{}}

// Call is a request of the REST API, such as POST "runs/create". What is in goes as JSON; the answer is read into out
// where that is not nil.
func (s *Server) Call(ctx context.Context, method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.URL+"/api/2.0/mlflow/"+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer func() { _ = answer.Body.Close() }() // Reading has said what there is to say.
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, answer.Status, said)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(said, out); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// CreateExperiment makes an experiment and returns its id.
func (s *Server) CreateExperiment(ctx context.Context, name string) (string, error) {
	var out struct {
		ID string `json:"experiment_id"`
	}
	err := s.Call(ctx, http.MethodPost, "experiments/create", map[string]string{"name": name}, &out)
	return out.ID, err
}

// DeleteExperiment deletes an experiment with its runs.
func (s *Server) DeleteExperiment(ctx context.Context, id string) error {
	return s.Call(ctx, http.MethodPost, "experiments/delete", map[string]string{"experiment_id": id}, nil)
}

// Run is a run to be made.
type Run struct {
	// Experiment is the id of its experiment.
	Experiment, Name string
	// Status is RUNNING where it is empty.
	Status string
	// Start and End are left out of the request where they are zero. MLflow keeps milliseconds.
	Start, End time.Time
	Tags       map[string]string
	// Metrics are logged at once.
	Metrics map[string]float64
}

// CreateRun makes a run and returns its id.
func (s *Server) CreateRun(ctx context.Context, r Run) (string, error) {
	in := map[string]any{"experiment_id": r.Experiment, "run_name": r.Name, "tags": pairs(r.Tags)}
	if !r.Start.IsZero() {
		in["start_time"] = r.Start.UnixMilli()
	}
	var out struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	if err := s.Call(ctx, http.MethodPost, "runs/create", in, &out); err != nil {
		return "", err
	}
	id := out.Run.Info.ID
	if len(r.Metrics) > 0 {
		if err := s.LogMetrics(ctx, id, r.Metrics); err != nil {
			return id, err
		}
	}
	if r.Status == "" || r.Status == "RUNNING" {
		return id, nil
	}
	return id, s.UpdateRun(ctx, id, r.Status, r.End)
}

// UpdateRun sets the status of a run, and its end where that is not zero.
func (s *Server) UpdateRun(ctx context.Context, id, status string, end time.Time) error {
	in := map[string]any{"run_id": id, "status": status}
	if !end.IsZero() {
		in["end_time"] = end.UnixMilli()
	}
	return s.Call(ctx, http.MethodPost, "runs/update", in, nil)
}

// LogMetrics logs values of metrics, at most 1000, as of now; they may be NaN or infinite.
func (s *Server) LogMetrics(ctx context.Context, run string, metrics map[string]float64) error {
	type metric struct {
		Key       string `json:"key"`
		Value     any    `json:"value"`
		Timestamp int64  `json:"timestamp"`
	}
	var all []metric
	for key, value := range metrics {
		m := metric{key, value, time.Now().UnixMilli()}
		switch { // JSON has no way to write these but as strings, as MLflow's own client does.
		case math.IsNaN(value):
			m.Value = "NaN"
		case math.IsInf(value, 0):
			m.Value = strings.TrimPrefix(strconv.FormatFloat(value, 'g', -1, 64), "+") + "inity"
		}
		all = append(all, m)
	}
	return s.Call(ctx, http.MethodPost, "runs/log-batch", map[string]any{"run_id": run, "metrics": all}, nil)
}

// SetTags sets tags, at most 100.
func (s *Server) SetTags(ctx context.Context, run string, tags map[string]string) error {
	return s.Call(ctx, http.MethodPost, "runs/log-batch", map[string]any{"run_id": run, "tags": pairs(tags)}, nil)
}

// Tags reads all tags of a run, MLflow's own included.
func (s *Server) Tags(ctx context.Context, run string) (map[string]string, error) {
	var out struct {
		Run struct {
			Data struct {
				Tags []pair `json:"tags"`
			} `json:"data"`
		} `json:"run"`
	}
	err := s.Call(ctx, http.MethodGet, "runs/get?run_id="+url.QueryEscape(run), nil, &out)
	tags := map[string]string{}
	for _, t := range out.Run.Data.Tags {
		tags[t.Key] = t.Value
	}
	return tags, err
}

// DeleteRun deletes a run; RestoreRun takes that back.
func (s *Server) DeleteRun(ctx context.Context, id string) error {
	return s.Call(ctx, http.MethodPost, "runs/delete", map[string]string{"run_id": id}, nil)
}

// RestoreRun restores a deleted run.
func (s *Server) RestoreRun(ctx context.Context, id string) error {
	return s.Call(ctx, http.MethodPost, "runs/restore", map[string]string{"run_id": id}, nil)
}

// cloneRuns copies a run in the database, which takes no time where a thousand requests take half a minute. It names
// no columns but the key and the name, so that it fits any version.
const cloneRuns = `
import sqlite3, sys, uuid
path, run, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(path, timeout=30)
def copy(table, **changes):
    columns = [c[1] for c in db.execute("PRAGMA table_info(%s)" % table)]
    values = ", ".join("?" if c in changes else '"%s"' % c for c in columns)
    db.execute('INSERT INTO %s SELECT %s FROM %s WHERE run_uuid = ?' % (table, values, table),
        [changes[c] for c in columns if c in changes] + [run])
with db:
    for _ in range(count):
        new = uuid.uuid4().hex
        copy("runs", run_uuid=new)
        copy("tags", run_uuid=new)
        print(new)
`

// Clone makes copies of a run with its name and tags, fast, and returns their ids.
func (s *Server) Clone(ctx context.Context, run string, count int) ([]string, error) {
	out, err := s.Python(ctx, cloneRuns, s.database(), run, strconv.Itoa(count))
	if err != nil {
		return nil, err
	}
	return strings.Fields(out), nil
}

type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func pairs(tags map[string]string) []pair {
	out := make([]pair, 0, len(tags))
	for key, value := range tags {
		out = append(out, pair{key, value})
	}
	return out
}
