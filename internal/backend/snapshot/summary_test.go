package snapshot_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
)

type metrics = map[string]float64

// The cases follow each other.
var summaryCases = []struct {
	reason string
	read   metrics
	want   metrics
	change bool
}{
	{"a first look that asked for none", nil, nil, true},
	{"that a run has none is news, once", metrics{}, metrics{}, true},
	{"none again", metrics{}, metrics{}, false},
	{"a value appears", metrics{"loss": 1}, metrics{"loss": 1}, true},
	{"the same again", metrics{"loss": 1}, metrics{"loss": 1}, false},
	{"a read that asked for none leaves what is known alone", nil, metrics{"loss": 1}, false},
	{"a value changes", metrics{"loss": 0.5}, metrics{"loss": 0.5}, true},
	{"NaN is another value", metrics{"loss": math.NaN()}, metrics{"loss": math.NaN()}, true},
	{"and the same as itself", metrics{"loss": math.NaN()}, metrics{"loss": math.NaN()}, false},
	{"infinite", metrics{"loss": math.Inf(1)}, metrics{"loss": math.Inf(1)}, true},
	{"infinite the other way", metrics{"loss": math.Inf(-1)}, metrics{"loss": math.Inf(-1)}, true},
	{"zero", metrics{"loss": 0}, metrics{"loss": 0}, true},
	{"another key of the same value", metrics{"acc": 0}, metrics{"acc": 0}, true},
	{"other keys are asked for", metrics{"acc": 0, "loss": 1}, metrics{"acc": 0, "loss": 1}, true},
	{"and fewer", metrics{"loss": 1}, metrics{"loss": 1}, true},
	{"it is gone", metrics{}, metrics{}, true},
}

func TestSummary(t *testing.T) {
	s := snapshot.New()
	s.Track([]string{"a"}, []string{"name-a"})
	for i, c := range summaryCases {
		read := run("a", backend.StateRunning, "x")
		read.Summary = c.read
		want := nothing
		if c.change {
			want = snapshot.Changes{IDs: []string{"a"}, Names: []string{"name-a"}}
		}
		expect(t, c.reason, s.Listed(at(i), snapshot.Recent, runs(read)), want)
		named, _ := s.Named("name-a")
		for _, got := range []metrics{s.Get("a").Run.Summary, named[0].Summary} {
			if diff := cmp.Diff(c.want, got, cmpopts.EquateNaNs()); diff != "" {
				t.Errorf("%s: metrics (-want +got):\n%s", c.reason, diff)
			}
		}
	}
}

func TestWhatAReadWithoutMetricsKeeps(t *testing.T) {
	at0 := run("a", backend.StateRunning, "x")
	at0.Summary = metrics{"loss": 1}
	for _, c := range []struct {
		reason string
		change func(*backend.Run)
		want   metrics
	}{
		{"those of the run, whatever else changed", func(r *backend.Run) { r.State = backend.StateFinished }, metrics{"loss": 1}},
		{"but not those of another run that has its id now", func(r *backend.Run) { r.UID = "other" }, nil},
	} {
		s := snapshot.New()
		s.Track([]string{"a"}, []string{"name-a"})
		s.Listed(at(1), snapshot.Recent, runs(at0))
		next := with(at0, c.change)
		next.Summary = nil
		s.Wrote(at(2), next)
		named, _ := s.Named("name-a")
		for _, got := range []metrics{s.Get("a").Run.Summary, named[0].Summary} {
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: metrics (-want +got):\n%s", c.reason, diff)
			}
		}
	}
}

// TestALookWithoutNewsAllocatesNothingForARun: what it does allocate does not grow with the metrics or their number.
func TestALookWithoutNewsAllocatesNothingForARun(t *testing.T) {
	cost := func(m metrics) float64 {
		s, list := tracked(100)
		for i := range list {
			list[i].Summary = m
		}
		began := 0
		return testing.AllocsPerRun(20, func() {
			began++
			s.Listed(at(began), snapshot.Recent, list)
		})
	}
	if bare, full := cost(nil), cost(metrics{"loss": math.NaN(), "acc": 1}); full > bare || full > 20 {
		t.Errorf("a look at 100 runs makes %v allocations with metrics and %v without", full, bare)
	}
}
