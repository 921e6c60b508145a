package plugin

import (
	"fmt"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

func newUndo(f *Frame) *cobra.Command {
	var c changing
	cmd := &cobra.Command{
		Use:   "undo TAGCHANGE",
		Short: "Take a TagChange back",
		Long: `Take a TagChange back: another one is made that puts each run's tags as they
were, but for those that somebody changed since. It is counted first, and
nothing is changed before you agree.

kubectl get tchg lists the TagChanges.`,
		Example: `  kubectl runtag undo rename-debug-wip-x7k2p
  kubectl runtag undo rename-debug-wip-x7k2p --dry-run`,
		Args:              exactly("TAGCHANGE"),
		ValidArgsFunction: f.completeChanges,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.check(); err != nil {
				return err
			}
			s, err := f.connect()
			if err != nil {
				return err
			}
			var done v1alpha1.TagChange
			key := client.ObjectKey{Namespace: s.namespace, Name: withoutKind(args[0], "tagchange", "tagchanges", "tchg")}
			if err := s.client.Get(cmd.Context(), key, &done); err != nil {
				return fmt.Errorf("read TagChange %s: %w", key, err)
			}
			change := s.newChange("undo-"+done.Name, done.Spec.ProjectRef.Name)
			change.Spec.UndoOf = &v1alpha1.TagChangeReference{Name: done.Name}
			change.Spec.MaxRuns = done.Spec.MaxRuns
			return bulk{session: s, changing: &c, change: change}.run(cmd.Context())
		},
	}
	c.addTracker(cmd, "How long to wait; as long as it takes if not given.")
	c.output.add(cmd, "name", "json", "yaml")
	return cmd
}
