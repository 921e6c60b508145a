package binding

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/evidence"
)

// ways are pods that belong to a run directly, and how they do.
type ways map[types.UID]way

type way struct {
	pod *evidence.Pod
	by  By
	// late says that the run was told of after the pod was over: synced from offline.
	late bool
}

// add adds a pod that was not found in a stronger way.
func (w ways) add(p *evidence.Pod, by By) {
	if _, ok := w[p.UID]; !ok {
		w[p.UID] = way{pod: p, by: by}
	}
}

// strength orders the ways, the strongest first.
var strength = []By{ByName, ByEnv, ByPodUID, ByRunID, BySelector, ByHost, ByGang}

func stronger(a, b By) By {
	if slices.Index(strength, b) < slices.Index(strength, a) {
		return b
	}
	return a
}

// direct finds the pods of a run, those of its gangs aside. Pods that the run names, or that name it, come before those
// that merely fit.
func direct(run Run, pods Pods) (found ways, ambiguous []string) {
	found = exact(run, pods)
	if len(found) == 0 && !run.Active {
		found = late(run, pods)
	}
	named := slices.ContainsFunc(run.Known, func(l Link) bool { return l.By.Exact() })
	if len(found) > 0 || named {
		return found, nil
	}
	for _, p := range selected(run, pods) {
		if run.during(p) {
			found.add(p, BySelector)
		}
	}
	return found, byHost(run, pods, found)
}

// exact finds the pods that name the run or are named by it.
func exact(run Run, pods Pods) ways {
	found := ways{}
	naming(run, pods, func(p *evidence.Pod, by By) {
		if run.met(p) {
			found[p.UID] = way{pod: p, by: by}
		}
	})
	return found
}

// late finds the last pod that named a run and was over before there was such a run: it was synced from offline, and the
// tracker's times are those of the sync. Only one that is over already when it is seen can have been.
func late(run Run, pods Pods) ways {
	var last way
	naming(run, pods, func(p *evidence.Pod, by By) {
		before := p.Over() && p.EndedAt.Before(run.CreatedAt)
		if before && (last.pod == nil || p.EndedAt.After(last.pod.EndedAt) || p.EndedAt.Equal(last.pod.EndedAt) && p.UID < last.pod.UID) {
			last = way{pod: p, by: by, late: true}
		}
	})
	if last.pod == nil {
		return ways{}
	}
	return ways{last.pod.UID: last}
}

// naming goes through the pods that name the run or are named by it.
func naming(run Run, pods Pods, found func(*evidence.Pod, By)) {
	try := func(p *evidence.Pod) {
		if by, ok := run.named(p); ok {
			found(p, by)
		}
	}
	if run.PodUID != "" {
		if p := pods.Pod(run.PodUID); p != nil {
			try(p)
		}
	}
	if run.Object.Name != "" {
		each(pods.Indexed(key(run.Object.Namespace, keyName, run.Object.Name)), try)
	}
	if run.ID != "" {
		each(pods.Indexed(key(run.Object.Namespace, keyID, run.Tracker, run.ID)), try)
	}
}

func each(pods []*evidence.Pod, f func(*evidence.Pod)) {
	for _, p := range pods {
		f(p)
	}
}

// named says that the pod names the run or is named by it, and how at the strongest.
func (r Run) named(p *evidence.Pod) (By, bool) {
	switch name := r.Object.Name; {
	case p.Namespace != r.Object.Namespace:
		return "", false
	case name != "" && (p.Annotations.Get(RunKey) == name || p.Labels.Get(RunKey) == name):
		return ByName, true
	case slices.ContainsFunc(p.Runs, r.is):
		return ByEnv, true
	case r.PodUID != "" && r.PodUID == p.UID:
		return ByPodUID, true
	case r.ID != "" && r.Tracker == wandb && slices.Contains(labelled(p), r.ID):
		return ByRunID, true
	}
	return "", false
}

// is says that a container's environment means this run: what it gives agrees. W&B's ids are unique within a project only.
func (r Run) is(ref evidence.RunRef) bool {
	if ref.ID == "" || ref.ID != r.ID || ref.Tracker != r.Tracker || !sameURL(ref.URL, r.URL) {
		return false
	}
	return r.Tracker != wandb || agree(ref.Project, r.Project) && agree(ref.Entity, r.Entity)
}

func agree(given, is string) bool { return given == "" || is == "" || given == is }

// sameURL compares scheme, host and path.
func sameURL(given, is string) bool {
	if agree(given, is) {
		return true
	}
	a, errA := url.Parse(given)
	b, errB := url.Parse(is)
	return errA == nil && errB == nil && strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Host, b.Host) &&
		strings.TrimRight(a.Path, "/") == strings.TrimRight(b.Path, "/")
}

