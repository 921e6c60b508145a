package connect

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/mlflow"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/backend/wandb"
)

// target is what a project's spec says about its tracker. Exactly one of wandb and mlflow is there.
type target struct {
	url    string
	parsed *url.URL
	wandb  *v1alpha1.WandbProject
	mlflow *v1alpha1.MLflowProject
}

// targetOf reads the spec. The API server refuses most of what it refuses; an object may be older than a rule, though.
func targetOf(p *v1alpha1.TrackingProject) (target, error) {
	t := target{wandb: p.Spec.Wandb, mlflow: p.Spec.MLflow}
	var field string
	switch {
	case (t.wandb == nil) == (t.mlflow == nil):
		return target{}, misconfigured(p, "set exactly one of spec.wandb and spec.mlflow")
	case t.wandb != nil:
		field, t.url = "spec.wandb.baseURL", t.wandb.BaseURL
	default:
		field, t.url = "spec.mlflow.trackingURI", t.mlflow.TrackingURI
	}
	var err error
	t.parsed, err = url.Parse(t.url)
	if err != nil || t.parsed.Hostname() == "" || (t.parsed.Scheme != "http" && t.parsed.Scheme != "https") ||
		t.parsed.User != nil || t.parsed.RawQuery != "" || t.parsed.Fragment != "" {
		// The cause is left out: it quotes the URL, and that may hold a password.
		return target{}, misconfigured(p, field+" must be http(s)://host[:port][/path], without user info, query and fragment: correct it")
	}
	return t, nil
}

func misconfigured(p *v1alpha1.TrackingProject, message string) error {
	return &backend.Error{Kind: backend.Unsupported, Op: fmt.Sprintf("open the tracker of TrackingProject %s/%s", p.Namespace, p.Name), Message: message}
}

// dial makes the client. It sends nothing.
func (c *Connector) dial(t target, read credentials) (*Connection, error) {
	host := strings.ToLower(t.parsed.Host)
	options := transport.Options{
		Policy:               c.options.Policy,
		CA:                   read.ca,
		ProxyFromEnvironment: c.options.ProxyFromEnvironment,
		Clock:                c.options.Clock,
		WriteTime:            c.options.WriteTime,
		Observe:              c.options.Observe,
	}
	if c.options.Limiters != nil {
		options.Limiter = c.options.Limiters.For(address(t.parsed), transport.Fingerprint(read.identity()), t.rate())
	}
	http, err := transport.New(options)
	if err != nil {
		return nil, fmt.Errorf("open the tracker at %s: %w", host, err)
	}
	tracker, err := c.newBackend(t, read, http)
	if err != nil {
		return nil, fmt.Errorf("open the tracker at %s: %w", host, err)
	}
	return &Connection{Backend: tracker, URL: t.url, Host: host, Place: t.place(), Secrets: read.used, http: http}, nil
}

// rate is how fast a server is asked that says nothing about its limits.
func (t target) rate() transport.Rate {
	if t.wandb != nil {
		return wandb.Rate
	}
	return mlflow.Rate
}

// place is Connection.Place. W&B replaces the list of a run's tags as a whole; MLflow writes tag by tag.
func (t target) place() string {
	if t.wandb == nil {
		return ""
	}
	base := address(t.parsed) + strings.TrimRight(t.parsed.Path, "/")
	return strings.Join([]string{base, t.wandb.Entity, t.wandb.Project}, " ")
}

func (c *Connector) newBackend(t target, read credentials, http *transport.Client) (backend.Backend, error) {
	if w := t.wandb; w != nil {
		return wandb.New(wandb.Config{
			BaseURL:   w.BaseURL,
			Entity:    w.Entity,
			Project:   w.Project,
			APIKey:    read.apiKey,
			BulkEdits: w.BulkEdits,
			HTTP:      http,
			Clock:     c.options.Clock,
			Version:   c.options.Version,
		})
	}
	m := t.mlflow
	return mlflow.New(mlflow.Config{
		TrackingURI: m.TrackingURI,
		Experiments: m.Experiments,
		Workspace:   m.Workspace,
		Username:    read.username.Reveal(),
		Password:    read.password,
		Token:       read.token,
		HTTP:        http,
		Clock:       c.options.Clock,
	})
}

// address is the host and port of a URL, the scheme's port where it names none.
func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return canonical(u.Hostname()) + ":" + port
}

// canonical makes two spellings of one host name the same.
func canonical(host string) string { return strings.TrimSuffix(strings.ToLower(host), ".") }
