package edit

import (
	"github.com/runtag/runtag/internal/tags"
)

// Remove takes tags off a run: it undeclares those that labels and annotations declare, asks off those that nobody
// declares, and overrules rules. What spec declares stays, and is said.
func Remove(run Run, names []string) Result {
	d := newDraft(run)
	for _, name := range names {
		tag, err := run.Dialect.Parse(name)
		if err != nil {
			d.note(Refused, name, "%s", err)
			continue
		}
		matches := d.matches(tag)
		if len(matches) == 0 {
			d.result.Absent = append(d.result.Absent, run.Dialect.Format(tag))
			d.note(Unchanged, name, "%s is not on the run", name)
		}
		for _, match := range matches {
			if !d.unread(match) {
				d.remove(match)
			}
		}
	}
	return d.finish()
}

func (d *draft) remove(name string) {
	declared := d.undeclare(name)
	rule := d.rule(name)
	switch {
	case d.inSpec(name):
		d.note(Refused, name, "%s stays: %s declares it; take it out there", name, d.declaredIn(name))
	case d.Policy < tags.Merge && declared:
		d.note(Refused, name, "%s is no longer declared, and stays on the run: the policy %s takes no tags off", name, d.Policy)
	case d.Policy < tags.Merge:
		d.note(Refused, name, "%s stays: the policy %s takes no tags off", name, d.Policy)
	default:
		if !declared {
			d.takeOff(name)
		}
		overruling := ""
		if rule != "" {
			overruling = ", overruling " + rule
		}
		d.result.Absent = append(d.result.Absent, name)
		d.note(Done, name, "%s taken off%s", name, overruling)
	}
}

// takeOff asks for a tag that no person declares here to be taken off: by its label where the status records that one, as
// the operator would not notice the end of any other.
func (d *draft) takeOff(name string) {
	if status := d.status(name); !status.Mirrored || !d.dropLabel(name) {
		d.askOff(name)
	}
}

// undeclare ends what labels and annotations of people declare, and says whether there was something.
func (d *draft) undeclare(name string) bool {
	byLabel, byAnnotation := d.theirs[name], d.byAnnotation(name)
	if byLabel {
		d.dropLabel(name)
	}
	if byAnnotation {
		for _, item := range d.lists.Declared() {
			if d.canonical(item) == name {
				d.askOff(item)
			}
		}
	}
	return byLabel || byAnnotation
}
