// Package plan foresees what the operator does about the tags of runs: it makes the operator's own plan, of what the
// TrainingRuns say instead of a look at the tracker. It is pure: it reads objects and takes the time as a parameter.
package plan

import (
	"maps"
	"slices"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/plugin/edit"
	"github.com/runtag/runtag/internal/rules"
	"github.com/runtag/runtag/internal/tags"
)

// operator is the field manager of all that the operator writes.
const operator = "runtag"

// Run is a TrainingRun, with what its plan depends on beside it.
type Run struct {
	// Object is as it is, or as it would be; its status says what was seen on the tracker.
	Object *v1alpha1.TrainingRun
	// Dialect of the run's tracker.
	Dialect tags.Dialect
	// Ceiling is that of the project. The operator's own may be lower, which nothing in the API says.
	Ceiling tags.Policy
	// Rules are what rules want; nil for what status says that they hold.
	Rules *rules.Change
	Now   time.Time
}

// Policy is the one in force.
func (r Run) Policy() tags.Policy { return min(Policy(r.Object.Spec.TagPolicy), r.Ceiling) }

// Policy reads a policy; one that is not given is the default, and one that is not known may do the least.
func Policy(p v1alpha1.TagPolicy) tags.Policy {
	parsed, err := tags.ParsePolicy(string(p))
	if err != nil {
		return tags.Observe
	}
	return parsed
}

// Observed are the tags on the run, by its status.
func (r Run) Observed() tags.Set {
	on := tags.Set{}
	for _, t := range r.Object.Status.Tags {
		if tag, err := r.Dialect.Parse(t.Name); err == nil && t.Present {
			on[tag.Key] = tag.Value
		}
	}
	return on
}

// ID is the tracker's id of the run; empty while it is not known.
func (r Run) ID() string {
	if r.Object.Status.Run != nil && r.Object.Status.Run.ID != "" {
		return r.Object.Status.Run.ID
	}
	return r.Object.Spec.RunID
}

// Labels are what people's labels mean.
func (r Run) Labels() mirror.Reading {
	wrote := map[string]bool{}
	for _, owner := range edit.OwnersOf(r.Object) {
		if owner.Manager == operator {
			maps.Copy(wrote, owner.Labels)
		}
	}
	entries := make([]mirror.Entry, 0, len(r.Object.Status.Tags))
	for _, t := range r.Object.Status.Tags {
		entries = append(entries, mirror.Entry{Name: t.Name, Source: tags.Source(t.Source), Mirrored: t.Mirrored, Person: t.ByLabel})
	}
	in := mirror.Input{
		Dialect: r.Dialect, Labels: r.Object.Labels, Wrote: wrote, Entries: entries, Observed: r.Observed(),
		MayRemove: r.Policy() >= tags.Merge, Seen: r.Object.Status.ObservedDeclarations != "",
	}
	reading := mirror.Read(in)
	if reading.Wiped { // the operator puts them back before anything else
		in.Labels = maps.Clone(reading.Restored)
		in.Seen = false
		reading = mirror.Read(in)
	}
	return reading
}

// ByPeople is the input of the plan without what rules want.
func (r Run) ByPeople() tags.Input {
	reading, lists, st := r.Labels(), mirror.ReadLists(r.Object.Annotations), &r.Object.Status
	in := tags.Input{
		Dialect: r.Dialect, Observed: r.Observed(), Excluded: r.Object.Spec.ExcludeTags,
		Requested: slices.Concat(reading.Requested, lists.Remove), Forgotten: reading.Forgotten, Record: record(st),
		Policy: Policy(r.Object.Spec.TagPolicy), Ceiling: r.Ceiling, EndedAt: endedAt(st.Run), Now: r.Now,
	}
	if st.Run != nil {
		in.RunUID = st.Run.UID
	}
	annotations, byAnnotation := tags.Declarations{Name: "annotations", Unknown: len(lists.Unread) > 0}, lists.Declared()
	if annotations.Unknown {
		for _, t := range st.Tags {
			if t.ByAnnotation {
				byAnnotation = append(byAnnotation, t.Name)
			}
		}
	}
	annotations.Tags = declared(byAnnotation, tags.Label)
	in.Declared = []tags.Declarations{
		{Name: "spec.tags", Tags: declared(r.Object.Spec.Tags, tags.Spec)}, {Name: "labels", Tags: declared(reading.Declared, tags.Label)}, annotations,
	}
	return in
}

