package trainingrun

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/tags"
)

// Bounds of the status, as in the CRD.
const (
	maxTags     = 256
	maxTagNames = 120
	maxHistory  = 10
	maxPending  = 512
	maxText     = 250
)

// writeStatus patches the status, once and only if it changed, with resourceVersion: a pass over an old object writes
// nothing.
func (c *Controller) writeStatus(ctx context.Context, s *scope) error {
	s.gatherPods()
	if equality.Semantic.DeepEqual(s.stored.Status, s.run.Status) {
		return nil
	}
	patch := client.MergeFromWithOptions(s.stored, client.MergeFromWithOptimisticLock{})
	history := s.run.Status.History
	if err := c.Client.Status().Patch(ctx, s.run, patch); err != nil {
		s.memory.offered, s.memory.offeredCount = history, len(s.memory.done)
		return fmt.Errorf("write status of TrainingRun %s: %w", s.key(), err)
	}
	s.memory.done = nil
	for _, change := range s.seen {
		c.report(s.run, s.run.Status.Run, change, "")
	}
	if lost := s.lost(); lost > 0 {
		c.Metrics.Drifted(lost)
	}
	return nil
}

// gatherPods puts off a write of nothing but links for a while, so that the pods of a large job do not make one each.
func (s *scope) gatherPods() {
	now, before := &s.run.Status, &s.stored.Status
	if equality.Semantic.DeepEqual(now.Pods, before.Pods) {
		return
	}
	if wait := s.memory.podsAt.Add(podsEvery).Sub(s.now); wait > 0 && len(before.Pods) > 0 {
		links := now.Pods
		if now.Pods = before.Pods; equality.Semantic.DeepEqual(*now, *before) {
			s.due(wait)
			return
		}
		now.Pods = links
	}
	s.memory.podsAt = s.now
}

// fillTags writes what is on the run and should be, the ownership record, and what changed since the last status.
func (c *Controller) fillTags(s *scope) {
	st, p := &s.run.Status, s.planned
	setRecord(st, p.Record)
	st.Pending = nil
	if len(p.Pending.Add)+len(p.Pending.Remove) > 0 {
		st.Pending = &v1alpha1.PendingTags{Add: cutList(p.Pending.Add), Remove: cutList(p.Pending.Remove)}
	}
	st.Tags, st.TagCount = nil, 0
	var names []string
	taken := map[string]bool{}
	for _, e := range p.Entries {
		if e.Present {
			st.TagCount++
			names = append(names, e.Name)
		}
	}
	for _, e := range s.byWorth(p.Entries) {
		name, source := Shorten(e.Name, maxText), v1alpha1.TagSource(e.Source)
		if len(st.Tags) == maxTags || taken[name] {
			continue
		}
		taken[name] = true
		st.Tags = append(st.Tags, v1alpha1.TagStatus{
			Name: name, Source: source, Rule: e.Rule, Reason: s.reasonOf(e), Since: s.since(name, source), Present: e.Present,
		})
	}
	st.TagNames = Shorten(strings.Join(names, ","), maxTagNames)
	s.recordLabels()
	s.noteHistory()
}

// reasonOf says what made the rule true that declares a tag.
func (s *scope) reasonOf(e tags.Entry) string {
	for _, f := range s.facts.Facts {
		if f.Rule == e.Rule && f.Tag == e.Name && e.Source == tags.Rule {
			return Shorten(f.Reason, maxText)
		}
	}
	return ""
}

// byWorth puts first what must not be cut from the status: what is declared, then what has a label, whose absence would
// be a person's wish.
func (s *scope) byWorth(entries []tags.Entry) []tags.Entry {
	rank := func(e tags.Entry) int {
		switch {
		case e.Source != tags.Run:
			return 0
		case mirror.IsShown(s.input.Dialect, e.Name, s.run.Labels):
			return 1
		}
		return 2
	}
	return slices.SortedStableFunc(slices.Values(entries), func(a, b tags.Entry) int { return cmp.Compare(rank(a), rank(b)) })
}

// since is when a tag was first seen with this source.
func (s *scope) since(name string, source v1alpha1.TagSource) metav1.Time {
	for _, t := range s.stored.Status.Tags {
		if t.Name == name && t.Source == source {
			return t.Since
		}
	}
	return metav1.NewTime(s.now)
}

// noteHistory adds what changed since the last status: what we did, and what we see that somebody else did.
func (s *scope) noteHistory() {
	s.memory.takeBack(s.stored.Status.History)
	before, complete := presentTags(&s.stored.Status)
	if complete && s.stored.Status.Run != nil && s.stored.Status.Run.UID == s.run.Status.Run.UID {
		for _, change := range tags.Diff(s.setOf(before), s.setOf(s.observed()), s.input.Dialect) {
			if !s.ours(change) && !s.underWay(change) {
				s.seen = append(s.seen, historyEntry(change, s.now, v1alpha1.TagSourceRun, s.tracker.ByWhom(s.id, change.Name)))
			}
		}
	}
	if len(s.seen) > 0 && s.run.Status.Run.Stale { // it lives after all, as the next pass finds in the history
		s.due(soon)
	}
	entries := slices.Concat(s.memory.done, s.seen)
	if len(entries) == 0 {
		return
	}
	slices.SortStableFunc(entries, func(a, b v1alpha1.TagHistory) int { return b.Time.Compare(a.Time.Time) })
	s.run.Status.History = slices.Concat(entries, s.run.Status.History)
	s.run.Status.History = s.run.Status.History[:min(len(s.run.Status.History), maxHistory)]
}

