package graphql

import (
	"fmt"
)

// Schema says which types, fields and arguments there are.
type Schema struct {
	objects map[string]*object
	inputs  map[string]map[string]inputValue
	scalars map[string]bool
}

type object struct {
	name   string
	fields map[string]field
}

type field struct {
	of   TypeRef
	args map[string]inputValue
}

type inputValue struct {
	of       TypeRef
	optional bool
}

// ParseSchema reads a schema in GraphQL's own definition language: types, inputs and scalars. Query and Mutation are the
// roots. It fails for a schema that names a type that it does not have.
func ParseSchema(src string) (*Schema, error) {
	p := newParser(src)
	s := &Schema{
		objects: map[string]*object{},
		inputs:  map[string]map[string]inputValue{},
		scalars: map[string]bool{"String": true, "Int": true, "Float": true, "Boolean": true, "ID": true},
	}
	for p.err == nil && p.tok.kind != end {
		switch {
		case p.tok.kind == text: // a description
			p.advance()
		case p.accept("scalar"):
			s.scalars[p.name()] = true
		case p.accept("type"):
			o := &object{name: p.name()}
			o.fields = p.fields()
			s.objects[o.name] = o
		case p.accept("input"):
			key := p.name()
			s.inputs[key] = p.inputValues("{", "}")
		default:
			p.unexpected()
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	if err := s.complete(); err != nil {
		return nil, err
	}
	return s, nil
}

func (p *parser) fields() map[string]field {
	p.expect("{")
	all := map[string]field{}
	for p.err == nil && !p.accept("}") {
		if p.tok.kind == text {
			p.advance()
			continue
		}
		key, f := p.name(), field{}
		if p.is("(") {
			f.args = p.inputValues("(", ")")
		}
		p.expect(":")
		f.of = p.typeRef()
		all[key] = f
	}
	return all
}

func (p *parser) inputValues(open, shut string) map[string]inputValue {
	p.expect(open)
	all := map[string]inputValue{}
	for p.err == nil && !p.accept(shut) {
		key := p.name()
		p.expect(":")
		v := inputValue{of: p.typeRef()}
		v.optional = !v.of.NonNull
		if p.accept("=") {
			p.value() // resolvers have their own defaults; the schema only says that there is one
			v.optional = true
		}
		all[key] = v
	}
	return all
}

func (s *Schema) complete() error {
	for _, o := range s.objects {
		for key, f := range o.fields {
			if base := f.of.base(); s.objects[base] == nil && !s.scalars[base] {
				return fmt.Errorf("schema: %s.%s is of unknown type %s", o.name, key, base)
			}
			if err := s.knows(o.name+"."+key, f.args); err != nil {
				return err
			}
		}
	}
	for key, values := range s.inputs {
		if err := s.knows(key, values); err != nil {
			return err
		}
	}
	return nil
}

func (s *Schema) knows(where string, values map[string]inputValue) error {
	for key, v := range values {
		if base := v.of.base(); s.inputs[base] == nil && !s.scalars[base] {
			return fmt.Errorf("schema: %s takes %s of unknown type %s", where, key, base)
		}
	}
	return nil
}

// Fields lists the fields of a type; nil where there is no such type.
func (s *Schema) Fields(of string) []string {
	o := s.objects[of]
	if o == nil {
		return nil
	}
	var names []string
	for key := range o.fields {
		names = append(names, key)
	}
	return names
}

func (t TypeRef) base() string {
	for t.Of != nil {
		t = *t.Of
	}
	return t.Name
}

func (t TypeRef) nullable() TypeRef {
	t.NonNull = false
	return t
}
