package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/test/stage"
)

const (
	entity = "acme"
	// editors is how many people or pipelines edit objects at the same time, managerWorkers how many passes over
	// TrainingRuns the manager makes at once.
	editors        = 8
	managerWorkers = 16
)

// trackerKey is what the manager logs in to the tracker with.
var trackerKey = strings.Repeat("k", 40)

// cluster is a real API server with an embedded W&B tracker in this process, and at most one manager.
type cluster struct {
	*stage.Stage
	tracker *wandbtest.Server
	server  *httptest.Server
	manager *stage.Manager
	raw     *kubernetes.Clientset
	began   time.Time

	mu     sync.Mutex
	sent   int           // requests that the manager sent to the tracker
	served time.Duration // time of the tracker for all requests together
}

// newCluster starts one; it goes with close.
func newCluster(ctx context.Context, b *bench) (*cluster, error) {
	s, err := stage.New(ctx, stage.Options{Log: func(format string, args ...any) { b.say("   "+format, args...) }})
	if err != nil {
		return nil, err
	}
	c := &cluster{Stage: s, began: time.Now()}
	c.tracker = wandbtest.New(wandbtest.WithAPIKey(trackerKey), wandbtest.WithHeartbeatTimeout(0), wandbtest.OnRequest(c.note))
	c.server = httptest.NewServer(http.HandlerFunc(c.serve))
	if c.raw, err = kubernetes.NewForConfig(s.Plane.RESTConfig()); err != nil {
		return nil, errors.Join(err, c.close(ctx))
	}
	return c, nil
}

func (c *cluster) close(ctx context.Context) error {
	err := c.stopManager()
	c.server.CloseClientConnections()
	c.server.Close()
	return errors.Join(err, c.Close(context.WithoutCancel(ctx)))
}

func (c *cluster) note(r wandbtest.Request) {
	if strings.HasPrefix(r.UserAgent, "runtag/") {
		c.mu.Lock()
		c.sent++
		c.mu.Unlock()
	}
}

// serve lets the tracker answer, and counts the time that it takes for that.
func (c *cluster) serve(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	c.tracker.ServeHTTP(w, r)
	c.mu.Lock()
	c.served += time.Since(began)
	c.mu.Unlock()
}

// trackerSeconds is the time that the tracker took for all requests so far.
func (c *cluster) trackerSeconds() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served.Seconds()
}

// requests is how many the manager has sent to the tracker so far.
func (c *cluster) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent
}

// slow lets every answer of the tracker take so long.
func (c *cluster) slow(latency time.Duration) {
	faults := wandbtest.Faults{}
	if latency > 0 {
		faults.Faults = []wandbtest.Fault{{Latency: wandbtest.Duration{Duration: latency}}}
	}
	c.tracker.SetFaults(faults)
}

// startManager starts a manager and waits until it is ready.
func (c *cluster) startManager(ctx context.Context) error {
	var err error
	c.manager, err = c.StartManager(ctx, "--zap-log-level=error")
	return err
}

func (c *cluster) stopManager() error {
	if c.manager == nil {
		return nil
	}
	err := c.manager.Stop()
	c.manager = nil
	return err
}

// addRuns puts finished runs into the tracker, named by number from first to beyond, all of the same day and with the
// same two tags.
func (c *cluster) addRuns(project string, first, beyond int) error {
	for i := first; i < beyond; i++ {
		if _, err := c.tracker.AddRun(wandbtest.Run{
			Entity: entity, Project: project, ID: runID(i), DisplayName: runID(i), State: "finished",
			CreatedAt: c.began.Add(-24 * time.Hour), HeartbeatAt: c.began.Add(-23 * time.Hour), User: "ada", Tags: []string{"nightly", "vision"},
		}); err != nil {
			return err
		}
	}
	return nil
}

func runID(i int) string { return fmt.Sprintf("run-%06d", i) }

