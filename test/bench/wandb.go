package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/test/bench/report"
)

// wandbLatency is what every answer of the tracker takes, as one over the internet does.
const wandbLatency = 50 * time.Millisecond

// wandbTags is a tag on finished runs of W&B: by labels and by a TagChange, beside a loop with the public API of the real
// SDK. All talk to the same embedded tracker with the same latency, one after the other.
func wandbTags(ctx context.Context, b *bench) (row report.Row, err error) {
	n := b.scaled(1000)
	c, err := newCluster(ctx, b)
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	w := &wandbContest{cluster: c, b: b, n: n}
	for _, project := range []string{"loop", ours} {
		if err := c.addRuns(project, 0, n); err != nil {
			return row, err
		}
	}
	c.slow(wandbLatency)
	loop, err := w.loop(ctx)
	if err != nil {
		return row, err
	}
	if err := w.prepare(ctx); err != nil {
		return row, err
	}
	labels, limits, err := w.labels(ctx)
	if err != nil {
		return row, err
	}
	change, err := w.change(ctx)
	if err != nil {
		return row, err
	}
	for _, mine := range []contestant{labels, change} {
		row.Checks = append(row.Checks,
			report.AtLeast("how much faster than the loop, "+mine.name, loop.seconds/mine.seconds, 20, "×"),
			report.AtLeast("how many requests less than the loop, "+mine.name, float64(loop.requests)/float64(mine.requests), 50, "×"),
		)
	}
	for _, each := range []contestant{loop, labels, change} {
		row.Figures = append(row.Figures, each.figures(n)...)
	}
	row.Figures = append(row.Figures, limits.figures(fmt.Sprintf("%d labels by %d clients", n, editors))...)
	row.Profiles = []report.Profile{limits.profile}
	row.Plots = []report.Plot{{
		File: "wandb-tags", Title: fmt.Sprintf("A tag for %d runs of W&B at %s", n, wandbLatency), X: "seconds", Y: "runs with the tag",
		LogX: true, Lines: []report.Line{shown(loop.line), shown(labels.line), shown(change.line)},
	}}
	row.Notes = []string{fmt.Sprintf("The loop is `for run in wandb.Api().runs(path): run.tags.append(tag); run.update()` with wandb as pinned, its start "+
		"not counted. Labels are put on by %d clients at once with a merge patch for each TrainingRun. Times are from the first edit, or the "+
		"making of the TagChange, until the tag is on the last run. The tracker's time is that of the requests one after the other, as "+
		"neither the loop nor runtag has two of a project under way.", editors)}
	row.Notes = append(row.Notes, fmt.Sprintf("Labels are bound by the API server, which uses %.0f %% of the machine's %d processors while they are put on, as the "+
		"profile shows. Before a tag can go to the tracker it has to take two writes, the edit and what it makes ours, and it takes about as long for "+
		"them as for those of anybody else (row 7). A TagChange needs no writes for each run.",
		100*limits.used.apiServer/limits.seconds/float64(runtime.NumCPU()), runtime.NumCPU()))
	return row, nil
}

// contestant is what one way of adding a tag took.
type contestant struct {
	name     string
	line     report.Line
	seconds  float64
	requests int
}

func (c contestant) figures(n int) []report.Figure {
	return []report.Figure{
		{
			What: fmt.Sprintf("%d runs, %s", n, c.name), Value: c.seconds, Unit: "s",
			Own: float64(c.requests) * wandbLatency.Seconds(), Whose: "tracker",
		},
		{What: "requests, " + c.name, Value: float64(c.requests)},
	}
}

// shown is a line for a logarithmic axis, where no time is 0.
func shown(line report.Line) report.Line {
	return report.Line{Name: line.Name, X: line.X[1:], Y: line.Y[1:]}.Thinned(drawnPoints)
}

type wandbContest struct {
	*cluster
	b *bench
	n int
}

