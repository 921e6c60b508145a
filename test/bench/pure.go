package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/runtag/runtag/test/bench/gate/sample"
	"github.com/runtag/runtag/test/bench/report"
)

// pure measures what is done in memory, without a cluster or a tracker: row 8.
func pure(_ context.Context, b *bench) (report.Row, error) {
	few, many := b.scaled(1_000), b.scaled(100_000)
	none, err := sample.Rules(0, false)
	if err != nil {
		return report.Row{}, err
	}
	calm, err := sample.Rules(64, false)
	if err != nil {
		return report.Row{}, err
	}
	spot, err := sample.Rules(64, true)
	if err != nil {
		return report.Row{}, err
	}
	diffFew, diffMany := sample.Diff(few, 10), sample.Diff(many, 10)
	linksFew, linksMany := sample.NewLinks(b.scaled(1_000), b.scaled(100)), sample.NewLinks(b.scaled(10_000), b.scaled(1_000))
	var row report.Row
	took := func(what string, do func() int) testing.BenchmarkResult {
		b.say("   %s", what)
		result := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
		row.Figures = append(row.Figures,
			report.Figure{What: what, Value: float64(result.NsPerOp()) / float64(time.Millisecond), Unit: "ms"},
			report.Figure{What: what + ", allocations", Value: float64(result.AllocsPerOp())},
			report.Figure{What: what + ", allocated", Value: float64(result.AllocedBytesPerOp()) / 1024, Unit: "KiB"})
		return result
	}
	small := took(fmt.Sprintf("snapshot diff of %d runs, 10 of them changed", few), diffFew)
	large := took(fmt.Sprintf("snapshot diff of %d runs, 10 of them changed", many), diffMany)
	took("plan of 128 tags on the run and 256 declared", sample.Plan())
	took("20 rules for a run without pods", none)
	took("20 rules for a run with 64 pods", calm)
	took("20 rules for a run with 64 pods on spot nodes", spot)
	linkedFew := took(fmt.Sprintf("links of %d runs with %d pods", b.scaled(100), b.scaled(1_000)), linksFew.All)
	linked := took(fmt.Sprintf("links of %d runs with %d pods", b.scaled(1_000), b.scaled(10_000)), linksMany.All)
	concernedFew := took(fmt.Sprintf("which of %d runs a change of one pod concerns", b.scaled(100)), linksFew.Concerned)
	concerned := took(fmt.Sprintf("which of %d runs a change of one pod concerns", b.scaled(1_000)), linksMany.Concerned)

	ratio := func(a, b int64) float64 { return float64(a) / float64(max(b, 1)) }
	row.Checks = []report.Check{
		report.AtMost(fmt.Sprintf("snapshot diff of %d runs", many), float64(large.NsPerOp())/float64(time.Millisecond), 100, "ms"),
		report.AtMost("allocations of a diff with 10 changes, 100 times as many runs", ratio(large.AllocsPerOp(), small.AllocsPerOp()), 1.1, "×"),
		report.AtMost("allocations of the links of one run, 10 times as many runs and pods", ratio(linked.AllocsPerOp(), linkedFew.AllocsPerOp())/10, 1.1, "×"),
		report.AtMost("allocations for the change of one pod, 10 times as many runs and pods", ratio(concerned.AllocsPerOp(), concernedFew.AllocsPerOp()), 1.1, "×"),
	}
	row.Notes = []string{"The runs of a list that are tracked are held until its last page has come, since a list with a failed page must change nothing; " +
		"that is one allocation of the list's size, and the only thing here that grows with what did not change."}
	return row, nil
}
