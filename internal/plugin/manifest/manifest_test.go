package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/plugin/manifest"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/tags"
)

var (
	wandb = tags.Dialect{Tracker: "W&B", MaxKey: 64}
	pairs = tags.Dialect{Tracker: "MLflow", Pairs: true}
)

// full is a TrainingRun with all that a cluster adds.
func full() *v1alpha1.TrainingRun {
	return &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "vision", Name: "capsules-3f9a1c", UID: "u", ResourceVersion: "7", Generation: 3, Finalizers: []string{v1alpha1.Finalizer},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "x"}},
			Labels: map[string]string{
				"tag.runtag.dev/debug": "run", "tag.runtag.dev/spot": "rule", "tag.runtag.dev/prod": "spec", "tag.runtag.dev/baseline": "", "team": "vision",
				"tracking.runtag.dev/project": "capsules", "tracking.runtag.dev/state": "finished", "tracking.runtag.dev/user": "ann", "tracking.runtag.dev/group": "g", "tracking.runtag.dev/imported": "true",
			},
			Annotations: map[string]string{
				"tracking.runtag.dev/tags": `["needs review","prod"]`, "tracking.runtag.dev/add-tags": `["more"]`, "tracking.runtag.dev/remove-tags": `["old"]`,
				"tracking.runtag.dev/look-at": "now", "tracking.runtag.dev/ignore": "true", "kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "kept",
			},
		},
		Spec: v1alpha1.TrainingRunSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: "capsules"}, RunID: "3f9a1c", Tags: []string{"prod"}, ExcludeTags: []string{"wip"},
			TagPolicy: "Merge", DeletionPolicy: "Retain",
		},
		Status: v1alpha1.TrainingRunStatus{ObservedDeclarations: "1", Tags: []v1alpha1.TagStatus{
			{Name: "debug", Source: "Run", Present: true, Mirrored: true}, {Name: "spot", Source: "Rule", Present: true, Mirrored: true}, {Name: "prod", Source: "Spec", Present: true, Mirrored: true},
		}},
	}
}

func TestClean(t *testing.T) {
	selective := full()
	selective.Labels, selective.Annotations, selective.Spec.ExcludeTags = nil, nil, nil
	selective.Spec.RunID, selective.Spec.RunName, selective.Spec.TagPolicy, selective.Spec.DeletionPolicy = "", "nightly", "Exclusive", "RemoveTags"
	selective.Spec.PodSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"job-name": "x"}}
	for _, test := range []struct {
		reason string
		run    *v1alpha1.TrainingRun
		want   string
	}{
		{"what the cluster adds is gone, what people declare is in spec", full(), `apiVersion: tracking.runtag.dev/v1alpha1
kind: TrainingRun
metadata:
  annotations:
    note: kept
  labels:
    team: vision
  name: capsules-3f9a1c
  namespace: vision
spec:
  excludeTags:
  - wip
  projectRef:
    name: capsules
  runID: 3f9a1c
  tags:
  - prod
  - baseline
  - more
  - needs review
`},
		{"what is not the default is kept", selective, `apiVersion: tracking.runtag.dev/v1alpha1
kind: TrainingRun
metadata:
  name: capsules-3f9a1c
  namespace: vision
spec:
  deletionPolicy: RemoveTags
  podSelector:
    matchLabels:
      job-name: x
  projectRef:
    name: capsules
  runName: nightly
  tagPolicy: Exclusive
  tags:
  - prod
`},
	} {
		clean, err := manifest.Clean(plan.Run{Object: test.run, Dialect: wandb, Ceiling: tags.Merge})
		if err != nil {
			t.Fatal(err)
		}
		got, err := yaml.Marshal(clean)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
	}
}

func TestCleanNamesATagOnce(t *testing.T) {
	run := full()
	run.Spec.Tags, run.Annotations = []string{"baseline=true"}, map[string]string{mirror.AnnotationTags: `["baseline=TRUE"]`}
	clean, err := manifest.Clean(plan.Run{Object: run, Dialect: pairs, Ceiling: tags.Merge})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"baseline=true"}, clean["spec"].(map[string]any)["tags"]); diff != "" {
		t.Errorf("label and annotation declare the same tag by other names (-want +got):\n%s", diff)
	}
}

func TestCleanRefuses(t *testing.T) {
	unread, many := full(), full()
	unread.Annotations[mirror.AnnotationTags] = "nonsense"
	for i := range manifest.MaxTags {
		many.Spec.Tags = append(many.Spec.Tags, fmt.Sprint("t", i))
	}
	for _, test := range []struct {
		reason string
		run    *v1alpha1.TrainingRun
		want   string
	}{
		{"an annotation that can't be read may declare anything", unread, "TrainingRun vision/capsules-3f9a1c: "},
		{"more than spec takes", many, "132 tags are declared, and spec.tags takes 128"},
	} {
		if _, err := manifest.Clean(plan.Run{Object: test.run, Dialect: wandb}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", test.reason, err)
		}
	}
}

