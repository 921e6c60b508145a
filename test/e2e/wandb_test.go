package e2e_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

const entity = "acme"

// personKey is what scripts and people log in with.
var personKey = strings.Repeat("p", 40)

// wandb is the embedded tracker with the real SDK.
type wandb struct {
	server *wandbtest.Server
	http   *httptest.Server
	worker *worker
	// sent is what the manager sends, scripts the lists of tags that the SDK sends.
	sent, scripts traffic
}

func (t *wandb) name() string { return "wandb" }

func (t *wandb) start(_ context.Context, dir string) {
	GinkgoHelper()
	t.server = wandbtest.New(
		wandbtest.WithAPIKey(canaryKey), wandbtest.WithAPIKey(personKey), wandbtest.WithHeartbeatTimeout(0), wandbtest.OnRequest(t.note),
	)
	t.http = httptest.NewServer(t.server)
	t.worker = t.process(dir, "WANDB_HOST=trainer-0")
}

// process is one of the SDK, in a folder of its own.
func (t *wandb) process(dir string, env ...string) *worker {
	GinkgoHelper()
	return startWorker(suite.python, "wandb_worker.py", dir, append([]string{
		"WANDB_BASE_URL=" + t.http.URL, "WANDB_API_KEY=" + personKey, "WANDB_DIR=" + dir, "WANDB_CACHE_DIR=" + dir, "WANDB_CONFIG_DIR=" + dir,
		"WANDB_DATA_DIR=" + dir, "WANDB_SILENT=true", "WANDB_ERROR_REPORTING=false",
	}, env...)...)
}

func (t *wandb) stop() {
	GinkgoHelper()
	if t.worker != nil {
		t.worker.stop()
	}
	t.http.CloseClientConnections()
	t.http.Close()
}

// note keeps what the manager sends apart from what scripts do.
func (t *wandb) note(r wandbtest.Request) {
	if !strings.HasPrefix(r.UserAgent, "runtag/") {
		if r.Kind == "mutation" && r.Variables["tags"] != nil {
			t.scripts.pass(request{kind: write, about: fmt.Sprint(r.Variables["name"], r.Variables["id"])})
		}
		return
	}
	project, _ := r.Variables["project"].(string)
	filters, _ := r.Variables["filters"].(string)
	noted := request{kind: check, about: project}
	switch {
	case r.Kind == "mutation":
		noted = request{kind: write, about: writtenRuns(r.Variables)}
	case strings.Contains(filters, `"$or"`) || filters == "{}":
		noted.kind = look
	case strings.Contains(filters, `"tags"`):
		noted.kind = choose
	case filters != "":
		noted.kind = read
	}
	t.sent.pass(noted)
}

// writtenRuns lists the runs of a write by their storage ids, base64 of "Run:v1:<run>:<project>:<entity>".
func writtenRuns(variables map[string]any) string {
	var runs []string
	for name, value := range variables {
		if id, ok := value.(string); ok && strings.HasPrefix(name, "i") {
			if plain, err := base64.StdEncoding.DecodeString(id); err == nil {
				runs = append(runs, strings.Split(string(plain), ":")[2])
			}
		}
	}
	slices.Sort(runs)
	return strings.Join(runs, ",")
}

func (t *wandb) traffic() *traffic { return &t.sent }

func (t *wandb) revoke() (restore func()) {
	t.server.SetFaults(wandbtest.Faults{Faults: []wandbtest.Fault{{UserAgent: "runtag", NullViewer: true, NullProject: true}}})
	return func() { t.server.SetFaults(wandbtest.Faults{}) }
}

func (t *wandb) secret() *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "wandb"}, StringData: map[string]string{"api-key": canaryKey}}
}

func (t *wandb) spec(project string) v1alpha1.TrackingProjectSpec {
	return v1alpha1.TrackingProjectSpec{Wandb: &v1alpha1.WandbProject{
		BaseURL: t.http.URL, Entity: entity, Project: project,
		APIKeySecretRef: v1alpha1.SecretKeyReference{Name: "wandb", Key: "api-key"},
	}}
}

// newProject makes a run, as a project without any is not there.
func (t *wandb) newProject(_ context.Context, project string) {
	GinkgoHelper()
	_, err := t.server.AddRun(wandbtest.Run{Entity: entity, Project: project, ID: "first", State: "finished"})
	Expect(err).NotTo(HaveOccurred())
}

