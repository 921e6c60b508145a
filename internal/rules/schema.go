package rules

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// field is a field of an object: its type and how it is read.
type field struct {
	of  *types.Type
	get func(any) ref.Val
}

func text[T any](get func(T) string) field {
	return field{of: types.StringType, get: func(it any) ref.Val { return types.String(short(get(it.(T)))) }}
}

func number[T any](get func(T) int) field {
	return field{of: types.IntType, get: func(it any) ref.Val { return types.Int(get(it.(T))) }}
}

func truth[T any](get func(T) bool) field {
	return field{of: types.BoolType, get: func(it any) ref.Val { return types.Bool(get(it.(T))) }}
}

func moment[T any](get func(T) time.Time) field {
	return field{of: types.TimestampType, get: func(it any) ref.Val { return timestamp(get(it.(T))) }}
}

// timestamp shows a time that is not known as the start of 1970, so that expressions can compare it with timestamp(0).
func timestamp(t time.Time) ref.Val {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return types.Timestamp{Time: t.UTC()}
}

// schema has the fields of each type; it is what the checker goes by.
var schema = map[string]map[string]field{
	runType.TypeName(): {
		"id":          text(func(r *Facts) string { return r.ID }),
		"uid":         text(func(r *Facts) string { return r.UID }),
		"displayName": text(func(r *Facts) string { return r.DisplayName }),
		"state":       text(func(r *Facts) string { return r.State }),
		"url":         text(func(r *Facts) string { return r.URL }),
		"host":        text(func(r *Facts) string { return r.Host }),
		"user":        text(func(r *Facts) string { return r.User }),
		"group":       text(func(r *Facts) string { return r.Group }),
		"jobType":     text(func(r *Facts) string { return r.JobType }),
		"createdAt":   moment(func(r *Facts) time.Time { return r.CreatedAt }),
		"finishedAt":  moment(func(r *Facts) time.Time { return r.FinishedAt }),
		"attempts":    number(func(r *Facts) int { return r.Attempts }),
		"summary": {of: types.NewMapType(types.StringType, types.DoubleType), get: func(it any) ref.Val {
			return types.NewStringInterfaceMap(types.DefaultTypeAdapter, doubles(it.(*Facts).Summary))
		}},
	},
	podType.TypeName(): {
		"name":      text(func(p *pod) string { return p.Name }),
		"node":      text(func(p *pod) string { return p.NodeName }),
		"direct":    truth(func(p *pod) bool { return p.link.Direct }),
		"live":      truth(func(p *pod) bool { return p.link.Live }),
		"phase":     text((*pod).phase),
		"reason":    text((*pod).reason),
		"createdAt": moment(func(p *pod) time.Time { return p.CreatedAt }),
		"startedAt": moment(func(p *pod) time.Time { return p.StartedAt }),
		"restarts":  number(func(p *pod) int { return p.Restarts }),
		"images": {of: types.NewListType(types.StringType), get: func(it any) ref.Val {
			return types.NewStringList(types.DefaultTypeAdapter, it.(*pod).Images)
		}},
	},
	nodeType.TypeName():      {"name": text((*node).name)},
	workloadType.TypeName():  {"name": text(func(w *workload) string { return w.Name })},
	namespaceType.TypeName(): {"name": text(func(n *ns) string { return n.Name })},
}

func doubles(in map[string]float64) map[string]any {
	out := make(map[string]any, len(in))
	for k, v := range in {
		out[k] = types.Double(v)
	}
	return out
}

// provider adds the schema to CEL's own types.
type provider struct{ types.Provider }

// FindStructType tells the type of an object's name.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := schema[name]; ok {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames tells which fields a type has.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if fields, ok := schema[name]; ok {
		return slices.Sorted(maps.Keys(fields)), true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType tells the type of a field and how it is read.
func (p provider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	fields, ok := schema[name]
	if !ok {
		return p.Provider.FindStructFieldType(name, fieldName)
	}
	f, ok := fields[fieldName]
	if !ok {
		return nil, false
	}
	return &types.FieldType{
		Type:    f.of,
		IsSet:   func(any) bool { return true },
		GetFrom: func(it any) (any, error) { return f.get(it), nil },
	}, true
}

