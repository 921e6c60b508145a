package edit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
)

// Owner is what one field manager declared on an object, by its managed fields.
type Owner struct {
	// Manager is the field manager, such as "argocd-controller".
	Manager string
	// Time of the manager's last write; nil where the API server did not say.
	Time *metav1.Time
	// Tags are the items of spec.tags, ExcludeTags those of spec.excludeTags, Labels and Annotations the keys that it set.
	Tags, ExcludeTags, Labels, Annotations map[string]bool
}

// OwnersOf gives the field managers of an object, newest first, in a stable order. An entry that can't be read names
// nobody: who declared a tag is a courtesy.
func OwnersOf(run *v1alpha1.TrainingRun) []Owner {
	var owners []Owner
	for _, entry := range run.ManagedFields {
		if entry.Subresource != "" || entry.FieldsV1 == nil || entry.Manager == "" {
			continue
		}
		var fields struct {
			Spec struct {
				Tags        map[string]json.RawMessage `json:"f:tags"`
				ExcludeTags map[string]json.RawMessage `json:"f:excludeTags"`
			} `json:"f:spec"`
			Metadata struct {
				Labels      map[string]json.RawMessage `json:"f:labels"`
				Annotations map[string]json.RawMessage `json:"f:annotations"`
			} `json:"f:metadata"`
		}
		if err := json.NewDecoder(bytes.NewReader(entry.FieldsV1.GetRawBytes())).Decode(&fields); err != nil {
			continue
		}
		owners = append(owners, Owner{
			Manager: entry.Manager, Time: entry.Time,
			Tags: items(fields.Spec.Tags), ExcludeTags: items(fields.Spec.ExcludeTags),
			Labels: keys(fields.Metadata.Labels), Annotations: keys(fields.Metadata.Annotations),
		})
	}
	slices.SortStableFunc(owners, func(a, b Owner) int {
		switch {
		case a.Time == nil || b.Time == nil || a.Time.Equal(b.Time):
			return strings.Compare(a.Manager, b.Manager)
		case b.Time.Before(a.Time):
			return -1
		}
		return 1
	})
	return owners
}

// keys reads the fields of a map: "f:" and the key.
func keys(fields map[string]json.RawMessage) map[string]bool {
	set := map[string]bool{}
	for field := range fields {
		if key, ok := strings.CutPrefix(field, "f:"); ok {
			set[key] = true
		}
	}
	return set
}

// items reads the items of a list of type set: "v:" and the item as JSON.
func items(fields map[string]json.RawMessage) map[string]bool {
	set := map[string]bool{}
	for field := range fields {
		var item string
		if value, ok := strings.CutPrefix(field, "v:"); ok && json.Unmarshal([]byte(value), &item) == nil {
			set[item] = true
		}
	}
	return set
}

// declaredIn says where spec.tags declares a tag: by which field managers.
func (d *draft) declaredIn(name string) string {
	return "spec.tags" + writtenBy(d.Object, func(o Owner) bool {
		for item := range o.Tags {
			if d.canonical(item) == name {
				return true
			}
		}
		return false
	})
}

// writtenBy names the field managers of what is asked for, or is empty.
func writtenBy(run *v1alpha1.TrainingRun, owns func(Owner) bool) string {
	var managers []string
	for _, o := range OwnersOf(run) {
		if owns(o) && !slices.Contains(managers, o.Manager) {
			managers = append(managers, o.Manager)
		}
	}
	if len(managers) == 0 {
		return ""
	}
	return " (written by " + strings.Join(managers, ", ") + ")"
}
