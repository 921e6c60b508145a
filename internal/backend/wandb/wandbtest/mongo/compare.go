package mongo

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// eachOf says whether ok holds for the value or, of a list, for one of its items.
func eachOf(value any, ok func(any) bool) bool {
	switch list := value.(type) {
	case []string:
		return slices.ContainsFunc(list, func(s string) bool { return ok(s) })
	case []any:
		return slices.ContainsFunc(list, ok)
	}
	return ok(value)
}

// equal follows MongoDB: a list is equal to a scalar that it contains.
func equal(have, want any) bool {
	if list, ok := want.([]any); ok {
		return sameList(have, list)
	}
	return eachOf(have, func(item any) bool {
		if item == nil || want == nil {
			return item == nil && want == nil
		}
		order, ok := Compare(item, want)
		return ok && order == 0
	})
}

func sameList(have any, want []any) bool {
	var items []any
	switch list := have.(type) {
	case []any:
		items = list
	case []string:
		for _, s := range list {
			items = append(items, s)
		}
	default:
		return false
	}
	return slices.EqualFunc(items, want, equal)
}

func comparison(name string, operand any) test {
	return func(have any) bool {
		return eachOf(have, func(item any) bool {
			order, ok := Compare(item, operand)
			if !ok {
				return false
			}
			switch name {
			case "$gt":
				return order > 0
			case "$gte":
				return order >= 0
			case "$lt":
				return order < 0
			}
			return order <= 0
		})
	}
}

// Compare orders two values of one kind; ok is false where they are of different kinds. A time is compared with a string
// in RFC 3339; a string without a zone is of another kind, as the real server matches nothing with it.
func Compare(a, b any) (order int, ok bool) {
	switch a := a.(type) {
	case string:
		b, ok := b.(string)
		return strings.Compare(a, b), ok
	case float64:
		b, ok := b.(float64)
		return cmp.Compare(a, b), ok
	case bool:
		b, ok := b.(bool)
		return cmp.Compare(number(a), number(b)), ok
	case time.Time:
		switch b := b.(type) {
		case time.Time:
			return a.Compare(b), true
		case string:
			t, err := time.Parse(time.RFC3339, b)
			return a.Compare(t), err == nil
		}
	}
	return 0, false
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
