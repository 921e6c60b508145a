package controlplane

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"k8s.io/utils/clock"
)

// heartbeat is how often a long build says that it is alive.
const heartbeat = 15 * time.Second

// builder builds components from source.
type builder struct {
	clock clock.WithTicker
	log   Logf
	env   []string
}

// build adds the components to dir, each of them by a rename once it is whole.
func (b builder) build(ctx context.Context, wanted []recipe, dir string) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("%v must be built, and there is no Go on the PATH to do it with; install Go: %w", names(wanted), err)
	}
	scratch, err := os.MkdirTemp(filepath.Dir(dir), scratchPrefix)
	if err != nil {
		return fmt.Errorf("make a folder to build the control plane in: %w", err)
	}
	defer func() {
		if err := os.RemoveAll(scratch); err != nil {
			b.log("left in place: %v", err)
		}
	}()
	// The go command's own temporary files go the same way, even if it is killed.
	b.env = append(b.env, "GOTMPDIR="+scratch)
	modules := map[*source]string{}
	for i, r := range wanted {
		title := fmt.Sprintf("%s (%d of %d)", r.component, i+1, len(wanted))
		b.log("building %s, usually about %s on 2 cores", title, inWords(r.usually))
		started := b.clock.Now()
		err := b.withHeartbeat(title, r.usually, func() error {
			if modules[r.source] == "" {
				module, err := b.scratchModule(ctx, scratch, r.source)
				if err != nil {
					return err
				}
				modules[r.source] = module
			}
			return b.compile(ctx, modules[r.source], r, dir)
		})
		if err != nil {
			return fmt.Errorf("build %s from %s@%s: %w", r.component, r.source.module, r.source.version, err)
		}
		b.log("built %s in %s", title, inWords(b.clock.Since(started)))
	}
	return nil
}

// withHeartbeat does the work and says every now and then how long it has taken so far.
func (b builder) withHeartbeat(title string, usually time.Duration, work func() error) error {
	started, ticker := b.clock.Now(), b.clock.NewTicker(heartbeat)
	defer ticker.Stop()
	done := make(chan error, 1)
	go func() { done <- work() }()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C():
			b.log("building %s, %s so far, usually about %s on 2 cores", title, inWords(b.clock.Since(started)), inWords(usually))
		}
	}
}

func inWords(d time.Duration) string {
	switch minutes, seconds := int(d.Minutes()), int(d.Seconds())%60; {
	case minutes == 0:
		return fmt.Sprintf("%d s", seconds)
	case seconds == 0:
		return fmt.Sprintf("%d min", minutes)
	default:
		return fmt.Sprintf("%d min %d s", minutes, seconds)
	}
}

// scratchModule makes a module that requires the source, and gives its folder.
func (b builder) scratchModule(ctx context.Context, parent string, s *source) (string, error) {
	dir := filepath.Join(parent, filepath.Base(filepath.Dir(s.module))+"-module")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	answer, err := b.goCommand(ctx, parent, "mod", "download", "-json", s.module+"@"+s.version)
	if err != nil {
		return "", err
	}
	var download struct{ GoMod string }
	if err := json.Unmarshal(answer, &download); err != nil {
		return "", fmt.Errorf("read the answer of go mod download: %w", err)
	}
	answer, err = b.goCommand(ctx, parent, "mod", "edit", "-json", download.GoMod)
	if err != nil {
		return "", err
	}
	gomod, err := scratchGoMod(s, answer)
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "go.mod"), gomod, 0o644)
}

// scratchGoMod writes the go.mod of a module that requires the source, from what go mod edit -json says of its own.
func scratchGoMod(s *source, described []byte) ([]byte, error) {
	var theirs struct {
		Go      string
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(described, &theirs); err != nil {
		return nil, fmt.Errorf("read the go.mod of %s: %w", s.module, err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "module runtag.dev/scratch\n\ngo %s\n\nrequire %s %s\n", theirs.Go, s.module, s.version)
	for _, r := range theirs.Require {
		if s.staging != "" && r.Version == "v0.0.0" {
			// A command of ours that imports one of these would lift the others to what its go.mod says, and have all
			// that was built so far compiled again, hence exclude.
			fmt.Fprintf(&out, "exclude %s %s\nreplace %s => %s %s\n", r.Path, s.staging, r.Path, r.Path, s.staging)
		}
	}
	return out.Bytes(), nil
}

func (b builder) compile(ctx context.Context, module string, r recipe, dir string) error {
	built, what := filepath.Join(module, string(r.component)), r.pkg
	if r.main != "" {
		what = built + ".go"
		if err := os.WriteFile(what, []byte(r.main), 0o644); err != nil {
			return err
		}
	}
	_, err := b.goCommand(ctx, module, "build", "-trimpath", "-ldflags", strings.TrimSpace("-s -w "+r.source.ldflags), "-o", built, what)
	if err != nil {
		return err
	}
	return os.Rename(built, filepath.Join(dir, string(r.component)))
}

// goCommand runs the go command to its end and gives what it wrote to stdout.
func (b builder) goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	return run(ctx, dir, b.env, "go", args...)
}

// run runs a command to its end and gives what it wrote to stdout. When ctx ends, its whole process group is killed.
func run(ctx context.Context, dir string, env []string, name string, args ...string) ([]byte, error) {
	var out, problems bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &out, &problems
	tieToUs(cmd)
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = 10 * time.Second
	// The signal that ties the child to us comes when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s was stopped: %w", name, context.Cause(ctx))
	}
	if err != nil {
		if said := tail(problems.Bytes(), 2000); said != "" {
			err = errors.Join(err, errors.New(said))
		}
		return nil, fmt.Errorf("%s %s: %w", name, args[0], err)
	}
	return out.Bytes(), nil
}

// buildEnv is the environment without what would change what is built, and how.
func buildEnv(environ []string) []string {
	kept := make([]string, 0, len(environ)+6)
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "GO") && !strings.HasPrefix(name, "CGO_") || fetching[name] {
			kept = append(kept, entry)
		}
	}
	return append(kept, "GOFLAGS=-mod=mod -buildvcs=false", "GOWORK=off", "CGO_ENABLED=0",
		"GO111MODULE=on", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
}

// fetching names the variables of the go command that say where things come from and go to.
var fetching = map[string]bool{
	"GOAUTH": true, "GOCACHE": true, "GOCACHEPROG": true, "GOENV": true, "GOINSECURE": true, "GOMAXPROCS": true,
	"GOMEMLIMIT": true, "GOMODCACHE": true, "GONOPROXY": true, "GONOSUMDB": true, "GOPATH": true, "GOPRIVATE": true,
	"GOPROXY": true, "GOROOT": true, "GOSUMDB": true, "GOTOOLCHAIN": true, "GOVCS": true,
}

// tail gives the end of a text, from the start of a line where it is cut.
func tail(text []byte, limit int) string {
	if len(text) > limit {
		text = text[len(text)-limit:]
		if i := bytes.IndexByte(text, '\n'); i >= 0 {
			text = text[i+1:]
		}
	}
	return strings.TrimSpace(string(text))
}
