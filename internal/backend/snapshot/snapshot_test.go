package snapshot_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/tags"
)

// at gives a moment, in seconds after some beginning.
func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0) }

// run makes a run with this state and these tags.
func run(id string, state backend.State, keys ...string) backend.Run {
	r := backend.Run{ID: id, UID: "uid-" + id, Name: "name-" + id, State: state, Tags: tags.Set{}}
	for _, k := range keys {
		r.Tags[k] = ""
	}
	return r
}

func runs(r ...backend.Run) []backend.Run { return r }

func with(r backend.Run, change func(*backend.Run)) backend.Run {
	r.Tags = maps.Clone(r.Tags)
	change(&r)
	return r
}

func tracking(ids ...string) *snapshot.Snapshot {
	s := snapshot.New()
	s.Track(ids, nil)
	return s
}

func expect(t *testing.T, what string, got, want snapshot.Changes) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func ids(ids ...string) snapshot.Changes { return snapshot.Changes{IDs: ids} }

var nothing = snapshot.Changes{}

func TestWhatCountsAsAChange(t *testing.T) {
	base := run("a", backend.StateRunning, "x", "y")
	base.CreatedAt = at(-100)
	for _, c := range []struct {
		reason string
		change func(*backend.Run)
		want   snapshot.Changes
	}{
		{"the same again is none", func(*backend.Run) {}, nothing},
		{"a heartbeat is none", func(r *backend.Run) { r.HeartbeatAt = at(5) }, nothing},
		{"the same moment in another zone is none", func(r *backend.Run) { r.CreatedAt = r.CreatedAt.UTC() }, nothing},
		{"a tag more", func(r *backend.Run) { r.Tags["z"] = "" }, ids("a")},
		{"a tag less", func(r *backend.Run) { delete(r.Tags, "x") }, ids("a")},
		{"a value", func(r *backend.Run) { r.Tags["x"] = "1" }, ids("a")},
		{"the state", func(r *backend.Run) { r.State = backend.StatePreempting }, ids("a")},
		{"the name", func(r *backend.Run) { r.Name = "new" }, ids("a")},
		{"the run behind the id", func(r *backend.Run) { r.UID = "other" }, ids("a")},
		{"the host", func(r *backend.Run) { r.Host = "h" }, ids("a")},
		{"the user", func(r *backend.Run) { r.User = "u" }, ids("a")},
		{"the group", func(r *backend.Run) { r.Group = "g" }, ids("a")},
		{"the job type", func(r *backend.Run) { r.JobType = "j" }, ids("a")},
		{"the URL", func(r *backend.Run) { r.URL = "u" }, ids("a")},
		{"the end", func(r *backend.Run) { r.FinishedAt = at(1) }, ids("a")},
		{"the pod's UID", func(r *backend.Run) { r.PodUID = "u" }, ids("a")},
		{"the pod's name", func(r *backend.Run) { r.PodName = "p" }, ids("a")},
		{"the parent", func(r *backend.Run) { r.Parent = "p" }, ids("a")},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s := tracking("a")
			expect(t, "the first look", s.Listed(at(1), snapshot.Recent, runs(base, run("untracked", backend.StateRunning))), ids("a"))
			next := with(base, c.change)
			expect(t, "the second look", s.Listed(at(2), snapshot.Recent, runs(next)), c.want)
			v := s.Get("a")
			if diff := cmp.Diff(next, v.Run); diff != "" {
				t.Errorf("the run now (-want +got):\n%s", diff)
			}
			if v.Presence != snapshot.Present || !v.ReadAt.Equal(at(2)) || !v.Known {
				t.Errorf("the view is %+v", v)
			}
		})
	}
}

