package backendtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

func testEdit(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	start := f.bare("stays", "goes", "goes-too")
	finished := f.create(NewRun{Name: "finished", Tags: start})
	running := f.create(NewRun{Name: "running", State: backend.StateRunning, Tags: start})
	change := tags.Edit{Set: f.bare("new", "stays"), Remove: []string{"goes", "goes-too", "never-there"}}
	results := f.change(edit(finished, change.Set, change.Remove...), edit(running, change.Set, change.Remove...))
	for i, run := range []backend.Run{finished, running} {
		got := results[i]
		if got.Err != nil || !got.Sent || got.ReadAt.IsZero() {
			t.Fatalf("changing a %s run: %+v", run.Name, got)
		}
		if diff := cmp.Diff(run, got.Before, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(backend.Run{}, "HeartbeatAt")); diff != "" {
			t.Errorf("Before is not the run as it was (-want +got):\n%s", diff)
		}
		want := f.bare("stays", "new")
		if diff := cmp.Diff(want, got.After.Tags); diff != "" {
			t.Errorf("After is not what it should be (-want +got):\n%s", diff)
		}
		if got.After.UID != run.UID || got.After.ID != run.ID {
			t.Errorf("After is of another run: %+v", got.After)
		}
		if diff := cmp.Diff(want, run.Tags.Apply(got.Edit)); diff != "" {
			t.Errorf("Edit is not what was done (-want +got):\n%s", diff)
		}
		f.want(run.ID, want, "the tracker has what After says; a tag that was off already is no error")
		if diff := cmp.Diff(want, f.get(run.ID).Tags); diff != "" {
			t.Errorf("the next read (-want +got):\n%s", diff)
		}
	}
	all := f.change(edit(finished, nil, slices.Collect(maps.Keys(f.bare("stays", "new")))...))
	if all[0].Err != nil {
		t.Errorf("taking off the last tag: %v", all[0].Err)
	}
	f.want(finished.ID, nil, "the last tag can be taken off")
}

func testEmptyEdit(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	run := f.create(NewRun{Tags: f.bare("x")})
	failure := errors.New("the record could not be written down")
	results := f.change(
		edit(run, nil),
		backend.Change{Run: f.create(NewRun{}), Decide: func(backend.Run) (tags.Edit, error) {
			return tags.Edit{Set: f.bare("must-not-be-sent")}, failure
		}})
	if writes := f.proxy.Requests(f.traits.Write); len(writes) > 0 {
		t.Errorf("%d writes for an edit that is empty and one that was called off, the first %s %s", len(writes), writes[0].Path, writes[0].Body)
	}
	if r := results[0]; r.Err != nil || r.Sent || !r.Edit.Empty() || r.ReadAt.IsZero() || !cmp.Equal(r.Before, r.After) {
		t.Errorf("an empty edit is a success in which nothing happened, got %+v", r)
	}
	if r := results[1]; !errors.Is(r.Err, failure) || r.Sent || !r.Edit.Empty() || r.Before.ID == "" {
		t.Errorf("what Decide says becomes the error of its run, got %+v", r)
	}
}

func testOddTags(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	dialect := f.client.Dialect()
	odd, keys := tags.Set{}, []string{}
	for _, tag := range f.traits.Odd {
		if err := dialectRefuses(dialect, tag); err != nil {
			t.Errorf("the tracker takes %q, the dialect does not: %v", tag.Key, err)
		}
		odd[tag.Key] = tag.Value
		keys = append(keys, tag.Key)
	}
	ours, theirs := f.create(NewRun{}), f.create(NewRun{})
	if r := f.change(edit(ours, odd))[0]; r.Err != nil {
		t.Fatalf("writing odd tags: %v", r.Err)
	}
	f.want(ours.ID, odd, "odd tags arrive as they were sent")
	f.project.SetTags(t, theirs.ID, odd)
	for _, run := range []backend.Run{ours, theirs} {
		if diff := cmp.Diff(odd, f.get(run.ID).Tags); diff != "" {
			t.Errorf("odd tags are read as they are (-want +got):\n%s", diff)
		}
	}
	if r := f.change(edit(theirs, nil, keys...))[0]; r.Err != nil {
		t.Fatalf("taking off odd tags: %v", r.Err)
	}
	f.want(theirs.ID, nil, "odd tags can be taken off")
}

