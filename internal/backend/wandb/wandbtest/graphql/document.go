// Package graphql reads and runs the part of GraphQL that tracker clients use: operations with variables, aliases,
// fragments and directives, checked against a schema before anything of them runs. It has no subscriptions, unions,
// interfaces or introspection.
package graphql

import "fmt"

// Document is a parsed request.
type Document struct {
	Operations []*Operation
	Fragments  map[string]*Fragment
}

// Operation is one query or mutation of a document.
type Operation struct {
	// Kind is "query" or "mutation".
	Kind string
	// Name is empty for an anonymous operation.
	Name      string
	Variables []Variable
	Selection []Selection
}

// Variable is the declaration of a variable.
type Variable struct {
	Name string
	Type TypeRef
	// Default is nil where there is none.
	Default any
}

// Fragment is a named selection on a type.
type Fragment struct {
	On        string
	Selection []Selection
}

// Selection is a field (Name is set), a spread of a named fragment (Spread is set) or an inline fragment.
type Selection struct {
	Alias, Name string
	Args        map[string]any
	Spread      string
	On          string
	Directives  []Directive
	Selection   []Selection
	line        int
}

// Directive is @include or @skip with its condition.
type Directive struct {
	Name string
	Args map[string]any
}

// TypeRef is the type of a variable, an argument or a field: a name, or a list of Of.
type TypeRef struct {
	Name    string
	Of      *TypeRef
	NonNull bool
}

func (t TypeRef) String() string {
	s := t.Name
	if t.Of != nil {
		s = "[" + t.Of.String() + "]"
	}
	if t.NonNull {
		s += "!"
	}
	return s
}

// ref stands for a variable within an argument's value.
type ref string

// Key is the name under which the field's value is answered.
func (s Selection) Key() string {
	if s.Alias != "" {
		return s.Alias
	}
	return s.Name
}

// mistaken is an error of the document. It reads as servers say it, which is not how Go programs write errors.
type mistaken string

func mistake(format string, args ...any) error { return mistaken(fmt.Sprintf(format, args...)) }

func (m mistaken) Error() string { return string(m) }
