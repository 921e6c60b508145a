// Package mongo matches documents against the subset of MongoDB's query language that W&B documents for runs: $and $or
// $nor, and $eq $ne $gt $gte $lt $lte $in $nin $all $exists $regex on keys. Anything else is an error, never ignored.
package mongo

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Lookup gives a document's value for a key: nil, bool, float64, string, time.Time or a list ([]string or []any).
type Lookup func(key string) any

// Filter says whether a document matches.
type Filter func(Lookup) bool

// Parse reads a filter from JSON; an empty string and "{}" match everything. known says which keys documents have: a
// filter on another is an error, since it would silently match nothing.
func Parse(src string, known func(key string) bool) (Filter, error) {
	if strings.TrimSpace(src) == "" {
		return all(nil), nil
	}
	decoder := json.NewDecoder(strings.NewReader(src))
	var doc map[string]any
	if err := decoder.Decode(&doc); err != nil {
		return nil, fmt.Errorf("filters: not a JSON object: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("filters: more than one JSON value")
	}
	return parser{known}.document(doc)
}

type parser struct{ known func(string) bool }

func (p parser) document(doc map[string]any) (Filter, error) {
	var parts []Filter
	for _, key := range slices.Sorted(maps.Keys(doc)) {
		part, err := p.entry(key, doc[key])
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return all(parts), nil
}

func (p parser) entry(key string, value any) (Filter, error) {
	switch key {
	case "$and", "$or", "$nor":
		parts, err := p.group(key, value)
		if err != nil {
			return nil, err
		}
		switch key {
		case "$and":
			return all(parts), nil
		case "$or":
			return anyOf(parts), nil
		}
		return not(anyOf(parts)), nil
	}
	if strings.HasPrefix(key, "$") {
		return nil, fmt.Errorf("filters: unknown operator %s", key)
	}
	if !p.known(key) {
		return nil, fmt.Errorf("filters: unknown key %q", key)
	}
	operators, ok := value.(map[string]any)
	if !ok {
		operators = map[string]any{"$eq": value}
	}
	var parts []Filter
	for _, name := range slices.Sorted(maps.Keys(operators)) {
		test, err := operator(name, operators[name])
		if err != nil {
			return nil, fmt.Errorf("filters: %s: %w", key, err)
		}
		parts = append(parts, func(get Lookup) bool { return test(get(key)) })
	}
	return all(parts), nil
}

func (p parser) group(key string, value any) ([]Filter, error) {
	list, ok := value.([]any)
	if !ok || len(list) == 0 {
		return nil, fmt.Errorf("filters: %s must be a list that is not empty", key)
	}
	var parts []Filter
	for _, item := range list {
		doc, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("filters: %s must be a list of objects", key)
		}
		part, err := p.document(doc)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func all(parts []Filter) Filter {
	return func(get Lookup) bool {
		return !slices.ContainsFunc(parts, func(f Filter) bool { return !f(get) })
	}
}

func anyOf(parts []Filter) Filter {
	return func(get Lookup) bool {
		return slices.ContainsFunc(parts, func(f Filter) bool { return f(get) })
	}
}

func not(f Filter) Filter { return func(get Lookup) bool { return !f(get) } }

type test func(have any) bool

func operator(name string, operand any) (test, error) {
	switch name {
	case "$eq":
		return func(have any) bool { return equal(have, operand) }, nil
	case "$ne":
		return func(have any) bool { return !equal(have, operand) }, nil
	case "$gt", "$gte", "$lt", "$lte":
		return comparison(name, operand), nil
	case "$in", "$nin", "$all":
		return membership(name, operand)
	case "$exists":
		want, ok := operand.(bool)
		if !ok {
			return nil, fmt.Errorf("$exists needs true or false")
		}
		return func(have any) bool { return (have != nil) == want }, nil
	case "$regex":
		src, ok := operand.(string)
		if !ok {
			return nil, fmt.Errorf("$regex needs a string")
		}
		expression, err := regexp.Compile(src)
		if err != nil {
			return nil, fmt.Errorf("$regex: %w", err)
		}
		return func(have any) bool { return eachOf(have, func(s any) bool { return matches(expression, s) }) }, nil
	}
	return nil, fmt.Errorf("unknown operator %s", name)
}

func membership(name string, operand any) (test, error) {
	list, ok := operand.([]any)
	if !ok {
		return nil, fmt.Errorf("%s needs a list", name)
	}
	words := make(map[string]bool, len(list)) // a list by id has as many as a page
	for _, item := range list {
		if word, ok := item.(string); ok {
			words[word] = true
		}
	}
	one := func(have any) bool {
		if eachOf(have, func(item any) bool { word, ok := item.(string); return ok && words[word] }) {
			return true
		}
		if _, ok := have.(string); ok && len(words) == len(list) {
			return false
		}
		return slices.ContainsFunc(list, func(item any) bool { return equal(have, item) })
	}
	switch name {
	case "$in":
		return one, nil
	case "$nin":
		return func(have any) bool { return !one(have) }, nil
	}
	return func(have any) bool {
		return len(list) > 0 && !slices.ContainsFunc(list, func(item any) bool { return !equal(have, item) })
	}, nil
}

func matches(expression *regexp.Regexp, value any) bool {
	s, ok := value.(string)
	return ok && expression.MatchString(s)
}