// addProject makes a namespace with a TrackingProject of the same name, looked at so rarely that looks are asked for.
func (c *cluster) addProject(ctx context.Context, name string, change func(*v1alpha1.TrackingProjectSpec)) error {
	project := &v1alpha1.TrackingProject{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: name},
		Spec: v1alpha1.TrackingProjectSpec{
			Wandb: &v1alpha1.WandbProject{
				BaseURL: c.server.URL, Entity: entity, Project: name,
				APIKeySecretRef: v1alpha1.SecretKeyReference{Name: "wandb", Key: "api-key"},
			},
			Import:   v1alpha1.ImportSpec{Policy: v1alpha1.ImportNone},
			Interval: metav1.Duration{Duration: time.Hour}, FullInterval: metav1.Duration{Duration: time.Hour},
		},
	}
	if change != nil {
		change(&project.Spec)
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "wandb", Namespace: name}, StringData: map[string]string{"api-key": trackerKey}},
		project,
	} {
		if err := c.Admin.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create %T of project %s: %w", object, name, err)
		}
	}
	return nil
}

// editProject patches the spec of a project, as JSON.
func (c *cluster) editProject(ctx context.Context, name, spec string) error {
	project := &v1alpha1.TrackingProject{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: name}}
	return c.Admin.Patch(ctx, project, client.RawPatch(types.MergePatchType, []byte(`{"spec":`+spec+`}`)))
}

// look asks for a full look and waits until it was taken.
func (c *cluster) look(ctx context.Context, name string) error {
	project := &v1alpha1.TrackingProject{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: name}}
	asked := time.Now().Format(time.RFC3339Nano)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationLookAt, asked)
	if err := c.Admin.Patch(ctx, project, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		return err
	}
	return stage.AwaitFor(ctx, "a full look of project "+name, 5*time.Minute, func(ctx context.Context) error {
		if err := c.Admin.Get(ctx, client.ObjectKeyFromObject(project), project); err != nil {
			return err
		}
		if project.Status.LookAt != asked {
			return fmt.Errorf("status.lookAt is %q", project.Status.LookAt)
		}
		return nil
	})
}

// trainingRun is one of a project, for a run by id.
func trainingRun(project, id string, tags ...string) *v1alpha1.TrainingRun {
	return &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Name: id, Namespace: project},
		Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: project}, RunID: id, Tags: tags},
	}
}

// each does something n times, so many at once, and ends at the first error.
func each(ctx context.Context, n, atOnce int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// apiServer reads the metrics of the API server.
func (c *cluster) apiServer(ctx context.Context) (map[string]*dto.MetricFamily, error) {
	body, err := c.raw.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(body)))
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	return families, nil
}

// writes is how many writes the API server has seen, by resource with subresource. Leases of its own are left out.
func (c *cluster) writes(ctx context.Context) (map[string]float64, error) {
	families, err := c.apiServer(ctx)
	if err != nil {
		return nil, err
	}
	seen := map[string]float64{}
	for _, metric := range families["apiserver_request_total"].GetMetric() {
		labels := map[string]string{}
		for _, pair := range metric.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		switch labels["verb"] {
		case "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION":
		default:
			continue
		}
		name := labels["resource"]
		if sub := labels["subresource"]; sub != "" {
			name += "/" + sub
		}
		if ours := labels["group"] == v1alpha1.GroupVersion.Group || strings.HasPrefix(name, "events"); ours {
			seen[name] += metric.GetCounter().GetValue()
		}
	}
	return seen, nil
}

// since gives what came on top, and the sum of it.
func since(before, now map[string]float64) (by map[string]float64, sum float64) {
	by = map[string]float64{}
	for name, value := range now {
		if more := value - before[name]; more > 0 {
			by[name] = more
			sum += more
		}
	}
	return by, sum
}

// counts writes what was counted, in a fixed order.
func counts(by map[string]float64) string {
	parts := make([]string, 0, len(by))
	for _, name := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%s %.0f", name, by[name]))
	}
	return strings.Join(parts, ", ")
}
