package tags

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Dialect is what one kind of tracker means by a tag and which tags it takes. The zero Dialect has plain string tags
// of any length.
type Dialect struct {
	// Tracker names the tracker in messages, such as "W&B".
	Tracker string
	// Pairs says that tags are keys with values. Then "k=v" is a pair, and "k" is the bare tag: present with an empty
	// value or "true" in any case.
	Pairs bool
	// MaxKey and MaxValue are the longest key and value in characters; 0 is no limit.
	MaxKey, MaxValue int
	// Hidden says which keys belong to the tracker or to runtag itself: never shown, never touched. Nil hides none.
	Hidden func(key string) bool
	// CheckKey refuses what the tracker would refuse, with an error that says why. Nil refuses nothing.
	CheckKey func(key string) error
}

// bareValue is what we write for a bare tag on a key/value tracker.
const bareValue = "true"

// Parse reads a tag as people write it. On a key/value tracker the first "=" ends the key, a value that stands for the
// bare tag gives the bare tag, and a value over MaxValue is cut where the tracker would cut it. What cannot be a tag on
// any tracker is an error; whether this one takes it is for Check.
func (d Dialect) Parse(s string) (Tag, error) {
	if !utf8.ValidString(s) {
		return Tag{}, fmt.Errorf("tag %q is not valid UTF-8: write it anew", s)
	}
	tag := d.split(s)
	switch {
	case s == "":
		return Tag{}, errors.New("a tag is empty: give it a name or take it out")
	case tag.Key == "":
		return Tag{}, fmt.Errorf("tag %q has a value and no key: write key=value", s)
	}
	return tag, nil
}

// split is Parse for what was parsed before, such as names in a record.
func (d Dialect) split(s string) Tag {
	if !d.Pairs {
		return Tag{Key: s}
	}
	key, value, _ := strings.Cut(s, "=")
	if value = d.cut(value); isBare(value) {
		value = ""
	}
	return Tag{Key: key, Value: value}
}

// Format gives the name of a tag: the key, or "key=value".
func (d Dialect) Format(tag Tag) string {
	if !d.Pairs || tag.Value == "" {
		return tag.Key
	}
	return tag.Key + "=" + tag.Value
}

// FormatRaw gives the name of a tag as it is on a run, with the value exactly as the tracker holds it.
func (d Dialect) FormatRaw(key, raw string) string {
	if isBare(raw) {
		raw = ""
	}
	return d.Format(Tag{Key: key, Value: raw})
}

// Has says whether the tag of this name is on a run, with just its value.
func (d Dialect) Has(on Set, name string) bool {
	key := d.split(name).Key
	raw, there := on[key]
	return there && d.FormatRaw(key, raw) == name
}

// Check says why the tracker, or runtag, does not take the tag. The error names the tag.
func (d Dialect) Check(tag Tag) error {
	if d.hides(tag.Key) {
		return fmt.Errorf("tag %q belongs to %s or to runtag itself, and runtag never touches it: choose another key", d.Format(tag), d.tracker())
	}
	if n := utf8.RuneCountInString(tag.Key); d.MaxKey > 0 && n > d.MaxKey {
		return fmt.Errorf("tag %q is too long for %s, %d characters of at most %d: shorten it", d.Format(tag), d.tracker(), n, d.MaxKey)
	}
	if d.CheckKey == nil {
		return nil
	}
	if err := d.CheckKey(tag.Key); err != nil {
		return fmt.Errorf("tag %q is refused by %s: %w", d.Format(tag), d.tracker(), err)
	}
	return nil
}

func (d Dialect) tracker() string {
	if d.Tracker == "" {
		return "the tracker"
	}
	return d.Tracker
}

func (d Dialect) hides(key string) bool { return d.Hidden != nil && d.Hidden(key) }

// raw is the value that is written for a tag.
func (d Dialect) raw(tag Tag) string {
	if d.Pairs && tag.Value == "" {
		return bareValue
	}
	return tag.Value
}

// satisfies says whether a raw value on the run is good enough for a declared tag. A bare tag asks for the key alone,
// so any value does that does not say the opposite.
func (d Dialect) satisfies(tag Tag, raw string) bool {
	switch {
	case !d.Pairs:
		return true
	case tag.Value == "":
		return !strings.EqualFold(raw, "false")
	default:
		return raw == tag.Value
	}
}

// cut shortens a value to MaxValue characters, as MLflow does silently: a longer one would differ for ever from what
// is read back.
func (d Dialect) cut(value string) string {
	if d.MaxValue <= 0 || len(value) <= d.MaxValue {
		return value
	}
	n := 0
	for i := range value {
		if n == d.MaxValue {
			return value[:i]
		}
		n++
	}
	return value
}

func isBare(raw string) bool { return raw == "" || strings.EqualFold(raw, bareValue) }
