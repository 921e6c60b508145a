package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/runtag/runtag/internal/controlplane"
	"github.com/runtag/runtag/test/bench/report"
)

// machine says where and with what it is measured. What it cannot find out it leaves out.
func (b *bench) machine() []report.Fact {
	facts := []report.Fact{
		{Name: "processor", Value: fmt.Sprintf("%d × %s", runtime.NumCPU(), field("/proc/cpuinfo", "model name"))},
		{Name: "memory", Value: memory()},
		{Name: "kernel", Value: runtime.GOOS + " " + contentOf("/proc/sys/kernel/osrelease")},
		{Name: "Go", Value: runtime.Version()},
		{Name: "Kubernetes", Value: controlplane.Version},
	}
	for line := range strings.Lines(contentOf(filepath.Join(b.root, "hack", "requirements.txt"))) {
		if name, version, ok := strings.Cut(strings.TrimSpace(line), "=="); ok {
			facts = append(facts, report.Fact{Name: name, Value: version})
		}
	}
	if b.scale != 1 {
		facts = append(facts, report.Fact{Name: scaleVariable, Value: strconv.FormatFloat(b.scale, 'g', -1, 64)})
	}
	return facts
}

// commit names what is measured; it is empty outside a repository.
func (b *bench) commit(ctx context.Context) string {
	git := exec.CommandContext(ctx, "git", "-C", b.root, "describe", "--always", "--dirty=, changed", "--exclude=*")
	out, err := git.Output()
	if err != nil {
		b.say("the commit is not known: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// load is the average of one minute, 0 where the system does not say.
func load() float64 {
	first, _, _ := strings.Cut(contentOf("/proc/loadavg"), " ")
	value, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return value
}

func memory() string {
	kilobytes, err := strconv.ParseFloat(strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB"), 64)
	if err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.1f GiB", kilobytes/(1<<20))
}

// field is the value of the first "name: value" in a file.
func field(path, name string) string {
	for line := range strings.Lines(contentOf(path)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// contentOf is empty for a file that can't be read, as on another system than Linux.
func contentOf(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}
