// Package tagrule compiles rules, once for each generation, and says on them what is wrong, and what they hold. The passes
// over TrainingRuns apply them.
package tagrule

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
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/kstatus"
	"github.com/runtag/runtag/internal/rules"
)

// IndexRule finds the TrainingRuns that remember something of a rule, by its key.
const IndexRule = "status.ruleTags.rule"

const (
	// countEvery is how often counts are written at most.
	countEvery = 10 * time.Second
	// warmUp is how long after the start nothing is written of what only passes since then can count.
	warmUp = time.Minute
)

// Options are what the controllers work with.
type Options struct {
	Client client.Client
	Clock  clock.Clock
	Set    *Set
	Tally  *Tally
	// Rules is the way into the queue of the TagRules, ClusterRules into that of the ClusterTagRules.
	Rules, ClusterRules *trigger.Trigger
}

// Controller reconciles rules of one kind.
type Controller struct {
	Options
	kind    string
	started time.Time

	mu      sync.Mutex
	counted map[types.NamespacedName]time.Time
}

// ForTagRules makes the controller of TagRules.
func ForTagRules(o Options) *Controller { return newController(o, kindTagRule) }

// ForClusterTagRules makes the controller of ClusterTagRules.
func ForClusterTagRules(o Options) *Controller { return newController(o, kindClusterTagRule) }

func newController(o Options, kind string) *Controller {
	return &Controller{Options: o, kind: kind, started: o.Clock.Now(), counted: map[types.NamespacedName]time.Time{}}
}

// object is one rule: the same in both kinds.
type object struct {
	client.Object
	status *v1alpha1.TagRuleStatus
	rule   *Rule
}

func (c *Controller) get(ctx context.Context, key types.NamespacedName) (object, error) {
	if c.kind == kindTagRule {
		r := &v1alpha1.TagRule{}
		if err := c.Client.Get(ctx, key, r); err != nil {
			return object{}, err
		}
		return object{r, &r.Status, c.Set.ofTagRule(r)}, nil
	}
	r := &v1alpha1.ClusterTagRule{}
	if err := c.Client.Get(ctx, key, r); err != nil {
		return object{}, err
	}
	return object{r, &r.Status, c.Set.ofClusterTagRule(r)}, nil
}

// Reconcile writes the status of one rule, once and only if it changed.
func (c *Controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	o, err := c.get(ctx, req.NamespacedName)
	if apierrors.IsNotFound(err) {
		c.drop(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("get %s: %w", c.kind, err)
	}
	before := o.DeepCopyObject().(client.Object) //nolint:forcetypeassert // a copy of it
	was := *o.status.DeepCopy()
	due, err := c.summarize(ctx, o)
	if err != nil {
		return reconcile.Result{}, err
	}
	if equality.Semantic.DeepEqual(was, *o.status) {
		return reconcile.Result{RequeueAfter: due}, nil
	}
	if err := c.Client.Status().Patch(ctx, o.Object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return reconcile.Result{RequeueAfter: conflictDelay}, nil
		}
		return reconcile.Result{}, fmt.Errorf("write status of %s %s: %w", c.kind, req.NamespacedName, err)
	}
	return reconcile.Result{RequeueAfter: due}, nil
}

// conflictDelay lets the cache catch up after a write that met a newer object.
const conflictDelay = 50 * time.Millisecond

// summarize fills in the status, and says when something of it is due that waits.
func (c *Controller) summarize(ctx context.Context, o object) (due time.Duration, err error) {
	st := o.status
	edited := st.ObservedGeneration != o.GetGeneration()
	held, err := c.held(ctx, o.rule)
	if err != nil {
		return 0, err
	}
	now := c.Clock.Now()
	retracting := o.rule.Spec.Mode == rules.Retract
	wait := c.countedAt(client.ObjectKeyFromObject(o.Object)).Add(countEvery).Sub(now)
	switch {
	case !edited && wait > 0 && (!retracting || held.runs > 0):
		due = wait
	default:
		due = c.count(o, held, edited)
	}
	st.ObservedGeneration = o.GetGeneration()
	kstatus.Set(&st.Conditions, o.GetGeneration(), stateOf(o.rule, st.HeldRuns))
	return due, nil
}

