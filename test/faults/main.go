// Command faults runs the fault suite in full and writes docs/reliability.md: what runtag was put through, in numbers,
// what that found, and whether the suite would notice if a safeguard were taken away. Its exit status says whether
// all of that went well.
//
//	go run ./test/faults [--only calls,walks] [--mutations=false]
//
// With --only the page is left as it is.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/faults/mutation"
	"github.com/runtag/runtag/test/faults/reliability"
	"github.com/runtag/runtag/test/stage"
)

func main() {
	only := pflag.StringSlice("only", nil, "parts to run, by the names of their folders; all by default")
	mutate := pflag.Bool("mutations", true, "take safeguards away, one at a time, and expect the suite to notice")
	pflag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *only, *mutate)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only []string, mutate bool) error {
	root, err := stage.FindRoot()
	if err != nil {
		return err
	}
	began := time.Now()
	page := reliability.Page{}
	var errs []error
	for _, part := range reliability.Parts {
		if len(only) > 0 && !slices.Contains(only, part.Name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", part.Name, part.Title)
		result, err := runPart(ctx, root, part)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part.Name, err))
		}
		page.Results = append(page.Results, result)
	}
	if mutate && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "mutations: each takes a safeguard away, and the suite has to fail")
		if page.Mutations, err = mutation.CheckAll(ctx, root, os.Stderr); err != nil {
			errs = append(errs, err)
		}
	}
	page.Took = time.Since(began)
	fmt.Fprintf(os.Stderr, "%.0f s\n", page.Took.Seconds())
	if len(only) == 0 && ctx.Err() == nil {
		errs = append(errs, write(root, page))
	}
	return errors.Join(errs...)
}

// write makes the page of what was counted now and of the defects that are on record.
func write(root string, page reliability.Page) error {
	found, err := os.ReadFile(filepath.Join(root, "test", "faults", "found.yaml"))
	if err != nil {
		return err
	}
	if page.Defects, err = reliability.ReadDefects(found); err != nil {
		return err
	}
	path := filepath.Join(root, "docs", "reliability.md")
	if err := os.WriteFile(path, []byte(page.Markdown()), 0o644); err != nil { //nolint:gosec // a page for everybody
		return fmt.Errorf("write %s: %w", path, err)
	}
	fmt.Fprintln(os.Stderr, "written:", strings.TrimPrefix(path, root+"/"))
	return nil
}

// factsOf runs f with a folder for what tests record, and gives that.
func factsOf(f func(dir string) error) ([]facts.Fact, error) {
	dir, err := os.MkdirTemp("", "runtag-faults-")
	if err != nil {
		return nil, err
	}
	ran := f(dir)
	all, err := facts.Read(dir)
	return all, errors.Join(ran, err, os.RemoveAll(dir))
}
