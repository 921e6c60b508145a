package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/pyenv"
	"github.com/runtag/runtag/test/bench/report"
	"github.com/runtag/runtag/test/stage"
)

// What rows have in common in which runtag adds a tag to many runs beside those who do it in another way.

const (
	// ours is the project that runtag works on.
	ours = "runtag"
	// contestTime is how long one contestant may take.
	contestTime = 10 * time.Minute
	// contestPoll is how often it is looked how far a contestant is.
	contestPoll = 50 * time.Millisecond
	// drawnPoints is how many points of a contestant are drawn.
	drawnPoints = 100
)

// peer runs a script of the folder peers with the pinned Python and gives the seconds that it says it took.
func (b *bench) peer(ctx context.Context, dir string, env []string, script string, args ...string) (seconds float64, err error) {
	python, err := pyenv.Ensure(ctx, os.Stderr)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, contestTime)
	defer cancel()
	command := exec.CommandContext(ctx, python, append([]string{filepath.Join(b.root, "test", "bench", "peers", script)}, args...)...)
	command.Dir = dir
	command.WaitDelay = 5 * time.Second // a process of the SDK outlives its parent for a while and holds the output open
	// No more of our environment than it needs, so that it finds no settings and no proxy.
	command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "PYTHONDONTWRITEBYTECODE=1"}, env...)
	var said strings.Builder
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", script, err, said.String())
	}
	lines := strings.Fields(string(out))
	if len(lines) == 0 {
		return 0, fmt.Errorf("%s has said nothing: %s", script, said.String())
	}
	return strconv.ParseFloat(lines[len(lines)-1], 64)
}

// follow counts until all are done, and gives how many were when, in seconds after began.
func follow(ctx context.Context, name string, began time.Time, total int, count func() (int, error)) (report.Line, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, contestTime, fmt.Errorf("not within %s", contestTime))
	defer cancel()
	line := report.Line{Name: name, X: []float64{0}, Y: []float64{0}}
	ticker := time.NewTicker(contestPoll)
	defer ticker.Stop()
	for {
		now, err := count()
		if err != nil {
			return line, err
		}
		if float64(now) != line.Y[len(line.Y)-1] {
			line.X = append(line.X, time.Since(began).Seconds())
			line.Y = append(line.Y, float64(now))
		}
		if now >= total {
			return line, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return line, fmt.Errorf("%s: %w; %d of %d runs have the tag", name, context.Cause(ctx), now, total)
		}
	}
}

// later moves a line in time, so that it begins where a script's own clock does and not with the start of Python.
func later(line report.Line, seconds float64) report.Line {
	for i := range line.X[1:] {
		line.X[i+1] += seconds
	}
	return line
}

// took is when the last of a line was done.
func took(line report.Line) float64 { return line.X[len(line.X)-1] }

// addTrainingRuns makes one for each run and waits until all are in sync.
func (c *cluster) addTrainingRuns(ctx context.Context, project string, ids []string) error {
	if err := each(ctx, len(ids), editors, func(ctx context.Context, i int) error {
		return c.Admin.Create(ctx, trainingRun(project, ids[i]))
	}); err != nil {
		return err
	}
	return stage.AwaitFor(ctx, "TrainingRuns of project "+project+" in sync", contestTime, func(ctx context.Context) error {
		if err := c.busy(ctx); err != nil {
			return err
		}
		var list v1alpha1.TrainingRunList
		if err := c.Admin.List(ctx, &list, client.InNamespace(project)); err != nil {
			return err
		}
		ready := 0
		for i := range list.Items {
			if meta.IsStatusConditionTrue(list.Items[i].Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
		if ready < len(ids) {
			return fmt.Errorf("%d of %d are", ready, len(ids))
		}
		return nil
	})
}

// label puts a tag's label on all TrainingRuns, as so many people or pipelines at once, and gives the seconds that the API
// server took for it.
func (c *cluster) label(ctx context.Context, tag string, ids []string) (seconds float64, err error) {
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{%q:""}}}`, mirror.TagPrefix+tag))
	began := time.Now()
	err = each(ctx, len(ids), editors, func(ctx context.Context, i int) error {
		return c.Admin.Patch(ctx, &v1alpha1.TrainingRun{ObjectMeta: metav1.ObjectMeta{Namespace: ours, Name: ids[i]}}, patch)
	})
	return time.Since(began).Seconds(), err
}

// tagChange makes one that adds a tag to all runs.
func (c *cluster) tagChange(ctx context.Context, tag string) (*v1alpha1.TagChange, error) {
	change := &v1alpha1.TagChange{
		ObjectMeta: metav1.ObjectMeta{Namespace: ours, Name: "add-" + tag},
		Spec: v1alpha1.TagChangeSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: ours}, Select: &v1alpha1.RunSelection{All: true},
			Add: []string{tag}, Apply: true, MaxRuns: 10_000,
		},
	}
	return change, c.Admin.Create(ctx, change)
}

// awaitChanged waits until a TagChange says that it is done.
func (c *cluster) awaitChanged(ctx context.Context, change *v1alpha1.TagChange, runs int) error {
	return stage.Await(ctx, "TagChange "+change.Name, func(ctx context.Context) error {
		if err := c.Admin.Get(ctx, client.ObjectKeyFromObject(change), change); err != nil {
			return err
		}
		if changed := change.Status.Changed; change.Status.FinishedAt == nil || changed == nil || int(*changed) != runs {
			return fmt.Errorf("its status is %+v", change.Status)
		}
		return nil
	})
}
