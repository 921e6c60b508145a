package trainingrun

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/audit"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// apply hands the planned change to the project's queue. The ownership record it rests on has been written before. What
// waits there from an earlier pass and is not wanted any more is called off.
func (c *Controller) apply(s *scope) {
	if !s.hasWork() || !s.usable() {
		s.callOff()
		c.lookedAt(s.key())
		return
	}
	if !s.canRetry() {
		return
	}
	if s.memory.sent == s.run.ResourceVersion { // in the queue already, and nothing changed since
		return
	}
	s.memory.sent, s.memory.unsettled, s.memory.edit = s.run.ResourceVersion, true, s.planned.Edit
	s.memory.enter(s.planned.Entered)
	c.send(s)
}

// hasWork says whether something has to be sent: a change, or for an object on its way out also a question, as long as
// something that was sent before may still land.
func (s *scope) hasWork() bool {
	return s.hasPlan && (!s.planned.Edit.Empty() || s.releasing && s.memory.unsettled)
}

// callOff takes a change out of the project's queue. One that is under way goes on.
func (s *scope) callOff() {
	if s.memory.sent == "" || s.tracker == nil || s.tracker.Queue() == nil {
		return
	}
	if s.tracker.Queue().Cancel(string(s.run.UID)) {
		s.memory.sent = ""
	}
}

// send queues the change, to be planned once more on the run as it is read right before the write.
func (c *Controller) send(s *scope) {
	job := &job{
		key: s.key(), uid: s.run.UID, sent: s.run.ResourceVersion, run: s.run.DeepCopy(),
		managers: fieldManagers(s.run), sources: s.sources(), rules: s.rules(), entering: slices.Collect(maps.Keys(s.memory.entering)),
		dialect: s.input.Dialect, noticed: s.now, happened: c.happenedAt(s.key()),
	}
	input := s.input
	input.Record = record(&s.run.Status)
	tracker := s.tracker
	tracker.Queue().Change(string(s.run.UID), s.priority(), backend.Change{
		Run:    s.view.Run,
		Decide: c.decide(input, s.planner(), s.notCarried),
	}, func(result backend.Result) {
		if result.After.ID != "" {
			tracker.Snapshot.Wrote(result.ReadAt, result.After)
		}
		c.sent(job, result)
		if health := backend.KindOf(result.Err); health == backend.AccessDenied || health == backend.Unsupported {
			tracker.AskCheck()
			c.Projects.Enqueue(tracker.Key, trigger.Done)
		}
		next := trigger.Done
		if result.Err == nil {
			next = trigger.Told
		}
		c.Runs.Enqueue(job.key, next)
	})
}

// decide plans once more, on the run as it was read right before the write. What is not covered by the ownership record
// that was written down is a conflict: the next pass plans and writes down anew. So is a unique tag that was not on the run
// when the plan was made, and is now: it would be taken off, which only the project may do.
func (c *Controller) decide(input tags.Input, plan func(tags.Input) tags.Plan, notCarried []string) func(backend.Run) (tags.Edit, error) {
	return func(now backend.Run) (tags.Edit, error) {
		fresh := input
		fresh.Observed, fresh.RunUID, fresh.Now = now.Tags, now.UID, c.Clock.Now()
		planned := plan(fresh)
		arrived := slices.ContainsFunc(notCarried, func(name string) bool { return backend.Carries(input.Dialect, now.Tags, name) })
		if arrived || !input.Record.Authorizes(planned.Record) {
			return tags.Edit{}, &backend.Error{
				Kind: backend.Conflict, Op: "change tags of run " + now.ID,
				Message: "the run changed since the change was planned; planning again",
			}
		}
		return planned.Edit, nil
	}
}

// job is a change on its way to the tracker.
type job struct {
	key      types.NamespacedName
	uid      types.UID
	sent     string
	run      *v1alpha1.TrainingRun         // for events
	managers map[string]string             // tag to the field manager that declared it
	sources  map[string]v1alpha1.TagSource // tag to who declared it, or had declared it
	rules    map[string]string             // tag to the rule that declares it, or declared it
	entering []string                      // tags that only rules declare and that are not ours if they were there before
	dialect  tags.Dialect
	noticed  time.Time // when the pass began that found that a tag has to change
	happened time.Time // when a pod or node changed, which is why; zero for other reasons
}

