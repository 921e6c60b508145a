package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/test/stage"
)

const (
	projectName = "capsules"
	secretName  = "wandb"
	secretKey   = "api-key"
	labelPrefix = "tag.runtag.dev/"
	// anotherUID is of no run here.
	anotherUID = "another run"
)

// world is a namespace with a project on a tracker of its own, and what people want of its runs.
type world struct {
	*tracker
	namespace string
	// key is what the tracker takes and the Secret holds.
	key string
	// want is which tags of ours each run is to have, beside the foreign one.
	want map[string][]string
}

var worlds int

// newWorld makes namespace, Secret, project and n runs, each with a TrainingRun without tags.
func newWorld(t *testing.T, n int, changes ...func(*v1alpha1.TrackingProject)) *world {
	t.Helper()
	worlds++
	w := &world{key: fmt.Sprintf("%040d", worlds), namespace: fmt.Sprintf("faults-%d", worlds), want: map[string][]string{}}
	w.tracker = newTracker(t, w.key, rotatedKey)
	must(t, cluster.Admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}}))
	must(t, cluster.Admin.Create(t.Context(), w.secret(w.key)))
	for i := range n {
		w.addRun(t, runID(i))
	}
	must(t, cluster.Admin.Create(t.Context(), w.project(changes...)))
	for i := range n {
		must(t, cluster.Admin.Create(t.Context(), w.run(runID(i))))
	}
	t.Cleanup(func() { w.rest(t) })
	return w
}

func runID(i int) string { return fmt.Sprintf("run-%03d", i) }

func (w *world) secret(key string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: secretName}, StringData: map[string]string{secretKey: key}}
}

func (w *world) project(changes ...func(*v1alpha1.TrackingProject)) *v1alpha1.TrackingProject {
	p := &v1alpha1.TrackingProject{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: projectName}}
	p.Spec.Wandb = &v1alpha1.WandbProject{
		BaseURL: w.url, Entity: entity, Project: projectName, APIKeySecretRef: v1alpha1.SecretKeyReference{Name: secretName, Key: secretKey},
	}
	p.Spec.Interval.Duration, p.Spec.FullInterval.Duration = time.Second, 3*time.Second
	for _, change := range changes {
		change(p)
	}
	return p
}

func (w *world) run(id string, tags ...string) *v1alpha1.TrainingRun {
	return &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: id},
		Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: projectName}, RunID: id, Tags: tags},
	}
}

func (w *world) addRun(t *testing.T, id string, tags ...string) {
	t.Helper()
	_, err := w.AddRun(wandbtest.Run{Entity: entity, Project: projectName, ID: id, State: "finished", Tags: append([]string{foreign}, tags...)})
	must(t, err)
	w.want[id] = []string{}
}

