package trackingproject

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/audit"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
	"github.com/runtag/runtag/internal/unique"
)

// moveUnique decides about the tags that at most one run of the project may carry, tells the TrainingRuns, and takes such
// a tag off those that should not have it. Nobody else takes one off.
func (c *Controller) moveUnique(ctx context.Context, s *scope) error {
	names := trainingrun.Canonical(s.tracker.Backend().Dialect(), s.project.Spec.UniqueTags)
	if len(names) == 0 {
		s.project.Status.UniqueTags = nil
		s.tracker.SetUnique(nil)
		return nil
	}
	if !s.tracker.Primed() {
		return nil
	}
	declarers, objects, siblings, err := c.declarers(ctx, s, names)
	if err != nil {
		return err
	}
	carriers, listed := map[string][]backend.Run{}, false
	if s.looked || s.uniquePending(names, declarers) {
		if carriers, err = c.carriers(ctx, s, names); err != nil {
			return err
		}
		listed = true
	}
	kept := map[string]map[string]string{}
	for _, name := range names {
		if kept[name], err = c.kept(ctx, s, carriers[name]); err != nil {
			return err
		}
	}
	decided := map[string]tracking.Unique{}
	s.project.Status.UniqueTags = nil // nothing fails from here on: who holds a tag is remembered here alone
	for _, name := range names {
		decision := unique.Decide(unique.Situation{
			Memory: rememberedUnique(s.stored, name), Declarers: declarers[name], Carriers: idsOf(carriers[name]), Kept: kept[name], Listed: listed, Now: s.now,
		})
		decided[name] = tracking.Unique{Go: decision.Go, Holder: decision.Memory.Holder, Conflict: decision.Conflict, Blocked: decision.Blocked}
		c.carryOut(s, name, decision, carriers[name])
	}
	if len(s.tracker.SetUnique(decided)) > 0 {
		c.tellDeclarers(s, objects, siblings)
	}
	return nil
}

// carryOut notes what was decided about a tag, and has it taken off where it should not be.
func (c *Controller) carryOut(s *scope, name string, decision unique.Decision, carriers []backend.Run) {
	s.project.Status.UniqueTags = append(s.project.Status.UniqueTags, uniqueStatus(name, decision))
	if !decision.Due.IsZero() && (s.uniqueDue.IsZero() || decision.Due.Before(s.uniqueDue)) {
		s.uniqueDue = decision.Due
	}
	for _, run := range carriers {
		if slices.Contains(decision.Remove, run.ID) {
			c.takeUniqueOff(s, name, run)
		} else { // what was decided before may wait to be sent yet
			s.tracker.Queue().Cancel(removalKey(name, run.ID))
		}
	}
}

// tellDeclarers queues the TrainingRuns that wait for what was decided, and the projects of other namespaces that point here.
func (c *Controller) tellDeclarers(s *scope, objects []client.ObjectKey, siblings []*v1alpha1.TrackingProject) {
	for _, key := range objects {
		c.Runs.Enqueue(key, trigger.Periodic)
	}
	for _, sibling := range siblings {
		if sibling.UID != s.project.UID {
			c.Projects.Enqueue(client.ObjectKeyFromObject(sibling), trigger.Periodic)
		}
	}
}

// uniquePending says that a tag is not where it should be, so that it has to be known who carries it.
func (s *scope) uniquePending(names []string, declarers map[string][]unique.Declarer) bool {
	for _, name := range names {
		m := rememberedUnique(s.stored, name)
		for _, d := range declarers[name] {
			if d.RunID != "" && d.RunID != m.Holder {
				return true
			}
		}
		if len(declarers[name]) == 0 && !m.UndeclaredSince.IsZero() && !s.now.Before(m.UndeclaredSince.Add(unique.Grace)) {
			return true
		}
	}
	return false
}

func rememberedUnique(p *v1alpha1.TrackingProject, name string) unique.Memory {
	for _, u := range p.Status.UniqueTags {
		if u.Name == name {
			m := unique.Memory{Holder: u.Holder, Wanted: u.Wanted}
			if u.Since != nil {
				m.Since = u.Since.Time
			}
			if u.UndeclaredSince != nil {
				m.UndeclaredSince = u.UndeclaredSince.Time
			}
			return m
		}
	}
	return unique.Memory{}
}

