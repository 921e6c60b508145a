package tracker_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/clock"
)

// front is the host that the operator talks to: it stands before the tracker, counts, and bends what goes through.
type front struct {
	*httptest.Server
	tracker http.Handler
	clock   clock.PassiveClock

	mu       sync.Mutex
	bend     bender
	requests int
	count    stormCount
	underWay int
	// refusedAt, until: the last refusal with a time, and until when no request may come. allowed are those that were
	// under way with it.
	refusedAt, until time.Time
	allowed          int
	said             []string
}

// bender answers a request in place of the tracker.
type bender func(x *exchange)

// stormCount says how the operator heeded refusals.
type stormCount struct {
	refused int // requests that were answered with 429
	early   int // requests that came before Retry-After was over
}

func (c *stormCount) add(other stormCount) {
	c.refused += other.refused
	c.early += other.early
}

func newFront(t *testing.T, tracker http.Handler, clock clock.PassiveClock) *front {
	t.Helper()
	f := &front{tracker: tracker, clock: clock}
	f.Server = httptest.NewServer(f)
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *front) setBend(b bender) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bend = b
}

func (f *front) storm() stormCount {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// problems says which requests came too early.
func (f *front) problems() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said
}

// sentTo takes note of how much of an answer without end went out.
func (f *front) sentTo(bytes int) {
	if bytes <= taken {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprintf("%d MiB of an answer were taken in", bytes>>20))
}

func (f *front) seen() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests
}

// ServeHTTP passes the request on to the tracker, or to what bends it.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	bend := f.arrived()
	defer f.left()
	x := &exchange{front: f, w: &watched{ResponseWriter: w, told: f.answered}, r: r, body: body, tracker: f.tracker}
	if err := json.Unmarshal(body, &x.ask); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if bend == nil {
		x.pass()
		return
	}
	bend(x)
}

// arrived counts a request, and whether it should not have been made.
func (f *front) arrived() bender {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	f.underWay++
	now := f.clock.Now()
	switch {
	case !now.Before(f.until):
	case now.Equal(f.refusedAt) && f.allowed > 0:
		f.allowed--
	default:
		f.count.early++
		f.said = append(f.said, fmt.Sprintf("a request came at %s, refused until %s", now.Format(time.TimeOnly), f.until.Format(time.TimeOnly)))
	}
	return f.bend
}

func (f *front) left() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.underWay--
}

// answered takes note of a refusal. Whoever had sent a request by then may still get it through: the other senders are the
// batches of the scene's two projects.
func (f *front) answered(status int, header http.Header) {
	if status != http.StatusTooManyRequests {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count.refused++
	now := f.clock.Now()
	value := header.Get("Retry-After")
	until := time.Time{}
	if seconds, err := strconv.Atoi(value); err == nil {
		until = now.Add(time.Duration(seconds) * time.Second)
	} else if at, err := http.ParseTime(value); err == nil {
		if date, err := http.ParseTime(header.Get("Date")); err == nil {
			until = now.Add(at.Sub(date))
		}
	}
	if until.After(f.until) {
		f.refusedAt, f.until, f.allowed = now, until, f.underWay-1
	}
}

// watched tells of an answer before the client has it.
type watched struct {
	http.ResponseWriter
	told func(status int, header http.Header)
	once sync.Once
}

func (w *watched) WriteHeader(status int) {
	w.once.Do(func() { w.told(status, w.Header()) })
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(p []byte) (int, error) {
	w.once.Do(func() { w.told(http.StatusOK, w.Header()) })
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController flush.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ask is the GraphQL request.
type ask struct {
	Query     string         `json:"query"`
	Variables map[string]any `json:"variables"`
}

// exchange is one request that a bender answers.
type exchange struct {
	front   *front
	w       http.ResponseWriter
	r       *http.Request
	body    []byte
	ask     ask
	tracker http.Handler
}

// isWrite says that the request changes tags.
func (x *exchange) isWrite() bool { return strings.Contains(x.ask.Query, "RuntagWrite") }

// isList says that it asks for runs; byID, that it names them.
func (x *exchange) isList() bool { return strings.Contains(x.ask.Query, "RuntagRuns") }

func (x *exchange) byID() bool {
	filters, _ := x.ask.Variables["filters"].(string)
	return x.isList() && strings.Contains(filters, `"name":{"$in"`)
}

// pass lets the tracker answer.
func (x *exchange) pass() { x.tracker.ServeHTTP(x.w, x.request(x.body)) }

// request is the request with another body.
func (x *exchange) request(body []byte) *http.Request {
	r := x.r.Clone(x.r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return r
}

// carry lets the tracker carry out what is in ask, and gives its answer.
func (x *exchange) carry() *httptest.ResponseRecorder {
	body, err := json.Marshal(x.ask)
	if err != nil {
		panic(err) // it was JSON before
	}
	answer := httptest.NewRecorder()
	x.tracker.ServeHTTP(answer, x.request(body))
	return answer
}

// send gives the client an answer of the tracker, with another body.
func (x *exchange) send(answer *httptest.ResponseRecorder, body []byte) {
	maps.Copy(x.w.Header(), answer.Header())
	x.w.Header().Del("Content-Length")
	x.w.WriteHeader(answer.Code)
	_, _ = x.w.Write(body) // a client that went away is told nothing
}

// refuse answers with a status and a GraphQL error.
func (x *exchange) refuse(status int, message string) {
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(status)
	_, _ = fmt.Fprintf(x.w, `{"errors":[{"message":%q}]}`, message)
}

// runsAnswer is the answer to a list, as far as benders care.
type runsAnswer struct {
	Data struct {
		Viewer  json.RawMessage `json:"viewer"`
		Project *struct {
			Runs struct {
				Edges    []edge         `json:"edges"`
				PageInfo map[string]any `json:"pageInfo"`
			} `json:"runs"`
		} `json:"project"`
	} `json:"data"`
}

type edge struct {
	Node map[string]any `json:"node"`
}

// relist has a list changed before the client sees it. A list that fails goes through as it is.
func (x *exchange) relist(change func(list *runsAnswer)) {
	answer := x.carry()
	var list runsAnswer
	if err := json.Unmarshal(answer.Body.Bytes(), &list); err != nil || list.Data.Project == nil {
		x.send(answer, answer.Body.Bytes())
		return
	}
	change(&list)
	body, err := json.Marshal(list)
	if err != nil {
		panic(err) // it was JSON before
	}
	x.send(answer, body)
}
