package e2e_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/internal/process"
)

// manager is a process of bin/manager under its own role.
type manager struct {
	cmd              *exec.Cmd
	log              string
	metrics, healthz string // addresses
	ended            chan struct{}
	err              error // how it ended, once ended is closed
}

// everyLog lists the logs of all managers that ran.
var everyLog []string

// startManager starts a manager that may reach the trackers, and returns when it is ready to work.
func startManager(ctx context.Context, args ...string) *manager {
	GinkgoHelper()
	m := launchManager(append([]string{"--allow-tracker=127.0.0.1"}, args...)...)
	m.expectReady(ctx)
	return m
}

// launchManager starts a manager and does not wait for it.
func launchManager(args ...string) *manager {
	GinkgoHelper()
	m := &manager{
		log:     filepath.Join(suite.dir, fmt.Sprintf("manager-%d.log", len(everyLog))),
		metrics: freeAddress(), healthz: freeAddress(), ended: make(chan struct{}),
	}
	everyLog = append(everyLog, m.log)
	log, err := os.Create(m.log)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(log.Close()).To(Succeed()) }() // The process has it now.
	m.cmd = exec.Command(binary("manager"), append([]string{
		"--kubeconfig=" + suite.managerKubeconfig, "--metrics-bind-address=" + m.metrics, "--health-probe-bind-address=" + m.healthz,
		"--zap-log-level=debug",
	}, args...)...)
	m.cmd.Dir = suite.dir
	m.cmd.Env = []string{"HOME=" + suite.dir} // so that it finds no other cluster and no proxy
	m.cmd.Stdout, m.cmd.Stderr = log, log
	Expect(m.cmd.Start()).To(Succeed())
	go func() {
		m.err = m.cmd.Wait()
		close(m.ended)
	}()
	DeferCleanup(func(ctx SpecContext) {
		select {
		case <-m.ended:
		default:
			scraped = append(scraped, m.scrape(ctx))
		}
		m.kill()
	})
	return m
}

// binary is the path of one of the built programs.
func binary(name string) string {
	GinkgoHelper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	Expect(err).NotTo(HaveOccurred())
	Expect(path).To(BeAnExistingFile(), "run make build first, or make e2e, which does it")
	return path
}

func freeAddress() string {
	GinkgoHelper()
	address, err := process.FreeAddress(context.Background())
	Expect(err).NotTo(HaveOccurred())
	return address
}

// kill ends it at once, if it has not ended.
func (m *manager) kill() {
	GinkgoHelper()
	if err := m.cmd.Process.Signal(syscall.SIGKILL); !errors.Is(err, os.ErrProcessDone) {
		Expect(err).NotTo(HaveOccurred())
	}
	Eventually(m.ended).Should(BeClosed())
}

// pause has it do nothing at all until resume; what happens meanwhile reaches it then.
func (m *manager) pause() {
	GinkgoHelper()
	Expect(m.cmd.Process.Signal(syscall.SIGSTOP)).To(Succeed())
}

func (m *manager) resume() {
	GinkgoHelper()
	Expect(m.cmd.Process.Signal(syscall.SIGCONT)).To(Succeed())
}

// stop asks it to end, and expects that it does so well.
func (m *manager) stop() {
	GinkgoHelper()
	Expect(m.cmd.Process.Signal(syscall.SIGTERM)).To(Succeed())
	m.expectEndedWell()
}

func (m *manager) expectEndedWell() {
	GinkgoHelper()
	Eventually(m.ended).Should(BeClosed(), m.logTail)
	Expect(m.err).NotTo(HaveOccurred(), m.logTail)
}

// expectReady waits for the readiness probe.
func (m *manager) expectReady(ctx context.Context) {
	GinkgoHelper()
	Eventually(func() (int, error) { return m.probe(ctx, "readyz") }).Should(Equal(http.StatusOK), m.logTail)
}

// probe asks /healthz or /readyz.
func (m *manager) probe(ctx context.Context, path string) (status int, err error) {
	status, _, err = get(ctx, "http://"+m.healthz+"/"+path)
	return status, err
}

// measured is the part of its metrics that is runtag's own.
func (m *manager) measured(ctx context.Context) string {
	GinkgoHelper()
	var own []string
	for _, line := range strings.Split(m.scrape(ctx), "\n") {
		if strings.HasPrefix(line, "runtag_") && !strings.Contains(line, "_bucket{") {
			own = append(own, line)
		}
	}
	return strings.Join(own, "\n")
}

// scrape reads the metrics endpoint.
func (m *manager) scrape(ctx context.Context) string {
	GinkgoHelper()
	status, body, err := get(ctx, "http://"+m.metrics+"/metrics")
	Expect(err).NotTo(HaveOccurred())
	Expect(status).To(Equal(http.StatusOK))
	return body
}

func get(ctx context.Context, url string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }() // Reading has said what there is to say.
	content, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(content), err
}

// said is what it has logged so far.
func (m *manager) said() string {
	GinkgoHelper()
	content, err := os.ReadFile(m.log)
	Expect(err).NotTo(HaveOccurred())
	return string(content)
}

// expectSays waits for something in its log.
func (m *manager) expectSays(what string) {
	GinkgoHelper()
	Eventually(func() bool { return strings.Contains(m.said(), what) }).Should(BeTrue(), func() string {
		return fmt.Sprintf("the manager does not say %q; %s", what, m.logTail())
	})
}

func (m *manager) logTail() string {
	return "the end of the manager's log:\n" + strings.TrimSpace(tail(m.log))
}
