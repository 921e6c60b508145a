package trainingrun

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/tags"
)

// record reads the ownership record of a status.
func record(st *v1alpha1.TrainingRunStatus) tags.Record {
	var r tags.Record
	if st.Run != nil {
		r.RunUID = st.Run.UID
	}
	for _, a := range st.AppliedTags {
		r.Applied = append(r.Applied, tags.Applied{Name: a.Name, Replaced: a.Replaced})
	}
	for _, e := range st.RemovedTags {
		r.Removed = append(r.Removed, tags.Removed{Name: e.Name, At: e.At.Time, Back: int(e.Back), Gone: e.Gone, Replaced: e.Replaced})
	}
	return r
}

// setRecord writes the ownership record into a status whose run is set.
func setRecord(st *v1alpha1.TrainingRunStatus, r tags.Record) {
	st.AppliedTags, st.RemovedTags = nil, nil
	for _, a := range r.Applied {
		st.AppliedTags = append(st.AppliedTags, v1alpha1.AppliedTag{Name: a.Name, Replaced: a.Replaced})
	}
	for _, e := range r.Removed {
		st.RemovedTags = append(st.RemovedTags, v1alpha1.RemovedTag{
			Name: e.Name, At: metav1.NewTime(e.At), Back: int32(e.Back), Gone: e.Gone, Replaced: e.Replaced, //nolint:gosec // at most tags.MaxBack
		})
	}
}

// NoteRemovals writes into a status what somebody else is going to take off the run on a person's behalf, so that it is
// kept off like what this object took off, and takes out of it what is going to be put on. It says whether that changes
// anything.
func NoteRemovals(st *v1alpha1.TrainingRunStatus, d tags.Dialect, on tags.Set, edit tags.Edit, now time.Time) bool {
	r := record(st)
	before := record(st)
	names := func(keys []string, of tags.Set) (names []string) {
		for _, key := range keys {
			if raw, there := of[key]; there {
				names = append(names, d.FormatRaw(key, raw))
			}
		}
		return names
	}
	put := names(slices.Collect(maps.Keys(edit.Set)), edit.Set)
	r.Removed = slices.DeleteFunc(r.Removed, func(e tags.Removed) bool { return slices.Contains(put, e.Name) })
	for _, name := range names(slices.Concat(edit.Remove, slices.Collect(maps.Keys(edit.Set))), on) {
		known := slices.ContainsFunc(r.Removed, func(e tags.Removed) bool { return e.Name == name })
		if !known && !slices.Contains(put, name) && len(r.Removed) < tags.MaxRemoved {
			r.Removed = append(r.Removed, tags.Removed{Name: name, At: now.UTC().Truncate(time.Second)})
		}
	}
	if r.Equal(before) {
		return false
	}
	slices.SortFunc(r.Removed, func(a, b tags.Removed) int { return strings.Compare(a.Name, b.Name) })
	setRecord(st, r)
	return true
}

// settle takes note of what the read before a change says of tags that only rules declare: what was there before anything
// was sent is not ours. After a change whose outcome is unknown it may be, and after a restart.
func (m *memory) settle(found []string, sent bool) {
	for _, name := range found {
		if m.entering[name] {
			if m.foreign == nil {
				m.foreign = map[string]bool{}
			}
			m.foreign[name] = true
		}
	}
	if sent {
		m.entering = nil
	}
}

// enter notes the tags that only rules declare and that the plan writes down as ours before anything is sent.
func (m *memory) enter(entered []string) {
	for _, name := range entered {
		if m.entering == nil {
			m.entering = map[string]bool{}
		}
		m.entering[name] = true
		delete(m.foreign, name)
	}
}

// disowned takes out of a record the tags that turned out not to be ours.
func (m *memory) disowned(r tags.Record) tags.Record {
	if len(m.foreign) > 0 {
		r.Applied = slices.DeleteFunc(r.Applied, func(a tags.Applied) bool { return m.foreign[a.Name] })
	}
	return r
}

// fieldManagers says which field manager declared each tag by spec or label, from the managed fields that the API server
// returned with the last write.
func fieldManagers(run *v1alpha1.TrainingRun) map[string]string {
	managers := map[string]string{}
	for _, entry := range run.ManagedFields {
		if entry.Manager == FieldManager || entry.Subresource != "" || entry.FieldsV1 == nil || entry.Manager == "" {
			continue
		}
		var fields struct {
			Spec struct {
				Tags map[string]json.RawMessage `json:"f:tags"`
			} `json:"f:spec"`
			Metadata struct {
				Labels map[string]json.RawMessage `json:"f:labels"`
			} `json:"f:metadata"`
		}
		if err := json.NewDecoder(bytes.NewReader(entry.FieldsV1.GetRawBytes())).Decode(&fields); err != nil {
			continue // who declared a tag is a courtesy: an unreadable entry names nobody
		}
		for field := range fields.Metadata.Labels {
			key := strings.TrimPrefix(field, "f:")
			if name, ok := strings.CutPrefix(key, mirror.TagPrefix); ok {
				managers[name] = entry.Manager
			} else if name, ok := strings.CutPrefix(key, mirror.PairPrefix); ok {
				managers[name+"="+run.Labels[key]] = entry.Manager
			}
		}
		for field := range fields.Spec.Tags {
			var tag string
			if value, ok := strings.CutPrefix(field, "v:"); ok && json.Unmarshal([]byte(value), &tag) == nil {
				managers[tag] = entry.Manager
			}
		}
	}
	return managers
}
