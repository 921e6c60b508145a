package mlflow

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/backend"
)

// selectionFilters picks at least the runs that match: a filter for each part of the ids that fits in one, or one without
// ids; none where no run can match. WithoutTags is in none, for a != gives no run that lacks the tag.
func selectionFilters(s backend.Selection) []string {
	if len(s.Groups) > 0 {
		return nil
	}
	parts, possible := attributeFilters(s)
	for _, name := range s.Tags {
		filters := tagFilters([]string{name})
		possible = possible && len(filters) > 0
		parts = append(parts, filters...)
	}
	parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
	switch {
	case !possible:
		return nil
	case len(s.IDs) == 0:
		return []string{strings.Join(parts, and)}
	}
	ids := slices.DeleteFunc(slices.Compact(slices.Sorted(slices.Values(s.IDs))), func(id string) bool { return !runID.MatchString(id) })
	var filters []string
	for some := range slices.Chunk(ids, mostIDs) {
		filters = append(filters, strings.Join(append([]string{idFilter(some)}, parts...), and))
	}
	return filters
}

const and = " AND "

// attributeFilters picks runs by state and start, and says whether there can be any. Of a state only its opposite can be
// asked for several times, as there is no OR.
func attributeFilters(s backend.Selection) (parts []string, possible bool) {
	possible = len(s.States) == 0 || slices.Contains(s.States, backend.StateUnknown)
	for _, status := range slices.Sorted(maps.Keys(states)) {
		switch {
		case len(s.States) == 0:
		case slices.Contains(s.States, states[status]):
			possible = true
		default:
			parts = append(parts, "attributes.status != '"+status+"'")
		}
	}
	// Starts are whole milliseconds, so a time is cut to the one before it, or to the one after. No run began before 1970.
	if !s.CreatedAfter.IsZero() {
		parts = append(parts, fmt.Sprintf("attributes.start_time > %d", max(s.CreatedAfter.UnixMilli(), 0)))
	}
	if !s.CreatedBefore.IsZero() {
		ms := s.CreatedBefore.UnixMilli()
		if s.CreatedBefore.Nanosecond()%1e6 != 0 {
			ms++
		}
		parts = append(parts, fmt.Sprintf("attributes.start_time < %d", max(ms, 0)))
	}
	return parts, possible
}
