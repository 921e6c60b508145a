package tagchange

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/bulk"
	"github.com/runtag/runtag/internal/kstatus"
	"github.com/runtag/runtag/internal/tracking"
)

// memory is what is kept of one TagChange between two passes. It need not survive a restart: runs are listed anew then,
// and what was written down says which of them are done.
type memory struct {
	uid types.UID
	// listed says that todo is what is still to be done; matched is how many runs were selected.
	listed  bool
	matched int
	todo    []item
	// again are entries that were written down, and sent or not, and of which no outcome is known.
	again []bulk.Entry
	// inHand is the batch on its way, by run id, and how many of it have an outcome.
	inHand map[string]sent
	// page is the last ConfigMap as it is stored, and void are entries in it that came to nothing.
	page page
	void map[string]bool

	// toldAt is when an event said last how far it is.
	toldAt time.Time

	mu      sync.Mutex
	results []result
}

// item is a run that is still to be looked at. Its entry says what to do with it; nil: that is planned when its turn comes.
type item struct {
	run   backend.Run
	entry *bulk.Entry
}

// sent is one run of a batch on its way.
type sent struct {
	entry bulk.Entry
	run   backend.Run
	// retried says that it was sent before, so that what it finds done may be our own work.
	retried bool
}

// result is what became of one run.
type result struct {
	id string
	backend.Result
}

func (m *memory) post(r result) (all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results = append(m.results, r)
	return len(m.results) >= len(m.inHand)
}

func (m *memory) take() []result {
	m.mu.Lock()
	defer m.mu.Unlock()
	taken := m.results
	m.results = nil
	return taken
}

func (m *memory) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.inHand) - len(m.results)
}

// scope is what one pass knows of one object.
type scope struct {
	now     time.Time
	change  *v1alpha1.TagChange // as it is going to be
	stored  *v1alpha1.TagChange // as it was read
	memory  *memory
	project *v1alpha1.TrackingProject
	tracker *tracking.Project

	state kstatus.State
	// settled leaves the conditions as they are; gone ends the pass without a status.
	settled, gone bool
	// after is done once the status is written.
	after []func() error
	due   time.Duration
}

func (s *scope) key() types.NamespacedName { return client.ObjectKeyFromObject(s.change) }

func (s *scope) dueIn(d time.Duration) {
	if d <= 0 {
		d = time.Millisecond
	}
	if s.due == 0 || d < s.due {
		s.due = d
	}
}

// wait is a state in which the operator goes on by itself, after some time if nothing happens before.
func (s *scope) wait(reason, message string, after time.Duration) {
	s.state = kstatus.State{Ready: metav1.ConditionFalse, Reason: reason, Message: message}
	s.dueIn(after)
}

// refused ends the change for good, without anything done.
func (s *scope) refused(reason, format string, args ...any) {
	s.state = kstatus.State{Ready: metav1.ConditionFalse, Reason: reason, Message: fmt.Sprintf(format, args...), Stalled: true}
	s.over()
}

// over notes that the change is finished.
func (s *scope) over() {
	at := metav1.NewTime(s.now.UTC().Truncate(time.Second))
	s.change.Status.FinishedAt = &at
	s.due = 0
	if ttl := s.change.Spec.TTLAfterFinished; ttl != nil {
		s.dueIn(ttl.Duration)
	}
}

// summarize writes the conditions.
func (s *scope) summarize() {
	st := &s.change.Status
	if s.settled { // what they say holds for an edit that comes too late, too
		st.ObservedGeneration = s.change.Generation
		for i := range st.Conditions {
			st.Conditions[i].ObservedGeneration = s.change.Generation
		}
		return
	}
	st.ObservedGeneration = s.change.Generation
	kstatus.Set(&st.Conditions, s.change.Generation, s.state)
	complete := metav1.ConditionFalse
	if st.FinishedAt != nil {
		complete = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&st.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionComplete, Status: complete, Reason: s.state.Reason, Message: s.state.Message, ObservedGeneration: s.change.Generation,
	})
}

// isQuery says that nothing is to be changed.
func (s *scope) isQuery() bool {
	spec := s.change.Spec
	return spec.UndoOf == nil && len(spec.Add)+len(spec.Remove)+len(spec.Rename) == 0
}

// wanted is the change by the words of the pure core.
func (s *scope) wanted() bulk.Change {
	c := bulk.Change{Add: s.change.Spec.Add, Remove: s.change.Spec.Remove}
	for _, r := range s.change.Spec.Rename {
		c.Rename = append(c.Rename, bulk.Rename{From: r.From, To: r.To})
	}
	return c
}

// skip counts a run that is left alone, in whole or in part.
func (s *scope) skip(reason, message, id string) {
	st := &s.change.Status
	i := slices.IndexFunc(st.Skipped, func(k v1alpha1.SkippedRuns) bool { return k.Reason == reason })
	if i < 0 {
		if len(st.Skipped) == maxReasons {
			return
		}
		st.Skipped = append(st.Skipped, v1alpha1.SkippedRuns{Reason: reason, Message: trainingrun.Shorten(message, maxMessage)})
		i = len(st.Skipped) - 1
	}
	k := &st.Skipped[i]
	k.Count++
	if len(k.Sample) < sampleSize {
		k.Sample = append(k.Sample, id)
	}
}

// Bounds of the status, as in the CRD.
const (
	maxReasons = 16
	maxMessage = 512
	sampleSize = 10
)

func count(n int) *int32 {
	c := int32(n) //nolint:gosec // at most spec.maxRuns
	return &c
}
