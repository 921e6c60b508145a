package main

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/test/bench/report"
	"github.com/runtag/runtag/test/stage"
)

const (
	nodesProject = "nodes"
	// nodeFault is the tag of the shipped rule, and faultyCondition what it goes by.
	nodeFault       = "node-fault"
	faultyCondition = "XIDErrors"
	// podsTime is for all pods to run on simulated nodes.
	podsTime = 10 * time.Minute
)

// nodes is row 10: from a node's condition to the tag of a run whose pod is there.
func nodes(ctx context.Context, b *bench) (row report.Row, err error) {
	w := &nodesWorld{nodes: b.scaled(1_000), pods: b.scaled(10_000), changes: b.scaled(200)}
	if err := w.start(ctx, b); err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, w.close(ctx)) }()
	before, err := w.manager.HeapInUse(ctx)
	if err != nil {
		return row, err
	}
	b.say("   %d pods on %d nodes", w.pods, w.nodes)
	began := time.Now()
	if err := w.run(ctx); err != nil {
		return row, err
	}
	started := time.Since(began)
	after, err := w.manager.HeapInUse(ctx)
	if err != nil {
		return row, err
	}
	b.say("   %d changes of nodes", w.changes)
	took, err := w.change(ctx)
	if err != nil {
		return row, err
	}
	return report.Row{
		Checks: []report.Check{
			report.AtMost("half of the changes are on the tracker after", percentile(took, 50), 1, "s"),
			report.AtMost("99 of 100 changes are on the tracker after", percentile(took, 99), 5, "s"),
		},
		Figures: []report.Figure{
			{What: "the slowest change", Value: slices.Max(took), Unit: "s"},
			{What: "heap of the manager for each pod that it began to watch", Value: (after - before) / float64(w.pods), Unit: "bytes"},
			{What: "time until all pods ran", Value: started.Seconds(), Unit: "s"},
		},
		Plots: []report.Plot{{File: "nodes", Title: "From a node's condition to the tag on the tracker", X: "seconds", Y: "changes", Samples: took}},
		Notes: []string{fmt.Sprintf("%d simulated nodes with %d pods, which are put on their nodes as they are made, as the scheduler has no part in this; kwok has them run. "+
			"%d of them name their run by annotation, each on a node of its own. %d conditions %s=True are written one after the other, by %d writers; "+
			"the time is from the write to the tag of the shipped rule %s on the tracker, which is looked at every 20 ms.",
			w.nodes, w.pods, w.changes, w.changes, faultyCondition, nodeWriters, nodeFault)},
	}, nil
}

// nodeWriters is how many nodes change at the same time.
const nodeWriters = 2

// nodesWorld is a cluster with nodes and pods.
type nodesWorld struct {
	*cluster
	nodes, pods, changes int
}

// start makes a cluster with nodes, runs that are active, their TrainingRuns and a manager.
func (w *nodesWorld) start(ctx context.Context, b *bench) error {
	s, err := stage.New(ctx, stage.Options{Nodes: w.nodes, Log: func(format string, args ...any) { b.say("   "+format, args...) }})
	if err != nil {
		return err
	}
	c := &cluster{Stage: s, began: time.Now()}
	w.cluster = c
	c.tracker = wandbtest.New(wandbtest.WithAPIKey(trackerKey), wandbtest.WithHeartbeatTimeout(0), wandbtest.OnRequest(c.note))
	c.server = httptest.NewServer(c.tracker)
	c.raw, err = kubernetes.NewForConfig(s.Plane.RESTConfig())
	for i := 0; i < w.changes && err == nil; i++ {
		_, err = c.tracker.AddRun(wandbtest.Run{Entity: entity, Project: nodesProject, ID: runID(i), State: "running", CreatedAt: c.began})
	}
	if err == nil {
		err = c.addProject(ctx, nodesProject, func(spec *v1alpha1.TrackingProjectSpec) { spec.Interval.Duration = 30 * time.Second })
	}
	if err == nil {
		err = c.startManager(ctx)
	}
	if err != nil {
		return errors.Join(err, c.close(ctx))
	}
	return nil
}

// run makes the TrainingRuns and the pods, and waits until all run and the TrainingRuns have theirs.
func (w *nodesWorld) run(ctx context.Context) error {
	if err := w.addTrainingRuns(ctx, nodesProject, runIDs(w.changes)); err != nil {
		return err
	}
	if err := each(ctx, w.pods, editors, w.addPod); err != nil {
		return err
	}
	return stage.AwaitFor(ctx, "all pods to run and to be linked", podsTime, func(ctx context.Context) error {
		var pending corev1.PodList
		if err := w.Admin.List(ctx, &pending, client.InNamespace(nodesProject), client.MatchingFields{"status.phase": "Pending"}, client.Limit(1)); err != nil {
			return err
		}
		if len(pending.Items) > 0 {
			return pause(ctx, "pod %s is pending", pending.Items[0].Name)
		}
		var runs v1alpha1.TrainingRunList
		if err := w.Admin.List(ctx, &runs, client.InNamespace(nodesProject)); err != nil {
			return err
		}
		for i := range runs.Items {
			if len(runs.Items[i].Status.Pods) == 0 {
				return pause(ctx, "TrainingRun %s has no pod", runs.Items[i].Name)
			}
		}
		return nil
	})
}

// addPod makes a pod on the node of its number; the first ones name a run.
func (w *nodesWorld) addPod(ctx context.Context, i int) error {
	no := false
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: nodesProject, Name: fmt.Sprintf("train-%05d", i), Labels: map[string]string{"app": "train"}},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprintf("node-%d", i%w.nodes), RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: &no,
			Containers: []corev1.Container{{Name: "train", Image: "example.com/train:1"}},
		},
	}
	if i < w.changes {
		pod.Annotations = map[string]string{binding.RunKey: runID(i)}
	}
	if i > 0 {
		return w.Admin.Create(ctx, pod)
	}
	return stage.Await(ctx, "the namespace's ServiceAccount", func(ctx context.Context) error { return w.Admin.Create(ctx, pod) })
}

// change has one node after the other fail, and gives the seconds that each took to show on the tracker.
func (w *nodesWorld) change(ctx context.Context) (took []float64, err error) {
	var mu sync.Mutex
	err = each(ctx, w.changes, nodeWriters, func(ctx context.Context, i int) error {
		began := time.Now()
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i)}}
		patch := fmt.Sprintf(`{"status":{"conditions":[{"type":%q,"status":"True","reason":"Bench","lastTransitionTime":%q}]}}`, faultyCondition, began.UTC().Format(time.RFC3339))
		if err := w.Admin.Status().Patch(ctx, node, client.RawPatch(types.StrategicMergePatchType, []byte(patch))); err != nil {
			return err
		}
		if err := stage.Await(ctx, "the tag on run "+runID(i), func(context.Context) error {
			run, ok := w.tracker.Run(entity + "/" + nodesProject + "/" + runID(i))
			if !ok || !slices.Contains(run.Tags, nodeFault) {
				return fmt.Errorf("it has %q", run.Tags)
			}
			return nil
		}); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(began).Seconds())
		return nil
	})
	return took, err
}
