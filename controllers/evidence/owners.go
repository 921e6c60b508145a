package evidence

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/binding"
	memory "github.com/runtag/runtag/internal/evidence"
)

// Only the metadata of these is read, and only of those that own pods. Owners of other kinds can be allowed by a role of
// one's own; until then they are passed over.
//
// +kubebuilder:rbac:groups=apps,resources=daemonsets;deployments;replicasets;statefulsets,verbs=get
// +kubebuilder:rbac:groups=batch,resources=cronjobs;jobs,verbs=get
// +kubebuilder:rbac:groups=batch.volcano.sh,resources=jobs,verbs=get
// +kubebuilder:rbac:groups=jobset.x-k8s.io,resources=jobsets,verbs=get
// +kubebuilder:rbac:groups=kubeflow.org,resources=jaxjobs;mpijobs;paddlejobs;pytorchjobs;tfjobs;xgboostjobs,verbs=get
// +kubebuilder:rbac:groups=ray.io,resources=rayclusters;rayjobs;rayservices,verbs=get
// +kubebuilder:rbac:groups=trainer.kubeflow.org,resources=trainjobs,verbs=get

const (
	// steps is how far up owners are asked.
	steps = 3
	// askers is how many are asked at the same time.
	askers = 4
	// again is how often all pods are gone through for owners that were not asked: pods of namespaces that became wanted,
	// and owners that we were forbidden to read.
	again = 5 * time.Minute
)

// OwnersOptions are the options of Owners.
type OwnersOptions struct {
	Metadata metadata.Interface
	Mapper   meta.RESTMapper
	Store    *memory.Store
	// Wanted says that runs of a namespace are tracked: owners of pods elsewhere are not asked. It is called often.
	Wanted func(namespace string) bool
	Clock  clock.WithTicker
	Log    logr.Logger
}

// Owners asks the owners of pods, and theirs, for the label by which W&B Launch says which run a job is, and tells the
// store. Each owner is asked once. It is a manager.Runnable for the leader.
type Owners struct {
	o       OwnersOptions
	queue   workqueue.TypedRateLimitingInterface[target]
	running atomic.Bool

	mu sync.Mutex
	// answers are what owners said, by their uid.
	answers map[types.UID]answer
	// told are the owners of which the store knows.
	told map[types.UID]bool
	// closed are the kinds that we may not read, and until when they are left alone.
	closed map[schema.GroupKind]time.Time
}

// target is an owner that is asked.
type target struct {
	namespace, apiVersion, kind, name string
	uid                               types.UID
}

// answer is what an owner says.
type answer struct {
	run   string
	above *target
}

// NewOwners makes Owners.
func NewOwners(o OwnersOptions) *Owners {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[target](time.Second, again)
	return &Owners{
		o:       o,
		queue:   workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[target]{Clock: o.Clock}),
		answers: map[types.UID]answer{}, told: map[types.UID]bool{}, closed: map[schema.GroupKind]time.Time{},
	}
}

// NeedLeaderElection says that only the leader asks: owners stand for long, so nothing is missed by asking later.
func (w *Owners) NeedLeaderElection() bool { return true }

// Start asks until the context is over.
func (w *Owners) Start(ctx context.Context) error {
	w.running.Store(true)
	defer w.running.Store(false)
	var asking sync.WaitGroup
	for range askers {
		asking.Go(func() {
			for w.next(ctx) {
			}
		})
	}
	ticker := w.o.Clock.NewTicker(again)
	defer ticker.Stop()
	for {
		w.Rescan()
		select {
		case <-ctx.Done():
			w.queue.ShutDown()
			asking.Wait()
			return nil
		case <-ticker.C():
		}
	}
}

// Changed takes what an evidence.Store says of new pods.
func (w *Owners) Changed(change memory.Change) {
	if !w.running.Load() {
		return // a leader goes through all pods when it begins
	}
	for i, p := range change.Pods {
		if before := change.Before[i]; before == nil || !slices.Equal(before.Owners, p.Owners) {
			w.ask(p)
		}
	}
}

// Rescan asks what has not been asked, such as the owners of pods in a namespace that became wanted.
func (w *Owners) Rescan() {
	pods := w.o.Store.Pods()
	w.prune(pods)
	for _, p := range pods {
		w.ask(p)
	}
}

