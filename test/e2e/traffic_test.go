package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// kind is what a request to a tracker is for.
type kind string

const (
	look   kind = "look"   // a list of what is active or changed
	choose kind = "choose" // a list of what carries tags, or does not
	read   kind = "read"   // of runs by id or name
	write  kind = "write"  // of tags
	check  kind = "check"  // whether there is access, and to what
)

// request is one that the manager sent.
type request struct {
	kind kind
	// about is the project of a list, the runs of a write, or the path.
	about string
}

func (r request) String() string { return fmt.Sprintf("%s %s", r.kind, r.about) }

// traffic is what the manager sends to a tracker. It can be counted, and held up before it takes effect.
type traffic struct {
	mu       sync.Mutex
	requests []request
	onEach   map[int]func(request)
	next     int
}

// pass notes a request and returns when it may go on.
func (t *traffic) pass(r request) {
	t.mu.Lock()
	t.requests = append(t.requests, r)
	var callbacks []func(request)
	for _, f := range t.onEach {
		callbacks = append(callbacks, f)
	}
	t.mu.Unlock()
	for _, f := range callbacks {
		f(r)
	}
}

// mark is a point in time, for since.
func (t *traffic) mark() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.requests)
}

// since gives the requests after a mark, of some kinds or of all.
func (t *traffic) since(mark int, kinds ...kind) []request {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []request
	for _, r := range t.requests[mark:] {
		if len(kinds) == 0 || slices.Contains(kinds, r.kind) {
			out = append(out, r)
		}
	}
	return out
}

// tail is the end of the traffic, for failure messages.
func (t *traffic) tail() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for _, r := range t.requests[max(0, len(t.requests)-40):] {
		lines = append(lines, r.String())
	}
	return strings.Join(lines, "\n")
}

// watch has f called in each request before it takes effect, until stop.
func (t *traffic) watch(f func(request)) (stop func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.onEach == nil {
		t.onEach = map[int]func(request){}
	}
	id := t.next
	t.next++
	t.onEach[id] = f
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.onEach, id)
	}
}

// hold is a stop sign for some requests.
type hold struct {
	// reached is closed when the first request is held.
	reached chan struct{}
	// release lets all go on; a second call does nothing.
	release func()
}

// holdUp lets the first requests of a kind pass and holds all that follow, until release or the end of the spec.
func (t *traffic) holdUp(ctx context.Context, of kind, passing int) hold {
	free, reached := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	var once sync.Once
	stop := t.watch(func(r request) {
		if r.kind != of {
			return
		}
		mu.Lock()
		passing--
		held := passing < 0
		mu.Unlock()
		if !held {
			return
		}
		once.Do(func() { close(reached) })
		select {
		case <-free:
		case <-ctx.Done():
		}
	})
	return hold{reached: reached, release: sync.OnceFunc(func() { stop(); close(free) })}
}
