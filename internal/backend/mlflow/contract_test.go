package mlflow_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/backendtest"
	"github.com/runtag/runtag/internal/backend/mlflow"
	"github.com/runtag/runtag/internal/backend/mlflow/mlflowtest"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/tags"
)

// server is the one MLflow server of all tests here. It serves below a prefix, as behind many ingresses.
var server *mlflowtest.Server

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	flag.Parse()
	if fuzz := flag.Lookup("test.fuzz"); fuzz != nil && fuzz.Value.String() != "" {
		return m.Run() // fuzzing needs no server, and each of its workers comes here
	}
	dir, err := os.MkdirTemp("", "runtag-mlflow-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }() // A leftover below the temporary directory is no failure.
	o := mlflowtest.Options{Dir: dir, Prefix: "/ml"}
	// RUNTAG_TEST_MLFLOW_PYTHON names a Python with another version of MLflow. Before 3.12 a prefix is not for the API.
	if python := os.Getenv("RUNTAG_TEST_MLFLOW_PYTHON"); python != "" {
		o.Python, o.Prefix = python, ""
	}
	if server, err = mlflowtest.Start(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

const (
	username = "runtag"
	password = "canary-pass/word:1"
)

// gate stands before the server and asks for a credential in the words of MLflow's own basic-auth app.
func gate(t *testing.T) string {
	t.Helper()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	prefix := target.Path
	target.Path = ""
	direct := &http.Transport{}
	proxy := &httputil.ReverseProxy{Transport: direct, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	gate := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != username || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="mlflow"`)
			http.Error(w, "You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth/index.html", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { gate.Close(); direct.CloseIdleConnections() })
	return gate.URL + prefix
}

func TestContract(t *testing.T) { backendtest.Run(t, &harness{gate: gate(t)}) }

type harness struct{ gate string }

var names atomic.Int64

// unique gives the name of an experiment that no other test has, nor this one when it runs again.
func unique(t *testing.T) string {
	return fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), names.Add(1))
}

func (*harness) Traits() backendtest.Traits {
	long := strings.Repeat("k", 250)
	return backendtest.Traits{
		TagByTag: true,
		Origins:  true,
		Odd: []tags.Tag{
			{Key: "bare"}, {Key: "true", Value: "true"}, {Key: "日本 語", Value: "値"}, {Key: "a.b/c", Value: "x=y,z"}, {Key: "with blank", Value: " blanks "},
			{Key: " edge ", Value: "\n"}, {Key: "co:lon", Value: `"quotes" 'and' \`}, {Key: "-dash_"}, {Key: "UPPER"}, {Key: "upper"}, {Key: "1.5"},
			{Key: "mlflow", Value: "not reserved"}, {Key: "x²", Value: "🚀"}, {Key: "a/.b"}, {Key: "..."[:1] + "hidden"}, {Key: long, Value: strings.Repeat("é", 8000)},
			{Key: "html", Value: "<b>&amp;</b>\u2028"}, {Key: "run_id", Value: "null"},
		},
		Refused: []tags.Tag{
			{Key: "a=b"}, {Key: "a,b"}, {Key: "a@b"}, {Key: "/abs"}, {Key: "end/"}, {Key: "a//b"}, {Key: "./a"}, {Key: "a/../b"}, {Key: ".."}, {Key: "."},
			{Key: "..up"}, {Key: ""}, {Key: long + "k"}, {Key: "🚀"}, {Key: "quo'te"}, {Key: "tab\tkey"}, {Key: "combining e\u0301"}, {Key: "mlflow.runName", Value: "no"},
			{Key: "runtag.dev/pod", Value: "no"},
		},
		Write: func(r backendtest.Request) bool {
			return strings.HasSuffix(r.Path, "/log-batch") || strings.HasSuffix(r.Path, "-tag")
		},
		Secrets: []string{password, wrongPassword},
	}
}

const wrongPassword = "canary-wrong-password"

func (h *harness) NewProject(t *testing.T) backendtest.Project {
	t.Helper()
	name := unique(t)
	id, err := server.CreateExperiment(t.Context(), name)
	must(t, err)
	return &project{server: h.gate, name: name, id: id}
}

type project struct{ server, name, id string }

func (p *project) Server() string { return p.server }

func (p *project) Open(t *testing.T, o backendtest.Options) backend.Backend {
	t.Helper()
	config := mlflow.Config{
		TrackingURI: o.URL, Experiments: []string{p.name}, Username: username, Password: backend.NewSecret(password),
		HTTP: sender(t, transport.Options{Timeout: o.Timeout, MaxBytes: o.MaxBytes, WriteTime: o.WriteTime, Clock: o.Clock}), Page: o.Page,
	}
	if o.Clock != nil {
		config.Clock = o.Clock
	}
	if o.WrongCredential {
		config.Password = backend.NewSecret(wrongPassword)
	}
	c, err := mlflow.New(config)
	must(t, err)
	return c
}

// sender is the real transport, with loopback allowed.
func sender(t *testing.T, o transport.Options) *transport.Client {
	t.Helper()
	policy, err := transport.ParseAllow([]string{"127.0.0.1"})
	must(t, err)
	o.Policy = policy
	c, err := transport.New(o)
	must(t, err)
	t.Cleanup(c.CloseIdle)
	return c
}

func (p *project) Create(t *testing.T, runs ...backendtest.NewRun) []string {
	t.Helper()
	made := make([]string, 0, len(runs))
	for i := 0; i < len(runs); i++ {
		id, err := server.CreateRun(t.Context(), p.wire(runs[i]))
		must(t, err)
		made = append(made, id)
		if same := alike(runs[i:]); same > 10 {
			copies, err := server.Clone(t.Context(), id, same-1)
			must(t, err)
			made = append(made, copies...)
			i += same - 1
		}
	}
	return made
}

// alike says how many runs at the start are the same, as far as the many go: by name, without tags.
func alike(runs []backendtest.NewRun) int {
	n := 0
	for n < len(runs) && runs[n].Name == runs[0].Name && runs[n].State == runs[0].State && runs[n].Age == runs[0].Age &&
		len(runs[n].Tags) == 0 && len(runs[n].Metrics) == 0 {
		n++
	}
	return n
}

func (p *project) wire(r backendtest.NewRun) mlflowtest.Run {
	status := map[backend.State]string{
		backend.StateRunning: "RUNNING", backend.StateFinished: "FINISHED", "": "FINISHED", backend.StateFailed: "FAILED",
	}[r.State]
	set := map[string]string{}
	maps.Copy(set, r.Tags)
	for key, value := range map[string]string{"runtag.dev/pod": r.PodName, "runtag.dev/pod-uid": r.PodUID, "mlflow.parentRunId": r.Parent} {
		if value != "" {
			set[key] = value
		}
	}
	now := time.Now()
	return mlflowtest.Run{
		Experiment: p.id, Name: r.Name, Status: status, Start: now.Add(-time.Minute - r.Age), End: now, Tags: set, Metrics: r.Metrics,
	}
}

func (p *project) SetTags(t *testing.T, id string, set tags.Set) {
	t.Helper()
	must(t, server.SetTags(t.Context(), id, set))
}

func (p *project) Tags(t *testing.T, id string) tags.Set {
	t.Helper()
	all, err := server.Tags(t.Context(), id)
	must(t, err)
	set := tags.Set{}
	for key, value := range all {
		if !strings.HasPrefix(key, "mlflow.") {
			set[key] = value
		}
	}
	return set
}

func (p *project) Delete(t *testing.T, id string) {
	t.Helper()
	must(t, server.DeleteRun(t.Context(), id))
}

func (p *project) Recreate(t *testing.T, _ string) {
	t.Helper()
	t.Fatal("an MLflow server chooses the ids of runs itself")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
