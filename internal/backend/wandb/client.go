// Package wandb is the client of one project on one W&B server: it lists runs, changes their tags and checks access,
// over W&B's GraphQL API.
//
// W&B keeps the tags of a run as one list that every write replaces as a whole, with no compare-and-swap. So a change
// reads the run right before it writes, sends nothing but the run's storage id and the list, and checks the answer.
package wandb

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/tags"
)

// Doer sends one request; transport.Client is the one for use outside of tests.
type Doer interface {
	Do(ctx context.Context, r transport.Request) (transport.Response, error)
}

// Config says which project a Client is for.
type Config struct {
	// BaseURL of the API, such as https://api.wandb.ai; it may have a path, below which /graphql is.
	BaseURL         string
	Entity, Project string
	APIKey          backend.Secret
	// BulkEdits lets the server add and remove tags itself (modifyRuns), where it can.
	BulkEdits bool
	// PageSize is the number of runs in a page of a list, until the server refuses it; 0 is the default.
	PageSize int
	HTTP     Doer
	Clock    clock.PassiveClock
	// Version of runtag, for the User-Agent; empty is "dev".
	Version string
}

// Client implements backend.Backend for W&B.
type Client struct {
	endpoint string // of the API
	server   string // scheme and host, for messages
	runsURL  string // of the page of a run, but for its id
	entity   string
	project  string
	key      backend.Secret
	version  string
	http     Doer
	clock    clock.PassiveClock
	learned  learned
}

var _ backend.Backend = (*Client)(nil)

// Rate is for a server that says nothing about its limits. It is generous: a server that has enough says so, and one
// request is about many runs.
var Rate = transport.Rate{PerSecond: 50, Burst: 100}

// New makes a client. It sends nothing; the error is about the configuration.
func New(c Config) (*Client, error) {
	const op = "configure the W&B client"
	base, err := url.Parse(strings.TrimRight(c.BaseURL, "/"))
	switch {
	case err != nil:
		return nil, &backend.Error{Kind: backend.Unsupported, Op: op, Message: "the base URL is not a URL", Err: err}
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, &backend.Error{Kind: backend.Unsupported, Op: op, Message: "the base URL must be http(s)://host, such as https://api.wandb.ai"}
	case c.Entity == "" || c.Project == "":
		return nil, &backend.Error{Kind: backend.Unsupported, Op: op, Message: "entity and project must both be named"}
	case c.APIKey.Empty():
		return nil, &backend.Error{Kind: backend.AccessDenied, Op: op, Message: "the API key is empty: put the key into the Secret of project " + c.Entity + "/" + c.Project}
	}
	base.User, base.RawQuery, base.Fragment = nil, "", ""
	app := *base
	app.Host = appHost(base.Host)
	version := c.Version
	if version == "" {
		version = "dev"
	}
	return &Client{
		endpoint: base.String() + "/graphql",
		server:   base.Scheme + "://" + base.Host,
		runsURL:  app.String() + "/" + url.PathEscape(c.Entity) + "/" + url.PathEscape(c.Project) + "/runs/",
		entity:   c.Entity,
		project:  c.Project,
		key:      c.APIKey,
		version:  version,
		http:     c.HTTP,
		clock:    c.Clock,
		learned:  newLearned(c.BulkEdits, c.PageSize),
	}, nil
}

// appHost is the host of the web pages that belong to an API host, as W&B's SDK has it (app_url in wandb/util.py).
func appHost(apiHost string) string {
	switch rest, isAPI := strings.CutPrefix(apiHost, "api."); {
	case !isAPI:
		return apiHost
	case strings.HasPrefix(rest, "wandb.") && !strings.HasPrefix(rest, "wandb.test"):
		return rest
	default:
		return "app." + rest
	}
}

// maxTag is the longest tag in characters, counted like Python's len: the SDK refuses longer ones
// (Settings.validate_run_tags) and so does the server (HTTP 400).
const maxTag = 64

// Dialect says which tags W&B takes: a set of strings of 1 to 64 characters, any characters.
func (c *Client) Dialect() tags.Dialect { return tags.Dialect{Tracker: "W&B", MaxKey: maxTag} }

// Limits says how much fits in one request; less than at first where the server refused that.
func (c *Client) Limits() backend.Limits { return c.learned.current() }

// Notices says what was learnt about the server; see backend.Backend.
func (c *Client) Notices() []string { return c.learned.said() }

const checkDocument = `query RuntagCheck($entity:String!,$project:String!){
  viewer{id}
  project(name:$project,entityName:$entity){runCount}
}`

// Check verifies address, key and project with one request.
func (c *Client) Check(ctx context.Context) (backend.Info, error) {
	op := "check " + c.place()
	answer, err := c.call(ctx, op, "check", checkDocument, c.names())
	if err != nil {
		return backend.Info{}, err
	}
	var project struct {
		RunCount *int `json:"runCount"`
	}
	if err := c.readProject(op, answer, &project); err != nil {
		return backend.Info{}, err
	}
	if project.RunCount == nil {
		return backend.Info{}, c.malformed(op, "the project has no runCount")
	}
	if err := c.refuseWrites(op); err != nil {
		return backend.Info{}, err
	}
	return backend.Info{Runs: *project.RunCount}, nil
}

// place names the project in messages.
func (c *Client) place() string { return c.entity + "/" + c.project }

// names are the variables that say which project is meant.
func (c *Client) names() map[string]any {
	return map[string]any{"entity": c.entity, "project": c.project}
}

// basic is the key as it is sent.
func (c *Client) basic() string {
	return base64.StdEncoding.EncodeToString([]byte("api:" + c.key.Reveal()))
}

func (c *Client) header() http.Header {
	return http.Header{
		"Authorization": {"Basic " + c.basic()},
		"Content-Type":  {"application/json"},
		"Accept":        {"application/json"},
		"User-Agent":    {"runtag/" + c.version},
	}
}

// since is how long ago t was.
func (c *Client) since(t time.Time) time.Duration { return c.clock.Now().Sub(t) }
