package metrics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/metrics"
)

// gathered lists every counter and the count and sum of every histogram, as "name{label=value} value".
func gathered(t *testing.T, registry *prometheus.Registry) (out []string) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatalf("Gather: %v", err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			name := family.GetName() + "{" + strings.Join(labels, ",") + "} "
			if h := m.GetHistogram(); h != nil {
				if h.GetSampleCount() > 0 {
					out = append(out, name+fmt.Sprintf("%d in %gs", h.GetSampleCount(), h.GetSampleSum()))
				}
				continue
			}
			out = append(out, name+fmt.Sprint(m.GetCounter().GetValue()))
		}
	}
	slices.Sort(out)
	return out
}

func TestMetricsCountWhatHappens(t *testing.T) {
	tests := []struct {
		reason string
		happen func(*metrics.Metrics)
		want   []string
	}{
		{
			reason: "nothing happened but the counter of drift is there, so that an alert on it works",
			happen: func(*metrics.Metrics) {},
			want:   []string{"runtag_drift_total{} 0"},
		},
		{
			reason: "a request counts by operation and outcome; its host, which has many values, is no label",
			happen: func(m *metrics.Metrics) {
				m.Request(transport.Observation{Host: "tracker.example", Op: "list runs", Outcome: "2xx", Duration: 2 * time.Second, Waited: time.Second})
				m.Request(transport.Observation{Host: "tracker.example", Op: "list runs", Outcome: "429"})
			},
			want: []string{
				"runtag_drift_total{} 0",
				"runtag_tracker_request_duration_seconds{operation=list runs} 2 in 2s",
				"runtag_tracker_requests_total{operation=list runs,outcome=2xx} 1",
				"runtag_tracker_requests_total{operation=list runs,outcome=429} 1",
				"runtag_tracker_wait_seconds{operation=list runs} 2 in 1s",
			},
		},
		{
			reason: "changes count by source and kind, drift by tag",
			happen: func(m *metrics.Metrics) {
				m.TagChanged("Spec", "Added")
				m.TagChanged("Spec", "Added")
				m.TagChanged("Run", "Removed")
				m.Drifted(3)
			},
			want: []string{
				"runtag_drift_total{} 3",
				"runtag_tag_changes_total{change=Added,source=Spec} 2",
				"runtag_tag_changes_total{change=Removed,source=Run} 1",
			},
		},
		{
			reason: "looks and lags are times",
			happen: func(m *metrics.Metrics) {
				m.Looked("full", 1500*time.Millisecond)
				m.Lagged(250 * time.Millisecond)
			},
			want: []string{
				"runtag_drift_total{} 0",
				"runtag_look_duration_seconds{kind=full} 1 in 1.5s",
				"runtag_tag_lag_seconds{} 1 in 0.25s",
			},
		},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			registry := prometheus.NewPedanticRegistry()
			m, err := metrics.New(registry)
			if err != nil {
				t.Fatalf("New: %v", err)
			}
			tc.happen(m)
			if diff := cmp.Diff(tc.want, gathered(t, registry)); diff != "" {
				t.Errorf("metrics (-want +have):\n%s", diff)
			}
		})
	}
}

func TestNewRefusesARegistryThatHasThem(t *testing.T) {
	registry := prometheus.NewRegistry()
	if _, err := metrics.New(registry); err != nil {
		t.Fatalf("New: %v", err)
	}
	if _, err := metrics.New(registry); err == nil {
		t.Error("a second New on one registry gave no error")
	}
}