func TestWhatBeganEarlierDoesNotOverwriteWhatBeganLater(t *testing.T) {
	before, after := run("a", backend.StateFinished), run("a", backend.StateFinished, "x")
	list := func(s *snapshot.Snapshot, began int) snapshot.Changes {
		return s.Listed(at(began), snapshot.Everything, runs(before))
	}
	read := func(s *snapshot.Snapshot, began int) snapshot.Changes {
		return s.ReadByID(at(began), []string{"a"}, runs(before))
	}
	miss := func(s *snapshot.Snapshot, began int) snapshot.Changes {
		s.ReadByID(at(began-1), []string{"a"}, nil)
		return s.ReadByID(at(began), []string{"a"}, nil)
	}
	wrote := func(s *snapshot.Snapshot) { s.Wrote(at(10), after) }
	looked := func(s *snapshot.Snapshot) { s.ReadByID(at(10), []string{"a"}, runs(after)) }
	for _, c := range []struct {
		reason string
		first  func(*snapshot.Snapshot)
		then   func(*snapshot.Snapshot, int) snapshot.Changes
		began  int
		counts bool
	}{
		{"a list from before the write", wrote, list, 9, false},
		{"a list from the moment of the write may have seen either side", wrote, list, 10, false},
		{"a list from after the write", wrote, list, 11, true},
		{"a list from before the read", looked, list, 9, false},
		{"a second page of the same look", looked, list, 10, true},
		{"a read from before the write", wrote, read, 9, false},
		{"a read from after the write", wrote, read, 11, true},
		{"reads that miss it, from before the write", wrote, miss, 9, false},
		{"reads that miss it, of which one is from the moment of the write", wrote, miss, 11, false},
		{"reads that miss it, from after the write", wrote, miss, 12, true},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s := tracking("a")
			c.first(s)
			want, got := nothing, c.then(s, c.began)
			if c.counts {
				want = ids("a")
			}
			got.Left = nil
			expect(t, "changes", got, want)
			v := s.Get("a")
			if kept := v.Presence == snapshot.Present && maps.Equal(v.Run.Tags, after.Tags); kept == c.counts {
				t.Errorf("the view is %+v", v)
			}
		})
	}
}

func TestAWriteThatIsToldLateDoesNotOverwriteALaterLook(t *testing.T) {
	s := tracking("a")
	s.Listed(at(5), snapshot.Recent, runs(run("a", backend.StateFinished, "new")))
	s.Wrote(at(4), run("a", backend.StateFinished, "old"))
	if _, there := s.Get("a").Run.Tags["new"]; !there {
		t.Errorf("the tags are %v", s.Get("a").Run.Tags)
	}
}

func TestPresence(t *testing.T) {
	const a = "a"
	there := runs(run(a, backend.StateRunning))
	type step struct {
		seconds int
		do      string // read: by id; list: recent; all: everything
		found   []backend.Run
		want    snapshot.Changes
		is      snapshot.Presence
	}
	left := snapshot.Changes{Left: []string{a}}
	for _, c := range []struct {
		reason string
		steps  []step
	}{
		{"a run that was never seen is absent at one read by id", []step{
			{1, "list", nil, nothing, snapshot.Unknown},
			{2, "all", nil, nothing, snapshot.Unknown},
			{3, "read", nil, ids(a), snapshot.Absent},
			{4, "read", nil, nothing, snapshot.Absent},
			{5, "list", there, ids(a), snapshot.Present},
		}},
		{"absence from lists proves nothing, however often", []step{
			{1, "list", there, ids(a), snapshot.Present},
			{2, "list", nil, left, snapshot.Present},
			{3, "list", nil, left, snapshot.Present},
			{4, "all", nil, left, snapshot.Present},
		}},
		{"two reads by id prove it", []step{
			{1, "list", there, ids(a), snapshot.Present},
			{2, "read", nil, nothing, snapshot.Present},
			{3, "read", nil, ids(a), snapshot.Absent},
			{4, "list", nil, nothing, snapshot.Absent},
		}},
		{"the same read told twice is one", []step{
			{1, "list", there, ids(a), snapshot.Present},
			{2, "read", nil, nothing, snapshot.Present},
			{2, "read", nil, nothing, snapshot.Present},
		}},
		{"a sight in between begins the count anew", []step{
			{1, "list", there, ids(a), snapshot.Present},
			{2, "read", nil, nothing, snapshot.Present},
			{3, "list", there, nothing, snapshot.Present},
			{4, "read", nil, nothing, snapshot.Present},
			{5, "read", nil, ids(a), snapshot.Absent},
		}},
		{"a list from before the miss does not", []step{
			{1, "list", there, ids(a), snapshot.Present},
			{3, "read", nil, nothing, snapshot.Present},
			{2, "list", there, nothing, snapshot.Present},
			{4, "read", nil, ids(a), snapshot.Absent},
			{3, "list", there, nothing, snapshot.Absent},
		}},
		{"it is back", []step{
			{1, "list", there, ids(a), snapshot.Present},
			{2, "read", nil, nothing, snapshot.Present},
			{3, "read", nil, ids(a), snapshot.Absent},
			{4, "read", there, ids(a), snapshot.Present},
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s := tracking(a)
			for i, step := range c.steps {
				var got snapshot.Changes
				switch step.do {
				case "read":
					got = s.ReadByID(at(step.seconds), []string{a, "untracked"}, step.found)
				case "list":
					got = s.Listed(at(step.seconds), snapshot.Recent, step.found)
				case "all":
					got = s.Listed(at(step.seconds), snapshot.Everything, step.found)
				}
				expect(t, fmt.Sprintf("step %d", i), got, step.want)
				if is := s.Get(a).Presence; is != step.is {
					t.Errorf("step %d: it is %s, want %s", i, is, step.is)
				}
				unseen := slices.Contains(s.Unseen(), a)
				if v := s.Get(a); unseen != (v.Presence != snapshot.Present || v.Misses > 0) {
					t.Errorf("step %d: Unseen says %v of %+v", i, unseen, v)
				}
			}
		})
	}
}

