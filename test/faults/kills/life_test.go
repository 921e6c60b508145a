package kills_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
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
	"github.com/runtag/runtag/test/faults/calls/endstate"
	"github.com/runtag/runtag/test/stage"
)

const (
	entity      = "acme"
	projectName = "capsules"
	champion    = "champion" // a unique tag
	// foreign is a tag that nobody on our side names; all runs begin with it, and it has to stay.
	foreign = "theirs"
	// quiet is for how long the state stands still at the end.
	quiet = 5 * time.Second
)

// life is one story: a namespace, a tracker, and what people do there.
type life struct {
	op        *operator
	namespace string
	server    *httptest.Server
	tracker   *wandbtest.Server
	watch     *watcher
}

var lives int

func newLife(t *testing.T, op *operator) *life {
	t.Helper()
	lives++
	l := &life{op: op, namespace: fmt.Sprintf("life-%d", lives), watch: &watcher{op: op}}
	l.tracker = wandbtest.New(wandbtest.WithEntity(entity), wandbtest.WithHeartbeatTimeout(0), wandbtest.OnRequest(l.watch.request))
	l.watch.tracker = l.tracker
	l.server = httptest.NewServer(l.tracker)
	t.Cleanup(l.server.Close)
	return l
}

// live plays the story, with a kill if there is one.
func (l *life) live(t *testing.T, k *kill) {
	t.Helper()
	l.watch.kill = k
	l.begin(t)
	l.await(t, "a", "bad", "base", champion)
	l.await(t, "c", "gone")
	l.edit(t, "b", `{"metadata":{"labels":{"tag.runtag.dev/good":""}}}`)
	l.await(t, "b", "good")
	l.edit(t, "b", `{"spec":{"tags":["champion"]}}`)
	l.edit(t, "a", `{"spec":{"tags":["other"]}}`)
	l.await(t, "a", "bad", "other")
	l.await(t, "b", champion, "good")
	l.edit(t, "b", `{"metadata":{"labels":{"tag.runtag.dev/good":null}}}`)
	l.edit(t, "a", `{"spec":{"excludeTags":["bad"]}}`)
	l.delete(t, "c")
	l.await(t, "a", "other")
	l.await(t, "b", champion)
	l.await(t, "c")
	l.create(t, &v1alpha1.TagChange{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: "fix"},
		Spec: v1alpha1.TagChangeSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: projectName}, Apply: true,
			Select: &v1alpha1.RunSelection{Tags: []string{"debug"}}, Rename: []v1alpha1.TagRename{{From: "debug", To: "wip"}},
		},
	})
	l.await(t, "d", "wip")
	l.edit(t, "a", `{"metadata":{"labels":null,"annotations":null}}`)
	l.eventually(t, "the labels of a come back", func(ctx context.Context) error {
		run := l.run("a")
		if err := l.op.stage.Admin.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil {
			return err
		}
		if len(run.Labels) == 0 {
			return errors.New("there are none")
		}
		return nil
	})
}

// begin makes all that there is at first.
func (l *life) begin(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(cancel)
	if err := l.watch.writes(ctx, l.op.stage.Admin, l.namespace); err != nil {
		t.Fatal(err)
	}
	for _, run := range []wandbtest.Run{{ID: "a", Tags: []string{"bad"}}, {ID: "b"}, {ID: "c"}, {ID: "d", Tags: []string{"debug"}}} {
		run.Entity, run.Project, run.State, run.Tags = entity, projectName, "finished", append(run.Tags, foreign)
		if _, err := l.tracker.AddRun(run); err != nil {
			t.Fatal(err)
		}
	}
	project := l.project()
	project.Spec = v1alpha1.TrackingProjectSpec{
		Wandb: &v1alpha1.WandbProject{
			BaseURL: l.server.URL, Entity: entity, Project: projectName,
			APIKeySecretRef: v1alpha1.SecretKeyReference{Name: "wandb", Key: "api-key"},
		},
		UniqueTags:   []string{champion},
		Interval:     metav1.Duration{Duration: time.Second},
		FullInterval: metav1.Duration{Duration: 2 * time.Second},
		Import:       v1alpha1.ImportSpec{Policy: v1alpha1.ImportNone},
	}
	c := l.run("c", "gone")
	c.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags
	for _, obj := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.namespace}},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: "wandb"}, StringData: map[string]string{"api-key": strings.Repeat("0", 40)},
		},
		project, l.run("a", "base", champion), l.run("b"), c,
	} {
		l.create(t, obj)
	}
}

func (l *life) project() *v1alpha1.TrackingProject {
	return &v1alpha1.TrackingProject{ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: projectName}}
}

