package evidence

import (
	"cmp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// workloadAnnotation is what Kueue puts on the pods of a job that it let run: the name of its Workload.
const workloadAnnotation = "kueue.x-k8s.io/workload"

// jobSetUID is the label by which pods know the JobSet above their Job.
const jobSetUID = "jobset.sigs.k8s.io/jobset-uid"

// workloads are Kueue's, with those that went lately.
type workloads struct {
	byUID   map[types.UID]*Workload
	byOwner map[types.UID][]*Workload
	byName  map[types.NamespacedName]*Workload
	gone    map[types.UID]time.Time
}

func newWorkloads() workloads {
	return workloads{
		byUID: map[types.UID]*Workload{}, byOwner: map[types.UID][]*Workload{},
		byName: map[types.NamespacedName]*Workload{}, gone: map[types.UID]time.Time{},
	}
}

func (w *Workload) key() types.NamespacedName {
	return types.NamespacedName{Namespace: w.Namespace, Name: w.Name}
}

func (w *workloads) put(l *Workload) {
	w.drop(l.UID)
	w.byUID[l.UID], w.byName[l.key()] = l, l
	for _, uid := range l.Owners {
		w.byOwner[uid] = append(w.byOwner[uid], l)
	}
}

func (w *workloads) drop(uid types.UID) {
	delete(w.gone, uid)
	old := w.byUID[uid]
	if old == nil {
		return
	}
	delete(w.byUID, uid)
	if w.byName[old.key()] == old { // and not one made since under the same name
		delete(w.byName, old.key())
	}
	for _, uid := range old.Owners {
		w.byOwner[uid] = slices.DeleteFunc(w.byOwner[uid], func(l *Workload) bool { return l == old })
		if len(w.byOwner[uid]) == 0 {
			delete(w.byOwner, uid)
		}
	}
}

func (w *workloads) forget(now time.Time) {
	for uid, at := range w.gone {
		if now.Sub(at) > Keep {
			w.drop(uid)
		}
	}
}

// SeeWorkload takes a sight of a Workload, from WorkloadOf.
func (s *Store) SeeWorkload(w *Workload) {
	if change := s.seeWorkload(w); len(change.Pods) > 0 {
		s.o.Changed(change)
	}
}

func (s *Store) seeWorkload(sight *Workload) (change Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, w := s.now(), *sight
	s.workloads.forget(now)
	known := s.workloads.byUID[w.UID]
	if known == nil {
		known = &Workload{}
	}
	w.Conditions = slices.Clone(w.Conditions)
	dated(w.Conditions, known.Conditions, now)
	if known.same(&w) {
		delete(s.workloads.gone, w.UID)
		return change
	}
	w.Conditions = s.interner.conditions(w.Conditions)
	w.Seen = s.next()
	s.workloads.put(&w)
	pods := s.podsOf(&w)
	lost := func(c Condition) bool {
		return c.Status == "True" && (c.Type == "Evicted" || c.Type == "Preempted") && !slices.Contains(known.Conditions, c)
	}
	return Change{Pods: pods, Before: pods, Workload: &w, Urgent: slices.ContainsFunc(w.Conditions, lost)}
}

// podsOf are the pods that a Workload stands for, once each.
func (s *Store) podsOf(w *Workload) (pods []*Pod) {
	keys := []uint64{s.index.hash(byWorkload, w.Namespace, w.Name)}
	for _, uid := range w.Owners {
		keys = append(keys, s.index.hash(byOwner, string(uid)))
		if r := s.pods[uid]; r != nil {
			pods = append(pods, r.pod)
		}
		for below, o := range s.owners {
			if slices.Contains(o.above, uid) {
				keys = append(keys, s.index.hash(byOwner, string(below)))
			}
		}
	}
	pods = append(pods, s.index.pods(keys...)...)
	slices.SortFunc(pods, func(a, b *Pod) int { return cmp.Compare(a.UID, b.UID) })
	return slices.Compact(pods)
}

// GoneWorkload takes it that a Workload is no more. It is still given for as long as the pods that it stood for may be.
func (s *Store) GoneWorkload(uid types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, already := s.workloads.gone[uid]
	if s.workloads.byUID[uid] != nil && !already {
		s.workloads.gone[uid] = s.now()
	}
	s.workloads.forget(s.now())
}

// WorkloadsOf gives the Workloads of a namespace that stand for any of these objects: jobs, or pods. They are in the
// order of their names.
func (s *Store) WorkloadsOf(namespace string, uids ...types.UID) []*Workload {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*Workload
	for _, uid := range uids {
		for _, w := range s.workloads.byOwner[uid] {
			if w.Namespace == namespace {
				all = append(all, w)
			}
		}
	}
	return inOrder(all)
}

// WorkloadsOfPods gives the Workloads that stand for any of these pods: by the annotation that Kueue leaves on them, and
// by the pods themselves and all that is known to be above them. They are in the order of their names.
func (s *Store) WorkloadsOfPods(pods ...*Pod) []*Workload {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*Workload
	for _, p := range pods {
		uids := append(above(p), p.UID)
		for _, o := range p.Owners {
			uids = append(uids, s.owners[o.UID].above...)
		}
		for _, uid := range uids {
			for _, w := range s.workloads.byOwner[uid] {
				if w.Namespace == p.Namespace {
					all = append(all, w)
				}
			}
		}
		if w := s.workloads.byName[types.NamespacedName{Namespace: p.Namespace, Name: p.Annotations.Get(workloadAnnotation)}]; w != nil {
			all = append(all, w)
		}
	}
	return inOrder(all)
}

// above are the objects that the pod's own record knows to be above it.
func above(p *Pod) (uids []types.UID) {
	if uid := p.Labels.Get(jobSetUID); uid != "" {
		uids = append(uids, types.UID(uid))
	}
	for _, o := range p.Owners {
		uids = append(uids, o.UID)
	}
	return uids
}

func inOrder(all []*Workload) []*Workload {
	slices.SortFunc(all, func(a, b *Workload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return slices.Compact(all)
}
