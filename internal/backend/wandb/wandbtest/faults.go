package wandbtest

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Faults is all that is wrong with the server at a time. Its JSON is what the control endpoint /_runtag/faults takes and
// shows. The zero value is a server that works.
type Faults struct {
	// Faults hit some of the requests; all that hit one apply to it together.
	Faults []Fault `json:"faults,omitempty"`
	// Seed makes the rates of Faults repeatable.
	Seed uint64 `json:"seed,omitempty"`
	// RateLimit answers 429 beyond a budget.
	RateLimit *RateLimit `json:"rateLimit,omitempty"`
	// MaxAliases refuses documents with more top-level fields (HTTP 400), MaxDocument longer ones, in bytes. 0 is no limit.
	MaxAliases  int `json:"maxAliases,omitempty"`
	MaxDocument int `json:"maxDocument,omitempty"`
	// ClockSkew is added to the Date header.
	ClockSkew Duration `json:"clockSkew,omitzero"`
	// UpsertByID makes the server one that does not update by id: "insert" makes another run and says inserted, "other"
	// changes another run of the project.
	UpsertByID string `json:"upsertByID,omitempty"`
	// IgnoreTags answers as usual but leaves tags as they were.
	IgnoreTags bool `json:"ignoreTags,omitempty"`
	// HiddenRows leaves the project's first so many runs out of lists, whose cursors nevertheless count them: pages come
	// without edges though there is a next one.
	HiddenRows int `json:"hiddenRows,omitempty"`
	// ErrorsAs200 answers 200 where fields of a document failed, instead of the first failure's status.
	ErrorsAs200 bool `json:"errorsAs200,omitempty"`
}

const (
	upsertInserts = "insert"
	upsertOther   = "other"

	dropBefore = "before"
	dropAfter  = "after"
	dropMiddle = "middle"
)

