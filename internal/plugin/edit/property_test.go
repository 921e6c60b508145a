package edit_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/plugin/edit"
	"github.com/runtag/runtag/internal/tags"
)

// world draws objects of one tracker. Names are few, so that wishes meet what is there.
type world struct {
	dialect tags.Dialect
	names   []string
}

var worlds = map[string]world{
	"W&B":    {wandb, []string{"a", "b", "a b", "x/y", "c"}},
	"MLflow": {pairs, []string{"a", "b", "k=v", "k=w", "l=v", "a b", "k=v w"}},
}

func (w world) some(t *rapid.T, what string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(w.names), 0, 3, rapid.ID[string]).Draw(t, what)
}

func (w world) draw(t *rapid.T) edit.Run {
	o := object{labels: map[string]string{"app": "x"}, annotations: map[string]string{"note": "mine"}, spec: w.some(t, "spec"), manager: "git"}
	for _, name := range w.some(t, "labels") {
		tag, err := w.dialect.Parse(name)
		if key, ok := mirror.Key(w.dialect, tag); err == nil && ok {
			o.labels[key] = tag.Value
		}
	}
	if names := w.some(t, "annotations"); len(names) > 0 {
		o.annotations[mirror.AnnotationTags] = mirror.Text(names)
	}
	seen := map[string]bool{}
	for _, name := range w.some(t, "foreign") {
		tag, err := w.dialect.Parse(name)
		if err != nil || seen[tag.Key] {
			continue // a run has one value for a key
		}
		seen[tag.Key] = true
		status := v1alpha1.TagStatus{Name: name, Source: v1alpha1.TagSourceRun, Present: true}
		if key, ok := mirror.Key(w.dialect, tag); ok {
			if _, taken := o.labels[key]; !taken {
				o.labels[key], status.Mirrored = tag.Value, true
				if tag.Value == "" {
					o.labels[key] = "run"
				}
			}
		}
		o.status = append(o.status, status)
	}
	return o.run(w.dialect, tags.Merge)
}

// after is the object with a patch applied.
func after(r edit.Run, result edit.Result) edit.Run {
	r.Object = r.Object.DeepCopy()
	merge(r.Object, result.Patch)
	return r
}

// wish draws one of the three, as a function that can be called again.
func (w world) wish(t *rapid.T) func(edit.Run) edit.Result {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom(w.names), 1, 2, rapid.ID[string]).Draw(t, "names")
	switch rapid.SampledFrom([]string{"add", "rm", "rename"}).Draw(t, "wish") {
	case "add":
		return add(names...)
	case "rm":
		return remove(names...)
	}
	return rename(names[0], rapid.SampledFrom(w.names).Filter(func(s string) bool { return s != names[0] }).Draw(t, "to"), rapid.Bool().Draw(t, "in spec"))
}

func forEachWorld(t *testing.T, check func(*rapid.T, world)) {
	for name, w := range worlds {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) { check(t, w) }))
	}
}

func TestAWishTouchesOnlyWhatItIsAbout(t *testing.T) {
	forEachWorld(t, func(t *rapid.T, w world) {
		run := w.draw(t)
		got := after(run, w.wish(t)(run))
		if got.Object.Labels["app"] != "x" || got.Object.Annotations["note"] != "mine" {
			t.Errorf("other labels and annotations changed: %v %v", got.Object.Labels, got.Object.Annotations)
		}
		if got.Object.Annotations[mirror.AnnotationTags] != run.Object.Annotations[mirror.AnnotationTags] {
			t.Errorf("the operator's list was changed: %v", got.Object.Annotations)
		}
	})
}

func TestAddDeclaresAndChangesNothingASecondTime(t *testing.T) {
	forEachWorld(t, func(t *rapid.T, w world) {
		run, name := w.draw(t), rapid.SampledFrom(w.names).Draw(t, "name")
		before := declared(run)
		got := after(run, edit.Add(run, []string{name}))
		if !slices.Contains(declared(got), name) {
			t.Errorf("%q is not declared: %v", name, got.Object.ObjectMeta)
		}
		for _, other := range before { // another value of the same key gives way
			if key, _, _ := strings.Cut(name, "="); other != name && !strings.HasPrefix(other, key+"=") && !slices.Contains(declared(got), other) {
				t.Errorf("%q is declared no more", other)
			}
		}
		if again := edit.Add(got, []string{name}); again.Patch != nil {
			t.Errorf("a second time: %v", again.Patch)
		}
	})
}

func TestRemoveLeavesNothingDeclaredButInSpec(t *testing.T) {
	forEachWorld(t, func(t *rapid.T, w world) {
		run, name := w.draw(t), rapid.SampledFrom(w.names).Draw(t, "name")
		result := edit.Remove(run, []string{name})
		got := after(run, result)
		inSpec := slices.Contains(run.Object.Spec.Tags, name)
		if slices.Contains(declared(got), name) != inSpec {
			t.Errorf("%q is still declared: %v", name, got.Object.ObjectMeta)
		}
		if result.Refused() != inSpec {
			t.Errorf("refused is %v for %v", result.Refused(), result.Notes)
		}
		if !slices.Equal(got.Object.Spec.Tags, run.Object.Spec.Tags) {
			t.Errorf("spec was changed: %v", got.Object.Spec.Tags)
		}
	})
}

func TestRenameInSpecLeavesNothingOfTheOldName(t *testing.T) {
	forEachWorld(t, func(t *rapid.T, w world) {
		run, from, to := w.draw(t), w.names[0], w.names[1]
		was := slices.Contains(declared(run), from)
		got := after(run, edit.Rename(run, from, to, true))
		now := declared(got)
		if slices.Contains(now, from) {
			t.Errorf("%q is still declared: %v", from, now)
		}
		if was && !slices.Contains(now, to) {
			t.Errorf("%q is not declared: %v", to, now)
		}
	})
}
