package wandbtest

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSchemaIsAnswered: what the schema promises has somebody who answers it.
func TestSchemaIsAnswered(t *testing.T) {
	sorted := func(names []string) []string { return slices.Sorted(slices.Values(names)) }
	if diff := cmp.Diff(sorted(schema.Fields("Run")), slices.Sorted(maps.Keys(runFields))); diff != "" {
		t.Errorf("Run (-schema +answered):\n%s", diff)
	}
	if diff := cmp.Diff(sorted(schema.Fields("Mutation")), slices.Sorted(maps.Keys(mutations))); diff != "" {
		t.Errorf("Mutation (-schema +answered):\n%s", diff)
	}
}
