package evidence

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Keep is how long a pod is kept after its end, and a Workload after it is gone.
const Keep = 24 * time.Hour

// MostEnded is how many pods that ended are kept, the latest. Those that live are kept however many there are.
const MostEnded = 20_000

// Options of a Store.
type Options struct {
	Clock clock.PassiveClock
	// Keys are what Indexed finds a pod by.
	Keys func(*Pod) []string
	// Changed is told of each change that somebody can read, after it can be read; nil for nobody. It is called by
	// whoever feeds the store, so it must not wait.
	Changed func(Change)
}

// Change is what one sight changed.
type Change struct {
	// Pods are those of which something is different now; Before are the same pods as they were, nil for one that is new.
	Pods, Before []*Pod
	// Urgent says that it may be a disruption, which is to be written down at once: a condition DisruptionTarget or
	// TerminationTarget that became true, a taint or condition of a node, a Workload that lost its quota. The rest, starts
	// and ends of pods for instance, may be gathered.
	Urgent bool
	// Node is the name of the node if it was a sight of one.
	Node string
	// Workload is set if it was a sight of one; the pods are those that it stands for.
	Workload *Workload
}

// Store keeps what was seen. It does not look by itself: it is fed. Its methods may be called at the same time.
type Store struct {
	o Options

	mu    sync.RWMutex
	pods  map[types.UID]*record
	nodes map[string]*Node
	index *index
	// labelled are the keys of labels, by namespace, that somebody looked for; pods are indexed by those only.
	labelled  map[string]map[string]bool
	owners    map[types.UID]owner
	workloads workloads
	ended     endings
	interner  *interner
	seen      uint64
}

// owner is what is known of an owner of pods.
type owner struct {
	runs []string
	// above are the owner's own owners, the nearest first.
	above []types.UID
}

// New makes an empty store.
func New(o Options) *Store {
	if o.Changed == nil {
		o.Changed = func(Change) {}
	}
	if o.Keys == nil {
		o.Keys = func(*Pod) []string { return nil }
	}
	return &Store{
		o: o, pods: map[types.UID]*record{}, nodes: map[string]*Node{}, index: newIndex(),
		labelled: map[string]map[string]bool{}, owners: map[types.UID]owner{}, workloads: newWorkloads(), interner: newInterner(),
	}
}

func (s *Store) now() time.Time { return s.o.Clock.Now().Round(0).UTC() }

// next counts a change.
func (s *Store) next() uint64 {
	s.seen++
	return s.seen
}

// SeePod takes a sight of a pod, from PodOf.
func (s *Store) SeePod(p *Pod) {
	if change, ok := s.seePod(p); ok {
		s.o.Changed(change)
	}
}

func (s *Store) seePod(sight *Pod) (Change, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, p := s.now(), *sight
	r := s.pods[p.UID]
	var before *Pod
	if r != nil {
		before = r.pod
	}
	s.complete(&p, before, now)
	if before != nil && before.same(&p) {
		return Change{}, false
	}
	s.interner.pod(&p)
	if strings.HasPrefix(p.Name, p.Hostname) {
		p.Hostname = p.Name[:len(p.Hostname)] // one string instead of two
	}
	p.Seen = s.next()
	s.put(r, &p)
	s.forget(now)
	if s.pods[p.UID] == nil {
		return Change{}, false // one that ended too long ago
	}
	return Change{Pods: []*Pod{&p}, Before: []*Pod{before}, Urgent: disrupted(&p, before)}, true
}

// complete adds what the sight alone does not say.
func (s *Store) complete(p, before *Pod, now time.Time) {
	p.Conditions = slices.Clone(p.Conditions)
	p.OwnerRuns = s.ownerRuns(p)
	if before == nil {
		before = &Pod{}
	}
	dated(p.Conditions, before.Conditions, now)
	for _, old := range before.Conditions {
		lasts := func(c Condition) bool { return c.Type == old.Type && c.Status == old.Status && c.Reason == old.Reason }
		if old.disrupts() && !slices.ContainsFunc(p.Conditions, lasts) {
			p.Conditions = append(p.Conditions, old)
		}
	}
	if ended(p.Phase) && p.EndedAt.IsZero() { // no container says when
		p.EndedAt = now
		if before.Over() {
			p.EndedAt = before.EndedAt
		}
	}
	p.Node = before.Node
	if node := s.nodes[p.NodeName]; node != nil && ranOn(p, node) {
		p.Node = node
	}
}

// disrupts says that the condition means that somebody ends the pod; Kueue writes TerminationTarget.
func (c Condition) disrupts() bool {
	return c.Status == "True" && (c.Type == "DisruptionTarget" || c.Type == "TerminationTarget")
}

// disrupted says that such a condition is new.
func disrupted(p, before *Pod) bool {
	return slices.ContainsFunc(p.Conditions, func(c Condition) bool {
		return c.disrupts() && (before == nil || !slices.Contains(before.Conditions, c))
	})
}

