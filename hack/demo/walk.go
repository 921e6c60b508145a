package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
)

// walk goes through the steps and ends at the first that does not lead to what it should.
func (s *stage) walk(ctx context.Context, steps []step) error {
	for _, st := range steps {
		if err := s.take(ctx, st); err != nil {
			return fmt.Errorf("step %q: %w", st.title, err)
		}
	}
	return nil
}

func (s *stage) take(ctx context.Context, st step) error {
	s.n.chapter(st.title, st.say)
	for _, command := range st.commands {
		if _, err := s.shell(ctx, command); err != nil {
			return err
		}
	}
	if st.run == "" {
		s.n.success("done")
		return nil
	}
	began, since := time.Now(), "the command"
	if err := s.await(ctx, "on the tracker", func() error {
		got, err := s.tracker.tags(ctx, st.run)
		if errors.Is(err, errNoRun) && !st.want.absent {
			began, since = time.Now(), "the run appeared"
		}
		return st.want.onTracker(got, err)
	}); err != nil {
		return s.explain(ctx, st, err)
	}
	took := time.Since(began)
	if err := s.await(ctx, "in Kubernetes", func() error {
		run, err := s.trainingRun(ctx, st.run)
		if err != nil {
			return err
		}
		return st.want.inKubernetes(run)
	}); err != nil {
		return s.explain(ctx, st, err)
	}
	if err := s.show(ctx, st.run); err != nil {
		return err
	}
	s.n.success("on the tracker %.1f s after %s", took.Seconds(), since)
	return nil
}

// explain adds to an error what both sides show.
func (s *stage) explain(ctx context.Context, st step, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return errors.Join(err, s.show(ctx, st.run), fmt.Errorf("the end of the operator's log:\n%s", tail(s.dir+"/manager.log", 10)))
}

// trainingRun reads the TrainingRun of a run; nil where there is none.
func (s *stage) trainingRun(ctx context.Context, run string) (*v1alpha1.TrainingRun, error) {
	found := &v1alpha1.TrainingRun{}
	err := s.cluster.Get(ctx, types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: object(run)}, found)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // no object is an answer, not an error
	}
	return found, err
}

// onTracker says what is not as it should be on the tracker.
func (w want) onTracker(got []string, err error) error {
	switch {
	case w.absent && errors.Is(err, errNoRun):
		return nil
	case err != nil:
		return err
	case w.absent:
		return fmt.Errorf("expected no such run, seen one with the tags %v", got)
	case !sameTags(got, w.tags):
		return fmt.Errorf("expected the tags %v, seen %v", sorted(w.tags), got)
	}
	return nil
}

// inKubernetes says what is not as it should be in Kubernetes.
func (w want) inKubernetes(run *v1alpha1.TrainingRun) error {
	switch {
	case run == nil && w.gone:
		return nil
	case run == nil:
		return errors.New("expected a TrainingRun, seen none")
	case w.gone:
		return errors.New("expected that the TrainingRun is gone, but it is there")
	}
	ready := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Reason != w.reason || ready.ObservedGeneration != run.Generation {
		return fmt.Errorf("expected Ready with reason %s for generation %d, seen %+v", w.reason, run.Generation, ready)
	}
	var present, foreign, pending []string
	for _, tag := range run.Status.Tags {
		if tag.Present {
			present = append(present, tag.Name)
		}
		if tag.Source == v1alpha1.TagSourceRun {
			foreign = append(foreign, tag.Name)
		}
	}
	if run.Status.Pending != nil {
		pending = run.Status.Pending.Add
	}
	for _, list := range []struct {
		what      string
		want, got []string
	}{{"tags", w.tags, present}, {"tags of the run's own", w.foreign, foreign}, {"pending", w.pending, pending}} {
		if !sameTags(list.got, list.want) {
			return fmt.Errorf("expected in status the %s %v, seen %v", list.what, sorted(list.want), list.got)
		}
	}
	return nil
}

func sorted(tags []string) []string { return slices.Sorted(slices.Values(tags)) }

func sameTags(a, b []string) bool { return slices.Equal(sorted(a), sorted(b)) }

// show puts both sides beside each other, a tag per line.
func (s *stage) show(ctx context.Context, run string) error {
	found, err := s.trainingRun(ctx, run)
	if err != nil {
		return err
	}
	left := column{title: "Kubernetes: no TrainingRun " + object(run)}
	if found != nil {
		left = statusColumn(found)
	}
	tags, err := s.tracker.tags(ctx, run)
	right := column{title: fmt.Sprintf("%s: run %s", s.tracker.name(), run), lines: tags}
	if errors.Is(err, errNoRun) {
		right.title = fmt.Sprintf("%s: no run %s", s.tracker.name(), run)
	} else if err != nil {
		return err
	}
	s.n.table(left, right)
	return nil
}

// statusColumn is what a TrainingRun's status says, short.
func statusColumn(run *v1alpha1.TrainingRun) column {
	c := column{title: "Kubernetes: " + run.Name}
	if ready := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		c.title += fmt.Sprintf(", Ready=%s, %s", ready.Status, ready.Reason)
	}
	pending := &v1alpha1.PendingTags{}
	if run.Status.Pending != nil {
		pending = run.Status.Pending
	}
	for _, tag := range run.Status.Tags {
		line := fmt.Sprintf("%-20s %s", tag.Name, strings.ToLower(string(tag.Source)))
		switch {
		case slices.Contains(pending.Add, tag.Name):
			line += ", pending"
		case !tag.Present:
			line += ", not on the run"
		}
		c.lines = append(c.lines, line)
	}
	return c
}