func uniqueStatus(name string, d unique.Decision) v1alpha1.UniqueTagStatus {
	return v1alpha1.UniqueTagStatus{
		Name: name, Holder: d.Memory.Holder, Wanted: trainingrun.Shorten(d.Memory.Wanted, 128), Blocked: trainingrun.Shorten(d.Blocked, 512),
		Since: optionalTime(d.Memory.Since), UndeclaredSince: optionalTime(d.Memory.UndeclaredSince),
	}
}

func optionalTime(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	at := metav1.NewTime(t)
	return &at
}

func idsOf(runs []backend.Run) []string {
	ids := make([]string, 0, len(runs))
	for _, run := range runs {
		ids = append(ids, run.ID)
	}
	return ids
}

// declarers lists who declares each tag, over all watched namespaces whose project points here and is Ready, and the
// TrainingRuns of this namespace among them.
func (c *Controller) declarers(ctx context.Context, s *scope, names []string) (map[string][]unique.Declarer, []client.ObjectKey, []*v1alpha1.TrackingProject, error) {
	siblings, err := trainingrun.Siblings(ctx, c.Client, s.project)
	if err != nil {
		return nil, nil, nil, err
	}
	found, objects := map[string][]unique.Declarer{}, []client.ObjectKey(nil)
	d := s.tracker.Backend().Dialect()
	for _, project := range siblings {
		if project.UID != s.project.UID && !c.counts(project) {
			continue
		}
		runs, err := c.runsOf(ctx, client.ObjectKeyFromObject(project))
		if err != nil {
			return nil, nil, nil, err
		}
		for i := range runs {
			declares := false
			for _, name := range names {
				if trainingrun.DeclaresByHand(&runs[i], d, name) {
					found[name] = append(found[name], s.shown(declarerOf(&runs[i], d, name), &runs[i]))
					declares = true
				}
			}
			if declares && project.UID == s.project.UID {
				objects = append(objects, client.ObjectKeyFromObject(&runs[i]))
			}
		}
	}
	return found, objects, siblings, nil
}

// counts says whether the TrainingRuns of another project that points here have a say: if it is Ready. One that this
// operator has not opened yet is as its status says: right after a restart nothing moves because others are not heard yet.
func (c *Controller) counts(project *v1alpha1.TrackingProject) bool {
	tracker, known := c.Registry.Find(client.ObjectKeyFromObject(project))
	if known && (tracker.Queue() != nil || !tracker.Health().OK()) {
		return tracker.Health().OK()
	}
	return meta.IsStatusConditionTrue(project.Status.Conditions, v1alpha1.ConditionReady)
}

// shown says no more of a TrainingRun of another namespace than that there is one.
func (s *scope) shown(declarer unique.Declarer, run *v1alpha1.TrainingRun) unique.Declarer {
	if declarer.Shown = "TrainingRun " + run.Name; run.Namespace == s.project.Namespace {
		return declarer
	}
	declarer.Shown = "a TrainingRun of another namespace"
	if declarer.Blocked != "" {
		declarer.Blocked = "its run can't carry the tag at present"
	}
	return declarer
}

// declarerOf says which run a TrainingRun declares the tag for, and what keeps it from carrying it.
func declarerOf(run *v1alpha1.TrainingRun, d tags.Dialect, name string) unique.Declarer {
	declarer := unique.Declarer{Object: run.Namespace + "/" + run.Name, RunID: trainingrun.RunID(run)}
	if tag, err := d.Parse(name); err == nil {
		if err := d.Check(tag); err != nil {
			declarer.Blocked = err.Error()
		}
		if trainingrun.Excludes(run, d, tag) {
			declarer.Blocked = "its spec.excludeTags keeps the tag off"
		}
	}
	if ready := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		switch ready.Reason {
		case v1alpha1.ReasonRunNotFound, v1alpha1.ReasonRunDeleted, v1alpha1.ReasonAmbiguousRun, v1alpha1.ReasonDuplicateRun, v1alpha1.ReasonNotAllowed:
			declarer.Blocked = ready.Message
		}
	}
	if p := run.Status.Pending; p != nil && slices.Contains(p.Add, name) {
		declarer.Blocked = "a policy holds the tag back (status.pending)"
	}
	if declarer.RunID == "" && declarer.Blocked == "" {
		declarer.Blocked = "its run is not found yet"
	}
	return declarer
}

