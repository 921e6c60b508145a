package trainingrun

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/tags"
)

// ignore ends a pass over an imported object that a person wants nothing done about.
func (c *Controller) ignore(_ context.Context, s *scope) (bool, error) {
	s.ignored = Imported(s.run) && s.run.Annotations[mirror.AnnotationIgnore] == "true" &&
		s.run.DeletionTimestamp.IsZero()
	return s.ignored, nil
}

// readLabels finds out what people did to the labels and annotations since the last status was written.
func (c *Controller) readLabels(ctx context.Context, s *scope) (bool, error) {
	if s.releasing {
		return false, nil
	}
	s.lists = mirror.ReadLists(s.run.Annotations)
	s.labels = mirror.Input{
		Dialect: s.tracker.Backend().Dialect(), Labels: s.run.Labels, Wrote: wrote(ctx, s.run), Entries: entriesOf(&s.stored.Status),
		Observed: s.tracker.Snapshot.Get(RunID(s.run)).Run.Tags, MayRemove: c.mayRemove(s),
		Seen: s.stored.Status.ObservedDeclarations != "",
	}
	s.reading = mirror.Read(s.labels)
	if !s.reading.Wiped {
		return false, nil
	}
	if wait := s.memory.wipedAt.Add(s.memory.wipeWait).Sub(s.now); wait > 0 {
		s.assumeRestored(wait)
		return false, nil
	}
	return true, c.restoreLabels(ctx, s)
}

// assumeRestored goes on with the labels that are going to come back after this wait.
func (s *scope) assumeRestored(wait time.Duration) {
	s.due(wait)
	s.wiped = true
	s.labels.Labels = maps.Clone(s.reading.Restored)
	maps.Copy(s.labels.Labels, s.identity())
	s.reading = mirror.Read(s.labels)
}

// mayRemove says whether the effective policy may take tags off.
func (c *Controller) mayRemove(s *scope) bool {
	return min(Policy(s.run.Spec.TagPolicy), s.tracker.Ceiling(), c.Ceiling) >= tags.Merge
}

// wrote gives the labels that we own, by the managed fields.
func wrote(ctx context.Context, run *v1alpha1.TrainingRun) map[string]bool {
	labels := map[string]bool{}
	for _, entry := range run.ManagedFields {
		if entry.Manager != FieldManager || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		if err := mirror.Written(entry.FieldsV1.GetRawBytes(), labels); err != nil {
			log.FromContext(ctx).Info("can't tell which labels runtag wrote; those with a value that status does not record count as a person's", "error", err.Error())
		}
	}
	return labels
}

// restoreLabels brings identity and all that status records of labels and annotations back in one patch, after something
// that does not know them replaced the metadata. Against one that does so again and again it waits longer each time.
func (c *Controller) restoreLabels(ctx context.Context, s *scope) error {
	s.waiting = true
	if s.now.Sub(s.memory.wipedAt) > 2*lastRetry { // the last time is long ago
		s.memory.wipeWait = 0
	}
	s.memory.wipeWait = min(max(2*s.memory.wipeWait, firstRetry), lastRetry)
	s.memory.wipedAt = s.now
	labels := maps.Clone(s.reading.Restored)
	maps.Copy(labels, s.identity())
	annotations := map[string]any{}
	if names := s.restoredList(); len(s.lists.Unread) == 0 && !slices.Equal(names, s.lists.Tags) {
		annotations[mirror.AnnotationTags] = mirror.Text(names)
	}
	if err := c.patchMetadata(ctx, s, changed(labels, s.run.Labels), annotations); err != nil {
		return err
	}
	c.Recorder.Eventf(s.run, nil, corev1.EventTypeWarning, "LabelsWiped", "Mirror",
		"the labels were replaced by something that does not know those of runtag; they are back, and no tag was taken off")
	s.due(soon)
	return nil
}

// restoredList are the tags that the annotations declare, and those that they declared last and that nobody asks off.
func (s *scope) restoredList() []string {
	names := slices.Clone(s.lists.Tags)
	for _, t := range s.stored.Status.Tags {
		if t.ByAnnotation && !slices.Contains(names, t.Name) && !slices.Contains(s.lists.Remove, t.Name) {
			names = append(names, t.Name)
		}
	}
	return names
}

// declareLabels adds what labels and annotations declare to the input of the plan.
func (s *scope) declareLabels(in *tags.Input) {
	if s.releasing {
		return
	}
	labels := tags.Declarations{Name: "labels"}
	for _, name := range s.reading.Declared {
		labels.Tags = append(labels.Tags, tags.Declaration{Tag: name, Source: tags.Label})
	}
	annotations := tags.Declarations{Name: "annotation " + mirror.AnnotationTags}
	s.byAnnotation = s.lists.Declared()
	if len(s.lists.Unread) > 0 {
		annotations.Name, annotations.Unknown = strings.Join(slices.Sorted(maps.Values(s.lists.Unread)), "; "), true
	}
	if len(s.lists.Unread) > 0 || s.wiped {
		for _, t := range s.stored.Status.Tags {
			if t.ByAnnotation && !slices.Contains(s.byAnnotation, t.Name) {
				s.byAnnotation = append(s.byAnnotation, t.Name)
			}
		}
	}
	for _, name := range s.byAnnotation {
		annotations.Tags = append(annotations.Tags, tags.Declaration{Tag: name, Source: tags.Label})
	}
	in.Declared = append(in.Declared, labels, annotations)
	in.Requested = slices.Concat(s.reading.Requested, s.lists.Remove)
	in.Forgotten = s.reading.Forgotten
}

