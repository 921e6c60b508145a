package tagrule

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/rules"
)

// Rule is one TagRule or ClusterTagRule, understood.
type Rule struct {
	// Object names the TagRule, or the ClusterTagRule, which has no namespace.
	Object     types.NamespacedName
	UID        types.UID
	Generation int64
	Spec       rules.Spec
	// Program is nil for a rule that does not compile; Err says why then.
	Program *rules.Program
	Err     error

	runs, namespaces labels.Selector
}

// SelectsRun says whether the rule is for a TrainingRun with these labels.
func (r *Rule) SelectsRun(of map[string]string) bool { return r.runs.Matches(labels.Set(of)) }

// SelectsNamespace says whether the rule is for a namespace with these labels.
func (r *Rule) SelectsNamespace(of map[string]string) bool {
	return r.namespaces.Matches(labels.Set(of))
}

// Evaluated says whether it matters what the rule says now.
func (r *Rule) Evaluated() bool { return r.Spec.Mode == rules.Enforce || r.Spec.Mode == rules.Report }

// Set is the rules that there are, by the cache, each compiled once per generation. It is safe for concurrent use.
type Set struct {
	reader client.Reader

	mu    sync.Mutex
	known map[types.UID]*Rule
}

// NewSet makes a set of the rules that the reader, a cache, has.
func NewSet(reader client.Reader) *Set { return &Set{reader: reader, known: map[types.UID]*Rule{}} }

// For gives the rules for a namespace: its own, and those of the cluster, whatever their selectors say.
func (s *Set) For(ctx context.Context, namespace string) ([]*Rule, error) {
	var own v1alpha1.TagRuleList
	if err := s.reader.List(ctx, &own, client.InNamespace(namespace), client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		return nil, fmt.Errorf("list TagRules of namespace %s: %w", namespace, err)
	}
	var wide v1alpha1.ClusterTagRuleList
	if err := s.reader.List(ctx, &wide, client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		return nil, fmt.Errorf("list ClusterTagRules: %w", err)
	}
	all := make([]*Rule, 0, len(own.Items)+len(wide.Items))
	for i := range own.Items {
		all = append(all, s.ofTagRule(&own.Items[i]))
	}
	for i := range wide.Items {
		all = append(all, s.ofClusterTagRule(&wide.Items[i]))
	}
	return all, nil
}

// Namespace gives the namespace of runs as rules read it; found is false while the cache does not have it.
func (s *Set) Namespace(ctx context.Context, name string) (namespace rules.Namespace, found bool, err error) {
	var object corev1.Namespace
	switch err := s.reader.Get(ctx, types.NamespacedName{Name: name}, &object, client.UnsafeDisableDeepCopy); {
	case apierrors.IsNotFound(err):
		return rules.Namespace{Name: name}, false, nil
	case err != nil:
		return rules.Namespace{}, false, fmt.Errorf("get namespace %s: %w", name, err)
	}
	return rules.Namespace{Name: name, Labels: object.Labels, Annotations: object.Annotations}, true, nil
}

// SummaryKeys lists in order the metrics that rules for a namespace read.
func (s *Set) SummaryKeys(ctx context.Context, namespace string) ([]string, error) {
	all, err := s.For(ctx, namespace)
	if err != nil {
		return nil, err
	}
	keys := map[string]bool{}
	for _, rule := range all {
		if rule.Program == nil || !rule.Evaluated() {
			continue
		}
		for _, key := range rule.Program.SummaryKeys() {
			keys[key] = true
		}
	}
	return slices.Sorted(maps.Keys(keys)), nil
}

// Kinds of rules, as the first part of a rule's key.
const (
	kindTagRule        = "TagRule"
	kindClusterTagRule = "ClusterTagRule"
)

// Key names a rule in the status of TrainingRuns.
func Key(kind, name string) string { return kind + "/" + name }

func (s *Set) ofTagRule(r *v1alpha1.TagRule) *Rule {
	return s.understood(&r.ObjectMeta, func() *Rule { return newRule(kindTagRule, &r.ObjectMeta, &r.Spec, nil, false) })
}

func (s *Set) ofClusterTagRule(r *v1alpha1.ClusterTagRule) *Rule {
	return s.understood(&r.ObjectMeta, func() *Rule {
		return newRule(kindClusterTagRule, &r.ObjectMeta, &r.Spec.TagRuleSpec, r.Spec.NamespaceSelector, true)
	})
}

