package rules

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// world gives the variables of one evaluation, each made when it is first read.
//
// What is not known is marked so: an expression that comes to the same whatever it is has an answer all the same, as one
// that a metric decides, and every other has none.
type world struct {
	in        *Input
	links     []Linked
	workloads []ref.Val
	unknown   []*cel.AttributePatternType
	made      map[string]ref.Val
}

// newWorld shows a run with these of its pods and Workloads.
func newWorld(in *Input, links []Linked, workloads []ref.Val) *world {
	w := &world{in: in, links: links, workloads: workloads, made: make(map[string]ref.Val, 4)}
	if in.Run.ID == "" {
		w.hide("run", "tags")
	}
	switch {
	case len(links) == 0:
		w.hide("pods", "nodes")
		if len(workloads) == 0 {
			w.hide("workloads")
		}
	case !knowsNodes(links):
		w.hide("nodes")
	}
	return w
}

// knowsNodes says that the nodes of pods that live were all seen, and that there is one.
func knowsNodes(links []Linked) bool {
	one := false
	for i := range links {
		l := &links[i]
		if l.Node != nil {
			one = true
		} else if l.Live && l.Pod.NodeName != "" {
			return false
		}
	}
	return one
}

func (w *world) hide(names ...string) {
	for _, name := range names {
		w.unknown = append(w.unknown, cel.AttributePattern(name))
	}
}

// variables is what a program is evaluated with.
func (w *world) variables() (cel.Activation, error) {
	if len(w.unknown) == 0 {
		return w, nil
	}
	return cel.PartialVars(w, w.unknown...)
}

// Parent and ResolveName make it an activation of CEL.
func (w *world) Parent() cel.Activation { return nil }

// ResolveName gives a variable.
func (w *world) ResolveName(name string) (any, bool) {
	if v, ok := w.made[name]; ok {
		return v, true
	}
	v := w.make(name)
	if v == nil {
		return nil, false
	}
	w.made[name] = v
	return v, true
}

func (w *world) make(name string) ref.Val {
	adapter := types.DefaultTypeAdapter
	switch name {
	case "run":
		return &object{of: runType, it: &w.in.Run}
	case "labels":
		return types.NewStringStringMap(adapter, w.in.Labels)
	case "tags":
		return types.NewStringList(adapter, w.in.Tags)
	case namespaceAlias:
		return &object{of: namespaceType, it: &ns{&w.in.Namespace}}
	case "pods":
		list := make([]ref.Val, len(w.links))
		for i := range w.links {
			list[i] = &object{of: podType, it: &pod{Pod: w.links[i].Pod, link: &w.links[i]}}
		}
		return types.NewRefValList(adapter, list)
	case "nodes":
		all := nodesOf(w.links)
		list := make([]ref.Val, len(all))
		for i, n := range all {
			list[i] = &object{of: nodeType, it: n}
		}
		return types.NewRefValList(adapter, list)
	case "workloads":
		return types.NewRefValList(adapter, w.workloads)
	}
	return nil
}