// prune lets go of what owners said that have no pods any more, and nobody below them.
func (w *Owners) prune(pods []*memory.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	keep := map[types.UID]bool{}
	for _, p := range pods {
		for _, o := range p.Owners {
			keep[o.UID] = true
			for above := w.answers[o.UID].above; above != nil && !keep[above.uid]; above = w.answers[above.uid].above {
				keep[above.uid] = true
			}
		}
	}
	maps.DeleteFunc(w.answers, func(uid types.UID, _ answer) bool { return !keep[uid] })
	maps.DeleteFunc(w.told, func(uid types.UID, _ bool) bool { return !keep[uid] })
}

func (w *Owners) ask(p *memory.Pod) {
	if len(p.Owners) == 0 || !w.o.Wanted(p.Namespace) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range p.Owners {
		if !w.told[o.UID] || !w.o.Store.KnowsOwner(o.UID) {
			w.queue.Add(target{p.Namespace, o.APIVersion, o.Kind, o.Name, o.UID})
		}
	}
}

// next asks one owner; it is false when there will be no more.
func (w *Owners) next(ctx context.Context) bool {
	t, over := w.queue.Get()
	if over {
		return false
	}
	defer w.queue.Done(t)
	if err := w.climb(ctx, t); err != nil {
		if ctx.Err() == nil {
			w.o.Log.Error(err, "cannot ask an owner of pods for its run; this is tried again")
		}
		w.queue.AddRateLimited(t)
		return true
	}
	w.queue.Forget(t)
	return true
}

// climb asks an owner and those above it, and tells the store.
func (w *Owners) climb(ctx context.Context, t target) error {
	var ids []string
	var above []types.UID
	final := true
	for at, i := &t, 0; at != nil && i < steps; i++ {
		said, known, err := w.answer(ctx, *at)
		if err != nil {
			return err
		}
		final = final && known
		if said.run != "" && !slices.Contains(ids, said.run) {
			ids = append(ids, said.run)
		}
		if at = said.above; at != nil {
			above = append(above, at.uid)
		}
	}
	w.o.Store.SetOwnerRuns(t.uid, ids, above...)
	w.mu.Lock()
	w.told[t.uid] = final
	w.mu.Unlock()
	return nil
}

// answer is what an owner says, or said before. It is not known if we may not ask.
func (w *Owners) answer(ctx context.Context, t target) (said answer, known bool, err error) {
	gv, err := schema.ParseGroupVersion(t.apiVersion)
	if err != nil {
		return answer{}, true, nil //nolint:nilerr // nobody can be asked who is not named
	}
	kind := gv.WithKind(t.kind).GroupKind()
	w.mu.Lock()
	said, known = w.answers[t.uid]
	closed := w.o.Clock.Now().Before(w.closed[kind])
	w.mu.Unlock()
	if known || closed {
		return said, known, nil
	}
	said, err = w.read(ctx, gv.WithKind(t.kind), t)
	switch {
	case apierrors.IsForbidden(err):
		w.mu.Lock()
		if _, again := w.closed[kind]; !again {
			w.o.Log.Info("owners of this kind are passed over: the operator may not read them; to link by their label "+binding.RunIDKey+
				", allow get", "kind", kind.String(), "error", err.Error())
		}
		w.closed[kind] = w.o.Clock.Now().Add(again)
		w.mu.Unlock()
		return answer{}, false, nil
	case err != nil:
		return answer{}, false, err
	}
	w.mu.Lock()
	w.answers[t.uid] = said
	w.mu.Unlock()
	return said, true, nil
}

// read asks the API server. An owner that is not there, or is another one of that name, says nothing.
func (w *Owners) read(ctx context.Context, kind schema.GroupVersionKind, t target) (answer, error) {
	mapping, err := w.o.Mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) || err == nil && mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return answer{}, nil
	}
	if err != nil {
		return answer{}, fmt.Errorf("find the resource of %s: %w", kind, err)
	}
	owner, err := w.o.Metadata.Resource(mapping.Resource).Namespace(t.namespace).Get(ctx, t.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return answer{}, nil
	}
	if err != nil {
		return answer{}, fmt.Errorf("read the metadata of %s %s/%s: %w", t.kind, t.namespace, t.name, err)
	}
	if owner.UID != t.uid {
		return answer{}, nil
	}
	said := answer{run: owner.Labels[binding.RunIDKey]}
	if o := metav1.GetControllerOf(owner); o != nil {
		said.above = &target{t.namespace, o.APIVersion, o.Kind, o.Name, o.UID}
	}
	return said, nil
}