// carriers lists the runs that carry one of the tags, tracked or not.
func (c *Controller) carriers(ctx context.Context, s *scope, names []string) (map[string][]backend.Run, error) {
	d := s.tracker.Backend().Dialect()
	found := map[string][]backend.Run{}
	err := c.pages(backend.WithPriority(ctx, backend.PriorityActiveLook), s, backend.Query{AnyTag: names}, func(runs []backend.Run) {
		for _, run := range runs {
			for _, name := range names {
				known := slices.ContainsFunc(found[name], func(r backend.Run) bool { return r.ID == run.ID })
				if !known && backend.Carries(d, run.Tags, name) {
					found[name] = append(found[name], run)
				}
			}
		}
	})
	return found, err
}

// kept says of which runs a policy forbids to take a tag off, and whose.
func (c *Controller) kept(ctx context.Context, s *scope, runs []backend.Run) (map[string]string, error) {
	kept := map[string]string{}
	for _, run := range runs {
		if ceiling := min(s.tracker.Ceiling(), c.Ceiling); ceiling < tags.Merge {
			kept[run.ID] = fmt.Sprintf("the policy %s (maxTagPolicy, or --max-tag-policy) does not allow to take it off run %s", ceiling, run.ID)
			continue
		}
		objects, err := trainingrun.OfIncarnation(ctx, c.Client, run.ID, run.UID)
		if err != nil {
			return nil, err
		}
		for _, object := range objects {
			if policy := trainingrun.Policy(object.Spec.TagPolicy); policy < tags.Merge && object.DeletionTimestamp.IsZero() {
				who := "a TrainingRun of another namespace"
				if object.Namespace == s.project.Namespace {
					who = "TrainingRun " + object.Name
				}
				kept[run.ID] = fmt.Sprintf("%s of run %s has policy %s, which takes nothing off", who, run.ID, policy)
			}
		}
	}
	return kept, nil
}

// removalKey names the removal of a tag from a run in the project's queue.
func removalKey(name, run string) string { return "unique/" + name + "/" + run }

// errMoved is the answer to a run that no longer carries the tag.
var errMoved = errors.New("the run does not carry the tag any more")

// takeUniqueOff has the tag taken off one run, now that another one has it or nobody wants it any more.
func (c *Controller) takeUniqueOff(s *scope, name string, run backend.Run) {
	tracker, d, key, namespace := s.tracker, s.tracker.Backend().Dialect(), s.key(), s.project.Namespace
	tracker.Queue().Change(removalKey(name, run.ID), backend.PriorityEdit, backend.Change{
		Run: run,
		Decide: func(now backend.Run) (tags.Edit, error) {
			tag, err := d.Parse(name)
			if err != nil || !backend.Carries(d, now.Tags, name) {
				return tags.Edit{}, errMoved
			}
			return tags.Edit{Remove: []string{tag.Key}}, nil
		},
	}, func(r backend.Result) {
		if r.After.ID != "" {
			tracker.Snapshot.Wrote(r.ReadAt, r.After)
		}
		for _, change := range tags.Diff(r.Before.Tags, r.After.Tags, d) {
			tracker.NoteBy(run.ID, change.Name, "TrackingProject/"+key.Name)
			c.Audit.Write(audit.Line{
				Time: c.Clock.Now().UTC().Truncate(time.Millisecond), Namespace: namespace, Project: key.Name, Run: run.ID, Tag: change.Name,
				Change: string(change.Kind), Source: "Unique",
			})
		}
		for _, object := range s.byID[run.ID] {
			c.Runs.Enqueue(object, trigger.Done)
		}
		c.Projects.Enqueue(key, trigger.Periodic)
	})
}
