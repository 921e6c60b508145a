package process_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/runtag/runtag/internal/process"
)

func TestProcess(t *testing.T) {
	cases := map[string]struct {
		reason, script string
		end            func(*process.Process) error
		says           string
	}{
		"by itself": {
			reason: "how it ended and what it said last are in the error", script: "echo bad luck; exit 3",
			end: func(*process.Process) error { return nil }, says: "bad luck",
		},
		"stopped": {reason: "SIGTERM reaches it", script: "sleep 600", end: (*process.Process).Stop, says: "terminated"},
		"killed":  {reason: "SIGKILL ends what ignores SIGTERM", script: "trap '' TERM; sleep 600", end: (*process.Process).Kill, says: "killed"},
		"its children": {
			reason: "a signal reaches all of its group", script: "sleep 600 & wait",
			end: func(p *process.Process) error { return p.Signal(syscall.SIGTERM) }, says: "terminated",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := process.Start("sh", t.TempDir(), os.Environ(), "/bin/sh", "-c", c.script)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.end(p); err != nil {
				t.Fatalf("%s: %v", c.reason, err)
			}
			<-p.Ended()
			if err := p.Running(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: it says %v, want %q in it", c.reason, err, c.says)
			}
		})
	}
}
