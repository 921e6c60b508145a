package controlplane

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// errPortTaken means that a child could not listen because somebody else took the port meanwhile.
var errPortTaken = errors.New("the port was taken meanwhile")

// process is a child that lives until it is stopped, or until we end, however we end.
type process struct {
	name, logPath string
	// logStart is where the log of this child begins in a file that earlier ones wrote to.
	logStart int64
	pid      int
	stopping atomic.Bool
	// done is closed when the child has ended; state is set before.
	done  chan struct{}
	state string
}

// startProcess starts a child, with env on top of our own environment, whose output is added to the log file.
func startProcess(path, name, logPath string, env []string, args ...string) (*process, error) {
	logFile, err := os.OpenFile(logPath, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer func() { _ = logFile.Close() }() // the child has its own copy
	logStart, err := logFile.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.Env = append(os.Environ(), env...)
	tieToUs(cmd)
	p := &process{name: name, logPath: logPath, logStart: logStart, done: make(chan struct{})}
	started := make(chan error)
	go p.live(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// live starts the child and waits for it on one thread that nobody else gets: the signal that ends the child when we are
// killed comes when the thread that started it ends.
func (p *process) live(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	err := cmd.Wait()
	p.state = "exit status 0"
	if err != nil {
		p.state = err.Error()
	}
	close(p.done)
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// exited says whether the child has ended, and if so how, with the end of its log.
func (p *process) exited() error {
	if !p.ended() {
		return nil
	}
	said := p.logTail()
	if bytes.Contains([]byte(said), []byte("address already in use")) {
		return fmt.Errorf("%s ended (%s): %w", p.name, p.state, errPortTaken)
	}
	return fmt.Errorf("%s ended (%s); the end of %s is:\n%s", p.name, p.state, p.logPath, said)
}

// logTail gives the end of what this child logged.
func (p *process) logTail() string {
	const limit = 3000
	file, err := os.Open(p.logPath)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(p.logStart, info.Size()-limit)
	content, err := io.ReadAll(io.NewSectionReader(file, from, info.Size()-from))
	if err != nil {
		return err.Error()
	}
	return tail(content, limit)
}

// stop ends the child: by SIGTERM, and by SIGKILL when it takes longer than the grace or ctx ends. It returns when the
// child has ended, and with an error if it had to be killed.
func (p *process) stop(ctx context.Context, grace time.Duration) error {
	p.stopping.Store(true)
	if p.ended() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := syscall.Kill(p.pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop %s (process %d): %w", p.name, p.pid, err)
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	return errors.Join(fmt.Errorf("%s did not stop in time and was killed", p.name), p.kill())
}

// kill ends the child at once.
func (p *process) kill() error {
	p.stopping.Store(true)
	if p.ended() { // its number may be another process's by now
		return nil
	}
	if err := killGroup(p.pid); err != nil {
		return fmt.Errorf("kill %s (process %d): %w", p.name, p.pid, err)
	}
	<-p.done
	return nil
}

// killGroup ends a process and all that it started.
func killGroup(pid int) error {
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
