package trainingrun

import (
	"bytes"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/intern"
)

// shared are the texts that objects of the cache share. There is one for the process, since each watched namespace has an
// informer of its own.
var shared = struct {
	sync.Mutex
	*intern.Interner
}{Interner: intern.New()}

// compact halves the room that a decoded object takes: decoding leaves lists with room to grow, and gives each object a
// copy of its own of what most of them say. What is unique to an object is left alone, so that it does not push the rest out.
func compact(run *v1alpha1.TrainingRun) {
	shared.Lock()
	defer shared.Unlock()
	share := shared.Text
	run.Kind, run.APIVersion, run.Namespace = share(run.Kind), share(run.APIVersion), share(run.Namespace)
	run.Labels = texts(run.Labels)
	compactManagedFields(run)

	spec, status := &run.Spec, &run.Status
	spec.ProjectRef.Name = share(spec.ProjectRef.Name)
	spec.TagPolicy, spec.DeletionPolicy = v1alpha1.TagPolicy(share(string(spec.TagPolicy))), v1alpha1.DeletionPolicy(share(string(spec.DeletionPolicy)))
	spec.Tags, spec.ExcludeTags = fitted(spec.Tags), fitted(spec.ExcludeTags)
	intern.Texts(shared.Interner, spec.Tags)
	intern.Texts(shared.Interner, spec.ExcludeTags)

	status.TagNames = share(status.TagNames)
	status.Conditions, status.Tags, status.AppliedTags = fitted(status.Conditions), fitted(status.Tags), fitted(status.AppliedTags)
	status.RemovedTags, status.RuleTags, status.History = fitted(status.RemovedTags), fitted(status.RuleTags), fitted(status.History)
	status.Pods = fitted(status.Pods)
	for i := range status.Conditions {
		c := &status.Conditions[i]
		c.Type, c.Status, c.Reason, c.Message = share(c.Type), metav1.ConditionStatus(share(string(c.Status))), share(c.Reason), share(c.Message)
	}
	for i := range status.Tags {
		t := &status.Tags[i]
		t.Name, t.Source, t.Rule = share(t.Name), v1alpha1.TagSource(share(string(t.Source))), share(t.Rule)
	}
	for i := range status.AppliedTags {
		status.AppliedTags[i].Name = share(status.AppliedTags[i].Name)
	}
	for i := range status.RemovedTags {
		status.RemovedTags[i].Name = share(status.RemovedTags[i].Name)
	}
	for i := range status.RuleTags {
		t := &status.RuleTags[i]
		t.Rule, t.Tag, t.State = share(t.Rule), share(t.Tag), v1alpha1.RuleTagState(share(string(t.State)))
	}
	for i := range status.History {
		h := &status.History[i]
		h.Tag, h.Change, h.Source, h.By = share(h.Tag), v1alpha1.TagChangeKind(share(string(h.Change))), v1alpha1.TagSource(share(string(h.Source))), share(h.By)
	}
	for i := range status.Pods {
		p := &status.Pods[i]
		p.Node, p.BoundBy = share(p.Node), share(p.BoundBy)
	}
	if r := status.Run; r != nil {
		r.State, r.User, r.Group, r.JobType = share(r.State), share(r.User), share(r.Group), share(r.JobType)
		if r.ID == spec.RunID {
			r.ID = spec.RunID
		}
	}
}

// compactManagedFields lets equal sets of fields share their memory: they are those of the labels, which say the tags.
func compactManagedFields(run *v1alpha1.TrainingRun) {
	run.ManagedFields = fitted(run.ManagedFields)
	for i := range run.ManagedFields {
		e := &run.ManagedFields[i]
		e.Manager, e.APIVersion, e.FieldsType = shared.Text(e.Manager), shared.Text(e.APIVersion), shared.Text(e.FieldsType)
		e.Operation = metav1.ManagedFieldsOperationType(shared.Text(string(e.Operation)))
		if e.FieldsV1 == nil {
			continue
		}
		raw := e.FieldsV1.GetRawBytes()
		sum := intern.Sum(shared.Interner, string(raw))
		if same, ok := shared.Find(sum).(*metav1.FieldsV1); ok && bytes.Equal(same.GetRawBytes(), raw) {
			e.FieldsV1 = same
		} else {
			shared.Keep(sum, e.FieldsV1)
		}
	}
}

// texts gives a map whose keys and values are shared.
func texts(m map[string]string) map[string]string {
	if len(m) == 0 {
		return m
	}
	own := make(map[string]string, len(m))
	for key, value := range m {
		own[shared.Text(key)] = shared.Text(value)
	}
	return own
}

// fitted gives a list without room to grow; an empty one is left as it is.
func fitted[T any](list []T) []T {
	if len(list) == cap(list) {
		return list
	}
	return append(make([]T, 0, len(list)), list...)
}
