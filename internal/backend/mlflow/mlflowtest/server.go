// Package mlflowtest runs a real MLflow server for tests and the demo, and does on it what people and training scripts
// do, without the client that is tested.
package mlflowtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/runtag/runtag/internal/pyenv"
)

// Options of a server.
type Options struct {
	// Dir is where the database, the artifacts and the log are; what is there already is served again. It must exist.
	Dir string
	// Port on 127.0.0.1; 0 is a free one.
	Port int
	// Prefix is the path below which everything is served, such as "/ml"; empty is none.
	Prefix string
	// Args are further arguments of "mlflow server", Env further variables as KEY=value.
	Args, Env []string
	// Python that has MLflow, to try other versions; empty is the one of pyenv.
	Python string
	// Log gets the progress of making the Python environment, which takes a minute once; nil is os.Stderr.
	Log io.Writer
}

// Server is a running MLflow server.
type Server struct {
	// URL is the tracking URI.
	URL string
	// Dir is Options.Dir.
	Dir string

	python string
	cmd    *exec.Cmd
	alive  io.Closer // its end is the server's
	ended  chan struct{}
	once   sync.Once
}

// startTime is how long a server may take; on an idle machine it is about ten seconds, mostly imports and migrations.
const startTime = 3 * time.Minute

// Start starts a server and returns when it answers; ctx is only for the start. Stop it. It ends with this process too,
// however that ends.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = os.Stderr
	}
	if o.Python == "" {
		var err error
		if o.Python, err = pyenv.Ensure(ctx, o.Log); err != nil {
			return nil, err
		}
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("directory of the MLflow server: %w", err)
	}
	if o.Port == 0 {
		if o.Port, err = freePort(); err != nil {
			return nil, fmt.Errorf("a port for the MLflow server: %w", err)
		}
	}
	s := &Server{
		URL: "http://127.0.0.1:" + strconv.Itoa(o.Port) + o.Prefix, Dir: dir,
		python: o.Python, ended: make(chan struct{}),
	}
	if err := s.spawn(o); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := s.awaitHealth(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }() // Only its number is of use.
	return l.Addr().(*net.TCPAddr).Port, nil
}

// keeper runs the server until it ends or standard input does, which is when we are gone; then it kills the whole group,
// as the server has children of its own.
const keeper = `("$@" </dev/null; kill -9 0) & cat >/dev/null; kill -9 0`

func (s *Server) spawn(o Options) error {
	log, err := os.Create(s.logFile())
	if err != nil {
		return fmt.Errorf("log of the MLflow server: %w", err)
	}
	defer func() { _ = log.Close() }() // The server has it now.
	args := []string{
		"-c", keeper, "keeper", s.python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", strconv.Itoa(o.Port), "--workers", "1",
		"--backend-store-uri", "sqlite:///" + s.database(), "--artifacts-destination", filepath.Join(s.Dir, "artifacts"),
	}
	if o.Prefix != "" {
		args = append(args, "--static-prefix", o.Prefix)
	}
	s.cmd = exec.Command("/bin/sh", append(args, o.Args...)...)
	s.cmd.Dir = s.Dir
	// Without the job runner there are six processes less.
	s.cmd.Env = append(os.Environ(), "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false")
	s.cmd.Env = append(s.cmd.Env, o.Env...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if s.alive, err = s.cmd.StdinPipe(); err != nil {
		return fmt.Errorf("starting the MLflow server: %w", err)
	}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("starting the MLflow server: %w", err)
	}
	go func() {
		_ = s.cmd.Wait() // It always ends by a signal.
		close(s.ended)
	}()
	return nil
}

func (s *Server) database() string { return filepath.Join(s.Dir, "mlflow.db") }

func (s *Server) logFile() string { return filepath.Join(s.Dir, "mlflow.log") }

func (s *Server) awaitHealth(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.ended:
			return fmt.Errorf("the MLflow server ended before it was ready; the end of %s: %s", s.logFile(), s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("the MLflow server is not ready (%w); the end of %s: %s", ctx.Err(), s.logFile(), s.logTail())
		case <-tick.C:
		}
		if s.healthy(ctx) {
			return nil
		}
	}
}

func (s *Server) healthy(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/health", nil)
	if err != nil {
		return false
	}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close() // Only the status counts.
	return answer.StatusCode == http.StatusOK
}

func (s *Server) logTail() string {
	const most = 2000
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(bytes.TrimSpace(log[max(0, len(log)-most):]))
}

// stopTime is how long the end may take; a killed process ends at once, but somebody must reap it.
const stopTime = 30 * time.Second

// Stop ends the server with all its processes, and waits for that.
func (s *Server) Stop() error {
	var err error
	s.once.Do(func() {
		if e := s.alive.Close(); !errors.Is(e, os.ErrClosed) { // It is closed already where the server ended by itself.
			err = e
		}
	})
	<-s.ended
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(stopTime)
	for {
		// The group has the number of the process that led it, and lasts until the last of its processes is gone.
		if errors.Is(syscall.Kill(-s.cmd.Process.Pid, 0), syscall.ESRCH) {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline:
			return errors.Join(err, fmt.Errorf("processes of the MLflow server are left in group %d", s.cmd.Process.Pid))
		}
	}
}

// Python runs a script with the real MLflow client, MLFLOW_TRACKING_URI set, and returns what it printed.
func (s *Server) Python(ctx context.Context, script string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.python, append([]string{"-c", script}, args...)...)
	cmd.Dir = s.Dir
	cmd.Env = append(os.Environ(), "MLFLOW_TRACKING_URI="+s.URL, "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "GIT_PYTHON_REFRESH=quiet")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("Python script: %w: %s", err, problems.String())
	}
	return out.String(), nil
}
