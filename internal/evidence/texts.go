package evidence

import (
	"iter"
	"maps"
	"slices"
)

// Texts are the labels or annotations of one object. They take half of a map's room, since objects of one kind share the
// list of names. The zero value has none. They are never changed, and can be what a labels.Selector is asked of.
type Texts struct{ of *texts }

type texts struct {
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
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = m[name]
	}
	return Texts{&texts{names: &names, values: values}}
}

// Lookup gives the value of a name, and whether there is one.
func (t Texts) Lookup(name string) (value string, ok bool) {
	if t.of == nil {
		return "", false
	}
	at, ok := slices.BinarySearch(*t.of.names, name)
	if !ok {
		return "", false
	}
	return t.of.values[at], true
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
func (t Texts) Len() int {
	if t.of == nil {
		return 0
	}
	return len(t.of.values)
}

// All gives names and values, sorted by name.
func (t Texts) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range t.Len() {
			if !yield((*t.of.names)[i], t.of.values[i]) {
				return
			}
		}
	}
}

// Equal says that both have the same names with the same values.
func (t Texts) Equal(o Texts) bool {
	if t.of == nil || o.of == nil || t.of == o.of {
		return t.of == o.of
	}
	return slices.Equal(t.of.values, o.of.values) && (t.of.names == o.of.names || slices.Equal(*t.of.names, *o.of.names))
}
