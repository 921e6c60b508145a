package plan

import (
	"slices"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// Outlook is what would change on one run.
type Outlook struct {
	Run
	Changes []Change
	// Notes say of unique tags that do not move why.
	Notes []string
}

// All foresees the changes of all runs of one project, each of whose unique tags at most one of them carries. made says
// of a unique tag whether runtag gave it to a run before: only then it goes when nobody declares it any more.
func All(runs []Run, unique []string, made func(tag string) bool) []Outlook {
	out := make([]Outlook, 0, len(runs))
	inputs := make([]tags.Input, 0, len(runs))
	for _, r := range runs {
		out = append(out, Outlook{Run: r})
		inputs = append(inputs, r.Input())
	}
	moves := map[int][]Change{}
	for _, name := range unique {
		settle(name, out, inputs, moves, made)
	}
	for i := range out {
		out[i].Changes = append(changes(out[i].Run, inputs[i], tags.Make(inputs[i])), moves[i]...)
	}
	return out
}

// settle decides about one unique tag, and takes it out of the hands of the runs' own plans.
func settle(name string, all []Outlook, inputs []tags.Input, moves map[int][]Change, made func(string) bool) {
	holder, declarers, blocked := judge(name, all)
	moving := declarers == 1 && blocked == ""
	for i := range all {
		if blocked != "" && all[i].declaresByHand(name) {
			all[i].Notes = append(all[i].Notes, blocked)
		}
		if moving && i == holder {
			continue
		}
		drop(&inputs[i], name)
		if !all[i].carries(name) {
			continue
		}
		inputs[i].Frozen = append(inputs[i].Frozen, tags.Declaration{Tag: name, Source: tags.Spec})
		switch {
		case moving:
			moves[i] = append(moves[i], Change{Tag: name, Remove: true, Because: "moves to " + all[holder].Object.Name})
		case declarers == 0 && made(name):
			moves[i] = append(moves[i], Change{Tag: name, Remove: true, Because: "declared no more"})
		}
	}
}

// judge says which run should have a unique tag, how many declare it, and why it does not move to that one.
func judge(name string, all []Outlook) (holder, declarers int, blocked string) {
	for i, r := range all {
		if r.declaresByHand(name) {
			holder, declarers = i, declarers+1
		}
	}
	switch declarers {
	case 0:
		return holder, 0, ""
	case 1:
		blocked = all[holder].blocks(name)
	default:
		return holder, declarers, "several TrainingRuns declare " + name + ", and at most one run may carry it: it does not move"
	}
	for i, r := range all {
		if i != holder && blocked == "" && r.Policy() < tags.Merge && r.carries(name) {
			blocked = name + " does not move: " + r.Object.Name + " keeps it by its policy " + r.Policy().String()
		}
	}
	return holder, declarers, blocked
}

// carries says whether a tag was on the run at the last look.
func (r Run) carries(name string) bool { return backend.Carries(r.Dialect, r.Observed(), name) }

// blocks says why a unique tag can't move to the run that should have it; empty if it can.
func (r Run) blocks(name string) string {
	tag, err := r.Dialect.Parse(name)
	if err == nil {
		err = r.Dialect.Check(tag)
	}
	switch {
	case err != nil:
		return name + " does not move: " + err.Error()
	case r.Object.Status.Run == nil:
		return name + " moves once the run is on the tracker"
	case r.Policy() < tags.Merge:
		return name + " does not move: the policy " + r.Policy().String() + " takes no tags off"
	}
	return ""
}

// declaresByHand says whether spec or a label declares a tag.
func (r Run) declaresByHand(name string) bool {
	if r.Excluded(name) != "" {
		return false
	}
	for _, source := range r.ByPeople().Declared {
		if slices.ContainsFunc(source.Tags, func(d tags.Declaration) bool { return r.Name(d.Tag) == r.Name(name) }) {
			return true
		}
	}
	return false
}

// drop takes a tag out of all that is declared, excluded and asked off.
func drop(in *tags.Input, name string) {
	is := func(other string) bool {
		a, errA := in.Dialect.Parse(other)
		b, errB := in.Dialect.Parse(name)
		return errA == nil && errB == nil && a == b
	}
	declared := make([]tags.Declarations, 0, len(in.Declared))
	for _, source := range in.Declared {
		source.Tags = slices.DeleteFunc(slices.Clone(source.Tags), func(d tags.Declaration) bool { return is(d.Tag) })
		declared = append(declared, source)
	}
	in.Declared = declared
	in.Excluded = slices.DeleteFunc(slices.Clone(in.Excluded), is)
	in.Requested = slices.DeleteFunc(slices.Clone(in.Requested), is)
	in.Forgotten = slices.DeleteFunc(slices.Clone(in.Forgotten), is)
}
