package trackingproject

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
)

// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=trackingprojects,verbs=get;list;watch
// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=trackingprojects/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get

// SetupWithManager starts the controller with a manager, once ready returns. A worker is busy for as long as a look takes.
func (c *Controller) SetupWithManager(mgr manager.Manager, workers int, ready func(context.Context) error) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("trackingproject").
		Watches(&v1alpha1.TrackingProject{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(Relevant())).
		Watches(&v1alpha1.TagRule{}, handler.EnqueueRequestsFromMapFunc(c.within), builder.WithPredicates(trigger.Edited())).
		Watches(&v1alpha1.ClusterTagRule{}, handler.EnqueueRequestsFromMapFunc(c.within), builder.WithPredicates(trigger.Edited())).
		WatchesRawSource(c.Projects.Source(ready)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, NewQueue: trigger.FairQueue(workers, mgr.GetLogger())}).
		Complete(c)
}

// within lists the projects that a rule may concern: it may read other metrics than before.
func (c *Controller) within(ctx context.Context, rule client.Object) []reconcile.Request {
	var list v1alpha1.TrackingProjectList
	if err := c.Client.List(ctx, &list, client.InNamespace(rule.GetNamespace()), client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "can't list the TrackingProjects that a rule may concern; they wait for their next look", "rule", rule.GetName())
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

// Relevant lets by what a person can have changed; the status is our own.
func Relevant() predicate.Predicate {
	return predicate.Or(
		trigger.Edited(),
		predicate.Funcs{
			CreateFunc: func(event.CreateEvent) bool { return true },
			DeleteFunc: func(event.DeleteEvent) bool { return true },
			UpdateFunc: func(e event.UpdateEvent) bool {
				before, now := e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations()
				return before[v1alpha1.AnnotationLookAt] != now[v1alpha1.AnnotationLookAt] ||
					before[v1alpha1.AnnotationAcceptMissing] != now[v1alpha1.AnnotationAcceptMissing]
			},
		},
	)
}