func declared(names []string, source tags.Source) []tags.Declaration {
	out := make([]tags.Declaration, 0, len(names))
	for _, name := range names {
		out = append(out, tags.Declaration{Tag: name, Source: source})
	}
	return out
}

// Input is all that the plan depends on.
func (r Run) Input() tags.Input {
	in := r.ByPeople()
	hold, frozen := r.Facts(), []rules.Fact(nil)
	if r.Rules != nil {
		hold, frozen = r.Rules.Declared, r.Rules.Frozen
	}
	for _, f := range hold {
		if f.State == rules.Held {
			in.Declared = append(in.Declared, tags.Declarations{Name: f.Rule, Tags: []tags.Declaration{byRule(f)}})
		}
	}
	if r.Rules != nil {
		for i := range in.Declared {
			in.Declared[i].Unknown = in.Declared[i].Unknown || slices.Contains(r.Rules.Unknown, in.Declared[i].Name)
		}
	}
	for _, f := range frozen {
		in.Frozen = append(in.Frozen, byRule(f))
	}
	return in
}

func byRule(f rules.Fact) tags.Declaration {
	return tags.Declaration{Tag: f.Tag, Source: tags.Rule, Rule: f.Rule}
}

// Facts are what rules found before, by status.
func (r Run) Facts() []rules.Fact {
	facts := make([]rules.Fact, 0, len(r.Object.Status.RuleTags))
	for _, t := range r.Object.Status.RuleTags {
		f := rules.Fact{
			Rule: t.Rule, Tag: t.Tag, State: rules.State(t.State), First: t.First.Time, Last: t.Last.Time, Count: int(t.Count), Wiped: int(t.Wiped),
			Reason: t.Reason, Source: t.Source, Computed: t.Computed, Sticky: t.Sticky,
		}
		if t.GoneSince != nil {
			f.Gone = t.GoneSince.Time
		}
		facts = append(facts, f)
	}
	return facts
}

// Situation is what rules are asked in; what they say of the run is the caller's to add.
func (r Run) Situation() rules.Situation {
	in := r.ByPeople()
	s := rules.Situation{Facts: r.Facts(), Now: r.Now}
	for _, source := range in.Declared {
		for _, d := range source.Tags {
			s.Declared = append(s.Declared, r.Name(d.Tag))
		}
	}
	if r.Policy() >= tags.Merge {
		for _, name := range in.Requested {
			s.Refused = append(s.Refused, r.Name(name))
		}
	}
	return s
}

// Name is the one that the tracker gives a tag.
func (r Run) Name(tag string) string {
	if t, err := r.Dialect.Parse(tag); err == nil {
		return r.Dialect.Format(t)
	}
	return tag
}

func record(st *v1alpha1.TrainingRunStatus) tags.Record {
	var out tags.Record
	if st.Run != nil {
		out.RunUID = st.Run.UID
	}
	for _, a := range st.AppliedTags {
		out.Applied = append(out.Applied, tags.Applied{Name: a.Name, Replaced: a.Replaced})
	}
	for _, e := range st.RemovedTags {
		out.Removed = append(out.Removed, tags.Removed{Name: e.Name, At: e.At.Time, Back: int(e.Back), Gone: e.Gone, Replaced: e.Replaced})
	}
	return out
}

// endedAt is when a run ended; zero while it is active.
func endedAt(r *v1alpha1.RunStatus) time.Time {
	switch {
	case r == nil || !Ended(r):
		return time.Time{}
	case r.FinishedAt != nil:
		return r.FinishedAt.Time
	case r.CreatedAt != nil:
		return r.CreatedAt.Time
	}
	return time.Unix(0, 0)
}

// Ended says whether a run is over, or looked at as if it were.
func Ended(r *v1alpha1.RunStatus) bool {
	return r != nil && (r.Stale || !backend.State(r.State).Active())
}
