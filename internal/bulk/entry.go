package bulk

import (
	"maps"
	"slices"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// Entry is what a change does to one run, written down before it is done: it says whether the run is done, and takes it
// back.
type Entry struct {
	// ID, Handle and UID are as in backend.Run.
	ID     string `json:"id"`
	Handle string `json:"handle,omitempty"`
	UID    string `json:"uid,omitempty"`
	// Before and After hold the value of each key that is touched, and nil where the run does not have it. A key that is
	// in neither is not touched.
	Before map[string]*string `json:"before,omitempty"`
	After  map[string]*string `json:"after,omitempty"`
}

// EntryOf gives the entry of an edit of a run as it is now. What the edit does not change is not in it.
func EntryOf(run backend.Run, edit tags.Edit) Entry {
	e := Entry{ID: run.ID, Handle: run.Handle, UID: run.UID, Before: map[string]*string{}, After: map[string]*string{}}
	for key, value := range edit.Set {
		if old := valueOf(run.Tags, key); old == nil || *old != value {
			e.Before[key], e.After[key] = old, &value
		}
	}
	for _, key := range edit.Remove {
		if old := valueOf(run.Tags, key); old != nil {
			e.Before[key], e.After[key] = old, nil
		}
	}
	return e
}

// Run is the run that it is about, as far as a write needs to know.
func (e Entry) Run() backend.Run { return backend.Run{ID: e.ID, Handle: e.Handle, UID: e.UID} }

// Applied says that all the keys are as the change leaves them.
func (e Entry) Applied(on tags.Set) bool { return e.is(e.After, on) }

// Untouched says that all the keys are as they were before the change.
func (e Entry) Untouched(on tags.Set) bool { return e.is(e.Before, on) }

// Edit is the whole change, for a run that is untouched.
func (e Entry) Edit() tags.Edit {
	var edit tags.Edit
	for _, key := range e.keys() {
		edit = with(edit, key, e.After[key])
	}
	return edit
}

// Rest is what is left to be done on a run of which parts may be done. It leaves keys alone, and names them, that are
// neither as they were before nor as the change leaves them: somebody changed those since.
func (e Entry) Rest(on tags.Set) (edit tags.Edit, changedSince []string) {
	for _, key := range e.keys() {
		switch now := valueOf(on, key); {
		case same(now, e.After[key]):
		case same(now, e.Before[key]):
			edit = with(edit, key, e.After[key])
		default:
			changedSince = append(changedSince, key)
		}
	}
	return edit, changedSince
}

// Reverse is the entry of what takes the change back.
func (e Entry) Reverse() Entry {
	e.Before, e.After = e.After, e.Before
	return e
}

// Undo takes back the keys that are still as the change left them, and names those that somebody changed since.
func (e Entry) Undo(on tags.Set) (edit tags.Edit, changedSince []string) { return e.Reverse().Rest(on) }

// keys are those that are touched, in order.
func (e Entry) keys() []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(e.Before)), maps.Keys(e.After))
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (e Entry) is(want map[string]*string, on tags.Set) bool {
	return !slices.ContainsFunc(e.keys(), func(key string) bool { return !same(valueOf(on, key), want[key]) })
}

// with is the edit that also gives a key this value, or takes it off where that is nil.
func with(edit tags.Edit, key string, value *string) tags.Edit {
	if value == nil {
		edit.Remove = append(edit.Remove, key)
		return edit
	}
	if edit.Set == nil {
		edit.Set = tags.Set{}
	}
	edit.Set[key] = *value
	return edit
}

func valueOf(on tags.Set, key string) *string {
	if value, there := on[key]; there {
		return &value
	}
	return nil
}

func same(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
