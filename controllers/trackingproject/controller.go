// Package trackingproject looks at the runs of a project: it opens the tracker, lists what is tracked, queues the
// TrainingRuns whose run changed, and says on the TrackingProject what is wrong with the tracker.
package trackingproject

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/tagrule"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/audit"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/connect"
	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/metrics"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

// Options are what the controller works with.
type Options struct {
	Client    client.Client
	Clock     clock.Clock
	Recorder  events.EventRecorder
	Metrics   *metrics.Metrics
	Registry  *tracking.Registry
	Connector *connect.Connector
	// Evidence is what was seen of pods, and Bound says which runs they may belong to.
	Evidence *evidence.Store
	Bound    *binding.Index
	// Rules are the rules that there are.
	Rules *tagrule.Set
	// Runs is the way into the queue of the TrainingRuns; Projects into this controller's own.
	Runs, Projects *trigger.Trigger
	// Ceiling is the highest policy that the operator allows.
	Ceiling tags.Policy
	Audit   *audit.Log
	// Jitter spreads periodic work, so that many projects do not look at the same time: it makes a wait up to 5 % longer.
	// Nil does so by chance.
	Jitter func(time.Duration) time.Duration
}

// Controller reconciles TrackingProjects.
type Controller struct {
	Options
	phases []phase

	mu       sync.Mutex
	memories map[types.NamespacedName]*memory
}

// phase is one step of a pass; an error of the tracker becomes the project's health and ends the pass.
type phase func(ctx context.Context, s *scope) error

// New makes the controller.
func New(options Options) *Controller {
	c := &Controller{Options: options, memories: map[types.NamespacedName]*memory{}}
	if c.Jitter == nil {
		c.Jitter = func(d time.Duration) time.Duration { return wait.Jitter(d, jitter) }
	}
	c.phases = []phase{c.connect, c.check, c.look, c.judge, c.moveUnique}
	return c
}

// Reconcile makes one pass over one TrackingProject: it opens the tracker, looks at the runs if a look is due, and
// patches the status once, if it changed.
func (c *Controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	project := &v1alpha1.TrackingProject{}
	if err := c.Client.Get(ctx, req.NamespacedName, project); err != nil {
		if apierrors.IsNotFound(err) {
			return reconcile.Result{}, c.dropped(ctx, req.NamespacedName)
		}
		return reconcile.Result{}, fmt.Errorf("get TrackingProject: %w", err)
	}
	s, err := c.newScope(ctx, project)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := c.run(ctx, s); err != nil {
		return reconcile.Result{}, err
	}
	importing := c.importRuns(ctx, s)
	c.summarize(s)
	if err := c.writeStatus(ctx, s); err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return reconcile.Result{RequeueAfter: conflictDelay}, nil
		}
		return reconcile.Result{}, err
	}
	if importing != nil {
		return reconcile.Result{}, importing
	}
	priority := trigger.Periodic
	return reconcile.Result{RequeueAfter: c.next(s, c.Clock.Now()), Priority: &priority}, nil
}

// run goes through the phases, and tells the TrainingRuns when the tracker can be used again, or no longer, and when
// they may do more or less than before.
func (c *Controller) run(ctx context.Context, s *scope) error {
	looking, cancel := context.WithTimeout(ctx, s.patience())
	defer cancel()
	var failure error
	for _, phase := range c.phases {
		if failure = phase(looking, s); failure != nil {
			break
		}
	}
	health := healthOf(failure)
	s.memory.noteFailure(failure != nil)
	if failure != nil {
		log.FromContext(ctx).Info("the tracker can't be used", "reason", health.Reason, "message", health.Message)
	}
	switch health.Reason {
	case v1alpha1.ReasonAccessDenied:
		c.Connector.Rejected(s.project.UID)
	case v1alpha1.ReasonTrackerUnsupported:
		s.memory.unsupported = s.project.Generation
	}
	wasReady := s.memory.ready
	s.memory.ready = s.tracker.Primed() && health.OK()
	if s.tracker.SetHealth(health) || wasReady != s.memory.ready || s.ceilingMoved {
		if err := c.queueAll(ctx, s.key()); err != nil {
			return err
		}
	}
	s.health = health
	return nil
}

// patience bounds a look. A tracker that wants a longer pause is left alone without keeping a worker busy meanwhile.
func (s *scope) patience() time.Duration {
	return time.Minute + time.Duration(len(s.runs))*20*time.Millisecond
}

// queueAll puts every TrainingRun of a project into its queue, also those that were made since the pass began: they may
// have been told to wait.
func (c *Controller) queueAll(ctx context.Context, project types.NamespacedName) error {
	runs, err := c.runsOf(ctx, project)
	if err != nil {
		return err
	}
	for i := range runs {
		c.Runs.Enqueue(client.ObjectKeyFromObject(&runs[i]), trigger.Periodic)
	}
	return nil
}

// dropped forgets a project that was deleted; its TrainingRuns say so, or go where nobody touched what was imported.
func (c *Controller) dropped(ctx context.Context, key types.NamespacedName) error {
	c.Registry.Drop(key)
	c.mu.Lock()
	delete(c.memories, key)
	c.mu.Unlock()
	return c.queueAll(ctx, key)
}

// conflictDelay lets the cache catch up after a write that met a newer object.
const conflictDelay = 50 * time.Millisecond

// writeStatus patches the status, once and only if it changed.
func (c *Controller) writeStatus(ctx context.Context, s *scope) error {
	if equality.Semantic.DeepEqual(s.stored.Status, s.project.Status) {
		return nil
	}
	patch := client.MergeFromWithOptions(s.stored, client.MergeFromWithOptimisticLock{})
	if err := c.Client.Status().Patch(ctx, s.project, patch); err != nil {
		return fmt.Errorf("write status of TrackingProject %s: %w", s.key(), err)
	}
	return nil
}

// jitter is by how much periodic work is spread at most.
const jitter = 0.05

var _ reconcile.Reconciler = &Controller{}
