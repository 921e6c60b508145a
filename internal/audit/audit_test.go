package audit_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/audit"
)

func TestWriteWritesOneJSONLine(t *testing.T) {
	at := time.Date(2026, 11, 24, 10, 0, 0, 500, time.FixedZone("elsewhere", 3600))
	tests := []struct {
		reason string
		line   audit.Line
		want   map[string]any
	}{
		{
			reason: "a change of ours names the field manager that declared the tag",
			line: audit.Line{
				Time: at, Namespace: "team", TrainingRun: "a", Project: "capsules", Run: "3f9a1c",
				Tag: "baseline", Change: "Added", Source: "Spec", FieldManager: "kubectl",
			},
			want: map[string]any{
				"logger": "audit", "level": 0.0, "msg": "tag changed", "time": "2026-11-24T09:00:00.0000005Z",
				"namespace": "team", "trainingRun": "a", "project": "capsules", "run": "3f9a1c",
				"tag": "baseline", "change": "Added", "source": "Spec", "fieldManager": "kubectl",
			},
		},
		{
			reason: "a change that a rule caused names the rule, and what made it true",
			line: audit.Line{
				Time: at, Namespace: "team", TrainingRun: "a", Project: "capsules", Run: "3f9a1c",
				Tag: "preempted", Change: "Added", Source: "Rule", Rule: "ClusterTagRule/preempted", Evidence: "pod a: DisruptionTarget=PreemptionByScheduler",
			},
			want: map[string]any{
				"logger": "audit", "level": 0.0, "msg": "tag changed", "time": "2026-11-24T09:00:00.0000005Z",
				"namespace": "team", "trainingRun": "a", "project": "capsules", "run": "3f9a1c",
				"tag": "preempted", "change": "Added", "source": "Rule", "rule": "ClusterTagRule/preempted", "evidence": "pod a: DisruptionTarget=PreemptionByScheduler",
			},
		},
		{
			reason: "a change that was seen has no field manager, and a tag may hold anything",
			line: audit.Line{
				Time: at, Namespace: "team", TrainingRun: "a", Project: "capsules", Run: "3f9a1c",
				Tag: "a \"quoted\"\nline", Change: "Removed", Source: "Run",
			},
			want: map[string]any{
				"logger": "audit", "level": 0.0, "msg": "tag changed", "time": "2026-11-24T09:00:00.0000005Z",
				"namespace": "team", "trainingRun": "a", "project": "capsules", "run": "3f9a1c",
				"tag": "a \"quoted\"\nline", "change": "Removed", "source": "Run",
			},
		},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			var lines []string
			audit.New(funcr.NewJSON(func(line string) { lines = append(lines, line) }, funcr.Options{})).Write(tc.line)
			if len(lines) != 1 {
				t.Fatalf("%d lines, want one: %q", len(lines), lines)
			}
			var have map[string]any
			if err := json.Unmarshal([]byte(lines[0]), &have); err != nil {
				t.Fatalf("line %q: %v", lines[0], err)
			}
			if diff := cmp.Diff(tc.want, have); diff != "" {
				t.Errorf("line (-want +have):\n%s", diff)
			}
		})
	}
}
