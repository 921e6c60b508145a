package edit

import (
	"fmt"
	"slices"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/tags"
)

// Rename gives a tag another name, and keeps what declares it: a label becomes a label, an annotation an annotation. What
// spec declares is said, or changed if spec is asked for. Where tags are keys with values, renaming a bare key keeps each
// value.
func Rename(run Run, from, to string, spec bool) Result {
	d := newDraft(run)
	target, ok := d.parse(to)
	if !ok {
		return d.finish()
	}
	old, err := run.Dialect.Parse(from)
	if err != nil {
		d.note(Refused, from, "%s", err)
		return d.finish()
	}
	matches := d.matches(old)
	if len(matches) == 0 {
		d.note(Unchanged, from, "%s is not on the run", from)
	}
	for _, name := range matches {
		into := target
		if tag, err := run.Dialect.Parse(name); err == nil && into.Value == "" && old.Value == "" {
			into.Value = tag.Value
		}
		if !d.unread(name) {
			d.rename(name, into, spec)
		}
	}
	return d.finish()
}

// keeps says, in a note, why a tag can't be renamed at all, if that is so.
func (d *draft) keeps(name string, into tags.Tag) bool {
	switch rule := d.rule(name); {
	case d.excluded(into) != "":
		d.note(Refused, name, "%s stays: spec.excludeTags keeps %s off", name, d.Dialect.Format(into))
	case rule != "":
		d.note(Refused, name, "%s stays: %s gives it; change the tags of the rule", name, rule)
	case d.foreign(name) && d.Policy < tags.Merge:
		d.note(Refused, name, "%s stays: the policy %s takes no tags off", name, d.Policy)
	default:
		return false
	}
	return true
}

// foreign says whether a tag is on the run and declared by nobody here.
func (d *draft) foreign(name string) bool {
	status := d.status(name)
	return status.Present && status.Source == v1alpha1.TagSourceRun
}

// redeclareAll lets what declares a tag declare its new name instead, and says how.
func (d *draft) redeclareAll(name string, into tags.Tag) []string {
	var how []string
	if d.theirs[name] {
		d.undeclareLabel(name)
		how = append(how, d.redeclare(into, true))
	}
	if d.byAnnotation(name) {
		d.undeclare(name)
		how = append(how, d.redeclare(into, false))
	}
	if d.foreign(name) && len(how) == 0 && !d.inSpec(name) {
		d.takeOff(name)
		how = append(how, d.redeclare(into, true))
	}
	return how
}

func (d *draft) rename(name string, into tags.Tag, spec bool) {
	if d.keeps(name, into) {
		return
	}
	to := d.Dialect.Format(into)
	how := d.redeclareAll(name, into)
	stays := d.inSpec(name)
	if stays && spec {
		d.renameSpec(name, to)
		how, stays = append(how, " in spec.tags"), false
	}
	for _, by := range how {
		d.note(Done, name, "%s renamed to %s%s", name, to, by)
	}
	switch {
	case stays:
		d.note(Refused, name, "%s stays in %s: rename it there, or take --spec", name, d.declaredIn(name))
	case len(how) > 0 && d.Policy < tags.Merge:
		d.note(Refused, name, "%s stays on the run: the policy %s takes no tags off", name, d.Policy)
	case len(how) > 0:
		d.result.Absent = append(d.result.Absent, name)
	default:
		d.note(Unchanged, name, "%s is on its way off the run", name)
	}
}

// redeclare declares the new name of a tag, and says how. Where the run has another value for its key, that is kept.
func (d *draft) redeclare(into tags.Tag, byLabel bool) string {
	for _, t := range d.Object.Status.Tags {
		if tag, err := d.Dialect.Parse(t.Name); err == nil && t.Present && tag.Key == into.Key && tag != into {
			return fmt.Sprintf(": %s is there already, and kept", t.Name)
		}
	}
	return " by " + d.declare(into, byLabel)
}

// undeclareLabel ends what a person's label declares, and leaves the annotations alone.
func (d *draft) undeclareLabel(name string) {
	d.dropLabel(name)
	delete(d.theirs, name)
}

// renameSpec changes the items of spec.tags that stand for a tag; one that is there already is not doubled.
func (d *draft) renameSpec(name, to string) {
	var list []string
	for _, item := range d.spec {
		if d.canonical(item) == name {
			item = to
		}
		if !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	d.spec = list
	d.present(to)
}