// rest ends all requests for the world, so that the next one has the machine for itself.
func (w *world) rest(t *testing.T) {
	t.Helper()
	w.expectForeignKept(t)
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"suspend":true}}`))
	p := &v1alpha1.TrackingProject{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: projectName}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := client.IgnoreNotFound(cluster.Admin.Patch(ctx, p, patch)); err != nil {
		t.Error(err)
	}
}

// label declares a tag by a label, or takes the label off, as often as it takes to reach the API server.
func (w *world) label(t *testing.T, id, tag string, on bool) {
	t.Helper()
	value := "null"
	if on {
		value = `""`
	}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, labelPrefix+tag, value))
	must(t, stage.Await(t.Context(), "label "+id, func(ctx context.Context) error { return cluster.Admin.Patch(ctx, w.run(id), patch) }))
	w.wants(id, tag, on)
}

// wants notes what people want.
func (w *world) wants(id, tag string, on bool) {
	w.want[id] = slices.DeleteFunc(w.want[id], func(have string) bool { return have == tag })
	if on {
		w.want[id] = append(w.want[id], tag)
	}
}

func (w *world) get(ctx context.Context, id string) (*v1alpha1.TrainingRun, error) {
	run := &v1alpha1.TrainingRun{}
	return run, cluster.Admin.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: id}, run)
}

func (w *world) tagsOf(id string) []string {
	run, _ := w.Server.Run(wandbtest.Run{Entity: entity, Project: projectName, ID: id}.Path())
	return slices.Sorted(slices.Values(run.Tags))
}

// expectAll waits until both sides show what people want, of all runs.
func (w *world) expectAll(t *testing.T) {
	t.Helper()
	var wrong []error
	must(t, stage.Await(t.Context(), "what people want of "+w.namespace, func(ctx context.Context) error {
		var objects v1alpha1.TrainingRunList
		if err := cluster.Admin.List(ctx, &objects, client.InNamespace(w.namespace)); err != nil {
			return errors.Join(append(wrong, err)...) // with what was wrong last
		}
		wrong = nil
		if len(objects.Items) != len(w.want) {
			wrong = append(wrong, fmt.Errorf("%d TrainingRuns, want %d", len(objects.Items), len(w.want)))
		}
		for i := range objects.Items {
			wrong = append(wrong, w.check(&objects.Items[i]))
		}
		return errors.Join(wrong...)
	}))
	w.expectForeignKept(t)
}

// check says what of one run is not as people want it.
func (w *world) check(run *v1alpha1.TrainingRun) error {
	id := run.Spec.RunID
	want := slices.Sorted(slices.Values(append([]string{foreign}, w.want[id]...)))
	if got := w.tagsOf(id); !slices.Equal(got, want) {
		return fmt.Errorf("%s has the tags %q on the tracker, want %q", id, got, want)
	}
	if run.Status.Run == nil || run.Status.Run.UID == anotherUID {
		return fmt.Errorf("the status of %s is about another run: %+v", id, run.Status.Run)
	}
	var labelled []string
	for label := range maps.Keys(run.Labels) {
		if tag, ok := strings.CutPrefix(label, labelPrefix); ok {
			labelled = append(labelled, tag)
		}
	}
	slices.Sort(labelled)
	if !slices.Equal(labelled, want) {
		return fmt.Errorf("%s has the tag labels %q, want %q", id, labelled, want)
	}
	ready := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue || run.Status.ObservedGeneration != run.Generation {
		return fmt.Errorf("%s is not ready: %+v", id, ready)
	}
	return nil
}

// expectLabel checks that a tag is labelled as one that is on the run and nobody declared here.
func (w *world) expectLabel(t *testing.T, id, tag string) {
	t.Helper()
	run, err := w.get(t.Context(), id)
	must(t, err)
	if run.Labels[labelPrefix+tag] != "run" {
		t.Errorf("%s has the labels %v, want one for %s", id, run.Labels, tag)
	}
}

// expectTags waits for the tags of one run on the tracker, in order.
func (w *world) expectTags(t *testing.T, id string, want ...string) {
	t.Helper()
	must(t, stage.Await(t.Context(), "tags of "+id, func(context.Context) error {
		if got := w.tagsOf(id); !slices.Equal(got, want) {
			return fmt.Errorf("they are %q, want %q", got, want)
		}
		return nil
	}))
}

func (w *world) setDeletionPolicy(t *testing.T, id string, policy v1alpha1.DeletionPolicy) {
	t.Helper()
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"deletionPolicy":%q}}`, policy))
	must(t, cluster.Admin.Patch(t.Context(), w.run(id), patch))
	must(t, stage.Await(t.Context(), "the finalizer of "+id, func(ctx context.Context) error {
		run, err := w.get(ctx, id)
		if err == nil && !slices.Contains(run.Finalizers, v1alpha1.Finalizer) {
			err = errors.New("it is not there")
		}
		return err
	}))
}

// expectProject waits for a reason of the project's condition Ready.
func (w *world) expectProject(t *testing.T, reason string) {
	t.Helper()
	must(t, stage.Await(t.Context(), "project of "+w.namespace, func(ctx context.Context) error {
		p := w.project()
		if err := cluster.Admin.Get(ctx, client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || ready.Reason != reason {
			return fmt.Errorf("Ready is %+v, want reason %s", ready, reason)
		}
		return nil
	}))
}

// expectGone waits until an object is gone.
func expectGone(t *testing.T, limit time.Duration, object client.Object) {
	t.Helper()
	must(t, stage.AwaitFor(t.Context(), object.GetName()+" goes", limit, func(ctx context.Context) error {
		err := cluster.Admin.Get(ctx, client.ObjectKeyFromObject(object), object)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err == nil:
			return errors.New("it is still there")
		}
		return err
	}))
}
