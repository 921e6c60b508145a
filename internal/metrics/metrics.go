// Package metrics holds the operator's own Prometheus metrics. Labels have few values: never a run, a tag or a host.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/runtag/runtag/internal/backend/transport"
)

// Metrics are the operator's own metrics.
type Metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	waited   *prometheus.HistogramVec
	changes  *prometheus.CounterVec
	drift    prometheus.Counter
	lag      prometheus.Histogram
	follow   prometheus.Histogram
	looks    *prometheus.HistogramVec
}

// New makes the metrics and registers them.
func New(registry prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "runtag_tracker_requests_total", Help: "Requests to trackers, by operation and outcome.",
		}, []string{"operation", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "runtag_tracker_request_duration_seconds", Help: "Time of a request to a tracker until its answer was read.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 13),
		}, []string{"operation"}),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "runtag_tracker_wait_seconds", Help: "Time a request waited for the rate limit.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 10),
		}, []string{"operation"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "runtag_tag_changes_total", Help: "Tags that changed on runs, by source (Run: seen, not ours) and change.",
		}, []string{"source", "change"}),
		drift: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "runtag_drift_total", Help: "Declared tags that were found missing on a run after they had been there.",
		}),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "runtag_tag_lag_seconds", Help: "Time from the pass that noticed that a tag has to change until it was changed on the tracker.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 15),
		}),
		follow: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "runtag_cluster_to_tag_seconds", Help: "Time from seeing a change of a pod or node until the tag that follows from it was on the tracker.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 15),
		}),
		looks: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "runtag_look_duration_seconds", Help: "Time of a look at a project's runs.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 15),
		}, []string{"kind"}),
	}
	for _, collector := range []prometheus.Collector{m.requests, m.duration, m.waited, m.changes, m.drift, m.lag, m.follow, m.looks} {
		if err := registry.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Request counts a request to a tracker.
func (m *Metrics) Request(o transport.Observation) {
	m.requests.WithLabelValues(o.Op, o.Outcome).Inc()
	m.duration.WithLabelValues(o.Op).Observe(o.Duration.Seconds())
	m.waited.WithLabelValues(o.Op).Observe(o.Waited.Seconds())
}

// TagChanged counts a change of a tag.
func (m *Metrics) TagChanged(source, change string) { m.changes.WithLabelValues(source, change).Inc() }

// Drifted counts declared tags that somebody took off.
func (m *Metrics) Drifted(tags int) { m.drift.Add(float64(tags)) }

// Lagged observes the time from noticing a change to its being on the tracker.
func (m *Metrics) Lagged(d time.Duration) { m.lag.Observe(d.Seconds()) }

// Followed observes the time from seeing a change of a pod or node to the tag that follows from it.
func (m *Metrics) Followed(d time.Duration) { m.follow.Observe(d.Seconds()) }

// Looked observes the time of a look; kind is active or full.
func (m *Metrics) Looked(kind string, d time.Duration) {
	m.looks.WithLabelValues(kind).Observe(d.Seconds())
}
