package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// slowProxy stands before a tracker, makes each request wait, as many at once as come, and counts them.
type slowProxy struct {
	*httptest.Server
	// latency is a time.Duration.
	latency atomic.Int64

	mu    sync.Mutex
	seen  passed
	open  int // requests that are with the tracker
	since time.Time
}

// passed is what a slowProxy has passed on.
type passed struct {
	requests int
	// writes are changes of tags that went well.
	writes int
	// busy is the time in which at least one request was with the tracker.
	busy time.Duration
}

func newSlowProxy(target string) (*slowProxy, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("address of the tracker: %w", err)
	}
	p := &slowProxy{}
	pass := &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64}, // not the default one, which keeps two and heeds HTTP_PROXY
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u) },
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode == http.StatusOK && isWrite(r.Request.URL.Path) {
				p.mu.Lock()
				p.seen.writes++
				p.mu.Unlock()
			}
			return nil
		},
	}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Duration(p.latency.Load()))
		p.enter()
		defer p.leave()
		pass.ServeHTTP(w, r)
	}))
	return p, nil
}

func isWrite(path string) bool {
	for _, end := range []string{"runs/set-tag", "runs/log-batch", "runs/delete-tag"} {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}

func (p *slowProxy) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen.requests++
	if p.open == 0 {
		p.since = time.Now()
	}
	p.open++
}

func (p *slowProxy) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open--; p.open == 0 {
		p.seen.busy += time.Since(p.since)
	}
}

// count is what was passed on so far. Busy is without what is under way.
func (p *slowProxy) count() passed {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// drain reads an answer to its end, so that the connection can be used again, and refuses one that is not 200.
func drain(answer *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // reading has said what there is to say
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, body)
	}
	return err
}
