package tags

import (
	"slices"
	"time"
)

const (
	// contestedAfter is how many re-adds, or removals again, go at once; the next one is contested and waits.
	contestedAfter = 2
	// A contested change waits holdFirst after the write before, and twice as long each time, up to holdMost.
	holdFirst = 10 * time.Second
	holdMost  = 5 * time.Minute
)

// Contest remembers, within one attempt of a run, how often the same change of a key had to be made again because
// somebody undid it. The zero Contest is ready; it holds memory only once something was written. It is not safe for
// concurrent use.
type Contest struct {
	attempt int
	writes  []lastWrite // of few keys, for which a map would take three times the room
}

// lastWrite is the last change of a key, and how often in a row it was made again.
type lastWrite struct {
	key, value string
	at         time.Time
	again      int32
	removed    bool
}

// Begin says which attempt of the run this is. Another one than before starts with a clean slate.
func (c *Contest) Begin(attempt int) {
	if attempt != c.attempt {
		*c = Contest{attempt: attempt}
	}
}

// Wrote takes note of an edit that was written. The same change of a key as the last time is made again; another one,
// as when a person adds and removes a tag, is no contest.
func (c *Contest) Wrote(attempt int, edit Edit, now time.Time) {
	c.Begin(attempt)
	if c.writes == nil { // often the only write there is: no more room than it needs
		c.writes = make([]lastWrite, 0, len(edit.Set)+len(edit.Remove))
	}
	for key, value := range edit.Set {
		c.wrote(lastWrite{key: key, value: value, at: now})
	}
	for _, key := range edit.Remove {
		c.wrote(lastWrite{key: key, removed: true, at: now})
	}
}

func (c *Contest) wrote(w lastWrite) {
	at := slices.IndexFunc(c.writes, func(last lastWrite) bool { return last.key == w.key })
	if at < 0 {
		c.writes = append(c.writes, w)
		return
	}
	if last := c.writes[at]; last.value == w.value && last.removed == w.removed {
		w.again = last.again + 1
	}
	c.writes[at] = w
}

// Held gives the keys whose next change has to wait, and until when; nil where none has to. It is meant for Input.HeldUntil.
func (c *Contest) Held(now time.Time) map[string]time.Time {
	var held map[string]time.Time
	for _, w := range c.writes {
		if until := w.at.Add(w.hold()); until.After(now) {
			if held == nil {
				held = map[string]time.Time{}
			}
			held[w.key] = until
		}
	}
	return held
}

// Contested lists in order the keys whose change was contested and whose wait for the next one is not over. A first
// contested change that still waits is in Plan.Held.
func (c *Contest) Contested(now time.Time) []string {
	var contested []string
	for _, w := range c.writes {
		if w.again > contestedAfter && w.at.Add(w.hold()).After(now) {
			contested = append(contested, w.key)
		}
	}
	slices.Sort(contested)
	return contested
}

// hold is how long the next change of the key has to wait after this one.
func (w lastWrite) hold() time.Duration {
	if w.again < contestedAfter {
		return 0
	}
	hold := holdFirst
	for range w.again - contestedAfter {
		if hold *= 2; hold >= holdMost {
			return holdMost
		}
	}
	return hold
}
