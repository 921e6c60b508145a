//go:build ignore

// Command kube-controller-manager is the one of Kubernetes with a collector of orphaned pods in a hurry beside it: when a
// node is deleted, its pods are marked DeletionByPodGC after about 3 s instead of a minute. The periods have no flag.
//
// It is built in a module of its own, from the text that is embedded in package controlplane.
package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/pkg/controller/podgc"
)

const period = time.Second

func main() {
	command := app.NewControllerManagerCommand()
	run := command.RunE
	command.RunE = func(cmd *cobra.Command, args []string) error {
		if err := collectOrphans(cmd); err != nil {
			return err
		}
		return run(cmd, args)
	}
	os.Exit(cli.Run(command))
}

// collectOrphans runs for as long as the process does.
func collectOrphans(cmd *cobra.Command) error {
	config, err := clientcmd.BuildConfigFromFlags("", cmd.Flag("kubeconfig").Value.String())
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	core := factory.Core().V1()
	collector := podgc.NewPodGCInternal(cmd.Context(), client, core.Pods(), core.Nodes(), 0, period, period)
	factory.Start(cmd.Context().Done())
	go collector.Run(cmd.Context())
	return nil
}
