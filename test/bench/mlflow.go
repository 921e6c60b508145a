package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/mlflow/mlflowtest"
	"github.com/runtag/runtag/test/bench/report"
)

// rawClients is how many HTTP clients at once find out what the server can do.
const rawClients = 8

// mlflowTags is a tag on runs of a real MLflow server: by labels and by a TagChange, beside a loop with MLflow's own
// client and beside bare HTTP clients that do nothing else. All talk to it through the same proxy, one after the other,
// which adds no latency at first and then 50 ms.
func mlflowTags(ctx context.Context, b *bench) (row report.Row, err error) {
	m := &mlflowContest{b: b, n: b.scaled(1000)}
	defer func() { err = errors.Join(err, m.close(ctx)) }()
	if err := m.prepare(ctx); err != nil {
		return row, err
	}
	for _, latency := range []time.Duration{0, 50 * time.Millisecond} {
		m.proxy.latency.Store(int64(latency))
		results, err := m.compete(ctx, latency)
		if err != nil {
			return row, err
		}
		row.Checks = append(row.Checks, mlflowChecks(latency, results)...)
		for _, r := range results.all() {
			row.Figures = append(row.Figures,
				report.Figure{What: fmt.Sprintf("%d runs at %s, %s", m.n, latency, r.name), Value: r.seconds, Unit: "s", Own: r.busy, Whose: "MLflow"},
				report.Figure{What: fmt.Sprintf("requests at %s, %s", latency, r.name), Value: float64(r.requests)},
			)
		}
		row.Figures = append(row.Figures, results.limits.figures(fmt.Sprintf("%d labels by %d clients at %s", m.n, editors, latency))...)
		row.Profiles = append(row.Profiles, results.limits.profile)
		row.Plots = append(row.Plots, results.plot(m.n, latency))
	}
	row.Notes = []string{fmt.Sprintf("The loop is `MlflowClient.set_tag` with MLflow as pinned, its start not counted. The server's limit is what %d HTTP "+
		"clients reach that post to runs/set-tag and do nothing else; it is measured before each of runtag's ways. The server is MLflow's own "+
		"with one worker and SQLite, on the same machine as everything else. MLflow's time is that in which at least one request was with it, behind "+
		"the proxy. At 50 ms the target is 8 times what the loop does or 90 %% of the server's limit, whichever is lower.", rawClients)}
	row.Notes = append(row.Notes, "Labels are bound by the API server, as in row 1: the edits alone take it about as long as the raw clients take for all, "+
		"since it shares the processors with MLflow, whose one worker needs one of them whole, and it has to take a second write before each tag "+
		"(see the profiles). A TagChange needs no writes for each run.")
	return row, nil
}

// mlflowContest is the scene of row 2.
type mlflowContest struct {
	*cluster
	b          *bench
	n          int
	server     *mlflowtest.Server
	proxy      *slowProxy
	experiment string
	ids        []string
}

func (m *mlflowContest) close(ctx context.Context) error {
	var err error
	if m.cluster != nil {
		err = m.cluster.close(ctx)
	}
	if m.proxy != nil {
		m.proxy.Close()
	}
	if m.server != nil {
		err = errors.Join(err, m.server.Stop())
	}
	return err
}

func (m *mlflowContest) prepare(ctx context.Context) error {
	var err error
	if m.cluster, err = newCluster(ctx, m.b); err != nil {
		return err
	}
	dir := filepath.Join(m.Dir, "mlflow")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	m.b.say("   MLflow")
	if m.server, err = mlflowtest.Start(ctx, mlflowtest.Options{Dir: dir}); err != nil {
		return err
	}
	if m.proxy, err = newSlowProxy(m.server.URL); err != nil {
		return err
	}
	if err := m.addMLflowRuns(ctx); err != nil {
		return err
	}
	m.b.say("   %d TrainingRuns", m.n)
	if err := m.startManager(ctx); err != nil {
		return err
	}
	if err := m.addProject(ctx, ours, func(spec *v1alpha1.TrackingProjectSpec) {
		spec.Wandb, spec.MLflow = nil, &v1alpha1.MLflowProject{TrackingURI: m.proxy.URL, Experiments: []string{"runtag"}}
	}); err != nil {
		return err
	}
	return m.addTrainingRuns(ctx, ours, m.ids)
}

