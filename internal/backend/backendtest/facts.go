package backendtest

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runtag/runtag/internal/backend"
)

func testSummary(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	type metrics = map[string]float64
	made := f.project.Create(t,
		NewRun{Name: "r", Metrics: metrics{
			"loss": 0.25, "val/loss": -1e-300, "eval.acc": 3, "eval": 4, "nan": math.NaN(), "up": math.Inf(1), "down": math.Inf(-1), "zero": 0,
		}},
		NewRun{Name: "r"})
	cases := []struct {
		name   string
		asked  []string
		want   metrics
		reason string
	}{
		{"nothing asked", nil, nil, "nothing is said of metrics that nobody asked for"},
		{"one", []string{"loss"}, metrics{"loss": 0.25}, "no other metrics come along"},
		{"twice", []string{"loss", "zero", "loss"}, metrics{"loss": 0.25, "zero": 0}, "a key may be named twice, and zero is a value"},
		{"slash", []string{"val/loss"}, metrics{"val/loss": -1e-300}, "a slash is part of the key"},
		{"dot", []string{"eval.acc"}, metrics{"eval.acc": 3}, "so is a dot"},
		{"special", []string{"nan", "up", "down"}, metrics{"nan": math.NaN(), "up": math.Inf(1), "down": math.Inf(-1)}, "all that a metric can be comes as it was logged"},
		{"absent", []string{"none", "LOSS", "los", "val", "eval.none", "", `"`, "$keys"}, metrics{}, "a run that has none of them says so"},
		{"some absent", []string{"none", "loss"}, metrics{"loss": 0.25}, "one that is absent hides no other"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := f.in(t)
			wrapped := *f
			wrapped.client = backend.WithSummary(f.client, func() []string { return c.asked })
			for _, got := range []backend.Run{
				f.list(backend.Query{IDs: made[:1], Summary: c.asked})[0], wrapped.list(backend.Query{IDs: made[:1]})[0],
			} {
				if diff := cmp.Diff(c.want, got.Summary, cmpopts.EquateNaNs()); diff != "" {
					t.Errorf("metrics (-want +got):\n%s%s", diff, c.reason)
				}
			}
			bare := f.list(backend.Query{IDs: made[1:], Summary: c.asked})[0].Summary
			if len(bare) > 0 || (bare == nil) != (c.want == nil) {
				t.Errorf("a run without metrics has %#v, want none, and nil only where none were asked for", bare)
			}
		})
	}
}

func testSummaryOfLists(t *testing.T, h Harness) {
	f := open(t, h, Options{Page: 2})
	var news []NewRun
	for i := range 5 {
		news = append(news, NewRun{Name: "r", State: backend.StateRunning, Tags: f.bare("x"), Metrics: map[string]float64{"step": float64(i), "loss": 1}})
	}
	made := f.project.Create(t, news...)
	want := map[string]map[string]float64{}
	for i, id := range made {
		want[id] = map[string]float64{"step": float64(i)}
	}
	queries := []struct {
		name  string
		query backend.Query
	}{
		{"ids", backend.Query{IDs: made}}, {"names", backend.Query{Names: []string{"r"}}}, {"since", backend.Query{Since: time.Now()}},
		{"all", backend.Query{All: true}}, {"tag", backend.Query{AnyTag: []string{"x"}, Newest: true}},
	}
	for _, q := range queries {
		t.Run(q.name, func(t *testing.T) {
			f := f.in(t)
			for _, run := range f.list(q.query) {
				if run.Summary != nil {
					t.Errorf("run %s comes with %v: nobody asked for metrics", run.ID, run.Summary)
				}
			}
			q.query.Summary = []string{"step"}
			got := map[string]map[string]float64{}
			for _, run := range f.list(q.query) {
				got[run.ID] = run.Summary
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("metrics by run (-want +got):\n%severy run of a list brings its own along, whatever the kind of list", diff)
			}
		})
	}
}

func testOrigins(t *testing.T, h Harness) {
	if !h.Traits().Origins {
		t.Skip("runs of this tracker do not tell where they were made")
	}
	f := open(t, h, Options{})
	parent := f.create(NewRun{Name: "parent"})
	run := f.create(NewRun{Name: "r", Tags: f.bare("x"), PodName: "capsules-0", PodUID: "5f1c2d", Parent: parent.ID})
	got := []string{run.PodName, run.PodUID, run.Parent, parent.PodName, parent.PodUID, parent.Parent}
	if diff := cmp.Diff([]string{"capsules-0", "5f1c2d", parent.ID, "", "", ""}, got); diff != "" {
		t.Errorf("what the runs say of their pods and parents (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(f.bare("x"), run.Tags); diff != "" {
		t.Errorf("tags, none of which is about that (-want +got):\n%s", diff)
	}
	result := f.change(edit(run, f.bare("y"), "x"))[0]
	if result.Err != nil || result.After.PodUID != run.PodUID || result.After.Parent != parent.ID {
		t.Errorf("after a change of its tags it says %+v: that stays", result)
	}
	if again := f.get(run.ID); again.PodUID != run.PodUID || again.PodName != run.PodName || again.Parent != parent.ID {
		t.Errorf("on the tracker it says %+v after a change of its tags: that stays", again)
	}
}
