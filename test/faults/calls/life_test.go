package calls_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/test/faults/calls/endstate"
)

const (
	// foreign is a tag that nobody on our side ever names; it has to stay on all runs that begin with it.
	foreign = "theirs"
	// The intervals of projects.
	interval     = 30 * time.Second
	fullInterval = time.Minute
	// rest after a step is long enough for what failed to be done again, and for a look.
	rest = 40 * time.Second
	// forgotten is after what time nothing is remembered of what was taken off.
	forgotten = 15 * time.Minute
)

// step is something that people do, or that happens in the cluster. The operator has come to rest before and after it.
type step struct {
	name string
	do   func(l *life)
}

// life is the script of a few TrainingRuns, from their creation to their end.
type life struct {
	*controllerstest.Harness
	calls   *calls
	project *v1alpha1.TrackingProject
	runs    map[string]*v1alpha1.TrainingRun // those that are there
	node    *corev1.Node
	rule    *v1alpha1.TagRule

	mu       sync.Mutex          // what follows is also used by requests to the tracker
	keep     map[string][]string // the foreign tags that have to stay, by run
	problems []string
}

// live plays a script with one harm, and gives the state at its end and the calls that were made.
func live(ctx context.Context, suite *controllerstest.Suite, t controllerstest.TB, script []step, harm harm) (endstate.State, []call) {
	t.Helper()
	c := &calls{harm: harm}
	l := &life{calls: c, runs: map[string]*v1alpha1.TrainingRun{}, keep: map[string][]string{}}
	l.Harness = suite.New(ctx, t, controllerstest.Options{
		MayLag: true, OnWrite: l.expectKept, Jitter: func(d time.Duration) time.Duration { return d },
		Live: func(r client.Reader) client.Reader { return reader{Reader: r, calls: c, live: "live "} },
	})
	defer l.Close()
	l.API.Client = cached{Client: l.API.Client, reads: reader{Reader: l.API.Client, calls: c}}
	l.API.FailWrites(c.before)
	l.API.LoseAnswers(c.after)
	l.Tracker.BeforeRequests(func(r wandbtest.Request) { c.ask(l.Tracker, r) })
	for _, s := range script {
		c.begin("")
		s.do(l)
		c.begin(s.name)
		l.settle(rest)
	}
	c.begin("")
	l.end()
	state, err := endstate.Of(ctx, endstate.Scene{
		Client: l.Admin, Namespace: l.Namespace, Tracker: l.Tracker.Server, Entity: l.Tracker.Entity, Project: controllerstest.ProjectName,
		Replace: []string{l.Namespace, "NAMESPACE", l.Tracker.URL, "URL"},
	})
	if err != nil {
		l.Fail("%v", err)
	}
	return state, c.made()
}

// liveHarmed plays a script until its harm was done: answers of the tracker come when they come, and a pass more or less
// is made then.
func liveHarmed(ctx context.Context, suite *controllerstest.Suite, t controllerstest.TB, script []step, harm harm) endstate.State {
	t.Helper()
	for range 5 {
		end, made := live(ctx, suite, t, script, harm)
		if slices.ContainsFunc(made, func(c call) bool { return c.name == harm.call }) {
			return end
		}
	}
	t.Fatalf("call %q was not made in five lives", harm.call)
	return nil
}

// settle lets the operator work until it is at rest, and starts another one where it crashed.
func (l *life) settle(pause time.Duration) {
	for {
		l.Settle()
		if !l.calls.crashed() {
			l.Step(pause)
		}
		if !l.calls.crashed() {
			break
		}
		l.calls.revive()
		l.Tracker.SetFaults(wandbtest.Faults{})
		l.Restart()
	}
	l.checkKept()
}

// end lets all be forgotten that is only remembered for a time, and makes one more change, with which that is written.
func (l *life) end() {
	l.settle(fullInterval)  // for what is done again with a look
	l.Clock.Step(forgotten) // at once, and not from look to look
	l.settle(rest)
	for id := range l.runs {
		l.edit(id, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = append(r.Spec.Tags, "end") })
	}
	l.settle(rest)
}

// expectKept takes note of a write to the tracker that takes off a tag of somebody else. It is called by the tracker.
func (l *life) expectKept(run wandbtest.Run, list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, tag := range l.keep[run.ID] {
		if !slices.Contains(list, tag) {
			l.problems = append(l.problems, fmt.Sprintf("foreign tag %q is taken off run %s", tag, run.ID))
		}
	}
}

// checkKept checks that foreign tags are where they were.
func (l *life) checkKept() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, tags := range l.keep {
		run, ok := l.Tracker.Run(l.Tracker.Path(id))
		for _, tag := range tags {
			if !ok || !slices.Contains(run.Tags, tag) {
				l.problems = append(l.problems, fmt.Sprintf("foreign tag %q is not on run %s", tag, id))
			}
		}
	}
	if len(l.problems) > 0 {
		l.Fail("%s", strings.Join(l.problems, "; "))
	}
}

// onTracker puts a run into the tracker that carries a foreign tag and more.
func (l *life) onTracker(id, state string, tags ...string) {
	l.AddTrackerRun(wandbtest.Run{ID: id, State: state, Tags: append([]string{foreign}, tags...)})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep[id] = []string{foreign}
}

// begin applies the project.
func (l *life) begin(edits ...func(*v1alpha1.TrackingProject)) {
	l.project = l.NewProject(func(p *v1alpha1.TrackingProject) {
		p.Spec.Interval.Duration, p.Spec.FullInterval.Duration = interval, fullInterval
		p.Spec.Import.Policy = v1alpha1.ImportNone
		for _, edit := range edits {
			edit(p)
		}
	})
	l.ExpectApplied(l.project)
}

// create applies a TrainingRun.
func (l *life) create(id string, edits ...func(*v1alpha1.TrainingRun)) {
	run := l.NewRun(id)
	for _, edit := range edits {
		edit(run)
	}
	l.ExpectApplied(run)
	l.runs[id] = run
}

func (l *life) edit(id string, f func(*v1alpha1.TrainingRun)) { l.ExpectEdited(l.runs[id], f) }

func (l *life) delete(id string) {
	l.ExpectDeleted(l.runs[id])
	delete(l.runs, id)
}

func declare(tags ...string) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) { r.Spec.Tags = tags }
}
