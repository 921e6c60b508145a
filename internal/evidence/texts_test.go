package evidence_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/evidence"
)

// Texts are to be a map in everything but their room.
func TestTextsAreAsMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.MapOfN(rapid.SampledFrom([]string{"", "a", "b", "c/d", "é"}), rapid.StringN(0, 3, -1), 0, 5)
		m, other := some.Draw(t, "texts"), some.Draw(t, "others")
		texts := evidence.TextsOf(m)
		if got := maps.Collect(texts.All()); !maps.Equal(got, m) || texts.Len() != len(m) {
			t.Fatalf("%d texts are %v, want %v", texts.Len(), got, m)
		}
		for _, name := range []string{"", "a", "b", "c", "c/d", "é", "z"} {
			want, there := m[name]
			got, ok := texts.Lookup(name)
			if got != want || ok != there || texts.Get(name) != want || texts.Has(name) != there {
				t.Fatalf("%q is %q, %v in %v", name, got, ok, m)
			}
		}
		if got := texts.Equal(evidence.TextsOf(other)); got != maps.Equal(m, other) {
			t.Fatalf("%v and %v are equal: %v", m, other, got)
		}
	})
}

// What a store shares between objects is still each one's own.
func TestTextsOfStore(t *testing.T) {
	s, _ := store(evidence.Options{})
	want := map[string]map[string]string{"a": {"k": "1", "l": "x"}, "b": {"k": "2", "l": "x"}, "c": {"k": "1", "l": "x"}, "d": {"k": "1"}, "e": nil}
	for name, of := range want {
		s.SeePod(pod(name, func(p *evidence.Pod) { p.Labels = evidence.TextsOf(of) }))
	}
	for name, of := range want {
		got := s.Pod(pod(name).UID).Labels
		if diff := cmp.Diff(len(of), got.Len()); diff != "" || !got.Equal(evidence.TextsOf(of)) {
			t.Errorf("labels of pod %s: %v, want %v", name, maps.Collect(got.All()), of)
		}
		if !labels.SelectorFromSet(of).Matches(got) {
			t.Errorf("a selector of the labels of pod %s does not select it", name)
		}
	}
}
