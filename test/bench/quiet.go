package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/test/bench/report"
)

const (
	quietInterval     = 30 * time.Second
	quietFullInterval = 10 * time.Minute
	// quietTime has a full look of each project in it: one is due after at most 10.5 minutes.
	quietTime = 11 * time.Minute
	// calmAfter is until active runs without pods have been said to have none, and counts are written.
	calmAfter = 4 * time.Minute
	// perPage is how many runs one request for a list or by ids gives.
	perPage = 100
)

// quiet is row 3: many projects in sync, some runs of which show signs of life, by the injected clock.
func quiet(ctx context.Context, b *bench) (row report.Row, err error) {
	t := newBenchT(ctx, b)
	defer func() { err = errors.Join(err, t.close(recover())) }()
	q := &quietWorld{projects: max(b.scaled(200), 2), runs: max(b.scaled(10_000), 20), active: max(b.scaled(1_000), 2)}
	s := controllerstest.Start(t, filepath.Join(b.root, "config"))
	q.h = s.New(ctx, t, controllerstest.Options{Rate: wandb.Rate.PerSecond, Burst: wandb.Rate.Burst, Unchecked: true})
	t.Cleanup(q.h.Close)
	q.forget()
	q.h.Tracker.BeforeRequests(q.note)
	b.say("   %d TrainingRuns in %d projects", q.runs, q.projects)
	if err := q.make(ctx); err != nil {
		return row, err
	}
	b.say("   until all is calm")
	q.live(t, calmAfter)
	q.forget()
	b.say("   %s in which nothing happens", quietTime)
	before := q.h.Clock.Now()
	did := q.h.During(func() { q.live(t, quietTime) })
	return q.row(did, q.h.Clock.Since(before)), nil
}

// quietWorld is what the row looks at.
type quietWorld struct {
	h                      *controllerstest.Harness
	projects, runs, active int
	beating                []string

	mu   sync.Mutex
	sent map[string]map[string]int // requests by project and operation
	at   []time.Time
}

func (q *quietWorld) project(i int) string { return fmt.Sprintf("project-%03d", i) }

// make puts it all there, with the same key for every project, and lets it get in sync.
func (q *quietWorld) make(ctx context.Context) error {
	each, beating := q.runs/q.projects, q.active/q.projects
	var objects []client.Object
	var wait []*v1alpha1.TrainingRun
	for p := range q.projects {
		name, namespace := q.project(p), q.h.NewNamespace()
		if err := q.h.Tracker.AddProject(name); err != nil {
			return err
		}
		objects = append(objects, q.h.NewProject(func(o *v1alpha1.TrackingProject) {
			o.Namespace, o.Name, o.Spec.Wandb.Project = namespace, name, name
			o.Spec.Interval.Duration, o.Spec.FullInterval.Duration = quietInterval, quietFullInterval
			o.Spec.Import.Policy = v1alpha1.ImportNone
		}))
		for i := range each {
			run := wandbtest.Run{Project: name, ID: fmt.Sprintf("%s-run-%04d", name, i), State: "finished", Tags: []string{"nightly"}}
			if i < beating {
				run.State = "running"
				q.beating = append(q.beating, q.h.Tracker.Entity+"/"+name+"/"+run.ID)
			}
			q.h.AddTrackerRun(run)
			o := trainingRun(name, run.ID)
			o.Namespace = namespace
			wait = append(wait, o)
		}
	}
	q.h.ExpectApplied(objects...)
	q.h.Settle()
	if err := eachOf(ctx, wait, func(ctx context.Context, o *v1alpha1.TrainingRun) error { return q.h.Admin.Create(ctx, o) }); err != nil {
		return err
	}
	for _, o := range wait {
		q.h.Touch(o)
	}
	q.h.Settle()
	return nil
}

func eachOf[T any](ctx context.Context, all []T, do func(context.Context, T) error) error {
	return each(ctx, len(all), editors, func(ctx context.Context, i int) error { return do(ctx, all[i]) })
}

// live lets time pass while the active runs show signs of life.
func (q *quietWorld) live(t *benchT, d time.Duration) {
	for end := q.h.Clock.Now().Add(d); q.h.Clock.Now().Before(end); {
		for _, path := range q.beating {
			if err := q.h.Tracker.Heartbeat(path); err != nil {
				t.Fatalf("heartbeat of %s: %v", path, err)
			}
		}
		q.h.Step(min(quietInterval, end.Sub(q.h.Clock.Now())))
	}
}

