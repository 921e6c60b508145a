// Package endstate tells what there is when operator, tracker and people have come to rest, in a form in which two lives
// of the same script can be compared: without times and identifiers.
package endstate

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// State is the text about each object, by kind and name, and about each run on the tracker, as "run" and its id.
type State map[string]string

// Scene says where to look.
type Scene struct {
	Client    client.Reader
	Namespace string
	Tracker   *wandbtest.Server
	// Entity and Project are those of the runs on the tracker.
	Entity, Project string
	// Loose leaves out what depends on when looks happen: histories, and the counts of projects.
	Loose bool
	// Replace are texts that differ from life to life, each followed by what to read instead.
	Replace []string
}

// Of reads the state. An error names what can't be read.
func Of(ctx context.Context, scene Scene) (State, error) {
	state := State{}
	for _, run := range scene.Tracker.Runs(scene.Entity, scene.Project) {
		state["run "+run.ID] = strings.Join(slices.Sorted(slices.Values(run.Tags)), " ") + "\n"
	}
	replacer := strings.NewReplacer(scene.Replace...)
	for kind, list := range map[string]client.ObjectList{
		"TrackingProject": &v1alpha1.TrackingProjectList{}, "TrainingRun": &v1alpha1.TrainingRunList{},
		"TagRule": &v1alpha1.TagRuleList{}, "TagChange": &v1alpha1.TagChangeList{}, "ConfigMap": &corev1.ConfigMapList{},
	} {
		if err := scene.Client.List(ctx, list, client.InNamespace(scene.Namespace)); err != nil {
			return nil, fmt.Errorf("list what there is of %s: %w", kind, err)
		}
		if err := meta.EachListItem(list, func(obj runtime.Object) error {
			name, text, err := show(obj, scene.Loose)
			state[kind+" "+replacer.Replace(name)] = replacer.Replace(text)
			return err
		}); err != nil {
			return nil, fmt.Errorf("show what there is of %s: %w", kind, err)
		}
	}
	return state, nil
}

// told marks an entry of a history.
const told = "told: "

// Diff says what differs, line by line and in whatever order the lines are; empty where nothing does. A history may tell
// less, since an operator that crashed has told nothing, but nothing more than once.
func (s State) Diff(other State) string {
	var out strings.Builder
	names := map[string]bool{}
	for name := range maps.Keys(s) {
		names[name] = true
	}
	for name := range maps.Keys(other) {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if s[name] == other[name] {
			continue
		}
		before, after := strings.Split(s[name], "\n"), strings.Split(other[name], "\n")
		gone, added := without(before, after), without(after, before)
		gone = slices.DeleteFunc(gone, func(line string) bool { return strings.Contains(line, told) })
		if len(gone)+len(added) > 0 {
			fmt.Fprintf(&out, "%s:\n", name)
		}
		for _, line := range gone {
			fmt.Fprintf(&out, "  - %s\n", line)
		}
		for _, line := range added {
			fmt.Fprintf(&out, "  + %s\n", line)
		}
	}
	return out.String()
}

// without gives the lines beyond those of the others, each as often as it is there more often.
func without(lines, others []string) []string {
	left := map[string]int{}
	for _, line := range others {
		left[line]++
	}
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool {
		left[line]--
		return left[line] >= 0
	})
}

// differing are fields that are not the same in two lives.
var differing = []string{"uid", "resourceVersion", "managedFields", "creationTimestamp", "namespace", "url", "createdAt", "secrets"}

// late are the fields of a status that are written when a look happens to see it, or a minute after that.
var late = []string{"history", "runs", "trackedRuns", "pending"}

// identifiers are those within texts, such as the lines of a ConfigMap.
var identifiers = regexp.MustCompile(`"(uid|handle)":"[^"]*"`)

func show(obj runtime.Object, loose bool) (name, text string, err error) {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return "", "", err
	}
	data, err := json.Marshal(obj)
	if err != nil {
		return "", "", err
	}
	var fields map[string]any
	if err := json.Unmarshal(data, &fields); err != nil {
		return "", "", err
	}
	if status, ok := fields["status"].(map[string]any); ok && loose {
		maps.DeleteFunc(status, func(field string, _ any) bool { return slices.Contains(late, field) })
		if _, project := obj.(*v1alpha1.TrackingProject); project {
			delete(status, "tags")
		}
	}
	out, err := yaml.Marshal(clean(fields))
	return accessor.GetName(), string(out), err
}

// clean leaves out what differs from life to life.
func clean(value any) any {
	switch v := value.(type) {
	case map[string]any:
		shorten(v)
		for key, field := range v {
			if slices.Contains(differing, key) {
				delete(v, key)
				continue
			}
			v[key] = clean(field)
		}
	case []any:
		for i := range v {
			v[i] = clean(v[i])
		}
	case string:
		if _, err := time.Parse(time.RFC3339, v); err == nil {
			return "a time"
		}
		return identifiers.ReplaceAllString(v, `"$1":""`)
	}
	return value
}

// shorten puts an entry of a history into one line, without who made the change: that is only in the memory of the
// operator that made it, and one that crashed has told nobody.
func shorten(fields map[string]any) {
	history, _ := fields["history"].([]any)
	for i := range history {
		if entry, ok := history[i].(map[string]any); ok {
			history[i] = fmt.Sprint(told, entry["change"], " ", entry["tag"])
		}
	}
}
