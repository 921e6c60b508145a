package mlflow

import (
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// group runs functions beside each other. A panic of one becomes that of whoever waits, who may know how to live on: on
// a goroutine that is nobody's it would end the process.
type group struct {
	functions errgroup.Group
	panicked  atomic.Pointer[string]
}

func (g *group) run(f func()) {
	g.functions.Go(func() error {
		defer func() {
			if p := recover(); p != nil {
				said := fmt.Sprintf("%v\n%s", p, debug.Stack())
				g.panicked.CompareAndSwap(nil, &said)
			}
		}()
		f()
		return nil
	})
}

// wait waits for all, and panics if one did.
func (g *group) wait() {
	_ = g.functions.Wait() // they have no errors
	if said := g.panicked.Load(); said != nil {
		panic(*said)
	}
}
