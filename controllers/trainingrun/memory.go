package trainingrun

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

// memory is what is kept of one TrainingRun between two passes; only passes over that object touch it. It need not
// survive a restart: without it a change is sent once more, or a look is taken once more, and nothing is lost.
type memory struct {
	uid types.UID

	contest tags.Contest

	// failure is what became of the last change, if it failed; the next one goes out after retryAt. It is about the
	// object as it was at generation.
	failure    tracking.Health
	failures   int
	retryAt    time.Time
	generation int64
	// refused are tags that the tracker did not take, with its words.
	refused map[string]string

	// done are changes that were made and are not in status.history yet.
	done []v1alpha1.TagHistory
	// offered is the history, and the first so many of done are in it, of a write of the status that failed as far as we
	// know: its answer may be lost.
	offered      []v1alpha1.TagHistory
	offeredCount int

	// sent is the resourceVersion whose change is in the project's queue; empty while there is none.
	sent string
	// unsettled says that a change was sent after the last one whose outcome is known: it may still land.
	unsettled bool
	// edit is what that change does, as planned: a look may see it before we are told that it is done.
	edit tags.Edit
	// sources says who declared the tags that it changes, or had declared them.
	sources map[string]v1alpha1.TagSource
	// rules says which rule declares, or declared, a tag that it changes.
	rules map[string]string
	// entering are tags that only rules declare, that were written down as ours, and of which no write was sent yet;
	// foreign are those among them that turned out to have been on the run already.
	entering, foreign map[string]bool
	// verdicts are what rules said last.
	verdicts verdicts
	// attempt is the attempt that the run was in last, and attemptAt when it was seen to begin.
	attempt   int
	attemptAt time.Time
	// links are pods that were told of to the other runs they belong to.
	links map[types.UID]bool
	// podsAt is when links were written last.
	podsAt time.Time
	// look is the hash of the declarations that asked for a look, and lookAt when that was noticed.
	look   string
	lookAt time.Time
	// releasingSince is when the object was first seen deleted, with tags to take off.
	releasingSince time.Time
	// wipedAt and wipeWait are when labels were restored last, and how long to wait before that is done again.
	wipedAt  time.Time
	wipeWait time.Duration
	// missedAt is when a change found no such run: it has to be read by id after that before anything else.
	missedAt time.Time
	// misses counts the changes in a row that found no such run.
	misses int
}

// outcome is what became of a change that a pass handed to the project's queue. It waits in the mailbox for the next pass.
type outcome struct {
	sent    string
	result  backend.Result
	changes []v1alpha1.TagHistory
	// found are tags that only rules declare and that were on the run before the change.
	found []string
	at    time.Time
}

// recall gives the memory of an object, and what has come for it since the last pass.
func (c *Controller) recall(key types.NamespacedName, uid types.UID) (*memory, []outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.memories[key]
	if !ok || m.uid != uid {
		m = &memory{uid: uid}
		c.memories[key] = m
	}
	mail := c.mailbox[uid]
	delete(c.mailbox, uid)
	return m, mail
}

// forget drops what is kept of an object that is gone.
func (c *Controller) forget(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m, ok := c.memories[key]; ok {
		delete(c.mailbox, m.uid)
		delete(c.memories, key)
	}
	delete(c.happened, key)
	c.Bound.Drop(key)
	c.Tally.Forget(key)
}

// Happened notes that something happened to a pod or node of a run; its next pass may find a tag that follows from it.
func (c *Controller) Happened(key types.NamespacedName, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, waiting := c.happened[key]; !waiting {
		c.happened[key] = at
	}
}

// happenedAt is when something happened first of what no pass has looked at yet; zero if nothing did.
func (c *Controller) happenedAt(key types.NamespacedName) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.happened[key]
}

// lookedAt forgets what has happened before a pass began that had nothing to send.
func (c *Controller) lookedAt(key types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.happened, key)
}

// post leaves an outcome for the next pass over an object that is still known.
func (c *Controller) post(key types.NamespacedName, uid types.UID, o outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m, ok := c.memories[key]; ok && m.uid == uid {
		c.mailbox[uid] = append(c.mailbox[uid], o)
	}
}

const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	// firstReplan is the wait after a conflict: the run changed, so plan again at once, but not in a tight loop.
	firstReplan = 50 * time.Millisecond
)

// failed notes that a change failed and when to try again: after a time that doubles, or when the tracker said.
func (m *memory) failed(h tracking.Health, first time.Duration, generation int64, now time.Time) {
	wait := first
	for range m.failures {
		wait = min(2*wait, lastRetry)
	}
	m.failures++
	m.failure, m.generation, m.retryAt = h, generation, now.Add(wait)
	if h.Until.After(m.retryAt) {
		m.retryAt = h.Until
	}
}

// succeeded clears what an earlier failure left.
func (m *memory) succeeded() {
	m.failure, m.failures, m.retryAt = tracking.Health{}, 0, time.Time{}
}

// take works the outcomes into the memory.
func (s *scope) take(mail []outcome) {
	m := s.memory
	if m.generation != s.run.Generation { // another declaration: what failed before says nothing about it
		m.succeeded()
		m.refused = nil
	}
	for _, o := range mail {
		if o.sent == m.sent {
			m.unsettled = m.unsettled && o.sent == "" || o.result.Err != nil && o.result.Sent
			if !m.unsettled {
				m.sources, m.rules, m.edit = nil, nil, tags.Edit{} // nobody asks for it once it is settled
			}
			m.sent = ""
		}
		m.done = append(m.done, o.changes...)
		m.settle(o.found, o.result.Sent)
		if !o.result.Edit.Empty() {
			m.contest.Wrote(int(attempts(s.run)), o.result.Edit, o.at)
		}
		m.judge(o, s.run.Generation)
	}
}

// judge notes whether a change or read failed, and when to try again.
func (m *memory) judge(o outcome, generation int64) {
	switch err := o.result.Err; backend.KindOf(err) {
	case "":
		if err != nil {
			m.failed(tracking.HealthOf(err), firstRetry, generation, o.at)
			return
		}
		m.succeeded()
		if o.sent != "" {
			m.misses = 0
		}
	case backend.NotFound:
		m.missedAt = o.at
		// A read by id follows. Where that finds the run, and the next change does not, the tracker contradicts itself.
		if m.misses++; m.misses > 1 {
			m.failures = m.misses - 2
			m.failed(tracking.HealthOf(err), firstRetry, generation, o.at)
		}
	case backend.Conflict:
		m.failed(tracking.HealthOf(err), firstReplan, generation, o.at)
	case backend.InvalidTag:
		m.refuse(err)
		m.failed(tracking.HealthOf(err), firstRetry, generation, o.at)
	case backend.AccessDenied, backend.AddressRefused, backend.RateLimited, backend.Unavailable, backend.Unsupported, backend.NotLeading:
		m.failed(tracking.HealthOf(err), firstRetry, generation, o.at)
	}
}
