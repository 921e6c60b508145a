package tagchange

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	corev1 "k8s.io/api/core/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
)

// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=tagchanges,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=tagchanges/status,verbs=patch
// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=tagchanges/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;create;update

// SetupWithManager starts the controller with a manager, once ready returns.
func (c *Controller) SetupWithManager(mgr manager.Manager, workers int, ready func(context.Context) error) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("tagchange").
		Watches(&v1alpha1.TagChange{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(trigger.Edited())).
		Watches(&v1alpha1.TagChange{}, handler.Funcs{
			UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				if Finished(e.ObjectNew) && !Finished(e.ObjectOld) {
					c.next(ctx, e.ObjectNew, q)
				}
			},
			DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				c.next(ctx, e.Object, q)
			},
		}).
		WatchesRawSource(c.Changes.Source(ready)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, NewQueue: trigger.FairQueue(workers, mgr.GetLogger())}).
		Complete(c)
}

// Finished says that a TagChange is done, for good or ill.
func Finished(o client.Object) bool {
	change, ok := o.(*v1alpha1.TagChange)
	return ok && change.Status.FinishedAt != nil
}

// next queues the TagChanges of a project when one of them is out of the way.
func (c *Controller) next(ctx context.Context, done client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	var list v1alpha1.TagChangeList
	if err := c.Client.List(ctx, &list, client.InNamespace(done.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "can't list the TagChanges that wait for this one; they ask again", "after", askAgain)
		return
	}
	for i := range list.Items {
		if !Finished(&list.Items[i]) {
			q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
}

// announce makes the events of a change: what it would do, that it begins and what came of it.
func (c *Controller) announce(s *scope) {
	before, now := &s.stored.Status, &s.change.Status
	kind := corev1.EventTypeNormal
	switch {
	case s.settled:
	case s.state.Stalled && now.FinishedAt == nil:
		if ready := meta.FindStatusCondition(before.Conditions, v1alpha1.ConditionReady); ready == nil || ready.Reason != s.state.Reason {
			c.Recorder.Eventf(s.change, nil, corev1.EventTypeWarning, s.state.Reason, "Change", "%s", s.state.Message)
		}
	case before.FinishedAt == nil && now.FinishedAt != nil:
		if s.state.Stalled {
			kind = corev1.EventTypeWarning
		}
		c.Recorder.Eventf(s.change, nil, kind, s.state.Reason, "Change", "%s", s.state.Message)
	case before.StartedAt == nil && now.StartedAt != nil, s.state.Reason == v1alpha1.ReasonCounted:
		c.Recorder.Eventf(s.change, nil, kind, s.state.Reason, "Change", "%s", s.state.Message)
	case s.state.Reason == v1alpha1.ReasonChanging && s.now.Sub(s.memory.toldAt) >= progressEvery:
		s.memory.toldAt = s.now
		c.Recorder.Eventf(s.change, nil, kind, "Progress", "Change", "%s", s.state.Message)
	}
}

// progressEvery is how often an event says how far a change is.
const progressEvery = 30 * time.Second