// entry is a change of ours as the history shows it.
func (j *job) entry(change tags.SeenChange, at time.Time) v1alpha1.TagHistory {
	source, by := j.source(change.Name), j.managers[change.Name]
	if source == v1alpha1.TagSourceRule {
		by = j.rules[change.Name]
	}
	return historyEntry(change, at, source, by)
}

// evidence is what made the rule true that gives a tag.
func (j *job) evidence(name string) string {
	for _, t := range j.run.Status.RuleTags {
		if t.Tag == name && t.Rule == j.rules[name] {
			return t.Reason
		}
	}
	return ""
}

// source is who declared a tag that we changed.
func (j *job) source(name string) v1alpha1.TagSource {
	if source, ok := j.sources[name]; ok {
		return source
	}
	return v1alpha1.TagSourceSpec
}

// sources says of each tag who declares it now, or declared it before, where that was a person here.
func (s *scope) sources() map[string]v1alpha1.TagSource {
	sources := maps.Clone(s.memory.sources) // of an earlier pass, whose change this one replaces
	if sources == nil {
		sources = map[string]v1alpha1.TagSource{}
	}
	for _, t := range s.stored.Status.Tags {
		if t.Source != v1alpha1.TagSourceRun {
			sources[t.Name] = t.Source
		}
	}
	for _, e := range s.planned.Entries {
		if e.Source != tags.Run {
			sources[e.Name] = v1alpha1.TagSource(e.Source)
		}
	}
	for _, name := range s.reading.Requested { // a person took off the label of a tag that nobody declared here
		if _, declared := sources[name]; !declared {
			sources[name] = v1alpha1.TagSourceLabel
		}
	}
	s.memory.sources = sources
	return sources
}

// rules says which rule declares each tag that the change may concern, or declared it.
func (s *scope) rules() map[string]string {
	by := maps.Clone(s.memory.rules)
	if by == nil {
		by = map[string]string{}
	}
	for _, t := range s.stored.Status.Tags {
		if t.Rule != "" {
			by[t.Name] = t.Rule
		}
	}
	for _, e := range s.planned.Entries {
		if e.Rule != "" {
			by[e.Name] = e.Rule
		}
	}
	s.memory.rules = by
	return by
}

// priority is that of a rule's change where people have nothing to do with it.
func (s *scope) priority() backend.Priority {
	for key := range s.planned.Edit.Set {
		if !s.isByRule(key) {
			return backend.PriorityEdit
		}
	}
	if len(s.planned.Edit.Remove) > 0 {
		return backend.PriorityEdit
	}
	return backend.PriorityRule
}

func (s *scope) isByRule(key string) bool {
	return slices.ContainsFunc(s.planned.Entries, func(e tags.Entry) bool {
		tag, err := s.input.Dialect.Parse(e.Name)
		return err == nil && tag.Key == key && e.Source == tags.Rule
	})
}

// sent tells the world what became of a change, and leaves it for the next pass.
func (c *Controller) sent(j *job, result backend.Result) {
	o := outcome{sent: j.sent, result: result, at: c.Clock.Now()}
	for _, name := range j.entering {
		if j.dialect.Has(result.Before.Tags, name) {
			o.found = append(o.found, name)
		}
	}
	if !result.Edit.Empty() { // on a key/value tracker also the part that was done before an error
		for _, change := range tags.Diff(result.Before.Tags, result.After.Tags, j.dialect) {
			entry := j.entry(change, o.at)
			o.changes = append(o.changes, entry)
			c.report(j.run, j.run.Status.Run, entry, j.evidence(change.Name))
		}
		c.announce(j.run, o.changes)
		c.Metrics.Lagged(o.at.Sub(j.noticed))
		if !j.happened.IsZero() {
			c.Metrics.Followed(o.at.Sub(j.happened))
		}
	}
	c.post(j.key, j.uid, o)
}

// report writes the audit line and counts the change.
func (c *Controller) report(run *v1alpha1.TrainingRun, on *v1alpha1.RunStatus, change v1alpha1.TagHistory, evidence string) {
	line := audit.Line{
		Time: change.Time.Time, Namespace: run.Namespace, TrainingRun: run.Name, Project: run.Spec.ProjectRef.Name,
		Tag: change.Tag, Change: string(change.Change), Source: string(change.Source), FieldManager: change.By,
	}
	if on != nil {
		line.Run = on.ID
	}
	if change.Source == v1alpha1.TagSourceRule {
		line.FieldManager, line.Rule, line.Evidence = "", change.By, evidence
	}
	c.Audit.Write(line)
	c.Metrics.TagChanged(string(change.Source), string(change.Change))
}
