package tagrule

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
)

// AddIndexes adds the field index that rules are looked up by.
func AddIndexes(ctx context.Context, indexer client.FieldIndexer) error {
	return indexer.IndexField(ctx, &v1alpha1.TrainingRun{}, IndexRule, func(o client.Object) []string {
		run, ok := o.(*v1alpha1.TrainingRun)
		if !ok {
			return nil
		}
		return remembered(run)
	})
}

// remembered lists the rules of which a TrainingRun remembers something, each once.
func remembered(run *v1alpha1.TrainingRun) []string {
	var keys []string
	for _, t := range run.Status.RuleTags { // in the order of rules
		if len(keys) == 0 || keys[len(keys)-1] != t.Rule {
			keys = append(keys, t.Rule)
		}
	}
	return keys
}

// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=tagrules;clustertagrules,verbs=get;list;watch
// +kubebuilder:rbac:groups=tracking.runtag.dev,resources=tagrules/status;clustertagrules/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch

// SetupWithManager starts the controller with a manager.
func (c *Controller) SetupWithManager(mgr manager.Manager) error {
	var kind client.Object = &v1alpha1.TagRule{}
	from := c.Rules
	if c.kind == kindClusterTagRule {
		kind, from = &v1alpha1.ClusterTagRule{}, c.ClusterRules
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named(strings.ToLower(c.kind)).
		Watches(kind, &handler.EnqueueRequestForObject{}, builder.WithPredicates(trigger.Edited())).
		Watches(&v1alpha1.TrainingRun{}, c.concerned()).
		WatchesRawSource(from.Source(nil)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2}).
		Complete(c)
}

// concerned queues the rules that found something new for a TrainingRun, or of which it remembers nothing any more.
func (c *Controller) concerned() handler.EventHandler {
	queue := func(q workqueue.TypedRateLimitingInterface[reconcile.Request], runs ...client.Object) {
		for _, key := range c.Concerned(runs...) {
			q.Add(reconcile.Request{NamespacedName: key})
		}
	}
	return handler.Funcs{
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if RuleTagsChanged(e.ObjectOld, e.ObjectNew) {
				queue(q, e.ObjectOld, e.ObjectNew)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			queue(q, e.Object)
		},
	}
}

// RuleTagsChanged says whether what rules found for a TrainingRun is something else now.
func RuleTagsChanged(before, now client.Object) bool {
	old, ok := before.(*v1alpha1.TrainingRun)
	run, alsoOK := now.(*v1alpha1.TrainingRun)
	return ok && alsoOK && !equality.Semantic.DeepEqual(old.Status.RuleTags, run.Status.RuleTags)
}

// Concerned lists the rules of this controller's kind of which the TrainingRuns remember something.
func (c *Controller) Concerned(runs ...client.Object) []types.NamespacedName {
	seen := map[types.NamespacedName]bool{}
	var keys []types.NamespacedName
	for _, o := range runs {
		run, ok := o.(*v1alpha1.TrainingRun)
		if !ok {
			continue
		}
		for _, rule := range remembered(run) {
			kind, name, _ := strings.Cut(rule, "/")
			key := types.NamespacedName{Name: name}
			if kind == kindTagRule {
				key.Namespace = run.Namespace
			}
			if kind == c.kind && !seen[key] {
				seen[key] = true
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// Changed queues a rule that began or ceased to match a run without a trace in the run's status.
func (o Options) Changed(rule *Rule) {
	to := o.ClusterRules
	if rule.Object.Namespace != "" {
		to = o.Rules
	}
	to.Enqueue(rule.Object, trigger.Periodic)
}