// note keeps when a request came, and of which project.
func (q *quietWorld) note(r wandbtest.Request) {
	project, _ := r.Variables["project"].(string)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sent[project] == nil {
		q.sent[project] = map[string]int{}
	}
	q.sent[project][r.Operation]++
	q.at = append(q.at, q.h.Clock.Now())
}

func (q *quietWorld) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent, q.at = map[string]map[string]int{}, nil
}

func (q *quietWorld) row(did controllerstest.Activity, took time.Duration) report.Row {
	pages := func(n int) int { return (n + perPage - 1) / perPage }
	intervals, fulls := int(took/quietInterval)+1, int(took/quietFullInterval)+1
	active, tracked := q.active/q.projects, q.runs/q.projects
	most := intervals*(pages(active)+1) + fulls*(pages(tracked)+1)
	worst, all := 0, 0
	for _, by := range q.sent {
		n := 0
		for _, count := range by {
			n += count
		}
		worst, all = max(worst, n), all+n
	}
	writes := map[string]int{}
	for _, w := range did.Writes {
		writes[w.Kind]++
	}
	row := report.Row{
		Checks: []report.Check{
			report.AtMost("writes to the API server", float64(len(did.Writes)), 0, ""),
			report.AtMost("requests of the project with the most, lists at most ⌈active/100⌉+1 per interval, and ⌈tracked/100⌉+1 per full interval", float64(worst), float64(most), ""),
			report.AtMost("requests that change something on the tracker", float64(did.Requests[controllerstest.OpWrite]), 0, ""),
			report.AtMost("requests beyond the credential's rate limit", float64(beyond(q.at, wandb.Rate.PerSecond, wandb.Rate.Burst)), 0, ""),
		},
		Figures: []report.Figure{
			{What: "requests of all projects", Value: float64(all)},
			{What: "requests per second of the shared credential, on average", Value: float64(all) / took.Seconds(), Unit: "1/s"},
			{What: "time that passed by the injected clock", Value: took.Minutes(), Unit: "min"},
		},
		Notes: []string{fmt.Sprintf("%d TrainingRuns over %d projects that share one key, %d of the runs with a sign of life in each interval of %s; "+
			"requests by operation: %v.", q.runs, q.projects, q.active, quietInterval, did.Requests)},
	}
	if len(writes) > 0 {
		row.Notes = append(row.Notes, fmt.Sprintf("Written: %v, the first %+v.", writes, did.Writes[0]))
	}
	return row
}

// beyond counts the requests that came when a bucket of so many tokens, filled at that rate, was empty.
func beyond(at []time.Time, perSecond float64, burst int) (n int) {
	if len(at) == 0 {
		return 0
	}
	tokens, last := float64(burst), at[0]
	for _, t := range at {
		tokens = min(float64(burst), tokens+t.Sub(last).Seconds()*perSecond)
		last = t
		if tokens < 1-1e-6 {
			n++
			continue
		}
		tokens--
	}
	return n
}

// benchT is as much of a test as a harness needs.
type benchT struct {
	b       *bench
	ctx     context.Context //nolint:containedctx // as testing.TB has it
	cleanup []func()
}

func newBenchT(ctx context.Context, b *bench) *benchT { return &benchT{b: b, ctx: ctx} }

// failure is what Fatalf ends the row with.
type failure struct{ error }

// Helper does nothing.
func (t *benchT) Helper() {}

// Context is over when the benchmarks are interrupted.
func (t *benchT) Context() context.Context { return t.ctx }

// Logf tells how far it is.
func (t *benchT) Logf(format string, args ...any) { t.b.say("   "+format, args...) }

// Fatalf ends the row, which could not be measured then.
func (t *benchT) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// Cleanup has f called at the end of the row.
func (t *benchT) Cleanup(f func()) { t.cleanup = append(t.cleanup, f) }

// close does what was left for the end, and turns what Fatalf ended into an error.
func (t *benchT) close(recovered any) (err error) {
	if recovered != nil {
		failed, ok := recovered.(failure)
		if !ok {
			panic(recovered)
		}
		err = failed
	}
	for len(t.cleanup) > 0 {
		last := t.cleanup[len(t.cleanup)-1]
		t.cleanup = t.cleanup[:len(t.cleanup)-1]
		err = errors.Join(err, t.run(last))
	}
	return err
}

func (t *benchT) run(f func()) (err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			err = fmt.Errorf("at the end of the row: %v", recovered)
		}
	}()
	f()
	return nil
}