func (t *wandb) train(ctx context.Context, project, displayName string, tags ...string) string {
	GinkgoHelper()
	return t.begin(ctx, map[string]any{"project": project, "name": displayName, "tags": tags})
}

// trainAs begins a run with an id that was chosen before.
func (t *wandb) trainAs(ctx context.Context, run runRef, tags ...string) {
	GinkgoHelper()
	Expect(t.begin(ctx, map[string]any{"project": run.project, "run": run.id, "tags": tags})).To(Equal(run.id))
}

// resume takes a run up again, with tags that replace those it had.
func (t *wandb) resume(ctx context.Context, run runRef, tags ...string) {
	GinkgoHelper()
	arguments := map[string]any{"project": run.project, "run": run.id, "tags": tags, "resume": "must"}
	Expect(t.begin(ctx, arguments)).To(Equal(run.id))
}

func (t *wandb) begin(ctx context.Context, arguments map[string]any) (id string) {
	GinkgoHelper()
	return begin(ctx, t.worker, arguments)
}

func begin(ctx context.Context, script *worker, arguments map[string]any) (id string) {
	GinkgoHelper()
	Expect(script.call(ctx, "start", arguments, &id)).To(Succeed())
	return id
}

func (t *wandb) finish(ctx context.Context, run runRef) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "finish", t.about(run), nil)).To(Succeed())
}

// scriptAdds is run.tags += (…) in the training script.
func (t *wandb) scriptAdds(ctx context.Context, run runRef, tags ...string) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "add", t.about(run, tags...), nil)).To(Succeed())
}

// apiAppends is Api().run(…).tags.append(…) and update().
func (t *wandb) apiAppends(ctx context.Context, run runRef, tags ...string) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "append", t.about(run, tags...), nil)).To(Succeed())
}

func (t *wandb) logLoss(ctx context.Context, run runRef, loss float64) {
	GinkgoHelper()
	arguments := t.about(run)
	arguments["loss"] = loss
	Expect(t.worker.call(ctx, "log_loss", arguments, nil)).To(Succeed())
}

func (t *wandb) about(run runRef, tags ...string) map[string]any {
	arguments := map[string]any{"project": run.project, "run": run.id}
	if tags != nil {
		arguments["tags"] = tags
	}
	return arguments
}

// add is what a person does on the run's page, which knows no SDK.
func (t *wandb) add(_ context.Context, run runRef, tags ...string) {
	GinkgoHelper()
	Expect(t.server.EditTags(t.path(run), tags, nil)).To(Succeed())
}

func (t *wandb) remove(_ context.Context, run runRef, tags ...string) {
	GinkgoHelper()
	Expect(t.server.EditTags(t.path(run), nil, tags)).To(Succeed())
}

func (t *wandb) delete(ctx context.Context, run runRef) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "delete", t.about(run), nil)).To(Succeed())
}

func (t *wandb) many(_ context.Context, project string, n int, tags ...string) []string {
	GinkgoHelper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("run%03d", i)
		_, err := t.server.AddRun(wandbtest.Run{Entity: entity, Project: project, ID: ids[i], State: "running", Tags: slices.Clone(tags)})
		Expect(err).NotTo(HaveOccurred())
	}
	return ids
}

func (t *wandb) path(run runRef) string { return entity + "/" + run.project + "/" + run.id }

func (t *wandb) tags(_ context.Context, run runRef) []string {
	on, ok := t.server.Run(t.path(run))
	if !ok {
		return []string{"no run " + run.id}
	}
	return slices.Sorted(slices.Values(on.Tags))
}

func (t *wandb) tagsOfAll(_ context.Context, project string) map[string][]string {
	all := map[string][]string{}
	for _, run := range t.server.Runs(entity, project) {
		all[run.ID] = slices.Sorted(slices.Values(run.Tags))
	}
	return all
}

func (t *wandb) read(ctx context.Context, run runRef) (tags []string) {
	GinkgoHelper()
	Expect(t.worker.call(ctx, "tags", t.about(run), &tags)).To(Succeed())
	slices.Sort(tags)
	return tags
}

var _ tracker = &wandb{}
