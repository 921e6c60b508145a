// Package soak_test runs the real manager under a random load for a long time, and looks at what it holds: heap,
// goroutines and open files have to stay at their level. Projects, runs, rules and tracker faults come and go, so what is
// not given back adds up. Its numbers are levels, never times.
package soak_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/stage"
)

const (
	key       = "canary-50ac50ac50ac50ac50ac50ac50ac50ac50ac50ac"
	projects  = 8 // at a time
	runs      = 20
	growth    = 1.10
	heapSlack = 8 << 20
	slack     = 25 // goroutines and descriptors: connections and their readers come and go
)

// sample is what the manager holds at one moment.
type sample struct{ heap, goroutines, files float64 }

func TestSoak(t *testing.T) {
	length, every := duration(t, "SOAK", 10*time.Second), duration(t, "SOAK_SAMPLE", 30*time.Second)
	every = min(every, length/3)
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // a seed is any number
	if text := os.Getenv("SOAK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SOAK_SEED: %v", err)
		}
	}
	t.Logf("SOAK=%s SOAK_SEED=%d", length, seed)
	w := newWorld(t, seed)
	w.warmUp()
	var samples []sample
	next := time.Now().Add(every)
	for end := time.Now().Add(length); time.Now().Before(end); {
		w.act()
		if time.Now().After(next) {
			next = next.Add(every)
			samples = append(samples, w.sample())
			t.Logf("%3d: %s", len(samples), samples[len(samples)-1])
		}
	}
	t.Logf("%d acts: %v", w.acts, w.did)
	facts.Record(t, facts.Fact{Part: "soak", What: "acts of people, SDKs, rules and the tracker in the soak", Value: float64(w.acts)})
	facts.Record(t, facts.Fact{Part: "soak", What: "length of the soak", Value: length.Minutes(), Unit: "min"})
	w.judge(samples)
	w.expectWorking()
	w.expectNoKey()
}

func (s sample) String() string {
	return fmt.Sprintf("heap %.1f MiB, %.0f goroutines, %.0f files", s.heap/(1<<20), s.goroutines, s.files)
}

// world is the stage, with what plays on it.
type world struct {
	t       *testing.T
	stage   *stage.Stage
	manager *stage.Manager
	tracker *wandbtest.Server
	url     string
	random  *rand.Rand

	acts, made int
	movedAt    time.Time // when a project came and another went
	did        map[string]int
	names      []string // of projects that are there; each has its namespace
}

// judge holds the last third against the first.
func (w *world) judge(samples []sample) {
	third := len(samples) / 3
	if third == 0 {
		w.t.Fatalf("%d samples, want at least 3", len(samples))
	}
	for _, of := range []struct {
		what  string
		unit  string
		slack float64
		value func(sample) float64
	}{
		{"heap", "bytes", heapSlack, func(s sample) float64 { return s.heap }},
		{"goroutines", "", slack, func(s sample) float64 { return s.goroutines }},
		{"open files", "", slack, func(s sample) float64 { return s.files }},
	} {
		median := func(list []sample) float64 {
			values := make([]float64, 0, len(list))
			for _, s := range list {
				values = append(values, of.value(s))
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		first, last := median(samples[:third]), median(samples[len(samples)-third:])
		w.t.Logf("%-10s first third %.0f, last third %.0f", of.what, first, last)
		facts.Record(w.t, facts.Fact{Part: "soak", What: of.what + " in the first third of the soak", Value: first, Unit: of.unit})
		facts.Record(w.t, facts.Fact{Part: "soak", What: of.what + " in the last third of the soak", Value: last, Unit: of.unit})
		if last > first*growth+of.slack {
			w.t.Errorf("%s: %.0f in the last third, %.0f in the first", of.what, last, first)
		}
	}
}

func duration(t *testing.T, variable string, otherwise time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return d
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	s, err := stage.New(t.Context(), stage.Options{Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, stage: s, did: map[string]int{}, random: rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // chance that can be repeated
		tracker: wandbtest.New(wandbtest.WithAPIKey(key), wandbtest.WithEntity("soak")),
	}
	server := httptest.NewServer(w.tracker)
	w.url = server.URL
	w.manager, err = s.StartManager(t.Context(), "--zap-log-level=debug")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.manager.Stop(); err != nil {
			t.Errorf("stop the manager: %v", err)
		}
		server.Close()
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("close the stage: %v", err)
		}
	})
	return w
}

