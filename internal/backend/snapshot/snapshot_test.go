package snapshot_test

import (
	"testing"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
)

func TestARunIsAbsentOnlyAfterTwoReadsByID(t *testing.T) {
	s := snapshot.New()
	s.Track([]string{"a"}, nil)
	at := time.Unix(1000, 0)
	run := backend.Run{ID: "a", UID: "1", State: backend.StateRunning}
	if c := s.Listed(at, snapshot.Recent, []backend.Run{run, {ID: "other"}}); len(c.IDs) != 1 {
		t.Fatalf("the first look reports the run: %+v", c)
	}
	if c := s.Listed(at.Add(1), snapshot.Recent, nil); len(c.Left) != 1 || len(c.IDs) != 0 {
		t.Fatalf("an active run that is not in the list left it and has not changed: %+v", c)
	}
	if c := s.ReadByID(at.Add(2), []string{"a"}, nil); len(c.IDs) != 0 || s.Get("a").Presence != snapshot.Present {
		t.Fatalf("one read that misses the run proves nothing: %+v", c)
	}
	if c := s.ReadByID(at.Add(3), []string{"a"}, nil); len(c.IDs) != 1 || s.Get("a").Presence != snapshot.Absent {
		t.Fatalf("the second read proves it: %+v", c)
	}
}
