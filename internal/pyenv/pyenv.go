// Package pyenv gives tests and the demo a Python that has the real wandb SDK and a real MLflow server. It is a Go face
// of hack/venv.sh, which the Makefile uses too.
package pyenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Ensure returns the path of the Python, made on first use below $XDG_CACHE_HOME/runtag/venv (~/.cache by default);
// that takes minutes once and milliseconds later. What it does meanwhile is written to log. It finds hack/venv.sh by
// going up from the working directory, as a Go test's lies inside the module.
func Ensure(ctx context.Context, log io.Writer) (python string, err error) {
	script, err := findScript()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, script)
	cmd.Stderr = log
	// pip is a child of the script: when ctx ends, all of them do.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("making the Python environment with %s: %w", script, err)
	}
	return strings.TrimSpace(string(out)), nil
}

func findScript() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for hack/venv.sh: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		script := filepath.Join(dir, "hack", "venv.sh")
		if _, err := os.Stat(script); err == nil {
			return script, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("looking for hack/venv.sh: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no hack/venv.sh in %s or above it: run this inside the runtag work tree", start)
		}
	}
}
