package controllerstest

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

// ScanStep reads the words of a step of a walk, as a test writes it down, into variables; those that it does not get to
// stay as they are.
func ScanStep(t *testing.T, text string, into ...any) {
	t.Helper()
	fields := strings.Fields(text)
	for i, variable := range into {
		if i < len(fields) {
			if _, err := fmt.Sscan(fields[i], variable); err != nil {
				t.Fatalf("step %q: %v", text, err)
			}
		}
	}
}

// SetRapidFlag sets a flag of rapid, which has no other way in, for this test.
func SetRapidFlag(t *testing.T, name, value string) {
	t.Helper()
	f := flag.Lookup(name)
	if f == nil {
		t.Fatalf("rapid has no flag %s", name)
	}
	before := f.Value.String()
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Value.Set(before); err != nil {
			t.Fatal(err)
		}
	})
}
