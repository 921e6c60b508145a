package wandbtest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Run is a run as the server keeps it.
type Run struct {
	Entity  string `json:"entity"`
	Project string `json:"project"`
	// ID is the run's own id, the last part of its URL.
	ID string `json:"id"`
	// StorageID is the global id that writes name. The server makes it of entity, project and id.
	StorageID   string `json:"storageID,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
	// State is running, finished, failed, crashed, killed, preempting, preempted or pending.
	State string   `json:"state"`
	Tags  []string `json:"tags"`
	// CreatedAt tells a run from one that was deleted and made again under its id. Times are cut to whole seconds, as in
	// the tracker's answers.
	CreatedAt time.Time `json:"createdAt"`
	// HeartbeatAt is when the run's process last wrote; it does not move when a person edits the run.
	HeartbeatAt time.Time `json:"heartbeatAt"`
	UpdatedAt   time.Time `json:"updatedAt"`

	Host        string `json:"host,omitempty"`
	User        string `json:"user,omitempty"`
	Group       string `json:"group,omitempty"`
	JobType     string `json:"jobType,omitempty"`
	Notes       string `json:"notes,omitempty"`
	Description string `json:"description,omitempty"`
	Commit      string `json:"commit,omitempty"`
	// Config is as the SDK sends it: each key holds {"value": …}.
	Config  map[string]any `json:"config,omitempty"`
	Summary map[string]any `json:"summary,omitempty"`
	// ExitCode is nil until the process said that it ended.
	ExitCode *int `json:"exitCode,omitempty"`
	// Stopped says that somebody asked the run to stop.
	Stopped bool `json:"stopped,omitempty"`
}

// Path is "entity/project/id", as the methods of Server take it.
func (r Run) Path() string { return r.Entity + "/" + r.Project + "/" + r.ID }

// The states that the server itself puts runs in.
const (
	stateRunning    = "running"
	stateFinished   = "finished"
	stateFailed     = "failed"
	stateCrashed    = "crashed"
	stateKilled     = "killed"
	statePreempting = "preempting"
	statePreempted  = "preempted"
	statePending    = "pending"
)

var states = []string{
	stateRunning, stateFinished, stateFailed, stateCrashed, stateKilled, statePreempting, statePreempted, statePending,
}

// alive says whether the run is expected to send heartbeats.
func (r Run) alive() bool { return r.State == stateRunning || r.State == statePreempting }

// record is a run with what only the server needs of it.
type record struct {
	Run
	// Seq orders the runs of the server by when they were made.
	Seq      int64            `json:"seq"`
	History  []string         `json:"history,omitempty"`
	Events   []string         `json:"events,omitempty"`
	LogLines int              `json:"logLines,omitempty"`
	Files    map[string]*file `json:"files,omitempty"`
}

// file is one uploaded file; content beyond maxFile is counted and let go.
type file struct {
	Content   []byte    `json:"content"`
	Size      int64     `json:"size"`
	MD5       string    `json:"md5"`
	UpdatedAt time.Time `json:"updatedAt"`
}

func (r *record) copy() Run {
	out := r.Run
	out.Tags = slices.Clone(r.Tags)
	out.Config = maps.Clone(r.Config)
	out.Summary = maps.Clone(r.Summary)
	return out
}

// StorageID is the global id of a run.
func StorageID(entity, project, id string) string {
	return base64.StdEncoding.EncodeToString([]byte("Run:v1:" + id + ":" + project + ":" + entity))
}

func parseStorageID(id string) (entity, project, run string, err error) {
	raw, err := base64.StdEncoding.DecodeString(id)
	if err != nil {
		return "", "", "", fmt.Errorf("invalid run id %q", id)
	}
	parts := strings.Split(string(raw), ":")
	if len(parts) != 5 || parts[0] != "Run" || parts[1] != "v1" {
		return "", "", "", fmt.Errorf("invalid run id %q", id)
	}
	return parts[4], parts[3], parts[2], nil
}

func splitPath(path string) (entity, project, id string, err error) {
	parts := strings.Split(path, "/")
	if len(parts) != 3 || slices.Contains(parts, "") {
		return "", "", "", fmt.Errorf("run path %q is not of the form entity/project/id", path)
	}
	return parts[0], parts[1], parts[2], nil
}
