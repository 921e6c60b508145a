package backendtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// Request is a request as the proxy saw it.
type Request struct {
	Method, Path string
	// Query is that of the address, as it was sent.
	Query  string
	Header http.Header
	Body   []byte
}

// Rule says which requests are hit by a fault.
type Rule struct {
	Fault Fault
	// Match picks requests; nil picks all.
	Match func(Request) bool
	// Skip lets so many of the picked requests pass first.
	Skip int
	// Times is how many are hit after that; 0 is all.
	Times int
}

// Proxy stands before a tracker, records what is asked, and breaks what it is told to.
type Proxy struct {
	// URL of the proxy, with the path of the tracker.
	URL string

	tracker http.Handler
	closing chan struct{}

	mu       sync.Mutex
	rules    []*activeRule
	requests []Request
}

type activeRule struct {
	Rule
	seen int
}

// NewProxy starts a proxy before the tracker at target; it ends with the test. Each of around is put around all that it
// answers, broken or not.
func NewProxy(t testing.TB, target string, around ...func(http.Handler) http.Handler) *Proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatalf("address of the tracker: %v", err)
	}
	host := url.URL{Scheme: u.Scheme, Host: u.Host}
	direct := &http.Transport{} // Not the default one, which would heed HTTP_PROXY.
	p := &Proxy{
		closing: make(chan struct{}),
		tracker: &httputil.ReverseProxy{
			Transport: direct,
			// Faults cut plain bodies.
			Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&host); r.Out.Header.Del("Accept-Encoding") },
			// A client that went away is what many cases are about; it is not worth a line.
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		},
	}
	var handler http.Handler = p
	for _, put := range around {
		handler = put(handler)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		close(p.closing)
		server.CloseClientConnections()
		server.Close()
		direct.CloseIdleConnections()
	})
	p.URL = server.URL + u.Path
	return p
}

// Inject adds a rule. The first rule that hits a request decides.
func (p *Proxy) Inject(r Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, &activeRule{Rule: r})
}

// Heal takes away all rules.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = nil
}

// Requests returns the requests so far that match picks, in order; nil picks all.
func (p *Proxy) Requests(match func(Request) bool) []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var picked []Request
	for _, r := range p.requests {
		if match == nil || match(r) {
			picked = append(picked, r)
		}
	}
	return picked
}

// ServeHTTP passes the request on, or breaks it.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // The client went away.
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault := p.record(Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: body})
	if fault == nil {
		p.tracker.ServeHTTP(w, r)
		return
	}
	fault(&Exchange{Writer: w, Request: r, Tracker: p.tracker, Closing: p.closing})
}

// record keeps the request and says which fault hits it.
func (p *Proxy) record(r Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = append(p.requests, r)
	for _, rule := range p.rules {
		if rule.Match != nil && !rule.Match(r) {
			continue
		}
		rule.seen++
		if rule.seen > rule.Skip && (rule.Times == 0 || rule.seen <= rule.Skip+rule.Times) {
			return rule.Fault
		}
	}
	return nil
}
