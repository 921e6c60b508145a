package trainingrun

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/kstatus"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/ruleinput"
	"github.com/runtag/runtag/internal/tags"
)

// Canonical gives tags the names that the tracker gives them.
func Canonical(d tags.Dialect, names []string) []string {
	out := make([]string, 0, len(names))
	for _, name := range names {
		if tag, err := d.Parse(name); err == nil {
			name = d.Format(tag)
		}
		out = append(out, name)
	}
	return out
}

// DeclaresByHand says whether spec or a label of a TrainingRun declares a tag now, be it excluded or not.
func DeclaresByHand(run *v1alpha1.TrainingRun, d tags.Dialect, name string) bool {
	if !run.DeletionTimestamp.IsZero() {
		return false
	}
	tag, err := d.Parse(name)
	if err != nil {
		return false
	}
	if slices.Contains(Canonical(d, run.Spec.Tags), name) || slices.Contains(mirror.ReadLists(run.Annotations).Declared(), name) {
		return true
	}
	key, ok := mirror.Key(d, tag)
	if !ok {
		return false
	}
	text, there := run.Labels[key]
	if tag.Value == "" {
		return there && (text == "" || text == "true")
	}
	return there && text == tag.Value && slices.ContainsFunc(run.Status.Tags, func(t v1alpha1.TagStatus) bool { return t.Name == name && t.ByLabel })
}

// Excludes says whether a TrainingRun keeps a tag off its run.
func Excludes(run *v1alpha1.TrainingRun, d tags.Dialect, tag tags.Tag) bool {
	excluded := Canonical(d, run.Spec.ExcludeTags)
	return slices.Contains(excluded, d.Format(tag)) || d.Pairs && slices.Contains(excluded, tag.Key)
}

// keepUnique sees to it that a tag which at most one run of the project may carry is put only on the run that the project
// says, and is taken off by the project alone.
func (c *Controller) keepUnique(_ context.Context, s *scope) (bool, error) {
	d := s.input.Dialect
	for _, name := range Canonical(d, s.project.Spec.UniqueTags) {
		tag, err := d.Parse(name)
		if err != nil {
			continue
		}
		carried := backend.Carries(d, s.input.Observed, name)
		mine := !s.releasing && DeclaresByHand(s.run, d, name)
		state := s.tracker.Unique(name)
		switch {
		case mine && state.Go == s.id:
			s.undeclare(tag, tags.Rule)
			continue
		case mine && len(state.Conflict) > 0:
			s.uniqueTrouble = append(s.uniqueTrouble, fmt.Sprintf("tag %q is declared by several TrainingRuns (%s), and at most one run of the project may carry it: leave it on one",
				name, strings.Join(ownNames(s.run.Namespace, state.Conflict), ", ")))
			s.uniqueConflict = true
		case mine && !carried:
			why := state.Blocked
			if why == "" {
				why = "the project moves it"
			}
			s.uniqueTrouble = append(s.uniqueTrouble, fmt.Sprintf("tag %q, which at most one run of the project may carry, is not moved to this one yet: %s", name, why))
		}
		s.leaveToProject(tag)
		if carried {
			source := tags.Run
			if mine {
				source = tags.Spec
			}
			s.input.Frozen = append(s.input.Frozen, tags.Declaration{Tag: name, Source: source})
		} else {
			s.notCarried = append(s.notCarried, name)
		}
	}
	return false, nil
}

// undeclare takes a tag out of what these sources declare.
func (s *scope) undeclare(tag tags.Tag, sources ...tags.Source) {
	declared := make([]tags.Declarations, 0, len(s.input.Declared))
	for _, source := range s.input.Declared {
		source.Tags = slices.DeleteFunc(slices.Clone(source.Tags), func(t tags.Declaration) bool {
			return slices.Contains(sources, t.Source) && s.isOf(tag, t.Tag)
		})
		declared = append(declared, source)
	}
	s.input.Declared = declared
}

