// Package tracking is the operator's memory of each project: its connection, what was last seen of its runs, the
// queue of reads and changes, and whether its tracker can be used. The TrackingProject controller fills it, the
// TrainingRun controller works on it. Nothing of it has to survive a restart.
package tracking

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/batch"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/connect"
	"github.com/runtag/runtag/internal/tags"
)

// Health says whether a project's tracker can be used. The zero Health is well.
type Health struct {
	// Reason is the reason of the project's condition; empty while all is well.
	Reason string
	// Message says what is wrong and what to do.
	Message string
	// Until is when it makes sense to try again; zero where that is not known.
	Until time.Time
}

// OK says that the tracker can be used.
func (h Health) OK() bool { return h.Reason == "" }

// Project is what is known of one TrackingProject.
type Project struct {
	Key types.NamespacedName
	UID types.UID

	// Snapshot is what was last seen of the tracked runs.
	Snapshot *snapshot.Snapshot

	mu         sync.Mutex
	conn       *connect.Connection
	backend    backend.Backend // of conn, with the metrics that rules read
	summary    []string
	queue      *batch.Batcher
	stop       context.CancelFunc
	ceiling    tags.Policy
	health     Health
	primed     bool
	missing    bool
	gone       map[string]bool
	checkAsked bool
	by         map[changed]string
	unique     map[string]Unique
	skew       time.Duration
	dropped    time.Time
}

// Health says whether the tracker can be used.
func (p *Project) Health() Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.health
}

// SetHealth notes whether the tracker can be used, and says whether that is news.
func (p *Project) SetHealth(h Health) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.health.Reason != h.Reason
	p.health = h
	return changed
}

// Primed says that every tracked run was looked for at least once on the present connection.
func (p *Project) Primed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.primed
}

// SetPrimed notes that every tracked run was looked for.
func (p *Project) SetPrimed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.primed = true
}

// Queue gathers the reads and changes of the project; nil while there never was a connection.
func (p *Project) Queue() *batch.Batcher {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue
}

// Backend is the client of the present connection; nil while there never was one.
func (p *Project) Backend() backend.Backend {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.backend
}

// SetSummary notes the metrics that lists bring along from now on.
func (p *Project) SetSummary(keys []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.summary = keys
}

// Summary are the metrics that lists bring along.
func (p *Project) Summary() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.summary
}

// Connection is the present connection; nil while there never was one.
func (p *Project) Connection() *connect.Connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conn
}

// Unique is what the project decided about a tag that at most one of its runs may carry.
type Unique struct {
	// Go is the run that may carry it, Holder the one that is known to.
	Go, Holder string
	// Conflict are the TrainingRuns, as namespace/name, that all declare it.
	Conflict []string
	// Blocked says why it does not move.
	Blocked string
}

// Unique says what was decided about a unique tag.
func (p *Project) Unique(name string) Unique {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unique[name]
}

// HasUnique says that the project has unique tags.
func (p *Project) HasUnique() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.unique) > 0
}

// SetUnique notes what was decided about the unique tags, and lists those of which that is news.
func (p *Project) SetUnique(unique map[string]Unique) (news []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, now := range unique {
		if before := p.unique[name]; before.Go != now.Go || before.Holder != now.Holder || before.Blocked != now.Blocked || !slices.Equal(before.Conflict, now.Conflict) {
			news = append(news, name)
		}
	}
	for name := range p.unique {
		if _, still := unique[name]; !still {
			news = append(news, name)
		}
	}
	p.unique = unique
	return news
}

// changed is a tag of a run that one of our own controllers changed.
type changed struct{ run, tag string }

// mostBy is how many such changes are remembered.
const mostBy = 10_000

// NoteBy notes that one of our own controllers changed a tag of a run, and on whose behalf: the TrainingRun, which sees the
// change and did not make it, says so.
func (p *Project) NoteBy(run, tag, by string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil || len(p.by) >= mostBy {
		p.by = map[changed]string{}
	}
	p.by[changed{run, tag}] = by
}

// ByWhom says on whose behalf one of our own controllers changed a tag of a run last; empty for nobody.
func (p *Project) ByWhom(run, tag string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.by[changed{run, tag}]
}

// Verdict is what the project's controller decided about runs that were there and are not found any more.
type Verdict int

// The verdicts.
const (
	// Undecided: the look that decides is still to come.
	Undecided Verdict = iota
	// Gone: the run was deleted.
	Gone
	// Missing: too many are gone at once, or address or credential changed; nothing is called deleted.
	Missing
)

// Judge says what is held of a known run that is not found any more.
func (p *Project) Judge(runID string) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone[runID]:
		return Gone
	case p.missing:
		return Missing
	}
	return Undecided
}

// SetVerdict notes which known runs are called deleted, and whether further ones are missing without being called so.
func (p *Project) SetVerdict(gone map[string]bool, missing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone, p.missing = gone, missing
}

// AskCheck notes that a change failed in a way that may hold for the whole tracker.
func (p *Project) AskCheck() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checkAsked = true
}

// CheckAsked says, once, that access to the tracker has to be checked.
func (p *Project) CheckAsked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.checkAsked
	p.checkAsked = false
	return asked
}

// SetServerTime notes the tracker's own clock as it was when ours said now.
func (p *Project) SetServerTime(server, now time.Time) {
	if server.IsZero() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if skew := server.Sub(now); (skew - p.skew).Abs() > clockTolerance { // else the same, as far as one can tell
		p.skew = skew
	}
}

// Ceiling is the highest policy that the project allows.
func (p *Project) Ceiling() tags.Policy {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ceiling
}

// SetCeiling notes the highest policy that the project allows, and says whether that is news.
func (p *Project) SetCeiling(ceiling tags.Policy) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.ceiling != ceiling
	p.ceiling = ceiling
	return changed
}

// clockTolerance is how far the tracker's clock may be off before its times are corrected: a Date header has whole
// seconds, and an answer takes time.
const clockTolerance = 2 * time.Second

// ToServer turns a time of our clock into one of the tracker's.
func (p *Project) ToServer(t time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return t.Add(p.skew)
}

// ToLocal turns a time of the tracker's clock into one of ours.
func (p *Project) ToLocal(t time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.IsZero() {
		return t
	}
	return t.Add(-p.skew)
}
