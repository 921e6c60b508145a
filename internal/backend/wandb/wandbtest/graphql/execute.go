package graphql

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// Object answers fields. What it gives for a field of an object type must be an Object, a list ([]Object) or nil.
type Object interface {
	Field(name string, args Args) (any, error)
}

// Values is an Object whose fields are all known.
type Values map[string]any

// Field returns the value; a field that is not there is null.
func (v Values) Field(name string, _ Args) (any, error) { return v[name], nil }

// Refusal is an error of a field that decides the HTTP status of the answer.
type Refusal struct {
	Status  int
	Message string
}

// Refuse makes a Refusal.
func Refuse(status int, format string, args ...any) error {
	return &Refusal{Status: status, Message: fmt.Sprintf(format, args...)}
}

func (r *Refusal) Error() string { return r.Message }

// Error is an error as answered. Path names the field it belongs to; it is empty where nothing was run.
type Error struct {
	Message string `json:"message"`
	Path    []any  `json:"path,omitempty"`
}

// Answer is the body of an answer, and the HTTP status that goes with it: 200, 400 where the document was refused as a
// whole, else that of the first Refusal.
type Answer struct {
	Data   map[string]any `json:"data,omitempty"`
	Errors []Error        `json:"errors,omitempty"`
	Status int            `json:"-"`
}

func refused(err error) *Answer {
	return &Answer{Status: http.StatusBadRequest, Errors: []Error{{Message: err.Error()}}}
}

// Roots are the objects that queries and mutations start from.
type Roots struct{ Query, Mutation Object }

// Run checks op, one of the document's, and runs it. Nothing has run where the answer has no Data. A hidden field is
// refused as if the schema did not have it. Fields run one after another, in their order.
func (s *Schema) Run(doc *Document, op *Operation, variables map[string]any, roots Roots, hidden func(of, field string) bool) *Answer {
	v := &validator{schema: s, doc: doc, hidden: hidden}
	if err := v.validate(op); err != nil {
		return refused(err)
	}
	vars, err := s.variables(op, variables)
	if err != nil {
		return refused(err)
	}
	r := &run{schema: s, doc: doc, vars: vars, answer: &Answer{Status: http.StatusOK}}
	root, of := roots.Query, "Query"
	if op.Kind == "mutation" {
		root, of = roots.Mutation, "Mutation"
	}
	r.answer.Data = r.object(root, s.objects[of], op.Selection, nil)
	return r.answer
}

// Pick chooses the operation that a request means; name may be empty where there is only one.
func (d *Document) Pick(name string) (*Operation, error) {
	if name == "" && len(d.Operations) == 1 {
		return d.Operations[0], nil
	}
	if name == "" {
		return nil, mistake("Must provide operation name if query contains multiple operations.")
	}
	for _, op := range d.Operations {
		if op.Name == name {
			return op, nil
		}
	}
	return nil, mistake("Unknown operation named %q.", name)
}

type run struct {
	schema *Schema
	doc    *Document
	vars   map[string]any
	answer *Answer
}

// collected is a field to run, with what all selections of it select.
type collected struct {
	Selection
	inner []Selection
}

func (r *run) object(source Object, of *object, selection []Selection, path []any) map[string]any {
	out := map[string]any{}
	for _, f := range r.collect(selection, nil) {
		at := slices.Concat(path, []any{f.Key()})
		if f.Name == "__typename" {
			out[f.Key()] = of.name
			continue
		}
		known := of.fields[f.Name]
		value, err := r.field(source, known, f.Selection)
		if err != nil {
			out[f.Key()] = nil
			r.failed(err, at)
			continue
		}
		out[f.Key()] = r.complete(value, r.schema.objects[known.of.base()], f.inner, at)
	}
	return out
}

func (r *run) field(source Object, known field, s Selection) (any, error) {
	args := Args{}
	for key, given := range substituteAll(s.Args, r.vars) {
		value, err := r.schema.coerce(known.args[key].of, given)
		if err != nil {
			return nil, &Refusal{Status: http.StatusBadRequest, Message: err.Error()}
		}
		args[key] = value
	}
	return source.Field(s.Name, args)
}

func (r *run) complete(value any, of *object, inner []Selection, path []any) any {
	switch value := value.(type) {
	case nil:
		return nil
	case Object:
		return r.object(value, of, inner, path)
	case []Object:
		out := make([]any, len(value))
		for i, item := range value {
			out[i] = r.object(item, of, inner, slices.Concat(path, []any{i}))
		}
		return out
	}
	return value
}

func (r *run) failed(err error, path []any) {
	var refusal *Refusal
	if errors.As(err, &refusal) && r.answer.Status == http.StatusOK {
		r.answer.Status = refusal.Status
	}
	r.answer.Errors = append(r.answer.Errors, Error{Message: err.Error(), Path: path})
}

// collect flattens fragments and joins selections of the same key.
func (r *run) collect(selection []Selection, into []collected) []collected {
next:
	for _, s := range selection {
		switch {
		case !r.included(s.Directives):
		case s.Spread != "":
			into = r.collect(r.doc.Fragments[s.Spread].Selection, into)
		case s.Name == "":
			into = r.collect(s.Selection, into)
		default:
			for i := range into {
				if into[i].Key() == s.Key() {
					into[i].inner = slices.Concat(into[i].inner, s.Selection)
					continue next
				}
			}
			into = append(into, collected{Selection: s, inner: s.Selection})
		}
	}
	return into
}

func (r *run) included(directives []Directive) bool {
	for _, d := range directives {
		if on, _ := substituteAll(d.Args, r.vars)["if"].(bool); on != (d.Name == "include") {
			return false
		}
	}
	return true
}
