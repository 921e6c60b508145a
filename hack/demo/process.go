package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a process may take to end by itself.
const stopGrace = 10 * time.Second

// process is a program that runs beside the demo until it is stopped.
type process struct {
	name, log string
	pid       int
	ended     chan struct{} // closed when it has ended; state is set before
	state     string
}

// start starts a program whose output goes to dir/name.log.
func start(name, dir string, env []string, program string, args ...string) (*process, error) {
	p := &process{name: name, log: dir + "/" + name + ".log", ended: make(chan struct{})}
	out, err := os.Create(p.log)
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
func (p *process) live(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	_ = cmd.Wait() // the state says it all
	p.state = cmd.ProcessState.String()
	close(p.ended)
}

// running says whether it is, and if not how it ended.
func (p *process) running() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s ended by itself (%s); the end of %s:\n%s", p.name, p.state, p.log, tail(p.log, 10))
	default:
		return nil
	}
}

// stop ends the program, and what is left in its process group, by force if need be.
func (p *process) stop() error {
	err := p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopGrace):
		err = errors.Join(err, fmt.Errorf("%s did not end within %s and was killed", p.name, stopGrace))
	}
	err = errors.Join(err, p.signal(syscall.SIGKILL))
	<-p.ended
	return err
}

// signal reaches the whole process group, which has the number of the process that leads it.
func (p *process) signal(sig syscall.Signal) error {
	if err := syscall.Kill(-p.pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s (process %d): %w", p.name, p.pid, err)
	}
	return nil
}

// tail is the end of a file, or why it can't be read.
func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
