// Package backendtest is the contract of backends as a test suite: it runs the same cases against any tracker, through a
// proxy that can break the connection in all the ways that networks and servers do.
package backendtest

import (
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/tags"
)

// Harness is what the suite needs from the tests of one backend: a tracker and a client of it.
type Harness interface {
	// Traits says how the tracker differs from others.
	Traits() Traits
	// NewProject makes an empty project on the tracker, under a name that no other has.
	NewProject(t *testing.T) Project
}

// Project is one project on the tracker, seen from the tracker's side: nothing here goes through the client that is
// tested, except Open.
type Project interface {
	// Server is the tracker's own address, with its path; the suite puts a Proxy before it.
	Server() string
	// Open makes the client that is tested, with plain addresses on loopback allowed.
	Open(t *testing.T, o Options) backend.Backend
	// Create makes runs and returns their ids in the order of the arguments.
	Create(t *testing.T, runs ...NewRun) []string
	// SetTags writes tags as somebody else would: all of the set, and keys that are not in it are left alone.
	SetTags(t *testing.T, id string, set tags.Set)
	// Tags reads the tags that are on the run, without hidden ones.
	Tags(t *testing.T, id string) tags.Set
	// Delete deletes a run.
	Delete(t *testing.T, id string)
	// Recreate makes a deleted run again under its id. It is called only where Traits.Recreate is set.
	Recreate(t *testing.T, id string)
}

// NewRun describes a run to be made.
type NewRun struct {
	// Name is the display name.
	Name string
	// State is backend.StateRunning, backend.StateFinished or backend.StateFailed; empty is finished.
	State backend.State
	Tags  tags.Set
	// Group is as in backend.Run. It is set only where Traits.Groups is.
	Group string
	// Age is how long ago it was made. Runs without are made one after the other, though maybe in the same second.
	Age time.Duration
	// Metrics are the latest values of what it has logged; they may be NaN or infinite.
	Metrics map[string]float64
	// PodName, PodUID and Parent are as in backend.Run. They are set only where Traits.Origins is.
	PodName, PodUID, Parent string
}

// Options of a client.
type Options struct {
	// URL is where the client sends its requests: that of a Proxy, or Project.Server.
	URL string
	// WrongCredential gives the client a credential that the tracker does not know. URL may be ignored then.
	WrongCredential bool
	// Page is the page size of lists; 0 is the client's own.
	Page int
	// Timeout of a request; 0 is the client's own.
	Timeout time.Duration
	// MaxBytes is the longest answer that is read; 0 is the client's own.
	MaxBytes int64
	// WriteTime is as in transport.Options.
	WriteTime func() time.Duration
	// Clock of the client; nil is the real one.
	Clock clock.WithTicker
}

// Traits says how a tracker differs from others.
type Traits struct {
	// Recreate says that a run can be made again under the id of a deleted one.
	Recreate bool
	// TagByTag says that tags are written one by one: a foreign write between our read and our write loses nothing.
	TagByTag bool
	// Origins says that runs can tell in which pod they were made and which run they are a part of.
	Origins bool
	// Groups says that runs can be in a group.
	Groups bool
	// Odd are tags that the tracker takes and keeps exactly, as odd as it allows.
	Odd []tags.Tag
	// Refused are tags that the tracker does not take.
	Refused []tags.Tag
	// Write says whether a request may change something on the tracker.
	Write func(Request) bool
	// Secrets are the credentials that Open uses, which no error may show.
	Secrets []string
}
