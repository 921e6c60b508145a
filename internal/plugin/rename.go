package plugin

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/edit"
)

func newRename(f *Frame) *cobra.Command {
	var c changing
	var spec bool
	cmd := &cobra.Command{
		Use:   "rename OLD NEW RUN...",
		Short: "Give a tag another name",
		Long: `Give a tag another name, on runs that are named or selected. What declares it
stays what it is: a label becomes a label, an annotation an annotation. What
spec.tags declares is listed, for you to change in Git, or changed with
--spec; if Git has the old name, it brings that back. What a rule gives is
renamed in the rule.

On MLflow renaming "key" keeps its value; where a run has the new key already,
that is kept.

With --project the tag is renamed on the tracker's own runs, whether
Kubernetes mirrors them or not.`,
		Example: `  kubectl runtag rename debug wip capsules-3f9a1c
  kubectl runtag rename debug wip --all
  kubectl runtag rename debug wip --project capsules --all --max-runs 5000`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return exactly("OLD", "NEW", "and runs or a selection")(cmd, args)
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) < 2 {
				return f.completeTags(cmd, args, typed)
			}
			return f.completeRuns(cmd, args, typed)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.rename(cmd, f, args, spec) },
	}
	c.addFlags(f, cmd)
	cmd.Flags().BoolVar(&spec, "spec", false, "Change spec.tags too.")
	return cmd
}

func (c *changing) rename(cmd *cobra.Command, f *Frame, args []string, spec bool) error {
	if err := c.check(); err != nil {
		return err
	}
	from, to, names := args[0], args[1], args[2:]
	if err := checkTags([]string{from, to}); err != nil {
		return err
	}
	if from == to {
		return usagef("%q is its name already", to)
	}
	s, err := f.connect()
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if c.project != "" {
		if spec {
			return usagef("--spec is for TrainingRuns: it can't be taken with --project")
		}
		if !c.all && len(names) == 0 && !slices.Contains(c.withTags, from) {
			c.withTags = append(c.withTags, from) // the others have nothing to rename
		}
		return c.changeOnTracker(ctx, s, "rename-"+from+"-"+to, names, func(spec *v1alpha1.TagChangeSpec) {
			spec.Rename = []v1alpha1.TagRename{{From: from, To: to}}
		})
	}
	runs, err := c.named(ctx, s, names)
	if err != nil {
		return err
	}
	e := editing{session: s, changing: c, edit: func(run edit.Run) edit.Result { return edit.Rename(run, from, to, spec) }}
	return e.declare(ctx, runs)
}
