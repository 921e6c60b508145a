package mlflow

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/metric"
	"github.com/runtag/runtag/internal/tags"
)

// wireRun is a run in an answer of runs/search, with what we use of it.
type wireRun struct {
	Info struct {
		RunID          string `json:"run_id"`
		RunName        string `json:"run_name"`
		ExperimentID   string `json:"experiment_id"`
		UserID         string `json:"user_id"`
		Status         string `json:"status"`
		StartTime      int64  `json:"start_time"` // milliseconds
		EndTime        int64  `json:"end_time"`   // milliseconds; 0 where there is none
		LifecycleStage string `json:"lifecycle_stage"`
	} `json:"info"`
	Data struct {
		Tags []wireTag `json:"tags"`
		// Metrics is a list of wireMetric, all that the run has. It is read only where some of them are wanted.
		Metrics json.RawMessage `json:"metrics,omitempty"`
	} `json:"data"`
	// summary holds the metrics that were asked for; nil where none were.
	summary map[string]float64
}

// wireMetric is the latest value of a metric.
type wireMetric struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// takeMetrics reads the metrics with these keys and lets all of them go, for a page may be long and each run have
// thousands.
func (r *wireRun) takeMetrics(keys []string) error {
	raw := r.Data.Metrics
	r.Data.Metrics = nil
	if len(keys) == 0 {
		return nil
	}
	r.summary = map[string]float64{}
	if raw == nil {
		return nil // MLflow leaves out empty lists.
	}
	var metrics []wireMetric
	if err := json.Unmarshal(raw, &metrics); err != nil {
		return fmt.Errorf("metrics of run %s: %w", r.Info.RunID, err)
	}
	for _, m := range metrics {
		at := slices.Index(keys, m.Key)
		if number, ok := metric.Value(m.Value); ok && at >= 0 {
			r.summary[keys[at]] = unbounded(number) // All runs share the string.
		}
	}
	return nil
}

// unbounded undoes what MLflow's databases do to infinite values: they keep the largest number there is instead
// (mlflow/store/tracking/sqlalchemy_store.py; seen on 3.17.2).
func unbounded(number float64) float64 {
	switch number {
	case math.MaxFloat64:
		return math.Inf(1)
	case -math.MaxFloat64:
		return math.Inf(-1)
	}
	return number
}

// The tags that are hidden and read. The first two are MLflow's own (mlflow/utils/mlflow_tags.py); the others come from
// the environment of the pod that the run was made in (MLFLOW_RUN_CONTEXT).
const (
	userKey   = "mlflow.user"
	parentKey = "mlflow.parentRunId"
	podKey    = "runtag.dev/pod"
	podUIDKey = "runtag.dev/pod-uid"
)

type wireTag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

var states = map[string]backend.State{
	"RUNNING":   backend.StateRunning,
	"SCHEDULED": backend.StatePending,
	"FINISHED":  backend.StateFinished,
	"FAILED":    backend.StateFailed,
	"KILLED":    backend.StateKilled,
}

func (r wireRun) state() backend.State {
	if s, known := states[r.Info.Status]; known {
		return s
	}
	return backend.StateUnknown
}

// ended is the opposite of the filter notEnded.
func (r wireRun) ended() bool {
	switch r.state() {
	case backend.StateFinished, backend.StateFailed, backend.StateKilled:
		return true
	}
	return false
}

// uid names the incarnation. The server chooses run ids and never uses one again; the start keeps apart what two
// databases behind one address would call the same.
func (r wireRun) uid() string { return fmt.Sprintf("%s@%d", r.Info.RunID, r.Info.StartTime) }

func (c *Client) run(r wireRun) backend.Run {
	run := backend.Run{
		ID: r.Info.RunID, Handle: r.Info.RunID, UID: r.uid(), Name: r.Info.RunName,
		URL:       fmt.Sprintf("%s/#/experiments/%s/runs/%s", c.base, r.Info.ExperimentID, r.Info.RunID),
		State:     r.state(),
		CreatedAt: timeOf(r.Info.StartTime),
		User:      r.Info.UserID,
		Summary:   r.summary,
		Tags:      make(tags.Set, len(r.Data.Tags)),
	}
	if r.ended() {
		run.FinishedAt = timeOf(r.Info.EndTime)
	}
	for _, t := range r.Data.Tags {
		if !hidden(t.Key) {
			run.Tags[t.Key] = t.Value
			continue
		}
		switch t.Key {
		case userKey:
			run.User = cmp.Or(run.User, t.Value)
		case parentKey:
			run.Parent = t.Value
		case podKey:
			run.PodName = t.Value
		case podUIDKey:
			run.PodUID = t.Value
		}
	}
	return run
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
