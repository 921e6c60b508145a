// Package bulk decides what a bulk change does to one run, and what takes it back. It is pure: the runs it speaks of were
// read by others, and what it decides is written by others.
package bulk

import (
	"fmt"
	"strings"

	"github.com/runtag/runtag/internal/tags"
)

// Change is what is to be done to each of many runs, by tags as people write them. All of it starts from the run as it is
// before: a rename of a to b and one of b to c make a run with both one with b and c.
//
// Where tags are keys with values, "k" stands for every value of the key when it is removed or renamed, and "k=v" for just
// that value.
type Change struct {
	// Add are tags to put on. "k" is there already with any value but false; "k=v" replaces another value.
	Add []string
	// Remove are tags to take off.
	Remove []string
	Rename []Rename
}

// Rename gives a tag another name. From one key to another the value stays the same. A key that is on the run already is
// kept as it is, and only the old one goes.
type Rename struct{ From, To string }

// Empty says that the change changes nothing, so that it only asks which runs there are.
func (c Change) Empty() bool { return len(c.Add)+len(c.Remove)+len(c.Rename) == 0 }

// Check says why a change can't be made on any run: a tag that the tracker does not take, or parts that contradict each
// other. The error names the tag. What is only taken off may be what the tracker took in former times, but nothing hidden.
func Check(d tags.Dialect, c Change) error {
	puts, takes, err := parse(d, c)
	if err != nil {
		return err
	}
	for _, tag := range takes {
		if d.Hidden == nil || !d.Hidden(tag.Key) {
			continue
		}
		if err := d.Check(tag); err != nil {
			return err
		}
	}
	for _, tag := range puts {
		if err := d.Check(tag); err != nil {
			return err
		}
	}
	return contradiction(d, c)
}

// parse gives all tags that are put on, and all that are taken off.
func parse(d tags.Dialect, c Change) (puts, takes []tags.Tag, err error) {
	read := func(where string, to *[]tags.Tag, names ...string) {
		for _, name := range names {
			tag, bad := d.Parse(name)
			if bad != nil && err == nil {
				err = fmt.Errorf("%s: %w", where, bad)
			}
			*to = append(*to, tag)
		}
	}
	read("add", &puts, c.Add...)
	read("remove", &takes, c.Remove...)
	for _, r := range c.Rename {
		read("rename from", &takes, r.From)
		read("rename to", &puts, r.To)
	}
	return puts, takes, err
}

// contradiction finds two parts of a change of which only one can be meant.
func contradiction(d tags.Dialect, c Change) error {
	valued, removed, renamed := map[string]tags.Tag{}, map[tags.Tag]bool{}, map[tags.Tag]bool{}
	for _, name := range c.Remove {
		removed[read(d, name)] = true
	}
	for _, name := range c.Add {
		tag := read(d, name)
		if removed[tag] {
			return fmt.Errorf("tag %q is both added and removed: take it out of one of them", d.Format(tag))
		}
		if tag.Value == "" {
			continue
		}
		if other, twice := valued[tag.Key]; twice && other != tag {
			return fmt.Errorf("tags %q and %q are both added, and a run can have but one value for a key: choose one", d.Format(other), d.Format(tag))
		}
		valued[tag.Key] = tag
	}
	for _, r := range c.Rename {
		from, to := read(d, r.From), read(d, r.To)
		switch {
		case from == to:
			return fmt.Errorf("tag %q is renamed to itself: give it another name", d.Format(from))
		case renamed[from]:
			return fmt.Errorf("tag %q is renamed twice: choose one of its new names", d.Format(from))
		case removed[from]:
			return fmt.Errorf("tag %q is both removed and renamed: choose one", d.Format(from))
		}
		renamed[from] = true
	}
	return nil
}

// read is Parse for what passed Check. Anything else is a tag without a key, which is on no run.
func read(d tags.Dialect, name string) tags.Tag {
	tag, err := d.Parse(name)
	if err != nil {
		return tags.Tag{}
	}
	return tag
}

// bare is what is written for a tag without a value where tags are keys with values.
const bare = "true"

func raw(d tags.Dialect, tag tags.Tag) string {
	if d.Pairs && tag.Value == "" {
		return bare
	}
	return tag.Value
}

// carried says that a value on the run is what a tag asks for: see backend.Carries.
func carried(d tags.Dialect, tag tags.Tag, raw string) bool {
	if d.Pairs && tag.Value == "" {
		return !strings.EqualFold(raw, "false")
	}
	return raw == tag.Value
}
