package trainingrun

import (
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
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
	"github.com/runtag/runtag/internal/mirror"
)

// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=trainingruns,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=trainingruns/status,verbs=patch
// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=trainingruns/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager starts the controller with a manager, once ready returns. Workers never wait for a tracker, so a few are
// enough.
func (c *Controller) SetupWithManager(mgr manager.Manager, workers int, ready func(context.Context) error) error {
	return ctrl.NewControllerManagedBy(mgr).
		Named("trainingrun").
		Watches(&v1alpha1.TrainingRun{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(Relevant())).
		Watches(&v1alpha1.TrainingRun{}, handler.Funcs{
			UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				c.wake(ctx, e.ObjectNew, q)
			},
			DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				c.wake(ctx, e.Object, q)
			},
		}, builder.WithPredicates(predicate.Or(Relevant(), othersConcerned()))).
		Watches(&v1alpha1.TagRule{}, handler.EnqueueRequestsFromMapFunc(c.within), builder.WithPredicates(trigger.Edited())).
		Watches(&v1alpha1.ClusterTagRule{}, handler.EnqueueRequestsFromMapFunc(c.within), builder.WithPredicates(trigger.Edited())).
		Watches(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(c.ofNamespace), builder.WithPredicates(namespaceChanged())).
		WatchesRawSource(c.Runs.Source(ready)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, NewQueue: trigger.FairQueue(workers, mgr.GetLogger())}).
		Complete(c)
}

// readByRules are the labels that are neither ours nor stand for tags: rules select and read by them.
func readByRules(o client.Object) map[string]string {
	labels := maps.Clone(o.GetLabels())
	maps.DeleteFunc(labels, func(key, _ string) bool { return mirror.IsMirror(key) || strings.HasPrefix(key, mirror.IdentityPrefix) })
	return labels
}

// within lists the TrainingRuns that a rule may concern: those of its namespace, or all.
func (c *Controller) within(ctx context.Context, rule client.Object) []reconcile.Request {
	return c.requestsIn(ctx, rule.GetNamespace())
}

// ofNamespace lists the TrainingRuns of a namespace.
func (c *Controller) ofNamespace(ctx context.Context, namespace client.Object) []reconcile.Request {
	return c.requestsIn(ctx, namespace.GetName())
}

func (c *Controller) requestsIn(ctx context.Context, namespace string) []reconcile.Request {
	var list v1alpha1.TrainingRunList
	if err := c.Client.List(ctx, &list, client.InNamespace(namespace), client.DisableReadYourWritesConsistency, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "can't list the TrainingRuns that a rule may concern; they wait for their next look", "namespace", namespace)
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
	}
	return requests
}

// namespaceChanged lets by what rules read of a namespace.
func namespaceChanged() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) ||
				!maps.Equal(e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations())
		},
	}
}

// declarationsOf is what a person may have changed in the metadata, identity included.
func declarationsOf(o client.Object) string {
	return declarations(&metav1.ObjectMeta{Labels: o.GetLabels(), Annotations: o.GetAnnotations()}) + o.GetLabels()[mirror.Project]
}

// wake queues the TrainingRuns that an edit or the deletion of another one concerns.
func (c *Controller) wake(ctx context.Context, obj client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	run, ok := obj.(*v1alpha1.TrainingRun)
	if !ok {
		return
	}
	if tracker, known := c.Registry.Find(types.NamespacedName{Namespace: run.Namespace, Name: run.Spec.ProjectRef.Name}); known && tracker.HasUnique() {
		c.Projects.Enqueue(tracker.Key, trigger.Periodic)
	}
	concerned, err := c.Concerned(ctx, run)
	if err != nil {
		log.FromContext(ctx).Error(err, "can't find the TrainingRuns of the same run; they wait for the next look", "run", RunID(run))
	}
	for _, key := range concerned {
		q.Add(reconcile.Request{NamespacedName: key})
	}
}

// Concerned lists the other TrainingRuns that may have something to do when this one was edited or is gone: those of the
// namespace that gave way to it, and those of all namespaces that keep on the run what it declares.
func (c *Controller) Concerned(ctx context.Context, run *v1alpha1.TrainingRun) ([]types.NamespacedName, error) {
	all, err := OfRunAnywhere(ctx, c.Client, run.Namespace, run.Spec.ProjectRef.Name, RunID(run), KnownRun(run))
	if err != nil {
		return nil, err
	}
	var concerned []types.NamespacedName
	for _, same := range all {
		if same.UID != run.UID {
			concerned = append(concerned, client.ObjectKeyFromObject(same))
		}
	}
	return concerned, nil
}

// othersConcerned lets by what a status says of tags that labels, annotations and rules declare: other objects leave such
// a tag on the run, and go by the status.
func othersConcerned() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(*v1alpha1.TrainingRun)
			now, alsoOK := e.ObjectNew.(*v1alpha1.TrainingRun)
			return ok && alsoOK && !slices.Equal(declaredByStatus(before), declaredByStatus(now))
		},
	}
}

// statusReplaced says that somebody else wrote the status, as tools do that restore a backup: it knows another run than
// before, or declarations that are not those of the object. What we write has neither, or rarely.
func statusReplaced(e event.UpdateEvent) bool {
	before, ok := e.ObjectOld.(*v1alpha1.TrainingRun)
	now, alsoOK := e.ObjectNew.(*v1alpha1.TrainingRun)
	if !ok || !alsoOK {
		return false
	}
	if known := KnownRun(before).UID; known != "" && known != KnownRun(now).UID {
		return true
	}
	return before.Status.ObservedDeclarations != now.Status.ObservedDeclarations && now.Status.ObservedDeclarations != DeclarationsHash(now)
}

// Relevant lets by what a person can have changed; the status is our own, unless a backup is restored.
func Relevant() predicate.Predicate {
	return predicate.Or(
		trigger.Edited(),
		predicate.Funcs{UpdateFunc: statusReplaced},
		predicate.Funcs{
			CreateFunc: func(event.CreateEvent) bool { return true },
			DeleteFunc: func(event.DeleteEvent) bool { return true },
			UpdateFunc: func(e event.UpdateEvent) bool {
				return declarationsOf(e.ObjectOld) != declarationsOf(e.ObjectNew) ||
					!maps.Equal(readByRules(e.ObjectOld), readByRules(e.ObjectNew)) ||
					e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
			},
		},
	)
}
