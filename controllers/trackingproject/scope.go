package trackingproject

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/tracking"
)

// memory is what is kept of one project between two passes.
type memory struct {
	uid types.UID
	// checkDue asks for a check of access before the next look.
	checkDue bool
	// activeAt and fullAt are when the next looks are due; listedAt is when the last list of active runs began.
	activeAt, fullAt, listedAt time.Time
	// lookAt and accept are the values of the annotations that were worked on last.
	lookAt string
	// unsupported is the generation with which the tracker was found not to do what is needed; 0 where it does.
	unsupported int64
	// failures counts the passes in a row that failed.
	failures int
	// ready says that the TrainingRuns were told that the tracker can be used.
	ready bool
	// countedAt is when the counts of the status were written last.
	countedAt time.Time
	// vanished says when runs were called deleted, for as long as a fullInterval.
	vanished map[string]time.Time
	// slow is how long the last look took, if that was longer than the interval.
	slow time.Duration
	// importing is what the last full look sought to import.
	importing v1alpha1.ImportSpec
	// summary are the metrics that the last full look brought along.
	summary []string
	// waiting are runs that qualify for import and are imported next, the most urgent first.
	waiting []backend.Run
	// limited says what spec.import.limit keeps from being imported; empty where it is not reached.
	limited string
	// terminating says that the namespace is on its way out: it is left alone.
	terminating bool
	// runs on the tracker; -1 where it does not count.
	runs int
}

func (m *memory) noteFailure(failed bool) {
	if failed {
		m.failures++
	} else {
		m.failures = 0
	}
}

// scope is what one pass knows of one project.
type scope struct {
	now     time.Time
	project *v1alpha1.TrackingProject // as it is going to be
	stored  *v1alpha1.TrackingProject // as it was read
	memory  *memory
	tracker *tracking.Project
	health  tracking.Health

	runs    []v1alpha1.TrainingRun // the tracked ones; read only
	byID    map[string][]types.NamespacedName
	byName  map[string][]types.NamespacedName
	missing int // runs that are not found and not called deleted
	// ceilingMoved: what the TrainingRuns may do is something else than at the last pass.
	ceilingMoved bool

	candidates candidates
	// summary are the metrics that rules read.
	summary []string
	// looked says that a look was taken in this pass; uniqueDue is when something about unique tags is due.
	looked    bool
	uniqueDue time.Time
	// importDue is when an imported TrainingRun's time is over.
	importDue time.Time
}

func (c *Controller) newScope(ctx context.Context, project *v1alpha1.TrackingProject) (*scope, error) {
	s := &scope{
		now: c.Clock.Now(), project: project, stored: project.DeepCopy(),
		byID: map[string][]types.NamespacedName{}, byName: map[string][]types.NamespacedName{},
	}
	var err error
	if s.runs, err = c.runsOf(ctx, s.key()); err != nil {
		return nil, err
	}
	if s.summary, err = c.Rules.SummaryKeys(ctx, project.Namespace); err != nil {
		return nil, err
	}
	s.candidates = newCandidates(project, s.runs)
	s.candidates.hasPods = c.Evidence.Any(project.Namespace)
	s.candidates.rules.Linked = func(run backend.Run) bool { return c.linked(s, run) }
	s.memory = c.recall(s.key(), project.UID)
	s.tracker = c.Registry.Ensure(s.key(), project.UID)
	s.ceilingMoved = s.tracker.SetCeiling(trainingrun.Policy(project.Spec.MaxTagPolicy))
	s.tracker.SetSummary(s.summary)
	s.track()
	return s, nil
}

func (c *Controller) recall(key types.NamespacedName, uid types.UID) *memory {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.memories[key]
	if !ok || m.uid != uid {
		m = &memory{uid: uid, runs: -1}
		c.memories[key] = m
	}
	return m
}

// runsOf lists the TrainingRuns of a project; they are shared with the cache and must not be changed.
func (c *Controller) runsOf(ctx context.Context, key types.NamespacedName) ([]v1alpha1.TrainingRun, error) {
	var list v1alpha1.TrainingRunList
	if err := c.Client.List(ctx, &list, client.InNamespace(key.Namespace), client.MatchingFields{trainingrun.IndexProject: key.Name},
		client.UnsafeDisableDeepCopy, client.DisableReadYourWritesConsistency); err != nil {
		return nil, fmt.Errorf("list TrainingRuns of project %s: %w", key, err)
	}
	return list.Items, nil
}

// track tells the snapshot what to keep, and gives it back what it knew before a restart.
func (s *scope) track() {
	ids, names := make([]string, 0, len(s.runs)), []string(nil)
	for i := range s.runs {
		run := &s.runs[i]
		key := client.ObjectKeyFromObject(run)
		if id := trainingrun.RunID(run); id != "" {
			ids = append(ids, id)
			s.byID[id] = append(s.byID[id], key)
			continue
		}
		names = append(names, run.Spec.RunName)
		s.byName[run.Spec.RunName] = append(s.byName[run.Spec.RunName], key)
	}
	s.tracker.Snapshot.Track(ids, names)
	for i := range s.runs {
		if known := trainingrun.KnownRun(&s.runs[i]); known.UID != "" {
			s.tracker.Snapshot.Remember(known, int(s.runs[i].Status.Run.Attempts))
		}
	}
}

func (s *scope) key() types.NamespacedName { return client.ObjectKeyFromObject(s.project) }

// queue puts the TrainingRuns into their queue whose run changed.
func (s *scope) queue(runs *trigger.Trigger, changes snapshot.Changes) {
	for _, id := range changes.IDs {
		s.queueIDs(runs, id)
	}
	for _, name := range changes.Names {
		for _, key := range s.byName[name] {
			runs.Enqueue(key, trigger.Periodic)
		}
	}
}

func (s *scope) queueIDs(runs *trigger.Trigger, ids ...string) {
	for _, id := range ids {
		for _, key := range s.byID[id] {
			runs.Enqueue(key, trigger.Periodic)
		}
	}
}
