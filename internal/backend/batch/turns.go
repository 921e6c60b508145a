package batch

import (
	"context"
	"sync"
)

// Turns keeps batchers whose projects are the same one on the tracker, as those of two namespaces may be, from changing
// the same run at once: where a tracker replaces the list of a run's tags as a whole, one of two such changes would be
// lost. The zero Turns is ready.
type Turns struct {
	mu   sync.Mutex
	busy map[string]bool
	// moved is closed when a turn ends; nil while nobody waits.
	moved chan struct{}
}

// take waits until no run of the place is being changed by somebody else. The turn ends with the call of end.
func (t *Turns) take(ctx context.Context, place string, runs []string) (end func(), err error) {
	for {
		wait := t.tryTake(place, runs)
		if wait == nil {
			return func() { t.end(place, runs) }, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-wait:
		}
	}
}

// tryTake takes the turn, or gives what to wait for before the next try.
func (t *Turns) tryTake(place string, runs []string) <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, run := range runs {
		if t.busy[turn(place, run)] {
			if t.moved == nil {
				t.moved = make(chan struct{})
			}
			return t.moved
		}
	}
	if t.busy == nil {
		t.busy = map[string]bool{}
	}
	for _, run := range runs {
		t.busy[turn(place, run)] = true
	}
	return nil
}

func (t *Turns) end(place string, runs []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, run := range runs {
		delete(t.busy, turn(place, run))
	}
	if t.moved != nil {
		close(t.moved)
		t.moved = nil
	}
}

func turn(place, run string) string { return place + "\x00" + run }