func (l *life) run(id string, tags ...string) *v1alpha1.TrainingRun {
	return &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, Name: id},
		Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: projectName}, RunID: id, Tags: tags},
	}
}

func (l *life) create(t *testing.T, obj client.Object) {
	t.Helper()
	if err := l.op.stage.Admin.Create(t.Context(), obj); err != nil {
		t.Fatalf("create %T %s: %v", obj, obj.GetName(), err)
	}
}

func (l *life) edit(t *testing.T, id, patch string) {
	t.Helper()
	if err := l.op.stage.Admin.Patch(t.Context(), l.run(id), client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner("kubectl-edit")); err != nil {
		t.Fatalf("edit %s: %v", id, err)
	}
}

func (l *life) delete(t *testing.T, id string) {
	t.Helper()
	if err := l.op.stage.Admin.Delete(t.Context(), l.run(id)); err != nil {
		t.Fatalf("delete %s: %v", id, err)
	}
}

// await waits until a run carries these tags and the foreign one, and its object, if there is one to stay, is Ready.
func (l *life) await(t *testing.T, id string, tags ...string) {
	t.Helper()
	want := slices.Sorted(slices.Values(append(tags, foreign)))
	l.eventually(t, fmt.Sprintf("run %s has the tags %q", id, want), func(ctx context.Context) error {
		on, _ := l.tracker.Run(wandbtest.Run{Entity: entity, Project: projectName, ID: id}.Path())
		if have := slices.Sorted(slices.Values(on.Tags)); !slices.Equal(have, want) {
			return fmt.Errorf("it has %q", have)
		}
		run := l.run(id)
		err := l.op.stage.Admin.Get(ctx, client.ObjectKeyFromObject(run), run)
		switch {
		case apierrors.IsNotFound(err):
			return nil
		case err != nil:
			return err
		case !run.DeletionTimestamp.IsZero():
			return errors.New("its TrainingRun is still there")
		case run.Status.ObservedGeneration != run.Generation || !meta.IsStatusConditionTrue(run.Status.Conditions, v1alpha1.ConditionReady):
			return fmt.Errorf("its TrainingRun is not Ready: %+v", run.Status.Conditions)
		}
		return nil
	})
}

// eventually waits for something, checks meanwhile that nothing foreign goes, and starts a manager where one was killed.
func (l *life) eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	err := stage.Await(t.Context(), what, func(ctx context.Context) error {
		for _, run := range l.tracker.Runs(entity, projectName) {
			if !slices.Contains(run.Tags, foreign) {
				t.Fatalf("%s: the foreign tag of run %s is gone", l.namespace, run.ID)
			}
		}
		if err := l.watch.trouble(); err != nil {
			t.Fatalf("kill the manager: %v", err)
		}
		if err := l.op.ensure(ctx); err != nil {
			t.Fatalf("start another manager: %v", err)
		}
		return check(ctx)
	})
	if err != nil {
		t.Fatalf("%s: %v", l.namespace, err)
	}
}

func (l *life) state(ctx context.Context) (endstate.State, error) {
	return endstate.Of(ctx, endstate.Scene{
		Client: l.op.stage.Admin, Namespace: l.namespace, Tracker: l.tracker, Entity: entity, Project: projectName, Loose: true,
		Replace: []string{l.namespace, "NAMESPACE", l.server.URL, "URL"},
	})
}

// rest waits until the state stands still, gives it, and suspends the project.
func (l *life) rest(t *testing.T) endstate.State {
	t.Helper()
	var last endstate.State
	var since time.Time
	l.eventually(t, "all is at rest", func(ctx context.Context) error {
		now, err := l.state(ctx)
		if err != nil {
			return err
		}
		if diff := last.Diff(now); diff != "" {
			last, since = now, time.Now()
			return fmt.Errorf("something changed:\n%s", diff)
		}
		if time.Since(since) < quiet {
			return errors.New("it has only just changed")
		}
		return nil
	})
	l.end(t)
	return last
}

// expect waits until the state is that of another life, and suspends the project.
func (l *life) expect(t *testing.T, want endstate.State) {
	t.Helper()
	diff := ""
	l.eventually(t, "the end is that of a life without a kill", func(ctx context.Context) error {
		now, err := l.state(ctx)
		if err != nil {
			return fmt.Errorf("%w; before that it differed:\n%s", err, diff)
		}
		if diff = want.Diff(now); diff != "" {
			return fmt.Errorf("it differs:\n%s", diff)
		}
		return nil
	})
	l.end(t)
}

// end leaves the machine to the next life.
func (l *life) end(t *testing.T) {
	t.Helper()
	if err := l.op.stage.Admin.Patch(t.Context(), l.project(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"suspend":true}}`))); err != nil {
		t.Fatalf("suspend the project: %v", err)
	}
}
