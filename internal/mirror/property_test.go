package mirror

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/tags"
)

// drawn is any object and any tags on its run, whether or not our own passes can lead to it.
type drawn struct {
	Input
	shown []Shown
}

func draw(t *rapid.T) drawn {
	d := drawn{Input: Input{Dialect: plain, Seen: true, MayRemove: rapid.Bool().Draw(t, "may remove"), Labels: labels(), Wrote: map[string]bool{}, Observed: tags.Set{}}}
	names := []string{"a", "b", "c", "a b", "_x", "k=v"}
	if rapid.Bool().Draw(t, "pairs") {
		d.Dialect, names = pairs, []string{"a", "k", "k=x", "k=y", "l=x", "l=a b", "a b"}
	}
	source := rapid.SampledFrom([]tags.Source{tags.Spec, tags.Label, tags.Rule, tags.Run})
	some := func(label string) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 4, rapid.ID).Draw(t, label)
	}
	for _, name := range some("labels") {
		if key, tag, ok := keyOf(d.Dialect, name); ok {
			d.Labels[key] = tag.Value
			if tag.Value == "" {
				d.Labels[key] = rapid.SampledFrom([]string{"", "true", "run", "spec", "rule", "yes"}).Draw(t, "value")
			}
			d.Wrote[key] = rapid.Bool().Draw(t, "wrote")
		}
	}
	for _, name := range some("recorded") {
		d.Entries = append(d.Entries, Entry{Name: name, Source: source.Draw(t, "source"), Mirrored: rapid.Bool().Draw(t, "mirrored"), Person: rapid.Bool().Draw(t, "person")})
	}
	for _, name := range some("shown") {
		tag, err := d.Dialect.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		_, taken := d.Observed[tag.Key]
		present := !taken && rapid.Bool().Draw(t, "present")
		if present {
			d.Observed[tag.Key] = tag.Value
		}
		d.shown = append(d.shown, Shown{Name: name, Source: source.Draw(t, "source"), Present: present})
	}
	return d
}

func same(t *rapid.T, want, got any, why string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(Reading{})); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", why, diff)
	}
}

// pass does what a controller does, and gives the object after it.
func (d drawn) pass() (after drawn, patch map[string]any) {
	r := Read(d.Input)
	want := Labels(d.Input, r, d.shown)
	patch = Patch(want, d.Labels)
	after = d
	after.Entries = Record(d.Input, r, d.shown, want)
	after.Labels, after.Wrote = Merge(d.Labels, want), maps.Clone(d.Wrote)
	for key, text := range patch {
		after.Wrote[key] = text != nil
	}
	return after, patch
}

// TestComesToRest: whatever there was, a few passes later nothing is written, and what we wrote declares and asks nothing.
func TestComesToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		before := Read(d.Input)
		for range 3 {
			d, _ = d.pass()
		}
		after, patch := d.pass()
		same(t, map[string]any{}, patch, "labels are still written")
		same(t, d.Entries, after.Entries, "status is still written")
		r := Read(after.Input)
		same(t, Reading{Declared: before.Declared, Invalid: before.Invalid}, r, "what we wrote is read as something else")
		if again := Read(d.Input); !cmp.Equal(again, r, ignoreTheirs) {
			t.Fatal("reading is not the same each time")
		}
	})
}

// TestPeoplesLabels: they are never changed or taken off, and nobody else's are touched at all.
func TestPeoplesLabels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		r := Read(d.Input)
		_, patch := d.pass()
		for key := range patch {
			if text, there := d.Labels[key]; r.theirs[key] || there && !isPair(key) && !isOperatorValue(text) {
				t.Fatalf("label %s=%s becomes %v", key, text, patch[key])
			}
			if !IsMirror(key) {
				t.Fatalf("label %s stands for no tag, and is written", key)
			}
		}
	})
}

// TestOrder: neither labels nor entries nor tags have one that matters, and inputs are left alone.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		other := d
		other.Entries = rapid.Permutation(d.Entries).Draw(t, "entries")
		other.shown = rapid.Permutation(d.shown).Draw(t, "shown")
		want, patch := d.pass()
		got, otherPatch := other.pass()
		same(t, Read(d.Input), Read(other.Input), "order matters for what is read")
		same(t, patch, otherPatch, "order matters for labels")
		same(t, want.Entries, got.Entries, "order matters for the record")
	})
}

// TestMergeIsPatch: the labels that Merge gives are those that Patch leads to, and need no patch.
func TestMergeIsPatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SampledFrom([]string{"app", Project, TagPrefix + "a", TagPrefix + "b", PairPrefix + "a", PairPrefix + "b"})
		some := rapid.MapOfN(key, rapid.SampledFrom([]string{"", "run", "x"}), 0, 4)
		now, want := some.Draw(t, "now"), some.Draw(t, "want")
		merged := Merge(now, want)
		same(t, map[string]any{}, Patch(want, merged), "merged labels need a patch")
		patched := maps.Clone(now)
		for key, text := range Patch(want, now) {
			if text == nil {
				delete(patched, key)
			} else {
				patched[key] = text.(string)
			}
		}
		same(t, patched, merged, "merging is not patching")
	})
}
