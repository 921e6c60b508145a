package wandbtest

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest/graphql"
)

// maxJournal is how many requests are remembered.
const maxJournal = 10_000

// Request is one request of the protocol, as the log keeps it. Credentials and the bytes of files are never in it.
type Request struct {
	Seq  int64     `json:"seq"`
	Time time.Time `json:"time"`
	// Operation is the operation's name; of an anonymous one, the names of its top-level fields with commas between.
	// What is not GraphQL is file_stream, upload or download.
	Operation string `json:"operation"`
	// Kind is query, mutation, or empty for what is not GraphQL.
	Kind string `json:"kind,omitempty"`
	// Fields are the distinct top-level fields; Count is how many there are with all aliases.
	Fields []string `json:"fields,omitempty"`
	Count  int      `json:"count,omitempty"`
	// Path is the run of a request that is not GraphQL, entity/project/id.
	Path      string         `json:"path,omitempty"`
	Variables map[string]any `json:"variables,omitempty"`
	// Bytes is the length of the document.
	Bytes     int    `json:"bytes,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	// Status is the answer's; 0 where the connection was dropped before it.
	Status int `json:"status"`
	// Fault names the faults that were applied.
	Fault string `json:"fault,omitempty"`
}

func (r *Request) describe(op *graphql.Operation) {
	r.Kind = op.Kind
	seen := map[string]bool{}
	for _, s := range op.Selection {
		if s.Name != "" {
			r.Count++
			seen[s.Name] = true
		}
	}
	r.Fields = slices.Sorted(maps.Keys(seen))
	r.Operation = op.Name
	if op.Name == "" {
		r.Operation = strings.Join(r.Fields, ",")
	}
}

// journal remembers the latest requests.
type journal struct {
	hook func(Request)

	mu   sync.Mutex
	seq  int64
	list []Request
}

// number gives the request its place in the log.
func (j *journal) number() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	return j.seq
}

func (j *journal) add(r Request) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.list) >= 2*maxJournal {
		j.list = slices.Clone(j.list[len(j.list)-maxJournal:])
	}
	j.list = append(j.list, r)
}

func (j *journal) since(seq int64) []Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := []Request{}
	for _, r := range j.list[max(0, len(j.list)-maxJournal):] {
		if r.Seq > seq {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Request) int { return int(a.Seq - b.Seq) })
	return out
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = nil
}

// Requests returns the requests answered so far, oldest first; at most the latest 10,000.
func (s *Server) Requests() []Request { return s.journal.since(0) }

// RequestsSince returns those with a greater Seq.
func (s *Server) RequestsSince(seq int64) []Request { return s.journal.since(seq) }

// ResetRequests forgets them; Seq goes on.
func (s *Server) ResetRequests() { s.journal.reset() }
