package plugin

import (
	"github.com/spf13/cobra"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/edit"
)

func newRemove(f *Frame) *cobra.Command {
	var c changing
	cmd := &cobra.Command{
		Use:     "rm TAG... RUN...",
		Aliases: []string{"remove"},
		Short:   "Take tags off runs",
		Long: `Take tags off runs, whoever put them there: what labels and annotations
declare is declared no more, what nobody declares is asked off, and a rule
that found the tag is overruled for that run. What spec.tags declares stays:
the command says which field manager wrote it, since taking it off here would
only last until that one writes again.

On MLflow "key" stands for every value of the key, "key=value" for that one.

Runs are named, or selected by flags, as for kubectl runtag add; with
--project the tracker's own runs are meant.`,
		Example: `  kubectl runtag rm debug capsules-3f9a1c
  kubectl runtag rm debug --with-tag debug
  kubectl runtag rm debug --project capsules --with-tag debug --dry-run`,
		Args:              atLeastOneTag,
		ValidArgsFunction: f.completeTagThenRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.changeTags(cmd, f, args, wish{
				name: "rm",
				edit: edit.Remove,
				bulk: func(spec *v1alpha1.TagChangeSpec, tags []string) { spec.Remove = tags },
			})
		},
	}
	c.addFlags(f, cmd)
	return cmd
}
