package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/process"
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

// take types the commands of a step and waits until the tracker, and then Kubernetes, shows what it leads to.
func (s *stage) take(ctx context.Context, st step) error {
	s.n.chapter(st.title, st.say)
	entered := time.Now()
	for _, command := range st.commands {
		if err := s.shell(ctx, command); err != nil {
			return err
		}
	}
	if st.starts != "" {
		if err := s.startInPod(ctx, st.starts); err != nil {
			return err
		}
	}
	if len(st.about) == 0 {
		s.n.success("done")
		return nil
	}
	says, took, err := s.see(ctx, st.about, entered)
	if err != nil {
		return s.explain(ctx, st, err)
	}
	for _, about := range st.about {
		if err := s.show(ctx, about); err != nil {
			return err
		}
	}
	for _, command := range st.after {
		if err := s.shell(ctx, command); err != nil {
			return err
		}
	}
	s.n.success(says, took.Seconds())
	return nil
}

// see waits until the tracker, and then Kubernetes, shows all that a step leads to; it gives what to say of how long that
// took.
func (s *stage) see(ctx context.Context, all []subject, entered time.Time) (says string, took time.Duration, err error) {
	says = "on the tracker %.2f s after the command"
	began, still, appears := time.Now(), false, false
	for _, about := range all {
		still = still || about.want.absent || len(about.want.pending) > 0
		if err := s.await(ctx, "on the tracker", func() error {
			got, err := s.tracker.tags(ctx, about.run)
			if errors.Is(err, errNoRun) && !about.want.absent {
				began, appears, says = time.Now(), about.imported, "on the tracker %.2f s after the run appeared"
			}
			return about.want.onTracker(got, err)
		}); err != nil {
			return "", 0, err
		}
	}
	took = time.Since(began)
	for _, about := range all {
		if err := s.await(ctx, "in Kubernetes", func() error {
			run, err := s.trainingRun(ctx, about.object(s.tracker))
			if err != nil {
				return err
			}
			return about.want.inKubernetes(run, entered)
		}); err != nil {
			return "", 0, err
		}
	}
	if appears { // with all its tags
		says, took = "in Kubernetes %.2f s after the run appeared", time.Since(began)
	}
	// What must not change on the tracker has to be as it was now that Kubernetes is done with the step.
	for _, about := range all {
		if err := about.want.onTracker(s.tracker.tags(ctx, about.run)); err != nil {
			return "", 0, fmt.Errorf("on the tracker, in the end: %w", err)
		}
	}
	if still {
		return "nothing changed on the tracker; Kubernetes says so %.2f s after the command", time.Since(began), nil
	}
	return says, took, nil
}

// explain adds to an error what both sides show.
func (s *stage) explain(ctx context.Context, st step, err error) error {
	if ctx.Err() != nil {
		return err
	}
	errs := []error{err}
	for _, about := range st.about {
		errs = append(errs, s.show(ctx, about))
	}
	return errors.Join(append(errs, fmt.Errorf("the end of the operator's log:\n%s", process.Tail(s.dir+"/manager.log", 10)))...)
}

