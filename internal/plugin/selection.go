package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// states are those that a run can be in, on either tracker.
var states = []string{"pending", "running", "preempting", "finished", "failed", "crashed", "killed", "preempted", "unknown"}

// selection are the flags that say which runs are meant.
type selection struct {
	labels, fields        string
	withTags, withoutTags []string
	states                []string
	all, allNamespaces    bool
}

// add adds the flags. everyRun says that --all is one of them; commands that only show take all runs without it.
func (sel *selection) add(f *Frame, cmd *cobra.Command, everyRun bool) {
	flags := cmd.Flags()
	flags.StringVarP(&sel.labels, "selector", "l", "", "TrainingRuns with these labels, such as tag.runtag.dev/debug or tracking.runtag.dev/user=ann.")
	flags.StringVar(&sel.fields, "field-selector", "", "TrainingRuns with these fields: spec.runID, spec.projectRef.name, status.run.state, metadata.name.")
	flags.StringArrayVar(&sel.withTags, "with-tag", nil, "Runs that carry this tag (repeatable: all of them).")
	flags.StringArrayVar(&sel.withoutTags, "without-tag", nil, "Runs that don't carry this tag (repeatable: none of them).")
	flags.StringSliceVar(&sel.states, "state", nil, "Runs in one of these states: "+strings.Join(states, ", ")+".")
	flags.BoolVarP(&sel.allNamespaces, "all-namespaces", "A", false, "TrainingRuns of all namespaces.")
	if everyRun {
		flags.BoolVar(&sel.all, "all", false, "All runs.")
	}
	complete(cmd, "with-tag", f.completeTags)
	complete(cmd, "without-tag", f.completeTags)
	complete(cmd, "state", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return states, cobra.ShellCompDirectiveNoFileComp
	})
}

// given says whether the flags select something.
func (sel *selection) given() bool {
	return sel.all || sel.labels != "" || sel.fields != "" || len(sel.withTags)+len(sel.withoutTags)+len(sel.states) > 0
}

// check refuses what can't be meant.
func (sel *selection) check() error {
	for _, state := range sel.states {
		if !slices.Contains(states, state) {
			return usagef("there is no state %q: take one of %s", state, strings.Join(states, ", "))
		}
	}
	if _, err := labels.Parse(sel.labels); err != nil {
		return usagef("--selector: %w", err)
	}
	if _, err := fields.ParseSelector(sel.fields); err != nil {
		return usagef("--field-selector: %w", err)
	}
	return nil
}

// onTracker gives the selection as a TagChange has it.
func (sel *selection) onTracker() (*v1alpha1.RunSelection, error) {
	if sel.labels != "" || sel.fields != "" || sel.allNamespaces {
		return nil, usagef("-l, --field-selector and -A are for TrainingRuns; with --project take --with-tag, --without-tag, --state or --all")
	}
	return &v1alpha1.RunSelection{Tags: sel.withTags, WithoutTags: sel.withoutTags, States: sel.states, All: sel.all}, nil
}

// options are those of a list of TrainingRuns.
func (sel *selection) options(namespace string) ([]client.ListOption, error) {
	var options []client.ListOption
	if !sel.allNamespaces {
		options = append(options, client.InNamespace(namespace))
	}
	byLabel, err := labels.Parse(sel.labels)
	if err != nil {
		return nil, usagef("--selector: %w", err)
	}
	byField, err := fields.ParseSelector(sel.fields)
	if err != nil {
		return nil, usagef("--field-selector: %w", err)
	}
	return append(options, client.MatchingLabelsSelector{Selector: byLabel}, client.MatchingFieldsSelector{Selector: byField}), nil
}

// list gives the TrainingRuns that are selected, by namespace and name.
func (s *session) list(ctx context.Context, sel *selection) ([]v1alpha1.TrainingRun, error) {
	if err := sel.check(); err != nil {
		return nil, err
	}
	options, err := sel.options(s.namespace)
	if err != nil {
		return nil, err
	}
	var runs []v1alpha1.TrainingRun
	for next := ""; ; {
		var page v1alpha1.TrainingRunList
		if err := s.client.List(ctx, &page, append(options, client.Limit(pageSize), client.Continue(next))...); err != nil {
			return nil, fmt.Errorf("list TrainingRuns: %w", err)
		}
		for i := range page.Items {
			run := &page.Items[i]
			p, err := s.project(ctx, run.Namespace, run.Spec.ProjectRef.Name)
			if err != nil {
				return nil, err
			}
			if matches(p.dialect, run, &v1alpha1.RunSelection{Tags: sel.withTags, WithoutTags: sel.withoutTags, States: sel.states}) {
				runs = append(runs, *run)
			}
		}
		if next = page.Continue; next == "" {
			return runs, nil
		}
	}
}

// matches says whether a TrainingRun, by its status, is one of a selection of the tracker's runs.
func matches(d tags.Dialect, run *v1alpha1.TrainingRun, sel *v1alpha1.RunSelection) bool {
	seen := backend.Run{ID: runID(run), Tags: observed(d, run)}
	if r := run.Status.Run; r != nil {
		seen.State, seen.Group = backend.State(r.State), r.Group
		if r.CreatedAt != nil {
			seen.CreatedAt = r.CreatedAt.Time
		}
	}
	want := backend.Selection{Tags: sel.Tags, WithoutTags: sel.WithoutTags, IDs: sel.RunIDs, Groups: sel.Groups}
	for _, state := range sel.States {
		want.States = append(want.States, backend.State(state))
	}
	if sel.CreatedAfter != nil {
		want.CreatedAfter = sel.CreatedAfter.Time
	}
	if sel.CreatedBefore != nil {
		want.CreatedBefore = sel.CreatedBefore.Time
	}
	return want.Matches(d, seen)
}

// observed are the tags on a run, by its status.
func observed(d tags.Dialect, run *v1alpha1.TrainingRun) tags.Set {
	on := tags.Set{}
	for _, t := range run.Status.Tags {
		if tag, err := d.Parse(t.Name); err == nil && t.Present {
			on[tag.Key] = tag.Value
		}
	}
	return on
}

// runID is the tracker's id of a TrainingRun's run, or "" while it is not known.
func runID(run *v1alpha1.TrainingRun) string {
	if run.Status.Run != nil && run.Status.Run.ID != "" {
		return run.Status.Run.ID
	}
	return run.Spec.RunID
}
