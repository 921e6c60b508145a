package plugin

import "github.com/spf13/cobra"

func newRule(f *Frame) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rule",
		Short: "Try rules out, and list them",
		Long: `Try TagRules and ClusterTagRules out before they are applied, and list those
that there are with what they match.`,
		Example: `  kubectl runtag rule ls
  kubectl runtag rule test -f rule.yaml --all`,
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRuleList(f), newRuleTest(f))
	return cmd
}
