package rules

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/evidence"
)

// maxText is the longest string that an expression can work with, in bytes. It bounds what one call can make of two of
// them: replace grows with their product.
const maxText = 4096

// The types of what rules read, as messages about expressions name them.
var (
	runType       = types.NewObjectType("Run")
	podType       = types.NewObjectType("Pod")
	nodeType      = types.NewObjectType("Node")
	workloadType  = types.NewObjectType("Workload")
	namespaceType = types.NewObjectType("Namespace")
)

// object is a value of one of these types.
type object struct {
	of *types.Type
	it any
}

// Type is the type that messages name.
func (o *object) Type() ref.Type { return o.of }

// Value is what the object shows.
func (o *object) Value() any { return o.it }

// Equal holds for the same pod, node, workload, run or namespace.
func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	return types.Bool(ok && o.of == p.of && o.it == p.it)
}

// ConvertToNative fails: an object is read by its fields and helpers only.
func (o *object) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("a %s can't be made a %s", o.of.TypeName(), to)
}

// ConvertToType gives the type itself and nothing else.
func (o *object) ConvertToType(to ref.Type) ref.Val {
	if to == types.TypeType {
		return o.of
	}
	return types.NewErr("a %s can't be made a %s", o.of.TypeName(), to.TypeName())
}

// What helpers read of objects.
type (
	labelled interface {
		label(key string) (string, bool)
	}
	annotated interface {
		annotation(key string) (string, bool)
	}
	tainted interface {
		taint(key string) (evidence.Taint, bool)
	}
	conditioned interface {
		condition(kind string) (evidence.Condition, bool)
	}
)

// shows says whether what happened at a time happened while a link stood. What was so when the link began counts as well.
func shows(until, at time.Time) bool {
	return until.IsZero() || !at.After(until.Add(binding.Tolerance))
}

// find gives the condition of a type that is to be seen. Where memory has several it is the one that was true, and of
// those the last.
func find(all []evidence.Condition, kind string, until time.Time) (found evidence.Condition, ok bool) {
	for _, c := range all {
		if c.Type != kind || !shows(until, c.At) {
			continue
		}
		better := !ok || c.Status == "True" && found.Status != "True" || c.Status == found.Status && c.At.After(found.At)
		if better {
			found, ok = c, true
		}
	}
	return found, ok
}

// pod is a pod as one run sees it.
type pod struct {
	*evidence.Pod
	link *Linked
}

func (p *pod) label(key string) (string, bool)      { return lookupText(p.Labels, key) }
func (p *pod) annotation(key string) (string, bool) { return lookupText(p.Annotations, key) }

func (p *pod) condition(kind string) (evidence.Condition, bool) {
	return find(p.Conditions, kind, p.link.Until)
}

// ended says that the pod's end is to be seen: a pod that made several runs ended with the last of them.
func (p *pod) ended() bool { return p.EndedAt.IsZero() || shows(p.link.Until, p.EndedAt) }

func (p *pod) phase() string {
	if p.ended() {
		return p.Phase
	}
	return "Running"
}

func (p *pod) reason() string {
	if p.ended() {
		return p.Reason
	}
	return ""
}

// sight is a node as it was while a link stood.
type sight struct {
	*evidence.Node
	until time.Time
}

// node is a node by all sights of it, the newest first.
type node []sight

func (n *node) name() string                         { return (*n)[0].Name }
func (n *node) label(key string) (string, bool)      { return lookupText((*n)[0].Labels, key) }
func (n *node) annotation(key string) (string, bool) { return lookupText((*n)[0].Annotations, key) }

func (n *node) taint(key string) (evidence.Taint, bool) {
	for _, s := range *n {
		for _, t := range s.Taints {
			if t.Key == key && shows(s.until, t.At) {
				return t, true
			}
		}
	}
	return evidence.Taint{}, false
}

func (n *node) condition(kind string) (evidence.Condition, bool) {
	for _, s := range *n {
		if c, ok := find(s.Conditions, kind, s.until); ok {
			return c, true
		}
	}
	return evidence.Condition{}, false
}

// nodesOf are the nodes of pods in the pods' order, once each.
func nodesOf(links []Linked) []*node {
	var out []*node
	seen := map[string]*node{}
	for i := range links {
		n := links[i].Node
		if n == nil {
			continue
		}
		id := cmp.Or(string(n.UID), n.Name)
		if seen[id] == nil {
			seen[id] = &node{}
			out = append(out, seen[id])
		}
		*seen[id] = append(*seen[id], sight{Node: n, until: links[i].Until})
	}
	for _, n := range out {
		slices.SortStableFunc(*n, func(a, b sight) int { return cmp.Compare(b.Seen, a.Seen) })
	}
	return out
}

// workload is a Workload of Kueue, as it was while a pod of the run lived.
type workload struct {
	*evidence.Workload
	until time.Time
}

func (w *workload) label(key string) (string, bool) { return lookupText(w.Labels, key) }

func (w *workload) condition(kind string) (evidence.Condition, bool) {
	return find(w.Conditions, kind, w.until)
}

// ns is the run's namespace.
type ns struct{ *Namespace }

func (n *ns) label(key string) (string, bool)      { return lookup(n.Labels, key) }
func (n *ns) annotation(key string) (string, bool) { return lookup(n.Annotations, key) }

// lookup reads a label or annotation, the latter no longer than maxText.
func lookup(m map[string]string, key string) (string, bool) {
	v, ok := m[key]
	return short(v), ok
}

// lookupText does so for what is kept of the cluster's objects.
func lookupText(t evidence.Texts, key string) (string, bool) {
	v, ok := t.Lookup(key)
	return short(v), ok
}

func short(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
