package controllers

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/runtag/runtag/api/v1alpha1"
	evidencefeed "github.com/runtag/runtag/controllers/evidence"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/evidence"
)

// watch is what sees pods and nodes, on every replica.
type watch struct {
	store  *evidence.Store
	bound  *binding.Index
	feeder *evidencefeed.Feeder
	owners *evidencefeed.Owners
	told   *unreadable

	notice func(evidence.Change)
}

// newWatch adds what sees pods and nodes to the manager. Until notify is called, nobody is told.
func newWatch(ctx context.Context, mgr manager.Manager, o Options) (*watch, error) {
	w := &watch{notice: func(evidence.Change) {}}
	w.store = evidence.New(evidence.Options{Clock: o.Clock, Keys: binding.Keys, Changed: w.changed})
	w.bound = binding.NewIndex(w.store)
	var err error
	if w.feeder, err = evidencefeed.New(evidencefeed.Options{
		Config: mgr.GetConfig(), Namespaces: o.Namespaces, Store: w.store, Clock: o.Clock, Log: mgr.GetLogger().WithName("evidence"),
	}); err != nil {
		return nil, err
	}
	client, err := metadata.NewForConfig(mgr.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("make a client for the owners of pods: %w", err)
	}
	w.owners = evidencefeed.NewOwners(evidencefeed.OwnersOptions{
		Metadata: client, Mapper: mgr.GetRESTMapper(), Store: w.store, Wanted: func(namespace string) bool { return hasProject(ctx, mgr.GetClient(), namespace) },
		Clock: o.Clock, Log: mgr.GetLogger().WithName("owners"),
	})
	w.told = &unreadable{
		recorder: mgr.GetEventRecorder("runtag"), store: w.store, said: map[types.UID]bool{},
		tracked: func(namespace string) bool { return hasProject(ctx, mgr.GetClient(), namespace) },
	}
	for _, runnable := range []manager.Runnable{w.feeder, w.owners, w.told} {
		if err := mgr.Add(runnable); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// notify has f told of every change from now on. It is called before the manager starts.
func (w *watch) notify(f func(evidence.Change)) { w.notice = f }

func (w *watch) changed(c evidence.Change) {
	w.notice(c)
	w.owners.Changed(c)
	w.told.say(c.Pods...)
}

// hasProject says whether runs of a namespace are tracked, as far as the cache knows.
func hasProject(ctx context.Context, reader client.Reader, namespace string) bool {
	var projects v1alpha1.TrackingProjectList
	err := reader.List(ctx, &projects, client.InNamespace(namespace), client.Limit(1), client.UnsafeDisableDeepCopy)
	return err == nil && len(projects.Items) > 0
}

// mostSaid is how many owners of unreadable pods are remembered.
const mostSaid = 10_000

// unreadable says on pods, once for those of one owner, that the run they name can't be read: its id comes from a Secret, a
// ConfigMap or a field. It speaks while it is the leader.
type unreadable struct {
	recorder events.EventRecorder
	store    *evidence.Store
	// tracked says whether runs of a namespace are tracked.
	tracked func(namespace string) bool

	mu      sync.Mutex
	leading bool
	said    map[types.UID]bool
}

// NeedLeaderElection says that only the leader speaks.
func (u *unreadable) NeedLeaderElection() bool { return true }

// Start speaks of the pods that are there, and lets say speak from then on.
func (u *unreadable) Start(ctx context.Context) error {
	u.mu.Lock()
	u.leading = true
	u.mu.Unlock()
	u.say(u.store.Pods()...)
	<-ctx.Done()
	return nil
}

func (u *unreadable) say(pods ...*evidence.Pod) {
	for _, p := range pods {
		if len(p.Unreadable) == 0 || p.Over() {
			continue
		}
		about := p.UID
		for _, owner := range p.Owners {
			if owner.Controller {
				about = owner.UID
			}
		}
		u.mu.Lock()
		speak := u.leading && !u.said[about] && u.tracked(p.Namespace)
		if speak {
			if len(u.said) > mostSaid {
				clear(u.said) // to say it once more is better than to remember for ever
			}
			u.said[about] = true
		}
		u.mu.Unlock()
		if speak {
			u.recorder.Eventf(&corev1.Pod{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, UID: p.UID},
			}, nil, corev1.EventTypeWarning, "RunNotReadable", "Link",
				"%s has no literal value, so it can't tell which run the pod belongs to; annotate the pod with %s: <name of the TrainingRun>, or see docs/linking.md",
				strings.Join(p.Unreadable, ", "), binding.RunKey)
		}
	}
}
