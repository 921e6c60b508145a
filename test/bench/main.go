// Command bench measures the built manager beside what people use today, in one run, and writes docs/benchmarks.md with
// docs/benchmarks/*.json and *.svg. Its exit status depends on ratios and counts alone.
//
//	go run ./test/bench [--only 1,4] [--profiles DIR]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/runtag/runtag/test/bench/report"
	"github.com/runtag/runtag/test/stage"
)

// bench is what all rows share.
type bench struct {
	// root is the work tree.
	root string
	// profiles is the folder for profiles of the manager; empty for none.
	profiles string
	began    time.Time
}

func main() {
	only := pflag.IntSlice("only", nil, "numbers of the rows to measure; all by default")
	profiles := pflag.String("profiles", "", "folder that gets profiles of the manager")
	pflag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *only, *profiles)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only []int, profiles string) error {
	root, err := stage.FindRoot()
	if err != nil {
		return err
	}
	b := &bench{root: root, profiles: profiles, began: time.Now()}
	result := report.Report{}
	for _, r := range rows {
		if len(only) > 0 && !slices.Contains(only, r.number) {
			continue
		}
		result.Rows = append(result.Rows, b.measure(ctx, r))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if missed := result.Missed(); len(missed) > 0 {
		return errors.New("missed:\n  " + strings.Join(missed, "\n  "))
	}
	return nil
}

func (b *bench) measure(ctx context.Context, r row) report.Row {
	b.say("%d %s", r.number, r.name)
	began := time.Now()
	result, err := r.run(ctx, b)
	result.Number, result.Name, result.Seconds = r.number, r.name, time.Since(began).Seconds()
	if err != nil {
		result.Error = err.Error()
	}
	for _, c := range result.Checks {
		b.say("   %s", c)
	}
	for _, f := range result.Figures {
		b.say("   %s: %g %s", f.What, f.Value, f.Unit)
	}
	if result.Error != "" {
		b.say("   could not be measured: %s", result.Error)
	}
	return result
}

// say tells how far it is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(b.began).Seconds(), fmt.Sprintf(format, args...))
}