// takeBack forgets what turns out to be in the stored history: the write that brought it there was carried out, and its
// answer was lost.
func (m *memory) takeBack(stored []v1alpha1.TagHistory) {
	if m.offeredCount > 0 && equality.Semantic.DeepEqual(stored, m.offered) {
		m.done = m.done[m.offeredCount:]
	}
	m.offered, m.offeredCount = nil, 0
}

// setOf makes a set of tags by the names that a status lists; a name that was cut stands for itself.
func (s *scope) setOf(names []string) tags.Set {
	set := tags.Set{}
	for _, name := range names {
		tag, err := s.input.Dialect.Parse(name)
		if err != nil {
			tag = tags.Tag{Key: name}
		}
		set[tag.Key] = tag.Value
	}
	return set
}

// observed lists the tags on the run as a status would.
func (s *scope) observed() []string {
	var names []string
	for _, e := range s.planned.Entries {
		if e.Present {
			names = append(names, Shorten(e.Name, maxText))
		}
	}
	return names
}

// ours says whether we made this change.
func (s *scope) ours(change tags.SeenChange) bool {
	return slices.ContainsFunc(s.memory.done, func(h v1alpha1.TagHistory) bool {
		return h.Tag == Shorten(change.Name, maxText) && (string(h.Change) == string(change.Kind) || h.Change == v1alpha1.TagChanged)
	})
}

// underWay says whether this may be a change of ours of which we have not been told yet.
func (s *scope) underWay(change tags.SeenChange) bool {
	tag, err := s.input.Dialect.Parse(change.Name)
	if err != nil || !s.memory.unsettled {
		return false
	}
	_, set := s.memory.edit.Set[tag.Key]
	return set && change.Kind != tags.WasRemoved || slices.Contains(s.memory.edit.Remove, tag.Key) && change.Kind == tags.WasRemoved
}

// lost counts the declared tags that were on the run and that somebody took off.
func (s *scope) lost() int {
	lost := 0
	for _, h := range s.seen {
		if h.Change == v1alpha1.TagRemoved && slices.Contains(s.run.Spec.Tags, h.Tag) {
			lost++
		}
	}
	return lost
}

// presentTags lists the tags that were on the run at the last status, and says whether that is all of them.
func presentTags(st *v1alpha1.TrainingRunStatus) (names []string, complete bool) {
	for _, t := range st.Tags {
		if t.Present {
			names = append(names, t.Name)
		}
	}
	return names, int(st.TagCount) == len(names)
}

// runStatus shows the run as it was seen last.
func runStatus(s *scope) *v1alpha1.RunStatus {
	r := s.view.Run
	return &v1alpha1.RunStatus{
		ID: r.ID, UID: r.UID, DisplayName: Shorten(r.Name, maxText), State: string(r.State), URL: r.URL,
		CreatedAt: s.localTime(r.CreatedAt), FinishedAt: s.localTime(r.FinishedAt),
		Host: Shorten(r.Host, maxText), User: Shorten(r.User, maxText), Group: Shorten(r.Group, maxText), JobType: Shorten(r.JobType, maxText),
		Attempts: int32(s.view.Attempt), //nolint:gosec // counts resumes of one run
	}
}

// localTime gives a time of the tracker by our clock. A correction that moves by a second now and then is no news.
func (s *scope) localTime(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	local := metav1.NewTime(s.tracker.ToLocal(t).Truncate(time.Second))
	return &local
}

// KnownRun is the run as the status shows it; its UID is empty if the status knows none.
func KnownRun(run *v1alpha1.TrainingRun) backend.Run {
	r := run.Status.Run
	if r == nil {
		return backend.Run{}
	}
	return backend.Run{ID: r.ID, UID: r.UID, Name: r.DisplayName, State: backend.State(r.State), Host: r.Host}
}

func endedAt(r *v1alpha1.RunStatus) time.Time {
	switch {
	case r.Stale && r.CreatedAt != nil:
		return r.CreatedAt.Add(staleAfter)
	case backend.State(r.State).Active():
		return time.Time{}
	case r.FinishedAt != nil:
		return r.FinishedAt.Time
	case r.CreatedAt != nil:
		return r.CreatedAt.Time
	}
	return time.Unix(0, 0)
}

// DeclarationsHash is what status.observedDeclarations says once a pass has seen all that the object declares and asks for
// now; it is the same as long as nothing of that changes.
func DeclarationsHash(run *v1alpha1.TrainingRun) string {
	hash := fnv.New64a()
	spec, err := json.Marshal(run.Spec)
	if err != nil { // plain strings always marshal
		panic(err)
	}
	_, _ = hash.Write(spec)
	_, _ = hash.Write([]byte("\x00" + declarations(&run.ObjectMeta)))
	return fmt.Sprintf("%016x", hash.Sum64())
}

func historyEntry(change tags.SeenChange, at time.Time, source v1alpha1.TagSource, by string) v1alpha1.TagHistory {
	return v1alpha1.TagHistory{
		Time: metav1.NewTime(at.Truncate(time.Second)), Tag: Shorten(change.Name, maxText), Change: v1alpha1.TagChangeKind(change.Kind),
		Source: source, By: Shorten(by, 128),
	}
}
