package snapshot_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/tags"
)

// world is a tracker on which every change of a run makes a new version of it, and where looks, reads and writes take
// time and are told in any order.
type world struct {
	t       *rapid.T
	seconds int
	version map[string]int // 0: not there
	told    []told
}

// told is what one source will tell: versions that were true at some moment from began on.
type told struct {
	kind  string
	began int
	asked []string
	found map[string]int
}

// tells gives the runs of which the source tells something: a read by id also of those that it missed.
func (x told) tells() []string {
	if x.kind == "read" {
		return x.asked
	}
	return slices.Collect(maps.Keys(x.found))
}

func (w *world) run(id string, version int) backend.Run {
	return backend.Run{
		ID: id, UID: "uid-" + id, State: backend.StateRunning, HeartbeatAt: at(w.seconds),
		Tags: tags.Set{"v": strconv.Itoa(version)},
	}
}

// step lets a second pass in which something changes, or a source begins to look at a moment after its begin.
func (w *world) step(all []string) {
	w.seconds++
	id := rapid.SampledFrom(all).Draw(w.t, "id")
	switch kind := rapid.SampledFrom([]string{"change", "write", "list", "read"}).Draw(w.t, "kind"); kind {
	case "change":
		w.version[id]++
	case "write":
		if w.version[id] > 0 {
			w.version[id]++
			w.told = append(w.told, told{kind: kind, began: w.seconds, found: map[string]int{id: w.version[id]}})
		}
	default:
		began := max(1, w.seconds-rapid.IntRange(0, 3).Draw(w.t, "took"))
		asked := all
		if kind == "read" {
			asked = []string{id}
		}
		found := map[string]int{}
		for _, id := range asked {
			if v := w.version[id]; v > 0 {
				found[id] = v
			}
		}
		w.told = append(w.told, told{kind: kind, began: began, asked: asked, found: found})
	}
}

func (w *world) tell(s *snapshot.Snapshot, x told) []string {
	var found []backend.Run
	for _, id := range slices.Sorted(maps.Keys(x.found)) {
		found = append(found, w.run(id, x.found[id]))
	}
	switch x.kind {
	case "write":
		s.Wrote(at(x.began), found[0])
		return []string{found[0].ID}
	case "read":
		return s.ReadByID(at(x.began), x.asked, found).IDs
	default:
		return s.Listed(at(x.began), snapshot.Recent, found).IDs
	}
}

// However sources overlap and whenever they are told: what is shown of a run is never older than what any of them saw
// before, provided that one began later; and whoever follows only the changes knows everything.
func TestASnapshotNeverGoesBack(t *testing.T) {
	all := []string{"a", "b", "c"}
	rapid.Check(t, func(rt *rapid.T) {
		w := &world{t: rt, version: map[string]int{}}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			w.step(all)
		}
		s := snapshot.New()
		s.Track(all, nil)
		mirror := map[string]snapshot.View{}
		best := map[string]told{} // the source that began last, by run
		for _, x := range rapid.Permutation(w.told).Draw(rt, "order") {
			for _, id := range w.tell(s, x) {
				mirror[id] = s.Get(id)
			}
			for _, id := range x.tells() {
				if b, seen := best[id]; !seen || x.began > b.began || x.began == b.began && x.kind == "write" {
					best[id] = x
				}
			}
			for id, b := range best {
				if got := shown(s.Get(id)); got < b.found[id] && s.Get(id).ReadAt.Before(at(b.began)) {
					rt.Fatalf("run %s is shown at version %d, but %+v saw version %d", id, got, b, b.found[id])
				}
				if b.kind == "write" && shown(s.Get(id)) < b.found[id] {
					rt.Fatalf("run %s is shown at version %d, but we wrote version %d last", id, shown(s.Get(id)), b.found[id])
				}
			}
		}
		for _, id := range all {
			options := cmp.Options{
				cmpopts.IgnoreFields(backend.Run{}, "HeartbeatAt"), cmpopts.IgnoreFields(snapshot.View{}, "ReadAt", "LookedAt", "Misses"),
			}
			if diff := cmp.Diff(mirror[id], s.Get(id), options); diff != "" {
				rt.Fatalf("a change of %s was not told (-told +is):\n%s", id, diff)
			}
		}
	})
}

func shown(v snapshot.View) int {
	n, _ := strconv.Atoi(v.Run.Tags["v"])
	return n
}

// tracked makes a snapshot of n runs with five tags, and what a page of them looks like.
func tracked(n int) (*snapshot.Snapshot, []backend.Run) {
	s := snapshot.New()
	list := make([]backend.Run, n)
	all := make([]string, n)
	for i := range list {
		id := fmt.Sprintf("%08d", i)
		all[i] = id
		list[i] = backend.Run{
			ID: id, Handle: "handle-" + id, UID: "uid-2026-11-24T12:00:00-" + id, Name: "brisk-capsule-" + id,
			URL: "https://wandb.example/acme/capsules/runs/" + id, State: backend.StateRunning, CreatedAt: at(i),
			Host: "capsules-" + id, User: "someone", Group: "nightly", JobType: "train",
			Tags: tags.Set{"baseline": "", "in_production": "", "preemptible": "", "zone-a": "", "tag-" + id: ""},
		}
	}
	s.Track(all, nil)
	return s, list
}

func BenchmarkALookWithoutNews(b *testing.B) {
	s, list := tracked(10_000)
	began := time.Unix(1_800_000_000, 0)
	s.Listed(began, snapshot.Recent, list)
	b.ReportAllocs()
	for b.Loop() {
		began = began.Add(time.Second)
		s.Listed(began, snapshot.Recent, list)
	}
}
