package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/test/bench/report"
	"github.com/runtag/runtag/test/stage"
)

// restart is row 4: the manager starts anew on a crowd that is in sync, and what it took to import that.
func restart(ctx context.Context, b *bench) (report.Row, error) {
	c, err := b.theCrowd(ctx)
	if err != nil {
		return report.Row{}, err
	}
	if err := c.counted(ctx); err != nil {
		return report.Row{}, err
	}
	if err := c.stopManager(); err != nil {
		return report.Row{}, err
	}
	before, err := c.writes(ctx)
	if err != nil {
		return report.Row{}, err
	}
	ready, quiet, requests, err := c.restart(ctx)
	if err != nil {
		return report.Row{}, err
	}
	after, err := c.writes(ctx)
	if err != nil {
		return report.Row{}, err
	}
	by, written := since(before, after)
	n := float64(c.n)
	objects := c.imported.by["trainingruns"] + c.imported.by["trainingruns/status"]
	rate := n / c.imported.took.Seconds()
	row := report.Row{
		Checks: []report.Check{
			report.AtMost("quiet after a restart", quiet.Seconds(), 10, "s"),
			report.AtMost("writes after a restart", written, 0, ""),
			report.AtMost("writes per imported run", objects/n, 2, ""),
		},
		Figures: []report.Figure{
			{What: "ready after a restart", Value: ready.Seconds(), Unit: "s"},
			{What: "requests to the tracker after a restart", Value: float64(requests)},
			{What: "first import", Value: c.imported.took.Seconds(), Unit: "s"},
			{What: "runs imported per second", Value: rate, Unit: "1/s"},
			{What: "runs imported per second by a bare client that writes objects and statuses", Value: c.bareImport, Unit: "1/s"},
			{What: "requests to the tracker of the import", Value: float64(c.imported.requests)},
		},
		Notes: []string{
			fmt.Sprintf("Quiet is when caches are there, a full look was taken, all %d TrainingRuns were gone through and nothing is queued. "+
				"Until 2 s later the API server counts what is written to our objects and of events.", c.n),
		},
	}
	if written > 0 {
		row.Notes = append(row.Notes, fmt.Sprintf("Written after the restart: %s.", counts(by)))
	}
	return row, nil
}

// restart starts the manager, and says after what time it is ready and quiet, and how many requests that was to the tracker.
func (c *crowd) restart(ctx context.Context) (ready, quiet time.Duration, requests int, err error) {
	sent, began := c.requests(), time.Now()
	if c.manager, err = c.LaunchManager(ctx, "--zap-log-level=error"); err != nil {
		return 0, 0, 0, err
	}
	var since time.Time
	err = stage.Await(ctx, "the manager to be quiet", func(ctx context.Context) error {
		metrics, err := c.manager.Metrics(ctx)
		if err != nil {
			return errors.Join(err, c.manager.Running())
		}
		passes := metrics.Sum("controller_runtime_reconcile_total", map[string]string{"controller": "trainingrun"})
		looks := metrics.Sum("runtag_look_duration_seconds", map[string]string{"kind": "full"})
		if passes > 0 && ready == 0 {
			ready = time.Since(began)
		}
		if passes < float64(c.n) || looks < 1 || !idle(metrics) {
			since = time.Time{}
			return fmt.Errorf("%g passes over TrainingRuns, %g looks, depth of the queues %g", passes, looks, metrics.Sum("workqueue_depth", nil))
		}
		if since.IsZero() {
			since, quiet, requests = time.Now(), time.Since(began), c.requests()-sent
		}
		if time.Since(since) < 2*time.Second {
			return pause(ctx, "quiet for %s", time.Since(since))
		}
		return nil
	})
	return ready, quiet, requests, err
}

// counted waits until the project's status counts the crowd's tags, as it does once a minute: what the manager still owes
// when it is stopped, it writes after the restart.
func (c *crowd) counted(ctx context.Context) error {
	return stage.Await(ctx, "the project's counts", func(ctx context.Context) error {
		if err := c.look(ctx, crowdProject); err != nil {
			return err
		}
		project := &v1alpha1.TrackingProject{}
		if err := c.Admin.Get(ctx, client.ObjectKey{Namespace: crowdProject, Name: crowdProject}, project); err != nil {
			return err
		}
		for _, t := range project.Status.Tags {
			if t.Name == crowdTag && int(t.Count) == c.n {
				return nil
			}
		}
		return errors.Join(fmt.Errorf("status.tags is %v", project.Status.Tags), pause(ctx, "counts are a minute old at most"))
	})
}
