package edit

import (
	"fmt"

	"github.com/runtag/runtag/internal/tags"
)

// Add declares tags on a run, by label where they are valid names of labels, else by annotation.
func Add(run Run, names []string) Result {
	d := newDraft(run)
	for _, name := range names {
		if tag, ok := d.parse(name); ok {
			d.add(tag)
		}
	}
	return d.finish()
}

func (d *draft) add(tag tags.Tag) {
	name := d.Dialect.Format(tag)
	switch {
	case d.excluded(tag) != "":
		x := d.excluded(tag)
		where := writtenBy(d.Object, func(o Owner) bool { return o.ExcludeTags[x] })
		d.note(Refused, name, "%s is kept off by spec.excludeTags%s: take %s out there", name, where, x)
	case d.inSpec(name):
		d.already(name, d.declaredIn(name))
	case d.theirs[name]:
		d.already(name, "a label")
	case d.byAnnotation(name):
		d.already(name, "an annotation")
	case d.unread(name): // where a label would do, the annotations may still ask the tag off
	default:
		how := d.declare(tag, true)
		d.note(Done, name, "%s declared by %s%s", name, how, d.held())
	}
}

func (d *draft) already(name, where string) {
	d.present(name)
	d.note(Unchanged, name, "%s is declared already, by %s", name, where)
}

// held says that what is declared does not reach the tracker.
func (d *draft) held() string {
	if d.Policy > tags.Observe {
		return ""
	}
	return fmt.Sprintf(", and kept from the tracker by the policy %s", d.Policy)
}
