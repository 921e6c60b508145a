package wandbtest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// applied is what the faults do to one request.
type applied struct {
	set    Faults
	hits   []Fault
	budget *budget

	nullViewer, nullProject bool
}

func (a *applied) join(f Fault) {
	a.hits = append(a.hits, f)
	a.nullViewer = a.nullViewer || f.NullViewer
	a.nullProject = a.nullProject || f.NullProject
}

// carriedOut says whether the request has its effect.
func (a *applied) carriedOut() bool {
	if a.budget != nil && a.budget.exhausted {
		return false
	}
	for _, f := range a.hits {
		if f.Drop == dropBefore || f.replaces() && !f.Apply {
			return false
		}
	}
	return true
}

func (f Fault) replaces() bool { return f.Status != 0 || f.LoginPage || f.Redirect != "" }

// tooBig says why a document is refused.
func (a *applied) tooBig(r Request) error {
	if limit := a.set.MaxAliases; limit > 0 && r.Count > limit {
		return fmt.Errorf("query has too many fields: %d, at most %d", r.Count, limit)
	}
	if limit := a.set.MaxDocument; limit > 0 && r.Bytes > limit {
		return fmt.Errorf("query is too long: %d bytes, at most %d", r.Bytes, limit)
	}
	return nil
}

// answer holds back what a handler writes, for faults to be done to it.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header is what the answer will have.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader keeps the first status.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

// Write keeps the bytes.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// exchange carries out a request of the protocol: it is logged, and whatever faults hit it are done to it.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request, request Request, handle func(http.ResponseWriter, *applied)) {
	request.Seq, request.Time, request.UserAgent = s.journal.number(), s.clock.Now().UTC(), r.UserAgent()
	if s.journal.hook != nil {
		s.journal.hook(request)
	}
	faults := s.faults.pick(request, s.clock.Now())
	for _, f := range faults.hits {
		if !s.wait(r.Context(), f.Latency.Duration) {
			return
		}
	}
	held := &answer{header: http.Header{}}
	if faults.carriedOut() {
		handle(held, faults)
	}
	faults.replace(held)
	if skew := faults.set.ClockSkew.Duration; skew != 0 {
		held.header.Set("Date", s.clock.Now().Add(skew).UTC().Format(http.TimeFormat))
	}
	request.Fault = faults.names()
	if request.Status = held.status; faults.silent() {
		request.Status = 0
	}
	s.journal.add(request) // before the answer, so that whoever has the answer finds it in the log
	s.deliver(w, r, held, faults)
}

// replace puts the answers of faults in place of the server's own.
func (a *applied) replace(held *answer) {
	write := func(status int, contentType, body string) {
		held.status = status
		held.body.Reset()
		held.body.WriteString(body)
		held.header.Set("Content-Type", contentType)
	}
	for _, f := range a.hits {
		switch {
		case f.LoginPage:
			write(http.StatusOK, "text/html; charset=utf-8", "<!doctype html><title>Sign in</title><form>Please sign in.</form>")
		case f.Redirect != "":
			write(http.StatusFound, "text/html; charset=utf-8", "")
			held.header.Set("Location", f.Redirect)
		case f.Status != 0:
			body := f.Body
			if body == "" {
				body = fmt.Sprintf(`{"errors":[{"message":%q}]}`, "injected: "+http.StatusText(f.Status))
			}
			write(f.Status, "application/json", body)
		}
		if f.ContentType != "" {
			held.header.Set("Content-Type", f.ContentType)
		}
		for key, value := range f.Headers {
			held.header.Set(key, value)
		}
	}
	if a.budget != nil {
		if a.budget.exhausted {
			write(http.StatusTooManyRequests, "application/json", `{"error":"Rate limit exceeded"}`)
		}
		a.budget.headers(held.header)
	}
}

func (a *applied) silent() bool {
	for _, f := range a.hits {
		if f.Drop == dropBefore || f.Drop == dropAfter {
			return true
		}
	}
	return false
}

// names says in a word each what the faults were.
func (a *applied) names() string {
	var all []string
	add := func(on bool, name string) {
		if on {
			all = append(all, name)
		}
	}
	for _, f := range a.hits {
		add(f.Latency.Duration > 0, "latency")
		add(f.Status != 0, strconv.Itoa(f.Status))
		add(f.LoginPage, "login page")
		add(f.Redirect != "", "redirect")
		add(f.NullViewer || f.NullProject, "null")
		add(f.Drop != "", "drop "+f.Drop)
		add(f.Truncate > 0, "truncated")
		add(f.ByteDelay.Duration > 0, "slow")
		add(f.Pad > 0, "padded")
	}
	add(a.budget != nil && a.budget.exhausted, "rate limit")
	return strings.Join(all, ", ")
}

// deliver sends the answer, or as much of it as the faults let through.
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, held *answer, faults *applied) {
	if faults.silent() {
		panic(http.ErrAbortHandler) // closes the connection without a word
	}
	body := held.body.Bytes()
	var delay time.Duration
	cut := false
	for _, f := range faults.hits {
		if f.Pad > 0 {
			body = append(bytes.Repeat([]byte{' '}, f.Pad), body...)
		}
		if f.Truncate > 0 {
			body = body[:min(f.Truncate, len(body))]
		}
		delay += f.ByteDelay.Duration
		cut = cut || f.Drop == dropMiddle
	}
	maps.Copy(w.Header(), held.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(max(held.status, http.StatusOK))
	if cut {
		body = body[:len(body)/2]
	}
	if delay > 0 {
		s.dribble(w, r, body, delay)
	} else {
		// A client that went away is told nothing; there is no one else to tell.
		_, _ = w.Write(body)
	}
	if cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) dribble(w http.ResponseWriter, r *http.Request, body []byte, delay time.Duration) {
	flusher := http.NewResponseController(w)
	for i := range body {
		if !s.wait(r.Context(), delay) {
			return
		}
		if _, err := w.Write(body[i : i+1]); err != nil || flusher.Flush() != nil {
			return
		}
	}
}

// wait is false where the caller went away meanwhile.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := s.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-ctx.Done():
		return false
	}
}
