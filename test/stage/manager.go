package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/runtag/runtag/internal/process"
)

// Manager is a process of bin/manager under its own role.
type Manager struct {
	*process.Process
	metrics, probes, pprof string // addresses
}

// StartManager starts a manager that may reach trackers on loopback, with more flags, and returns when it is ready to
// work.
func (s *Stage) StartManager(ctx context.Context, flags ...string) (*Manager, error) {
	m, err := s.LaunchManager(ctx, flags...)
	if err != nil {
		return nil, err
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	ready := func(ctx context.Context) error {
		if err := m.Running(); err != nil {
			giveUp(err)
			return errors.New("it will never be ready")
		}
		_, err := get(ctx, "http://"+m.probes+"/readyz")
		return err
	}
	if err := Await(ctx, "the manager", ready); err != nil {
		return nil, errors.Join(err, m.Kill())
	}
	return m, nil
}

// LaunchManager starts a manager and does not wait for it.
func (s *Stage) LaunchManager(ctx context.Context, flags ...string) (*Manager, error) {
	m := &Manager{}
	for _, address := range []*string{&m.metrics, &m.probes, &m.pprof} {
		var err error
		if *address, err = process.FreeAddress(ctx); err != nil {
			return nil, err
		}
	}
	args := append([]string{
		"--kubeconfig=" + s.kubeconfig, "--metrics-bind-address=" + m.metrics, "--health-probe-bind-address=" + m.probes,
		"--pprof-bind-address=" + m.pprof, "--allow-tracker=127.0.0.1",
	}, flags...)
	s.started++
	name := fmt.Sprintf("manager-%d", s.started)
	// No more of our environment than it needs, so that it finds no other cluster and no proxy.
	var err error
	m.Process, err = process.Start(name, s.Dir, []string{"HOME=" + s.Dir}, s.Root+"/bin/manager", args...)
	return m, err
}

// Pause has it do nothing at all until Resume; what happens meanwhile reaches it then.
func (m *Manager) Pause() error { return m.Signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (m *Manager) Resume() error { return m.Signal(syscall.SIGCONT) }

// Said is what it has logged so far.
func (m *Manager) Said() (string, error) {
	content, err := os.ReadFile(m.Log)
	return string(content), err
}

// Metrics reads its metrics endpoint.
func (m *Manager) Metrics(ctx context.Context) (Metrics, error) {
	body, err := get(ctx, "http://"+m.metrics+"/metrics")
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(strings.NewReader(string(body)))
}

// Profile is one of its profiles, such as heap?gc=1, goroutine or profile?seconds=10, in pprof's format.
func (m *Manager) Profile(ctx context.Context, name string) ([]byte, error) {
	return get(ctx, "http://"+m.pprof+"/debug/pprof/"+name)
}

// HeapInUse is what is alive on its heap after a garbage collection, in bytes.
func (m *Manager) HeapInUse(ctx context.Context) (float64, error) {
	for range 2 { // the second frees what the first one's finalizers let go
		if _, err := m.Profile(ctx, "heap?gc=1"); err != nil {
			return 0, err
		}
	}
	metrics, err := m.Metrics(ctx)
	return metrics.Sum("go_memstats_heap_alloc_bytes", nil), err
}

// Metrics are metric families by name.
type Metrics map[string]*dto.MetricFamily

// Sum adds up the counters, gauges and the counts of histograms of one name whose labels include these.
func (m Metrics) Sum(name string, labels map[string]string) float64 {
	sum := 0.0
	for _, metric := range m[name].GetMetric() {
		if has(metric, labels) {
			sum += metric.GetCounter().GetValue() + metric.GetGauge().GetValue() + metric.GetUntyped().GetValue() +
				float64(metric.GetHistogram().GetSampleCount())
		}
	}
	return sum
}

func has(metric *dto.Metric, labels map[string]string) bool {
	found := 0
	for _, pair := range metric.GetLabel() {
		if want, ok := labels[pair.GetName()]; ok && want == pair.GetValue() {
			found++
		}
	}
	return found == len(labels)
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // reading has said what there is to say
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return body, err
}
