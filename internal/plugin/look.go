package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/plugin/terminal"
)

// looking is the command look.
type looking struct {
	selection
	*session
	projectName string
	timeout     time.Duration
}

func newLook(f *Frame) *cobra.Command {
	var l looking
	cmd := &cobra.Command{
		Use:   "look [RUN...]",
		Short: "Have the operator look at the tracker now",
		Long: `Have the operator look at the tracker now, and wait for it: at runs that are
named or selected, or with --project at all that a project tracks and may
import. Without any of these, at all projects of the namespace.

Active runs are looked at every spec.interval of their project anyway, all
others every spec.fullInterval.`,
		Example: `  kubectl runtag look capsules-3f9a1c
  kubectl runtag look --with-tag baseline
  kubectl runtag look --project capsules`,
		ValidArgsFunction: f.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.check(); err != nil {
				return err
			}
			var err error
			if l.session, err = f.connect(); err != nil {
				return err
			}
			return l.run(cmd.Context(), args)
		},
	}
	l.selection.add(f, cmd, true)
	cmd.Flags().StringVar(&l.projectName, "project", "", "Look at all runs of this TrackingProject.")
	cmd.Flags().DurationVar(&l.timeout, "timeout", defaultTimeout, "How long to wait.")
	complete(cmd, "project", f.completeProjects)
	return cmd
}

func (l *looking) run(ctx context.Context, names []string) error {
	if l.projectName == "" && (len(names) > 0 || l.given()) {
		runs, err := l.named(ctx, l.session, names)
		if err != nil {
			return err
		}
		return l.atRuns(ctx, runs)
	}
	if len(names) > 0 || l.given() {
		return usagef("take --project, or say which runs, not both")
	}
	return l.atProjects(ctx)
}

// ask annotates an object with a new value.
func (l *looking) ask(ctx context.Context, object client.Object) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
		v1alpha1.AnnotationLookAt: l.Clock.Now().UTC().Format(time.RFC3339Nano),
	}}})
	if err != nil {
		return fmt.Errorf("ask for a look: %w", err)
	}
	if err := l.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, body), client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("ask for a look at %s: %w", object.GetName(), err)
	}
	return nil
}

// atRuns asks for looks at runs, and waits until the status of each answers what was asked for.
func (l *looking) atRuns(ctx context.Context, runs []v1alpha1.TrainingRun) error {
	if len(runs) == 0 {
		return say(l.ErrOut, "no runs match")
	}
	before := map[types.UID]string{}
	last := map[types.UID]*v1alpha1.TrainingRun{}
	for i := range runs {
		run := &runs[i]
		if run.Annotations[mirror.AnnotationIgnore] == "true" {
			if err := say(l.ErrOut, "%s is not looked at: it has the annotation %s", run.Name, mirror.AnnotationIgnore); err != nil {
				return err
			}
			continue
		}
		if err := l.ask(ctx, run); err != nil {
			return err
		}
		before[run.UID], last[run.UID] = run.Status.ObservedDeclarations, run
	}
	options := []client.ListOption{client.InNamespace(l.namespace)}
	switch {
	case len(before) == 0:
		return errNothing
	case l.allNamespaces:
		options = nil
	case len(before) == 1:
		for _, run := range last {
			options = append(options, client.MatchingFields{"metadata.name": run.Name})
		}
	}
	total := len(last)
	bar := terminal.NewBar(l.errTerminal(), "looked at", total)
	ctx, cancel := context.WithTimeoutCause(ctx, l.timeout, errTimeout)
	defer cancel()
	err := l.until(ctx, &v1alpha1.TrainingRunList{}, options, func(object client.Object, gone bool) (bool, error) {
		run, ok := object.(*v1alpha1.TrainingRun)
		if !ok || last[object.GetUID()] == nil {
			return false, nil
		}
		last[run.UID] = run
		if !gone && run.Status.ObservedDeclarations == before[run.UID] {
			return false, nil
		}
		delete(last, run.UID)
		bar.Set(total-len(last), total)
		var err error
		bar.Above(func() { err = say(l.Out, "%s: %s", run.Name, describe(run)) })
		return len(last) == 0, err
	})
	bar.Clear()
	if !errors.Is(err, errTimeout) {
		return err
	}
	waiting := slices.SortedFunc(maps.Values(last), func(a, b *v1alpha1.TrainingRun) int { return strings.Compare(a.Name, b.Name) })
	return l.late(waiting)
}

// describe says of a run what was seen.
func describe(run *v1alpha1.TrainingRun) string {
	state, names := "not found", "no tags"
	if run.Status.Run != nil && run.Status.Run.State != "" {
		state = run.Status.Run.State
	}
	if run.Status.TagNames != "" {
		names = terminal.Clean(run.Status.TagNames)
	}
	return state + ", " + names
}

func (l *looking) late(waiting []*v1alpha1.TrainingRun) error {
	for _, run := range waiting {
		if err := say(l.ErrOut, "%s: not looked at yet: %s", run.Name, readiness(run.Status.Conditions)); err != nil {
			return err
		}
	}
	return errLater(len(waiting), "runs")
}

// atProjects asks for looks at projects and waits until status.lookAt says that they were made.
func (l *looking) atProjects(ctx context.Context) error {
	options := []client.ListOption{client.InNamespace(l.namespace)}
	if l.allNamespaces {
		options = nil
	}
	if l.projectName != "" {
		if err := l.needProject(ctx, l.projectName); err != nil {
			return err
		}
		options = append(options, client.MatchingFields{"metadata.name": l.projectName})
	}
	var list v1alpha1.TrackingProjectList
	if err := l.client.List(ctx, &list, options...); err != nil {
		return fmt.Errorf("list TrackingProjects: %w", err)
	}
	if len(list.Items) == 0 {
		return say(l.ErrOut, "there is no TrackingProject in namespace %s", l.namespace)
	}
	asked := map[types.UID]string{}
	for i := range list.Items {
		if err := l.ask(ctx, &list.Items[i]); err != nil {
			return err
		}
		asked[list.Items[i].UID] = list.Items[i].Annotations[v1alpha1.AnnotationLookAt]
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.timeout, errTimeout)
	defer cancel()
	err := l.until(ctx, &v1alpha1.TrackingProjectList{}, options, func(object client.Object, gone bool) (bool, error) {
		project, ok := object.(*v1alpha1.TrackingProject)
		if !ok || asked[object.GetUID()] == "" {
			return false, nil
		}
		if !gone && project.Status.LookAt != asked[project.UID] {
			return false, nil
		}
		delete(asked, project.UID)
		return len(asked) == 0, say(l.Out, "%s: looked at", project.Name)
	})
	if !errors.Is(err, errTimeout) {
		return err
	}
	return l.lateProjects(list.Items, asked)
}

// lateProjects says of projects whose look was not seen what their status says.
func (l *looking) lateProjects(projects []v1alpha1.TrackingProject, asked map[types.UID]string) error {
	for i := range projects {
		if p := &projects[i]; asked[p.UID] != "" {
			if err := say(l.ErrOut, "%s: not looked at yet: %s", p.Name, readiness(p.Status.Conditions)); err != nil {
				return err
			}
		}
	}
	return errLater(len(asked), "projects")
}

// errLater is a look that was asked for and not seen done.
func errLater(n int, what string) error {
	return fmt.Errorf("%w: %d of the %s; the look was asked for, and comes as soon as it can", errTimeout, n, what)
}