// leaveToProject takes a tag out of all that would put it on or take it off.
func (s *scope) leaveToProject(tag tags.Tag) {
	s.undeclare(tag, tags.Spec, tags.Label, tags.Rule)
	is := func(name string) bool { return s.isOf(tag, name) }
	for _, list := range []*[]string{&s.input.Excluded, &s.input.Requested, &s.input.Forgotten} {
		*list = slices.DeleteFunc(slices.Clone(*list), is)
	}
	s.input.Frozen = slices.DeleteFunc(s.input.Frozen, func(t tags.Declaration) bool { return is(t.Tag) })
}

// isOf says whether a name is that of the tag, or of one that bears on the same key.
func (s *scope) isOf(tag tags.Tag, name string) bool {
	other, err := s.input.Dialect.Parse(name)
	return err == nil && other.Key == tag.Key && (tag.Value == "" || other.Value == tag.Value || other.Value == "")
}

// ownNames leaves out the TrainingRuns of other namespaces, but for their number.
func ownNames(namespace string, objects []string) []string {
	var own []string
	others := 0
	for _, object := range objects {
		if name, ok := strings.CutPrefix(object, namespace+"/"); ok {
			own = append(own, name)
		} else {
			others++
		}
	}
	if others > 0 {
		own = append(own, fmt.Sprintf("%d in other namespaces", others))
	}
	return own
}

func uniqueTrouble(s *scope) (kstatus.State, bool) {
	if len(s.uniqueTrouble) == 0 {
		return kstatus.State{}, false
	}
	message := Shorten(strings.Join(s.uniqueTrouble, "; "), 1000)
	if s.uniqueConflict {
		return stalled(v1alpha1.ReasonTagConflict, message), true
	}
	return waitingFor(v1alpha1.ReasonTagMoving, message), true
}

// askProject has the project decide anew about its unique tags where an edit may bear on it: the object declares one, or
// declared one, or its run carries what the project gave to it.
func (c *Controller) askProject(s *scope) {
	if s.tracker == nil || len(s.project.Spec.UniqueTags) == 0 || !s.hasPlan {
		return
	}
	edited := s.stored.Status.ObservedDeclarations != s.run.Status.ObservedDeclarations
	landed := false
	for _, name := range Canonical(s.input.Dialect, s.project.Spec.UniqueTags) {
		state := s.tracker.Unique(name)
		landed = landed || state.Go == s.id && state.Holder != s.id && backend.Carries(s.input.Dialect, s.input.Observed, name)
	}
	if edited || landed || s.uniqueConflict != (conditionReason(s.stored) == v1alpha1.ReasonTagConflict) {
		c.Projects.Enqueue(s.tracker.Key, trigger.Periodic)
	}
}

func conditionReason(run *v1alpha1.TrainingRun) string {
	if ready := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		return ready.Reason
	}
	return ""
}

// Place names what a TrackingProject points to, the same for all that point there.
func Place(p *v1alpha1.TrackingProject) string {
	if w := p.Spec.Wandb; w != nil {
		return strings.Join([]string{ruleinput.TrackerWandb, strings.TrimRight(w.BaseURL, "/"), w.Entity, w.Project}, "\x00")
	}
	m := p.Spec.MLflow
	return strings.Join([]string{ruleinput.TrackerMLflow, strings.TrimRight(m.TrackingURI, "/"), m.Workspace, strings.Join(slices.Sorted(slices.Values(m.Experiments)), "\x00")}, "\x00")
}

// Siblings lists the TrackingProjects of all watched namespaces that point where this one does, itself among them.
func Siblings(ctx context.Context, reader client.Reader, project *v1alpha1.TrackingProject) ([]*v1alpha1.TrackingProject, error) {
	var list v1alpha1.TrackingProjectList
	if err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list TrackingProjects: %w", err)
	}
	same := map[string]*v1alpha1.TrackingProject{}
	for i := range list.Items {
		if other := &list.Items[i]; Place(other) == Place(project) {
			same[other.Namespace+"/"+other.Name] = other
		}
	}
	siblings := make([]*v1alpha1.TrackingProject, 0, len(same))
	for _, key := range slices.Sorted(maps.Keys(same)) {
		siblings = append(siblings, same[key])
	}
	return siblings, nil
}
