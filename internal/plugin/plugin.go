// Package plugin is kubectl runtag: tags of runs, seen and changed from a command line. It writes what a person could
// write by hand, under a field manager of its own, so it never fights Git, and it needs no key of a tracker: what concerns
// runs that have no TrainingRun is done by the operator, asked by a TagChange.
package plugin

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/runtag/runtag/internal/plugin/terminal"
)

// FieldManager is the name that all writes of the plugin are made under.
const FieldManager = "kubectl-runtag"

// Frame is what every command works in.
type Frame struct {
	genericiooptions.IOStreams
	Clock   clock.PassiveClock
	Getenv  func(string) string
	Version string
	// Config are the flags that say which cluster and namespace; New makes them where there are none.
	Config *genericclioptions.ConfigFlags
}

// commands are all commands. Each has a file of its own.
var commands = []func(*Frame) *cobra.Command{
	newAdd, newRemove, newRename, newUndo, newLook, newList, newTags,
	newWhy, newPlan, newExport, newRule,
}

// quieten ends what clients log, once: it is in their errors, too, which are told in our words.
var quieten = sync.OnceFunc(func() {
	log.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
})

// Main runs the plugin and gives its exit code.
func Main(ctx context.Context, f Frame, args []string) int {
	quieten()
	cmd := New(&f)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(f.ErrOut, f.errTerminal().Paint(terminal.Red, "error:"), explain(ctx, err))
	}
	return exitCode(ctx, err)
}

// New makes the root command.
func New(f *Frame) *cobra.Command {
	if f.Config == nil {
		f.Config = genericclioptions.NewConfigFlags(true)
	}
	root := &cobra.Command{
		Use:   "kubectl-runtag",
		Short: "Tags of training runs, on W&B and MLflow",
		Long: `Tags of training runs, on W&B and MLflow: see, add, remove and rename them, on
runs that Kubernetes mirrors as TrainingRuns and, by a TagChange, on all
others.

A run is named by the name of its TrainingRun, by its id on the tracker, or by
the URL of its page.

Exit codes: 0 all done; 1 nothing done, by an error; 2 wrong use; 3 done in
part; 4 not seen done in time (--wait); 130 interrupted.`,
		Example: `  kubectl runtag ls                                  # runs, their tags and who set them
  kubectl runtag add baseline capsules-3f9a1c        # tag a run
  kubectl runtag rename debug wip --project capsules --all   # on all runs of the tracker's project`,
		Version:           f.Version,
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl runtag"},
		SilenceUsage:      true,
		SilenceErrors:     true,
		Args:              knownCommand,
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		DisableAutoGenTag: true,
	}
	root.SetIn(f.In)
	root.SetOut(f.Out)
	root.SetErr(f.ErrOut)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", fmt.Sprintf(".FlagUsagesWrapped %d", f.terminal().Width)))
	f.addGlobalFlags(root)
	for _, make := range commands {
		root.AddCommand(make(f))
	}
	return root
}

// shownFlags are the global flags that help shows. All others of kubectl work too.
var shownFlags = map[string]bool{"namespace": true, "context": true, "kubeconfig": true, "as": true, "request-timeout": true}

func (f *Frame) addGlobalFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	f.Config.AddFlags(flags)
	for _, name := range []string{
		"cluster", "user", "server", "tls-server-name", "insecure-skip-tls-verify", "client-certificate", "client-key",
		"certificate-authority", "token", "as-uid", "as-group", "as-user-extra", "cache-dir", "disable-compression", "proxy-url",
	} {
		if flag := flags.Lookup(name); flag != nil && !shownFlags[name] {
			flag.Hidden = true
		}
	}
	flags.Lookup("kubeconfig").Usage = "Path of the kubeconfig file."
	flags.Lookup("context").Usage = "Name of the kubeconfig context."
	flags.Lookup("namespace").Usage = "Namespace; that of the context if not given."
	complete(root, "namespace", f.completeNamespaces)
	complete(root, "context", f.completeContexts)
}

// knownCommand refuses what is no command, and says which is meant.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("there is no command %q; kubectl runtag --help lists all", args[0])
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text = fmt.Sprintf("there is no command %q; do you mean %s?", args[0], near[0])
	}
	return usagef("%s", text)
}

func (f *Frame) terminal() terminal.Terminal { return terminal.Of(f.Out, f.Getenv) }

func (f *Frame) errTerminal() terminal.Terminal { return terminal.Of(f.ErrOut, f.Getenv) }
