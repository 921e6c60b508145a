package trackingproject

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/tracking"
)

// More runs than this, and a larger share of the tracked ones, don't vanish within one fullInterval by being deleted.
const (
	massRuns    = 10
	massPercent = 20
)

// judge decides which of the known runs that are not found any more are called deleted. A wrong key, an address that
// points at another server or a tracker that lost its data must not look like a deletion.
func (c *Controller) judge(_ context.Context, s *scope) error {
	if !s.tracker.Primed() {
		return nil
	}
	gone, vanished, doubtful := s.missed()
	s.memory.forgetVanished(s.now.Add(-s.project.Spec.FullInterval.Duration))
	token := acceptToken(s.project)
	accepted := s.project.Annotations[v1alpha1.AnnotationAcceptMissing] == token
	switch {
	case len(vanished) == 0:
	case accepted:
		s.project.Status.AcceptedMissing = token
		s.memory.vanished = nil
	case s.isMass(vanished) || s.sourceChanged():
		s.missing = len(vanished)
		s.pronounce(c.Runs, gone, vanished, true)
		return nil
	default:
		s.memory.noteVanished(vanished, s.now)
	}
	for _, id := range vanished {
		gone[id] = true
	}
	s.pronounce(c.Runs, gone, nil, false)
	if !doubtful {
		s.verified()
	}
	return nil
}

// pronounce notes the verdicts, and queues the TrainingRuns for which they are news: these may wait for one.
func (s *scope) pronounce(runs *trigger.Trigger, gone map[string]bool, vanished []string, missing bool) {
	ids := slices.AppendSeq(slices.Clone(vanished), maps.Keys(gone))
	before := make([]tracking.Verdict, len(ids))
	for i, id := range ids {
		before[i] = s.tracker.Judge(id)
	}
	s.tracker.SetVerdict(gone, missing)
	for i, id := range ids {
		if s.tracker.Judge(id) != before[i] {
			s.queueIDs(runs, id)
		}
	}
}

// missed sorts the known runs that are not found: those that are called deleted already, and those of which it has to be
// decided. doubtful says that the last look did not find others, which it takes another look to be sure of.
func (s *scope) missed() (gone map[string]bool, vanished []string, doubtful bool) {
	gone = map[string]bool{}
	for i := range s.runs {
		run := &s.runs[i]
		known := trainingrun.KnownRun(run)
		view := s.tracker.Snapshot.Get(known.ID)
		switch {
		case known.UID == "" || view.Presence == snapshot.Present && view.Misses == 0:
		case view.Presence != snapshot.Absent:
			doubtful = true
		case calledDeleted(run):
			gone[known.ID] = true
		case !gone[known.ID]:
			vanished = append(vanished, known.ID)
		}
	}
	return gone, vanished, doubtful
}

// calledDeleted says whether a TrainingRun says already that its run is deleted.
func calledDeleted(run *v1alpha1.TrainingRun) bool {
	ready := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonRunDeleted
}

func (s *scope) isMass(vanished []string) bool {
	all := len(vanished)
	for id := range s.memory.vanished {
		if s.byID[id] != nil {
			all++
		}
	}
	return all > massRuns && all*100 > massPercent*len(s.runs)
}

// sourceChanged says whether address or credential are others than those with which all known runs were found last.
func (s *scope) sourceChanged() bool {
	verified, conn := s.project.Status.Verified, s.tracker.Connection()
	return verified != nil && conn != nil && (verified.URL != conn.URL || verified.Secrets != conn.Secrets)
}

// verified notes that all known runs were found with the present address and credential.
func (s *scope) verified() {
	if conn := s.tracker.Connection(); conn != nil {
		s.project.Status.Verified = &v1alpha1.VerifiedSource{URL: conn.URL, Secrets: conn.Secrets}
	}
}

// acceptToken is the value that the annotation accept-missing must have now: the generation, and where that was used
// before, the generation with a counter, so that an old annotation accepts nothing new.
func acceptToken(p *v1alpha1.TrackingProject) string {
	generation := strconv.FormatInt(p.Generation, 10)
	used := p.Status.AcceptedMissing
	if used == generation {
		return generation + ".1"
	}
	if count, ok := strings.CutPrefix(used, generation+"."); ok {
		if n, err := strconv.Atoi(count); err == nil {
			return fmt.Sprintf("%s.%d", generation, n+1)
		}
	}
	return generation
}

func (m *memory) noteVanished(ids []string, now time.Time) {
	if m.vanished == nil {
		m.vanished = map[string]time.Time{}
	}
	for _, id := range ids {
		m.vanished[id] = now
	}
}

func (m *memory) forgetVanished(before time.Time) {
	for id, at := range m.vanished {
		if at.Before(before) {
			delete(m.vanished, id)
		}
	}
}
