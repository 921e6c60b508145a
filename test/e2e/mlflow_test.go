package e2e_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/mlflow/mlflowtest"
)

// mlflow is a real MLflow server with the real client. The manager reaches it through a proxy that wants its password
// and notes what it sends.
type mlflow struct {
	server *mlflowtest.Server
	proxy  *httptest.Server
	worker *worker
	sent   traffic
	// experiments are the ids of the projects' experiments.
	experiments map[string]string
	// revoked says that the password counts no more.
	revoked atomic.Bool
}

const canaryUser = "runtag-e2e"

func (t *mlflow) name() string { return "mlflow" }

func (t *mlflow) start(ctx context.Context, dir string) {
	GinkgoHelper()
	var err error
	t.server, err = mlflowtest.Start(ctx, mlflowtest.Options{Dir: dir, Python: suite.python})
	Expect(err).NotTo(HaveOccurred())
	target, err := url.Parse(t.server.URL)
	Expect(err).NotTo(HaveOccurred())
	t.proxy = httptest.NewServer(t.guard(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Authorization")
	}}))
	home := filepath.Join(dir, "home")
	Expect(os.Mkdir(home, 0o700)).To(Succeed())
	t.worker = t.process(home)
}

// process is one of the client, in a folder of its own.
func (t *mlflow) process(home string, env ...string) *worker {
	GinkgoHelper()
	return startWorker(suite.python, "mlflow_worker.py", home, append([]string{
		"MLFLOW_TRACKING_URI=" + t.server.URL, "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "GIT_PYTHON_REFRESH=quiet",
	}, env...)...)
}

func (t *mlflow) stop() {
	GinkgoHelper()
	if t.worker != nil {
		t.worker.stop()
		t.proxy.CloseClientConnections()
		t.proxy.Close()
	}
	if t.server == nil {
		return
	}
	Expect(t.server.Stop()).To(Succeed())
}

// guard lets in who has the password, and notes the request.
func (t *mlflow) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != canaryUser || password != canaryPassword || t.revoked.Load() {
			http.Error(w, "You are not authenticated.", http.StatusUnauthorized)
			return
		}
		t.sent.pass(request{kind: kindOf(r.URL.Path), about: r.URL.Path})
		next.ServeHTTP(w, r)
	})
}

// kindOf can't tell a look from a read, as both are searches.
func kindOf(path string) kind {
	switch path[strings.LastIndex(path, "mlflow/")+len("mlflow/"):] {
	case "runs/log-batch", "runs/set-tag", "runs/delete-tag":
		return write
	case "runs/search":
		return look
	case "runs/get":
		return read
	}
	return check
}

func (t *mlflow) traffic() *traffic { return &t.sent }

func (t *mlflow) revoke() (restore func()) {
	t.revoked.Store(true)
	return func() { t.revoked.Store(false) }
}

func (t *mlflow) secret() *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "mlflow"},
		StringData: map[string]string{"username": canaryUser, "password": canaryPassword},
	}
}

func (t *mlflow) spec(project string) v1alpha1.TrackingProjectSpec {
	return v1alpha1.TrackingProjectSpec{MLflow: &v1alpha1.MLflowProject{
		TrackingURI: t.proxy.URL, Experiments: []string{project},
		Auth: &v1alpha1.MLflowAuth{BasicSecretRef: &v1alpha1.SecretReference{Name: "mlflow"}},
	}}
}

func (t *mlflow) newProject(ctx context.Context, project string) {
	GinkgoHelper()
	var id string
	Expect(t.worker.call(ctx, "experiment", map[string]any{"name": project}, &id)).To(Succeed())
	t.experiments[project] = id
}

func (t *mlflow) train(ctx context.Context, project, displayName string, tags ...string) (id string) {
	GinkgoHelper()
	arguments := map[string]any{"project": project, "name": displayName, "tags": keysAndValues(tags)}
	Expect(t.worker.call(ctx, "start", arguments, &id)).To(Succeed())
	return id
}

func (t *mlflow) finish(ctx context.Context, run runRef) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "finish", map[string]any{"run": run.id}, nil)).To(Succeed())
}

func (t *mlflow) add(ctx context.Context, run runRef, tags ...string) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "set_tags", map[string]any{"run": run.id, "tags": keysAndValues(tags)}, nil)).To(Succeed())
}

func (t *mlflow) scriptAdds(ctx context.Context, run runRef, tags ...string) {
	GinkgoHelper()
	t.add(ctx, run, tags...)
}

func (t *mlflow) logLoss(ctx context.Context, run runRef, loss float64) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "log_loss", map[string]any{"run": run.id, "loss": loss}, nil)).To(Succeed())
}

// apiAppends is MlflowClient().set_tag(…).
func (t *mlflow) apiAppends(ctx context.Context, run runRef, tags ...string) {
	GinkgoHelper()
	t.add(ctx, run, tags...)
}

func (t *mlflow) remove(ctx context.Context, run runRef, keys ...string) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "delete_tags", map[string]any{"run": run.id, "keys": keys}, nil)).To(Succeed())
}

func (t *mlflow) delete(ctx context.Context, run runRef) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "delete", map[string]any{"run": run.id}, nil)).To(Succeed())
}

func (t *mlflow) restore(ctx context.Context, run runRef) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "restore", map[string]any{"run": run.id}, nil)).To(Succeed())
}

func (t *mlflow) many(ctx context.Context, project string, n int, tags ...string) []string {
	GinkgoHelper()
	first := t.train(ctx, project, "one of many", tags...)
	ids, err := t.server.Clone(ctx, first, n-1)
	Expect(err).NotTo(HaveOccurred())
	return append(ids, first)
}

func (t *mlflow) tags(ctx context.Context, run runRef) []string {
	on, err := t.server.Tags(ctx, run.id)
	if err != nil {
		return []string{err.Error()}
	}
	return names(on)
}

func (t *mlflow) tagsOfAll(ctx context.Context, project string) map[string][]string {
	GinkgoHelper()
	var answer struct {
		Runs []struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
			Data struct {
				Tags []struct{ Key, Value string } `json:"tags"`
			} `json:"data"`
		} `json:"runs"`
	}
	question := map[string]any{"experiment_ids": []string{t.experiments[project]}, "max_results": 1000}
	Expect(t.server.Call(ctx, http.MethodPost, "runs/search", question, &answer)).To(Succeed())
	all := map[string][]string{}
	for _, run := range answer.Runs {
		on := map[string]string{}
		for _, tag := range run.Data.Tags {
			on[tag.Key] = tag.Value
		}
		all[run.Info.ID] = names(on)
	}
	return all
}

func (t *mlflow) read(ctx context.Context, run runRef) []string {
	GinkgoHelper()
	var on map[string]string
	Expect(t.worker.call(ctx, "tags", map[string]any{"run": run.id}, &on)).To(Succeed())
	return names(on)
}

// keysAndValues writes tags as a person on MLflow does: a bare one with the value true.
func keysAndValues(tags []string) map[string]string {
	out := map[string]string{}
	for _, tag := range tags {
		key, value, pair := strings.Cut(tag, "=")
		if !pair {
			value = "true"
		}
		out[key] = value
	}
	return out
}

// names gives tags as runtag writes them, sorted, without MLflow's own and those that name the pod.
func names(on map[string]string) []string {
	var out []string
	for key, value := range on {
		switch {
		case strings.HasPrefix(key, "mlflow."), strings.HasPrefix(key, "runtag.dev/"):
		case value == "true":
			out = append(out, key)
		default:
			out = append(out, key+"="+value)
		}
	}
	slices.Sort(out)
	return out
}

var _ tracker = &mlflow{}
