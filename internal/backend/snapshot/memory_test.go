package snapshot_test

import (
	"runtime"
	"testing"

	"github.com/runtag/runtag/internal/backend/snapshot"
)

func TestMemoryIsByWhatIsTracked(t *testing.T) {
	const n, most = 10_000, 2 << 10
	before := heap()
	s, list := tracked(n)
	s.Listed(at(1), snapshot.Recent, list)
	for i := range list {
		list[i].ID = "untracked-" + list[i].ID
	}
	s.Listed(at(2), snapshot.Recent, list)
	clear(list)
	each := (heap() - before) / n
	runtime.KeepAlive(s)
	t.Logf("%d bytes for each run", each)
	if each > most {
		t.Errorf("%d bytes for each run with five tags, want at most %d", each, most)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
