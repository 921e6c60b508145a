package wandb

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/metric"
	"github.com/runtag/runtag/internal/tags"
)

// node is a run as the server sends it.
type node struct {
	ID          string          `json:"id"`
	Name        string          `json:"name"`
	DisplayName string          `json:"displayName"`
	State       string          `json:"state"`
	Tags        json.RawMessage `json:"tags"`
	CreatedAt   string          `json:"createdAt"`
	HeartbeatAt string          `json:"heartbeatAt"`
	Host        string          `json:"host"`
	User        *struct {
		Username string `json:"username"`
	} `json:"user"`
	Group   string `json:"group"`
	JobType string `json:"jobType"`
	// Summary is a JSON object as text; absent where it was not asked for.
	Summary *string `json:"summaryMetrics"`
}

// seen is a run as read, with its tags in the tracker's order, duplicates and all.
type seen struct {
	backend.Run
	list []string
}

// decodeRun reads one run. A run without tags would be written back without any, so what is not there is an error.
func (c *Client) decodeRun(n node) (seen, error) {
	if n.ID == "" || n.Name == "" {
		return seen{}, fmt.Errorf("a run has no id or no name")
	}
	list, err := decodeTags(n.Tags)
	if err != nil {
		return seen{}, fmt.Errorf("run %q: %w", n.Name, err)
	}
	created, err := parseTime(n.CreatedAt)
	if err != nil || created.IsZero() {
		return seen{}, fmt.Errorf("run %q: createdAt is not a time", n.Name)
	}
	beat, err := parseTime(n.HeartbeatAt)
	if err != nil {
		return seen{}, fmt.Errorf("run %q: heartbeatAt is not a time", n.Name)
	}
	run := backend.Run{
		ID:          n.Name,
		Handle:      n.ID,
		UID:         n.ID + "/" + created.Format(time.RFC3339Nano),
		Name:        n.DisplayName,
		URL:         c.runsURL + url.PathEscape(n.Name),
		State:       state(n.State),
		CreatedAt:   created,
		HeartbeatAt: beat,
		Host:        n.Host,
		Group:       n.Group,
		JobType:     n.JobType,
		Tags:        setOf(list),
	}
	if n.User != nil {
		run.User = n.User.Username
	}
	run.FinishedAt = finishedAt(run)
	return seen{Run: run, list: list}, nil
}

// summary reads the metrics with these keys; a run that has logged nothing yet has none. One that cannot be read keeps
// no other run from being seen: nothing is said of its metrics.
func (c *Client) summary(n node, keys []string) map[string]float64 {
	if len(keys) == 0 {
		return nil
	}
	if n.Summary == nil {
		return map[string]float64{}
	}
	picked, err := metric.Pick([]byte(*n.Summary), keys)
	if err != nil {
		c.learned.badSummary(c.clean(fmt.Sprintf("run %q: %v", n.Name, err)))
		return nil
	}
	return picked
}

// decodeTags reads a list of tags; null is an empty one.
func decodeTags(raw json.RawMessage) ([]string, error) {
	if len(raw) == 0 {
		return nil, fmt.Errorf("there is no field tags")
	}
	list := []string{}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("tags is not a list of strings")
	}
	if list == nil {
		list = []string{}
	}
	return list, nil
}

func setOf(list []string) tags.Set {
	set := make(tags.Set, len(list))
	for _, tag := range list {
		set[tag] = ""
	}
	return set
}

// state reads W&B's states, which are an open set of strings.
func state(s string) backend.State {
	switch known := backend.State(s); known {
	case backend.StatePending, backend.StateRunning, backend.StatePreempting, backend.StateFinished,
		backend.StateFailed, backend.StateCrashed, backend.StateKilled, backend.StatePreempted:
		return known
	default:
		return backend.StateUnknown
	}
}

// finishedAt is the last sign of life of a run that has ended; W&B keeps no time of the end itself.
func finishedAt(run backend.Run) time.Time {
	switch {
	case run.State.Active() || run.State == backend.StateUnknown:
		return time.Time{}
	case run.HeartbeatAt.IsZero():
		return run.CreatedAt
	default:
		return run.HeartbeatAt
	}
}

// parseTime reads a time with or without a zone; W&B means UTC where it says none. Empty is the zero time.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05.999999999", s)
	}
	return t.UTC(), err
}
