// Package edit decides how a person's wish about tags is written on a TrainingRun: by label where the tag is a valid name
// of one, else by annotation, and never by touching what somebody else declares. It is pure: it reads an object and gives
// a patch and what to tell the person. docs/semantics.md says what the operator makes of it.
package edit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/tags"
)

// operator is the field manager of all that the operator writes.
const operator = "runtag"

// Run is a TrainingRun with what has to be known to edit it.
type Run struct {
	Object *v1alpha1.TrainingRun
	// Dialect of the run's tracker.
	Dialect tags.Dialect
	// Policy is the lower of the object's own and its project's ceiling.
	Policy tags.Policy
}

// Outcome says what became of one wish.
type Outcome int

// The outcomes.
const (
	// Done: the patch does it.
	Done Outcome = iota
	// Unchanged: it is so already.
	Unchanged
	// Refused: it is not done, or not wholly; the text says what to do.
	Refused
)

// Note says of one tag what is done, in words.
type Note struct {
	Outcome Outcome
	Tag     string
	Text    string
}

// Result is what a wish comes to.
type Result struct {
	// Patch is the body of a JSON merge patch without resourceVersion; nil where nothing changes.
	Patch map[string]any
	Notes []Note
	// Present and Absent are the tags that will be on the run, and off it, once the operator has done its work.
	Present, Absent []string
}

// Refused says whether something was not done.
func (r Result) Refused() bool {
	return slices.ContainsFunc(r.Notes, func(n Note) bool { return n.Outcome == Refused })
}

// draft is an object's declarations while they are edited.
type draft struct {
	Run
	result Result
	labels map[string]string
	lists  mirror.Lists
	spec   []string
	// theirs are the tags that labels of people declare, as they were.
	theirs map[string]bool
}

func newDraft(run Run) *draft {
	d := &draft{
		Run: run, labels: maps.Clone(run.Object.Labels), lists: mirror.ReadLists(run.Object.Annotations),
		spec: slices.Clone(run.Object.Spec.Tags), theirs: map[string]bool{},
	}
	if d.labels == nil {
		d.labels = map[string]string{}
	}
	for _, name := range DeclaredByLabel(run) {
		d.theirs[name] = true
	}
	return d
}

// DeclaredByLabel gives the tags that labels of people declare.
func DeclaredByLabel(run Run) []string {
	entries := make([]mirror.Entry, 0, len(run.Object.Status.Tags))
	for _, t := range run.Object.Status.Tags {
		entries = append(entries, mirror.Entry{Name: t.Name, Source: tags.Source(t.Source), Mirrored: t.Mirrored, Person: t.ByLabel})
	}
	wrote := map[string]bool{}
	for _, owner := range OwnersOf(run.Object) {
		if owner.Manager == operator {
			maps.Copy(wrote, owner.Labels)
		}
	}
	// Not Seen: whether the labels were wiped is the operator's business.
	return mirror.Read(mirror.Input{Dialect: run.Dialect, Labels: run.Object.Labels, Wrote: wrote, Entries: entries, MayRemove: true}).Declared
}

func (d *draft) note(outcome Outcome, tag, format string, args ...any) {
	d.result.Notes = append(d.result.Notes, Note{Outcome: outcome, Tag: tag, Text: fmt.Sprintf(format, args...)})
}

// parse reads a tag and checks it against the tracker; what is wrong with it is a note.
func (d *draft) parse(name string) (tags.Tag, bool) {
	tag, err := d.Dialect.Parse(name)
	if err == nil {
		err = d.Dialect.Check(tag)
	}
	if err == nil && strings.TrimSpace(name) != name {
		err = fmt.Errorf("tag %q begins or ends with a blank: remove it", name)
	}
	if err != nil {
		d.note(Refused, name, "%s", err)
		return tags.Tag{}, false
	}
	return tag, true
}

// canonical is a tag's name as status has it.
func (d *draft) canonical(name string) string {
	tag, err := d.Dialect.Parse(name)
	if err != nil {
		return name
	}
	return d.Dialect.Format(tag)
}

func (d *draft) inSpec(name string) bool {
	return slices.ContainsFunc(d.spec, func(s string) bool { return d.canonical(s) == name })
}

func (d *draft) byAnnotation(name string) bool {
	return slices.ContainsFunc(d.lists.Declared(), func(s string) bool { return d.canonical(s) == name })
}

// status is what is recorded of a tag; nothing if it is neither declared nor on the run.
func (d *draft) status(name string) v1alpha1.TagStatus {
	for _, t := range d.Object.Status.Tags {
		if t.Name == name {
			return t
		}
	}
	return v1alpha1.TagStatus{}
}