// dialectRefuses applies the dialect's rules.
func dialectRefuses(d tags.Dialect, tag tags.Tag) error {
	if n := utf8.RuneCountInString(tag.Key); d.MaxKey > 0 && n > d.MaxKey {
		return fmt.Errorf("its key has %d characters, at most %d are taken", n, d.MaxKey)
	}
	if d.Hidden != nil && d.Hidden(tag.Key) {
		return errors.New("its key is hidden")
	}
	if d.CheckKey == nil {
		return nil
	}
	return d.CheckKey(tag.Key)
}

func testRefusedTags(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	for i, tag := range f.traits.Refused {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			f := f.in(t)
			if err := dialectRefuses(f.client.Dialect(), tag); err == nil && tag.Key != "" {
				t.Errorf("the tracker refuses %.80q, the dialect does not", tag.Key)
			}
			run, other := f.create(NewRun{Tags: f.bare("x")}), f.create(NewRun{})
			results := f.change(edit(run, tags.Set{tag.Key: tag.Value}), edit(other, f.bare("good")))
			f.wantKind(results[0].Err, fmt.Sprintf("the tracker does not take %.80q", tag.Key), backend.InvalidTag)
			var e *backend.Error
			if errors.As(results[0].Err, &e) && e.Tag != tag.Key {
				t.Errorf("the error names tag %.80q, want %.80q", e.Tag, tag.Key)
			}
			if results[0].Sent {
				t.Error("a refused tag counts as sent")
			}
			f.want(run.ID, f.bare("x"), "a refused tag changes nothing")
			if results[1].Err != nil {
				t.Errorf("the run beside it: %v", results[1].Err)
			}
			f.want(other.ID, f.bare("good"), "a refused tag does not harm the run beside it")
		})
	}
}

func testManyTags(t *testing.T, h Harness) {
	const count = 256
	f := open(t, h, Options{})
	run := f.create(NewRun{Tags: f.bare("before")})
	var keys []string
	for i := range count {
		keys = append(keys, fmt.Sprintf("tag-%03d", i))
	}
	if r := f.change(edit(run, f.bare(keys...), "before"))[0]; r.Err != nil {
		t.Fatalf("setting %d tags: %v", count, r.Err)
	}
	f.want(run.ID, f.bare(keys...), "all of them are there")
	if got := f.get(run.ID).Tags; len(got) != count {
		t.Errorf("%d tags are read, want %d", len(got), count)
	}
	if r := f.change(edit(run, f.bare("after"), keys...))[0]; r.Err != nil {
		t.Fatalf("taking off %d tags: %v", count, r.Err)
	}
	f.want(run.ID, f.bare("after"), "all of them are gone")
}

func testPartialFailure(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	var runs []backend.Run
	for i := range 7 {
		runs = append(runs, f.create(NewRun{Name: fmt.Sprint("run-", i)}))
	}
	f.project.Delete(t, runs[1].ID)
	missing := runs[0]
	missing.ID, missing.Handle, missing.UID = "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef", ""
	stale := runs[3]
	stale.UID += "-before"
	failure := errors.New("no")
	refused := f.traits.Refused[0]
	results := f.change(
		edit(runs[0], f.bare("good")),
		f.never(runs[1], "the run is deleted"),
		edit(runs[2], tags.Set{refused.Key: refused.Value}),
		f.never(stale, "the run is another one"),
		backend.Change{Run: runs[4], Decide: func(backend.Run) (tags.Edit, error) { return tags.Edit{}, failure }},
		f.never(missing, "the run is missing"),
		edit(runs[6], f.bare("good")),
		edit(runs[5], nil),
	)
	f.wantKind(results[1].Err, "deleted", backend.NotFound)
	f.wantKind(results[2].Err, "refused", backend.InvalidTag)
	f.wantKind(results[3].Err, "another incarnation", backend.NotFound)
	f.wantKind(results[5].Err, "missing", backend.NotFound)
	if !errors.Is(results[4].Err, failure) {
		t.Errorf("the error of Decide comes as %v", results[4].Err)
	}
	for _, i := range []int{0, 6, 7} {
		if results[i].Err != nil {
			t.Errorf("a good change among bad ones failed: %v", results[i].Err)
		}
	}
	for i, want := range map[int]tags.Set{0: f.bare("good"), 2: nil, 3: nil, 4: nil, 5: nil, 6: f.bare("good")} {
		f.want(runs[i].ID, want, fmt.Sprint("run ", i))
	}
	if diff := cmp.Diff([]string{runs[0].ID, runs[6].ID}, []string{results[0].After.ID, results[6].After.ID}); diff != "" {
		t.Errorf("results are not in the order of the changes:\n%s", diff)
	}
}

