// Package mlflow is the backend for MLflow tracking servers, from 2.22 up to 3.17, by their REST API 2.0. A project is
// a set of experiments; a run's tags are keys with values, each written and deleted on its own.
package mlflow

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/tags"
)

// Doer sends requests; it is a *transport.Client, or a decorator of one.
type Doer interface {
	Do(ctx context.Context, r transport.Request) (transport.Response, error)
}

// Config of a Client.
type Config struct {
	// TrackingURI is the server's address as for MLFLOW_TRACKING_URI, http or https; its path is kept.
	TrackingURI string
	// Experiments are exact names, or prefixes with an asterisk at the end.
	Experiments []string
	// Workspace is sent with every request where it is not empty; a server without workspaces refuses it.
	Workspace string
	// Username and Password, for basic authentication, win over Token, a bearer token, as in MLflow's own client.
	Username string
	Password backend.Secret
	Token    backend.Secret

	HTTP Doer
	// Clock is the real one where it is nil.
	Clock clock.PassiveClock
	// Page is the largest page of a list; 0 is 5,000.
	Page int
}

const (
	defaultPage  = 5000
	smallestPage = 100
	mostIDs      = 500
)

// A batch of changes is read by one search and then written run by run, so that its size is the server's time for it.
const (
	firstChanges  = 100
	fewestChanges = 10
	mostChanges   = mostIDs
	// batchTime is what a batch is to take: long beside what comes between two batches, when the server does nothing for
	// us, and short beside the deadline of a batch.
	batchTime = 3 * time.Second
)

// Rate is above what a server of one's own does with one tag a request. What spares the server is how many requests all
// projects have under way: a worker of MLflow has 15 connections to its database as it comes, and what finds none within
// 30 seconds fails.
var Rate = transport.Rate{PerSecond: 500, Burst: 100, UnderWay: 12}

// Client is a backend.Backend. It remembers which experiments there are, and no run.
type Client struct {
	config      Config
	base        *url.URL
	experiments *experiments
	// page is the page size now; see adapt.
	page atomic.Int64
	// changes is the size of a batch of changes now; see pace.
	changes atomic.Int64
}

var _ backend.Backend = (*Client)(nil)

// New makes a client; it sends nothing. An error says what is wrong with the configuration.
func New(config Config) (*Client, error) {
	base, err := parseTrackingURI(config.TrackingURI)
	if err != nil {
		return nil, err
	}
	if config.HTTP == nil {
		return nil, errors.New("no HTTP client is given")
	}
	if config.Clock == nil {
		config.Clock = clock.RealClock{}
	}
	if config.Page <= 0 {
		config.Page = defaultPage
	}
	c := &Client{config: config, base: base}
	c.page.Store(int64(config.Page))
	c.changes.Store(firstChanges)
	c.experiments, err = newExperiments(config.Experiments)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func parseTrackingURI(raw string) (*url.URL, error) {
	base, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("the tracking URI is not a URL: give one like https://mlflow.example")
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, errors.New("the tracking URI must begin with http:// or https://")
	case base.Host == "":
		return nil, errors.New("the tracking URI has no host: give one like https://mlflow.example")
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("the tracking URI must have no user, query or fragment: credentials belong into the Secret")
	}
	base.Path = strings.TrimRight(base.Path, "/")
	base.RawPath = strings.TrimRight(base.RawPath, "/")
	return base, nil
}

// Dialect says which tags MLflow takes.
func (c *Client) Dialect() tags.Dialect { return Dialect() }

// Limits says how much fits in one request, or in one batch of them. The page size shrinks while pages fail, and a batch
// has as many changes as the server lately took in the time for one.
func (c *Client) Limits() backend.Limits {
	changes := int(c.changes.Load())
	return backend.Limits{Read: mostIDs, Change: changes, ChangeActive: min(changes, firstChanges), Page: int(c.page.Load())}
}

// pace learns the size of a batch from so many changes that went through, and the time that they and those that did not
// took. Few say nothing about many.
func (c *Client) pace(changed int, took time.Duration) {
	if changed < fewestChanges && took < batchTime || took <= 0 {
		return
	}
	fit := float64(changed) * batchTime.Seconds() / took.Seconds()
	c.changes.Store(int64(min(max(fit, fewestChanges), mostChanges)))
}

// adapt makes the pages smaller after one that did not come, which may have been too big or too slow (runs bring all
// their metrics and parameters along), and larger again after one that did.
func (c *Client) adapt(size int, err error) {
	next := size
	switch {
	case err == nil:
		next = min(size*2, c.config.Page)
	case backend.IsKind(err, backend.Unavailable) && !errors.Is(err, context.Canceled):
		next = max(size/2, min(smallestPage, c.config.Page))
	}
	c.page.CompareAndSwap(int64(size), int64(next))
}

// Check verifies that the address is an MLflow server, that it takes the credential, that the experiments are there,
// and that runs can be read. MLflow does not count runs in one call.
func (c *Client) Check(ctx context.Context) (backend.Info, error) {
	none := backend.Info{Runs: -1}
	ids, err := c.resolve(ctx, 0)
	if err != nil || len(ids) == 0 {
		return none, c.about(err)
	}
	_, err = c.searchPage(ctx, ids, search{size: 1})
	return none, c.about(err)
}

// Notices says which prefixes match no experiment.
func (c *Client) Notices() []string { return c.experiments.notices() }

// about completes the operation of an error with the project.
func (c *Client) about(err error) error {
	var e *backend.Error
	if !errors.As(err, &e) {
		return err
	}
	out := *e
	names := c.config.Experiments
	of := transport.Clean(names[0])
	if len(names) > 1 {
		of = fmt.Sprintf("%s and %d more", of, len(names)-1)
	}
	out.Op = e.Op + " of " + of
	return &out
}

func (c *Client) now() time.Time { return c.config.Clock.Now() }
