package plugin_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/kubernetes/scheme"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/controlplane"
	"github.com/runtag/runtag/internal/plugin"
)

// patience is how long a command may take that waits for the operator.
const patience = time.Minute

// now is the time of the plugin's clock.
var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// stage is a real API server with runtag's types, on which each test has a namespace of its own.
type stage struct {
	plane  *controlplane.ControlPlane
	client client.WithWatch
}

// TestPlugin runs all tests that need an API server.
func TestPlugin(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	s := &stage{plane: controlplane.StartForTest(t)}
	if err := controlplane.InstallCRDs(t.Context(), s.plane.RESTConfig(), "../../config/crd/bases"); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(scheme.Scheme); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.client, err = client.NewWithWatch(s.plane.RESTConfig(), client.Options{Scheme: scheme.Scheme}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		run  func(*testing.T, *scene)
	}{
		{"names", testNames},
		{"add and rm", testAddAndRemove},
		{"mlflow", testMLflow},
		{"selections", testSelections},
		{"dry runs", testDryRuns},
		{"conflicts", testConflicts},
		{"rename", testRename},
		{"waiting", testWaiting},
		{"waiting in vain", testWaitingInVain},
		{"roles", testRoles},
		{"look", testLook},
		{"lists", testLists},
		{"counts", testCounts},
		{"change on the tracker", testChange},
		{"change that is refused", testChangeRefused},
		{"change that nobody agrees to", testChangeDeclined},
		{"change that is left to itself", testChangeLeft},
		{"undo", testUndo},
		{"the tracker's runs", testTracker},
		{"completion", testCompletion},
		{"why", testWhy},
		{"plan pending", testPlanPending},
		{"plan files", testPlanFiles},
		{"plan rules", testPlanRules},
		{"export", testExport},
		{"rule test", testRuleTest},
		{"rule fixtures", testFixtures},
		{"rule list", testRuleList},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, s.scene(t, test.name)) })
	}
}

// scene is one test's namespace.
type scene struct {
	*stage
	t         *testing.T
	namespace string
}

func (s *stage) scene(t *testing.T, name string) *scene {
	t.Helper()
	c := &scene{stage: s, t: t, namespace: strings.NewReplacer(" ", "-", "'", "").Replace(name)}
	c.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.namespace}})
	return c
}

func (c *scene) create(object client.Object, options ...client.CreateOption) {
	c.t.Helper()
	if err := c.client.Create(c.t.Context(), object, options...); err != nil {
		c.t.Fatal(err)
	}
}

// project makes a TrackingProject, on MLflow if that is said.
func (c *scene) project(name string, options ...func(*v1alpha1.TrackingProject)) {
	c.t.Helper()
	p := &v1alpha1.TrackingProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name},
		Spec: v1alpha1.TrackingProjectSpec{
			Wandb:    &v1alpha1.WandbProject{Entity: "acme", Project: name, APIKeySecretRef: v1alpha1.SecretKeyReference{Name: "wandb", Key: "api-key"}},
			Interval: metav1.Duration{Duration: time.Minute}, FullInterval: metav1.Duration{Duration: time.Minute},
			Import: v1alpha1.ImportSpec{TTLAfterFinished: metav1.Duration{Duration: time.Hour}},
		},
	}
	for _, option := range options {
		option(p)
	}
	c.create(p)
}

func onMLflow(p *v1alpha1.TrackingProject) {
	p.Spec.Wandb, p.Spec.MLflow = nil, &v1alpha1.MLflowProject{TrackingURI: "https://mlflow.example", Experiments: []string{"e"}}
}

// run makes a TrainingRun capsules-ID with a status, as the operator would.
func (c *scene) run(id string, options ...func(*v1alpha1.TrainingRun)) *v1alpha1.TrainingRun {
	c.t.Helper()
	created := metav1.NewTime(now.Add(-time.Hour))
	r := &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "capsules-" + id},
		Spec:       v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: "capsules"}, RunID: id},
		Status: v1alpha1.TrainingRunStatus{ObservedDeclarations: "1", Run: &v1alpha1.RunStatus{
			ID: id, State: "finished", URL: "https://wandb.ai/acme/capsules/runs/" + id, CreatedAt: &created,
		}},
	}
	for _, option := range options {
		option(r)
	}
	status := r.Status.DeepCopy()
	c.create(r, client.FieldOwner("argocd-controller"))
	r.Status = *status
	if err := c.client.Status().Update(c.t.Context(), r, client.FieldOwner("runtag")); err != nil {
		c.t.Fatal(err)
	}
	return r
}

// tagged puts a tag into the status, and its label on.
func tagged(name string, source v1alpha1.TagSource) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) {
		label := map[v1alpha1.TagSource]string{v1alpha1.TagSourceSpec: "spec", v1alpha1.TagSourceRun: "run", v1alpha1.TagSourceLabel: ""}[source]
		mirrored := !strings.ContainsAny(name, " =/")
		if mirrored {
			if r.Labels == nil {
				r.Labels = map[string]string{}
			}
			r.Labels["tag.runtag.dev/"+name] = label
		}
		if source == v1alpha1.TagSourceSpec {
			r.Spec.Tags = append(r.Spec.Tags, name)
		}
		r.Status.Tags = append(r.Status.Tags, v1alpha1.TagStatus{Name: name, Source: source, Since: metav1.NewTime(now), Present: true, Mirrored: mirrored, ByLabel: mirrored && source == v1alpha1.TagSourceLabel})
		r.Status.TagCount++
	}
}

func inState(state string) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) { r.Status.Run.State = state }
}

// get reads a TrainingRun.
func (c *scene) get(name string) *v1alpha1.TrainingRun {
	c.t.Helper()
	var r v1alpha1.TrainingRun
	if err := c.client.Get(c.t.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, &r); err != nil {
		c.t.Fatal(err)
	}
	return &r
}

// said is what came of a command.
type said struct {
	code     int
	out, err string
}

// command runs the plugin as a process would, in the scene's namespace.
func (c *scene) command(args ...string) said {
	c.t.Helper()
	return c.commandWith(c.t.Context(), strings.NewReader(""), c.plane.KubeconfigPath(), args...)
}

func (c *scene) commandWith(ctx context.Context, in io.Reader, kubeconfig string, args ...string) said {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out, err bytes.Buffer
	code := plugin.Main(ctx, plugin.Frame{
		IOStreams: genericiooptions.IOStreams{In: in, Out: &out, ErrOut: &err},
		Clock:     testclock.NewFakePassiveClock(now), Getenv: func(string) string { return "" }, Version: "test",
	}, append([]string{"--kubeconfig", kubeconfig, "-n", c.namespace}, args...))
	return said{code: code, out: out.String(), err: err.String()}
}

// expect runs a command and compares what it says.
func (c *scene) expect(reason string, want said, args ...string) {
	c.t.Helper()
	got := c.command(args...)
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(said{})); diff != "" {
		c.t.Errorf("%s\nkubectl runtag %s (-want +got):\n%s", reason, strings.Join(args, " "), diff)
	}
}

// expectLabels compares a TrainingRun's labels of tags.
func (c *scene) expectLabels(name string, want map[string]string) {
	c.t.Helper()
	got := map[string]string{}
	for key, value := range c.get(name).Labels {
		got[strings.TrimPrefix(key, "tag.runtag.dev/")] = value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		c.t.Errorf("labels of %s (-want +got):\n%s", name, diff)
	}
}

func lines(text ...string) string { return strings.Join(text, "\n") + "\n" }

func (s said) String() string { return fmt.Sprintf("exit %d\n%s%s", s.code, s.out, s.err) }
