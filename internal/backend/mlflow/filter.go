package mlflow

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/runtag/runtag/internal/tags"
)

// MLflow's filters know only AND and have no way to escape a quote (mlflow/utils/search_utils.py), so what people wrote
// gets into one only where all of it is harmless, and what comes back is compared once more on our side.

// runID is what the server takes for the id of a run (mlflow/utils/validation.py), in ASCII.
var runID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,255}$`)

// idFilter picks runs by id. Each id must match runID.
func idFilter(ids []string) string {
	return "attributes.run_id IN ('" + strings.Join(ids, "','") + "')"
}

// nameFilter picks at least the runs with this name: exactly them where the name is harmless, else all that have its
// longest harmless part in their names, else all.
func nameFilter(name string) string {
	part := safePart(name)
	switch {
	case part == "":
		return ""
	case part == name && strings.TrimSpace(name) == name:
		return "attributes.run_name = '" + name + "'"
	}
	return "attributes.run_name LIKE '%" + part + "%'"
}

// tagFilters picks at least the runs that carry one of the tags: a filter for each, as there is no OR. A tag that no run
// can show gives none.
func tagFilters(names []string) []string {
	var filters []string
	for _, name := range names {
		tag, err := Dialect().Parse(name)
		if err != nil || hidden(tag.Key) {
			continue
		}
		filter := tagFilter(tag)
		if filter == "" {
			return []string{""} // finds what the others do
		}
		if !slices.Contains(filters, filter) {
			filters = append(filters, filter)
		}
	}
	return filters
}

// tagFilter picks at least the runs that carry a tag. A LIKE asks for a key with any value on servers of any version. What
// the server takes for a key has no backtick in it; what it does not take could only be looked for on all runs.
func tagFilter(tag tags.Tag) string {
	if checkKey(tag.Key) != nil {
		return ""
	}
	part, key := safePart(tag.Value), "tags.`"+tag.Key+"`"
	if part != "" && part == tag.Value && part == strings.TrimSpace(part) {
		return key + " = '" + part + "'"
	}
	return key + " LIKE '%" + part + "%'"
}

// safe characters mean nothing in a quoted string of a filter. In a LIKE the underscore stands for any character, which
// only picks more.
func safe(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(" _-.:/", r)
}

// safePart gives the longest part of s that is safe.
func safePart(s string) string {
	longest := ""
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return !safe(r) }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}

// safeStart gives what of the start of s is safe.
func safeStart(s string) string {
	if end := strings.IndexFunc(s, func(r rune) bool { return !safe(r) }); end >= 0 {
		return s[:end]
	}
	return s
}

// notEnded picks runs that are active, or in a state that we do not know.
const notEnded = "attributes.status != 'FINISHED' AND attributes.status != 'FAILED' AND attributes.status != 'KILLED'"

// stage is one of the searches that make up a list.
type stage struct {
	filter string
	// keep leaves out what an earlier stage of the same list has given; nil keeps all.
	keep func(wireRun) bool
}

// sinceStages picks runs that are active, or ended or began at t or later: three searches, as there is no OR, and an
// ended run need not have an end_time. Times are in milliseconds; the one of t itself is taken in.
func sinceStages(t time.Time) []stage {
	ms := t.UnixMilli()
	return []stage{
		{filter: notEnded},
		{filter: fmt.Sprintf("attributes.end_time >= %d", ms), keep: wireRun.ended},
		{filter: fmt.Sprintf("attributes.start_time >= %d", ms), keep: func(r wireRun) bool {
			return r.ended() && r.Info.EndTime < ms
		}},
	}
}
