package trackingproject

import (
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/runtag/runtag/api/v1alpha1"
)

// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=trackingprojects,verbs=get;list;watch
// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=trackingprojects/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get

// SetupWithManager starts the controller with a manager. A worker is busy for as long as a look takes.
func (c *Controller) SetupWithManager(mgr manager.Manager, workers int) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("trackingproject").
		Watches(&v1alpha1.TrackingProject{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(relevant())).
		WatchesRawSource(c.Projects.Source()).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(c)
}

// relevant lets by what a person can have changed; the status is our own.
func relevant() predicate.Predicate {
	return predicate.Or(
		predicate.GenerationChangedPredicate{},
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
