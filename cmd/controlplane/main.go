// Command controlplane runs a real Kubernetes API server and etcd on loopback, for trials and for the demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/controlplane"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, stop) // so that a second Ctrl-C does not wait
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "controlplane:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:   "controlplane",
		Short: "Run a real Kubernetes API server and etcd on loopback, for trials and tests",
		Long: `Run a real Kubernetes API server and etcd on free loopback ports, for trials and tests.

The executables (Kubernetes ` + controlplane.Version + `) come from the folder that ` + controlplane.AssetsVariable + ` names, or else from our cache,
$XDG_CACHE_HOME/runtag/controlplane (~/.cache by default). The first time, they are downloaded by setup-envtest or,
where that cannot be reached, built from source through the Go module proxy, which takes about 5 minutes on 2 cores.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(upCommand(), pathCommand())
	return root
}

func pathCommand() *cobra.Command {
	var nodes bool
	cmd := &cobra.Command{
		Use:   "path",
		Short: "Print the folder of etcd, kube-apiserver and kubectl, getting them first if need be",
		Long: `Print the folder of etcd, kube-apiserver and kubectl, and nothing else, on stdout.
They are downloaded or built first if need be; the progress goes to stderr.

With --nodes, the folder of what simulated nodes need follows after a colon: kube-scheduler, kube-controller-manager and
kwok. They are always built, once, which takes two to five minutes.`,
		Example: `  export PATH="$(bin/controlplane path):$PATH"`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := located(cmd.Context(), nodes, lines(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), path)
			return err
		},
	}
	cmd.Flags().BoolVar(&nodes, "nodes", false, "get and print also what up --nodes needs")
	return cmd
}

// located gives the folders of the executables, as for PATH.
func located(ctx context.Context, nodes bool, log controlplane.Logf) (string, error) {
	binaries, err := controlplane.Locate(ctx, log)
	if err != nil || !nodes {
		return binaries.Dir, err
	}
	forNodes, err := controlplane.LocateForNodes(ctx, log)
	return binaries.Dir + string(os.PathListSeparator) + forNodes.Dir, err
}

func upCommand() *cobra.Command {
	var options controlplane.Options
	cmd := &cobra.Command{
		Use:   "up --dir DIR",
		Short: "Run an API server until interrupted",
		Long: `Run etcd and kube-apiserver until interrupted (Ctrl-C, SIGTERM).

DIR/kubeconfig is there exactly while the API server is ready, and lets you do everything. Data, keys and logs stay below
DIR: a second up on it goes on with the same objects and, if it is free, on the same port.

Everything ends with this command, however it ends, and the command ends when the process that started it does: a script
that runs "controlplane up --dir DIR &" leaves nothing behind.

By itself there is no controller manager and no scheduler: pods are not scheduled, deleted namespaces are not emptied, and
a new namespace has no ServiceAccount named default. With --nodes there are, and kwok runs pods on simulated nodes, named
node-0, node-1 and so on. Such a pod runs until it is deleted; it ends before that when it is told to:

  kubectl annotate pod NAME ` + controlplane.ExitAnnotation + `=0                # exit code; 0 is Succeeded, others Failed
  kubectl annotate pod NAME ` + controlplane.TerminationAnnotation + `=30s       # how long it takes to end when it is deleted; 1s by itself
  kubectl annotate node NAME ` + controlplane.HeartbeatAnnotation + `=1s         # how often its status is written; 20s by itself`,
		Example: `  bin/controlplane up --dir /tmp/trial
  bin/controlplane up --dir /tmp/trial --nodes 2 --node-label cloud.google.com/gke-spot=true
  KUBECONFIG=/tmp/trial/kubeconfig kubectl get namespaces     # in another terminal`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options.Log = lines(cmd.ErrOrStderr())
			return up(cmd.Context(), options, cmd.OutOrStdout())
		},
	}
	cmd.Flags().IntVar(&options.Nodes, "nodes", 0, "how many simulated nodes there are")
	cmd.Flags().StringToStringVar(&options.NodeLabels, "node-label", nil, "a label of all simulated nodes, as key=value; can be repeated")
	cmd.Flags().StringVar(&options.Dir, "dir", "", "folder for kubeconfig, data, keys and logs; made if it is not there (required)")
	if err := cmd.MarkFlagRequired("dir"); err != nil {
		panic(err) // only for a flag that is not there
	}
	return cmd
}

const stopLimit = 20 * time.Second

// errParentEnded means that nobody is left to interrupt us.
var errParentEnded = errors.New("the process that started this one has ended")

func up(ctx context.Context, options controlplane.Options, out io.Writer) error {
	switch {
	case options.Dir == "":
		return errors.New("--dir is empty; name a folder, such as --dir /tmp/trial")
	case options.Nodes < 0:
		return fmt.Errorf("--nodes is %d; give a number of nodes, or leave it away for none", options.Nodes)
	case options.Nodes == 0 && len(options.NodeLabels) > 0:
		return errors.New("--node-label is given, but there are no nodes; add --nodes 2, for example")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go watchParent(ctx, clock.RealClock{}, os.Getppid, func() { cancel(errParentEnded) })

	cp, err := controlplane.Start(ctx, options)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, `The API server is ready at %s. To use it:

  export KUBECONFIG=%s
  export PATH="%s:$PATH"
  kubectl get namespaces

The logs are in %s. Ctrl-C stops it; the data stay.
`, cp.RESTConfig().Host, cp.KubeconfigPath(), filepath.Dir(cp.Kubectl()), filepath.Join(cp.Dir(), "logs"))

	if err == nil {
		select {
		case <-cp.Done():
			return cp.Err()
		case <-ctx.Done():
		}
		options.Log("stopping: %v", context.Cause(ctx))
	}
	stopCtx, stopped := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer stopped()
	return errors.Join(err, cp.Stop(stopCtx))
}

const parentPoll = 250 * time.Millisecond

// watchParent calls ended when our parent ends, which shows in that we get another one. The kernel could send a signal
// then, but it does so already when the one thread of the parent ends that started us.
func watchParent(ctx context.Context, clk clock.WithTicker, parent func() int, ended func()) {
	first, ticker := parent(), clk.NewTicker(parentPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			if parent() != first {
				ended()
				return
			}
		}
	}
}

func lines(w io.Writer) controlplane.Logf {
	return func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) }
}
