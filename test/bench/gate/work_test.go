package gate_test

import (
	"testing"

	"github.com/runtag/runtag/test/bench/gate/sample"
)

// slack is by how much more than the table says may be allocated: versions of Go and of libraries differ a little.
const slack = 1.10

// TestAllocations compares with what the work allocated when this table was written. Where it became less, write that down.
func TestAllocations(t *testing.T) {
	skipWhenRaced(t)
	rules := func(pods int, spot bool) func() int {
		f, err := sample.Rules(pods, spot)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	links := sample.NewLinks(1_000, 100)
	for what, c := range map[string]struct {
		do     func() int
		result int
		allocs float64
	}{
		"a look at 1,000 runs of which 10 changed":      {sample.Diff(1_000, 10), 10, 15},
		"a look at 20,000 runs of which 10 changed":     {sample.Diff(20_000, 10), 10, 15},
		"a look at 1,000 runs of which none changed":    {sample.Diff(1_000, 0), 0, 2},
		"a plan of 128 tags and 256":                    {sample.Plan(), 256, 532},
		"20 rules for a run without pods":               {rules(0, false), 0, 484},
		"20 rules for a run with 64 pods":               {rules(64, false), 0, 14780},
		"20 rules for a run with 64 pods on spot nodes": {rules(64, true), 4, 23429},
		"the links of 100 runs with 1,000 pods":         {links.All, 1000, 7400},
		"which runs a change of a pod concerns":         {links.Concerned, 1, 303},
	} {
		result := 0
		allocs := testing.AllocsPerRun(10, func() { result = c.do() })
		t.Logf("%s: %.0f allocations, result %d", what, allocs, result)
		if result != c.result {
			t.Errorf("%s gives %d, want %d", what, result, c.result)
		}
		if allocs > c.allocs*slack {
			t.Errorf("%s makes %.0f allocations, want at most a tenth more than %.0f", what, allocs, c.allocs)
		}
	}
}

// TestUnchangedIsFree says that work grows with what changed and with nothing else.
func TestUnchangedIsFree(t *testing.T) {
	skipWhenRaced(t)
	few, many := sample.Diff(1_000, 10), sample.Diff(100_000, 10)
	a := testing.AllocsPerRun(4, func() { few() })
	b := testing.AllocsPerRun(4, func() { many() })
	t.Logf("10 of 1,000 runs: %.0f allocations; 10 of 100,000: %.0f", a, b)
	if b > a*slack {
		t.Errorf("10 changes among 1,000 runs are found with %.0f allocations, and among 100,000 with %.0f", a, b)
	}
	small, large := sample.NewLinks(1_000, 100), sample.NewLinks(10_000, 1_000)
	a = testing.AllocsPerRun(2, func() { small.All() }) / 100
	b = testing.AllocsPerRun(2, func() { large.All() }) / 1_000
	t.Logf("links of a run of 100: %.0f allocations; of one of 1,000: %.0f", a, b)
	if b > a*slack {
		t.Errorf("the links of one run take %.0f allocations where there are 100 runs, and %.0f where there are 1,000", a, b)
	}
}
