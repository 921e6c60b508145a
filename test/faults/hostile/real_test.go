package hostile_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/test/stage"
)

const (
	part   = "hostile"
	entity = "acme"
	atOnce = 16 // requests of people at a time
)

// real is the built manager, on a tracker that all projects log in to with the same key.
type real struct {
	*stage.Stage
	t       *testing.T
	manager *stage.Manager
	tracker *wandbtest.Server
	server  *httptest.Server
	key     string
}

func TestNeighbours(t *testing.T) {
	log.SetLogger(logr.Discard()) // of our own client; or there are lines about nobody having set one
	s, err := stage.New(t.Context(), stage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &real{Stage: s, t: t, key: strings.Repeat("k", 40)}
	w.tracker = wandbtest.New(wandbtest.WithAPIKey(w.key), wandbtest.WithHeartbeatTimeout(0))
	w.server = httptest.NewServer(w.tracker)
	t.Cleanup(func() {
		if w.manager != nil {
			w.must(w.manager.Kill())
		}
		w.server.CloseClientConnections()
		w.server.Close()
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	w.manager, err = s.StartManager(t.Context(), "--zap-log-level=error")
	w.must(err)
	w.comeAndGo()
	w.flood()
}

func (w *real) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func runName(n int) string { return fmt.Sprintf("run-%05d", n) }

// addProject makes a namespace with a project of so many runs on the tracker, of which none has an object yet.
func (w *real) addProject(ctx context.Context, name string, runs int) error {
	for n := range runs {
		if _, err := w.tracker.AddRun(wandbtest.Run{Entity: entity, Project: name, ID: runName(n), State: "finished"}); err != nil {
			return err
		}
	}
	in := metav1.ObjectMeta{Namespace: name, Name: name}
	project := &v1alpha1.TrackingProject{ObjectMeta: in}
	project.Spec.Wandb = &v1alpha1.WandbProject{
		BaseURL: w.server.URL, Entity: entity, Project: name, APIKeySecretRef: v1alpha1.SecretKeyReference{Name: name, Key: "api-key"},
	}
	project.Spec.Import.Policy = v1alpha1.ImportNone
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		&corev1.Secret{ObjectMeta: in, StringData: map[string]string{"api-key": w.key}}, project,
	} {
		if err := w.Admin.Create(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

func (w *real) addObject(ctx context.Context, project string, n int, tags ...string) error {
	return w.Admin.Create(ctx, &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: project, Name: runName(n)},
		Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: project}, RunID: runName(n), Tags: tags},
	})
}

func (w *real) carries(project string, n int, tag string) bool {
	run, _ := w.tracker.Run(entity + "/" + project + "/" + runName(n))
	return slices.Contains(run.Tags, tag)
}

// expectReady waits until all projects of the cluster are.
func (w *real) expectReady(projects int) {
	w.t.Helper()
	w.must(stage.Await(w.t.Context(), "the projects", func(ctx context.Context) error {
		var list v1alpha1.TrackingProjectList
		if err := w.Admin.List(ctx, &list); err != nil {
			return err
		}
		ready := 0
		for _, p := range list.Items {
			if meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
		if ready != projects {
			return fmt.Errorf("%d are ready, want %d", ready, projects)
		}
		return nil
	}))
}

// each does something n times, many at once.
func each(ctx context.Context, n int, do func(ctx context.Context, n int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// edit labels a run with a new tag, and gives how long it took to get to the tracker.
func (w *real) edit(project string, n int, tag string) (time.Duration, error) {
	began := time.Now()
	run := &v1alpha1.TrainingRun{ObjectMeta: metav1.ObjectMeta{Namespace: project, Name: runName(n)}}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"tag.runtag.dev/%s":""}}}`, tag)
	if err := w.Admin.Patch(w.t.Context(), run, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		return 0, err
	}
	err := stage.Await(w.t.Context(), "tag "+tag, func(context.Context) error {
		if !w.carries(project, n, tag) {
			return errors.New("it is not on the run")
		}
		return nil
	})
	return time.Since(began), err
}
