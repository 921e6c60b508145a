package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/test/stage"
)

const (
	crowdProject = "crowd"
	crowdTag     = "baseline" // that every TrainingRun of the crowd declares by a label
)

// crowd is a cluster with 10,000 TrainingRuns that were imported and then labelled, all in sync, and what that took.
type crowd struct {
	*cluster
	n                 int
	bareImport        float64 // runs per second that a bare client imports
	imported, changed episode
}

// episode is some work of the manager, from its begin to the last write.
type episode struct {
	took     time.Duration
	by       map[string]float64 // writes that the API server saw, by resource
	writes   float64            // all of them
	requests int                // to the tracker
	cpu      float64            // seconds of the manager's processor time
}

// theCrowd gives the crowd, and makes it first if there is none yet.
func (b *bench) theCrowd(ctx context.Context) (*crowd, error) {
	if b.crowd != nil {
		return b.crowd, nil
	}
	base, err := newCluster(ctx, b)
	if err != nil {
		return nil, err
	}
	c := &crowd{cluster: base, n: b.scaled(10_000)}
	if err := c.make(ctx, b); err != nil {
		return nil, errors.Join(err, c.close(ctx))
	}
	b.crowd = c
	return c, nil
}

// closeCrowd ends the crowd's cluster, if there is one.
func (b *bench) closeCrowd(ctx context.Context) {
	if b.crowd == nil {
		return
	}
	if err := b.crowd.close(ctx); err != nil {
		b.say("the cluster of rows 4, 5 and 7 did not end well: %v", err)
	}
	b.crowd = nil
}

func (c *crowd) make(ctx context.Context, b *bench) error {
	if err := c.addRuns(crowdProject, 0, c.n); err != nil {
		return err
	}
	if err := c.addProject(ctx, crowdProject, func(spec *v1alpha1.TrackingProjectSpec) {
		spec.Import = v1alpha1.ImportSpec{Policy: v1alpha1.ImportAll, Limit: 100_000}
	}); err != nil {
		return err
	}
	var err error
	if c.bareImport, err = c.importBare(ctx, max(c.n/4, 1)); err != nil {
		return err
	}
	b.say("   a bare client imports %.0f runs/s", c.bareImport)
	c.imported, err = c.during(ctx, c.startManager, func(ctx context.Context) error { return c.allHave(ctx, "nightly") })
	if err != nil {
		return err
	}
	b.say("   imported %d runs in %.1f s: %s", c.n, c.imported.took.Seconds(), counts(c.imported.by))
	stop := b.profile(ctx, c.manager, "change", 10*time.Second)
	c.changed, err = c.during(ctx, c.labelAll, func(ctx context.Context) error { return c.allHave(ctx, crowdTag) })
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	b.say("   labelled %d objects in %.1f s: %s", c.n, c.changed.took.Seconds(), counts(c.changed.by))
	if err := c.editProject(ctx, crowdProject, `{"import":{"policy":"None"}}`); err != nil {
		return err
	}
	_, err = c.settle(ctx, nothing)
	return err
}

// importBare does by hand what an import writes, objects and their first status, for runs of a project that there is not,
// and takes them away. It gives how many per second.
func (c *crowd) importBare(ctx context.Context, n int) (float64, error) {
	name := "bare"
	if err := c.addProject(ctx, name, nil); err != nil {
		return 0, err
	}
	now := time.Now().UTC().Format(time.RFC3339)
	began := time.Now()
	if err := each(ctx, n, managerWorkers, func(ctx context.Context, i int) error {
		run := trainingRun(name, runID(i))
		run.Labels = map[string]string{"tag.runtag.dev/nightly": "run", "tracking.runtag.dev/project": name, "tracking.runtag.dev/state": "finished"}
		if err := c.Admin.Create(ctx, run); err != nil {
			return err
		}
		return c.Admin.Status().Patch(ctx, run, client.RawPatch(types.MergePatchType, []byte(statusPatch(run.ResourceVersion, now, "nightly"))))
	}); err != nil {
		return 0, fmt.Errorf("a bare client's import: %w", err)
	}
	rate := float64(n) / time.Since(began).Seconds()
	if err := c.Admin.DeleteAllOf(ctx, &v1alpha1.TrainingRun{}, client.InNamespace(name)); err != nil {
		return 0, err
	}
	return rate, c.Admin.DeleteAllOf(ctx, &v1alpha1.TrackingProject{}, client.InNamespace(name))
}

