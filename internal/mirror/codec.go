// Package mirror decides how tags are shown as labels, and what people's edits of those labels mean. It is pure: it
// reads labels, annotations and what status recorded, and says what is declared, asked off, and to be written.
//
// A pass calls Read, plans, and calls Labels; it writes the labels that change, then the status with what Record says,
// and only then the tracker. That order is what lets no crash look like a person's edit:
//   - a label is put on first and recorded afterwards,
//   - it is taken off only once the stored status has forgotten it,
//   - one that a person made and took off comes back as ours only once the stored status has forgotten the person.
package mirror

import (
	"regexp"
	"strings"

	"github.com/runtag/runtag/internal/tags"
)

// Prefixes of the labels that stand for tags.
const (
	// TagPrefix is followed by the tag.
	TagPrefix = "tag.runtag.dev/"
	// PairPrefix is followed by the key of a tag with a value (MLflow); the value is the label's.
	PairPrefix = "pair.runtag.dev/"
)

// Labels that identify the run, written on every TrainingRun as far as they are valid.
const (
	IdentityPrefix = "tracking.runtag.dev/"
	Project        = IdentityPrefix + "project"
	State          = IdentityPrefix + "state"
	User           = IdentityPrefix + "user"
	Group          = IdentityPrefix + "group"
	// Imported marks a TrainingRun that runtag made.
	Imported = IdentityPrefix + "imported"
)

// labelName is the name of a label after its prefix, and the value of one that has any
// (k8s.io/apimachinery/pkg/util/validation, IsQualifiedName and IsValidLabelValue).
var labelName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

// ValidValue says whether a text can be the value of a label.
func ValidValue(value string) bool { return value == "" || labelName.MatchString(value) }

// Key gives the label that stands for a tag, and whether there can be one.
func Key(d tags.Dialect, tag tags.Tag) (string, bool) {
	switch {
	case !labelName.MatchString(tag.Key):
		return "", false
	case tag.Value == "":
		return TagPrefix + tag.Key, true
	case d.Pairs && labelName.MatchString(tag.Value):
		return PairPrefix + tag.Key, true
	}
	return "", false
}

// keyOf is Key for a tag by its name.
func keyOf(d tags.Dialect, name string) (key string, tag tags.Tag, ok bool) {
	tag, err := d.Parse(name)
	if err != nil {
		return "", tags.Tag{}, false
	}
	key, ok = Key(d, tag)
	return key, tag, ok
}

// NameOf gives the name of the tag that a label stands for, whoever made it. A label that declares nothing stands for none.
func NameOf(key, text string) (string, bool) {
	if name, bare := strings.CutPrefix(key, TagPrefix); bare {
		return name, isDeclaration(text) || isOperatorValue(text)
	}
	name, pair := strings.CutPrefix(key, PairPrefix)
	return name + "=" + text, pair && text != "" && !strings.EqualFold(text, "true")
}

// IsMirror says whether a label is one of those that stand for tags, by its prefix.
func IsMirror(key string) bool { return strings.HasPrefix(key, TagPrefix) || isPair(key) }

func isPair(key string) bool { return strings.HasPrefix(key, PairPrefix) }

// IsShown says whether the label that stands for a tag is among these, whoever made it.
func IsShown(d tags.Dialect, name string, labels map[string]string) bool {
	key, tag, ok := keyOf(d, name)
	if !ok {
		return false
	}
	text, there := labels[key]
	return there && (tag.Value == "" && (isDeclaration(text) || isOperatorValue(text)) || tag.Value != "" && text == tag.Value)
}

// value is what our label of a tag says. That of a bare tag says where the tag comes from; one that only an annotation
// declares is declared here, as those in spec are, and never says what a person's label says.
func value(tag tags.Tag, source tags.Source) string {
	switch {
	case tag.Value != "":
		return tag.Value
	case source == tags.Rule:
		return "rule"
	case source == tags.Run:
		return "run"
	}
	return "spec"
}

// isOperatorValue says whether we give this value to labels of bare tags.
func isOperatorValue(text string) bool { return text == "spec" || text == "rule" || text == "run" }

// isDeclaration says whether a value on a label of a bare tag declares it.
func isDeclaration(text string) bool { return text == "" || text == "true" }
