package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/importing"
	"github.com/runtag/runtag/test/bench/report"
	"github.com/runtag/runtag/test/stage"
)

const (
	lookLatency = 50 * time.Millisecond
	lookSamples = 100 // of each kind
	// samplers is how many samples are taken at once.
	samplers = 4
)

// latencies are seconds from an edit to the tag on the tracker.
type latencies struct{ created, labelled []float64 }

// duringLook is row 5: how long it takes from an edit to the tag on the tracker, while one full look of the crowd follows
// the other, and while there is none.
func duringLook(ctx context.Context, b *bench) (report.Row, error) {
	c, err := b.theCrowd(ctx)
	if err != nil {
		return report.Row{}, err
	}
	if c.manager == nil {
		if err := c.startManager(ctx); err != nil {
			return report.Row{}, err
		}
	}
	if err := c.addRuns(crowdProject, c.n, c.n+2*lookSamples); err != nil {
		return report.Row{}, err
	}
	c.slow(lookLatency)
	defer c.slow(0)
	idle, err := c.sample(ctx, "idle", c.n)
	if err != nil {
		return report.Row{}, err
	}
	looking, looks, requests, err := c.sampleLooking(ctx)
	if err != nil {
		return report.Row{}, err
	}
	return report.Row{
		Checks: []report.Check{
			report.AtMost("99th percentile of a new TrainingRun, from create to tag", percentile(looking.created, 99), 5, "s"),
			report.AtMost("99th percentile of a label edit, from patch to tag", percentile(looking.labelled, 99), 5, "s"),
		},
		Figures: []report.Figure{
			{What: "median of a new TrainingRun during looks", Value: percentile(looking.created, 50), Unit: "s"},
			{What: "median of a new TrainingRun without", Value: percentile(idle.created, 50), Unit: "s"},
			{What: "99th percentile of a new TrainingRun, during looks against without", Value: percentile(looking.created, 99) / percentile(idle.created, 99), Unit: "×"},
			{What: "median of a label edit during looks", Value: percentile(looking.labelled, 50), Unit: "s"},
			{What: "median of a label edit without", Value: percentile(idle.labelled, 50), Unit: "s"},
			{What: "99th percentile of a label edit, during looks against without", Value: percentile(looking.labelled, 99) / percentile(idle.labelled, 99), Unit: "×"},
			{What: "full looks meanwhile", Value: looks},
			{What: "requests meanwhile", Value: float64(requests)},
		},
		Plots: []report.Plot{{
			File: "during-look", Title: fmt.Sprintf("From edit to tag during full looks of %d runs, at %s a request", c.n, lookLatency),
			X: "seconds", Y: "edits", Samples: slices.Concat(looking.created, looking.labelled),
		}},
		Notes: []string{fmt.Sprintf("%d samples of each kind, %d at once, at %s a request to the tracker; during looks the next full look begins a second after the last.",
			lookSamples, samplers, lookLatency)},
	}, nil
}

// sampleLooking takes the samples while full looks follow one another.
func (c *crowd) sampleLooking(ctx context.Context) (out latencies, looks float64, requests int, err error) {
	if err := c.editProject(ctx, crowdProject, `{"fullInterval":"1s"}`); err != nil {
		return out, 0, 0, err
	}
	before, err := c.looks(ctx)
	if err != nil {
		return out, 0, 0, err
	}
	sent := c.requests()
	if out, err = c.sample(ctx, "look", c.n+lookSamples); err != nil {
		return out, 0, 0, err
	}
	after, err := c.looks(ctx)
	if err != nil {
		return out, 0, 0, err
	}
	requests = c.requests() - sent
	return out, after - before, requests, c.editProject(ctx, crowdProject, `{"fullInterval":"1h"}`)
}

// looks is how many full looks the manager has taken.
func (c *cluster) looks(ctx context.Context) (float64, error) {
	metrics, err := c.manager.Metrics(ctx)
	return metrics.Sum("runtag_look_duration_seconds", map[string]string{"kind": "full"}), err
}

// sample creates TrainingRuns for the runs from first on, and labels some of the crowd.
func (c *crowd) sample(ctx context.Context, tag string, first int) (out latencies, err error) {
	var mu sync.Mutex
	err = each(ctx, 2*lookSamples, samplers, func(ctx context.Context, k int) error {
		i, create := k/2, k%2 == 0
		id := runID(first + i)
		if !create {
			id = runID(i * c.n / lookSamples)
		}
		began := time.Now()
		if err := c.edit(ctx, create, id, tag); err != nil {
			return err
		}
		if err := c.carried(ctx, id, tag); err != nil {
			return err
		}
		took := time.Since(began).Seconds()
		mu.Lock()
		defer mu.Unlock()
		if create {
			out.created = append(out.created, took)
		} else {
			out.labelled = append(out.labelled, took)
		}
		return nil
	})
	return out, err
}

// edit declares a tag with a new TrainingRun, or on the one that was imported for the run.
func (c *crowd) edit(ctx context.Context, create bool, id, tag string) error {
	if create {
		return c.Admin.Create(ctx, trainingRun(crowdProject, id, tag))
	}
	run := &v1alpha1.TrainingRun{}
	run.Namespace, run.Name = crowdProject, importing.Name(crowdProject, id)
	return c.Admin.Patch(ctx, run, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"tag.runtag.dev/`+tag+`":""}}}`)))
}

// carried waits until a run has a tag.
func (c *crowd) carried(ctx context.Context, id, tag string) error {
	return stage.Await(ctx, fmt.Sprintf("tag %s on run %s", tag, id), func(context.Context) error {
		run, ok := c.tracker.Run(entity + "/" + crowdProject + "/" + id)
		if !ok || !slices.Contains(run.Tags, tag) {
			return fmt.Errorf("it has %q", run.Tags)
		}
		return nil
	})
}

// percentile is the least sample that so many percent are not above.
func percentile(samples []float64, percent float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(samples))
	return sorted[max(0, int(math.Ceil(percent/100*float64(len(sorted))))-1)]
}