// understood gives the rule as it was understood before, as long as its spec is the same.
func (s *Set) understood(meta *metav1.ObjectMeta, understand func() *Rule) *Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.known[meta.UID]; known != nil && known.Generation == meta.Generation {
		return known
	}
	rule := understand()
	s.known[meta.UID] = rule
	return rule
}

// forget drops what is kept of a rule that is gone.
func (s *Set) forget(kind string, object types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.known, func(_ types.UID, r *Rule) bool {
		return r.Object == object && r.Spec.Key == Key(kind, object.Name)
	})
}

// errSelector marks what is wrong with a selector.
var errSelector = errors.New("the selector can't be read")

func newRule(kind string, meta *metav1.ObjectMeta, spec *v1alpha1.TagRuleSpec, namespaces *metav1.LabelSelector, cluster bool) *Rule {
	r := &Rule{
		Object: types.NamespacedName{Namespace: meta.Namespace, Name: meta.Name}, UID: meta.UID, Generation: meta.Generation,
		Spec: rules.Spec{
			Key: Key(kind, meta.Name), When: spec.When, Tags: slices.Clone(spec.Tags), TagExpression: spec.TagExpression,
			For: spec.For.Duration, Retention: retention(spec.Retention), Mode: mode(spec.Mode), NodeAnnotations: cluster,
		},
	}
	var problems [2]error
	r.runs, problems[0] = selector("runSelector", spec.RunSelector)
	r.namespaces, problems[1] = selector("namespaceSelector", namespaces)
	if r.Err = errors.Join(problems[:]...); r.Err != nil {
		return r
	}
	r.Program, r.Err = rules.Compile(r.Spec)
	return r
}

// selector reads a selector; without one everything is selected, and with one that can't be read nothing.
func selector(field string, in *metav1.LabelSelector) (labels.Selector, error) {
	if in == nil {
		return labels.Everything(), nil
	}
	out, err := metav1.LabelSelectorAsSelector(in)
	if err != nil {
		return labels.Nothing(), fmt.Errorf("spec.%s: %w: %w", field, errSelector, err)
	}
	return out, nil
}

func retention(r v1alpha1.Retention) rules.Retention {
	if r == v1alpha1.RetentionWhileTrue {
		return rules.WhileTrue
	}
	return rules.Sticky
}

// mode reads a mode that the API server has validated; one that this operator does not know does nothing.
func mode(m v1alpha1.RuleMode) rules.Mode {
	switch m {
	case "", v1alpha1.RuleModeEnforce:
		return rules.Enforce
	case v1alpha1.RuleModeReport:
		return rules.Report
	case v1alpha1.RuleModeRetract:
		return rules.Retract
	case v1alpha1.RuleModeSuspend:
	}
	return rules.Suspend
}

// Tally counts which TrainingRuns each rule matches, as their passes say. It is safe for concurrent use.
type Tally struct {
	mu      sync.Mutex
	matches map[tallyKey]map[types.NamespacedName]time.Time
}

// tallyKey names a rule for the cluster: two namespaces may have a TagRule of one name.
type tallyKey struct {
	key       string
	namespace string
}

// NewTally makes a tally that has counted nothing yet.
func NewTally() *Tally {
	return &Tally{matches: map[tallyKey]map[types.NamespacedName]time.Time{}}
}

// Note says whether a rule matches a run, and whether that is news.
func (t *Tally) Note(rule *Rule, run types.NamespacedName, matches bool, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := tallyKey{rule.Spec.Key, rule.Object.Namespace}
	_, before := t.matches[key][run]
	switch {
	case before == matches:
		return false
	case matches && t.matches[key] == nil:
		t.matches[key] = map[types.NamespacedName]time.Time{run: now}
	case matches:
		t.matches[key][run] = now
	default:
		delete(t.matches[key], run)
	}
	return true
}

// Forget drops a TrainingRun that is gone.
func (t *Tally) Forget(run types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, runs := range t.matches {
		delete(runs, run)
	}
}

// count gives how many runs a rule matches, and when it matched one more.
func (t *Tally) count(key, namespace string) (runs int, last time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range t.matches[tallyKey{key, namespace}] {
		runs++
		if at.After(last) {
			last = at
		}
	}
	return runs, last
}

// drop forgets what was counted for a rule that is gone.
func (t *Tally) drop(key, namespace string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.matches, tallyKey{key, namespace})
}
