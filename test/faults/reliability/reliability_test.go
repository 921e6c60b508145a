package reliability_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/runtag/runtag/hack/testsummary/summary"
	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/faults/mutation"
	"github.com/runtag/runtag/test/faults/reliability"
)

func TestMarkdown(t *testing.T) {
	page := reliability.Page{
		Kept: reliability.Kept{
			Results: []reliability.Result{{Part: "walks", Tests: summary.Counts{Passed: 1}}},
			Mutations: []mutation.Result{
				{Safeguard: "the wait", Package: "internal/x", Noticed: "TestWait"},
				{Safeguard: "the | guard"},
			},
		},
		Defects: []reliability.Defect{{Wrong: "A tag stayed", Found: "seed 7", Fix: "It goes now.", Kept: "TestGone"}},
	}
	page.Keep(reliability.Result{
		Part: "walks", Commit: "abc1234", Tests: summary.Counts{Passed: 12, Failed: 1}, Failures: []string{"pkg TestWalk"}, Seconds: 90,
		Facts: []facts.Fact{{What: "walks", Value: 900}, {What: "steps", Value: 4.5, Unit: "thousand"}, {What: "walks", Value: 100}},
	})
	for _, c := range []struct{ reason, want string }{
		{"a part's last result counts, and its row links to its section", "| [Random walks over old caches](#random-walks-over-old-caches) | 12 | 1 | 0 | 1.5 | abc1234 |"},
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
