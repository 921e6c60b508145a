// Package process runs programs beside us: each in a process group of its own, with its output in a file, and ended with
// us however we end (on Linux).
package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a process may take to end by itself.
const stopGrace = 10 * time.Second

// Process is a program that runs until it is stopped. Its methods may be called from several goroutines.
type Process struct {
	// Name says in errors which one it is.
	Name string
	// Log is the path of the file with its output.
	Log string
	// PID is its number, and that of its process group.
	PID int

	ended chan struct{} // closed when it has ended; state is set before
	state string
}

// Start starts a program in the folder dir with exactly this environment. Its output goes to dir/name.log.
func Start(name, dir string, env []string, program string, args ...string) (*Process, error) {
	p := &Process{Name: name, Log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	out, err := os.Create(p.Log)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", name, err)
	}
	defer func() { _ = out.Close() }() // the program has it now
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = dir, env, out, out, apart()
	started := make(chan error)
	go p.live(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// live starts the program and waits for it on a thread that is nobody else's: Linux ends it when that thread ends.
func (p *Process) live(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.PID = cmd.Process.Pid
	started <- nil
	_ = cmd.Wait() // the state says it all
	p.state = cmd.ProcessState.String()
	close(p.ended)
}

// Ended is closed when it has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Running says whether it is; the error tells how it ended, with the end of its log.
func (p *Process) Running() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s has ended (%s); the end of %s:\n%s", p.Name, p.state, p.Log, Tail(p.Log, 10))
	default:
		return nil
	}
}

// Stop ends the program, and what is left in its process group, after ten seconds by force, which is an error.
func (p *Process) Stop() error {
	err := p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopGrace):
		err = errors.Join(err, fmt.Errorf("%s did not end within %s and was killed", p.Name, stopGrace))
	}
	return errors.Join(err, p.Kill())
}

// Kill ends the program and its process group at once.
func (p *Process) Kill() error {
	err := p.Signal(syscall.SIGKILL)
	<-p.ended
	return err
}

// Signal reaches the whole process group, which has the number of the process that leads it.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := syscall.Kill(-p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %s (process %d): %w", p.Name, p.PID, err)
	}
	return nil
}

// Tail is the end of a file, or why it can't be read.
func Tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
