package stage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever starts a manager that refuses its flags learns that at once, with what it said, and does not wait for it.
func TestAManagerThatEndsIsNotWaitedFor(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\necho bad luck\nexit 3\n"
	if err := os.WriteFile(filepath.Join(root, "bin", "manager"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	s := &Stage{Dir: t.TempDir(), Root: root}
	_, err := s.StartManager(t.Context())
	if err == nil || !strings.Contains(err.Error(), "bad luck") || strings.Contains(err.Error(), "not within") {
		t.Errorf("it says %v, want what the manager said, and not that the time is over", err)
	}
}