// variables of expressions. CEL keeps the word namespace for itself, so the parser is given another of the same length.
var variables = map[string]*types.Type{
	"run":          runType,
	"labels":       types.NewMapType(types.StringType, types.StringType),
	"tags":         types.NewListType(types.StringType),
	namespaceAlias: namespaceType,
	"pods":         types.NewListType(podType),
	"nodes":        types.NewListType(nodeType),
	"workloads":    types.NewListType(workloadType),
}

// helper is a function that reads an object by a key and never fails because there is nothing.
type helper struct {
	name string
	on   []*types.Type
	of   *types.Type
	get  func(it any, key string) ref.Val
}

var helpers = []helper{
	{"label", []*types.Type{podType, nodeType, workloadType, namespaceType}, types.StringType, func(it any, key string) ref.Val {
		v, _ := it.(labelled).label(key)
		return types.String(v)
	}},
	{"hasLabel", []*types.Type{podType, nodeType, workloadType, namespaceType}, types.BoolType, func(it any, key string) ref.Val {
		_, ok := it.(labelled).label(key)
		return types.Bool(ok)
	}},
	{"annotation", []*types.Type{podType, nodeType, namespaceType}, types.StringType, func(it any, key string) ref.Val {
		v, _ := it.(annotated).annotation(key)
		return types.String(v)
	}},
	{"taint", []*types.Type{nodeType}, types.StringType, func(it any, key string) ref.Val {
		t, _ := it.(tainted).taint(key)
		return types.String(t.Value)
	}},
	{"hasTaint", []*types.Type{nodeType}, types.BoolType, func(it any, key string) ref.Val {
		_, ok := it.(tainted).taint(key)
		return types.Bool(ok)
	}},
	{"condition", []*types.Type{podType, nodeType, workloadType}, types.StringType, func(it any, kind string) ref.Val {
		c, _ := it.(conditioned).condition(kind)
		return types.String(c.Status)
	}},
	{"conditionReason", []*types.Type{podType, nodeType, workloadType}, types.StringType, func(it any, kind string) ref.Val {
		c, _ := it.(conditioned).condition(kind)
		return types.String(c.Reason)
	}},
	{"conditionTime", []*types.Type{podType, nodeType, workloadType}, types.TimestampType, func(it any, kind string) ref.Val {
		c, _ := it.(conditioned).condition(kind)
		return timestamp(c.At)
	}},
	{"hasSummary", []*types.Type{runType}, types.BoolType, func(it any, key string) ref.Val {
		_, ok := it.(*Facts).Summary[key]
		return types.Bool(ok)
	}},
}

// option declares the helper for each type that has it.
func (h helper) option() cel.EnvOption {
	var overloads []cel.FunctionOpt
	for _, on := range h.on {
		overloads = append(overloads, cel.MemberOverload(on.TypeName()+"_"+h.name, []*cel.Type{on, cel.StringType}, h.of,
			cel.BinaryBinding(func(target, key ref.Val) ref.Val {
				o, isObject := target.(*object)
				k, isText := key.(types.String)
				if !isObject || !isText {
					return types.MaybeNoSuchOverloadErr(target)
				}
				return h.get(o.it, string(k))
			})))
	}
	return cel.Function(h.name, overloads...)
}

// onDouble declares a test of a number. A metric is often NaN where a training run went wrong, and CEL alone can only
// compare it with itself.
func onDouble(name string, test func(float64) bool) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_double", []*cel.Type{cel.DoubleType}, cel.BoolType,
		cel.UnaryBinding(func(v ref.Val) ref.Val {
			d, ok := v.(types.Double)
			if !ok {
				return types.MaybeNoSuchOverloadErr(v)
			}
			return types.Bool(test(float64(d)))
		})))
}

func isInf(f float64) bool { return math.IsInf(f, 0) }
