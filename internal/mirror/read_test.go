package mirror

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runtag/runtag/internal/tags"
)

// labels are given as "key=value", where "tag:" and "pair:" stand for the prefixes. Identity is added.
func labels(pairs ...string) map[string]string {
	all := map[string]string{Project: "capsules"}
	for _, pair := range pairs {
		key, text := cutLabel(pair)
		all[key] = text
	}
	return all
}

func cutLabel(pair string) (key, text string) {
	key, text, _ = strings.Cut(pair, "=")
	return strings.NewReplacer("tag:", TagPrefix, "pair:", PairPrefix).Replace(key), text
}

func mirrored(source tags.Source, names ...string) []Entry {
	return entries(Entry{Source: source, Mirrored: true}, names)
}

// byPerson are mirrored by a person's label; source says who else declares them.
func byPerson(source tags.Source, names ...string) []Entry {
	return entries(Entry{Source: source, Mirrored: true, Person: true}, names)
}

func entries(like Entry, names []string) []Entry {
	all := make([]Entry, 0, len(names))
	for _, name := range names {
		like.Name = name
		all = append(all, like)
	}
	return all
}

var ignoreTheirs = cmp.Options{cmpopts.IgnoreUnexported(Reading{}), cmpopts.EquateEmpty()}

func TestRead(t *testing.T) {
	const invalid = "label tag.runtag.dev/x=yes declares nothing: leave its value empty for the tag \"x\""
	for _, c := range []struct {
		name, reason string
		in           Input
		want         Reading
	}{
		{
			"nothing", "an object without labels for tags says nothing",
			Input{Labels: map[string]string{Project: "p", "app": "x", State: "running"}}, Reading{},
		},
		{
			"declared", "an empty value and true declare, whoever else does",
			Input{Labels: labels("tag:b=", "tag:a=true", "tag:c="), Entries: mirrored(tags.Run, "c")}, Reading{Declared: []string{"a", "b", "c"}},
		},
		{
			"not declared", "our own values declare nothing, even those that a person types",
			Input{Labels: labels("tag:a=run", "tag:b=spec", "tag:c=rule")}, Reading{},
		},
		{
			"mistake", "another value declares nothing, and says so",
			Input{Labels: labels("tag:x=yes")}, Reading{Invalid: []string{invalid}},
		},
		{
			"capitals", "True is another value than true",
			Input{Labels: labels("tag:x=True")}, Reading{Invalid: []string{"label tag.runtag.dev/x=True declares nothing: leave its value empty for the tag \"x\""}},
		},
		{
			"mistake over a declaration", "the declaration has ended; what was declared goes as what is declared no more",
			Input{Labels: labels("tag:x=yes"), Entries: byPerson(tags.Label, "x"), MayRemove: true}, Reading{Invalid: []string{invalid}},
		},
		{
			"mistake over a declaration, nothing removed", "the declaration has ended, and the tag stays",
			Input{Labels: labels("tag:x=yes"), Entries: byPerson(tags.Label, "x")}, Reading{Invalid: []string{invalid}, Forgotten: []string{"x"}},
		},
		{
			"our value over a declaration", "as with any value that declares nothing",
			Input{Labels: labels("tag:x=run"), Entries: byPerson(tags.Label, "x")}, Reading{Forgotten: []string{"x"}},
		},
		{
			"our value over a declaration, may remove", "the label is there: it was not taken off",
			Input{Labels: labels("tag:x=run"), Entries: byPerson(tags.Label, "x"), MayRemove: true}, Reading{},
		},
		{
			"mistake over a mirrored label", "the label is there: it was not taken off",
			Input{Labels: labels("tag:x=yes"), Entries: mirrored(tags.Run, "x"), MayRemove: true}, Reading{Invalid: []string{invalid}},
		},
		{
			"true in the place of nothing", "both declare",
			Input{Labels: labels("tag:x=true"), Entries: byPerson(tags.Label, "x"), MayRemove: true}, Reading{Declared: []string{"x"}},
		},
		{
			"taken off", "off this run: a person's, a foreign one's and a rule's, but the spec's comes back",
			Input{
				Labels: labels(), Entries: append(append(append(byPerson(tags.Label, "p"), mirrored(tags.Run, "f")...), mirrored(tags.Rule, "r")...), mirrored(tags.Spec, "s")...),
				MayRemove: true,
			},
			Reading{Requested: []string{"f", "p", "r"}, Returning: []string{"s"}},
		},
		{
			"taken off, nothing removed", "a person's declaration ends, and every other label comes back",
			Input{Labels: labels(), Entries: append(append(append(byPerson(tags.Label, "p"), mirrored(tags.Run, "f")...), mirrored(tags.Rule, "r")...), mirrored(tags.Spec, "s")...)},
			Reading{Forgotten: []string{"p"}, Returning: []string{"f", "r", "s"}},
		},
		{
			"a person's and the spec's", "one of two declarations is taken back; the plan knows that the other stands",
			Input{Labels: labels(), Entries: byPerson(tags.Spec, "x"), MayRemove: true}, Reading{Requested: []string{"x"}},
		},
		{
			"declared by an annotation", "its label is not where it is declared",
			Input{Labels: labels(), Entries: mirrored(tags.Label, "x"), MayRemove: true}, Reading{Returning: []string{"x"}},
		},
		{
			"not mirrored", "a label that never was there was not taken off",
			Input{Labels: labels(), Entries: []Entry{{Name: "x", Source: tags.Run}}, MayRemove: true}, Reading{},
		},
		{
			"no label name", "status may say what it will: such a tag has no label",
			Input{Labels: labels(), Entries: mirrored(tags.Run, "a b", ""), MayRemove: true}, Reading{},
		},
		{
			"values where there are none", "the tracker has no such tags",
			Input{Labels: labels("pair:k=v")},
			Reading{Invalid: []string{"label pair.runtag.dev/k=v declares nothing: W&B has no tags with values; set label tag.runtag.dev/k with an empty value for the tag \"k\""}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Dialect, c.in.Seen = plain, true
			if diff := cmp.Diff(c.want, Read(c.in), ignoreTheirs); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestReadPairs(t *testing.T) {
	ours := map[string]bool{PairPrefix + "k": true}
	for _, c := range []struct {
		name, reason string
		in           Input
		unseen       bool
		want         Reading
	}{
		{
			"declared", "a label with a value that status does not know is a person's",
			Input{Labels: labels("pair:k=v")}, false, Reading{Declared: []string{"k=v"}},
		},
		{
			"landed", "it stays a declaration when the tag is on the run",
			Input{Labels: labels("pair:k=v"), Entries: byPerson(tags.Label, "k=v"), Observed: tags.Set{"k": "v"}}, false, Reading{Declared: []string{"k=v"}},
		},
		{
			"landed and restored by us", "status knows better than the field manager",
			Input{Labels: labels("pair:k=v"), Wrote: ours, Entries: byPerson(tags.Label, "k=v"), Observed: tags.Set{"k": "v"}}, false, Reading{Declared: []string{"k=v"}},
		},
		{
			"ours", "status records it as mirrored",
			Input{Labels: labels("pair:k=v"), Entries: mirrored(tags.Run, "k=v"), Observed: tags.Set{"k": "w"}, MayRemove: true}, false, Reading{},
		},
		{
			"ours before status says so", "we died after the label",
			Input{Labels: labels("pair:k=v"), Wrote: ours, Observed: tags.Set{"k": "w"}}, false, Reading{},
		},
		{
			"ours after status has forgotten it", "the label goes next",
			Input{Labels: labels("pair:k=v"), Wrote: ours, Entries: mirrored(tags.Run, "x")}, false, Reading{Requested: nil, Forgotten: nil, Returning: []string{"x"}},
		},
		{
			"on the run as well", "while a person declares it the tag appears on the run: it is declared all the same",
			Input{Labels: labels("pair:k=v"), Observed: tags.Set{"k": "v"}}, false, Reading{Declared: []string{"k=v"}},
		},
		{
			"changed", "another value is a declaration; nobody asked the old one off",
			Input{Labels: labels("pair:k=w"), Entries: mirrored(tags.Run, "k=v"), MayRemove: true}, false, Reading{Declared: []string{"k=w"}},
		},
		{
			"changed again, nothing removed", "a person's own value is let go",
			Input{Labels: labels("pair:k=w"), Entries: byPerson(tags.Label, "k=v")}, false, Reading{Declared: []string{"k=w"}, Forgotten: []string{"k=v"}},
		},
		{
			"taken off", "with its value",
			Input{Labels: labels(), Entries: mirrored(tags.Run, "k=v"), MayRemove: true}, false, Reading{Requested: []string{"k=v"}},
		},
		{
			"restored, as on the run", "there is no status yet: what is on the run is taken as mirrored",
			Input{Labels: labels("pair:k=v"), Observed: tags.Set{"k": "v"}}, true, Reading{},
		},
		{
			"restored, not as on the run", "then it can only be a declaration",
			Input{Labels: labels("pair:k=v"), Observed: tags.Set{"k": "w"}}, true, Reading{Declared: []string{"k=v"}},
		},
		{
			"restored, run without it", "the same",
			Input{Labels: labels("pair:k=v")}, true, Reading{Declared: []string{"k=v"}},
		},
		{
			"the bare tag as a pair", "it has a label of its own: two would have to be taken off",
			Input{Labels: labels("pair:k=true", "pair:l=")}, false,
			Reading{Invalid: []string{
				"label pair.runtag.dev/k=true declares nothing: set label tag.runtag.dev/k with an empty value for the tag \"k\"",
				"label pair.runtag.dev/l= declares nothing: set label tag.runtag.dev/l with an empty value for the tag \"l\"",
			}},
		},
		{
			"a pair as the bare tag", "the message names the label to use",
			Input{Labels: labels("tag:k=v")}, false,
			Reading{Invalid: []string{`label tag.runtag.dev/k=v declares nothing: leave its value empty for the tag "k", or set label pair.runtag.dev/k=v for "k=v"`}},
		},
		{
			"bare", "as on any tracker",
			Input{Labels: labels("tag:k="), Entries: mirrored(tags.Run, "k=v")}, false, Reading{Declared: []string{"k"}, Returning: []string{"k=v"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Dialect, c.in.Seen = pairs, !c.unseen
			if diff := cmp.Diff(c.want, Read(c.in), ignoreTheirs); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestReadWiped(t *testing.T) {
	known := append(append(append(byPerson(tags.Label, "p", "k=v"), mirrored(tags.Run, "f", "l=w")...), mirrored(tags.Spec, "s")...), Entry{Name: "gone", Source: tags.Run})
	all := map[string]string{TagPrefix + "p": "", PairPrefix + "k": "v", TagPrefix + "f": "run", PairPrefix + "l": "w", TagPrefix + "s": "spec"}
	with := func(pairs ...string) map[string]string {
		w := map[string]string{}
		for key, text := range all {
			w[key] = text
		}
		for _, pair := range pairs {
			key, text := cutLabel(pair)
			w[key] = text
		}
		return w
	}
	without := func(pairs ...string) map[string]string {
		w := labels(pairs...)
		delete(w, Project)
		return w
	}
	for _, c := range []struct {
		name, reason string
		labels       map[string]string
		unseen       bool
		want         Reading
	}{
		{"all gone", "what status records comes back, and nothing is asked off", nil, false, Reading{Wiped: true, Restored: with()}},
		{"others stay", "labels of others are left alone, and a new declaration holds", without("app=x", "tag:new="), false, Reading{Wiped: true, Restored: with("app=x", "tag:new=")}},
		{"an old copy", "what replaced the labels may be older than a declaration", without("tag:p=run"), false, Reading{Wiped: true, Restored: with()}},
		{"true", "declares as well as nothing", without("tag:p=true"), false, Reading{Wiped: true, Restored: with("tag:p=true")}},
		{"another value", "is a declaration of its own", without("pair:k=x"), false, Reading{Wiped: true, Restored: with("pair:k=x")}},
		{"declared now", "what was foreign is a person's from now on", without("tag:f="), false, Reading{Wiped: true, Restored: with("tag:f=")}},
		{"never there", "an object without identity yet was not wiped", without("tag:a="), true, Reading{Declared: []string{"a"}}},
		{"identity without a value", "it is there, so the rest was taken off one by one", labels("tracking.runtag.dev/project="), false,
			Reading{Requested: []string{"f", "k=v", "l=w", "p"}, Returning: []string{"s"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := Input{Dialect: pairs, Labels: c.labels, Entries: known, Seen: !c.unseen, MayRemove: true}
			if c.unseen {
				in.Entries = nil
			}
			if diff := cmp.Diff(c.want, Read(in), ignoreTheirs); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestWritten(t *testing.T) {
	wrote := map[string]bool{}
	if err := Written([]byte(`{"f:metadata":{"f:labels":{".":{},"f:pair.runtag.dev/k":{}},"f:annotations":{"f:pair.runtag.dev/a":{}}},"f:spec":{"f:tags":{}}}`), wrote); err != nil {
		t.Fatal(err)
	}
	if err := Written([]byte(`{"f:metadata":{"f:labels":{"f:tag.runtag.dev/x":{}}}}`), wrote); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]bool{"pair.runtag.dev/k": true, "tag.runtag.dev/x": true}, wrote); diff != "" {
		t.Errorf("labels of two entries, and nothing else (-want +got):\n%s", diff)
	}
	if err := Written([]byte(`[]`), wrote); err == nil {
		t.Error("what is no set of fields is an error")
	}
}
