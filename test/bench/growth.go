package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/runtag/runtag/test/bench/report"
	"github.com/runtag/runtag/test/stage"
)

const (
	// looksPerSize is how many full looks are averaged.
	looksPerSize = 3
	// standing is for how long a manager that has nothing to do is watched; it looks at what is active every second then.
	standing = 5 * time.Second
)

// size is what was measured with so many runs.
type size struct {
	runs     int
	look     float64 // seconds of a full look
	tracker  float64 // of which the tracker's
	requests float64 // of a full look
	cpu      float64 // seconds of a full look
	active   float64 // requests of a look at what is active
	idle     float64 // seconds of processor time per second between full looks
	heap     float64 // MiB
}

// growth is row 9: what the manager needs with more and more runs in a project of which 1,000 are tracked, and in one of
// which all are.
func growth(ctx context.Context, b *bench) (row report.Row, err error) {
	some, err := b.grow(ctx, "some", []int{1000, 3000, 10_000, 30_000, 100_000}, func(int) int { return 1000 })
	if err != nil {
		return row, err
	}
	all, err := b.grow(ctx, "all", []int{1000, 3000, 10_000, 30_000, 100_000}, func(runs int) int { return runs })
	if err != nil {
		return row, err
	}
	first, last := some[0], some[len(some)-1]
	large := all[len(all)-3:] // where what is constant no longer hides the growth
	row.Checks = []report.Check{
		report.AtMost("1,000 of them tracked: requests of a full look, most runs against fewest", last.requests/first.requests, 1.2, "×"),
		report.AtMost("1,000 of them tracked: heap, most runs against fewest", last.heap/first.heap, 1.2, "×"),
		report.AtMost("all tracked: exponent of the growth of requests", exponent(large, func(s size) float64 { return s.requests }), 1.1, ""),
		report.AtMost("all tracked: exponent of the growth of heap", exponent(large, func(s size) float64 { return s.heap }), 1.1, ""),
	}
	row.Figures = []report.Figure{
		{What: "1,000 of them tracked: time of a full look, most runs", Value: last.look, Unit: "s", Own: last.tracker, Whose: "tracker"},
		{What: "1,000 of them tracked: time of a full look without the tracker's, most runs against fewest", Value: (last.look - last.tracker) / (first.look - first.tracker), Unit: "×"},
		{What: "1,000 of them tracked: processor time of a full look, most runs against fewest", Value: last.cpu / first.cpu, Unit: "×"},
		{What: "all tracked: time of a full look, most runs", Value: all[len(all)-1].look, Unit: "s", Own: all[len(all)-1].tracker, Whose: "tracker"},
		{What: "all tracked: exponent of the growth of a full look's time without the tracker's", Value: exponent(large, func(s size) float64 { return s.look - s.tracker })},
		{What: "all tracked: exponent of the growth of a full look's processor time", Value: exponent(large, func(s size) float64 { return s.cpu })},
	}
	for i, sizes := range [][]size{some, all} {
		for _, s := range sizes {
			row.Notes = append(row.Notes, fmt.Sprintf([]string{"1,000", "All"}[i]+" of %d runs tracked: a full look takes %.2f s (%.2f s of it the tracker's), %.0f requests and %.2f s of processor time; a look at what is active "+
				"%.1f requests; between full looks %.3f s of processor time a second; heap %.0f MiB.", s.runs, s.look, s.tracker, s.requests, s.cpu, s.active, s.idle, s.heap))
		}
	}
	row.Plots = []report.Plot{
		plotSizes("growth-requests", "Requests of a full look", "requests", some, all, func(s size) float64 { return s.requests }),
		plotSizes("growth-time", "Time of a full look", "seconds", some, all, func(s size) float64 { return s.look }),
		plotSizes("growth-cpu", "Processor time of a full look", "seconds", some, all, func(s size) float64 { return s.cpu }),
		plotSizes("growth-heap", "Heap in use after a garbage collection", "MiB", some, all, func(s size) float64 { return s.heap }),
	}
	row.Notes = append(row.Notes, "Exponents are of the three largest sizes. The TrainingRuns are copies of one that the manager made, put into etcd, as the API server alone would take minutes for them; "+
		"the manager finds nothing to write on them.")
	return row, nil
}

