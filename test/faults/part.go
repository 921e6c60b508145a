package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/runtag/runtag/hack/testsummary/summary"
	"github.com/runtag/runtag/test/faults/reliability"
)

// partLimit is for the tests of one part.
const partLimit = "40m"

// runPart runs the packages of a part as go test does, shows how they went, and takes up what they counted.
func runPart(ctx context.Context, root string, part reliability.Part) (reliability.Result, error) {
	began := time.Now()
	result := reliability.Result{Part: part.Name, Commit: commit(ctx, root)}
	var err error
	result.Facts, err = factsOf(func(dir string) error {
		args := []string{"test", "-json", "-count=1", "-p=1", "-timeout=" + partLimit}
		for _, folder := range part.Folders {
			args = append(args, "./"+path.Join("test", "faults", folder))
		}
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir, cmd.Stderr = root, os.Stderr
		cmd.Env = append(os.Environ(), "RUNTAG_FAULTS=full", "RUNTAG_FAULTS_FACTS="+dir)
		// Tests are children of go: when ctx ends, all of them do.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
		events, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return fmt.Errorf("start go test: %w", err)
		}
		said := summary.New(os.Stderr)
		err = said.Read(events)
		_ = cmd.Wait() // what failed is in the events
		good := said.Close(time.Since(began))
		for _, p := range said.Packages() {
			result.Tests.Passed += p.Passed
			result.Tests.Failed += p.Failed
			result.Tests.Skipped += p.Skipped
			result.Failures = append(result.Failures, p.Failures...)
		}
		switch {
		case err != nil:
			return err
		case !good && len(result.Failures) > 0:
			return errors.New(strings.Join(result.Failures, ", "))
		case !good:
			return errors.New("no test ran")
		}
		return nil
	})
	result.Seconds = time.Since(began).Seconds()
	return result, err
}

// commit names the state of the work tree.
func commit(ctx context.Context, root string) string {
	cmd := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "unknown" // not a clone
	}
	return strings.TrimSpace(string(out))
}