// TestCleanDeclaresTheSame holds for whatever people declare: the manifest, read again, declares the same and nothing else,
// and is its own manifest.
func TestCleanDeclaresTheSame(t *testing.T) {
	for _, dialect := range []tags.Dialect{wandb, pairs} {
		names := []string{"a", "b", "a b", "k=v", "k=w", "x/y"}
		some := func(t *rapid.T, what string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 4, rapid.ID[string]).Draw(t, what)
		}
		rapid.Check(t, func(t *rapid.T) {
			run := full()
			run.Spec.Tags = some(t, "spec")
			run.Annotations = map[string]string{mirror.AnnotationTags: mirror.Text(some(t, "tags")), mirror.AnnotationAdd: mirror.Text(some(t, "add")), mirror.AnnotationRemove: mirror.Text(some(t, "remove"))}
			run.Labels = map[string]string{mirror.Project: "p"}
			for _, name := range some(t, "labels") {
				if tag, err := dialect.Parse(name); err == nil {
					if key, ok := mirror.Key(dialect, tag); ok {
						run.Labels[key] = tag.Value
					}
				}
			}
			run.Status.Tags = nil
			first := plan.Run{Object: run, Dialect: dialect, Ceiling: tags.Merge}
			again, text := reread(t, first)
			if diff := cmp.Diff(declared(first), declared(again)); diff != "" {
				t.Fatalf("declared before and after (-before +after):\n%s", diff)
			}
			if _, twice := reread(t, again); twice != text {
				t.Fatalf("the manifest of the manifest is another one:\n%s\n%s", text, twice)
			}
		})
	}
}

func reread(t *rapid.T, r plan.Run) (plan.Run, string) {
	clean, err := manifest.Clean(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(clean)
	if err != nil {
		t.Fatal(err)
	}
	var read v1alpha1.TrainingRun
	if err := yaml.UnmarshalStrict(text, &read); err != nil {
		t.Fatal(err)
	}
	r.Object = &read
	return r, string(text)
}

func declared(r plan.Run) map[string]bool {
	all := map[string]bool{}
	for _, source := range r.ByPeople().Declared {
		for _, d := range source.Tags {
			all[r.Name(d.Tag)] = true
		}
	}
	return all
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.yaml", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Node, metadata: {name: node}}\n- {apiVersion: v1, kind: Pod, metadata: {name: p}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: q, namespace: own}}\n")
	write("deep/b.json", `{"apiVersion":"tracking.runtag.dev/v1alpha1","kind":"ClusterTagRule","metadata":{"name":"r"}}`)
	write("bad/c.yaml", "nonsense")
	const piped = "{apiVersion: v1, kind: Pod, metadata: {name: piped}}"
	for _, test := range []struct {
		reason string
		files  manifest.Files
		want   []string
		err    string
	}{
		{"lists are taken apart, and what says no namespace gets one where its kind has one", manifest.Files{Names: []string{filepath.Join(dir, "a.yaml")}}, []string{"Node/node", "Pod vision/p", "Pod own/q"}, ""},
		{"folders are read alone", manifest.Files{Names: []string{dir}}, []string{"Node/node", "Pod vision/p", "Pod own/q"}, ""},
		{"folders in folders are read where that is asked for", manifest.Files{Names: []string{filepath.Join(dir, "deep"), filepath.Join(dir, "a.yaml")}, Recursive: true}, []string{"ClusterTagRule/r", "Node/node", "Pod vision/p", "Pod own/q"}, ""},
		{"standard input", manifest.Files{Names: []string{"-"}}, []string{"Pod vision/piped"}, ""},
		{"what is no manifest is refused, with its place", manifest.Files{Names: []string{filepath.Join(dir, "bad")}}, nil, "c.yaml"},
		{"what is not there is refused", manifest.Files{Names: []string{filepath.Join(dir, "none")}}, nil, "none"},
	} {
		objects, err := test.files.Read(strings.NewReader(piped), "vision")
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: got %v", test.reason, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.reason, err)
		}
		var got []string
		for _, o := range objects {
			name := o.GetKind() + "/" + o.GetName()
			if o.GetNamespace() != "" {
				name = o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
			}
			got = append(got, name)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.reason, diff)
		}
	}
}

func TestCheck(t *testing.T) {
	for kind, wrong := range map[string]bool{"TrainingRun": true, "TrackingProject": true, "TagRule": true, "ClusterTagRule": true, "Pod": false} {
		o := manifest.Object{Source: "x.yaml", Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": kind, "metadata": map[string]any{"name": "n"}, "spec": map[string]any{"tagz": []any{"a"}},
		}}}
		err := o.Check()
		if wrong != (err != nil) {
			t.Errorf("a field that %s does not have: %v", kind, err)
		}
		if wrong && (!strings.Contains(err.Error(), "x.yaml: "+kind+" n") || !strings.Contains(err.Error(), "spec.tagz")) {
			t.Errorf("it is not told where: %v", err)
		}
	}
}

func TestMistyped(t *testing.T) {
	o := manifest.Object{Source: "x.yaml", Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "TrainingRun", "metadata": map[string]any{"name": "r"}, "spec": map[string]any{"tags": []any{"a", true}},
	}}}
	if err := o.Check(); err == nil || !strings.Contains(err.Error(), "spec.tags") || !strings.Contains(err.Error(), "quotes") {
		t.Errorf("a tag that YAML takes for true: %v", err)
	}
}
