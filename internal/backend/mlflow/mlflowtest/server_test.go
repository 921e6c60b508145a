package mlflowtest

import (
	"strings"
	"testing"
)

// That a server starts, works and leaves nothing running is seen by the tests that use one.
func TestStartSaysWhyNot(t *testing.T) {
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), Args: []string{"--no-such-flag"}})
	if err == nil || !strings.Contains(err.Error(), "--no-such-flag") {
		t.Errorf("error %v, want one with the end of the server's log", err)
	}
}
