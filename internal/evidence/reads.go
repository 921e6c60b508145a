package evidence

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// Pod gives a pod by its uid; nil where it was not seen, or was forgotten.
func (s *Store) Pod(uid types.UID) *Pod {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if r := s.pods[uid]; r != nil {
		return r.pod
	}
	return nil
}

// Indexed gives the pods of one of the keys that Options.Keys gives, in no certain order. Hashes of two keys may be the
// same, so whoever asks still compares.
func (s *Store) Indexed(key string) []*Pod {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.index.pods(s.index.hash(byKey, key))
}

// Labelled gives the pods of a namespace with a label that has one of these values; with no values, any will do. An empty
// label gives all pods of the namespace. They are in no certain order. The first question for a label makes an index of
// it for the namespace, which is kept up to date from then on: few labels of pods are ever asked for.
func (s *Store) Labelled(namespace, label string, values ...string) []*Pod {
	s.indexLabel(namespace, label)
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch {
	case label == "":
		return s.index.pods(s.index.hash(byNamespace, namespace))
	case len(values) == 0:
		return s.index.pods(s.index.hash(byLabel, namespace, label))
	}
	var keys []uint64
	for _, value := range values {
		keys = append(keys, s.index.hash(byPair, namespace, label, value))
	}
	slices.Sort(keys)
	return s.index.pods(slices.Compact(keys)...)
}

func (s *Store) indexLabel(namespace, label string) {
	s.mu.RLock()
	done := label == "" || s.labelled[namespace][label]
	s.mu.RUnlock()
	if done {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.labelled[namespace][label] {
		return
	}
	if s.labelled[namespace] == nil {
		s.labelled[namespace] = map[string]bool{}
	}
	s.labelled[namespace][label] = true
	for _, r := range s.index.records(s.index.hash(byNamespace, namespace)) {
		if value, ok := r.pod.Labels.Lookup(label); ok {
			s.index.add(s.index.hash(byLabel, namespace, label), r)
			s.index.add(s.index.hash(byPair, namespace, label, value), r)
		}
	}
}

// Node gives a node that is there; nil where it was not seen or is gone.
func (s *Store) Node(name string) *Node {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.nodes[name]
}

// PodsOn gives the pods that live on a node, in no certain order.
func (s *Store) PodsOn(node string) []*Pod {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.DeleteFunc(s.index.pods(s.index.hash(byNode, node)), (*Pod).Over)
}

// Any says that pods of the namespace are known, alive or not.
func (s *Store) Any(namespace string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.index.has(s.index.hash(byNamespace, namespace))
}

// Pods gives all pods that are kept, in no certain order.
func (s *Store) Pods() []*Pod {
	s.mu.RLock()
	defer s.mu.RUnlock()
	pods := make([]*Pod, 0, len(s.pods))
	for _, r := range s.pods {
		pods = append(pods, r.pod)
	}
	return pods
}

// Nodes gives all nodes that are there, in no certain order.
func (s *Store) Nodes() []*Node {
	s.mu.RLock()
	defer s.mu.RUnlock()
	nodes := make([]*Node, 0, len(s.nodes))
	for _, n := range s.nodes {
		nodes = append(nodes, n)
	}
	return nodes
}

// Workloads gives all Workloads that are kept, in no certain order.
func (s *Store) Workloads() []*Workload {
	s.mu.RLock()
	defer s.mu.RUnlock()
	workloads := make([]*Workload, 0, len(s.workloads.byUID))
	for _, w := range s.workloads.byUID {
		workloads = append(workloads, w)
	}
	return workloads
}

// Len is how many pods are kept.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.pods)
}