// trainingRun reads a TrainingRun; nil where there is none.
func (s *stage) trainingRun(ctx context.Context, name string) (*v1alpha1.TrainingRun, error) {
	found := &v1alpha1.TrainingRun{}
	err := s.cluster.Get(ctx, types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: name}, found)
	if apierrors.IsNotFound(err) {
		return nil, nil // no object is an answer, not an error
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

// inKubernetes says what is not as it should be in Kubernetes, for a step that began at a time.
func (w want) inKubernetes(run *v1alpha1.TrainingRun, began time.Time) error {
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
	if err := w.inStatus(run); err != nil {
		return err
	}
	if err := w.inLabels(run); err != nil {
		return err
	}
	for _, tag := range w.lost {
		if !lost(run, tag, began) {
			return fmt.Errorf("expected in status.history that somebody took %s off, seen %+v", tag, run.Status.History)
		}
	}
	return nil
}

// inStatus says which tags of a status are not as they should be.
func (w want) inStatus(run *v1alpha1.TrainingRun) error {
	var present, foreign, ruled, pending []string
	for _, tag := range run.Status.Tags {
		if tag.Present {
			present = append(present, tag.Name)
		}
		switch {
		case tag.Source == v1alpha1.TagSourceRun:
			foreign = append(foreign, tag.Name)
		case tag.Source == v1alpha1.TagSourceRule && tag.Reason != "":
			ruled = append(ruled, tag.Name)
		}
	}
	if run.Status.Pending != nil {
		pending = run.Status.Pending.Add
	}
	for _, list := range []struct {
		what      string
		want, got []string
	}{{"tags", w.tags, present}, {"tags of the run's own", w.foreign, foreign}, {"tags by a rule, with a reason,", w.ruled, ruled}, {"pending", w.pending, pending}} {
		if !sameTags(list.got, list.want) {
			return fmt.Errorf("expected in status the %s %v, seen %v", list.what, sorted(list.want), list.got)
		}
	}
	return nil
}

// inLabels says which labels of tags are not as they should be. Those of tags with a value have another prefix.
func (w want) inLabels(run *v1alpha1.TrainingRun) error {
	var want, got []string
	for _, tag := range w.tags {
		if !strings.Contains(tag, "=") {
			want = append(want, tag)
		}
	}
	for label := range run.Labels {
		if tag, ok := strings.CutPrefix(label, mirror.TagPrefix); ok {
			got = append(got, tag)
		}
	}
	if !sameTags(got, want) {
		return fmt.Errorf("expected labels for the tags %v, seen %v", sorted(want), sorted(got))
	}
	return nil
}

// lost says whether the history has that somebody else took a tag off since a time; it keeps whole seconds.
func lost(run *v1alpha1.TrainingRun, tag string, since time.Time) bool {
	return slices.ContainsFunc(run.Status.History, func(h v1alpha1.TagHistory) bool {
		return h.Tag == tag && h.Change == v1alpha1.TagRemoved && h.Source == v1alpha1.TagSourceRun && !h.Time.Time.Before(since.Truncate(time.Second))
	})
}

func sorted(tags []string) []string { return slices.Sorted(slices.Values(tags)) }

func sameTags(a, b []string) bool { return slices.Equal(sorted(a), sorted(b)) }

// show puts both sides beside each other, a tag per line, with what changed on the tracker since the last time.
func (s *stage) show(ctx context.Context, about subject) error {
	run, name := about.run, about.object(s.tracker)
	found, err := s.trainingRun(ctx, name)
	if err != nil {
		return err
	}
	tags, err := s.tracker.tags(ctx, run)
	right := fmt.Sprintf("%s: run %s", s.tracker.name(), run)
	if errors.Is(err, errNoRun) {
		right = fmt.Sprintf("%s: no run %s", s.tracker.name(), run)
	} else if err != nil {
		return err
	}
	left := "Kubernetes: no TrainingRun " + name
	if found != nil {
		left = "Kubernetes: " + found.Name
		if ready := meta.FindStatusCondition(found.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
			left += fmt.Sprintf(", Ready=%s, %s", ready.Status, ready.Reason)
		}
	}
	s.n.table(left, right, rows(found, tags, s.shown[run]))
	s.shown[run] = tags
	return nil
}

// rows lines up what a TrainingRun, which may be nil, says of tags with what is and what was on the tracker.
func rows(run *v1alpha1.TrainingRun, tags, before []string) []row {
	said := map[string]string{}
	if run != nil {
		for _, tag := range run.Status.Tags {
			said[tag.Name] = fmt.Sprintf("%-20s %s", tag.Name, strings.ToLower(string(tag.Source)))
			if !tag.Present {
				said[tag.Name] += ", not on the run"
			}
		}
	}
	var out []row
	for _, tag := range slices.Compact(sorted(slices.Concat(slices.Collect(maps.Keys(said)), tags, before))) {
		r := row{left: said[tag], right: "  " + tag}
		is, was := slices.Contains(tags, tag), slices.Contains(before, tag)
		switch {
		case is && !was:
			r.right, r.colour = "+ "+tag, green
		case was && !is:
			r.right, r.colour = "- "+tag, red
		case !is:
			r.right = ""
		}
		out = append(out, r)
	}
	return out
}