// addMLflowRuns makes finished runs that all carry the same two tags.
func (m *mlflowContest) addMLflowRuns(ctx context.Context) error {
	var err error
	if m.experiment, err = m.server.CreateExperiment(ctx, "runtag"); err != nil {
		return err
	}
	at := time.Now().Add(-24 * time.Hour)
	first, err := m.server.CreateRun(ctx, mlflowtest.Run{
		Experiment: m.experiment, Name: "trained", Status: "FINISHED", Start: at, End: at.Add(time.Hour),
		Tags: map[string]string{"nightly": "true", "team": "vision"},
	})
	if err != nil {
		return err
	}
	copies, err := m.server.Clone(ctx, first, m.n-1)
	m.ids = append([]string{first}, copies...)
	return err
}

// mlflowResult is what one way of adding a tag took.
type mlflowResult struct {
	name     string
	line     report.Line
	seconds  float64
	requests int
	// busy is how many seconds at least one request was with the server.
	busy float64
}

type mlflowResults struct {
	loop, labelsLimit, labels, changeLimit, change mlflowResult
	limits                                         labelling
}

func (r *mlflowResults) all() []mlflowResult {
	return []mlflowResult{r.loop, r.labelsLimit, r.labels, r.changeLimit, r.change}
}

func (r *mlflowResults) plot(n int, latency time.Duration) report.Plot {
	plot := report.Plot{
		File:  fmt.Sprintf("mlflow-tags-%dms", latency.Milliseconds()),
		Title: fmt.Sprintf("A tag for %d runs of MLflow at %s", n, latency), X: "seconds", Y: "runs with the tag",
	}
	for _, each := range r.all() {
		plot.Lines = append(plot.Lines, each.line.Thinned(drawnPoints))
	}
	return plot
}

// mlflowChecks compares each of runtag's ways with the limit that was measured right before it.
func mlflowChecks(latency time.Duration, r *mlflowResults) []report.Check {
	var checks []report.Check
	for _, pair := range []struct{ mine, limit mlflowResult }{{r.labels, r.labelsLimit}, {r.change, r.changeLimit}} {
		ofLimit, ofLoop := pair.limit.seconds/pair.mine.seconds, r.loop.seconds/pair.mine.seconds
		if latency == 0 {
			checks = append(checks, report.AtLeast("of the server's limit at 0 ms, "+pair.mine.name, 100*ofLimit, 90, "%"))
			continue
		}
		checks = append(checks, report.AtLeast(
			fmt.Sprintf("of 8 times the loop or 90 %% of the limit at %s, %s (%.1f× the loop, %.0f %% of the limit)", latency, pair.mine.name, ofLoop, 100*ofLimit),
			100*max(ofLoop/8, ofLimit/0.9), 100, "%"))
	}
	return checks
}

// compete has all add a tag of their own, one after the other.
func (m *mlflowContest) compete(ctx context.Context, latency time.Duration) (*mlflowResults, error) {
	r := &mlflowResults{}
	at := fmt.Sprintf("%dms", latency.Milliseconds())
	var err error
	for _, way := range []struct {
		result *mlflowResult
		name   string
		do     func(ctx context.Context, tag string, result *mlflowResult) error
	}{
		{&r.loop, "by a loop with MlflowClient", m.loop},
		{&r.labelsLimit, "the server's limit before labels", m.limit},
		{&r.labels, "by labels", func(ctx context.Context, tag string, result *mlflowResult) error {
			r.limits, err = m.byLabels(ctx, tag, at, result)
			return err
		}},
		{&r.changeLimit, "the server's limit before the TagChange", m.limit},
		{&r.change, "by a TagChange", m.byChange},
	} {
		way.result.name = way.name
		m.b.say("   at %s %s", latency, way.name)
		before := m.proxy.count()
		tag := fmt.Sprintf("way%d-%s", before.requests, at) // unlike all others
		if err := way.do(ctx, tag, way.result); err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
		after := m.proxy.count()
		way.result.requests, way.result.busy = after.requests-before.requests, (after.busy - before.busy).Seconds()
		if err := m.verify(ctx, tag); err != nil {
			return nil, fmt.Errorf("%s: %w", way.name, err)
		}
	}
	return r, nil
}

