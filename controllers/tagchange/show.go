package tagchange

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/bulk"
	"github.com/runtag/runtag/internal/kstatus"
)

// show ends a pass over what is not to be changed: a query, whose runs go into ConfigMaps, or a change that is not to be
// applied yet, of which it counts what it would do.
func (c *Controller) show(ctx context.Context, s *scope) (bool, error) {
	st := &s.change.Status
	if s.isQuery() {
		return true, c.answer(ctx, s)
	}
	if s.change.Spec.Apply {
		return false, nil
	}
	if st.Planned != nil && st.ObservedGeneration == s.change.Generation {
		s.settled = true // counted before; the runs are not listed again and again
		return true, nil
	}
	st.Matched, st.Skipped, st.Sample = count(s.memory.matched), nil, nil
	planned := 0
	for _, it := range s.memory.todo {
		if it.entry == nil {
			edit, err := c.planOne(ctx, s, it.run)
			if err != nil {
				return false, err
			}
			if edit.Empty() {
				continue
			}
		}
		if planned++; len(st.Sample) < sampleSize {
			st.Sample = append(st.Sample, it.run.ID)
		}
	}
	st.Planned = count(planned)
	s.memory.listed, s.memory.todo = false, nil // listed anew once it is applied
	s.state = kstatus.State{
		Ready: metav1.ConditionTrue, Reason: v1alpha1.ReasonCounted,
		Message: fmt.Sprintf("%d runs match, and tags of %d would change; set spec.apply to true to do it", s.memory.matched, planned),
	}
	return true, nil
}

// answer writes the runs that a query found into ConfigMaps.
func (c *Controller) answer(ctx context.Context, s *scope) error {
	d := s.tracker.Backend().Dialect()
	matches := make([]bulk.Match, 0, len(s.memory.todo))
	for _, it := range s.memory.todo {
		run := it.run
		m := bulk.Match{ID: run.ID, Name: run.Name, State: string(run.State)}
		for key, raw := range run.Tags {
			m.Tags = append(m.Tags, d.FormatRaw(key, raw))
		}
		matches = append(matches, m)
	}
	st := &s.change.Status
	st.Matched, st.Matches = count(s.memory.matched), nil
	for i, text := range bulk.MatchPages(matches) {
		p := page{name: pageName(s.change, "matches", i)}
		if err := c.putPage(ctx, s, &p, text); err != nil {
			return err
		}
		st.Matches = append(st.Matches, p.name)
	}
	s.memory.todo = nil
	s.state = kstatus.State{
		Ready: metav1.ConditionTrue, Reason: v1alpha1.ReasonQueried,
		Message: fmt.Sprintf("%d runs match; the ConfigMaps of status.matches list them", s.memory.matched),
	}
	s.over()
	return nil
}

// begin writes down that the change begins, before anything is changed.
func (c *Controller) begin(_ context.Context, s *scope) (bool, error) {
	st := &s.change.Status
	if st.StartedAt != nil {
		return false, nil
	}
	at := metav1.NewTime(s.now.UTC().Truncate(1e9))
	st.StartedAt, st.Matched, st.Changed, st.Done, st.Skipped, st.Sample = &at, count(s.memory.matched), count(0), 0, nil, nil
	st.Planned = count(s.left())
	s.wait(v1alpha1.ReasonChanging, fmt.Sprintf("%d runs match, and are changed now", s.memory.matched), 1)
	return true, nil
}

// left is how many runs are still to be looked at.
func (s *scope) left() int { return len(s.memory.todo) + len(s.memory.again) }

// finish ends a change of which nothing is left.
func (c *Controller) finish(_ context.Context, s *scope) (bool, error) {
	st := &s.change.Status
	s.state = kstatus.State{
		Ready: metav1.ConditionTrue, Reason: v1alpha1.ReasonChanged,
		Message: fmt.Sprintf("tags of %d of %d runs were changed", *st.Changed, *st.Matched),
	}
	if skipped := len(st.Skipped); skipped > 0 {
		s.state.Message += "; status.skipped says what was left alone"
	}
	s.over()
	return true, nil
}
