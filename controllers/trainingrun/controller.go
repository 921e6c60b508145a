// Package trainingrun makes the tags of a run what its TrainingRun declares.
//
// A pass through Reconcile never waits for the tracker. It plans on what was last seen of the run, writes down what we
// own, hands the change to the project's queue, and ends. When the change is done the object is queued again, and the
// next pass finds nothing to do but to report it.
package trainingrun

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
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
	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/metrics"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

// Options are what the controller works with.
type Options struct {
	Client client.Client
	// Live reads past the cache.
	Live     client.Reader
	Clock    clock.Clock
	Recorder events.EventRecorder
	Audit    *audit.Log
	Metrics  *metrics.Metrics
	Registry *tracking.Registry
	// Evidence is what was seen of pods and nodes, Synced says that all there are were seen once.
	Evidence *evidence.Store
	Synced   func() bool
	// Bound says which runs a pod may belong to.
	Bound *binding.Index
	// Rules are the rules that there are; Report is told when one that only reports begins or ceases to match.
	Rules  *tagrule.Set
	Tally  *tagrule.Tally
	Report func(*tagrule.Rule)
	// Runs is the way into this controller's own queue; Projects into that of the TrackingProjects.
	Runs, Projects *trigger.Trigger
	// Ceiling is the highest policy that the operator allows.
	Ceiling tags.Policy
}

// Controller reconciles TrainingRuns.
type Controller struct {
	Options
	phases []phase

	mu       sync.Mutex
	memories map[types.NamespacedName]*memory
	mailbox  map[types.UID][]outcome
	happened map[types.NamespacedName]time.Time
}

// phase is one step of a pass. It adds to the scope what it found; done ends the pass early, with the status as the
// scope says.
type phase func(ctx context.Context, s *scope) (done bool, err error)

// New makes the controller.
func New(options Options) *Controller {
	c := &Controller{Options: options, memories: map[types.NamespacedName]*memory{}, mailbox: map[types.UID][]outcome{}, happened: map[types.NamespacedName]time.Time{}}
	c.phases = []phase{c.ignore, c.finalize, c.resolveProject, c.readLabels, c.findRun, c.refuseDuplicate, c.observe, c.findPods, c.collect, c.askRules, c.keepUnique, c.plan, c.finishRelease}
	return c
}

// Reconcile makes one pass over one TrainingRun: phases that find out and plan, the labels as they should be now, one
// status write if something changed, and only after it the change on the tracker.
func (c *Controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	run := &v1alpha1.TrainingRun{}
	if err := c.Client.Get(ctx, req.NamespacedName, run); err != nil {
		if apierrors.IsNotFound(err) {
			c.forget(req.NamespacedName)
			return reconcile.Result{}, nil
		}
		return c.failed(ctx, err)
	}
	s := c.newScope(run)
	for _, phase := range c.phases {
		done, err := phase(ctx, s)
		if err != nil {
			return c.failed(ctx, err)
		}
		if done {
			break
		}
	}
	if s.released || s.ignored {
		return reconcile.Result{}, nil
	}
	if s.waiting { // for a read of the run, which queues the object again
		return s.result(), nil
	}
	if err := c.mirrorLabels(ctx, s); err != nil {
		return c.failed(ctx, err)
	}
	c.summarize(s)
	rulesBefore := s.stored.Status.RuleTags
	if err := c.writeStatus(ctx, s); err != nil {
		return c.failed(ctx, err)
	}
	c.announceRules(s, rulesBefore)
	c.askProject(s)
	if err := c.tellOthers(ctx, s); err != nil {
		return c.failed(ctx, err)
	}
	c.announceGivenUp(s)
	c.apply(s)
	if err := c.replaceImported(ctx, s); err != nil {
		return c.failed(ctx, err)
	}
	return s.result(), nil
}

// tellOthers queues the TrainingRuns that have to give way to this one, and those that keep on the run what its labels
// or rules declared.
func (c *Controller) tellOthers(ctx context.Context, s *scope) error {
	others := s.displaced
	if !slices.Equal(declaredByStatus(s.stored), declaredByStatus(s.run)) {
		// A read waits until the cache has our write, which is what the others go by.
		if err := c.Client.Get(ctx, s.key(), &v1alpha1.TrainingRun{}); err != nil {
			return err
		}
		concerned, err := c.Concerned(ctx, s.run)
		if err != nil {
			return err
		}
		others = append(others, concerned...)
	}
	for _, other := range others {
		c.Runs.Enqueue(other, trigger.Periodic)
	}
	return nil
}

// failed turns an error of the API server into a result. A conflict is no error: the object changed meanwhile.
func (c *Controller) failed(ctx context.Context, err error) (reconcile.Result, error) {
	switch {
	case apierrors.IsConflict(err):
		log.FromContext(ctx).V(1).Info("the object changed meanwhile; reading it again")
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	case apierrors.IsNotFound(err): // deleted meanwhile
		return reconcile.Result{}, nil
	}
	return reconcile.Result{}, fmt.Errorf("reconcile TrainingRun: %w", err)
}

// conflictDelay lets the cache catch up after a write that met a newer object.
const conflictDelay = 50 * time.Millisecond

var _ reconcile.Reconciler = &Controller{}
