// Package wandbtest is a tracker that speaks W&B's protocol as far as runs and their tags go: the real wandb SDK and its
// public API work against it. Tests, the demo and bin/tracker use it. It can be made slow or broken in the ways that real
// servers and the networks before them are (see Faults), it logs the requests it got, and it lets a test edit runs as a
// person does on the tracker's page.
//
// It is no place for data that matters: only the protocol asks for a key; the page and everything under /_runtag are
// open to whoever reaches the port.
package wandbtest

import (
	_ "embed"
	"fmt"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest/graphql"
)

//go:embed schema.graphql
var schemaSource string

var schema = func() *graphql.Schema {
	s, err := graphql.ParseSchema(schemaSource)
	if err != nil {
		panic(fmt.Sprintf("schema.graphql: %v", err)) // the file is part of the program
	}
	return s
}()

// Server is the tracker. It is an http.Handler and safe for concurrent use.
type Server struct {
	clock      clock.Clock
	keys       []string
	refuseWith int
	entity     string
	user       string
	bulk       bool
	mux        *http.ServeMux

	mu    sync.Mutex // guards store
	store store

	faults  injector
	journal journal
}

// Option changes what New makes.
type Option func(*Server)

// WithClock sets the clock; the machine's by default. Heartbeats, latency and rate limits follow it.
func WithClock(c clock.Clock) Option { return func(s *Server) { s.clock = c } }

// WithAPIKey adds a key that is accepted. Without any, every key that is not empty is.
func WithAPIKey(key string) Option { return func(s *Server) { s.keys = append(s.keys, key) } }

// WithUnauthorizedStatus answers requests that have no accepted key with this HTTP status. By default they get 200 with
// viewer and project null, as W&B's own service does.
func WithUnauthorizedStatus(status int) Option { return func(s *Server) { s.refuseWith = status } }

// WithEntity sets the entity and user that a key belongs to; "runtag" by default. Runs may be written to any entity.
func WithEntity(entity string) Option { return func(s *Server) { s.entity, s.user = entity, entity } }

// WithBulk lets the server have the mutation modifyRuns.
func WithBulk() Option { return func(s *Server) { s.bulk = true } }

// WithHeartbeatTimeout sets after what silence a run counts as crashed; 5 minutes by default, 0 means never.
func WithHeartbeatTimeout(d time.Duration) Option {
	return func(s *Server) { s.store.heartbeatTimeout = d }
}

// WithFaults sets the faults that the server starts with.
func WithFaults(f Faults) Option { return func(s *Server) { s.SetFaults(f) } }

// OnRequest has f called for each request of the protocol before it is carried out, so that a test can do something at
// that very moment. f may call the server.
func OnRequest(f func(Request)) Option { return func(s *Server) { s.journal.hook = f } }

// New makes a server that has no runs.
func New(options ...Option) *Server {
	s := &Server{
		clock:  clock.RealClock{},
		entity: "runtag",
		user:   "runtag",
		mux:    http.NewServeMux(),
		store:  store{projects: map[string]*project{}, heartbeatTimeout: 5 * time.Minute},
	}
	s.store.now = func() time.Time { return s.clock.Now().UTC().Truncate(timeStep) }
	for _, option := range options {
		option(s)
	}
	s.mux.HandleFunc("POST /graphql", s.serveGraphQL)
	s.mux.HandleFunc("POST /files/{entity}/{project}/{run}/file_stream", s.serveStream)
	s.mux.HandleFunc("PUT /_files/{entity}/{project}/{run}/{name...}", s.serveUpload)
	s.mux.HandleFunc("GET /_files/{entity}/{project}/{run}/{name...}", s.serveDownload)
	s.routeControl()
	s.routePages()
	return s
}

// ServeHTTP answers the protocol, the control endpoints under /_runtag and the pages.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// locked runs f on the store.
func (s *Server) locked(f func(*store)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.store)
}