// selected are the pods that spec.podSelector selects.
func selected(run Run, pods Pods) []*evidence.Pod {
	label, values, ok := term(run.Selector)
	if !ok {
		return nil
	}
	return slices.DeleteFunc(pods.Labelled(run.Object.Namespace, label, values...), func(p *evidence.Pod) bool {
		return p.Namespace != run.Object.Namespace || !run.Selector.Matches(p.Labels)
	})
}

// byHost adds to what was found the pod whose hostname is the run's host. A hostname may be used again, by the next pod of
// a StatefulSet or by another job, so it counts only at the moments at which the run is known to have lived: when its
// present attempt began, and at its last sign of life. At each, exactly one pod of that name must have lived; a pod that is
// the run's already is that one. Else the names of those that could be it come back.
func byHost(run Run, pods Pods, found ways) (ambiguous []string) {
	if run.Host == "" {
		return nil
	}
	var hosts []*evidence.Pod
	for _, p := range pods.Indexed(key(run.Object.Namespace, keyHost, run.Host)) {
		if p.Namespace == run.Object.Namespace && slices.Contains(hostsOf(p), run.Host) && !p.StartedAt.IsZero() {
			hosts = append(hosts, p)
		}
	}
	ours := func(p *evidence.Pod) bool {
		_, ok := found[p.UID]
		return ok || slices.ContainsFunc(run.Known, func(l Link) bool { return l.Pod == p.UID && l.By != ByGang })
	}
	moments := [][]*evidence.Pod{livedAt(hosts, run.attempt()), livedAt(hosts, run.sign())}
	for _, fit := range moments {
		if len(fit) == 1 {
			found.add(fit[0], ByHost)
		}
	}
	for _, fit := range moments {
		if !slices.ContainsFunc(fit, ours) {
			for _, p := range fit {
				ambiguous = append(ambiguous, p.Name)
			}
			continue
		}
		for _, p := range fit {
			if ours(p) {
				found.add(p, ByHost)
			}
		}
	}
	slices.Sort(ambiguous)
	return slices.Compact(ambiguous)
}

// livedAt are the pods that lived at a time; where none did, those that did as far as clocks can tell.
func livedAt(pods []*evidence.Pod, at time.Time) (alive []*evidence.Pod) {
	for _, tolerance := range []time.Duration{0, Tolerance} {
		for _, p := range pods {
			if !at.IsZero() && !p.StartedAt.After(at.Add(tolerance)) && (!p.Over() || !p.EndedAt.Before(at.Add(-tolerance))) {
				alive = append(alive, p)
			}
		}
		if len(alive) > 0 {
			break
		}
	}
	return alive
}

// attempt is when the run's present attempt began.
func (r Run) attempt() time.Time { return later(r.AttemptAt, r.CreatedAt) }

// sign is the last time at which the run is known to have lived.
func (r Run) sign() time.Time {
	switch {
	case r.Done && !r.EndedAt.IsZero():
		return later(r.attempt(), r.EndedAt)
	case r.Active:
		return later(r.attempt(), r.HeartbeatAt)
	}
	return later(later(r.attempt(), r.HeartbeatAt), r.EndedAt)
}

// end is when the run's present attempt ended by itself; zero where it did not, or not yet.
func (r Run) end() time.Time {
	if !r.Done {
		return time.Time{}
	}
	if r.EndedAt.IsZero() {
		return r.sign()
	}
	return r.EndedAt
}

// met says that the pod did not end before the run was made, nor start after it ended.
func (r Run) met(p *evidence.Pod) bool {
	end := earlier(p.EndedAt, r.end())
	return end.IsZero() || !end.Before(later(start(p), r.CreatedAt).Add(-Tolerance))
}

// during says that the pod's containers and the run's present attempt lived at once. A run that was killed lived until its
// last sign of life, as far as anybody knows.
func (r Run) during(p *evidence.Pod) bool {
	if p.StartedAt.IsZero() || p.Over() && p.EndedAt.Before(r.attempt().Add(-Tolerance)) {
		return false
	}
	return r.Active || !p.StartedAt.After(r.sign().Add(Tolerance))
}

// start is when the pod began, as far as is known.
func start(p *evidence.Pod) time.Time {
	if p.StartedAt.IsZero() {
		return p.CreatedAt
	}
	return p.StartedAt
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// earlier is the earlier of two times, either of which may be zero for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// newestFirst orders links by From, then by name.
func newestFirst(a, b Link) int {
	return cmp.Or(b.From.Compare(a.From), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Pod, b.Pod))
}