// statusPatch is of the size and kind of those that the manager writes.
func statusPatch(version, now, tag string) string {
	return fmt.Sprintf(`{"metadata":{"resourceVersion":%[1]q},"status":{"observedGeneration":1,"observedDeclarations":"5f1c5f1c5f1c5f1c",
"appliedTags":[{"name":%[3]q}],"tagCount":3,"tagNames":"baseline,nightly,team-7",
"conditions":[{"type":"Ready","status":"True","reason":"Synced","message":"the run has all its tags","lastTransitionTime":%[2]q,"observedGeneration":1},
{"type":"Reconciling","status":"False","reason":"Synced","message":"","lastTransitionTime":%[2]q,"observedGeneration":1},
{"type":"Stalled","status":"False","reason":"Synced","message":"","lastTransitionTime":%[2]q,"observedGeneration":1}],
"history":[{"time":%[2]q,"tag":%[3]q,"change":"Added","source":"Label","by":"bench"}],
"tags":[{"name":%[3]q,"source":"Label","since":%[2]q,"present":true,"mirrored":true,"byLabel":true},
{"name":"nightly2","source":"Run","since":%[2]q,"present":true,"mirrored":true},{"name":"team-7","source":"Run","since":%[2]q,"present":true,"mirrored":true}]}}`,
		version, now, tag)
}

// labelAll declares the crowd's tag by a label on every object.
func (c *crowd) labelAll(ctx context.Context) error {
	var list v1alpha1.TrainingRunList
	if err := c.Admin.List(ctx, &list, client.InNamespace(crowdProject)); err != nil {
		return err
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"tag.runtag.dev/`+crowdTag+`":""}}}`))
	return each(ctx, len(list.Items), editors, func(ctx context.Context, i int) error {
		return c.Admin.Patch(ctx, &list.Items[i], patch)
	})
}

// allHave says whether the status of every object of the crowd shows the tag on its run.
func (c *crowd) allHave(ctx context.Context, tag string) error {
	var list v1alpha1.TrainingRunList
	if err := c.Admin.List(ctx, &list, client.InNamespace(crowdProject)); err != nil {
		return err
	}
	have := 0
	for i := range list.Items {
		for _, t := range list.Items[i].Status.Tags {
			if t.Name == tag && t.Present {
				have++
			}
		}
	}
	if len(list.Items) != c.n || have != c.n {
		return fmt.Errorf("%d of %d TrainingRuns have tag %s in their status; there are to be %d", have, len(list.Items), tag, c.n)
	}
	return nil
}

// during measures what the manager does from begin until it writes nothing more and done says so.
func (c *crowd) during(ctx context.Context, begin, done func(context.Context) error) (episode, error) {
	before, err := c.writes(ctx)
	if err != nil {
		return episode{}, err
	}
	cpu, err := c.cpu(ctx)
	if err != nil {
		return episode{}, err
	}
	e, requests := episode{}, c.requests()
	began := time.Now()
	if err := begin(ctx); err != nil {
		return e, err
	}
	last, err := c.settle(ctx, done)
	if err != nil {
		return e, err
	}
	e.took, e.requests = last.Sub(began), c.requests()-requests
	spent, err := c.cpu(ctx)
	if err != nil {
		return e, err
	}
	e.cpu = spent - cpu
	after, err := c.writes(ctx)
	if err != nil {
		return e, err
	}
	e.by, e.writes = since(before, after)
	return e, nil
}

// settle waits until the manager has been idle and written nothing for a second, and done says that all is there. It gives
// the time of the last write, to a tenth of a second.
func (c *crowd) settle(ctx context.Context, done func(context.Context) error) (time.Time, error) {
	last, written := time.Now(), -1.0
	err := stage.AwaitFor(ctx, "the end of the manager's work", 10*time.Minute, func(ctx context.Context) error {
		metrics, err := c.manager.Metrics(ctx)
		if err != nil {
			return err
		}
		now := 0.0
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
			now += metrics.Sum("rest_client_requests_total", map[string]string{"method": method})
		}
		if now != written {
			last, written = time.Now(), now
		}
		if quiet := time.Since(last); quiet < time.Second || !idle(metrics) {
			return pause(ctx, "it wrote %s ago", quiet)
		}
		if err := done(ctx); err != nil {
			return errors.Join(err, pause(ctx, "not all is there"))
		}
		return nil
	})
	return last, err
}

// busy is an error while the manager has something to do, so that not all objects are read again and again meanwhile.
func (c *cluster) busy(ctx context.Context) error {
	metrics, err := c.manager.Metrics(ctx)
	if err == nil && !idle(metrics) {
		err = pause(ctx, "the manager has something to do")
	}
	return err
}

// idle says whether nothing is queued or worked on.
func idle(metrics stage.Metrics) bool {
	return metrics.Sum("workqueue_depth", nil)+metrics.Sum("controller_runtime_active_workers", nil) == 0
}

// pause waits a little between two reads of metrics, which cost the manager time, and gives why it waits.
func pause(ctx context.Context, format string, args ...any) error {
	select {
	case <-time.After(100 * time.Millisecond):
	case <-ctx.Done():
	}
	return fmt.Errorf(format, args...)
}
