package summary

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Counts are tests by how they ended. A Ginkgo suite counts as its specs.
type Counts struct{ Passed, Failed, Skipped int }

func (c *Counts) add(o Counts) {
	c.Passed += o.Passed
	c.Failed += o.Failed
	c.Skipped += o.Skipped
}

// testRun is one test or subtest. Its result is empty while it runs, and stays so when the process dies.
type testRun struct {
	result string
	subs   int
	bad    int     // subtests that failed
	specs  *Counts // of the Ginkgo suite that it runs, if it does
}

// leaf says that the result is the test's own, not that of its subtests.
func (t *testRun) leaf() bool {
	return t.subs == 0 || (t.result == "fail" && t.bad == 0)
}

type line struct{ test, text string }

// packageRun is what one package printed and how its tests ended.
type packageRun struct {
	tests   map[string]*testRun
	order   []string
	output  []line
	closing string // go test's own last lines: "ok  	package	1.2s"
}

func newPackageRun() *packageRun {
	return &packageRun{tests: map[string]*testRun{}}
}

var (
	closingLine = regexp.MustCompile(`^(ok  |FAIL|\?   |)\t\S+(\s|$)`)
	// ginkgoTotals is the last line of a Ginkgo suite, which is one test to Go.
	ginkgoTotals = regexp.MustCompile(`-- (?:\x1b\[[0-9;]*m)*(\d+) Passed.*?(\d+) Failed.*?(\d+) Pending.*?(\d+) Skipped`)
)

func (p *packageRun) take(e event) {
	if e.Test == "" {
		if e.Action == "output" && closingLine.MatchString(e.Output) {
			p.closing += e.Output
		} else if e.Action == "output" && e.Output != "PASS\n" && e.Output != "FAIL\n" {
			p.output = append(p.output, line{"", e.Output})
		}
		return
	}
	t := p.test(e.Test)
	switch e.Action {
	case "output":
		p.output = append(p.output, line{e.Test, e.Output})
		if m := ginkgoTotals.FindStringSubmatch(e.Output); m != nil {
			t.specs = &Counts{Passed: number(m[1]), Failed: number(m[2]), Skipped: number(m[3]) + number(m[4])}
		}
	case "pass", "fail", "skip":
		t.result = e.Action
		if parent := p.parent(e.Test); parent != nil && e.Action == "fail" {
			parent.bad++
		}
	}
}

// test returns the test of that name and makes it known to its parent the first time.
func (p *packageRun) test(name string) *testRun {
	t := p.tests[name]
	if t == nil {
		t = &testRun{}
		p.tests[name] = t
		p.order = append(p.order, name)
		if parent := p.parent(name); parent != nil {
			parent.subs++
		}
	}
	return t
}

func (p *packageRun) parent(name string) *testRun {
	if i := strings.LastIndex(name, "/"); i >= 0 {
		return p.tests[name[:i]]
	}
	return nil
}

// counts counts the tests that have no subtests, and a Ginkgo suite as its specs.
func (p *packageRun) counts() Counts {
	var c Counts
	for _, t := range p.tests {
		switch {
		case t.specs != nil && (t.result != "fail" || t.specs.Failed > 0):
			c.add(*t.specs)
		case !t.leaf():
		case t.result == "pass":
			c.Passed++
		case t.result == "skip":
			c.Skipped++
		default: // failed, or the process died in it
			c.Failed++
		}
	}
	return c
}

// failedOutput is everything that was printed outside tests and in those that did not pass.
func (p *packageRun) failedOutput() string {
	var b strings.Builder
	for _, l := range p.output {
		if l.test == "" || p.tests[l.test].result == "fail" || p.tests[l.test].result == "" {
			b.WriteString(l.text)
		}
	}
	return b.String()
}

// reason is the last thing that a skipped test said: why.
func (p *packageRun) reason(name string) string {
	for _, l := range slices.Backward(p.output) {
		text := strings.TrimSpace(l.text)
		if l.test == name && text != "" && !strings.HasPrefix(text, "=== ") && !strings.HasPrefix(text, "--- ") {
			return text
		}
	}
	return ""
}

func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		panic(err) // the pattern takes digits only, and few of them
	}
	return n
}
