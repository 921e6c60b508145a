package trainingrun

import (
	"bytes"
	"strings"

	"encoding/json"

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