func TestWhenARunWasLookedAt(t *testing.T) {
	s := tracking("a")
	s.Listed(at(1), snapshot.Recent, runs(run("a", backend.StateRunning)))
	s.ReadByID(at(3), []string{"a"}, nil)
	if v := s.Get("a"); !v.LookedAt.Equal(at(3)) || !v.ReadAt.Equal(at(1)) {
		t.Errorf("a run that was missed was looked at %s and read at %s, want %s and %s", v.LookedAt, v.ReadAt, at(3), at(1))
	}
	s.ReadByID(at(5), []string{"a"}, runs(run("a", backend.StateRunning)))
	if v := s.Get("a"); !v.LookedAt.Equal(at(5)) {
		t.Errorf("a run that is back was looked at %s, want %s", v.LookedAt, at(5))
	}
}

func TestWhatLeftAList(t *testing.T) {
	s := tracking("active", "ended", "young")
	s.ReadByID(at(1), []string{"active", "ended"}, runs(run("active", backend.StateRunning), run("ended", backend.StateFinished)))
	s.Wrote(at(5), run("young", backend.StateRunning))
	expect(t, "a recent list lacks only what was active before it began",
		s.Listed(at(4), snapshot.Recent, nil), snapshot.Changes{Left: []string{"active"}})
	expect(t, "a list of everything lacks what ended too",
		s.Listed(at(4), snapshot.Everything, nil), snapshot.Changes{Left: []string{"active", "ended"}})
	s.ReadByID(at(6), []string{"active"}, runs(run("active", backend.StateFinished)))
	expect(t, "one that has ended is not missed any more",
		s.Listed(at(7), snapshot.Recent, nil), snapshot.Changes{Left: []string{"young"}})
	s.Track([]string{"active", "ended"}, nil)
	expect(t, "one that is not tracked is not missed", s.Listed(at(8), snapshot.Recent, nil), nothing)
}

func TestALookCountsOnlyWhenItIsComplete(t *testing.T) {
	s := tracking("a", "b")
	l := s.Begin(at(1), snapshot.Recent)
	l.Add(runs(run("a", backend.StateRunning)))
	if v := s.Get("a"); v.Known {
		t.Error("a page alone changes nothing")
	}
	// The next page fails: this look is dropped.
	l = s.Begin(at(2), snapshot.Recent)
	l.Add(runs(run("b", backend.StateRunning)))
	l.Add(runs(run("b", backend.StateFinished))) // moved to the next page meanwhile
	expect(t, "the complete look", l.End(), ids("b"))
	if s.Get("a").Known || s.Get("b").Run.State != backend.StateFinished {
		t.Errorf("a is %+v, b is %+v", s.Get("a"), s.Get("b"))
	}
}

func TestTrackForgetsTheRest(t *testing.T) {
	s := tracking("a", "b")
	s.TrackID("c")
	s.TrackID("a")
	s.Listed(at(1), snapshot.Recent, runs(run("a", backend.StateRunning), run("b", backend.StateRunning), run("c", backend.StateRunning)))
	s.Track([]string{"a", "d"}, nil)
	known := map[string]bool{}
	for id, v := range s.All() {
		known[id] = v.Known
	}
	if diff := cmp.Diff(map[string]bool{"a": true, "d": false}, known); diff != "" {
		t.Errorf("tracked (-want +got):\n%s", diff)
	}
	for range s.All() {
		break // may be left early
	}
	if v := s.Get("b"); v.Known || v.Presence != snapshot.Unknown {
		t.Errorf("b is %+v", v)
	}
}

