package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/runtag/runtag/test/bench/report"
	"github.com/runtag/runtag/test/stage"
)

// profile records the manager's processor time from now on, and on stop its heap, as name.cpu.pprof and name.heap.pprof
// for `go tool pprof`. Without a folder for profiles it does nothing. The processor's is of the given time, and stop waits
// for its end, so give less than the work takes.
func (b *bench) profile(ctx context.Context, m *stage.Manager, name string, time time.Duration) (stop func() error) {
	if b.profiles == "" {
		return func() error { return nil }
	}
	ended := make(chan error, 1)
	go func() {
		ended <- b.keepProfile(ctx, m, fmt.Sprintf("profile?seconds=%d", max(1, int(time.Seconds()))), name+".cpu.pprof")
	}()
	return func() error {
		if err := <-ended; err != nil {
			return err
		}
		return b.keepProfile(ctx, m, "heap", name+".heap.pprof")
	}
}

func (b *bench) keepProfile(ctx context.Context, m *stage.Manager, which, file string) error {
	content, err := m.Profile(ctx, which)
	if err != nil {
		return fmt.Errorf("profile %s of the manager: %w", which, err)
	}
	return os.WriteFile(filepath.Join(b.profiles, file), content, 0o600)
}

// profileOfAPIServer records the API server's processor time for so many seconds from now on; done waits for the end and
// gives the functions in which most of it was spent.
func (b *bench) profileOfAPIServer(ctx context.Context, c *cluster, title string, seconds int) (done func() (report.Profile, error)) {
	type answer struct {
		content []byte
		err     error
	}
	ended := make(chan answer, 1)
	go func() {
		content, err := c.raw.Discovery().RESTClient().Get().AbsPath("/debug/pprof/profile").Param("seconds", strconv.Itoa(seconds)).DoRaw(ctx)
		ended <- answer{content, err}
	}()
	return func() (report.Profile, error) {
		a := <-ended
		if a.err != nil {
			return report.Profile{}, fmt.Errorf("profile of the API server: %w", a.err)
		}
		text, err := mostUsed(ctx, c.Dir, a.content)
		return report.Profile{Title: title, Text: text}, err
	}
}

// mostUsed names the functions in which most processor time was spent, with all that they call.
func mostUsed(ctx context.Context, dir string, profile []byte) (string, error) {
	path := filepath.Join(dir, "profile.pprof")
	if err := os.WriteFile(path, profile, 0o600); err != nil {
		return "", err
	}
	command := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-cum", "-nodecount=40", path)
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("read a profile: %w: %s", err, said.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[min(len(lines), 3):], "\n"), nil // without the file, its build and when it was
}

// processors is the processor time that was used, in seconds.
type processors struct{ apiServer, manager float64 }

func (c *cluster) processors(ctx context.Context) (p processors, err error) {
	families, err := c.apiServer(ctx)
	if err != nil {
		return p, err
	}
	p.apiServer = stage.Metrics(families).Sum(processorSeconds, nil)
	p.manager, err = c.cpu(ctx)
	return p, err
}

// processorSeconds is the metric of every Go program.
const processorSeconds = "process_cpu_seconds_total"

// cpu is the processor time that the manager has used so far, in seconds; 0 if there is none.
func (c *cluster) cpu(ctx context.Context) (float64, error) {
	if c.manager == nil {
		return 0, nil
	}
	metrics, err := c.manager.Metrics(ctx)
	return metrics.Sum(processorSeconds, nil), err
}
