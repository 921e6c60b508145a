package mlflow

import (
	"cmp"
	"fmt"
	"time"

	"github.com/runtag/runtag/internal/backend"
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
	} `json:"data"`
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
