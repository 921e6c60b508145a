package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/test/bench/gate/sample"
	"github.com/runtag/runtag/test/bench/report"
	"github.com/runtag/runtag/test/stage"
)

// The budgets, in bytes.
const (
	mostPerRun  = 6 << 10
	mostPerPod  = 1 << 10
	mostPerNode = 1 << 10
)

// heap measures what each object costs in memory: row 6.
func heap(ctx context.Context, b *bench) (report.Row, error) {
	row := report.Row{Notes: []string{
		"TrainingRuns, pods and nodes by size are measured in process, in what holds them: the cache of the controllers with its indexes, the snapshot, " +
			"the index of runs by pods, the store of pods and nodes. The manager's figure is how much more of its heap is alive with all TrainingRuns than with a tenth of them, " +
			"so that all it keeps is in it: idle after it was started anew and has gone through all of them. One that has just written their tags also remembers what it wrote, " +
			"and client-go keeps the event of each for 6 to 12 minutes. Half of the pods are of indexed Jobs, whose labels are all different; the pools of what pods share " +
			"take up to 200 KiB whatever their number, which is a fifth of it where there are 1,000 pods.",
	}}
	sizes := []int{b.scaled(1_000), b.scaled(10_000), b.scaled(50_000)}
	runs, pods, nodes := report.Line{Name: "TrainingRun"}, report.Line{Name: "pod"}, report.Line{Name: "node"}
	for _, n := range sizes {
		b.say("   %d of each", n)
		for _, c := range []struct {
			what    string
			most    float64
			line    *report.Line
			measure func() (float64, error)
		}{
			{"idle TrainingRun with 5 tags, its parts", mostPerRun, &runs, func() (float64, error) { return sample.RunHeap(n) }},
			{"watched pod", mostPerPod, &pods, func() (float64, error) { return sample.PodHeap(n, sample.Mixed), nil }},
			{"node", mostPerNode, &nodes, func() (float64, error) { return sample.NodeHeap(n), nil }},
		} {
			each, err := c.measure()
			if err != nil {
				return row, err
			}
			row.Checks = append(row.Checks, report.AtMost(fmt.Sprintf("heap per %s, of %d", c.what, n), each, c.most, "bytes"))
			c.line.X, c.line.Y = append(c.line.X, float64(n)), append(c.line.Y, each)
		}
		row.Figures = append(row.Figures, report.Figure{
			What: fmt.Sprintf("heap per watched pod where all are of indexed Jobs, of %d", n), Value: sample.PodHeap(n, sample.JobPod), Unit: "bytes",
		})
	}
	row.Plots = []report.Plot{{
		File: "heap", Title: "Heap per object", X: "objects", Y: "bytes each", LogX: true, Lines: []report.Line{runs, pods, nodes},
	}}
	idle, busy, of, err := managerHeap(ctx, b)
	if err != nil {
		return row, err
	}
	row.Checks = append(row.Checks, report.AtMost(fmt.Sprintf("heap of the manager per idle TrainingRun with 5 tags, of %d", of), idle, mostPerRun, "bytes"))
	row.Figures = append(row.Figures, report.Figure{What: "heap of the manager per TrainingRun right after the tags of all were written", Value: busy, Unit: "bytes"})
	return row, nil
}

// managerHeap is how much each of 5,000 TrainingRuns in sync takes in a manager's process: idle in one that was started
// anew and has gone through all of them, busy in the one that has just written their tags.
func managerHeap(ctx context.Context, b *bench) (idle, busy float64, n int, err error) {
	n = b.scaled(5_000)
	first := max(n/10, 1)
	c, err := newCluster(ctx, b)
	if err != nil {
		return 0, 0, n, err
	}
	defer func() { err = errors.Join(err, c.close(ctx)) }()
	const project = "heap"
	if err := errors.Join(c.addRuns(project, 0, n), c.addProject(ctx, project, nil)); err != nil {
		return 0, 0, n, err
	}
	if err := c.startManager(ctx); err != nil {
		return 0, 0, n, err
	}
	var justWritten, anew []float64
	for _, part := range [][2]int{{0, first}, {first, n}} {
		b.say("   the manager with %d TrainingRuns", part[1])
		if err := c.addTagged(ctx, project, part[0], part[1]); err != nil {
			return 0, 0, n, err
		}
		used, err := c.manager.HeapInUse(ctx)
		if err != nil {
			return 0, 0, n, err
		}
		justWritten = append(justWritten, used)
		if used, err = c.heapAnew(ctx, part[1]); err != nil {
			return 0, 0, n, err
		}
		anew = append(anew, used)
	}
	more := float64(n - first)
	idle, busy = (anew[1]-anew[0])/more, (justWritten[1]-justWritten[0])/more
	if b.profiles != "" {
		return idle, busy, n, b.keepProfile(ctx, c.manager, "heap?gc=1", "heap.heap.pprof")
	}
	return idle, busy, n, nil
}

// heapAnew is the heap of a manager that is started anew, once it has gone through all of so many TrainingRuns.
func (c *cluster) heapAnew(ctx context.Context, runs int) (float64, error) {
	if err := errors.Join(c.stopManager(), c.startManager(ctx)); err != nil {
		return 0, err
	}
	if err := stage.Await(ctx, "passes over all TrainingRuns", func(ctx context.Context) error {
		metrics, err := c.manager.Metrics(ctx)
		if err != nil {
			return err
		}
		if passes := metrics.Sum("controller_runtime_reconcile_total", map[string]string{"controller": "trainingrun"}); passes < float64(runs) || !idle(metrics) {
			return pause(ctx, "%.0f of %d", passes, runs)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	return c.manager.HeapInUse(ctx)
}

// addTagged makes TrainingRuns for the runs from first to beyond, each with five tags of which it declares three, and waits
// until all are in sync.
func (c *cluster) addTagged(ctx context.Context, project string, first, beyond int) error {
	if err := each(ctx, beyond-first, editors, func(ctx context.Context, i int) error {
		return c.Admin.Create(ctx, trainingRun(project, runID(first+i), "baseline", "sweep.7", "v2.1"))
	}); err != nil {
		return err
	}
	return stage.AwaitFor(ctx, "TrainingRuns in sync", 15*time.Minute, func(ctx context.Context) error {
		if err := c.busy(ctx); err != nil {
			return err
		}
		var list v1alpha1.TrainingRunList
		if err := c.Admin.List(ctx, &list, client.InNamespace(project)); err != nil {
			return err
		}
		done := 0
		for i := range list.Items {
			if mirrored(&list.Items[i]) == 5 {
				done++
			}
		}
		if done != beyond {
			return pause(ctx, "%d of %d are", done, beyond)
		}
		return nil
	})
}

// mirrored counts the tags that are on the run and on the object as labels.
func mirrored(run *v1alpha1.TrainingRun) (n int) {
	for _, t := range run.Status.Tags {
		if t.Present && t.Mirrored {
			n++
		}
	}
	return n
}