// warmUp brings all that has a size to its size before the first sample.
func (w *world) warmUp() {
	for range projects {
		w.addProject()
	}
	w.expectWorking()
}

func (w *world) must(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%s: %v", what, err)
	}
}

// addProject makes a namespace with a Secret, a project and its runs.
func (w *world) addProject() {
	w.made++
	name := fmt.Sprintf("soak-%d", w.made)
	for n := range runs {
		_, err := w.tracker.AddRun(wandbtest.Run{Project: name, ID: fmt.Sprintf("run-%d", n), State: []string{"running", "finished"}[n%2], Tags: []string{"foreign"}})
		w.must("add a run to the tracker", err)
	}
	meta := metav1.ObjectMeta{Namespace: name, Name: name}
	objs := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		&corev1.Secret{ObjectMeta: meta, StringData: map[string]string{"api-key": key}},
		&v1alpha1.TrackingProject{ObjectMeta: meta, Spec: v1alpha1.TrackingProjectSpec{
			Wandb: &v1alpha1.WandbProject{
				BaseURL: w.url, Entity: "soak", Project: name, APIKeySecretRef: v1alpha1.SecretKeyReference{Name: name, Key: "api-key"},
			},
			Interval: metav1.Duration{Duration: time.Second}, FullInterval: metav1.Duration{Duration: 5 * time.Second},
		}},
		&v1alpha1.TagRule{ObjectMeta: meta, Spec: v1alpha1.TagRuleSpec{When: `run.state == "running"`, Tags: []string{"is-running"}, Retention: v1alpha1.RetentionWhileTrue}},
	}
	for n := range runs {
		objs = append(objs, w.newRun(name, n))
	}
	for _, obj := range objs {
		w.must("make "+obj.GetName(), w.stage.Admin.Create(w.t.Context(), obj))
	}
	w.names = append(w.names, name)
}

func (w *world) newRun(project string, n int) *v1alpha1.TrainingRun {
	id := fmt.Sprintf("run-%d", n)
	return &v1alpha1.TrainingRun{ObjectMeta: metav1.ObjectMeta{Namespace: project, Name: id}, Spec: v1alpha1.TrainingRunSpec{
		ProjectRef: v1alpha1.ProjectReference{Name: project}, RunID: id, Tags: []string{"declared"}, DeletionPolicy: v1alpha1.DeletionPolicyRemoveTags,
	}}
}

// removeProject takes away all of a project, but the namespace: nothing here would empty one.
func (w *world) removeProject(n int) {
	name := w.names[n]
	w.names = slices.Delete(w.names, n, n+1)
	ctx, in := w.t.Context(), client.InNamespace(name)
	for _, kind := range []client.Object{&v1alpha1.TrainingRun{}, &v1alpha1.TagRule{}, &v1alpha1.TagChange{}, &v1alpha1.TrackingProject{}, &corev1.Secret{}} {
		w.must("delete what is in "+name, w.stage.Admin.DeleteAllOf(ctx, kind, in))
	}
}

// act does one thing that somebody does.
func (w *world) act() {
	w.acts++
	name := w.names[w.random.IntN(len(w.names))]
	id := fmt.Sprintf("run-%d", w.random.IntN(runs))
	path := "soak/" + name + "/" + id
	tag := fmt.Sprintf("t%d", w.random.IntN(5))
	switch p := w.random.IntN(100); {
	case p < 40:
		w.did["labels"]++
		value := []string{`""`, "null"}[w.random.IntN(2)]
		w.patch(name, id, fmt.Sprintf(`{"metadata":{"labels":{"tag.runtag.dev/%s":%s}}}`, tag, value))
	case p < 55:
		w.did["spec"]++
		w.patch(name, id, fmt.Sprintf(`{"spec":{"tags":["declared","%s"]}}`, tag))
	case p < 75:
		w.did["tracker's page"]++
		_ = w.tracker.EditTags(path, []string{tag}, []string{"declared", "foreign"}[:w.random.IntN(2)]) // the run may be gone
	case p < 82:
		w.did["SDK"]++
		_, err := w.tracker.AddRun(wandbtest.Run{Project: name, ID: id, State: []string{"running", "failed", "finished"}[w.random.IntN(3)], Tags: []string{"foreign"}})
		w.must("replace a run", err)
	case p < 88:
		w.did["object made again"]++
		run := &v1alpha1.TrainingRun{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: id}}
		w.must("delete a run", client.IgnoreNotFound(w.stage.Admin.Delete(w.t.Context(), run)))
		if err := w.stage.Admin.Create(w.t.Context(), w.newRun(name, w.random.IntN(runs))); err != nil && !apierrors.IsAlreadyExists(err) {
			w.must("make a run", err)
		}
	case p < 93:
		w.did["tracker fault"]++
		w.tracker.SetFaults(w.faults())
	case p < 96:
		w.did["bulk change"]++
		w.must("make a bulk change", w.stage.Admin.Create(w.t.Context(), &v1alpha1.TagChange{
			ObjectMeta: metav1.ObjectMeta{Namespace: name, GenerateName: "change-"}, Spec: v1alpha1.TagChangeSpec{
				ProjectRef: v1alpha1.ProjectReference{Name: name}, Select: &v1alpha1.RunSelection{All: true}, Add: []string{tag}, Apply: true,
			},
		}))
	case time.Since(w.movedAt) > time.Minute: // the manager keeps the connection of one that is gone for 15 minutes
		w.did["project"]++
		w.movedAt = time.Now()
		w.removeProject(w.random.IntN(len(w.names)))
		w.addProject()
	}
}

