package binding

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/evidence"
)

// gang adds the pods that work together with those that are linked directly, for as long as both were there. One that was
// linked so before stays, unless it came with a pod that is not the run's after all (dropped).
func (l *linker) gang(dropped bool) {
	found := map[types.UID]Link{}
	for _, link := range l.links {
		p := l.pods.Pod(link.Pod)
		if p == nil {
			continue
		}
		for _, k := range gangKeys(p) {
			for _, member := range l.pods.Indexed(k) {
				if _, direct := l.links[member.UID]; !direct && slices.Contains(gangKeys(member), k) {
					l.meet(found, member, link)
				}
			}
		}
	}
	until := l.last()
	for uid, link := range l.known {
		_, again := found[uid]
		_, direct := l.links[uid]
		if link.By != ByGang || again || direct || dropped && l.pods.Pod(uid) != nil {
			continue
		}
		found[uid] = l.remembered(link, until)
	}
	maps.Copy(l.links, found)
}

// meet links a pod of a gang for the time that it shared with a direct link. With several of them it is from the first to
// the last.
func (l *linker) meet(found map[types.UID]Link, p *evidence.Pod, direct Link) {
	link := Link{
		Pod: p.UID, Name: p.Name, Node: p.NodeName, By: ByGang,
		From: later(start(p), direct.From), Until: earlier(p.EndedAt, direct.Until),
	}
	if !link.Until.IsZero() && link.Until.Before(link.From) {
		return
	}
	if known, ok := l.known[p.UID]; ok {
		link.From = earlier(link.From, known.From)
	}
	if other, ok := found[p.UID]; ok {
		link.From = earlier(link.From, other.From)
		if link.Until.IsZero() || other.Until.IsZero() {
			link.Until = time.Time{}
		} else {
			link.Until = later(link.Until, other.Until)
		}
	}
	found[p.UID] = link
}

// last is when the last direct link ended; zero while one stands, or where there never was one.
func (l *linker) last() (at time.Time) {
	for _, link := range l.links {
		if link.Until.IsZero() {
			return time.Time{}
		}
		at = later(at, link.Until)
	}
	return at
}
