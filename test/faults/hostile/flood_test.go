package hostile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/stage"
)

// flood has one namespace make very many objects, while another one goes on with its edits, one after the other. What
// decides is a count, as times are those of the machine: how much of the flood was still to come when an edit landed.
func (w *real) flood() {
	size, before := facts.Pick(300, 10_000), facts.Pick(5, 100)
	w.must(w.addProject(w.t.Context(), "loud", size))
	w.must(w.addProject(w.t.Context(), "quiet", 10))
	w.must(each(w.t.Context(), 10, func(ctx context.Context, n int) error { return w.addObject(ctx, "quiet", n, "declared") }))
	w.must(stage.Await(w.t.Context(), "the quiet namespace", func(context.Context) error { return w.allCarry("quiet", 10, "declared") }))
	idle := make([]time.Duration, 0, before)
	for n := range before {
		took, err := w.edit("quiet", n%10, fmt.Sprintf("idle-%d", n))
		w.must(err)
		idle = append(idle, took)
	}

	var creating errgroup.Group
	creating.Go(func() error {
		return each(w.t.Context(), size, func(ctx context.Context, n int) error { return w.addObject(ctx, "loud", n, "flood") })
	})
	var during []time.Duration
	early, unserved := 0, size
	for n := 0; unserved > 0; n++ {
		took, err := w.edit("quiet", n%10, fmt.Sprintf("during-%d", n))
		w.must(err)
		during = append(during, took)
		if unserved = w.missing("loud", size, "flood"); unserved > 0 {
			early++
		}
	}
	w.must(creating.Wait())
	if early <= len(during)/2 {
		w.t.Errorf("%d of %d edits landed before the flood was over, want most: they waited for it", early, len(during))
	}
	for _, fact := range []facts.Fact{
		{What: "objects made at once by one namespace", Value: float64(size)},
		{What: "edits of another namespace meanwhile", Value: float64(len(during))},
		{What: "of them on the tracker before the flood was over", Value: float64(early)},
		{What: "from edit to tag without the flood, 99th percentile", Value: p99(idle), Unit: "ms"},
		{What: "from edit to tag during the flood, 99th percentile", Value: p99(during), Unit: "ms"},
	} {
		fact.Part = part
		facts.Record(w.t, fact)
	}
}

func p99(times []time.Duration) float64 {
	slices.Sort(times)
	return float64(times[(len(times)*99+99)/100-1].Milliseconds())
}

func (w *real) missing(project string, runs int, tag string) int {
	missing := 0
	for n := range runs {
		if !w.carries(project, n, tag) {
			missing++
		}
	}
	return missing
}

func (w *real) allCarry(project string, runs int, tag string) error {
	if missing := w.missing(project, runs, tag); missing > 0 {
		return fmt.Errorf("%d runs have no tag %s", missing, tag)
	}
	return nil
}

// goroutineSlack is for requests to the API server and watches, which come and go.
const goroutineSlack = 25

// comeAndGo has many projects come, each with a run, and go, and counts what the manager still holds for them: one
// goroutine, that of its queue, for the 15 minutes in which TrainingRuns that are deleted with their project still take
// their tags off. Connections are closed by the tracker here; else they go after 90 seconds without use.
func (w *real) comeAndGo() {
	count := facts.Pick(20, 200)
	w.must(w.addProject(w.t.Context(), "stays", 1))
	w.expectReady(1)
	before := w.goroutines()
	w.must(each(w.t.Context(), count, func(ctx context.Context, n int) error {
		name := fmt.Sprintf("goes-%d", n)
		return errors.Join(w.addProject(ctx, name, 1), w.addObject(ctx, name, 0, "declared"))
	}))
	w.expectReady(count + 1)
	most := w.goroutines()
	w.must(each(w.t.Context(), count, func(ctx context.Context, n int) error {
		in := client.InNamespace(fmt.Sprintf("goes-%d", n))
		return errors.Join(w.Admin.DeleteAllOf(ctx, &v1alpha1.TrainingRun{}, in), w.Admin.DeleteAllOf(ctx, &v1alpha1.TrackingProject{}, in))
	}))
	w.expectReady(1)
	after := most
	if err := stage.Await(w.t.Context(), "the goroutines", func(context.Context) error {
		w.server.CloseClientConnections()
		if after = w.goroutines(); after > before+count+goroutineSlack {
			return fmt.Errorf("%d goroutines, %d before, for %d projects that are gone", after, before, count)
		}
		return nil
	}); err != nil {
		profile, profileErr := w.manager.Profile(w.t.Context(), "goroutine?debug=1")
		w.t.Errorf("%v (%v)\n%s", err, profileErr, profile[:min(6000, len(profile))])
	}
	for _, fact := range []facts.Fact{
		{What: "projects that came and went", Value: float64(count)},
		{What: "goroutines before they came", Value: float64(before)},
		{What: "goroutines while they were there", Value: float64(most)},
		{What: "goroutines once they were gone, with one each for the queues of the projects, which stay for 15 minutes", Value: float64(after)},
	} {
		fact.Part = part
		facts.Record(w.t, fact)
	}
}

func (w *real) goroutines() int {
	w.t.Helper()
	metrics, err := w.manager.Metrics(w.t.Context())
	w.must(err)
	return int(metrics.Sum("go_goroutines", nil))
}
