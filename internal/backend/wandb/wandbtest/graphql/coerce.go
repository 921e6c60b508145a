package graphql

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// coerce makes a value from JSON, or a literal without variables, into one of the type, or says why it cannot be one.
// Numbers are float64, except where an ID is expected, which is a string.
func (s *Schema) coerce(want TypeRef, value any) (any, error) {
	if value == nil {
		if want.NonNull {
			return nil, mistake("Expected value of type %q, found null.", want)
		}
		return nil, nil
	}
	if want.Of != nil {
		list, ok := value.([]any)
		if !ok {
			list = []any{value} // the language lets one value stand for a list of one
		}
		out := make([]any, len(list))
		for i, item := range list {
			var err error
			if out[i], err = s.coerce(*want.Of, item); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if fields := s.inputs[want.Name]; fields != nil {
		return s.coerceInput(want.Name, fields, value)
	}
	if out, ok := scalar(want.Name, value); ok {
		return out, nil
	}
	return nil, mistake("Expected value of type %q, found %v.", want.nullable(), printable(value))
}

func (s *Schema) coerceInput(name string, fields map[string]inputValue, value any) (any, error) {
	given, ok := value.(map[string]any)
	if !ok {
		return nil, mistake("Expected value of type %q, found %v.", name, printable(value))
	}
	out := map[string]any{}
	for key, item := range given {
		f, ok := fields[key]
		if !ok {
			return nil, mistake("Field %q is not defined by type %q.", key, name)
		}
		var err error
		if out[key], err = s.coerce(f.of, item); err != nil {
			return nil, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if _, ok := given[key]; !ok && !fields[key].optional {
			return nil, mistake("Field \"%s.%s\" of required type %q was not provided.", name, key, fields[key].of)
		}
	}
	return out, nil
}

// scalar coerces to a scalar type. Types other than the language's own are strings (JSONString, DateTime) or, for
// "JSON", anything.
func scalar(name string, value any) (any, bool) {
	switch v := value.(type) {
	case bool:
		return v, name == "Boolean" || name == "JSON"
	case float64:
		if name == "ID" {
			return strconv.FormatFloat(v, 'f', -1, 64), v == math.Trunc(v)
		}
		return v, name == "Float" || name == "JSON" || name == "Int" && v == math.Trunc(v) && math.Abs(v) < 1<<31
	case string:
		return v, name != "Int" && name != "Float" && name != "Boolean"
	}
	return value, name == "JSON"
}

func printable(value any) string {
	if s, ok := value.(string); ok {
		return strconv.Quote(s)
	}
	return fmt.Sprint(value)
}

// variables coerces the request's variables to what the operation declares.
func (s *Schema) variables(op *Operation, given map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, d := range op.Variables {
		value, ok := given[d.Name]
		if !ok && d.Default != nil {
			value, ok = d.Default, true
		}
		if !ok && d.Type.NonNull {
			return nil, mistake("Variable \"$%s\" of required type %q was not provided.", d.Name, d.Type)
		}
		if !ok {
			continue
		}
		coerced, err := s.coerce(d.Type, value)
		if err != nil {
			return nil, mistake("Variable \"$%s\" got invalid value: %v", d.Name, err)
		}
		out[d.Name] = coerced
	}
	return out, nil
}

// substitute puts variables in; the second result is false for a variable that was not given, which is as if the
// argument were absent.
func substitute(value any, vars map[string]any) (any, bool) {
	switch value := value.(type) {
	case ref:
		v, ok := vars[string(value)]
		return v, ok
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			out[i], _ = substitute(item, vars)
		}
		return out, true
	case map[string]any:
		return substituteAll(value, vars), true
	}
	return value, true
}

func substituteAll(values, vars map[string]any) map[string]any {
	out := make(map[string]any, len(values))
	for key, value := range values {
		if v, ok := substitute(value, vars); ok {
			out[key] = v
		}
	}
	return out
}
