package controlplane

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

func TestPortsThatAreTaken(t *testing.T) {
	taken, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	busy := taken.Addr().(*net.TCPAddr).Port
	c := &ControlPlane{log: t.Logf}

	t.Run("the preferred port is somebody else's", func(t *testing.T) {
		port, err := freePort(t.Context(), busy)
		if err != nil || port == busy || port == 0 {
			t.Errorf("got port %d and error %v, want another port than %d", port, err, busy)
		}
	})
	t.Run("taken in between", func(t *testing.T) {
		var tried []int
		err := c.onFreePort(t.Context(), 0, func(_ context.Context, port int) error {
			if tried = append(tried, port); len(tried) < 3 {
				return errPortTaken
			}
			return nil
		})
		if err != nil || len(tried) != 3 {
			t.Errorf("tried %v, got %v; want three tries", tried, err)
		}
	})
	t.Run("always taken", func(t *testing.T) {
		err := c.onFreePort(t.Context(), 0, func(context.Context, int) error { return errPortTaken })
		if !errors.Is(err, errPortTaken) {
			t.Errorf("got %v, want that the port was taken", err)
		}
	})
}

func TestEndOfAChild(t *testing.T) {
	log := filepath.Join(t.TempDir(), "child.log")
	for _, test := range []struct {
		name, reason, script string
		taken                bool
		want                 string
	}{
		{"port taken", "another port is worth a try", "echo 'listen tcp 127.0.0.1:1: bind: address already in use'; exit 1", true, "exit status 1"},
		{"a bad flag", "the log of the child before it, in the same file, says nothing of this one", "echo unknown flag; exit 2", false, "exit status 2"},
		{"quiet", "ending without a word is unexpected all the same", "exit 0", false, "exit status 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := startProcess("/bin/sh", "child", log, nil, "-c", test.script)
			if err != nil {
				t.Fatal(err)
			}
			<-p.done
			err = p.exited()
			if errors.Is(err, errPortTaken) != test.taken || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v", test.reason, err)
			}
		})
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	log := filepath.Join(t.TempDir(), "child.log")
	p, err := startProcess("/bin/sh", "child", log, nil, "-c", "trap '' TERM; echo deaf; sleep 1000")
	if err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Eventually(p.logTail, "20s").Should(Equal("deaf"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.stop(ctx, stopGrace); err == nil || !strings.Contains(err.Error(), "child did not stop in time and was killed") {
		t.Errorf("got %v, want that it was killed", err)
	}
	if !p.ended() || runs(p.pid) {
		t.Error("it still runs")
	}
}
