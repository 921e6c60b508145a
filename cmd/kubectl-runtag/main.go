// Command kubectl-runtag is the kubectl plugin: as kubectl runtag it tags runs, renames, lists and explains.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/plugin"
)

var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := plugin.Main(ctx, plugin.Frame{
		IOStreams: genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr},
		Clock:     clock.RealClock{}, Getenv: os.Getenv, Version: version,
	}, os.Args[1:])
	stop()
	os.Exit(code)
}
