package binding

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/evidence"
)

// Index finds runs by pods. Its methods may be called at the same time.
type Index struct {
	pods Pods
	seed maphash.Seed

	mu   sync.RWMutex
	runs map[types.NamespacedName]*Run
	// one and many are by hashes of keys: a run that is found by one that is the same by chance is due once for nothing. Most
	// keys have one run, and those are kept without a list, which halves the room they take.
	one  map[uint64]*Run
	many map[uint64][]*Run
}

// NewIndex makes an empty one; in pods it looks for those that work together.
func NewIndex(pods Pods) *Index {
	return &Index{pods: pods, seed: maphash.MakeSeed(), runs: map[types.NamespacedName]*Run{}, one: map[uint64]*Run{}, many: map[uint64][]*Run{}}
}

// Set puts a run in, in the place of what there was of the same TrainingRun. It is to be set again whenever what Run says
// changed, Known included.
func (x *Index) Set(run Run) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop(run.Object)
	x.runs[run.Object] = &run
	for _, k := range x.hashes(RunKeys(run)) {
		x.add(k, &run)
	}
}

// Drop takes a TrainingRun's run out.
func (x *Index) Drop(object types.NamespacedName) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drop(object)
}

func (x *Index) drop(object types.NamespacedName) {
	run := x.runs[object]
	if run == nil {
		return
	}
	delete(x.runs, object)
	for _, k := range x.hashes(RunKeys(*run)) {
		x.remove(k, run)
	}
}

func (x *Index) add(k uint64, run *Run) {
	if list := x.many[k]; list != nil {
		x.many[k] = append(list, run)
	} else if first := x.one[k]; first != nil {
		delete(x.one, k)
		x.many[k] = []*Run{first, run}
	} else {
		x.one[k] = run
	}
}

func (x *Index) remove(k uint64, run *Run) {
	if x.one[k] == run {
		delete(x.one, k)
		return
	}
	switch left := slices.DeleteFunc(x.many[k], func(r *Run) bool { return r == run }); len(left) {
	case 0:
		delete(x.many, k)
	case 1:
		delete(x.many, k)
		x.one[k] = left[0]
	default:
		x.many[k] = left
	}
}

// hashes are those of the keys, without duplicates.
func (x *Index) hashes(keys []string) []uint64 {
	sums := make([]uint64, len(keys))
	for i, k := range keys {
		sums[i] = maphash.String(x.seed, k)
	}
	slices.Sort(sums)
	return slices.Compact(sums)
}

// RunsOf gives the runs for which something may be different when these pods change, in the order of their TrainingRuns:
// those that a pod may belong to, and those of the pods that it works together with. A run that is over, and had left the
// pod before the latest thing that happened to it, is not among them.
func (x *Index) RunsOf(pods ...*evidence.Pod) []Run {
	runs := map[types.NamespacedName]*Run{}
	gangs := map[string]bool{}
	for _, p := range pods {
		x.collect(runs, p, p)
		for _, k := range gangKeys(p) {
			gangs[k] = true
		}
	}
	for k := range gangs {
		for _, member := range x.pods.Indexed(k) {
			x.collect(runs, member, nil)
		}
	}
	return ordered(runs)
}

// Others gives the runs that may belong to a pod directly, as Links asks for them, in no certain order.
func (x *Index) Others(pod types.UID) []Run {
	runs := map[types.NamespacedName]*Run{}
	if p := x.pods.Pod(pod); p != nil {
		x.collect(runs, p, nil)
	}
	all := make([]Run, 0, len(runs)) // a notebook's pod may have thousands, so they are not sorted
	for _, run := range runs {
		all = append(all, *run)
	}
	return all
}

// collect adds the runs that share a key with a pod, but those that the changed pod can no longer concern.
func (x *Index) collect(runs map[types.NamespacedName]*Run, p, changed *evidence.Pod) {
	keys := x.hashes(podKeys(p))
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, k := range keys {
		if run := x.one[k]; run != nil && (changed == nil || !run.left(changed)) {
			runs[run.Object] = run
		}
		for _, run := range x.many[k] {
			if changed == nil || !run.left(changed) {
				runs[run.Object] = run
			}
		}
	}
}

// left says that the run is over and its time in the pod, too, since before the latest thing that happened to the pod.
// Without it each change of a notebook's pod would concern every run that was ever made in it.
func (r *Run) left(p *evidence.Pod) bool {
	const margin = time.Minute // what is told late
	return !r.Active && slices.ContainsFunc(r.Known, func(l Link) bool {
		return l.Pod == p.UID && !l.Until.IsZero() && l.Until.Add(margin).Before(latest(p))
	})
}

// latest is when the latest thing happened to a pod or to its node that has a time.
func latest(p *evidence.Pod) time.Time {
	at := later(start(p), p.EndedAt)
	for _, c := range p.Conditions {
		at = later(at, c.At)
	}
	if p.Node == nil {
		return at
	}
	for _, c := range p.Node.Conditions {
		at = later(at, c.At)
	}
	for _, t := range p.Node.Taints {
		at = later(at, t.At)
	}
	return at
}

func ordered(runs map[types.NamespacedName]*Run) []Run {
	all := make([]Run, 0, len(runs))
	for _, run := range slices.SortedFunc(maps.Values(runs), func(a, b *Run) int {
		return cmp.Or(cmp.Compare(a.Object.Namespace, b.Object.Namespace), cmp.Compare(a.Object.Name, b.Object.Name))
	}) {
		all = append(all, *run)
	}
	return all
}
