package sample

import (
	"context"
	"fmt"
	"runtime"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/tags"
)

// Heap is what is alive on the heap, in bytes.
func Heap() float64 {
	runtime.GC()
	runtime.GC() // what the first one finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// heldBy gives the bytes of heap that each of n objects leaves in what holds them.
func heldBy(n int, holder any, add func(i int)) float64 {
	add(0) // decoders have caches of their own
	before := Heap()
	for i := range n {
		add(i + 1)
	}
	each := (Heap() - before) / float64(n)
	runtime.KeepAlive(holder)
	return each
}

// PodHeap is the bytes of heap for each of n pods that were seen.
func PodHeap(n int, pod func(int) *corev1.Pod) float64 {
	s := evidence.New(evidence.Options{Clock: clock.RealClock{}, Keys: binding.Keys})
	return heldBy(n, s, func(i int) { s.SeePod(evidence.PodOf(decoded(pod(i)))) })
}

// Mixed is the pod of an indexed Job or a replica, in turns.
func Mixed(i int) *corev1.Pod {
	if i%2 == 0 {
		return Replica(i)
	}
	return JobPod(i)
}

// NodeHeap is the bytes of heap for each of n nodes that were seen.
func NodeHeap(n int) float64 {
	s := evidence.New(evidence.Options{Clock: clock.RealClock{}})
	return heldBy(n, s, func(i int) { s.SeeNode(evidence.NodeOf(decoded(Node(fmt.Sprintf("node-%05d", i))))) })
}

// RunHeap is the bytes of heap for each of n idle TrainingRuns with five tags: in the cache that the controllers read from,
// with its indexes, in the snapshot, and in the index of runs by pods. What the controllers remember of a TrainingRun
// between two passes is not among it.
func RunHeap(n int) (float64, error) {
	indexes := indexers{}
	if err := trainingrun.AddIndexes(context.Background(), indexes); err != nil {
		return 0, err
	}
	cache, shot := toolscache.NewIndexer(toolscache.DeletionHandlingMetaNamespaceKeyFunc, toolscache.Indexers(indexes)), snapshot.New()
	bound := binding.NewIndex(evidence.New(evidence.Options{Clock: clock.RealClock{}}))
	var failed error
	each := heldBy(n, []any{cache, shot, bound}, func(i int) {
		object, err := trainingrun.StripManagedFields(decoded(TrainingRun(i)))
		if err == nil {
			err = cache.Add(object)
		}
		if err != nil {
			failed = err
		}
		run := TrackerRun(i)
		shot.TrackID(run.ID)
		shot.ReadByID(Start, nil, []backend.Run{run})
		bound.Set(binding.Run{
			Object: types.NamespacedName{Namespace: namespaceOf(i), Name: run.ID}, Tracker: "wandb", URL: "https://api.wandb.ai", Entity: "acme", Project: "capsules",
			ID: run.ID, UID: run.UID, Host: run.Host, CreatedAt: run.CreatedAt, HeartbeatAt: run.HeartbeatAt, Done: true, EndedAt: run.FinishedAt,
		})
	})
	return each, failed
}

// indexers gathers field indexes in the form that controller-runtime gives them: each value within the namespace, and over
// all of them.
type indexers toolscache.Indexers

// IndexField keeps one.
func (x indexers) IndexField(_ context.Context, _ client.Object, field string, extract client.IndexerFunc) error {
	x[toolscache.NamespaceIndex] = toolscache.MetaNamespaceIndexFunc
	x["field:"+field] = func(in any) (keys []string, err error) {
		object, ok := in.(client.Object)
		if !ok {
			return nil, fmt.Errorf("a %T is no object", in)
		}
		for _, value := range extract(object) {
			keys = append(keys, object.GetNamespace()+"/"+value, "__all_namespaces/"+value)
		}
		return keys, nil
	}
	return nil
}

// perNamespace is how many TrainingRuns a namespace has.
const perNamespace = 50

func namespaceOf(i int) string { return fmt.Sprintf("team-%04d", i/perNamespace) }

func runID(i int) string { return fmt.Sprintf("run-%06d", i) }

// fiveTags are those of each TrainingRun here.
func fiveTags(i int) []string {
	return []string{"baseline", "nightly", fmt.Sprintf("sweep-%d", i/perNamespace), "team.vision", "v2.1"}
}

// TrackerRun is a run of a tracker as a list gives it, with strings of its own.
func TrackerRun(i int) backend.Run {
	run := backend.Run{
		ID: runID(i), Handle: fmt.Sprintf("UnVuOnYxOnJ1bi0lMDZkOmNhcHN1bGVzOmFjbWU6%06d", i), UID: fmt.Sprintf("%020d", i), Name: fmt.Sprintf("glowing-sweep-%d", i),
		URL: "https://wandb.ai/acme/capsules/runs/" + runID(i), State: backend.StateFinished,
		CreatedAt: at(i), HeartbeatAt: at(i + 3600), FinishedAt: at(i + 3600), Host: fmt.Sprintf("train-%d-0-x7k2p", i), User: string([]byte("ada")), Tags: tags.Set{},
	}
	for _, tag := range fiveTags(i) {
		run.Tags[string([]byte(tag))] = ""
	}
	return run
}

// TrainingRun is the object of TrackerRun as the operator leaves it: in sync, with all it writes.
func TrainingRun(i int) *v1alpha1.TrainingRun {
	run, created, finished := TrackerRun(i), stamp(i), stamp(i+3600)
	o := &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespaceOf(i), Name: run.ID, UID: types.UID(fmt.Sprintf("0c7d1f0e-51a1-4be7-9f4d-%012d", i)), ResourceVersion: fmt.Sprint(100_000 + i),
			Generation: 1, CreationTimestamp: created, Labels: map[string]string{"tracking.runtag.dev/project": "capsules", "tracking.runtag.dev/run-id": run.ID},
		},
		Spec: v1alpha1.TrainingRunSpec{ProjectRef: v1alpha1.ProjectReference{Name: "capsules"}, RunID: run.ID, Tags: fiveTags(i)},
		Status: v1alpha1.TrainingRunStatus{
			ObservedGeneration: 1, ObservedDeclarations: fmt.Sprintf("%016x", i), TagNames: "baseline,nightly,sweep,team.vision,v2.1", TagCount: 5,
			Conditions: []metav1.Condition{{
				Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 1, LastTransitionTime: finished,
				Reason: "InSync", Message: "the run has all tags that are declared",
			}},
			Run: &v1alpha1.RunStatus{
				ID: run.ID, UID: run.UID, DisplayName: run.Name, State: string(run.State), URL: run.URL, CreatedAt: &created, FinishedAt: &finished,
				Host: run.Host, User: run.User, Attempts: 1,
			},
		},
	}
	fields := ""
	for _, tag := range fiveTags(i) {
		o.Labels["tag.runtag.dev/"+tag] = "spec"
		fields += fmt.Sprintf(`,"f:tag.runtag.dev/%s":{}`, tag)
		o.Status.Tags = append(o.Status.Tags, v1alpha1.TagStatus{Name: tag, Source: v1alpha1.TagSourceSpec, Since: finished, Present: true, Mirrored: true})
		o.Status.AppliedTags = append(o.Status.AppliedTags, v1alpha1.AppliedTag{Name: tag})
		o.Status.History = append(o.Status.History, v1alpha1.TagHistory{Time: finished, Tag: tag, Change: v1alpha1.TagAdded, Source: v1alpha1.TagSourceSpec})
	}
	when := metav1.NewTime(finished.Add(time.Second))
	o.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: trainingrun.FieldManager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: v1alpha1.GroupVersion.String(), Time: &when, FieldsType: "FieldsV1",
		FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{"f:tracking.runtag.dev/project":{},"f:tracking.runtag.dev/run-id":{}` + fields + `}}}`),
	}}
	return o
}