// mirrorLabels writes the labels and annotations as they should be now: a label is put on before status records it, and
// taken off only after status has forgotten it. Where the labels were not read, identity is written only before there is
// any status: later, that it is gone tells a wipe.
func (c *Controller) mirrorLabels(ctx context.Context, s *scope) error {
	if s.releasing || s.wiped || s.labels.Dialect.Tracker == "" && s.stored.Status.ObservedDeclarations != "" {
		return nil
	}
	want := maps.Clone(s.run.Labels)
	if s.hasPlan {
		want = mirror.Merge(s.run.Labels, mirror.Labels(s.labels, s.reading, s.shown()))
	}
	if want == nil {
		want = map[string]string{}
	}
	for _, key := range identityKeys {
		delete(want, key)
	}
	maps.Copy(want, s.identity())
	if err := c.patchMetadata(ctx, s, changed(want, s.run.Labels), s.settledLists()); err != nil {
		return err
	}
	if s.hasPlan {
		c.announceReturned(s)
	}
	return nil
}

// shown lists the tags that may have a label: those that the plan takes off do not stay.
func (s *scope) shown() []mirror.Shown {
	leaving := map[string]bool{}
	for _, key := range s.planned.Edit.Remove {
		leaving[key] = true
	}
	shown := make([]mirror.Shown, 0, len(s.planned.Entries))
	for _, e := range s.planned.Entries {
		tag, err := s.input.Dialect.Parse(e.Name)
		shown = append(shown, mirror.Shown{Name: e.Name, Source: e.Source, Present: e.Present && (err != nil || !leaving[tag.Key])})
	}
	return shown
}

// recordLabels writes into the status what is mirrored, now that the labels are there, and forgets what is going to go.
func (s *scope) recordLabels() {
	if s.releasing {
		return
	}
	recorded := map[string]mirror.Entry{}
	shown, labels := s.shown(), s.run.Labels
	if s.wiped {
		labels = s.labels.Labels
	}
	for _, e := range mirror.Record(s.labels, s.reading, shown, labels) {
		recorded[e.Name] = e
	}
	at := map[string]int{}
	for i := range s.run.Status.Tags {
		t := &s.run.Status.Tags[i]
		at[t.Name] = i
		t.Mirrored, t.ByLabel = recorded[t.Name].Mirrored, recorded[t.Name].Person
		t.ByAnnotation = slices.Contains(s.byAnnotation, t.Name)
	}
	if !s.wiped && !mirror.AtRest(s.labels, s.reading, shown, labels) { // forgotten now; the next pass takes it off, or puts it on as ours
		s.due(soon)
	}
	for name, e := range recorded { // such as a label for a tag that is excluded
		if _, there := at[name]; !there && e.Mirrored && len(s.run.Status.Tags) < maxTags {
			s.run.Status.Tags = append(s.run.Status.Tags, v1alpha1.TagStatus{
				Name: name, Source: v1alpha1.TagSourceLabel, Since: s.since(name, v1alpha1.TagSourceLabel), Mirrored: true, ByLabel: e.Person,
			})
		}
	}
	slices.SortFunc(s.run.Status.Tags, func(a, b v1alpha1.TagStatus) int { return strings.Compare(a.Name, b.Name) })
}

// settledLists gives the annotations that have to change: additions move into the list at once, removals are cleared
// when they are written down, or when there is nothing to remove.
func (s *scope) settledLists() map[string]any {
	if !s.hasPlan {
		return nil
	}
	var open []string
	for _, name := range s.lists.Remove {
		recorded := slices.ContainsFunc(s.stored.Status.RemovedTags, func(r v1alpha1.RemovedTag) bool { return r.Name == name })
		stays := slices.ContainsFunc(s.planned.Entries, func(e tags.Entry) bool { return e.Name == name && e.Present && e.Source == tags.Run })
		if stays && !recorded {
			open = append(open, name)
		}
	}
	return s.lists.Settled(open...)
}

// announceReturned says of labels that a person took off why they are back.
func (c *Controller) announceReturned(s *scope) {
	for _, name := range s.reading.Returning {
		why := fmt.Sprintf("the policy %s takes no tags off", min(s.input.Policy, s.input.Ceiling))
		if slices.Contains(s.run.Spec.Tags, name) && s.labels.MayRemove {
			why = "spec.tags declares it"
			if manager := fieldManagers(s.run)[name]; manager != "" {
				why += ", written by " + manager
			}
		}
		c.Recorder.Eventf(s.run, nil, corev1.EventTypeNormal, "LabelReturned", "Mirror", "the label of tag %q is back: %s", name, why)
	}
}

// entriesOf reads what status recorded of the tags.
func entriesOf(st *v1alpha1.TrainingRunStatus) []mirror.Entry {
	entries := make([]mirror.Entry, 0, len(st.Tags))
	for _, t := range st.Tags {
		entries = append(entries, mirror.Entry{Name: t.Name, Source: tags.Source(t.Source), Mirrored: t.Mirrored, Person: t.ByLabel})
	}
	return entries
}