// grow measures one project of a cluster of its own while its runs grow in number, with as many TrainingRuns as tracked
// says.
func (b *bench) grow(ctx context.Context, name string, runs []int, tracked func(int) int) (sizes []size, err error) {
	base, err := newCluster(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() {
		if ended := base.close(ctx); err == nil {
			err = ended
		}
	}()
	c := &crowd{cluster: base}
	if err := c.addProject(ctx, name, nil); err != nil {
		return nil, err
	}
	if err := c.startManager(ctx); err != nil {
		return nil, err
	}
	there, objects := 0, 0
	for _, n := range runs {
		n = b.scaled(n)
		if err := c.addRuns(name, there, n); err != nil {
			return nil, err
		}
		want := b.scaled(tracked(n))
		if tracked(n) == n {
			want = n
		}
		if err := c.plant(ctx, name, objects, want); err != nil {
			return nil, err
		}
		there, objects = n, want
		s, err := c.measure(ctx, name, n)
		if err != nil {
			return nil, err
		}
		sizes = append(sizes, s)
		b.say("   %s: %+v", name, s)
	}
	return sizes, nil
}

// measure takes the measures of a project that nothing is changed in.
func (c *crowd) measure(ctx context.Context, name string, runs int) (size, error) {
	s := size{runs: runs}
	if err := c.look(ctx, name); err != nil { // the first one learns anew how many runs there are
		return s, err
	}
	if _, err := c.settle(ctx, nothing); err != nil {
		return s, err
	}
	var err error
	if err = c.lookCost(ctx, name, &s); err != nil {
		return s, err
	}
	if s.active, s.idle, err = c.standingCost(ctx, name); err != nil {
		return s, err
	}
	s.heap, err = c.manager.HeapInUse(ctx)
	s.heap /= 1 << 20
	return s, err
}

func nothing(context.Context) error { return nil }

// lookCost adds what a full look costs on average: time by the manager's own clock and the tracker's part of it, requests,
// and processor time until all that follows from it is done.
func (c *crowd) lookCost(ctx context.Context, name string, s *size) error {
	before, err := c.manager.Metrics(ctx)
	if err != nil {
		return err
	}
	sent, served := c.requests(), c.trackerSeconds()
	for range looksPerSize {
		if err := c.look(ctx, name); err != nil {
			return err
		}
	}
	s.requests, s.tracker = float64(c.requests()-sent)/looksPerSize, (c.trackerSeconds()-served)/looksPerSize
	after, err := c.manager.Metrics(ctx)
	if err != nil {
		return err
	}
	s.cpu = (after.Sum(processorSeconds, nil) - before.Sum(processorSeconds, nil)) / looksPerSize
	s.look = (lookTime(after) - lookTime(before)) / looksPerSize
	return nil
}

// lookTime is the time of all full looks so far.
func lookTime(m stage.Metrics) float64 {
	sum := 0.0
	for _, metric := range m["runtag_look_duration_seconds"].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetValue() == "full" {
				sum += metric.GetHistogram().GetSampleSum()
			}
		}
	}
	return sum
}

// standingCost is what it costs per second to do nothing but look at what is active once a second: requests of such a
// look, and processor time per second.
func (c *crowd) standingCost(ctx context.Context, name string) (requests, cpu float64, err error) {
	if err := c.editProject(ctx, name, `{"interval":"1s"}`); err != nil {
		return 0, 0, err
	}
	before, err := c.manager.Metrics(ctx)
	if err != nil {
		return 0, 0, err
	}
	sent, began := c.requests(), time.Now()
	select {
	case <-time.After(standing):
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	more, took := c.requests()-sent, time.Since(began)
	after, err := c.manager.Metrics(ctx)
	if err != nil {
		return 0, 0, err
	}
	active := map[string]string{"kind": "active"}
	looks := after.Sum("runtag_look_duration_seconds", active) - before.Sum("runtag_look_duration_seconds", active)
	cpu = (after.Sum(processorSeconds, nil) - before.Sum(processorSeconds, nil)) / took.Seconds()
	return float64(more) / max(looks, 1), cpu, c.editProject(ctx, name, `{"interval":"1h"}`)
}

// exponent is the slope of a measure over the number of runs, both as logarithms: 1 for one that grows as they do.
func exponent(sizes []size, of func(size) float64) float64 {
	var sx, sy, sxx, sxy float64
	for _, s := range sizes {
		x, y := math.Log(float64(s.runs)), math.Log(max(of(s), 1e-6))
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	n := float64(len(sizes))
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

func plotSizes(file, title, unit string, some, all []size, of func(size) float64) report.Plot {
	line := func(name string, sizes []size) report.Line {
		l := report.Line{Name: name}
		for _, s := range sizes {
			l.X, l.Y = append(l.X, float64(s.runs)), append(l.Y, of(s))
		}
		return l
	}
	return report.Plot{
		File: file, Title: title, X: "runs in the project", Y: unit, LogX: true, LogY: true,
		Lines: []report.Line{line("1,000 tracked", some), line("all tracked", all)},
	}
}
