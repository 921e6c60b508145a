package graphql

// Args are a field's arguments, checked against the schema. What is absent and what is null are the same to its methods.
type Args map[string]any

// Has says whether the argument was given and is not null.
func (a Args) Has(name string) bool { return a[name] != nil }

// String returns the argument, or "".
func (a Args) String(name string) string {
	s, _ := a[name].(string)
	return s
}

// Bool returns the argument, or false.
func (a Args) Bool(name string) bool {
	b, _ := a[name].(bool)
	return b
}

// Int returns the argument, or otherwise.
func (a Args) Int(name string, otherwise int) int {
	if f, ok := a[name].(float64); ok {
		return int(f)
	}
	return otherwise
}

// Strings returns the argument's strings, nulls left out; it is nil where the argument is absent or null, and not nil
// where it is an empty list.
func (a Args) Strings(name string) []string {
	list, ok := a[name].([]any)
	if !ok {
		if s, ok := a[name].(string); ok {
			return []string{s}
		}
		return nil
	}
	out := make([]string, 0, len(list))
	for _, item := range list {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// Object returns the argument of an input type; it is empty where the argument is absent or null.
func (a Args) Object(name string) Args {
	object, _ := a[name].(map[string]any)
	return object
}
