package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/pyenv"
	"github.com/runtag/runtag/test/bench/report"
)

// write updates benchmarks.md, and benchmarks.json and the plots in the folder benchmarks, below docs. Rows that were
// not measured this time stay as they are.
func (b *bench) write(ctx context.Context, measured report.Report, docs string) error {
	dir := filepath.Join(docs, "benchmarks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder for the results: %w", err)
	}
	data := filepath.Join(dir, "benchmarks.json")
	earlier, err := readReport(data)
	if err != nil {
		return err
	}
	all := measured.Over(earlier)
	if len(earlier.Rows) > 0 && !slices.Equal(earlier.Machine, measured.Machine) {
		b.say("rows that were measured on another machine are dropped from %s", data)
	}
	content, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("results as JSON: %w", err)
	}
	if err := os.WriteFile(data, append(content, '\n'), 0o644); err != nil {
		return err
	}
	page := filepath.Join(docs, "benchmarks.md")
	if err := os.WriteFile(page, []byte(report.Markdown(all, "benchmarks")), 0o644); err != nil {
		return err
	}
	b.say("written: %s and %s", page, data)
	return b.draw(ctx, data, dir)
}

// readReport gives an empty report where there is no file.
func readReport(path string) (report.Report, error) {
	var r report.Report
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	if err != nil {
		return r, fmt.Errorf("earlier results: %w; remove %s to begin anew", err, path)
	}
	return r, nil
}

// draw makes an SVG of each plot, and removes those of plots that are no more.
func (b *bench) draw(ctx context.Context, data, dir string) error {
	python, err := pyenv.Ensure(ctx, os.Stderr)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, python, filepath.Join(b.root, "test", "bench", "plots.py"), data, dir)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("drawing the plots: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
