// Package report holds what the benchmarks measured and writes it as Markdown and JSON. It does no I/O.
package report

import (
	"cmp"
	"fmt"
	"slices"
)

// Report is one run of the benchmarks.
type Report struct {
	// Machine says where it was measured: processor, memory, kernel, versions.
	Machine []Fact `json:"machine"`
	Rows    []Row  `json:"rows"`
}

// Fact is a name and a value.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Row is what one benchmark found.
type Row struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	// Checks are what the exit status depends on: ratios of things measured in this run, and counts.
	Checks []Check `json:"checks"`
	// Figures are told beside them and judged by nobody, such as times.
	Figures []Figure `json:"figures,omitempty"`
	Plots   []Plot   `json:"plots,omitempty"`
	// Profiles say what the time is spent on where that is not in our hands.
	Profiles []Profile `json:"profiles,omitempty"`
	// Notes say in sentences what a reader has to know, such as why a target can't be reached.
	Notes []string `json:"notes,omitempty"`
	// Seconds that it took.
	Seconds float64 `json:"seconds"`
	// Commit is the commit that was measured, Load the machine's load average of one minute when it began.
	Commit string  `json:"commit,omitempty"`
	Load   float64 `json:"load"`
	// Error is why it could not be measured.
	Error string `json:"error,omitempty"`
}

// Check is a measured value and its target.
type Check struct {
	What   string  `json:"what"`
	Got    float64 `json:"got"`
	Unit   string  `json:"unit,omitempty"`
	Target float64 `json:"target"`
	// Least: the target is the least that is good, otherwise the most.
	Least bool `json:"least"`
}

// AtLeast is a Check that is hit by target and more.
func AtLeast(what string, got, target float64, unit string) Check {
	return Check{What: what, Got: got, Unit: unit, Target: target, Least: true}
}

// AtMost is a Check that is hit by target and less.
func AtMost(what string, got, target float64, unit string) Check {
	return Check{What: what, Got: got, Unit: unit, Target: target}
}

// Hit says whether the target is reached.
func (c Check) Hit() bool {
	if c.Least {
		return c.Got >= c.Target
	}
	return c.Got <= c.Target
}

// Figure is a measured value without a target.
type Figure struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	// Own is how much of it, in the same unit, is the time of what the program talks to; Whose says what that is, such as
	// "tracker" or "API server". Empty where that is not known.
	Own   float64 `json:"own,omitempty"`
	Whose string  `json:"whose,omitempty"`
}

// Plot is drawn as an SVG by plots.py.
type Plot struct {
	// File is its name below docs/benchmarks, without .svg.
	File  string `json:"file"`
	Title string `json:"title"`
	X     string `json:"x"`
	Y     string `json:"y"`
	// LogX and LogY make an axis logarithmic.
	LogX  bool   `json:"logX,omitempty"`
	LogY  bool   `json:"logY,omitempty"`
	Lines []Line `json:"lines,omitempty"`
	// Samples make a histogram.
	Samples []float64 `json:"samples,omitempty"`
}

// Profile is where a process spent its processor time.
type Profile struct {
	Title string `json:"title"`
	// Text is the table that `go tool pprof -top -cum` makes of it.
	Text string `json:"text"`
}

// Line is a series of points.
type Line struct {
	Name string    `json:"name"`
	X    []float64 `json:"x"`
	Y    []float64 `json:"y"`
}

// Thinned leaves out points evenly so that no more than most are left, with the first and the last.
func (l Line) Thinned(most int) Line {
	n := len(l.X)
	if n <= most || most < 2 {
		return l
	}
	thin := Line{Name: l.Name}
	for i := range most {
		at := i * (n - 1) / (most - 1)
		thin.X, thin.Y = append(thin.X, l.X[at]), append(thin.Y, l.Y[at])
	}
	return thin
}

// Hit says whether the row was measured and all its targets are reached.
func (r Row) Hit() bool {
	for _, c := range r.Checks {
		if !c.Hit() {
			return false
		}
	}
	return r.Error == "" && len(r.Checks) > 0
}

// Over gives the report with those rows of an earlier one that this one lacks, in order of their numbers. Rows of another
// machine are left out: what was measured on two machines can't be told apart in one table.
func (r Report) Over(earlier Report) Report {
	merged := Report{Machine: r.Machine, Rows: slices.Clone(r.Rows)}
	if slices.Equal(r.Machine, earlier.Machine) {
		for _, row := range earlier.Rows {
			if !slices.ContainsFunc(r.Rows, func(mine Row) bool { return mine.Number == row.Number }) {
				merged.Rows = append(merged.Rows, row)
			}
		}
	}
	slices.SortFunc(merged.Rows, func(a, b Row) int { return cmp.Compare(a.Number, b.Number) })
	return merged
}

// Missed lists what is not as it should be.
func (r Report) Missed() []string {
	var missed []string
	for _, row := range r.Rows {
		if row.Error != "" {
			missed = append(missed, fmt.Sprintf("%d %s: %s", row.Number, row.Name, row.Error))
		}
		if row.Error == "" && len(row.Checks) == 0 {
			missed = append(missed, fmt.Sprintf("%d %s: it has checked nothing", row.Number, row.Name))
		}
		for _, c := range row.Checks {
			if !c.Hit() {
				missed = append(missed, fmt.Sprintf("%d %s: %s", row.Number, row.Name, c))
			}
		}
	}
	return missed
}

// String is the check in words.
func (c Check) String() string {
	return fmt.Sprintf("%s: %s (target %s), %s", c.What, c.got(), c.target(), c.verdict())
}

func (c Check) target() string {
	if c.Least {
		return "≥ " + quantity(c.Target, c.Unit)
	}
	return "≤ " + quantity(c.Target, c.Unit)
}

func (c Check) verdict() string {
	if c.Hit() {
		return "hit"
	}
	return "missed"
}
