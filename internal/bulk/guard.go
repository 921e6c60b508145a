package bulk

import (
	"strings"

	"github.com/runtag/runtag/internal/tags"
)

// Reason says why a part of a change is left alone.
type Reason string

// The reasons.
const (
	// Declared: a TrainingRun declares what would be taken off.
	Declared Reason = "Declared"
	// Excluded: a TrainingRun keeps off what would be put on.
	Excluded Reason = "Excluded"
	// Exclusive: a TrainingRun of policy Exclusive declares something else than what would be put on.
	Exclusive Reason = "Exclusive"
	// Policy: the lowest of the policies and ceilings does not allow it.
	Policy Reason = "Policy"
)

// Sentence says it to people, and what to do next.
func (r Reason) Sentence() string {
	switch r {
	case Declared:
		return "a TrainingRun of the run, or the project's uniqueTags, declares a tag that would go: undeclare it there"
	case Excluded:
		return "a tag that would be put on is in excludeTags of the run's TrainingRun, or in the project's uniqueTags: take it out there, or declare it"
	case Exclusive:
		return "a TrainingRun of the run has policy Exclusive, which takes off what it does not declare: declare the tag there"
	case Policy:
		return "the tagPolicy of the run's TrainingRun, the project's maxTagPolicy or --max-tag-policy does not allow it: raise the lowest of them"
	}
	return string(r)
}

// Skip is a tag that is left alone. A rename is done whole or not at all.
type Skip struct {
	Reason Reason
	// Tag is what the change asks for, by the name that Dialect.Format gives it.
	Tag string
}

// Guard says what a run's TrainingRuns, and the ceilings above them, forbid.
type Guard struct {
	// Tracked says that the run has a TrainingRun. By itself it forbids nothing.
	Tracked bool
	// Declared are the names of the tags that some source declares, as Dialect.Format gives them.
	Declared map[string]bool
	// Excluded is excludeTags, of all of them.
	Excluded []string
	// Exclusive says that one of them takes off what it does not declare.
	Exclusive bool
	// Policy is the lowest of those of the objects, the project and the operator, for runs without TrainingRun too. The
	// zero Guard lets nothing be done.
	Policy tags.Policy
}

// judge is a Guard, understood.
type judge struct {
	Guard
	dialect  tags.Dialect
	declared map[string][]tags.Tag // by key
	// names are excluded as they are, and keys with whatever value.
	names, keys map[string]bool
}

func (g Guard) judge(d tags.Dialect) judge {
	j := judge{Guard: g, dialect: d, declared: map[string][]tags.Tag{}, names: map[string]bool{}, keys: map[string]bool{}}
	for name, declared := range g.Declared {
		if tag := read(d, name); declared {
			j.declared[tag.Key] = append(j.declared[tag.Key], tag)
		}
	}
	for _, name := range g.Excluded {
		if d.Pairs && !strings.Contains(name, "=") {
			j.keys[name] = true
			continue
		}
		j.names[d.Format(read(d, name))] = true
	}
	return j
}

// take says why a tag that is on the run may not go; empty where it may.
func (j judge) take(key, raw string) Reason {
	switch {
	case j.Policy < tags.Merge:
		return Policy
	case j.declares(key, raw):
		return Declared
	}
	return ""
}

// put says why a tag may not be written; empty where it may.
func (j judge) put(key, raw string) Reason {
	switch {
	case j.Policy < tags.Add:
		return Policy
	case j.keys[key] || j.names[j.dialect.FormatRaw(key, raw)]:
		return Excluded
	case j.Exclusive && !j.declares(key, raw):
		return Exclusive
	}
	return ""
}

func (j judge) declares(key, raw string) bool {
	for _, tag := range j.declared[key] {
		if carried(j.dialect, tag, raw) {
			return true
		}
	}
	return false
}

// Forbids says why an entry must not be carried out as a whole; empty if nothing stands against it.
func Forbids(d tags.Dialect, g Guard, e Entry) Reason {
	j := g.judge(d)
	edit := e.Edit()
	for _, key := range edit.Remove {
		if before := e.Before[key]; before != nil {
			if reason := j.take(key, *before); reason != "" {
				return reason
			}
		}
	}
	for key, value := range edit.Set {
		if before := e.Before[key]; before != nil {
			if reason := j.take(key, *before); reason != "" {
				return reason
			}
		}
		if reason := j.put(key, value); reason != "" {
			return reason
		}
	}
	return ""
}
