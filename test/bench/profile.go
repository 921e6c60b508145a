package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/runtag/runtag/test/stage"
)

// profile records the manager's processor time from now on, and on stop its heap, as name.cpu.pprof and name.heap.pprof
// for `go tool pprof`. Without a folder for profiles it does nothing. The processor's is of the given time, and stop waits
// for its end, so give less than the work takes.
func (b *bench) profile(ctx context.Context, m *stage.Manager, name string, time time.Duration) (stop func() error) {
	if b.profiles == "" {
		return func() error { return nil }
	}
	ended := make(chan error, 1)
	go func() {
		ended <- b.keepProfile(ctx, m, fmt.Sprintf("profile?seconds=%d", max(1, int(time.Seconds()))), name+".cpu.pprof")
	}()
	return func() error {
		if err := <-ended; err != nil {
			return err
		}
		return b.keepProfile(ctx, m, "heap", name+".heap.pprof")
	}
}

func (b *bench) keepProfile(ctx context.Context, m *stage.Manager, which, file string) error {
	content, err := m.Profile(ctx, which)
	if err != nil {
		return fmt.Errorf("profile %s of the manager: %w", which, err)
	}
	return os.WriteFile(filepath.Join(b.profiles, file), content, 0o600)
}
