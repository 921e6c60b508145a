package mirror

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/runtag/runtag/internal/tags"
)

// on are tags on the run that stay there.
func on(source tags.Source, names ...string) []Shown {
	shown := make([]Shown, 0, len(names))
	for _, name := range names {
		shown = append(shown, Shown{Name: name, Source: source, Present: true})
	}
	return shown
}

func notOn(source tags.Source, names ...string) []Shown {
	shown := on(source, names...)
	for i := range shown {
		shown[i].Present = false
	}
	return shown
}

func texts(pairs ...string) map[string]string {
	all := labels(pairs...)
	delete(all, Project)
	return all
}

// TestLabels tries what is written and what is recorded once it is.
func TestLabels(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		in           Input
		shown        []Shown
		want         map[string]string
		record       []Entry
	}{
		{
			"by source", "the value says where the tag comes from",
			Input{Dialect: plain, Labels: labels()}, append(append(on(tags.Run, "f"), on(tags.Spec, "s")...), on(tags.Rule, "r")...),
			texts("tag:f=run", "tag:s=spec", "tag:r=rule"), append(append(mirrored(tags.Run, "f"), mirrored(tags.Rule, "r")...), mirrored(tags.Spec, "s")...),
		},
		{
			"by annotation", "never the value of a person's label, which would declare it for good",
			Input{Dialect: plain, Labels: labels()}, on(tags.Label, "a"), texts("tag:a=spec"), mirrored(tags.Label, "a"),
		},
		{
			"not on the run", "a label says what is on the run; that it should be there is no label",
			Input{Dialect: plain, Labels: labels()}, notOn(tags.Spec, "s"), texts(), []Entry{{Name: "s", Source: tags.Spec}},
		},
		{
			"no label names", "they are in status alone",
			Input{Dialect: plain, Labels: labels()}, on(tags.Run, "a b", "_x", "v1.", "日本語"), texts(), entries(Entry{Source: tags.Run}, []string{"_x", "a b", "v1.", "日本語"}),
		},
		{
			"a person's", "stays as it is, also while the tag is not on the run",
			Input{Dialect: plain, Labels: labels("tag:a=true", "tag:b=")}, append(on(tags.Label, "a"), notOn(tags.Label, "b")...),
			texts("tag:a=true", "tag:b="), byPerson(tags.Label, "a", "b"),
		},
		{
			"a person's and the spec's", "the label is the person's; status knows both",
			Input{Dialect: plain, Labels: labels("tag:a=")}, on(tags.Spec, "a"), texts("tag:a="), byPerson(tags.Spec, "a"),
		},
		{
			"a person's that the plan rejects", "it stays, and comes back after a wipe",
			Input{Dialect: plain, Labels: labels("tag:a=")}, nil, texts("tag:a="), byPerson(tags.Label, "a"),
		},
		{
			"a mistake", "is told and left alone, also over a tag on the run, whose label was not there then",
			Input{Dialect: plain, Labels: labels("tag:a=yes", "tag:b=no", "pair:k=v"), Entries: mirrored(tags.Run, "a")}, on(tags.Run, "a"),
			texts("tag:a=yes", "tag:b=no", "pair:k=v"), []Entry{{Name: "a", Source: tags.Run}},
		},
		{
			"our value, typed", "it is put right, or goes at once where the tag is not on the run",
			Input{Dialect: plain, Labels: labels("tag:a=spec", "tag:b=run")}, on(tags.Run, "a"), texts("tag:a=run"), mirrored(tags.Run, "a"),
		},
		{
			"gone from the run", "the label stays until the stored status has forgotten it",
			Input{Dialect: plain, Labels: labels("tag:a=run"), Entries: mirrored(tags.Run, "a")}, nil, texts("tag:a=run"), nil,
		},
		{
			"leaving the run", "the same",
			Input{Dialect: plain, Labels: labels("tag:a=run"), Entries: mirrored(tags.Run, "a")}, notOn(tags.Run, "a"), texts("tag:a=run"), []Entry{{Name: "a", Source: tags.Run}},
		},
		{
			"forgotten", "now it goes",
			Input{Dialect: plain, Labels: labels("tag:a=run"), Entries: []Entry{{Name: "a", Source: tags.Run}}}, nil, texts(), nil,
		},
		{
			"taken off and coming back", "a label that was ours comes back at once",
			Input{Dialect: plain, Labels: labels(), Entries: mirrored(tags.Spec, "s")}, on(tags.Spec, "s"), texts("tag:s=spec"), mirrored(tags.Spec, "s"),
		},
		{
			"a person's that was taken off", "it comes back as ours once status has forgotten the person",
			Input{Dialect: plain, Labels: labels(), Entries: byPerson(tags.Label, "p")}, on(tags.Run, "p"), texts(), []Entry{{Name: "p", Source: tags.Run}},
		},
		{
			"a person's, one pass later", "the person is forgotten",
			Input{Dialect: plain, Labels: labels(), Entries: []Entry{{Name: "p", Source: tags.Run}}}, on(tags.Run, "p"), texts("tag:p=run"), mirrored(tags.Run, "p"),
		},
		{
			"pairs", "the value is the tag's",
			Input{Dialect: pairs, Labels: labels("tag:b=run")}, on(tags.Run, "k=v", "b", "l=no label", "m=w"),
			texts("pair:k=v", "tag:b=run", "pair:m=w"), append(append(mirrored(tags.Run, "b", "k=v"), Entry{Name: "l=no label", Source: tags.Run}), mirrored(tags.Run, "m=w")...),
		},
		{
			"changed on the run", "the label follows at once",
			Input{Dialect: pairs, Labels: labels("pair:k=v"), Entries: mirrored(tags.Run, "k=v"), Wrote: map[string]bool{PairPrefix + "k": true}}, on(tags.Run, "k=w"),
			texts("pair:k=w"), mirrored(tags.Run, "k=w"),
		},
		{
			"a person's value, another on the run", "the label is the person's; that on the run has none",
			Input{Dialect: pairs, Labels: labels("pair:k=w")}, append(on(tags.Run, "k=v"), notOn(tags.Label, "k=w")...),
			texts("pair:k=w"), append([]Entry{{Name: "k=v", Source: tags.Run}}, byPerson(tags.Label, "k=w")...),
		},
		{
			"a pair gone from the run", "as with any label",
			Input{Dialect: pairs, Labels: labels("pair:k=v"), Entries: mirrored(tags.Run, "k=v"), Wrote: map[string]bool{PairPrefix + "k": true}}, nil, texts("pair:k=v"), nil,
		},
		{
			"a pair without our mark gone from the run", "forgotten first it would pass for a declaration",
			Input{Dialect: pairs, Labels: labels("pair:k=v"), Entries: mirrored(tags.Run, "k=v")}, nil, texts(), nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Seen = true
			r := Read(c.in)
			got := Labels(c.in, r, c.shown)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s; labels (-want +got):\n%s", c.reason, diff)
			}
			if diff := cmp.Diff(c.record, Record(c.in, r, c.shown, got), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s; record (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

// TestRecordBeforeLabels: what was not written is not recorded.
func TestRecordBeforeLabels(t *testing.T) {
	in := Input{Dialect: plain, Labels: labels("tag:a=run"), Seen: true}
	got := Record(in, Read(in), on(tags.Run, "a", "b"), in.Labels)
	if diff := cmp.Diff(append(mirrored(tags.Run, "a"), Entry{Name: "b", Source: tags.Run}), got); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// TestMaxForeign: of many foreign tags the first are mirrored, and they stay when others come.
func TestMaxForeign(t *testing.T) {
	var names []string
	for i := range 2 * MaxForeign {
		names = append(names, fmt.Sprintf("m%03d", i))
	}
	shown := append(on(tags.Run, names...), on(tags.Spec, "s1", "s2")...)
	in := Input{Dialect: plain, Labels: labels(), Seen: true}
	first := Labels(in, Read(in), shown)
	if len(first) != MaxForeign+2 || first[TagPrefix+names[0]] != "run" || first[TagPrefix+names[MaxForeign-1]] != "run" || first[TagPrefix+"s2"] != "spec" {
		t.Fatalf("of %d foreign tags and 2 declared ones these are mirrored: %v", len(names), first)
	}
	in.Labels, in.Entries = Merge(in.Labels, first), Record(in, Read(in), shown, first)
	shown = append(shown, on(tags.Run, "a1", "a2")...)
	if diff := cmp.Diff(first, Labels(in, Read(in), shown)); diff != "" {
		t.Errorf("a tag that comes pushes another out (-want +got):\n%s", diff)
	}
	// Before status records them they stay too: the pass may have died.
	in.Entries = nil
	if diff := cmp.Diff(first, Labels(in, Read(in), shown)); diff != "" {
		t.Errorf("a tag that comes pushes another out that has a label (-want +got):\n%s", diff)
	}
	// Too many that have labels, as when declared ones become foreign: they go in two passes, and no further.
	in.Labels = labels()
	for _, name := range names {
		in.Labels[TagPrefix+name] = "spec"
	}
	in.Entries = mirrored(tags.Spec, names...)
	for range 3 {
		want := Labels(in, Read(in), on(tags.Run, names...))
		in.Entries = Record(in, Read(in), on(tags.Run, names...), want)
		in.Labels = Merge(in.Labels, want)
	}
	if len(in.Labels) != MaxForeign+1 {
		t.Errorf("%d labels are left of %d, one of them identity", len(in.Labels), len(names)+1)
	}
}

func TestPatch(t *testing.T) {
	now := labels("tag:same=run", "tag:other=run", "tag:off=", "pair:off=v", "app=x")
	want := texts("tag:same=run", "tag:other=spec", "tag:new=run", Project+"=capsules")
	patch := map[string]any{TagPrefix + "other": "spec", TagPrefix + "new": "run", TagPrefix + "off": nil, PairPrefix + "off": nil}
	if diff := cmp.Diff(patch, Patch(want, now)); diff != "" {
		t.Errorf("only what changes, and no label of anyone else (-want +got):\n%s", diff)
	}
	merged := labels("tag:same=run", "tag:other=spec", "tag:new=run", "app=x")
	if diff := cmp.Diff(merged, Merge(now, want)); diff != "" {
		t.Errorf("merged (-want +got):\n%s", diff)
	}
}

func TestAtRest(t *testing.T) {
	shown := []Shown{{Name: "x", Source: tags.Spec, Present: true}}
	for _, c := range []struct {
		reason string
		labels map[string]string
		want   bool
	}{
		{"A label that is as it should be, beside one of somebody else, leaves nothing to do.", map[string]string{TagPrefix + "x": "spec", "app": "train"}, true},
		{"A tag without its label gets one in a further pass.", map[string]string{"app": "train"}, false},
		{"A label whose tag is gone goes in a further pass.", map[string]string{TagPrefix + "x": "spec", TagPrefix + "y": "run"}, false},
		{"A label that names another source is changed in a further pass.", map[string]string{TagPrefix + "x": "run"}, false},
	} {
		in := Input{Dialect: plain, Labels: c.labels}
		if have := AtRest(in, Read(in), shown, c.labels); have != c.want {
			t.Errorf("%s Got %t.", c.reason, have)
		}
	}
}
