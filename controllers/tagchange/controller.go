// Package tagchange carries out bulk changes of tags on the tracker's runs, and queries: once each, like a Job. What is
// changed on which run is written down before it is sent, so that a change can go on after a crash and be undone.
package tagchange

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/audit"
	"github.com/runtag/runtag/internal/kstatus"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

// Options are what the controller works with.
type Options struct {
	Client client.Client
	// Live reads past the cache: ConfigMaps are not cached.
	Live     client.Reader
	Clock    clock.Clock
	Recorder events.EventRecorder
	Audit    *audit.Log
	Registry *tracking.Registry
	// Changes is the way into this controller's own queue; Runs into that of the TrainingRuns.
	Changes, Runs *trigger.Trigger
	// Ceiling is the highest policy that the operator allows.
	Ceiling tags.Policy
}

// Controller reconciles TagChanges.
type Controller struct {
	Options
	phases []phase

	mu       sync.Mutex
	memories map[types.NamespacedName]*memory
}

// phase is one step of a pass; done ends it early, with the status as the scope says.
type phase func(ctx context.Context, s *scope) (done bool, err error)

// New makes the controller.
func New(o Options) *Controller {
	c := &Controller{Options: o, memories: map[types.NamespacedName]*memory{}}
	c.phases = []phase{c.expire, c.resolveProject, c.refuse, c.takeTurn, c.list, c.show, c.begin, c.takeResults, c.sendNext, c.finish}
	return c
}

// Reconcile makes one pass over one TagChange. It never waits for a change on the tracker: what comes of it queues the
// object again.
func (c *Controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	change := &v1alpha1.TagChange{}
	if err := c.Client.Get(ctx, req.NamespacedName, change); err != nil {
		if apierrors.IsNotFound(err) {
			c.forget(req.NamespacedName)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("get TagChange: %w", err)
	}
	if !change.DeletionTimestamp.IsZero() { // it stops after the batch in hand
		c.forget(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	s := &scope{now: c.Clock.Now(), change: change, stored: change.DeepCopy(), memory: c.recall(req.NamespacedName, change.UID)}
	for _, phase := range c.phases {
		done, err := phase(ctx, s)
		if err != nil && !c.blocked(s, err) {
			return c.failed(s, err)
		}
		if done || err != nil {
			break
		}
	}
	if s.gone {
		return reconcile.Result{}, nil
	}
	s.summarize()
	if err := c.writeStatus(ctx, s); err != nil {
		return c.failed(s, err)
	}
	c.announce(s)
	for _, follow := range s.after {
		if err := follow(); err != nil {
			c.forget(s.key()) // as after a restart
			return c.failed(s, err)
		}
	}
	priority := trigger.Periodic
	return reconcile.Result{RequeueAfter: s.due, Priority: &priority}, nil
}

// failed turns an error of the API server into a result. A conflict is no error: the object changed meanwhile. Results
// that were taken and are not in the stored status are in no memory either, so the next pass takes up the change as after
// a restart.
func (c *Controller) failed(s *scope, err error) (reconcile.Result, error) {
	if !equality.Semantic.DeepEqual(s.stored.Status, s.change.Status) {
		c.forget(s.key())
	}
	switch {
	case apierrors.IsConflict(err):
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	case apierrors.IsNotFound(err):
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, fmt.Errorf("reconcile TagChange: %w", err)
}

// blocked shows an error that only a person can do something about. As in failed, what the pass worked out goes with it.
func (c *Controller) blocked(s *scope, err error) bool {
	var taken *takenError
	if !errors.As(err, &taken) {
		return false
	}
	if !equality.Semantic.DeepEqual(s.stored.Status, s.change.Status) {
		c.forget(s.key())
		s.change.Status = *s.stored.Status.DeepCopy()
	}
	s.state = kstatus.State{Ready: metav1.ConditionFalse, Reason: v1alpha1.ReasonConfigMapTaken, Message: taken.Error(), Stalled: true}
	s.dueIn(blockedDelay)
	return true
}

// blockedDelay is how often it is looked whether a ConfigMap that is in the way is gone: they are not watched.
const blockedDelay = time.Minute

// conflictDelay lets the cache catch up after a write that met a newer object.
const conflictDelay = 50 * time.Millisecond

// writeStatus patches the status, once and only if it changed, with resourceVersion.
func (c *Controller) writeStatus(ctx context.Context, s *scope) error {
	if equality.Semantic.DeepEqual(s.stored.Status, s.change.Status) {
		return nil
	}
	patch := client.MergeFromWithOptions(s.stored, client.MergeFromWithOptimisticLock{})
	if err := c.Client.Status().Patch(ctx, s.change, patch); err != nil {
		return fmt.Errorf("write status of TagChange %s: %w", s.key(), err)
	}
	return nil
}

// expire deletes an object whose time is over, and leaves alone one that is finished.
func (c *Controller) expire(ctx context.Context, s *scope) (bool, error) {
	finished := s.change.Status.FinishedAt
	if finished == nil {
		return false, nil
	}
	s.settled = true
	if s.change.Spec.TTLAfterFinished == nil {
		return true, nil
	}
	if left := finished.Add(s.change.Spec.TTLAfterFinished.Duration).Sub(s.now); left > 0 {
		s.dueIn(left)
		return true, nil
	}
	uid, version := s.change.UID, s.change.ResourceVersion
	s.gone = true
	err := c.Client.Delete(ctx, s.change, client.Preconditions{UID: &uid, ResourceVersion: &version})
	if client.IgnoreNotFound(err) != nil {
		return true, fmt.Errorf("delete TagChange %s, whose time is over: %w", s.key(), err)
	}
	return true, nil
}

func (c *Controller) recall(key types.NamespacedName, uid types.UID) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.memories[key]
	if m == nil || m.uid != uid {
		m = &memory{uid: uid}
		c.memories[key] = m
	}
	return m
}

func (c *Controller) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.memories, key)
}

var _ reconcile.Reconciler = &Controller{}
