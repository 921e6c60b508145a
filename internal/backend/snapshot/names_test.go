package snapshot_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
)

func named(id, name string, keys ...string) backend.Run {
	return with(run(id, backend.StateRunning, keys...), func(r *backend.Run) { r.Name = name })
}

func names(names ...string) snapshot.Changes { return snapshot.Changes{Names: names} }

func expectNamed(t *testing.T, s *snapshot.Snapshot, name string, known bool, ids ...string) {
	t.Helper()
	runs, isKnown := s.Named(name)
	var got []string
	for _, r := range runs {
		got = append(got, r.ID)
	}
	if diff := cmp.Diff(ids, got); diff != "" || known != isKnown {
		t.Errorf("runs of %s, known %v (-want +got):\n%s", name, isKnown, diff)
	}
}

func trackingNames(names ...string) *snapshot.Snapshot {
	s := snapshot.New()
	s.Track(nil, names)
	return s
}

func TestRunsByName(t *testing.T) {
	s := trackingNames("nightly", "weekly")
	ask := []string{"nightly", "untracked"}
	expectNamed(t, s, "nightly", false)
	expect(t, "that there is none is news", s.ReadByName(at(1), ask, nil), names("nightly"))
	expectNamed(t, s, "nightly", true)
	expectNamed(t, s, "weekly", false)
	expect(t, "once", s.ReadByName(at(2), ask, nil), nothing)
	expect(t, "two appear", s.ReadByName(at(3), ask, runs(named("b", "nightly"), named("a", "nightly"))), names("nightly"))
	expectNamed(t, s, "nightly", true, "a", "b")
	expect(t, "nothing changes", s.ReadByName(at(4), ask, runs(named("b", "nightly"), named("a", "nightly"))), nothing)
	expect(t, "a tag changes", s.ReadByName(at(5), ask, runs(named("b", "nightly", "x"), named("a", "nightly"))), names("nightly"))
	expect(t, "an older read does not count", s.ReadByName(at(4), ask, runs(named("b", "nightly"))), nothing)
	expect(t, "one goes", s.ReadByName(at(6), ask, runs(named("a", "nightly"))), names("nightly"))
	expectNamed(t, s, "nightly", true, "a")
	expectNamed(t, s, "untracked", false)
}

func TestListsTellOfNamesToo(t *testing.T) {
	s := trackingNames("nightly", "weekly")
	s.TrackName("daily")
	s.TrackName("daily")
	list := func(began int, r ...backend.Run) snapshot.Changes { return s.Listed(at(began), snapshot.Recent, r) }
	expect(t, "one appears; that there are no others is not known", list(1, named("a", "nightly"), named("x", "other")), names("nightly"))
	expectNamed(t, s, "nightly", false, "a")
	expect(t, "absence from a list proves nothing", list(2), nothing)
	expectNamed(t, s, "nightly", false, "a")
	expect(t, "it is renamed", list(3, named("a", "weekly")), names("nightly", "weekly"))
	expectNamed(t, s, "nightly", false)
	expectNamed(t, s, "weekly", false, "a")
	expect(t, "a list from before that", list(2, named("a", "nightly")), nothing)
	expectNamed(t, s, "weekly", false, "a")
	expect(t, "an old one of the same name", list(2, named("a", "weekly", "old")), nothing)
	expect(t, "it is renamed to what nobody waits for", list(4, named("a", "other")), names("weekly"))
	expectNamed(t, s, "weekly", false)
	expect(t, "a list from before a read by name that did not find it",
		func() snapshot.Changes {
			s.ReadByName(at(6), []string{"daily"}, nil)
			return list(5, named("a", "daily"))
		}(), nothing)
	expectNamed(t, s, "daily", true)
	s.ReadByName(at(4), []string{"daily"}, nil)
	expect(t, "the same after an older read by name", list(5, named("a", "daily")), nothing)
	expect(t, "a list from after it", list(7, named("a", "daily")), names("daily"))
	expectNamed(t, s, "daily", true, "a")
}

func TestAReadByNameKeepsWhatWasSeenAfterIt(t *testing.T) {
	s := trackingNames("nightly")
	s.Listed(at(5), snapshot.Recent, runs(named("a", "nightly")))
	expect(t, "the read began before the run was seen", s.ReadByName(at(4), []string{"nightly"}, nil), names("nightly"))
	expectNamed(t, s, "nightly", true, "a")
}

func TestAReadByNameTellsOfTrackedIDs(t *testing.T) {
	s := snapshot.New()
	s.Track([]string{"a"}, []string{"nightly"})
	expect(t, "both", s.ReadByName(at(1), []string{"nightly"}, runs(named("a", "nightly"))),
		snapshot.Changes{IDs: []string{"a"}, Names: []string{"nightly"}})
}

func TestNamesAreForgotten(t *testing.T) {
	s := trackingNames("nightly", "weekly")
	s.ReadByName(at(1), []string{"nightly", "weekly"}, runs(named("a", "nightly"), named("b", "weekly")))
	s.Track(nil, []string{"weekly"})
	expectNamed(t, s, "nightly", false)
	expectNamed(t, s, "weekly", true, "b")
	expect(t, "a run of a forgotten name", s.Listed(at(2), snapshot.Recent, runs(named("a", "weekly"))), names("weekly"))
}
