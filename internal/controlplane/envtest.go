package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// envtestLimit is for setup-envtest to answer; where packets are dropped it would not.
	envtestLimit = time.Minute
	ourModule    = "module github.com/runtag/runtag\n"
)

// setupEnvtest gets prebuilt executables into the cache. What it downloads goes to a folder of its own first, so that
// nothing half is ever found.
func (l locator) setupEnvtest(ctx context.Context) error {
	modfile, err := toolsModfile()
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(l.cache, scratchPrefix)
	if err != nil {
		return fmt.Errorf("make a folder to download to: %w", err)
	}
	defer func() {
		if err := os.RemoveAll(scratch); err != nil {
			l.log("left in place: %v", err)
		}
	}()
	l.log("asking setup-envtest for Kubernetes %s.x, for %s at most", minorVersion, inWords(envtestLimit))
	ctx, cancel := context.WithTimeoutCause(ctx, envtestLimit, fmt.Errorf("no answer within %s", inWords(envtestLimit)))
	defer cancel()
	answer, err := run(ctx, filepath.Dir(modfile), toolEnv(os.Environ()), "go", "tool", "-modfile="+modfile,
		"setup-envtest", "use", minorVersion+".x", "-p", "path", "--bin-dir", scratch)
	if err != nil {
		return fmt.Errorf("setup-envtest: %w", err)
	}
	return adopt(strings.TrimSpace(string(answer)), l.cache)
}

// adopt moves the executables from a folder of setup-envtest's, .../1.37.0-linux-amd64, to where our cache has them.
func adopt(dir, cache string) error {
	version, _, _ := strings.Cut(filepath.Base(dir), "-")
	if absent := missing(dir); len(absent) > 0 {
		return fmt.Errorf("setup-envtest brought no %s", absent[0].component)
	}
	target := filepath.Join(cache, "v"+version)
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	for _, r := range recipes {
		name := string(r.component)
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(target, name)); err != nil {
			return err
		}
	}
	return nil
}

// toolEnv is the environment for a pinned tool: the repository's modfile decides, not the caller's flags.
func toolEnv(environ []string) []string {
	return append(buildEnv(environ), "GOFLAGS=-buildvcs=false")
}

// toolsModfile finds hack/tools/go.mod of the checkout that the working directory is in.
func toolsModfile() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		gomod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(gomod, []byte(ourModule)) {
			modfile := filepath.Join(dir, "hack", "tools", "go.mod")
			_, err := os.Stat(modfile)
			return modfile, err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("setup-envtest is pinned in the repository, which the working directory is not in")
		}
		dir = parent
	}
}
