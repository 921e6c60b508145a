// Package audit writes one JSON line for each change of a tag on a tracker, ours or one that was seen.
package audit

import (
	"time"

	"github.com/go-logr/logr"
)

// Line is one change. Nothing in it is secret.
type Line struct {
	Time                            time.Time
	Namespace, TrainingRun, Project string
	// Run is the run's id on the tracker.
	Run string
	Tag string
	// Change is Added, Removed or Changed.
	Change string
	// Source is who declared the tag; Run for a change that was seen.
	Source string
	// FieldManager declared the tag, where it is known.
	FieldManager string
	// Rule gave the tag, or had given it, and Evidence is what made it true.
	Rule, Evidence string
}

// Log writes the lines with the logger named "audit".
type Log struct{ log logr.Logger }

// New makes a Log on top of the operator's logger.
func New(log logr.Logger) *Log { return &Log{log: log.WithName("audit")} }

// Write writes a line.
func (l *Log) Write(line Line) {
	values := []any{
		"time", line.Time.UTC().Format(time.RFC3339Nano), "namespace", line.Namespace, "trainingRun", line.TrainingRun,
		"project", line.Project, "run", line.Run, "tag", line.Tag, "change", line.Change, "source", line.Source,
	}
	for _, more := range []struct{ key, value string }{{"fieldManager", line.FieldManager}, {"rule", line.Rule}, {"evidence", line.Evidence}} {
		if more.value != "" {
			values = append(values, more.key, more.value)
		}
	}
	l.log.Info("tag changed", values...)
}
