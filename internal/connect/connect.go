// Package connect opens the tracker of a TrackingProject: it reads the project's Secrets, makes the client that its
// spec asks for, and keeps the connection while both stay what they were.
//
// A credential lives here and in the clients made from it, nowhere else: not in errors, not in Connection's fields.
// What is read from a Secret is trusted for a minute. A connection that is not given any more still works for whoever
// holds it.
package connect

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
)

const (
	// secretsFor is how long what was read from Secrets is trusted.
	secretsFor = time.Minute
	// retryAfter is how often Secrets are read at most while they are wrong or while the tracker refuses them.
	retryAfter = 3 * time.Second
	// unusedFor is how long a connection that nobody uses is kept.
	unusedFor = 15 * time.Minute
)

// Options of a Connector.
type Options struct {
	// Secrets reads Secrets by name. It must not cache: the operator may neither list nor watch Secrets.
	Secrets client.Reader
	// Policy says which addresses may be dialled.
	Policy *transport.AddressPolicy
	// Limiters are shared by all projects; nil: no rate limit.
	Limiters *transport.Limiters
	Clock    clock.Clock
	// ProxyFromEnvironment lets requests go through HTTP_PROXY and HTTPS_PROXY.
	ProxyFromEnvironment bool
	// WriteTime is for how long from now on this process may write to trackers; nil: for ever.
	WriteTime func() time.Duration
	// Observe is told of every request; nil: nobody is.
	Observe func(transport.Observation)
	// Version of runtag, for the User-Agent.
	Version string
}

// Connection is an open tracker of one project. It holds no secret that can be read from it.
type Connection struct {
	Backend backend.Backend
	// URL of the tracker, as in the spec.
	URL string
	// Host of the tracker in lower case, with its port where the URL has one.
	Host string
	// Place names the project on the tracker, the same for all TrackingProjects that mean it, where two changes of one run
	// at once would harm each other; empty elsewhere.
	Place string
	// Secrets says which Secrets were used, as "name=uid/resourceVersion,…" by name; never anything of their content.
	// It is empty where none was.
	Secrets string

	http   *transport.Client
	usedAt time.Time // guarded by Connector.mu
}

// Connector opens and keeps the connections of all projects. It is safe for concurrent use.
type Connector struct {
	options Options

	mu       sync.Mutex
	projects map[types.UID]*project
	sweptAt  time.Time
}

// project is what is known of one TrackingProject; all but gate is guarded by Connector.mu.
type project struct {
	// gate is held by the one Open that may read Secrets.
	gate chan struct{}
	// openers counts the Opens under way, which keep the project from being forgotten.
	openers int
	// spec is the part of the project's spec that current was made from; the rest may change without a new connection.
	spec v1alpha1.TrackingProjectSpec
	// current is what the next Open gives.
	current *Connection
	// failure is what was wrong with the Secrets when they were read last.
	failure *SecretError
	// readAt is when the Secrets were read last; zero asks for a read.
	readAt time.Time
	// rejected asks for a read that rejectedAt, the last one made for this reason, may put off.
	rejected   bool
	rejectedAt time.Time
}

// New makes a Connector that knows no project yet.
func New(o Options) *Connector {
	return &Connector{options: o, projects: map[types.UID]*project{}, sweptAt: o.Clock.Now()}
}

// Open gives the connection of a project: the same one while the tracker's part of its spec and its Secrets are
// unchanged. Nothing is sent to the tracker. What is wrong with a Secret is a *SecretError, what is wrong with the
// spec a *backend.Error; other errors are those of reading Secrets from the API server.
func (c *Connector) Open(ctx context.Context, p *v1alpha1.TrackingProject) (*Connection, error) {
	if p.UID == "" {
		return nil, fmt.Errorf("open the tracker of TrackingProject %s/%s: it has no UID; read it from the API server first", p.Namespace, p.Name)
	}
	entry := c.enter(p)
	defer c.leave(entry)
	select {
	case entry.gate <- struct{}{}:
		defer func() { <-entry.gate }()
	case <-ctx.Done():
		return nil, fmt.Errorf("open the tracker of TrackingProject %s/%s: %w", p.Namespace, p.Name, ctx.Err())
	}
	if conn, err := c.known(entry, p); conn != nil || err != nil {
		return conn, err
	}
	target, err := targetOf(p)
	if err != nil {
		return nil, err
	}
	read, err := c.read(ctx, p.Namespace, target)
	return c.adopt(entry, target, read, err)
}

