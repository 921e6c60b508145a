package unique_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/unique"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func by(object, run string) unique.Declarer { return unique.Declarer{Object: object, RunID: run} }

func TestDecide(t *testing.T) {
	held := unique.Memory{Holder: "a", Since: noon.Add(-time.Hour)}
	waiting := unique.Memory{Holder: "a", Since: noon.Add(-time.Hour), UndeclaredSince: noon.Add(-30 * time.Second)}
	over := unique.Memory{Holder: "a", Since: noon.Add(-time.Hour), UndeclaredSince: noon.Add(-time.Minute)}
	for _, c := range []struct {
		name, reason string
		in           unique.Situation
		want         unique.Decision
	}{
		{
			name: "never declared", reason: "foreign carriers are left alone",
			in: unique.Situation{Carriers: []string{"x", "y"}, Listed: true},
		},
		{
			name: "first declared", reason: "it may be put on, before it is known to be there nothing is taken off",
			in:   unique.Situation{Declarers: []unique.Declarer{by("n/a", "a")}, Carriers: []string{"x"}, Listed: true},
			want: unique.Decision{Go: "a", Memory: unique.Memory{Wanted: "a", Since: noon}},
		},
		{
			name: "seen there", reason: "now the others lose it",
			in:   unique.Situation{Declarers: []unique.Declarer{by("n/a", "a")}, Carriers: []string{"a", "x"}, Listed: true, Memory: unique.Memory{Wanted: "a", Since: noon.Add(-time.Second)}},
			want: unique.Decision{Go: "a", Remove: []string{"x"}, Memory: unique.Memory{Holder: "a", Since: noon}},
		},
		{
			name: "all is well", reason: "nothing changes, not even a time",
			in:   unique.Situation{Declarers: []unique.Declarer{by("n/a", "a")}, Carriers: []string{"a"}, Listed: true, Memory: held},
			want: unique.Decision{Go: "a", Memory: held},
		},
		{
			name: "nobody looked", reason: "what carries it is not known, so nothing is taken off",
			in:   unique.Situation{Declarers: []unique.Declarer{by("n/a", "a")}, Memory: held},
			want: unique.Decision{Go: "a", Memory: held},
		},
		{
			name: "two declarers of one run", reason: "two TrainingRuns of one run agree",
			in:   unique.Situation{Declarers: []unique.Declarer{by("n/a", "a"), by("m/a", "a")}, Carriers: []string{"a"}, Listed: true, Memory: held},
			want: unique.Decision{Go: "a", Memory: held},
		},
		{
			name: "two declarers", reason: "nothing moves",
			in:   unique.Situation{Declarers: []unique.Declarer{by("n/b", "b"), by("n/a", "a")}, Carriers: []string{"a"}, Listed: true, Memory: held},
			want: unique.Decision{Conflict: []string{"n/a", "n/b"}, Blocked: "several TrainingRuns declare it", Memory: held},
		},
		{
			name: "the new run is not there", reason: "the old one keeps it",
			in: unique.Situation{Declarers: []unique.Declarer{{Object: "n/b", Shown: "b", RunID: "b", Blocked: "there is no run b"}}, Carriers: []string{"a"}, Listed: true, Memory: held},
			want: unique.Decision{
				Go: "b", Blocked: "b: there is no run b", Memory: unique.Memory{Holder: "a", Wanted: "b", Since: noon},
			},
		},
		{
			name: "the old run may not lose it", reason: "the new one does not get it, or two would have it",
			in:   unique.Situation{Declarers: []unique.Declarer{by("n/b", "b")}, Carriers: []string{"a"}, Kept: map[string]string{"a": "policy Add"}, Listed: true, Memory: held},
			want: unique.Decision{Blocked: "policy Add", Memory: unique.Memory{Holder: "a", Wanted: "b", Since: noon}},
		},
		{
			name: "undeclared", reason: "a move is two edits: the holder keeps it for a minute",
			in:   unique.Situation{Carriers: []string{"a"}, Listed: true, Memory: held},
			want: unique.Decision{Due: noon.Add(time.Minute), Memory: unique.Memory{Holder: "a", Since: held.Since, UndeclaredSince: noon}},
		},
		{
			name: "undeclared for half a minute", reason: "not yet",
			in:   unique.Situation{Carriers: []string{"a"}, Listed: true, Memory: waiting},
			want: unique.Decision{Due: noon.Add(30 * time.Second), Memory: waiting},
		},
		{
			name: "undeclared for a minute", reason: "it goes, from the run that we gave it to and no other",
			in:   unique.Situation{Carriers: []string{"a", "x"}, Listed: true, Memory: over},
			want: unique.Decision{Remove: []string{"a"}, Memory: over},
		},
		{
			name: "gone", reason: "and is forgotten",
			in: unique.Situation{Carriers: []string{"x"}, Listed: true, Memory: over},
		},
		{
			name: "declared again in time", reason: "as if nothing had happened",
			in:   unique.Situation{Declarers: []unique.Declarer{by("n/a", "a")}, Carriers: []string{"a"}, Listed: true, Memory: waiting},
			want: unique.Decision{Go: "a", Memory: held},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Now = noon
			if diff := cmp.Diff(c.want, unique.Decide(c.in), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

// TestNeverNone drives random declarations, failures and foreign edits. Once a declaration gave a run the tag, some run
// carries it for as long as somebody declares it or the grace lasts; and when all is quiet just one does.
func TestNeverNone(t *testing.T) {
	runs := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		declared, carried := map[string]bool{}, map[string]bool{}
		var memory unique.Memory
		now, undeclared := noon, time.Duration(0)
		step := func(fails bool) {
			var s unique.Situation
			for _, id := range slices.Sorted(maps.Keys(declared)) {
				s.Declarers = append(s.Declarers, by("n/"+id, id))
			}
			s.Carriers, s.Listed, s.Memory, s.Now = slices.Sorted(maps.Keys(carried)), !fails, memory, now
			d := unique.Decide(s)
			memory = d.Memory
			for _, id := range d.Remove {
				if rapid.Bool().Draw(t, "removed") || !fails {
					delete(carried, id)
				}
			}
			if d.Go != "" && declared[d.Go] && (!fails || rapid.Bool().Draw(t, "added")) {
				carried[d.Go] = true
			}
			if memory.Holder != "" && len(carried) == 0 && (len(declared) > 0 || undeclared < unique.Grace) {
				t.Fatalf("no run carries it: %+v", d)
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			id := rapid.SampledFrom(runs).Draw(t, "run")
			switch rapid.SampledFrom([]string{"declare", "undeclare", "page", "wait"}).Draw(t, "does") {
			case "declare":
				declared[id] = true
			case "undeclare":
				delete(declared, id)
			case "page":
				carried[id] = true
			case "wait":
				now = now.Add(20 * time.Second)
			}
			if len(declared) > 0 {
				undeclared = 0
			} else {
				undeclared += 20 * time.Second
			}
			step(rapid.Bool().Draw(t, "fails"))
		}
		only := rapid.SampledFrom(runs).Draw(t, "in the end")
		declared = map[string]bool{only: true}
		for range 3 {
			step(false)
		}
		if got := slices.Sorted(maps.Keys(carried)); len(got) != 1 || got[0] != only {
			t.Fatalf("carried by %v, want just %s", got, only)
		}
	})
}
