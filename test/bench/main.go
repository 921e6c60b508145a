// Command bench measures the built manager beside what people use today, in one run, and writes docs/benchmarks.md with
// docs/benchmarks/*.json and *.svg. Its exit status depends on ratios and counts alone.
//
//	go run ./test/bench [--only 1,4] [--profiles DIR]
//
// With RUNTAG_BENCH_SCALE=0.1 all counts are a tenth, to try it; the results then go to a folder of their own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/runtag/runtag/test/bench/report"
	"github.com/runtag/runtag/test/stage"
)

// bench is what all rows share.
type bench struct {
	// root is the work tree.
	root string
	// profiles is the folder for profiles of the manager; empty for none.
	profiles string
	// scale multiplies the counts of all rows; only 1 measures what the rows say.
	scale float64
	began time.Time
	// crowd is what rows 4, 5 and 7 share, once one of them has made it.
	crowd *crowd
}

// scaleVariable is the environment's variable for scale.
const scaleVariable = "RUNTAG_BENCH_SCALE"

// scaled is so many of what a row measures, with the scale taken into account.
func (b *bench) scaled(n int) int { return max(1, int(float64(n)*b.scale)) }

func main() {
	only := pflag.IntSlice("only", nil, "numbers of the rows to measure; all by default")
	profiles := pflag.String("profiles", "", "folder that gets profiles of the manager")
	pflag.Parse()
	log.SetLogger(logr.Discard()) // of the clients, which otherwise complain that there is none
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *only, *profiles)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only []int, profiles string) error {
	b, err := newBench(profiles)
	if err != nil {
		return err
	}
	for _, number := range only {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.number == number }) {
			return fmt.Errorf("there is no row %d", number)
		}
	}
	defer b.closeCrowd(ctx)
	docs := filepath.Join(b.root, "docs")
	if b.scale != 1 {
		docs = filepath.Join(os.TempDir(), "runtag-bench")
	}
	measured := report.Report{Machine: b.machine()}
	commit := b.commit(ctx)
	for _, r := range rows {
		if len(only) > 0 && !slices.Contains(only, r.number) {
			continue
		}
		result := b.measure(ctx, r)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		result.Commit = commit
		measured.Rows = append(measured.Rows, result)
		if err := b.write(ctx, measured, docs); err != nil { // after each row, so that nothing measured is lost
			return err
		}
	}
	if missed := measured.Missed(); len(missed) > 0 {
		return errors.New("missed:\n  " + strings.Join(missed, "\n  "))
	}
	return nil
}

func newBench(profiles string) (*bench, error) {
	root, err := stage.FindRoot()
	if err != nil {
		return nil, err
	}
	b := &bench{root: root, profiles: profiles, scale: 1, began: time.Now()}
	if text := os.Getenv(scaleVariable); text != "" {
		if b.scale, err = strconv.ParseFloat(text, 64); err != nil || b.scale <= 0 || b.scale > 1 {
			return nil, fmt.Errorf("%s is %q: set it to more than 0 and at most 1", scaleVariable, text)
		}
	}
	if profiles != "" {
		if err := os.MkdirAll(profiles, 0o755); err != nil {
			return nil, fmt.Errorf("folder for profiles: %w", err)
		}
	}
	return b, nil
}

func (b *bench) measure(ctx context.Context, r row) report.Row {
	b.say("%d %s", r.number, r.name)
	began, busy := time.Now(), load()
	result, err := r.run(ctx, b)
	result.Number, result.Name, result.Seconds = r.number, r.name, time.Since(began).Seconds()
	result.Load = busy
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