// Fault says which requests it hits and what happens to them.
type Fault struct {
	// Operations names operations or top-level fields (Runs, upsertBucket, file_stream, upload, download); empty is
	// every request. UserAgent must be part of the request's.
	Operations []string `json:"operations,omitempty"`
	UserAgent  string   `json:"userAgent,omitempty"`
	// Of the requests that match, Skip are let through first; then Every n-th is hit, or each with probability Rate, or
	// all; and after Count hits no more.
	Skip  int     `json:"skip,omitempty"`
	Every int     `json:"every,omitempty"`
	Rate  float64 `json:"rate,omitempty"`
	Count int     `json:"count,omitempty"`

	// Latency passes before anything is done.
	Latency Duration `json:"latency,omitzero"`
	// Status answers with that status and Body (an error message in JSON if empty) instead of carrying the request out;
	// Apply carries it out all the same. Headers are added to the answer.
	Status      int               `json:"status,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Body        string            `json:"body,omitempty"`
	ContentType string            `json:"contentType,omitempty"`
	Apply       bool              `json:"apply,omitempty"`
	// LoginPage answers 200 with an HTML page, Redirect 302 to the address.
	LoginPage bool   `json:"loginPage,omitempty"`
	Redirect  string `json:"redirect,omitempty"`
	// NullViewer and NullProject answer null, as for a key that is not known.
	NullViewer  bool `json:"nullViewer,omitempty"`
	NullProject bool `json:"nullProject,omitempty"`
	// Drop breaks the connection: "before" the request is carried out, "after" it without an answer, or in the "middle" of
	// the answer.
	Drop string `json:"drop,omitempty"`
	// Truncate ends the answer properly after so many bytes of it.
	Truncate int `json:"truncate,omitempty"`
	// ByteDelay passes before each byte of the answer.
	ByteDelay Duration `json:"byteDelay,omitzero"`
	// Pad puts so many blanks before the answer, which leaves it valid JSON.
	Pad int `json:"pad,omitempty"`
}

// RateLimit is a budget of GraphQL requests for all callers together.
type RateLimit struct {
	Requests int      `json:"requests"`
	Per      Duration `json:"per"`
	// RetryAfter sends that header with a 429; RateLimit-* headers are on every answer.
	RetryAfter bool `json:"retryAfter,omitempty"`
}

// Duration is written "1.5s" in JSON.
type Duration struct{ time.Duration }

// MarshalText writes the duration.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads one.
func (d *Duration) UnmarshalText(text []byte) error {
	var err error
	d.Duration, err = time.ParseDuration(string(text))
	return err
}

// Validate says what makes no sense in the faults.
func (f Faults) Validate() error {
	if f.UpsertByID != "" && f.UpsertByID != upsertInserts && f.UpsertByID != upsertOther {
		return fmt.Errorf("upsertByID %q: use %q or %q", f.UpsertByID, upsertInserts, upsertOther)
	}
	if l := f.RateLimit; l != nil && (l.Requests < 1 || l.Per.Duration <= 0) {
		return fmt.Errorf("rateLimit: requests and per must be positive")
	}
	for i, fault := range f.Faults {
		if !slices.Contains([]string{"", dropBefore, dropAfter, dropMiddle}, fault.Drop) {
			return fmt.Errorf("faults[%d].drop %q: use %q, %q or %q", i, fault.Drop, dropBefore, dropMiddle, dropAfter)
		}
		if fault.Rate < 0 || fault.Rate > 1 {
			return fmt.Errorf("faults[%d].rate %v: use 0 to 1", i, fault.Rate)
		}
		if fault.Status != 0 && (fault.Status < 200 || fault.Status > 599) {
			return fmt.Errorf("faults[%d].status %d: use 200 to 599", i, fault.Status)
		}
	}
	return nil
}

// SetFaults replaces all faults; their counts begin anew. It panics where Validate would fail.
func (s *Server) SetFaults(f Faults) {
	if err := f.Validate(); err != nil {
		panic("wandbtest: " + err.Error())
	}
	s.faults.set(f)
}

// Faults returns the faults as they were set.
func (s *Server) Faults() Faults {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	return s.faults.current
}

// injector decides which faults hit a request.
type injector struct {
	mu      sync.Mutex
	current Faults
	counts  []counts
	random  *rand.Rand

	windowEnds time.Time
	spent      int
}

type counts struct{ matched, hit int }

func (i *injector) set(f Faults) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.current, i.counts = f, make([]counts, len(f.Faults))
	i.random = rand.New(rand.NewPCG(f.Seed, 0)) //nolint:gosec // chance that can be repeated, not a secret
	i.windowEnds, i.spent = time.Time{}, 0
}

// pick counts the request and gives what applies to it.
func (i *injector) pick(r Request, now time.Time) *applied {
	i.mu.Lock()
	defer i.mu.Unlock()
	a := &applied{set: i.current}
	for n := range i.current.Faults {
		if f := &i.current.Faults[n]; f.matches(r) && i.hits(f, &i.counts[n]) {
			a.join(*f)
		}
	}
	if i.current.RateLimit != nil && r.Kind != "" {
		a.budget = i.spend(*i.current.RateLimit, now)
	}
	return a
}

func (f *Fault) matches(r Request) bool {
	if !strings.Contains(r.UserAgent, f.UserAgent) {
		return false
	}
	return len(f.Operations) == 0 || slices.ContainsFunc(f.Operations, func(name string) bool {
		return name == r.Operation || slices.Contains(r.Fields, name)
	})
}

func (i *injector) hits(f *Fault, c *counts) bool {
	c.matched++
	past := c.matched - f.Skip
	switch {
	case past < 1, f.Count > 0 && c.hit >= f.Count:
		return false
	case f.Every > 1 && past%f.Every != 0:
		return false
	case f.Rate > 0 && i.random.Float64() >= f.Rate:
		return false
	}
	c.hit++
	return true
}

// budget is what is left of a rate limit after a request.
type budget struct {
	limit     RateLimit
	left      int
	resets    time.Duration
	exhausted bool
}

func (i *injector) spend(limit RateLimit, now time.Time) *budget {
	if !now.Before(i.windowEnds) {
		i.windowEnds, i.spent = now.Add(limit.Per.Duration), 0
	}
	i.spent++
	left := limit.Requests - i.spent
	return &budget{limit: limit, left: max(left, 0), exhausted: left < 0, resets: i.windowEnds.Sub(now)}
}

// headers are as W&B's: the budget scaled to 0..1000, and whole seconds.
func (b *budget) headers(h http.Header) {
	seconds := fmt.Sprint(int((b.resets + time.Second - 1) / time.Second))
	h.Set("RateLimit-Limit", "1000")
	h.Set("RateLimit-Remaining", fmt.Sprint(1000*b.left/b.limit.Requests))
	h.Set("RateLimit-Reset", seconds)
	if b.exhausted && b.limit.RetryAfter {
		h.Set("Retry-After", seconds)
	}
}