// loop is the public API's.
func (w *wandbContest) loop(ctx context.Context) (contestant, error) {
	result := contestant{name: "by a loop with wandb.Api"}
	w.b.say("   %s", result.name)
	dir, err := os.MkdirTemp(w.Dir, "wandb-")
	if err != nil {
		return result, err
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		var err error
		result.seconds, err = w.b.peer(ctx, dir, []string{
			"WANDB_BASE_URL=" + w.server.URL, "WANDB_API_KEY=" + trackerKey, "WANDB_DIR=" + dir, "WANDB_CACHE_DIR=" + dir,
			"WANDB_CONFIG_DIR=" + dir, "WANDB_DATA_DIR=" + dir, "WANDB_SILENT=true", "WANDB_ERROR_REPORTING=false",
		}, "wandb_loop.py", entity+"/loop", "wanted", fmt.Sprint(w.n))
		if err != nil {
			cancel()
		}
		ended <- err
	}()
	mark := w.mark()
	line, err := follow(ctx, result.name, time.Now(), w.n, w.tagged("loop", "wanted"))
	if err = errors.Join(err, <-ended); err != nil {
		return result, err
	}
	result.line, result.requests = later(line, result.seconds-took(line)), w.sentSince(mark, "")
	return result, nil
}

// prepare has the manager know all runs of the project runtag, each with a TrainingRun in sync.
func (w *wandbContest) prepare(ctx context.Context) error {
	w.b.say("   %d TrainingRuns", w.n)
	if err := w.startManager(ctx); err != nil {
		return err
	}
	if err := w.addProject(ctx, ours, nil); err != nil {
		return err
	}
	return w.addTrainingRuns(ctx, ours, runIDs(w.n))
}

func runIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = runID(i)
	}
	return ids
}

// labels tells what limits it, too.
func (w *wandbContest) labels(ctx context.Context) (result contestant, limits labelling, err error) {
	result.name = "by labels"
	w.b.say("   %s", result.name)
	mark, began := w.mark(), time.Now()
	stop := w.b.profile(ctx, w.manager, "wandb-labels", 3*time.Second)
	limits, err = w.watchLabelling(ctx, w.b, fmt.Sprintf("The API server in %d s of the labels", profileSeconds),
		func() (float64, error) { return w.label(ctx, "by-label", runIDs(w.n)) },
		func() (float64, error) {
			result.line, err = follow(ctx, result.name, began, w.n, w.tagged(ours, "by-label"))
			result.requests = w.sentSince(mark, "runtag/")
			return took(result.line), err
		})
	result.seconds = limits.seconds
	return result, limits, errors.Join(err, stop())
}

func (w *wandbContest) change(ctx context.Context) (result contestant, err error) {
	result.name = "by a TagChange"
	w.b.say("   %s", result.name)
	mark, began := w.mark(), time.Now()
	stop := w.b.profile(ctx, w.manager, "wandb-change", time.Second)
	change, err := w.tagChange(ctx, "by-change")
	if err != nil {
		return result, err
	}
	if result.line, err = follow(ctx, result.name, began, w.n, w.tagged(ours, "by-change")); err != nil {
		return result, err
	}
	if err := w.awaitChanged(ctx, change, w.n); err != nil {
		return result, err
	}
	result.seconds, result.requests = took(result.line), w.sentSince(mark, "runtag/")
	return result, stop()
}

// tagged counts the runs of a project that have a tag, on the tracker itself.
func (w *wandbContest) tagged(project, tag string) func() (int, error) {
	return func() (int, error) {
		found := 0
		for _, run := range w.tracker.Runs(entity, project) {
			if slices.Contains(run.Tags, tag) {
				found++
			}
		}
		return found, nil
	}
}

// mark is a point in the tracker's log, for sentSince.
func (w *wandbContest) mark() int64 {
	requests := w.tracker.Requests()
	if len(requests) == 0 {
		return 0
	}
	return requests[len(requests)-1].Seq
}

// sentSince counts the requests of clients that call themselves so.
func (w *wandbContest) sentSince(mark int64, userAgent string) int {
	return len(slices.DeleteFunc(w.tracker.RequestsSince(mark), func(r wandbtest.Request) bool {
		return r.Kind == "" || !strings.HasPrefix(r.UserAgent, userAgent)
	}))
}
