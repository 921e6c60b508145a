package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// worker is a Python process with a real client. It lives as long as the suite.
type worker struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	log    string
	answer chan []byte // closed when the process has ended

	mu    sync.Mutex
	calls int
}

// callTime is how long an operation may take, the start of the interpreter included.
const callTime = 3 * time.Minute

// startWorker starts one of the scripts in testdata, in a home of its own and with nothing of our environment.
func startWorker(python, script, home string, env ...string) *worker {
	GinkgoHelper()
	scripts, err := filepath.Abs("testdata")
	Expect(err).NotTo(HaveOccurred())
	w := &worker{name: script, log: filepath.Join(home, "worker.log"), answer: make(chan []byte)}
	w.cmd = exec.Command(python, filepath.Join(scripts, script))
	w.cmd.Dir = home
	w.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "PYTHONDONTWRITEBYTECODE=1"}, env...)
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with children that have to end as well
	log, err := os.Create(w.log)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(log.Close()).To(Succeed()) }() // The process has it now.
	w.cmd.Stderr = log
	w.stdin, err = w.cmd.StdinPipe()
	Expect(err).NotTo(HaveOccurred())
	stdout, err := w.cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(w.cmd.Start()).To(Succeed())
	go func() {
		lines := bufio.NewScanner(stdout)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			w.answer <- []byte(lines.Text())
		}
		close(w.answer)
	}()
	return w
}

// stop ends the process and its children.
func (w *worker) stop() {
	GinkgoHelper()
	Expect(w.stdin.Close()).To(Succeed())
	Expect(syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)).To(Succeed())
	for more := true; more; { // nobody waits for what is left
		_, more = <-w.answer
	}
	Expect(w.cmd.Wait()).To(MatchError(ContainSubstring("killed")))
}

// call has one operation done, and reads what it gave into out unless that is nil.
func (w *worker) call(ctx context.Context, operation string, arguments map[string]any, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	w.mu.Lock()
	defer w.mu.Unlock()
	request := maps.Clone(arguments)
	if request == nil {
		request = map[string]any{}
	}
	w.calls++
	request["do"], request["n"] = operation, w.calls
	line, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", w.name, operation, err)
	}
	if _, err := w.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%s: %s: %w\n%s", w.name, operation, err, tail(w.log))
	}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: %w\n%s", w.name, operation, ctx.Err(), tail(w.log))
		case raw, ok := <-w.answer:
			if !ok {
				return fmt.Errorf("%s: %s: the process has ended\n%s", w.name, operation, tail(w.log))
			}
			if mine, err := w.decode(operation, raw, out); mine {
				return err
			}
		}
	}
}

// decode reads an answer; mine is false if it is to an earlier call that was given up.
func (w *worker) decode(operation string, raw []byte, out any) (mine bool, err error) {
	var answer struct {
		N     int             `json:"n"`
		Value json.RawMessage `json:"value"`
		Error string          `json:"error"`
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return true, fmt.Errorf("%s: %s: %w", w.name, operation, err)
	}
	switch {
	case answer.N != w.calls:
		return false, nil
	case answer.Error != "":
		return true, fmt.Errorf("%s: %s: %s", w.name, operation, strings.TrimSpace(answer.Error))
	case out == nil:
		return true, nil
	}
	if err := json.Unmarshal(answer.Value, out); err != nil {
		return true, fmt.Errorf("%s: %s: %w", w.name, operation, err)
	}
	return true, nil
}

// tail is the end of a log, for failure messages.
func tail(path string) string {
	const most = 6000
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-most):])
}
