package wandb

import (
	"fmt"
	"slices"
	"sync"

	"github.com/runtag/runtag/internal/backend"
)

// What a request holds before the server has refused anything. 500 ids or 100 writes keep documents near 10 kB; a page
// of 500 runs stays far below what a server refuses or a client must limit. As many ids as a page holds also make a look
// by id no dearer than one through all pages.
const (
	firstRead         = 500
	firstChange       = 100
	firstChangeActive = 10
	firstPage         = 500
)

// learned is what the server taught us. It lasts as long as the client, which is made anew when the project changes.
type learned struct {
	mu     sync.Mutex
	limits backend.Limits
	// unknown are the fields of Run that the server does not know.
	unknown []string
	// unreadable: a summary could not be read.
	unreadable bool
	// bulk: modifyRuns is wanted, and has not failed yet.
	bulk bool
	// byID: a write was seen to land on the run whose id it named. notByID: writes land elsewhere.
	byID, notByID bool
	// strays counts the writes in a row that landed elsewhere.
	strays  int
	notices []string
}

func newLearned(bulk bool, page int) learned {
	if page <= 0 {
		page = firstPage
	}
	return learned{
		bulk:   bulk,
		limits: backend.Limits{Read: firstRead, Change: firstChange, ChangeActive: firstChangeActive, Page: page},
	}
}

func (l *learned) current() backend.Limits {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits
}

func (l *learned) said() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.notices)
}

// changeRefused remembers that a write of n runs was too much.
func (l *learned) changeRefused(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits.Change = min(l.limits.Change, max(1, n/2))
	l.limits.ChangeActive = min(l.limits.ChangeActive, l.limits.Change)
}

// changeSlow remembers that n active runs could not be written soon enough after they were read.
func (l *learned) changeSlow(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits.ChangeActive = min(l.limits.ChangeActive, max(1, n/2))
}

// changeFast lets batches of active runs grow again after one that was in time.
func (l *learned) changeFast() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits.ChangeActive = min(l.limits.ChangeActive+1, firstChangeActive, l.limits.Change)
}

// pageRefused remembers that a page of n runs was too much; it gives false where pages cannot get smaller.
func (l *learned) pageRefused(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n <= 1 {
		return false
	}
	l.limits.Page = min(l.limits.Page, n/2)
	return true
}

// readRefused remembers that a question about n runs was too long; it gives false where it cannot get shorter.
func (l *learned) readRefused(n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n <= 1 {
		return false
	}
	l.limits.Read = min(l.limits.Read, n/2)
	l.limits.Change = min(l.limits.Change, l.limits.Read)
	l.limits.ChangeActive = min(l.limits.ChangeActive, l.limits.Change)
	return true
}

// ask says whether to ask for a field of Run.
func (l *learned) ask(field string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.Contains(l.unknown, field)
}

var withoutField = map[string]string{
	fieldHost:    "The server does not tell the host of a run: pods cannot be linked to runs by their host name.",
	fieldSummary: "The server does not tell single metrics of a run: rules see no run.summary.",
}

// forget remembers that the server does not know a field.
func (l *learned) forget(field string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.unknown, field) {
		l.unknown = append(l.unknown, field)
		l.notices = append(l.notices, withoutField[field])
	}
}

// badSummary says, once, that a summary could not be read.
func (l *learned) badSummary(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.unreadable {
		l.unreadable = true
		l.notices = append(l.notices, "The server gave metrics that cannot be read, and rules do not see those: "+why+".")
	}
}

func (l *learned) useBulk() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bulk
}

// endBulk ends the use of modifyRuns.
func (l *learned) endBulk(why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bulk {
		l.bulk = false
		l.notices = append(l.notices, fmt.Sprintf("bulkEdits is not used: %s. Tags are written run by run as lists instead.", why))
	}
}

// wroteByID remembers that the server updates the run whose id is named.
func (l *learned) wroteByID() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byID, l.strays = true, 0
}

// mostStrays is how many writes in a row may land elsewhere on a server that was seen to update by id: each can be due to a
// run that was deleted at that moment, but a server can also become another.
const mostStrays = 3

// strayed is told of a write that landed elsewhere. It says whether this is how the server is, and not an accident.
func (l *learned) strayed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.strays++; l.byID && l.strays < mostStrays {
		return false
	}
	if !l.notByID {
		l.notByID = true
		l.notices = append(l.notices, notByIDMessage+".")
	}
	return true
}

const notByIDMessage = "The server does not update runs by id: a write made a run or changed another one. " +
	"No more is written to this project. Check the server's version, then edit the project to try again"

// refuseWrites gives the error that ends all writes, once the server was seen not to update by id.
func (c *Client) refuseWrites(op string) error {
	c.learned.mu.Lock()
	defer c.learned.mu.Unlock()
	if !c.learned.notByID {
		return nil
	}
	return &backend.Error{Kind: backend.Unsupported, Op: op, Message: notByIDMessage}
}
