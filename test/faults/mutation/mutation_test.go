package mutation_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/runtag/runtag/test/faults/mutation"
)

// Whether tests notice is for make faults to say; that each mutation still fits the program is quickly seen.
func TestAllApply(t *testing.T) {
	all, err := mutation.All()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join("..", "..", "..")
	for _, m := range all {
		t.Run(m.Safeguard, func(t *testing.T) {
			content, err := os.ReadFile(filepath.Join(root, m.File))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(content), m.Find); n != 1 {
				t.Errorf("%q is in %s %d times, not once: bring mutations.yaml up to date", m.Find, m.File, n)
			}
			if _, err := os.Stat(filepath.Join(root, m.Package)); err != nil {
				t.Error(err)
			}
		})
	}
}