// enter finds or makes the entry of a project and keeps it from being swept.
func (c *Connector) enter(p *v1alpha1.TrackingProject) *project {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep(c.options.Clock.Now())
	entry := c.projects[p.UID]
	if entry == nil {
		entry = &project{gate: make(chan struct{}, 1)}
		c.projects[p.UID] = entry
	}
	entry.openers++
	return entry
}

func (c *Connector) leave(entry *project) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry.openers--
}

// known gives what the last read of the Secrets led to, or nothing where they are due to be read.
func (c *Connector) known(entry *project, p *v1alpha1.TrackingProject) (*Connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spec := v1alpha1.TrackingProjectSpec{Wandb: p.Spec.Wandb, MLflow: p.Spec.MLflow}
	if !apiequality.Semantic.DeepEqual(spec, entry.spec) {
		entry.spec = *spec.DeepCopy()
		entry.failure, entry.readAt = nil, time.Time{}
		entry.replaceCurrent(nil)
	}
	now := c.options.Clock.Now()
	age := now.Sub(entry.readAt)
	if entry.failure != nil && age < retryAfter {
		return nil, entry.failure
	}
	due := entry.current == nil || age >= secretsFor || (entry.rejected && now.Sub(entry.rejectedAt) >= retryAfter)
	if !due {
		entry.current.usedAt = now
		return entry.current, nil
	}
	if entry.rejected {
		// Forgotten before the read and not after it, so that a rejection which comes meanwhile is not lost.
		entry.rejected, entry.rejectedAt = false, now
	}
	return nil, nil
}

// adopt takes over what a read of the Secrets gave: the connection that is there if nothing changed, else a new one.
func (c *Connector) adopt(entry *project, t target, read credentials, err error) (*Connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.options.Clock.Now()
	entry.readAt, entry.failure = now, nil
	var failure *SecretError
	switch {
	case errors.As(err, &failure):
		entry.failure = failure
		entry.replaceCurrent(nil)
		return nil, err
	case err != nil:
		// The API server did not answer. That says nothing about the Secrets, but a read is still due.
		entry.readAt = time.Time{}
		return nil, err
	}
	if entry.current == nil || entry.current.Secrets != read.used {
		conn, err := c.dial(t, read)
		entry.replaceCurrent(conn) // none after an error: the one before was made from other Secrets
		if err != nil {
			return nil, err
		}
	}
	entry.current.usedAt = now
	return entry.current, nil
}

// Rejected says that the tracker refused the credential: the next Open reads the Secrets again, though not more often
// than every few seconds while they stay what they are.
func (c *Connector) Rejected(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry := c.projects[uid]; entry != nil {
		entry.rejected = true
	}
}

// Forget drops the connection of a project, with all that its client learnt of the tracker: the next Open makes another.
func (c *Connector) Forget(uid types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if entry := c.projects[uid]; entry != nil {
		entry.replaceCurrent(nil)
	}
}

// Start forgets unused connections as time passes, until ctx ends; without it that happens only when others are
// opened. It fits manager.Runnable.
func (c *Connector) Start(ctx context.Context) error {
	timer := c.options.Clock.NewTimer(secretsFor)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
			c.mu.Lock()
			c.sweep(c.options.Clock.Now())
			c.mu.Unlock()
			timer.Reset(secretsFor)
		}
	}
}

// NeedLeaderElection says that every replica forgets what it does not use.
func (*Connector) NeedLeaderElection() bool { return false }

// sweep drops what nobody used for long; at most once a minute, since it looks at every project.
func (c *Connector) sweep(now time.Time) {
	if now.Sub(c.sweptAt) < secretsFor {
		return
	}
	c.sweptAt = now
	for uid, entry := range c.projects {
		if entry.openers > 0 {
			continue
		}
		if entry.current != nil && now.Sub(entry.current.usedAt) >= unusedFor {
			entry.replaceCurrent(nil)
		}
		if entry.current == nil {
			delete(c.projects, uid)
		}
	}
}

// replaceCurrent closes the idle sockets of the connection before. Requests in flight go on, and whoever holds that
// connection can still use it: it opens new sockets, which close by themselves when they are idle.
func (p *project) replaceCurrent(conn *Connection) {
	old := p.current
	p.current = conn
	if old != nil && old != conn {
		old.http.CloseIdle()
	}
}
