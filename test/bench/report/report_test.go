package report_test

import (
	"flag"
	"math"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/test/bench/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestChecks(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		check  report.Check
		hit    bool
		text   string
	}{
		"faster": {
			reason: "what is least good is reached by it and more",
			check:  report.AtLeast("faster", 20, 20, "×"), hit: true, text: "faster: 20× (target ≥ 20×), hit",
		},
		"too slow": {
			check: report.AtLeast("faster", 19.96, 20, "×"), text: "faster: 19.96× (target ≥ 20×), missed",
			reason: "a miss never reads like the target itself",
		},
		"none": {
			reason: "zero is at most zero",
			check:  report.AtMost("writes", 0, 0, ""), hit: true, text: "writes: 0 (target ≤ 0), hit",
		},
		"too many": {
			reason: "more than the most is a miss",
			check:  report.AtMost("writes", 2.5, 2, "a run"), text: "writes: 2.5 a run (target ≤ 2 a run), missed",
		},
		"not a number": {
			reason: "nothing divided by nothing reaches no target",
			check:  report.AtLeast("faster", math.NaN(), 20, "×"), text: "faster: NaN× (target ≥ 20×), missed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.check.Hit(); got != tc.hit {
				t.Errorf("%s: Hit() = %v, want %v", tc.reason, got, tc.hit)
			}
			if diff := cmp.Diff(tc.text, tc.check.String()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestRowsWithoutChecksAreNotHit(t *testing.T) {
	if (report.Row{}).Hit() {
		t.Error("a row that checked nothing counts as hit")
	}
	missed := report.Report{Rows: []report.Row{{Number: 3, Name: "Quiet"}}}.Missed()
	if diff := cmp.Diff([]string{"3 Quiet: it has checked nothing"}, missed); diff != "" {
		t.Errorf("missed (-want +got):\n%s", diff)
	}
}

func TestOver(t *testing.T) {
	here, there := []report.Fact{{Name: "processor", Value: "A"}}, []report.Fact{{Name: "processor", Value: "B"}}
	row := func(number int, name string) report.Row { return report.Row{Number: number, Name: name} }
	for name, tc := range map[string]struct {
		reason       string
		now, earlier report.Report
		want         []report.Row
	}{
		"some rows": {
			reason:  "rows that were not measured now stay, the others are replaced, and the order is that of the numbers",
			now:     report.Report{Machine: here, Rows: []report.Row{row(4, "new"), row(1, "new")}},
			earlier: report.Report{Machine: here, Rows: []report.Row{row(1, "old"), row(2, "old"), row(4, "old")}},
			want:    []report.Row{row(1, "new"), row(2, "old"), row(4, "new")},
		},
		"another machine": {
			reason:  "rows of two machines are not put side by side",
			now:     report.Report{Machine: here, Rows: []report.Row{row(4, "new")}},
			earlier: report.Report{Machine: there, Rows: []report.Row{row(1, "old")}},
			want:    []report.Row{row(4, "new")},
		},
		"the first": {
			reason: "nothing was measured before",
			now:    report.Report{Machine: here, Rows: []report.Row{row(1, "new")}},
			want:   []report.Row{row(1, "new")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(report.Report{Machine: here, Rows: tc.want}, tc.now.Over(tc.earlier)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestThinned(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		n      int
		want   []float64
	}{
		"few":  {reason: "nothing is left out of what is short enough", n: 4, want: []float64{0, 1, 2, 3}},
		"many": {reason: "the first and the last stay", n: 101, want: []float64{0, 33, 66, 100}},
		"none": {reason: "there is nothing to leave out"},
	} {
		t.Run(name, func(t *testing.T) {
			var line report.Line
			for i := range tc.n {
				line.X, line.Y = append(line.X, float64(i)), append(line.Y, float64(-i))
			}
			thin := line.Thinned(4)
			if diff := cmp.Diff(tc.want, thin.X); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			for i := range thin.X {
				if thin.Y[i] != -thin.X[i] {
					t.Errorf("point %d is (%g, %g): not one of the line", i, thin.X[i], thin.Y[i])
				}
			}
		})
	}
}

func TestMarkdown(t *testing.T) {
	got := report.Markdown(report.Report{
		Machine: []report.Fact{{Name: "processor", Value: "2 × some | other"}},
		Rows: []report.Row{
			{
				Number: 1, Name: "Add a tag", Seconds: 12.34, Commit: "abc1234", Load: 1.5,
				Checks: []report.Check{report.AtLeast("faster than the loop", 41.52, 20, "×"), report.AtMost("requests", 23, 20, "")},
				Figures: []report.Figure{
					{What: "by labels", Value: 2.714, Unit: "s", Own: 0.5, Whose: "tracker"},
					{What: "requests", Value: 23},
				},
				Plots: []report.Plot{{File: "tags", Title: "Time"}},
				Notes: []string{"Why it is missed."}, Profiles: []report.Profile{{Title: "The server", Text: "1s 100%  main.main"}},
			},
			{Number: 2, Name: "Never begun", Error: "no server:\n```"},
		},
	}, "benchmarks")
	const golden = "testdata/page.md"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("page (-want +got):\n%s\nif it is right: go test ./test/bench/report -update", diff)
	}
}
