// Package summary reads what `go test -json` prints and shows it the way people read it: a line for each package as it
// ends, the whole output of what failed, every skipped test with its reason, and how many passed in the last line.
package summary

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// event is one line of `go test -json` (go doc test2json), builds included.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Output      string
	FailedBuild string
	Elapsed     float64
}

// Package is how the tests of one package ended.
type Package struct {
	Path string
	Counts
	OK bool
	// Seconds that they took.
	Seconds float64
	// Failures are the package and name of each test that failed.
	Failures []string
}

// Summary collects what is to be said at the end.
type Summary struct {
	out      io.Writer
	packages map[string]*packageRun
	builds   map[string]*strings.Builder

	total    Counts
	ended    []Package
	failures []string
	skips    []string
	broken   int // packages that failed without a failed test: no build, a crash, a failing TestMain
}

// New makes a Summary that writes to out.
func New(out io.Writer) *Summary {
	return &Summary{out: out, packages: map[string]*packageRun{}, builds: map[string]*strings.Builder{}}
}

// Read takes all events, to the end, so that the writer of in never blocks. A line that is no event is passed on as it is.
func (s *Summary) Read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				s.take(e)
			} else {
				s.printf("%s", line)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the events of go test: %w", err)
		}
	}
}

func (s *Summary) take(e event) {
	if strings.HasPrefix(e.Action, "build-") {
		build := s.builds[e.ImportPath]
		if build == nil {
			build = &strings.Builder{}
			s.builds[e.ImportPath] = build
		}
		build.WriteString(e.Output)
		return
	}
	p := s.packages[e.Package]
	if p == nil {
		p = newPackageRun()
		s.packages[e.Package] = p
	}
	p.take(e)
	if e.Test == "" && (e.Action == "pass" || e.Action == "fail" || e.Action == "skip") {
		s.end(e, p)
		s.packages[e.Package] = newPackageRun() // its output is not needed any more
	}
}

// end shows a package that has ended and adds it to the total.
func (s *Summary) end(e event, p *packageRun) {
	if e.Action == "fail" {
		if build := s.builds[e.FailedBuild]; build != nil {
			s.printf("%s", build)
		}
		s.printf("%s", p.failedOutput())
	}
	s.printf("%s", p.closing)
	found, before := p.counts(), len(s.failures)
	if e.Action == "fail" && found.Failed == 0 {
		s.broken++
		s.failures = append(s.failures, e.Package)
	}
	s.total.add(found)
	for _, name := range p.order {
		switch t := p.tests[name]; {
		case (t.result == "fail" || t.result == "") && t.leaf():
			s.failures = append(s.failures, e.Package+" "+name)
		case t.result == "skip":
			s.skips = append(s.skips, strings.TrimSpace(e.Package+" "+name+" "+p.reason(name)))
		}
	}
	s.ended = append(s.ended, Package{Path: e.Package, Counts: found, OK: e.Action != "fail", Seconds: e.Elapsed, Failures: slices.Clone(s.failures[before:])})
}

// Packages gives those that have ended, in that order.
func (s *Summary) Packages() []Package { return s.ended }

// Close prints the end and says whether all went well.
func (s *Summary) Close(elapsed time.Duration) bool {
	for _, skip := range s.skips {
		s.printf("skipped: %s\n", skip)
	}
	for _, failure := range s.failures {
		s.printf("failed: %s\n", failure)
	}
	s.printf("%d packages in %.0f s\n", len(s.packages), elapsed.Seconds())
	failed := s.total.Failed + s.broken
	s.printf("%d passed, %d failed, %d skipped\n", s.total.Passed, failed, s.total.Skipped)
	return failed == 0 && s.total.Passed > 0
}

func (s *Summary) printf(format string, args ...any) {
	// What reads us may be gone; the exit status still tells.
	_, _ = fmt.Fprintf(s.out, format, args...)
}
