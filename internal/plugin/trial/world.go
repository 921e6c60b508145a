// Package trial asks rules of runs as the operator does, with its own code, of objects that somebody else has read: from
// a cluster or from files. It reads no cluster and no file itself.
package trial

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/ruleinput"
	"github.com/runtag/runtag/internal/rules"
	"github.com/runtag/runtag/internal/tags"
)

// Sights are the objects that there are, apart from runs.
type Sights struct {
	Nodes      []*corev1.Node
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	// Workloads are Kueue's.
	Workloads []*unstructured.Unstructured
	// Unread says of variables of rules why they can't be known: pods, nodes, workloads or namespace.
	Unread map[string]string
	// Now is when they were read. Where it is zero they are of different times, and each counts as read at its own.
	Now time.Time
}

// Run is a run with its project; that is nil where it is not known.
type Run struct {
	plan.Run
	Project *v1alpha1.TrackingProject
}

// World is what rules can read. It is not safe for concurrent use.
type World struct {
	store      *evidence.Store
	index      *binding.Index
	namespaces map[string]rules.Namespace
	unread     map[string]string
	// summary are metrics; those that are nil are known not to be there.
	summary map[string]*float64
}

// clock is the time of the sight in hand.
type clock struct{ at time.Time }

// Now and Since make it a passive clock.
func (c *clock) Now() time.Time { return c.at }

// Since is the time since then.
func (c *clock) Since(t time.Time) time.Duration { return c.at.Sub(t) }

// NewWorld makes a world of what was seen, and of all runs that pods may belong to. summary are metrics of every run; nil
// for one that no run has.
func NewWorld(s Sights, runs []Run, summary map[string]*float64) (*World, error) {
	at := &clock{s.Now}
	w := &World{
		store: evidence.New(evidence.Options{Clock: at, Keys: binding.Keys}), namespaces: map[string]rules.Namespace{},
		unread: s.Unread, summary: summary,
	}
	w.index = binding.NewIndex(w.store)
	for _, n := range s.Namespaces {
		w.namespaces[n.Name] = rules.Namespace{Name: n.Name, Labels: n.Labels, Annotations: n.Annotations}
	}
	for _, n := range s.Nodes {
		w.store.SeeNode(evidence.NodeOf(n))
	}
	pods := slices.Clone(s.Pods)
	if s.Now.IsZero() { // the latest first: pods that ended long before another one are forgotten
		slices.SortStableFunc(pods, func(a, b *corev1.Pod) int { return latest(b).Compare(latest(a)) })
	}
	for _, p := range pods {
		if s.Now.IsZero() {
			at.at = latest(p)
		}
		w.store.SeePod(evidence.PodOf(p))
	}
	for _, l := range s.Workloads {
		w.store.SeeWorkload(evidence.WorkloadOf(l))
	}
	for i := range runs {
		run, err := bindable(&runs[i])
		if err != nil {
			return nil, err
		}
		w.index.Set(run)
	}
	return w, nil
}

// latest is the last time that a pod tells of.
func latest(p *corev1.Pod) time.Time {
	at := p.CreationTimestamp.Time
	see := func(t metav1.Time) {
		if t.After(at) {
			at = t.Time
		}
	}
	if p.Status.StartTime != nil {
		see(*p.Status.StartTime)
	}
	for _, c := range p.Status.Conditions {
		see(c.LastTransitionTime)
	}
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Terminated != nil {
			see(c.State.Terminated.FinishedAt)
		}
	}
	return at
}

// bindable is the run as linking sees it, by what its status says.
func bindable(r *Run) (binding.Run, error) {
	object := r.Object
	b := binding.Run{Object: client.ObjectKeyFromObject(object), ID: r.ID(), Tracker: ruleinput.TrackerWandb}
	if r.Project != nil {
		ruleinput.Locate(&b, r.Project)
	}
	if object.Spec.PodSelector != nil {
		selector, err := metav1.LabelSelectorAsSelector(object.Spec.PodSelector)
		if err != nil {
			return b, fmt.Errorf("read spec.podSelector of TrainingRun %s: %w", b.Object, err)
		}
		b.Selector = selector
	}
	b.Known = ruleinput.KnownLinks(object.Status.Pods)
	st := object.Status.Run
	if st == nil {
		return b, nil
	}
	state := backend.State(st.State)
	b.UID, b.Host, b.Active = st.UID, st.Host, state.Active()
	b.Done = state == backend.StateFinished || state == backend.StateFailed
	b.CreatedAt = timeOf(st.CreatedAt)
	if !b.Active { // on W&B it is the last heartbeat, on MLflow the end
		b.HeartbeatAt = timeOf(st.FinishedAt)
	}
	if b.Done {
		b.EndedAt = cmp.Or(timeOf(st.FinishedAt), b.CreatedAt)
	}
	return b, nil
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// input is the world as rules see it for one run.
func (w *World) input(r *Run) (rules.Input, error) {
	run, err := bindable(r)
	if err != nil {
		return rules.Input{}, err
	}
	in := rules.Input{Namespace: w.namespaces[r.Object.Namespace], Tags: tags.ByOthers(r.ByPeople()), Ended: plan.Ended(r.Object.Status.Run)}
	in.Namespace.Name = r.Object.Namespace
	in.Labels = ruleinput.Labels(r.Dialect, r.Object.Labels, in.Tags)
	if st := r.Object.Status.Run; st != nil {
		in.Run = ruleinput.Facts(st, map[string]float64{})
		for key, value := range w.summary {
			if value != nil {
				in.Run.Summary[key] = *value
			}
		}
	}
	in.Pods, in.Workloads = ruleinput.Pods(w.store, binding.Links(run, w.store, w.index.Others, r.Now).Links)
	return in, nil
}