// follow counts the writes that the server has carried out since now.
func (m *mlflowContest) follow(ctx context.Context, result *mlflowResult, began time.Time) (err error) {
	before := m.proxy.count().writes
	result.line, err = follow(ctx, result.name, began, m.n, func() (int, error) { return m.proxy.count().writes - before, nil })
	result.seconds = took(result.line)
	return err
}

func (m *mlflowContest) loop(ctx context.Context, tag string, result *mlflowResult) error {
	dir, err := os.MkdirTemp(m.Dir, "mlflow-")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	var seconds float64
	go func() {
		var err error
		seconds, err = m.b.peer(ctx, dir, []string{
			"MLFLOW_TRACKING_URI=" + m.proxy.URL, "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "GIT_PYTHON_REFRESH=quiet",
		}, "mlflow_loop.py", m.experiment, tag, fmt.Sprint(m.n))
		if err != nil {
			cancel()
		}
		ended <- err
	}()
	err = m.follow(ctx, result, time.Now())
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	result.line = later(result.line, seconds-result.seconds)
	result.seconds = seconds
	return nil
}

// limit is what bare clients reach.
func (m *mlflowContest) limit(ctx context.Context, tag string, result *mlflowResult) error {
	bare := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: rawClients}}
	defer bare.CloseIdleConnections()
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	go func() {
		err := each(ctx, m.n, rawClients, func(ctx context.Context, i int) error { return m.setTag(ctx, bare, m.ids[i], tag) })
		if err != nil {
			cancel()
		}
		ended <- err
	}()
	return errors.Join(m.follow(ctx, result, began), <-ended)
}

func (m *mlflowContest) setTag(ctx context.Context, bare *http.Client, run, tag string) error {
	body, err := json.Marshal(map[string]string{"run_id": run, "key": tag, "value": "true"})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.proxy.URL+"/api/2.0/mlflow/runs/set-tag", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	return drain(bare.Do(request))
}

// byLabels tells what limits it, too.
func (m *mlflowContest) byLabels(ctx context.Context, tag, at string, result *mlflowResult) (labelling, error) {
	began := time.Now()
	stop := m.b.profile(ctx, m.manager, "mlflow-labels-"+tag, 3*time.Second)
	limits, err := m.watchLabelling(ctx, m.b, fmt.Sprintf("The API server in %d s of the labels at %s", profileSeconds, at),
		func() (float64, error) { return m.label(ctx, tag, m.ids) },
		func() (float64, error) {
			err := m.follow(ctx, result, began)
			return result.seconds, err
		})
	return limits, errors.Join(err, stop())
}

func (m *mlflowContest) byChange(ctx context.Context, tag string, result *mlflowResult) error {
	began := time.Now()
	stop := m.b.profile(ctx, m.manager, "mlflow-change-"+tag, 3*time.Second)
	change, err := m.tagChange(ctx, tag)
	if err != nil {
		return err
	}
	err = m.follow(ctx, result, began)
	return errors.Join(err, m.awaitChanged(ctx, change, m.n), stop())
}

// verify reads from the server itself that all runs have the tag.
func (m *mlflowContest) verify(ctx context.Context, tag string) error {
	in := map[string]any{"experiment_ids": []string{m.experiment}, "filter": "tags.`" + tag + "` LIKE '%'", "max_results": 50_000}
	var out struct {
		Runs []struct{} `json:"runs"`
	}
	if err := m.server.Call(ctx, http.MethodPost, "runs/search", in, &out); err != nil {
		return err
	}
	if len(out.Runs) != m.n {
		return fmt.Errorf("%d runs have the tag %s, not %d", len(out.Runs), tag, m.n)
	}
	return nil
}
