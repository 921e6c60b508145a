package mirror

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Annotations for tags that can't be label names. They are for hands; in Git, spec is the place.
const (
	// AnnotationTags declares the tags of a JSON list.
	AnnotationTags = IdentityPrefix + "tags"
	// AnnotationAdd is merged into AnnotationTags.
	AnnotationAdd = IdentityPrefix + "add-tags"
	// AnnotationRemove asks for tags to be taken off.
	AnnotationRemove = IdentityPrefix + "remove-tags"
	// AnnotationIgnore, "true" on an imported object, keeps it, unmirrored and never written for.
	AnnotationIgnore = IdentityPrefix + "ignore"
)

// MostListed is how many tags an annotation may list, and AnnotationTags and AnnotationAdd together: as many as spec.tags.
const MostListed = 128

// Lists are the tag lists in an object's annotations.
type Lists struct {
	Tags, Add, Remove []string
	// Unread says what is wrong with the annotations that are not lists of tags, by annotation. While there is one, what
	// the annotations declared last stays declared.
	Unread map[string]string
}

// ReadLists reads the annotations. One that is empty is an empty list.
func ReadLists(annotations map[string]string) Lists {
	var l Lists
	for key, into := range map[string]*[]string{AnnotationTags: &l.Tags, AnnotationAdd: &l.Add, AnnotationRemove: &l.Remove} {
		text := strings.TrimSpace(annotations[key])
		if text == "" {
			continue
		}
		names, ok := parseList(text)
		switch {
		case !ok:
			l.unread(key, `annotation %s is not a JSON list of tags, such as ["a tag", "another/one"]: correct it`)
		case len(names) > MostListed:
			l.unread(key, fmt.Sprintf("annotation %%s lists %d tags: leave at most %d", len(names), MostListed))
		default:
			*into = names
		}
	}
	if n := len(l.Declared()); n > MostListed {
		l.unread(AnnotationAdd, fmt.Sprintf("annotation %%s would make %d tags of those in %s: leave at most %d", n, AnnotationTags, MostListed))
		l.Add = nil
	}
	return l
}

// unread notes what is wrong with an annotation, whose name stands for %s.
func (l *Lists) unread(key, problem string) {
	if l.Unread == nil {
		l.Unread = map[string]string{}
	}
	l.Unread[key] = fmt.Sprintf(problem, key)
}

// parseList reads a JSON list of strings, and nothing else: null might be meant for anything.
func parseList(text string) ([]string, bool) {
	var items []*string
	if err := json.Unmarshal([]byte(text), &items); err != nil || items == nil {
		return nil, false
	}
	names := make([]string, 0, len(items))
	for _, item := range items {
		if item == nil {
			return nil, false
		}
		names = append(names, *item)
	}
	return names, true
}

// Declared are the tags that the annotations declare, each once, in the order in which they stand there. What is asked
// off is not declared, whether it is in the list or among the additions.
func (l Lists) Declared() []string {
	var declared []string
	for _, name := range slices.Concat(l.Tags, l.Add) {
		if !slices.Contains(declared, name) && !slices.Contains(l.Remove, name) {
			declared = append(declared, name)
		}
	}
	return declared
}

// Settled gives the annotations that have to change: additions move into the list, and removals are cleared but for
// those that are still open, which are not yet written down anywhere else. A nil value takes the annotation off. While
// one of them can't be read nothing is moved. The patch must carry the resourceVersion of what was read, or it would
// take back what somebody adds meanwhile.
func (l Lists) Settled(open ...string) map[string]any {
	changes := map[string]any{}
	if len(l.Unread) > 0 {
		return changes
	}
	if declared := l.Declared(); !slices.Equal(declared, l.Tags) {
		changes[AnnotationTags] = listOrNone(declared)
	}
	if len(l.Add) > 0 {
		changes[AnnotationAdd] = nil
	}
	rest := slices.DeleteFunc(slices.Clone(l.Remove), func(name string) bool { return !slices.Contains(open, name) })
	if len(rest) < len(l.Remove) {
		changes[AnnotationRemove] = listOrNone(rest)
	}
	return changes
}

func listOrNone(names []string) any {
	if len(names) == 0 {
		return nil
	}
	return Text(names)
}

// Text is a list of tags as an annotation has it.
func Text(names []string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false) // people read it
	if err := encoder.Encode(names); err != nil {
		panic(err) // strings always encode
	}
	return strings.TrimSuffix(b.String(), "\n")
}