// put files a pod, in its old record if it has one.
func (s *Store) put(r *record, p *Pod) {
	keys := s.keys(p)
	if r == nil {
		r = &record{}
		s.pods[p.UID] = r
	} else if old := s.keys(r.pod); !slices.Equal(old, keys) {
		s.unfile(r, old)
	} else {
		keys = nil
	}
	if p.Over() && (r.pod == nil || !r.pod.EndedAt.Equal(p.EndedAt)) {
		s.ended.push(p)
	}
	r.pod = p
	for _, key := range keys {
		s.index.add(key, r)
	}
}

func (s *Store) unfile(r *record, keys []uint64) {
	for _, key := range keys {
		s.index.remove(key, r)
	}
}

// keys are what a pod is found by, without duplicates.
func (s *Store) keys(p *Pod) []uint64 {
	keys := []uint64{s.index.hash(byNamespace, p.Namespace)}
	add := func(key uint64) {
		if !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for _, key := range s.o.Keys(p) {
		add(s.index.hash(byKey, key))
	}
	if p.NodeName != "" {
		add(s.index.hash(byNode, p.NodeName))
	}
	for _, uid := range above(p) {
		add(s.index.hash(byOwner, string(uid)))
	}
	if name := p.Annotations.Get(workloadAnnotation); name != "" {
		add(s.index.hash(byWorkload, p.Namespace, name))
	}
	for label := range s.labelled[p.Namespace] {
		if value, ok := p.Labels.Lookup(label); ok {
			add(s.index.hash(byLabel, p.Namespace, label))
			add(s.index.hash(byPair, p.Namespace, label, value))
		}
	}
	slices.Sort(keys)
	return keys
}

// GonePod takes it that a pod is no more. What was seen of it stays.
func (s *Store) GonePod(uid types.UID) {
	s.mu.Lock()
	r, now := s.pods[uid], s.now()
	if r == nil || r.pod.Over() {
		s.forget(now)
		s.mu.Unlock()
		return
	}
	before, p := r.pod, *r.pod
	p.EndedAt, p.Seen = now, s.next()
	s.put(r, &p)
	s.forget(now)
	s.mu.Unlock()
	s.o.Changed(Change{Pods: []*Pod{&p}, Before: []*Pod{before}})
}

// forget lets go of pods that ended long ago, and of the oldest where there are too many.
func (s *Store) forget(now time.Time) {
	for len(s.ended) > 0 {
		oldest := s.ended[0]
		if len(s.ended) <= MostEnded && now.Sub(oldest.at) <= Keep {
			return
		}
		s.ended.pop()
		r := s.pods[oldest.uid]
		if r == nil || !r.pod.EndedAt.Equal(oldest.at) { // another end became known since
			continue
		}
		s.unfile(r, s.keys(r.pod))
		delete(s.pods, oldest.uid)
		for _, o := range r.pod.Owners {
			if !s.index.has(s.index.hash(byOwner, string(o.UID))) {
				delete(s.owners, o.UID)
			}
		}
	}
}

// SetOwnerRuns says which runs an owner of pods, or one further above it, names by label, and which owners are above it.
// Pods of that owner carry the runs from then on.
func (s *Store) SetOwnerRuns(uid types.UID, ids []string, above ...types.UID) {
	if change := s.setOwnerRuns(uid, ids, above); len(change.Pods) > 0 {
		s.o.Changed(change)
	}
}

// KnowsOwner says that SetOwnerRuns was called for an owner, and that there are pods of it still.
func (s *Store) KnowsOwner(uid types.UID) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.owners[uid]
	return ok
}

func (s *Store) setOwnerRuns(uid types.UID, ids []string, above []types.UID) (change Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	records := slices.Clone(s.index.records(s.index.hash(byOwner, string(uid))))
	if len(records) == 0 {
		return change // its pods are gone
	}
	s.owners[uid] = owner{runs: slices.Clone(ids), above: slices.Clone(above)}
	for _, r := range records {
		p := *r.pod
		p.OwnerRuns = s.ownerRuns(&p)
		if slices.Equal(p.OwnerRuns, r.pod.OwnerRuns) {
			continue
		}
		s.interner.pod(&p)
		s.replace(r, &p, &change)
	}
	return change
}

// replace puts a new pod in a record and notes it.
func (s *Store) replace(r *record, p *Pod, change *Change) {
	p.Seen = s.next()
	change.Pods, change.Before = append(change.Pods, p), append(change.Before, r.pod)
	s.put(r, p)
}

// ownerRuns are those of all owners, sorted.
func (s *Store) ownerRuns(p *Pod) []string {
	runs := map[string]bool{}
	for _, o := range p.Owners {
		for _, id := range s.owners[o.UID].runs {
			runs[id] = true
		}
	}
	return slices.Sorted(maps.Keys(runs))
}
