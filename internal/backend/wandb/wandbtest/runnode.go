package wandbtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/runtag/runtag/internal/backend/metric"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest/graphql"
)

type runNode struct {
	*session
	*record
}

// Field answers a run's fields.
func (n runNode) Field(name string, args graphql.Args) (any, error) {
	field, ok := runFields[name]
	if !ok {
		return nil, fmt.Errorf("no resolver for Run.%s", name)
	}
	return field(n, args)
}

type runField func(n runNode, args graphql.Args) (any, error)

// plain makes a field of what needs no arguments and cannot fail.
func plain(f func(n runNode) any) runField {
	return func(n runNode, _ graphql.Args) (any, error) { return f(n), nil }
}

var runFields map[string]runField

func init() { // not at the declaration, because projects have runs and runs have a project
	runFields = map[string]runField{
		"id":               plain(func(n runNode) any { return n.StorageID }),
		"name":             plain(func(n runNode) any { return n.ID }),
		"displayName":      plain(func(n runNode) any { return n.DisplayName }),
		"state":            plain(func(n runNode) any { return n.State }),
		"tags":             plain(func(n runNode) any { return slices.Clone(n.Tags) }),
		"tagColors":        plain(runNode.tagColors),
		"config":           plain(func(n runNode) any { return jsonString(n.Config) }),
		"summaryMetrics":   runNode.summaryMetrics,
		"systemMetrics":    plain(func(runNode) any { return "{}" }),
		"createdAt":        plain(func(n runNode) any { return timestamp(n.CreatedAt) }),
		"heartbeatAt":      plain(func(n runNode) any { return timestamp(n.HeartbeatAt) }),
		"updatedAt":        plain(func(n runNode) any { return timestamp(n.UpdatedAt) }),
		"group":            plain(func(n runNode) any { return orNull(n.Group) }),
		"jobType":          plain(func(n runNode) any { return orNull(n.JobType) }),
		"notes":            plain(func(n runNode) any { return orNull(n.Notes) }),
		"description":      plain(func(n runNode) any { return orNull(n.Description) }),
		"commit":           plain(func(n runNode) any { return orNull(n.Commit) }),
		"host":             plain(func(n runNode) any { return orNull(n.Host) }),
		"sweepName":        plain(func(runNode) any { return nil }),
		"readOnly":         plain(func(runNode) any { return false }),
		"stopped":          plain(func(n runNode) any { return n.Stopped }),
		"shouldStop":       plain(func(n runNode) any { return n.Stopped }),
		"running":          plain(func(n runNode) any { return n.alive() }),
		"failed":           plain(func(n runNode) any { return n.State == stateFailed || n.State == stateCrashed }),
		"exitcode":         plain(runNode.exitcode),
		"user":             plain(func(n runNode) any { return userNode(n.User, n.server.entity) }),
		"project":          plain(func(n runNode) any { return n.project() }),
		"projectId":        plain(func(n runNode) any { return strconv.FormatInt(n.project().Internal, 10) }),
		"computeSeconds":   plain(func(n runNode) any { return n.seconds() }),
		"historyKeys":      plain(runNode.historyKeys),
		"historyLineCount": plain(func(n runNode) any { return len(n.History) }),
		"eventsLineCount":  plain(func(n runNode) any { return len(n.Events) }),
		"logLineCount":     plain(func(n runNode) any { return n.LogLines }),
		"historyTail":      plain(func(n runNode) any { return jsonString(tail(n.History)) }),
		"eventsTail":       plain(func(n runNode) any { return jsonString(tail(n.Events)) }),
		"history":          plain(func(n runNode) any { return slices.Clone(n.History) }),
		"events":           plain(func(n runNode) any { return slices.Clone(n.Events) }),
		"sampledHistory":   runNode.sampledHistory,
		"wandbConfig":      plain(func(runNode) any { return `{"t":1}` }), // says that the run was initialized
		"fileCount":        plain(func(n runNode) any { return len(n.Files) }),
		"files":            runNode.files,
	}
}

func (n runNode) project() projectNode {
	return projectNode{n.session, n.store.project(n.Entity, n.Project)}
}

func (n runNode) seconds() int { return int(n.HeartbeatAt.Sub(n.CreatedAt) / time.Second) }

func (n runNode) exitcode() any {
	if n.ExitCode == nil {
		return nil
	}
	return *n.ExitCode
}

func (n runNode) tagColors() any {
	out := []graphql.Object{}
	for _, tag := range n.Tags {
		out = append(out, graphql.Values{"name": tag, "colorIndex": 0})
	}
	return out
}

func (n runNode) summaryMetrics(args graphql.Args) (any, error) {
	keys := args.Strings("keys")
	if keys == nil {
		return jsonString(n.Summary), nil
	}
	some := map[string]any{}
	for _, key := range keys {
		if value, ok := n.Summary[key]; ok {
			some[key] = value
		}
	}
	return jsonString(some), nil
}

// historyKeys says which metrics were logged and at which step last.
func (n runNode) historyKeys() any {
	keys, last := map[string]any{}, -1
	for _, line := range n.History {
		row := decodeRow(line)
		for key := range row {
			keys[key] = map[string]any{"typeCounts": []any{map[string]any{"type": "number", "count": len(n.History)}}}
		}
		if step, ok := row["_step"].(float64); ok {
			last = max(last, int(step))
		}
	}
	return map[string]any{"sets": []any{}, "keys": keys, "lastStep": last}
}

// sampledHistory gives, for each spec, the rows that have all of its keys.
func (n runNode) sampledHistory(args graphql.Args) (any, error) {
	var out []any
	for _, source := range args.Strings("specs") {
		var spec struct {
			Keys []string `json:"keys"`
		}
		if err := json.Unmarshal([]byte(source), &spec); err != nil {
			return nil, graphql.Refuse(400, "invalid spec: %v", err)
		}
		rows := []any{}
		for _, line := range n.History {
			row := decodeRow(line)
			maps.DeleteFunc(row, func(key string, _ any) bool { return !slices.Contains(spec.Keys, key) })
			if len(row) == len(spec.Keys) {
				rows = append(rows, row)
			}
		}
		out = append(out, rows)
	}
	return out, nil
}

// decodeRow reads a line of history; a line that is not an object has no metrics.
func decodeRow(line string) map[string]any {
	row := map[string]any{}
	if json.Unmarshal(metric.Quote([]byte(line)), &row) != nil {
		return map[string]any{}
	}
	return row
}

func tail(lines []string) []string {
	return append([]string{}, lines[max(0, len(lines)-1):]...)
}

func timestamp(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// jsonString writes what came from JSON back as a string of JSON.
func jsonString(value any) string {
	body, err := json.Marshal(value)
	if err != nil || string(body) == "null" {
		return "{}"
	}
	return string(body)
}