// count writes the counts into the status.
func (c *Controller) count(o object, held holding, edited bool) (due time.Duration) {
	st, before := o.status, *o.status
	st.HeldRuns = int32(held.runs) //nolint:gosec // TrainingRuns of a cluster
	st.RetractedRuns = 0
	if o.rule.Spec.Mode == rules.Retract {
		if !edited {
			st.RetractedRuns = before.RetractedRuns
		}
		st.RetractedRuns += max(before.HeldRuns-st.HeldRuns, 0)
	}
	st.MatchedRuns = st.HeldRuns
	if !held.last.IsZero() && (st.LastMatch == nil || held.last.After(st.LastMatch.Time)) {
		last := metav1.NewTime(held.last)
		st.LastMatch = &last
	}
	now := c.Clock.Now()
	if o.rule.Spec.Mode == rules.Report {
		if left := c.started.Add(warmUp).Sub(now); left > 0 && !edited {
			st.MatchedRuns, due = before.MatchedRuns, left
		} else {
			c.report(o, before.MatchedRuns)
		}
	}
	if !equality.Semantic.DeepEqual(before, *st) {
		c.setCountedAt(client.ObjectKeyFromObject(o.Object), now)
	}
	return due
}

// report counts what a rule would do that only reports.
func (c *Controller) report(o object, before int32) {
	runs, last := c.Tally.count(o.rule.Spec.Key, o.rule.Object.Namespace)
	st := o.status
	st.MatchedRuns = max(st.HeldRuns, int32(runs)) //nolint:gosec // TrainingRuns of a cluster
	if at := metav1.NewTime(last.Truncate(time.Second)); st.MatchedRuns > before && (st.LastMatch == nil || st.LastMatch.Before(&at)) {
		st.LastMatch = &at
	}
}

// holding says what TrainingRuns remember of a rule.
type holding struct {
	runs int
	// last is when the rule found something new for one of them.
	last time.Time
}

// held counts the TrainingRuns that remember something of the rule, what persons overruled apart.
func (c *Controller) held(ctx context.Context, rule *Rule) (holding, error) {
	var list v1alpha1.TrainingRunList
	options := []client.ListOption{client.MatchingFields{IndexRule: rule.Spec.Key}, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency}
	if rule.Object.Namespace != "" {
		options = append(options, client.InNamespace(rule.Object.Namespace))
	}
	if err := c.Client.List(ctx, &list, options...); err != nil {
		return holding{}, fmt.Errorf("list TrainingRuns with tags of %s: %w", rule.Spec.Key, err)
	}
	var h holding
	for i := range list.Items {
		found := false
		for _, t := range list.Items[i].Status.RuleTags {
			if t.Rule != rule.Spec.Key || t.State != v1alpha1.RuleTagHeld {
				continue
			}
			found = true
			if t.Last.After(h.last) {
				h.last = t.Last.Time
			}
		}
		if found {
			h.runs++
		}
	}
	return h, nil
}

// stateOf says what the conditions say.
func stateOf(rule *Rule, held int32) kstatus.State {
	switch {
	case errors.Is(rule.Err, errSelector):
		return kstatus.State{Ready: metav1.ConditionFalse, Reason: v1alpha1.ReasonInvalidSelector, Message: rule.Err.Error(), Stalled: true}
	case rule.Err != nil:
		return kstatus.State{Ready: metav1.ConditionFalse, Reason: v1alpha1.ReasonInvalidExpression, Message: rule.Err.Error(), Stalled: true}
	case rule.Spec.Mode == rules.Retract && held > 0:
		return kstatus.State{
			Ready: metav1.ConditionFalse, Reason: v1alpha1.ReasonRetracting,
			Message: "the rule is being taken back; status.heldRuns counts the TrainingRuns that are left",
		}
	case rule.Spec.Mode == rules.Retract:
		return kstatus.State{
			Ready: metav1.ConditionTrue, Reason: v1alpha1.ReasonRetracted,
			Message: "nothing of the rule is left on any TrainingRun; runs that have none any more keep its tags until they are taken off on the tracker (kubectl runtag rm TAG --project PROJECT)",
		}
	case rule.Spec.Mode == rules.Suspend:
		return kstatus.State{Ready: metav1.ConditionTrue, Reason: v1alpha1.ReasonSuspended, Message: "the rule neither adds nor removes; set spec.mode to Enforce to go on"}
	case rule.Spec.Mode == rules.Report:
		return kstatus.State{Ready: metav1.ConditionTrue, Reason: v1alpha1.ReasonCompiled, Message: "the rule is counted and writes nothing; set spec.mode to Enforce to apply it"}
	}
	return kstatus.State{Ready: metav1.ConditionTrue, Reason: v1alpha1.ReasonCompiled, Message: "the rule is applied"}
}

func (c *Controller) countedAt(key types.NamespacedName) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counted[key]
}

func (c *Controller) setCountedAt(key types.NamespacedName, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counted[key] = at
}

// drop forgets a rule that is gone.
func (c *Controller) drop(key types.NamespacedName) {
	c.Set.forget(c.kind, key)
	c.Tally.drop(Key(c.kind, key.Name), key.Namespace)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.counted, key)
}

var _ reconcile.Reconciler = &Controller{}
