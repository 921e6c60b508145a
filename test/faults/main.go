// Command faults runs the fault suite in full and writes docs/reliability.md: what runtag was put through, in numbers,
// what that found, and whether the suite would notice if a safeguard were taken away. Its exit status says whether
// all of that went well.
//
//	go run ./test/faults [--only calls,walks,mutations]
//
// With --only the page keeps what the last run of the other parts found.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/faults/mutation"
	"github.com/runtag/runtag/test/faults/reliability"
	"github.com/runtag/runtag/test/stage"
)

func main() {
	only := pflag.StringSlice("only", nil, "parts to run, see the page, and mutations; all by default")
	pflag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only []string) error {
	root, err := stage.FindRoot()
	if err != nil {
		return err
	}
	page, err := read(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, part := range reliability.Parts {
		if len(only) > 0 && !slices.Contains(only, part.Name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", part.Name, part.Title)
		result, err := runPart(ctx, root, part)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part.Name, err))
		}
		page.Keep(result)
		errs = append(errs, write(root, page))
	}
	if len(only) == 0 || slices.Contains(only, "mutations") {
		fmt.Fprintln(os.Stderr, "mutations: each takes a safeguard away, and the suite has to fail")
		if page.Mutations, err = mutation.CheckAll(ctx, root, os.Stderr); err != nil {
			errs = append(errs, err)
		}
		errs = append(errs, write(root, page))
	}
	return errors.Join(errs...)
}

// Where what was found is kept, from the root of the work tree.
const (
	defectsFile = "test/faults/found.yaml"
	resultsFile = "docs/reliability.json"
	pageFile    = "docs/reliability.md"
)

// read takes up what the last run of each part found, and the defects on record.
func read(root string) (reliability.Page, error) {
	var page reliability.Page
	found, err := os.ReadFile(filepath.Join(root, defectsFile))
	if err != nil {
		return page, err
	}
	if page.Defects, err = reliability.ReadDefects(found); err != nil {
		return page, err
	}
	kept, err := os.ReadFile(filepath.Join(root, resultsFile))
	if errors.Is(err, os.ErrNotExist) {
		return page, nil
	}
	if err != nil {
		return page, err
	}
	if err := json.Unmarshal(kept, &page.Kept); err != nil {
		return page, fmt.Errorf("read %s: %w", resultsFile, err)
	}
	return page, nil
}

// write makes the page anew, and what it is made of.
func write(root string, page reliability.Page) error {
	kept, err := json.MarshalIndent(page.Kept, "", "  ")
	if err != nil {
		return err
	}
	for file, content := range map[string]string{resultsFile: string(kept) + "\n", pageFile: page.Markdown()} {
		if err := os.WriteFile(filepath.Join(root, file), []byte(content), 0o644); err != nil { //nolint:gosec // for everybody
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
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
