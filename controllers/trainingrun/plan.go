package trainingrun

import (
	"context"
	"errors"
	"slices"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// collect gathers what the plan depends on, apart from rules: what is on the run, and what people declare.
func (c *Controller) collect(ctx context.Context, s *scope) (bool, error) {
	elsewhere, err := c.declaredElsewhere(ctx, s.run, s.view.Run)
	if err != nil {
		return false, err
	}
	s.input = tags.Input{
		Dialect:   s.dialect(),
		RunUID:    s.view.Run.UID,
		Observed:  s.view.Run.Tags,
		Declared:  declared(s.run),
		Excluded:  s.run.Spec.ExcludeTags,
		Elsewhere: elsewhere,
		Record:    s.memory.disowned(s.inherit(record(&s.stored.Status), s.view.Run.UID)),
		Policy:    Policy(s.run.Spec.TagPolicy),
		Ceiling:   min(s.tracker.Ceiling(), c.Ceiling),
		HeldUntil: s.memory.contest.Held(s.now),
		EndedAt:   endedAt(s.run.Status.Run),
		Now:       s.now,
	}
	s.declareLabels(&s.input)
	return false, nil
}

// plan decides what to do about the run's tags, on what was last seen of it.
func (c *Controller) plan(_ context.Context, s *scope) (bool, error) {
	s.planned, s.hasPlan = s.planner()(s.input), true
	return false, nil
}

// planner is how to plan for the object: as declared, or on its way out.
func (s *scope) planner() func(tags.Input) tags.Plan {
	if s.releasing {
		return tags.Release
	}
	return tags.Make
}

// finishRelease lets a deleted object go once its tags are off the run.
func (c *Controller) finishRelease(ctx context.Context, s *scope) (bool, error) {
	switch {
	case !s.releasing || s.hasWork():
		return false, nil
	case len(s.planned.Pending.Remove) > 0:
		return true, c.letGo(ctx, s, "the policy does not allow to take "+list(s.planned.Pending.Remove)+" off")
	}
	return true, c.release(ctx, s)
}

// declared collects what the object declares, by source.
func declared(run *v1alpha1.TrainingRun) []tags.Declarations {
	spec := tags.Declarations{Name: "spec.tags", Tags: make([]tags.Declaration, 0, len(run.Spec.Tags))}
	for _, tag := range run.Spec.Tags {
		spec.Tags = append(spec.Tags, tags.Declaration{Tag: tag, Source: tags.Spec})
	}
	return []tags.Declarations{spec}
}

// dialect is what the tracker takes, less what it has refused lately of this object.
func (s *scope) dialect() tags.Dialect {
	dialect := s.tracker.Backend().Dialect()
	if len(s.memory.refused) == 0 {
		return dialect
	}
	refused, check := map[string]string{}, dialect.CheckKey
	for name, message := range s.memory.refused {
		if tag, err := dialect.Parse(name); err == nil {
			refused[tag.Key] = message
		}
	}
	dialect.CheckKey = func(key string) error {
		if message, ok := refused[key]; ok {
			return errors.New(message)
		}
		if check != nil {
			return check(key)
		}
		return nil
	}
	return dialect
}

// refuse notes a tag that the tracker did not take although our own rules do.
func (m *memory) refuse(err error) {
	var e *backend.Error
	if !errors.As(err, &e) || e.Tag == "" {
		return
	}
	if m.refused == nil {
		m.refused = map[string]string{}
	}
	m.refused[e.Tag] = e.Message
}

// declaredElsewhere lists what other TrainingRuns of the cluster declare on the same run.
func (c *Controller) declaredElsewhere(ctx context.Context, run *v1alpha1.TrainingRun, on backend.Run) ([]string, error) {
	same, err := OfIncarnation(ctx, c.Client, on.ID, on.UID)
	if err != nil {
		return nil, err
	}
	var elsewhere []string
	for _, other := range same {
		if other.UID == run.UID || !other.DeletionTimestamp.IsZero() {
			continue
		}
		for _, tag := range slices.Concat(other.Spec.Tags, declaredByStatus(other)) {
			if !slices.Contains(other.Spec.ExcludeTags, tag) {
				elsewhere = append(elsewhere, tag)
			}
		}
	}
	return elsewhere, nil
}

// declaredByStatus are the tags that labels, annotations and rules of a TrainingRun declare, as its status says.
func declaredByStatus(run *v1alpha1.TrainingRun) []string {
	var names []string
	for _, t := range run.Status.Tags {
		if t.ByLabel || t.ByAnnotation || t.Source == v1alpha1.TagSourceRule {
			names = append(names, t.Name)
		}
	}
	return names
}

// Policy reads a policy that the API server has validated; one that this operator does not know may do the least.
func Policy(p v1alpha1.TagPolicy) tags.Policy {
	parsed, err := tags.ParsePolicy(string(p))
	if err != nil {
		return tags.Observe
	}
	return parsed
}
