package edit_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/mlflow"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/plugin/edit"
	"github.com/runtag/runtag/internal/tags"
)

var (
	wandb = tags.Dialect{Tracker: "W&B", MaxKey: 64}
	pairs = mlflow.Dialect()
)

// object is a TrainingRun that is declared and observed in this way.
type object struct {
	labels, annotations map[string]string
	spec, exclude       []string
	status              []v1alpha1.TagStatus
	rules               []v1alpha1.RuleTag
	// manager wrote spec, and operator these labels.
	manager  string
	operator []string
}

func (o object) run(d tags.Dialect, policy tags.Policy) edit.Run {
	run := &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Labels: o.labels, Annotations: o.annotations},
		Spec:       v1alpha1.TrainingRunSpec{Tags: o.spec, ExcludeTags: o.exclude},
		Status:     v1alpha1.TrainingRunStatus{Tags: o.status, RuleTags: o.rules},
	}
	manage := func(manager string, fields map[string]any) {
		text, err := json.Marshal(fields)
		if err != nil {
			panic(err)
		}
		run.ManagedFields = append(run.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, FieldsV1: metav1.NewFieldsV1(string(text))})
	}
	if o.manager != "" {
		manage(o.manager, map[string]any{"f:spec": map[string]any{"f:tags": items(o.spec), "f:excludeTags": items(o.exclude)}})
	}
	if len(o.operator) > 0 {
		keys := map[string]any{}
		for _, key := range o.operator {
			keys["f:"+key] = struct{}{}
		}
		manage("runtag", map[string]any{"f:metadata": map[string]any{"f:labels": keys}})
	}
	return edit.Run{Object: run, Dialect: d, Policy: policy}
}

func items(names []string) map[string]any {
	set := map[string]any{}
	for _, name := range names {
		set[fmt.Sprintf("v:%q", name)] = struct{}{}
	}
	return set
}

func on(name string, source v1alpha1.TagSource) v1alpha1.TagStatus {
	_, err := pairs.Parse(name)
	return v1alpha1.TagStatus{Name: name, Source: source, Present: true, Mirrored: err == nil && !strings.ContainsAny(name, " /")}
}

func foreign(name string) v1alpha1.TagStatus { return on(name, v1alpha1.TagSourceRun) }

// label and annotation give parts of a patch.
func patch(labels, annotations map[string]any) map[string]any {
	metadata := map[string]any{}
	if labels != nil {
		metadata["labels"] = labels
	}
	if annotations != nil {
		metadata["annotations"] = annotations
	}
	return map[string]any{"metadata": metadata}
}

type change struct {
	reason  string
	dialect tags.Dialect
	policy  v1alpha1.TagPolicy // Merge if not given
	object  object
	do      func(edit.Run) edit.Result

	patch           map[string]any
	says            []string // outcome and text of each note
	present, absent []string
}

func (c change) check(t *testing.T) {
	t.Helper()
	if c.dialect.Tracker == "" {
		c.dialect = wandb
	}
	policy := map[v1alpha1.TagPolicy]tags.Policy{"": tags.Merge, v1alpha1.TagPolicyObserve: tags.Observe, v1alpha1.TagPolicyAdd: tags.Add}[c.policy]
	run := c.object.run(c.dialect, policy)
	before := run.Object.DeepCopy()
	got := c.do(run)
	if diff := cmp.Diff(before, run.Object); diff != "" {
		t.Errorf("%s\nthe object was changed: %s", c.reason, diff)
	}
	var says []string
	for _, note := range got.Notes {
		says = append(says, []string{"done", "unchanged", "refused"}[note.Outcome]+": "+note.Text)
	}
	for what, diff := range map[string]string{
		"patch":   cmp.Diff(c.patch, got.Patch),
		"notes":   cmp.Diff(c.says, says),
		"present": cmp.Diff(c.present, got.Present, cmpopts.EquateEmpty()),
		"absent":  cmp.Diff(c.absent, got.Absent, cmpopts.EquateEmpty()),
	} {
		if diff != "" {
			t.Errorf("%s\n%s (-want +got):\n%s", c.reason, what, diff)
		}
	}
}

func add(names ...string) func(edit.Run) edit.Result {
	return func(r edit.Run) edit.Result { return edit.Add(r, names) }
}

func remove(names ...string) func(edit.Run) edit.Result {
	return func(r edit.Run) edit.Result { return edit.Remove(r, names) }
}

func rename(from, to string, spec bool) func(edit.Run) edit.Result {
	return func(r edit.Run) edit.Result { return edit.Rename(r, from, to, spec) }
}

// merge applies a merge patch to labels, annotations and spec.tags.
func merge(run *v1alpha1.TrainingRun, p map[string]any) {
	apply := func(to *map[string]string, changes any) {
		if changes == nil {
			return
		}
		*to = maps.Clone(*to)
		if *to == nil {
			*to = map[string]string{}
		}
		for key, value := range changes.(map[string]any) {
			if value == nil {
				delete(*to, key)
			} else {
				(*to)[key] = value.(string)
			}
		}
	}
	if metadata, ok := p["metadata"].(map[string]any); ok {
		apply(&run.Labels, metadata["labels"])
		apply(&run.Annotations, metadata["annotations"])
	}
	if spec, ok := p["spec"].(map[string]any); ok {
		run.Spec.Tags = slices.Clone(spec["tags"].([]string))
	}
}

// declared are all tags that people declare on an object.
func declared(r edit.Run) []string {
	all := slices.Concat(r.Object.Spec.Tags, edit.DeclaredByLabel(r), mirror.ReadLists(r.Object.Annotations).Declared())
	slices.Sort(all)
	return slices.Compact(all)
}
