package graphql

import (
	"maps"
	"reflect"
	"slices"
)

// maxFields bounds what a document asks for, fragments counted wherever they are spread.
const maxFields = 200_000

// validator checks one operation against the schema; it stops at the first mistake.
type validator struct {
	schema *Schema
	hidden func(of, field string) bool
	doc    *Document
	vars   map[string]Variable
	used   map[string]bool
	within []string // the fragments being spread
	fields int
}

// validate says what is wrong with the operation, in the words of the servers that clients know.
func (v *validator) validate(op *Operation) error {
	v.vars, v.used = map[string]Variable{}, map[string]bool{}
	for _, d := range op.Variables {
		if base := d.Type.base(); !v.schema.scalars[base] && v.schema.inputs[base] == nil {
			return mistake("Unknown type %q.", base)
		}
		v.vars[d.Name] = d
	}
	root := "Query"
	if op.Kind == "mutation" {
		root = "Mutation"
	}
	if v.schema.objects[root] == nil {
		return mistake("Schema is not configured for %ss.", op.Kind)
	}
	if err := v.selection(v.schema.objects[root], op.Selection, map[string]Selection{}); err != nil {
		return err
	}
	for _, d := range op.Variables {
		if !v.used[d.Name] {
			return mistake("Variable \"$%s\" is never used in operation %q.", d.Name, op.Name)
		}
	}
	return nil
}

// selection checks what is selected on an object. keys holds what was selected there so far, fragments included, to find
// two fields that would be answered under one key.
func (v *validator) selection(on *object, all []Selection, keys map[string]Selection) error {
	for _, s := range all {
		if err := v.directives(s.Directives); err != nil {
			return err
		}
		var err error
		if s.Name == "" {
			err = v.fragment(on, s, keys)
		} else {
			err = v.field(on, s, keys)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) fragment(on *object, s Selection, keys map[string]Selection) error {
	target, inner := s.On, s.Selection
	if s.Spread != "" {
		f := v.doc.Fragments[s.Spread]
		if f == nil {
			return mistake("Unknown fragment %q.", s.Spread)
		}
		if slices.Contains(v.within, s.Spread) {
			return mistake("Cannot spread fragment %q within itself.", s.Spread)
		}
		v.within = append(v.within, s.Spread)
		defer func() { v.within = v.within[:len(v.within)-1] }()
		target, inner = f.On, f.Selection
	}
	if target != "" && target != on.name {
		return mistake("Fragment cannot be spread here as objects of type %q can never be of type %q.", on.name, target)
	}
	return v.selection(on, inner, keys)
}

func (v *validator) field(on *object, s Selection, keys map[string]Selection) error {
	if v.fields++; v.fields > maxFields {
		return mistake("Document selects more than %d fields.", maxFields)
	}
	if before, ok := keys[s.Key()]; ok && (before.Name != s.Name || !reflect.DeepEqual(before.Args, s.Args)) {
		return mistake("Fields %q conflict because they are different fields or have differing arguments. Use different aliases on the fields to fetch both if this was intentional.", s.Key())
	}
	keys[s.Key()] = s
	if s.Name == "__typename" {
		return nil
	}
	f, ok := on.fields[s.Name]
	if !ok || v.hidden(on.name, s.Name) {
		return mistake("Cannot query field %q on type %q.", s.Name, on.name)
	}
	if err := v.arguments(on.name+"."+s.Name, f.args, s.Args); err != nil {
		return err
	}
	of := v.schema.objects[f.of.base()]
	switch {
	case of == nil && s.Selection != nil:
		return mistake("Field %q must not have a selection since type %q has no subfields.", s.Name, f.of)
	case of != nil && s.Selection == nil:
		return mistake("Field %q of type %q must have a selection of subfields. Did you mean \"%s { ... }\"?", s.Name, f.of, s.Name)
	case of == nil:
		return nil
	}
	return v.selection(of, s.Selection, map[string]Selection{})
}

func (v *validator) directives(all []Directive) error {
	for _, d := range all {
		if d.Name != "include" && d.Name != "skip" {
			return mistake("Unknown directive \"@%s\".", d.Name)
		}
		condition := map[string]inputValue{"if": {of: TypeRef{Name: "Boolean", NonNull: true}}}
		if err := v.arguments("@"+d.Name, condition, d.Args); err != nil {
			return err
		}
	}
	return nil
}

func (v *validator) arguments(of string, known map[string]inputValue, given map[string]any) error {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		arg, ok := known[key]
		if !ok {
			return mistake("Unknown argument %q on field %q.", key, of)
		}
		if err := v.value(arg, given[key]); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(known)) {
		if _, ok := given[key]; !ok && !known[key].optional {
			return mistake("Field %q argument %q of type %q is required, but it was not provided.", of, key, known[key].of)
		}
	}
	return nil
}

// value checks a literal, and that the variables in it are declared and of a type that fits where they stand.
func (v *validator) value(want inputValue, value any) error {
	switch value := value.(type) {
	case ref:
		d, ok := v.vars[string(value)]
		if !ok {
			return mistake("Variable \"$%s\" is not defined.", value)
		}
		v.used[d.Name] = true
		if !fits(d.Type, want.of, d.Default != nil || want.optional) {
			return mistake("Variable \"$%s\" of type %q used in position expecting type %q.", value, d.Type, want.of)
		}
		return nil
	case []any:
		if want.of.Of != nil {
			for _, item := range value {
				if err := v.value(inputValue{of: *want.of.Of}, item); err != nil {
					return err
				}
			}
			return nil
		}
	case map[string]any:
		if fields := v.schema.inputs[want.of.base()]; fields != nil {
			return v.arguments(want.of.base(), fields, value)
		}
	}
	_, err := v.schema.coerce(want.of, value)
	return err
}

// fits says whether a variable of type have may stand where want is expected; a default makes up for a null.
func fits(have, want TypeRef, hasDefault bool) bool {
	if want.NonNull && !have.NonNull && !hasDefault {
		return false
	}
	if want.Of != nil {
		return have.Of != nil && fits(*have.Of, *want.Of, false)
	}
	return have.Of == nil && have.Name == want.Name
}
