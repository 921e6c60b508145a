// Command demo walks through what runtag does, on a real Kubernetes API server and a real tracker client: it starts
// everything on loopback, types the commands that a person would type, and shows both sides after each of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	once := flag.Bool("once", false, "end after the walk; the exit status says whether each step was seen on the tracker")
	kind := flag.String("tracker", "wandb", "wandb (the embedded tracker, with the real SDK) or mlflow (a real MLflow server)")
	flag.Parse()
	os.Exit(status(*kind, *once))
}

// status runs the demo and gives the exit status.
func status(kind string, once bool) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go watchParent(ctx, cancel)

	n := newNarrator(os.Stdout)
	switch err := run(ctx, n, kind, once); {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		n.note("ended early: %v", context.Cause(ctx))
		return 130
	default:
		n.failure("%v", err)
		return 1
	}
}

// run is the whole demo; whatever was started has ended when it returns.
func run(ctx context.Context, n *narrator, kind string, once bool) (err error) {
	began := time.Now()
	t, err := newTracker(kind)
	if err != nil {
		return err
	}
	s, err := newStage(n, t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(err == nil || ctx.Err() != nil)) }()

	if err := s.setUp(ctx); err != nil {
		return err
	}
	failed := s.walk(ctx, story(t))
	if ctx.Err() != nil {
		return failed
	}
	n.total(failed == nil, time.Since(began))
	if once {
		return failed
	}
	if failed != nil {
		n.failure("%v", failed)
	}
	n.farewell(s)
	select {
	case <-ctx.Done():
		n.note("stopping")
		return nil
	case err := <-s.died:
		return errors.Join(failed, err)
	}
}

var errParentEnded = errors.New("the process that started this one has ended")

// watchParent ends the demo with make or the terminal that started it, which shows in that we get another parent.
func watchParent(ctx context.Context, ended context.CancelCauseFunc) {
	parent, ticker := os.Getppid(), time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if os.Getppid() != parent {
				ended(errParentEnded)
				return
			}
		}
	}
}

func newTracker(kind string) (tracker, error) {
	switch kind {
	case "wandb":
		return &wandb{}, nil
	case "mlflow":
		return &mlflow{}, nil
	}
	return nil, fmt.Errorf("--tracker=%s is neither wandb nor mlflow", kind)
}
