package reliability_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/runtag/runtag/hack/testsummary/summary"
	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/faults/mutation"
	"github.com/runtag/runtag/test/faults/reliability"
)

func TestMarkdown(t *testing.T) {
	page := reliability.Page{
		Results: []reliability.Result{{
			Part:   reliability.Part{Name: "walks", Title: "Random walks", Text: "They walk.", Folders: []string{"walks"}},
			Counts: summary.Counts{Passed: 12, Failed: 1}, Failures: []string{"pkg TestWalk"}, Took: 90 * time.Second,
			Facts: []facts.Fact{{What: "walks", Value: 900}, {What: "steps", Value: 4.5, Unit: "thousand"}, {What: "walks", Value: 100}},
		}},
		Mutations: []mutation.Result{
			{Mutation: mutation.Mutation{Safeguard: "the wait", Package: "internal/x"}, Noticed: "TestWait"},
			{Mutation: mutation.Mutation{Safeguard: "the | guard"}},
		},
		Defects: []reliability.Defect{{Wrong: "A tag stayed", Found: "seed 7", Fix: "It goes now.", Kept: "TestGone"}},
		Took:    10 * time.Minute,
	}
	for _, c := range []struct{ reason, want string }{
		{"the part's row links to its section", "| [Random walks](#random-walks) | 12 | 1 | 0 | 1.5 |"},
		{"facts of one name add up", "| walks | 1000 |"},
		{"units stand beside values", "| steps | 4.5 thousand |"},
		{"failures are shown", "**Failed:** pkg TestWalk"},
		{"who noticed is named", "| the wait | `TestWait` (internal/x) |"},
		{"what nobody noticed stands out, and breaks no table", `| the \| guard | **nothing** |`},
		{"defects are whole sentences", "- **A tag stayed.** Found by seed 7. It goes now. Kept by TestGone."},
	} {
		if got := page.Markdown(); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q is not in\n%s", c.reason, c.want, got)
		}
	}
}

// A folder with fault tests that no part names would never be run in full.
func TestPartsNameAllFolders(t *testing.T) {
	tests, err := filepath.Glob(filepath.Join("..", "*", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	apart := []string{"reliability", "mutation", "facts", "soak"} // no faults, or run by make soak
	for _, path := range tests {
		folder := filepath.Base(filepath.Dir(path))
		named := slices.ContainsFunc(reliability.Parts, func(p reliability.Part) bool { return slices.Contains(p.Folders, folder) })
		if !named && !slices.Contains(apart, folder) {
			t.Errorf("no part has the folder %s", folder)
		}
	}
}

func TestDefectsOnRecord(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "found.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reliability.ReadDefects(text); err != nil {
		t.Error(err)
	}
	if _, err := reliability.ReadDefects([]byte("- {wrong: x}")); err == nil {
		t.Error("a defect that does not say all is taken")
	}
}
