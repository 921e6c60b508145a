package evidence

import "slices"

// SeeNode takes a sight of a node, from NodeOf. Its pods that live have it from then on.
func (s *Store) SeeNode(n *Node) {
	if change := s.seeNode(n); len(change.Pods) > 0 {
		s.o.Changed(change)
	}
}

func (s *Store) seeNode(sight *Node) Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, n := s.now(), *sight
	change := Change{Node: n.Name}
	before := s.nodes[n.Name]
	known := before
	if known == nil {
		known = &Node{}
	}
	n.Taints, n.Conditions = slices.Clone(n.Taints), slices.Clone(n.Conditions)
	datedTaints(n.Taints, known.Taints, now)
	dated(n.Conditions, known.Conditions, now)
	if before != nil && before.same(&n) {
		return change
	}
	change.Urgent = before != nil && before.warns(&n)
	s.interner.node(&n)
	n.Seen = s.next()
	s.nodes[n.Name] = &n
	for _, r := range s.index.records(s.index.hash(byNode, n.Name)) {
		if p := *r.pod; ranOn(&p, &n) {
			p.Node = &n
			p.Seen = s.next()
			change.Pods, change.Before = append(change.Pods, &p), append(change.Before, r.pod)
			r.pod = &p // nothing that it is found by changed
		}
	}
	return change
}

// ranOn says that the node, as it is seen now, is what the pod has as its node. A pod that ended keeps what it has: what
// comes later is none of its business. One that started before a node was made ran on an earlier one of that name, unless
// it is the only one that was ever seen for it and the pod lived to see it.
func ranOn(p *Pod, n *Node) bool {
	switch {
	case p.NodeName != n.Name:
		return false
	case p.Over():
		return p.Node == nil && !n.CreatedAt.After(p.EndedAt)
	case p.Node == nil || p.Node.UID == n.UID:
		return true
	default:
		return p.StartedAt.IsZero() || !n.CreatedAt.After(p.StartedAt)
	}
}

// GoneNode takes it that a node is no more. Its pods keep what was seen of it.
func (s *Store) GoneNode(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.nodes, name)
}