func TestWhatWasKnownBeforeARestart(t *testing.T) {
	s := tracking("a", "b", "c")
	s.Remember(run("a", backend.StateFinished), 3)
	s.Remember(run("untracked", backend.StateFinished), 3)
	if v := s.Get("a"); v.Presence != snapshot.Unknown || !v.Known || v.Attempt != 3 {
		t.Errorf("remembered, not yet seen: %+v", v)
	}
	expect(t, "one read that misses a known run", s.ReadByID(at(1), []string{"a", "b"}, nil), ids("b"))
	s.Remember(run("b", backend.StateFinished), 0)
	if v := s.Get("b"); v.Presence != snapshot.Unknown || v.Attempt != 1 {
		t.Errorf("one read was enough for a run that nobody knew, and is not for one that somebody does: %+v", v)
	}
	expect(t, "the second read", s.ReadByID(at(2), []string{"a", "b"}, nil), ids("a", "b"))

	on := func(host string) backend.Run {
		return with(run("d", backend.StateRunning), func(r *backend.Run) { r.Host = host })
	}
	s.TrackID("d")
	s.Remember(on("h1"), 2)
	s.Listed(at(3), snapshot.Recent, runs(on("h2")))
	if v := s.Get("d"); v.Attempt != 3 {
		t.Errorf("it moved while we were away: attempt %d, want 3", v.Attempt)
	}
	s.Listed(at(3), snapshot.Recent, runs(run("c", backend.StateRunning)))
	s.Remember(run("c", backend.StateFinished), 7)
	if v := s.Get("c"); v.Attempt != 1 || v.Run.State != backend.StateRunning {
		t.Errorf("what was seen is worth more than what is remembered: %+v", v)
	}
	s.Listed(at(4), snapshot.Recent, runs(run("a", backend.StateRunning)))
	if v := s.Get("a"); v.Attempt != 4 {
		t.Errorf("it had ended and runs again: attempt %d, want 4", v.Attempt)
	}
}

func TestAttempts(t *testing.T) {
	on := func(host string) backend.Run {
		return with(run("a", backend.StateRunning), func(r *backend.Run) { r.Host = host })
	}
	is := func(state backend.State) backend.Run { return run("a", state) }
	repeat := func(n int, r backend.Run) []backend.Run { return slices.Repeat(runs(r), n) }
	for _, c := range []struct {
		reason string
		seen   []backend.Run
		want   int
	}{
		{"never seen", nil, 0},
		{"seen once", runs(is(backend.StateRunning)), 1},
		{"ended", runs(is(backend.StateRunning), is(backend.StateCrashed)), 1},
		{"resumed", runs(is(backend.StateRunning), is(backend.StateCrashed), is(backend.StateRunning)), 2},
		{"requeued", runs(is(backend.StatePreempted), is(backend.StatePending), is(backend.StateRunning)), 2},
		{"a state that nobody knows is no end", runs(is(backend.StateRunning), is(backend.StateUnknown), is(backend.StateRunning)), 1},
		{"nor does it hide one", runs(is(backend.StateFailed), is(backend.StateUnknown), is(backend.StateRunning)), 2},
		{"another run under the id begins anew", runs(is(backend.StateFailed), is(backend.StateRunning),
			with(is(backend.StateRunning), func(r *backend.Run) { r.UID = "other" })), 1},
		{"another host", runs(on("h1"), on("h2")), 2},
		{"a host where there was none said", runs(on(""), on("h1")), 1},
		{"mode=shared flips all the time", runs(on("h1"), on("h2"), on("h1"), on("h2"), on("h1")), 2},
		{"nine calm looks are too few", slices.Concat(runs(on("h1"), on("h2")), repeat(9, on("h2")), runs(on("h3"))), 2},
		{"ten calm looks are enough", slices.Concat(runs(on("h1"), on("h2")), repeat(10, on("h2")), runs(on("h3"))), 3},
		{"resumed on another host is one attempt", runs(on("h1"), is(backend.StateCrashed), on("h2")), 2},
		{"after a resume another host counts again", slices.Concat(runs(on("h1"), on("h2"),
			with(on("h2"), func(r *backend.Run) { r.State = backend.StateCrashed }), on("h2"), on("h3"))), 4},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s := tracking("a")
			for i, r := range c.seen {
				s.Listed(at(i), snapshot.Recent, runs(r))
			}
			if got := s.Get("a").Attempt; got != c.want {
				t.Errorf("attempt %d, want %d", got, c.want)
			}
		})
	}
}

func TestAWriteIsNoLookAtTheHost(t *testing.T) {
	s := tracking("a")
	on := func(host string) backend.Run {
		return with(run("a", backend.StateRunning), func(r *backend.Run) { r.Host = host })
	}
	s.Listed(at(1), snapshot.Recent, runs(on("h1")))
	s.Listed(at(2), snapshot.Recent, runs(on("h2")))
	for i := range 20 {
		s.Wrote(at(3+i), on("h2"))
	}
	s.Listed(at(30), snapshot.Recent, runs(on("h1")))
	if got := s.Get("a").Attempt; got != 2 {
		t.Errorf("attempt %d, want 2", got)
	}
}
