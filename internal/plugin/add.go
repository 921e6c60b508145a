package plugin

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/edit"
)

func newAdd(f *Frame) *cobra.Command {
	var c changing
	cmd := &cobra.Command{
		Use:   "add TAG... RUN...",
		Short: "Put tags on runs",
		Long: `Put tags on runs. A tag is declared by a label of the TrainingRun where it is
a valid name of one, else by an annotation: from then on it is kept on the run
until it is taken off again. On MLflow "key=value" is a tag with a value.

Runs are named, or selected by flags; then all arguments are tags. Of tags and
names, the first argument is a tag and those at the end that name runs are
runs; "--" between them leaves no doubt.

With --project the tracker's own runs are tagged, whether Kubernetes mirrors
them or not, by a TagChange: they are counted first, and nothing is changed
before you agree. Such a tag is declared nowhere: nobody puts it back.`,
		Example: `  kubectl runtag add baseline capsules-3f9a1c --wait
  kubectl runtag add baseline https://wandb.ai/acme/capsules/runs/3f9a1c
  kubectl runtag add "needs review" team=vision -- capsules-3f9a1c capsules-77b0d2
  kubectl runtag add keep -l tracking.runtag.dev/user=ann --with-tag baseline
  kubectl runtag add archived --project capsules --state failed,crashed --without-tag baseline
  kubectl runtag add archived --project capsules -- 3f9a1c 77b0d2`,
		Args:              atLeastOneTag,
		ValidArgsFunction: f.completeTagThenRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeTags(cmd, f, args, wish{
				name: "add",
				edit: edit.Add,
				bulk: func(spec *v1alpha1.TagChangeSpec, tags []string) { spec.Add = tags },
			})
		},
	}
	c.addFlags(f, cmd)
	return cmd
}

// wish is what add and rm have in common: tags, and what to do with them.
type wish struct {
	// name begins the names of TagChanges.
	name string
	edit func(edit.Run, []string) edit.Result
	bulk func(spec *v1alpha1.TagChangeSpec, tags []string)
}

// changeTags is add and rm.
func (c *changing) changeTags(cmd *cobra.Command, f *Frame, args []string, w wish) error {
	if err := c.check(); err != nil {
		return err
	}
	s, err := f.connect()
	if err != nil {
		return err
	}
	ctx, dash := cmd.Context(), cmd.ArgsLenAtDash()
	if c.project != "" {
		tags, ids := args, []string(nil)
		if dash >= 0 {
			tags, ids = args[:dash], args[dash:]
		}
		if err := checkTags(tags); err != nil {
			return err
		}
		return c.changeOnTracker(ctx, s, w.name+"-"+tags[0], ids, func(spec *v1alpha1.TagChangeSpec) { w.bulk(spec, tags) })
	}
	tags, runs, err := c.targets(ctx, s, args, dash)
	if err != nil {
		return err
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	e := editing{session: s, changing: c, edit: func(run edit.Run) edit.Result { return w.edit(run, tags) }}
	return e.declare(ctx, runs)
}

// targets gives the tags of a command line and the TrainingRuns that it names or selects.
func (c *changing) targets(ctx context.Context, s *session, args []string, dash int) ([]string, []v1alpha1.TrainingRun, error) {
	if c.given() {
		if dash >= 0 && dash < len(args) {
			return nil, nil, usagef("name runs, or select them by flags, not both")
		}
		runs, err := s.list(ctx, &c.selection)
		return args, runs, err
	}
	tags, runs, err := s.split(ctx, args, dash, c.allNamespaces)
	if err == nil && len(runs) == 0 {
		err = usagef("say of which runs: name them, or take -l, --with-tag, --without-tag, --state or --all")
	}
	return tags, runs, err
}

// changeOnTracker changes the tracker's runs that are selected, or have these ids, by a TagChange.
func (c *changing) changeOnTracker(ctx context.Context, s *session, name string, ids []string, change func(*v1alpha1.TagChangeSpec)) error {
	selected, err := c.onTracker()
	if err != nil {
		return err
	}
	if !c.given() && len(ids) == 0 {
		return usagef("say which runs of the tracker: take --with-tag, --without-tag, --state or --all, or write -- and their ids")
	}
	for _, id := range ids {
		if fromURL, _, ok := pageOf(id); ok {
			id = fromURL
		}
		selected.RunIDs = append(selected.RunIDs, id)
	}
	if err := s.needProject(ctx, c.project); err != nil {
		return err
	}
	object := s.newChange(name, c.project)
	object.Spec.Select, object.Spec.MaxRuns = selected, c.maxRuns
	change(&object.Spec)
	return bulk{session: s, changing: c, change: object}.run(ctx)
}

func atLeastOneTag(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || cmd.ArgsLenAtDash() == 0 {
		return usagef("%s takes at least one tag; see %s --help", cmd.CommandPath(), cmd.CommandPath())
	}
	return nil
}