// rule names the rule that holds a tag, or "".
func (d *draft) rule(name string) string {
	for _, r := range d.Object.Status.RuleTags {
		if d.canonical(r.Tag) == name && r.State == v1alpha1.RuleTagHeld {
			return r.Rule
		}
	}
	return ""
}

// excluded gives the entry of excludeTags that keeps a tag off the run, or "".
func (d *draft) excluded(tag tags.Tag) string {
	for _, name := range d.Object.Spec.ExcludeTags {
		if x, err := d.Dialect.Parse(name); err == nil && (x == tag || d.Dialect.Pairs && x.Value == "" && x.Key == tag.Key) {
			return name
		}
	}
	return ""
}

// matches are the tags of the object, declared or on the run, that a name stands for: where tags are keys with values, a
// bare key stands for all of its values.
func (d *draft) matches(tag tags.Tag) []string {
	var found []string
	see := func(name string) {
		t, err := d.Dialect.Parse(name)
		if err == nil && (t == tag || d.Dialect.Pairs && tag.Value == "" && t.Key == tag.Key) {
			found = append(found, d.Dialect.Format(t))
		}
	}
	for name := range d.theirs {
		see(name)
	}
	for _, name := range slices.Concat(d.spec, d.lists.Declared()) {
		see(name)
	}
	for _, t := range d.Object.Status.Tags {
		see(t.Name)
	}
	for _, r := range d.Object.Status.RuleTags {
		if r.State == v1alpha1.RuleTagHeld {
			see(r.Tag)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// declare puts a tag on by label where that is possible and asked for, else by annotation, and says how.
func (d *draft) declare(tag tags.Tag, byLabel bool) string {
	name := d.Dialect.Format(tag)
	d.lists.Remove = without(d.lists.Remove, name)
	d.present(name)
	key, ok := mirror.Key(d.Dialect, tag)
	// A label with a value that is the operator's can't be told from the same made by a person.
	if text := d.Object.Labels[key]; ok && byLabel && (tag.Value == "" || text != tag.Value) {
		d.labels[key] = tag.Value
		if tag.Value != "" && text != "" {
			return fmt.Sprintf("label, in place of %s=%s", tag.Key, text)
		}
		return "label"
	}
	if !d.byAnnotation(name) {
		d.lists.Add = append(d.lists.Add, name)
	}
	return "annotation"
}

// present says that a tag will be on the run, unless the policy keeps everything off.
func (d *draft) present(name string) {
	if d.Policy > tags.Observe {
		d.result.Present = append(d.result.Present, name)
	}
}

// askOff asks for a tag to be taken off, and out of the annotation that declares it.
func (d *draft) askOff(name string) {
	d.lists.Add = without(d.lists.Add, name)
	if !slices.Contains(d.lists.Remove, name) {
		d.lists.Remove = append(d.lists.Remove, name)
	}
}

// dropLabel takes the label of a tag off, and says whether there was one that stands for just this tag.
func (d *draft) dropLabel(name string) bool {
	tag, err := d.Dialect.Parse(name)
	if err != nil || !mirror.IsShown(d.Dialect, name, d.labels) {
		return false
	}
	key, _ := mirror.Key(d.Dialect, tag)
	delete(d.labels, key)
	return true
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
}

// finish gives the result with the patch of what differs from the object.
func (d *draft) finish() Result {
	metadata := map[string]any{}
	if labels := differing(d.labels, d.Object.Labels); len(labels) > 0 {
		metadata["labels"] = labels
	}
	before, annotations := mirror.ReadLists(d.Object.Annotations), map[string]any{}
	for key, lists := range map[string][2][]string{
		mirror.AnnotationAdd: {d.lists.Add, before.Add}, mirror.AnnotationRemove: {d.lists.Remove, before.Remove},
	} {
		switch now, was := lists[0], lists[1]; {
		case slices.Equal(now, was):
		case len(now) == 0:
			annotations[key] = nil
		default:
			annotations[key] = mirror.Text(now)
		}
	}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	patch := map[string]any{}
	if len(metadata) > 0 {
		patch["metadata"] = metadata
	}
	if !slices.Equal(d.spec, d.Object.Spec.Tags) {
		patch["spec"] = map[string]any{"tags": d.spec}
	}
	if len(patch) > 0 {
		d.result.Patch = patch
	}
	return d.result
}

// differing gives what a merge patch has to say to make one map of the other.
func differing(want, now map[string]string) map[string]any {
	patch := map[string]any{}
	for key, value := range want {
		if current, there := now[key]; !there || current != value {
			patch[key] = value
		}
	}
	for key := range now {
		if _, wanted := want[key]; !wanted {
			patch[key] = nil
		}
	}
	return patch
}

// unread says whether the annotations can be edited; if not, that is noted.
func (d *draft) unread(name string) bool {
	for _, problem := range d.lists.Unread {
		d.note(Refused, name, "%s", problem)
		return true
	}
	return false
}