// faults breaks the tracker now and then.
func (w *world) faults() wandbtest.Faults {
	bad := []wandbtest.Fault{
		{Rate: 0.3, Status: 500}, {Rate: 0.3, Drop: "after"}, {Rate: 0.3, Drop: "middle"}, {Rate: 0.2, Truncate: 20}, {Rate: 0.1, LoginPage: true},
		{Rate: 0.1, Status: 429, Headers: map[string]string{"Retry-After": "1"}}, {Latency: wandbtest.Duration{Duration: 100 * time.Millisecond}},
	}
	if n := w.random.IntN(2 * len(bad)); n < len(bad) {
		return wandbtest.Faults{Faults: bad[n : n+1], Seed: w.random.Uint64()}
	}
	return wandbtest.Faults{}
}

func (w *world) patch(namespace, name, patch string) {
	run := &v1alpha1.TrainingRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	err := w.stage.Admin.Patch(w.t.Context(), run, client.RawPatch("application/merge-patch+json", []byte(patch)))
	w.must("edit a run", client.IgnoreNotFound(err))
}

func (w *world) sample() sample {
	ctx := w.t.Context()
	heap, err := w.manager.HeapInUse(ctx)
	w.must("read the heap", err)
	m, err := w.manager.Metrics(ctx)
	w.must("read the metrics", err)
	return sample{heap: heap, goroutines: m.Sum("go_goroutines", nil), files: m.Sum("process_open_fds", nil)}
}

// retried is when a change is tried again that kept failing while the tracker did not work: after 5 minutes, and some more
// for what follows from it.
const retried = 7 * time.Minute

// expectWorking waits until what is declared is on every run of the projects, now that the tracker works.
func (w *world) expectWorking() {
	w.tracker.SetFaults(wandbtest.Faults{})
	w.must("wait for the tags", stage.AwaitFor(w.t.Context(), "the tags", retried, func(ctx context.Context) error {
		for _, name := range w.names {
			var list v1alpha1.TrainingRunList
			if err := w.stage.Admin.List(ctx, &list, client.InNamespace(name)); err != nil {
				return err
			}
			for _, r := range list.Items {
				found, ok := w.tracker.Run("soak/" + name + "/" + r.Spec.RunID)
				if ok && r.DeletionTimestamp.IsZero() && !slices.Contains(found.Tags, "declared") {
					return fmt.Errorf("run %s/%s has %q; its conditions are %+v", name, r.Name, found.Tags, r.Status.Conditions)
				}
			}
		}
		return nil
	}))
}

// expectNoKey looks for the key in the log, the metrics, the events and the objects.
func (w *world) expectNoKey() {
	ctx := w.t.Context()
	shown, err := w.manager.Said()
	w.must("read the log", err)
	for _, kind := range []string{"events.events.k8s.io", "trainingruns", "trackingprojects", "tagrules", "tagchanges", "configmaps"} {
		out, err := w.stage.Kubectl(ctx, "", "get", kind, "--all-namespaces", "-o", "json")
		w.must("get "+kind, err)
		shown += out
	}
	m, err := w.manager.Metrics(ctx)
	w.must("read the metrics", err)
	shown += fmt.Sprint(m)
	if strings.Contains(shown, key) || strings.Contains(shown, key[:16]) {
		w.t.Error("the key of the tracker is shown")
	}
}
