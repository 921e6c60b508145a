package tracking

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/batch"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/connect"
)

// lastGood is how long the connection of a project that was deleted is kept, so that TrainingRuns deleted in the same
// sweep can still take their tags off.
const lastGood = 15 * time.Minute

// Registry holds the projects. It is safe for concurrent use.
type Registry struct {
	clock   clock.Clock
	batch   batch.Options
	turns   batch.Turns
	started chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	ctx      context.Context //nolint:containedctx // the lifetime of the queues, which is not that of any one call
	projects map[types.NamespacedName]*Project
	dropped  int // projects among them that were deleted
}

// NewRegistry makes an empty registry; its queues run with these options.
func NewRegistry(clk clock.Clock, options batch.Options) *Registry {
	return &Registry{clock: clk, batch: options, started: make(chan struct{}), projects: map[types.NamespacedName]*Project{}}
}

// Start bounds the life of all queues by the context, that of the leader: when it ends, the request in hand is
// finished and nothing else is sent.
func (r *Registry) Start(ctx context.Context) error {
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
	close(r.started)
	<-ctx.Done()
	r.running.Wait()
	return nil
}

// Find gives a project by name, also one that was deleted lately.
func (r *Registry) Find(key types.NamespacedName) (*Project, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweep()
	p, ok := r.projects[key]
	return p, ok
}

// Ensure gives the project with this name and uid, new if it was not known. A project that was made again under its
// name starts anew.
func (r *Registry) Ensure(key types.NamespacedName, uid types.UID) *Project {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.projects[key]; ok {
		if p.UID == uid {
			return p
		}
		r.forget(key, p)
	}
	p := &Project{Key: key, UID: uid, Snapshot: snapshot.New()}
	r.projects[key] = p
	return p
}

// Connect gives the project a connection, once the registry was started. With another one than before, its runs have
// to be looked for anew.
func (r *Registry) Connect(ctx context.Context, p *Project, conn *connect.Connection) error {
	select {
	case <-r.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil {
		return r.ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == conn {
		return nil
	}
	if p.stop != nil {
		p.stop()
	}
	options := r.batch
	if conn.Place != "" {
		options.Turns, options.Place = &r.turns, conn.Place
	}
	client := backend.WithSummary(conn.Backend, p.Summary)
	queue := batch.New(client, options)
	lifetime, stop := context.WithCancel(r.ctx)
	p.conn, p.backend, p.queue, p.stop, p.primed = conn, client, queue, stop, false
	r.running.Go(func() {
		if err := queue.Run(lifetime); err != nil && lifetime.Err() == nil {
			r.batch.Log.Error(err, "a project's queue ended before its time", "project", p.Key)
		}
	})
	return nil
}

// Drop notes that the project was deleted. Its connection is kept for a while.
func (r *Registry) Drop(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p, ok := r.projects[key]; ok && p.dropped.IsZero() {
		p.dropped = r.clock.Now()
		r.dropped++
	}
	r.sweep()
}

// sweep forgets the projects that were dropped a while ago.
func (r *Registry) sweep() {
	if r.dropped == 0 {
		return
	}
	now := r.clock.Now()
	for key, p := range r.projects {
		if !p.dropped.IsZero() && now.Sub(p.dropped) > lastGood {
			r.forget(key, p)
		}
	}
}

// forget closes a project and takes it out.
func (r *Registry) forget(key types.NamespacedName, p *Project) {
	if !p.dropped.IsZero() {
		r.dropped--
	}
	p.close()
	delete(r.projects, key)
}

func (p *Project) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		p.stop()
	}
}
