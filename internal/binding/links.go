package binding

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/evidence"
)

// linker finds the links of one run.
type linker struct {
	run    Run
	pods   Pods
	others func(types.UID) []Run
	now    time.Time
	known  map[types.UID]Link
	links  map[types.UID]Link
}

// Links finds all pods that belong or belonged to a run, and when. Others gives the runs of the namespace that a pod may
// belong to, this one or not: the next run in the same pod ends this one's time there. Pods must know all pods that there
// are: a link that stands and whose pod it does not know ends now.
//
// What it gives does not depend on any order, and given back as Known it gives the same.
func Links(run Run, pods Pods, others func(pod types.UID) []Run, now time.Time) Found {
	l := &linker{run: run, pods: pods, others: others, now: now, known: map[types.UID]Link{}, links: map[types.UID]Link{}}
	for _, link := range run.Known {
		l.known[link.Pod] = link
	}
	found, ambiguous := direct(run, pods)
	for uid, w := range found {
		l.join(uid, w)
	}
	for uid, link := range l.known {
		if _, ok := l.links[uid]; !ok && link.By != ByGang {
			l.links[uid] = l.remembered(link, l.forthwith(link))
		}
	}
	dropped := l.dropInexact()
	l.gang(dropped)
	return Found{Links: slices.SortedFunc(maps.Values(l.links), newestFirst), Ambiguous: ambiguous}
}

// join makes the link with a pod that is the run's in a direct way.
func (l *linker) join(uid types.UID, w way) {
	if w.late {
		l.links[uid] = Link{Pod: uid, Name: w.pod.Name, Node: w.pod.NodeName, By: w.by, From: start(w.pod), Until: w.pod.EndedAt}
		return
	}
	link := Link{Pod: uid, Name: w.pod.Name, Node: w.pod.NodeName, By: w.by, From: later(start(w.pod), l.run.CreatedAt)}
	if w.by == ByHost {
		link.From = later(link.From, l.run.attempt()) // an earlier attempt may have been in another pod of that name
	}
	known, ok := l.known[uid]
	if ok {
		link.From, link.By = earlier(link.From, known.From), stronger(link.By, known.By)
	}
	link.Until = l.until(w.pod, link.From)
	if !link.Until.IsZero() && link.Until.Before(link.From) {
		if link.Until.Before(link.From.Add(-Tolerance)) {
			return // they did not meet; what is known of them is remembered
		}
		link.From = link.Until
	}
	l.links[uid] = link
}

// until is when the run's time in a pod that is known ended; zero while it has not. A run that ended by itself leaves the
// pod then. One that was killed or lost stays until the pod ends, or another run begins there.
func (l *linker) until(p *evidence.Pod, from time.Time) time.Time {
	until := earlier(p.EndedAt, l.run.end())
	return earlier(until, l.next(p, from, until))
}

// next is when the next run in the pod was made, within the time that is left; zero where there was none. One that was
// made by this run (nested), or next to which this run gave a sign of life, took nobody's place.
func (l *linker) next(p *evidence.Pod, from, until time.Time) (at time.Time) {
	all := l.others(p.UID)
	for _, other := range all {
		made := other.CreatedAt
		if l.run.same(other) || !made.After(from) || !until.IsZero() && made.After(until) || !at.IsZero() && !made.Before(at) {
			continue
		}
		if l.run.sign().After(made.Add(Tolerance)) || l.run.above(other, all) || !other.in(p, l.pods) {
			continue
		}
		at = made
	}
	return at
}

// same says that it is the same run of the tracker, perhaps of another TrainingRun.
func (r Run) same(o Run) bool {
	return r.Tracker == o.Tracker && r.ID == o.ID && r.UID == o.UID && r.Entity == o.Entity && r.Project == o.Project
}

// above says that this run made the other, directly or by runs between them that are among all.
func (r Run) above(other Run, all []Run) bool {
	for range len(all) + 1 { // parents cannot go around, but what a tracker says may
		if other.Parent == "" || other.Tracker != r.Tracker {
			return false
		}
		if other.Parent == r.ID {
			return true
		}
		at := slices.IndexFunc(all, func(o Run) bool { return o.ID == other.Parent && o.Tracker == other.Tracker })
		if at < 0 {
			return false
		}
		other = all[at]
	}
	return false
}

// in says that the pod is the run's in a direct way.
func (r Run) in(p *evidence.Pod, pods Pods) bool {
	if slices.ContainsFunc(r.Known, func(l Link) bool { return l.Pod == p.UID && l.By != ByGang }) {
		return true
	}
	found, _ := direct(r, pods)
	_, ok := found[p.UID]
	return ok
}

// forthwith is when a link that stood ends although its pod has not: a run whose host is another since has left the pod
// when its present attempt began. Zero for never. Hosts that change all the time (mode "shared") begin no attempt.
func (l *linker) forthwith(link Link) time.Time {
	if link.By == ByHost && l.run.AttemptAt.After(link.From) {
		return l.run.AttemptAt
	}
	return time.Time{}
}

// remembered is a link of before that would not be found now. Its end stays if it has one.
func (l *linker) remembered(link Link, at time.Time) Link {
	p := l.pods.Pod(link.Pod)
	if p != nil && p.NodeName != "" {
		link.Node = p.NodeName
	}
	if !link.Until.IsZero() {
		return link
	}
	if p == nil {
		link.Until = earlier(earlier(l.now, l.run.end()), at)
	} else {
		link.Until = earlier(l.until(p, link.From), at)
	}
	if !link.Until.IsZero() {
		link.Until = later(link.Until, link.From) // it was there
	}
	return link
}

// dropInexact leaves out what merely fitted as soon as something names the run; it is true if there was any.
func (l *linker) dropInexact() (dropped bool) {
	exact := false
	for _, link := range l.links {
		exact = exact || link.By.Exact()
	}
	if !exact {
		return false
	}
	before := len(l.links)
	maps.DeleteFunc(l.links, func(_ types.UID, link Link) bool { return !link.By.Exact() })
	return len(l.links) < before
}
