package evidence

import (
	"iter"
	"maps"
	"slices"
)

// Texts are the labels or annotations of one object. They take a third of a map's room, since objects of one kind share the
// list of names. The zero value has none. They are never changed, and can be what a labels.Selector is asked of.
type Texts struct {
	// names are sorted; values are in their order.
	names  *[]string
	values []string
}

// TextsOf takes over what a map has.
func TextsOf(m map[string]string) Texts {
	if len(m) == 0 {
		return Texts{}
	}
	names := slices.Sorted(maps.Keys(m))
	t := Texts{names: &names, values: make([]string, len(names))}
	for i, name := range names {
		t.values[i] = m[name]
	}
	return t
}

// Lookup gives the value of a name, and whether there is one.
func (t Texts) Lookup(name string) (value string, ok bool) {
	if t.names == nil {
		return "", false
	}
	at, ok := slices.BinarySearch(*t.names, name)
	if !ok {
		return "", false
	}
	return t.values[at], true
}

// Get gives the value of a name; empty where there is none.
func (t Texts) Get(name string) string {
	value, _ := t.Lookup(name)
	return value
}

// Has says whether there is such a name.
func (t Texts) Has(name string) bool {
	_, ok := t.Lookup(name)
	return ok
}

// Len is how many there are.
func (t Texts) Len() int { return len(t.values) }

// All gives names and values, sorted by name.
func (t Texts) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i, value := range t.values {
			if !yield((*t.names)[i], value) {
				return
			}
		}
	}
}

// Equal says that both have the same names with the same values.
func (t Texts) Equal(o Texts) bool {
	return slices.Equal(t.values, o.values) && (t.names == o.names || slices.Equal(*t.names, *o.names))
}