func testSameRunTwice(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	run := f.create(NewRun{})
	keys := []string{"first", "second", "third"}
	results := f.change(edit(run, f.bare(keys[0])), edit(run, f.bare(keys[1])), edit(run, f.bare(keys[2])))
	on := f.project.Tags(t, run.ID)
	for i, r := range results {
		if _, is := on[keys[i]]; is != (r.Err == nil) {
			t.Errorf("change %d of the same run gives error %v, and the run has %v", i, r.Err, on)
		}
	}
	if results[0].Err != nil {
		t.Errorf("the first change of a run that is named thrice: %v", results[0].Err)
	}
}

func testForeignWriter(t *testing.T, h Harness) {
	f := open(t, h, Options{})
	run := f.create(NewRun{Tags: f.bare("x")})
	f.project.SetTags(t, run.ID, f.bare("foreign"))
	var seen tags.Set
	r := f.change(backend.Change{Run: run, Decide: func(now backend.Run) (tags.Edit, error) {
		seen = maps.Clone(now.Tags)
		return tags.Edit{Set: f.bare("ours")}, nil
	}})[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if diff := cmp.Diff(f.bare("x", "foreign"), seen); diff != "" {
		t.Errorf("Decide sees the run as it is now, not as last seen (-want +got):\n%s", diff)
	}
	f.want(run.ID, f.bare("x", "foreign", "ours"), "a foreign tag that came since the last look stays")
	if !f.traits.TagByTag {
		return
	}
	r = f.change(backend.Change{Run: run, Decide: func(backend.Run) (tags.Edit, error) {
		f.project.SetTags(t, run.ID, f.bare("in-between"))
		return tags.Edit{Set: f.bare("ours-too"), Remove: []string{"x"}}, nil
	}})[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	f.want(run.ID, f.bare("foreign", "ours", "in-between", "ours-too"), "a foreign tag that came between read and write stays")
}

func testConcurrent(t *testing.T, h Harness) {
	const writers = 8
	f := open(t, h, Options{})
	shared := f.create(NewRun{})
	own := make([]backend.Run, writers)
	for i := range own {
		own[i] = f.create(NewRun{})
	}
	var keys []string
	var all sync.WaitGroup
	for i := range writers {
		key := fmt.Sprint("writer-", i)
		keys = append(keys, key)
		run := own[i]
		all.Go(func() {
			changes := []backend.Change{edit(run, f.bare(key))}
			if f.traits.TagByTag {
				changes = append(changes, edit(shared, f.bare(key)))
			}
			results, err := f.client.Change(t.Context(), changes)
			if err != nil {
				t.Errorf("writer %d: %v", i, err)
			}
			for _, r := range results {
				if r.Err != nil {
					t.Errorf("writer %d: %v", i, r.Err)
				}
			}
			if _, err := f.client.List(t.Context(), backend.Query{IDs: []string{run.ID}}, ""); err != nil {
				t.Errorf("reader %d: %v", i, err)
			}
		})
	}
	all.Wait()
	for i, run := range own {
		f.want(run.ID, f.bare(keys[i]), "each writer changes its own run")
	}
	if f.traits.TagByTag {
		f.want(shared.ID, f.bare(keys...), "writers of one run do not undo each other")
	}
}
