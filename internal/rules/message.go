package rules

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

// firstIssue gives the position and the text of what stands first in the source, in our words where CEL's speak of what
// rules don't have.
func firstIssue(issues *cel.Issues) (line, column int, message string) {
	all := issues.Errors()
	if len(all) == 0 {
		return 1, 1, fromParser(issues.Err().Error())
	}
	first := slices.MinFunc(all, func(a, b *cel.Error) int {
		if a.Location.Line() != b.Location.Line() {
			return a.Location.Line() - b.Location.Line()
		}
		return a.Location.Column() - b.Location.Column()
	})
	return max(first.Location.Line(), 1), max(first.Location.Column()+1, 1), clean(first.Message)
}

var (
	inContainer = regexp.MustCompile(` ?\(in container '[^']*'\)`)
	expecting   = regexp.MustCompile(`(?s) expecting \{.*\}`)
	quotedName  = regexp.MustCompile(`^(?:undeclared reference to|undefined field|found no matching overload for) '\.?([A-Za-z_][A-Za-z0-9_]*)'`)
)

func clean(message string) string {
	message = inContainer.ReplaceAllString(message, "")
	message = expecting.ReplaceAllString(message, "")
	message = fromParser(message)
	found := quotedName.FindStringSubmatch(message)
	if found == nil {
		return message
	}
	field := strings.HasPrefix(message, "undefined field")
	if near := nearest(found[1], names(field)); near != "" && near != found[1] {
		return message + "; did you mean '" + near + "'?"
	}
	return message
}

// names are those that an expression may use: fields, or variables and functions.
func names(fields bool) []string {
	var all []string
	for _, of := range schema {
		if fields {
			all = slices.AppendSeq(all, maps.Keys(of))
		}
	}
	for name := range variables {
		if !fields {
			all = append(all, fromParser(name))
		}
	}
	for _, h := range helpers {
		all = append(all, h.name)
	}
	if !fields {
		all = append(all, "isNaN", "isInf", "size", "exists", "all", "filter", "map", "has", "matches", "startsWith", "endsWith", "contains", "timestamp", "duration")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// nearest is the name that differs least, if it differs by no more than a third of its letters.
func nearest(name string, all []string) string {
	best, least := "", max(len(name)/3, 1)+1
	for _, candidate := range all {
		if d := distance(strings.ToLower(name), strings.ToLower(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance counts the letters to add, take away, change or swap with their neighbour to make one word of the other.
func distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}

// oneLine makes a message fit for a condition.
func oneLine(message string) string {
	return cut(strings.Join(strings.Fields(message), " "), 1000)
}

// cut shortens a text to a number of characters.
func cut(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

func typeName(t *types.Type) string {
	switch {
	case t.IsExactType(types.BoolType):
		return "true or false"
	case t.IsExactType(types.NewListType(types.StringType)):
		return "a list of strings"
	}
	return fromParser(cel.FormatCELType(t))
}
