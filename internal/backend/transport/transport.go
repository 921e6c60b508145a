// Package transport is the one way by which requests leave for a tracker: it decides which addresses may be dialled,
// waits for the rate limit, bounds time and size, and turns whatever goes wrong into a *backend.Error that shows
// neither a secret nor the body of an answer.
package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
)

// The defaults of Options.
const (
	DefaultTimeout  = 30 * time.Second
	DefaultMaxBytes = 64 << 20
)

// Options of a Client. The zero value dials public addresses only, without a rate limit.
type Options struct {
	// Policy says which addresses may be dialled; nil refuses everything that is not public.
	Policy *AddressPolicy
	// CA holds further root certificates in PEM, for self-hosted trackers; empty: only those of the system.
	CA []byte
	// Limiter is shared by all that use the same host and credential; nil: no limit.
	Limiter *Limiter
	// Timeout is for one request, reading the answer included, after the wait for the limiter.
	Timeout time.Duration
	// MaxBytes is the most that an answer may have, after decompression.
	MaxBytes int64
	// ProxyFromEnvironment uses HTTP_PROXY, HTTPS_PROXY and NO_PROXY. The proxy's address is then checked at dial time
	// as any other; the tracker's is checked as far as its name can be resolved here, but it is the proxy that
	// resolves it in the end, so that a name which changes in between is the proxy's to refuse.
	ProxyFromEnvironment bool
	// Clock is for waits, durations and Retry-After; nil: the real one.
	Clock clock.Clock
	// WriteTime is for how long from now on this process may write; it may not where that is nothing. Nil: for ever.
	WriteTime func() time.Duration
	// Observe is told of every request, for metrics; nil: nobody is.
	Observe func(Observation)
}

// Observation is what one request was like. It holds no path, no query and no secret.
type Observation struct {
	// Host is the host and port of the tracker.
	Host string
	// Op is the request's.
	Op string
	// Outcome is one of a small set: "2xx", "4xx", "429", "5xx", or one of the Outcome constants.
	Outcome string
	// Duration is the time from sending to the end of the answer; Waited the time spent in the limiter before.
	Duration, Waited time.Duration
}

// The outcomes of requests that are not just a class of status.
const (
	OutcomeRedirect = "redirect"
	OutcomeNotJSON  = "not_json"
	OutcomeTooBig   = "too_big"
	OutcomeRefused  = "address_refused"
	OutcomeCanceled = "canceled"
	OutcomeTimeout  = "timeout"
	OutcomeTLS      = "tls"
	OutcomeFailed   = "connection_failed"
	OutcomeInvalid  = "invalid_request"
	OutcomeWaited   = "rate_limit_wait"
	OutcomeHeld     = "not_leading"
)

// Request is one request to the tracker. Its body is sent as it is.
type Request struct {
	// Op is a short name out of a small set, such as "list runs"; it is in metrics and errors.
	Op     string
	Method string
	URL    string
	Header http.Header
	Body   []byte
	// Writes says that the request may change something on the tracker, so that Options.WriteTime holds for it.
	Writes bool
	// Idempotent says that a request with another method than GET may go out a second time, where the kept connection
	// that it was sent on turned out to be closed.
	Idempotent bool
}

// Response is an answer that the client has to interpret: 2xx with a JSON body, or 4xx with any body.
type Response struct {
	Status int
	Header http.Header
	// Body has the credential of the request blanked where Status is not 2xx.
	Body []byte
	// ServerTime is the Date header; zero where there is none.
	ServerTime time.Time
}

// Client sends requests. It is safe for concurrent use.
type Client struct {
	options Options
	dialer  *dialer
	http    *http.Transport
	proxy   func(*http.Request) (*url.URL, error)
}

// New makes a client. An error means that the CA is no PEM certificate.
func New(o Options) (*Client, error) {
	if o.Policy == nil {
		o.Policy = &AddressPolicy{}
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	roots, err := rootsWith(o.CA)
	if err != nil {
		return nil, err
	}
	c := &Client{options: o, dialer: newDialer(o.Policy)}
	if o.ProxyFromEnvironment {
		c.proxy = http.ProxyFromEnvironment
	}
	c.http = &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return c.proxyFor(r) },
		DialContext:            c.dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
	return c, nil
}

func rootsWith(ca []byte) (*x509.CertPool, error) {
	if len(ca) == 0 {
		return nil, nil // the system's
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the CA holds no certificate in PEM form: give the file that begins with -----BEGIN CERTIFICATE-----")
	}
	return roots, nil
}

func (c *Client) proxyFor(r *http.Request) (*url.URL, error) {
	if c.proxy == nil {
		return nil, nil
	}
	return c.proxy(r)
}

// CloseIdle closes the connections that no request uses.
func (c *Client) CloseIdle() { c.http.CloseIdleConnections() }

// Do sends one request and reads the whole answer. It gives 2xx with a JSON body and every 4xx but 408 and 429 as a
// Response; all else is a *backend.Error. Redirects are never followed and no failure is retried. The priority in the
// limiter is that of the context, see backend.WithPriority.
func (c *Client) Do(ctx context.Context, r Request) (Response, error) {
	seen := Observation{Op: r.Op}
	defer func() {
		if c.options.Observe != nil {
			c.options.Observe(seen)
		}
	}()
	target, err := parseTarget(r)
	if err != nil {
		seen.Outcome = outcomeOf(err, 0)
		return Response{}, err
	}
	seen.Host = target.Host

	if c.options.Limiter != nil {
		began := c.options.Clock.Now()
		err := c.options.Limiter.Wait(ctx, backend.PriorityOf(ctx))
		seen.Waited = c.options.Clock.Since(began)
		if err != nil {
			seen.Outcome = OutcomeWaited
			return Response{}, withOp(err, r.Op)
		}
		defer c.options.Limiter.Done()
	}
	began := c.options.Clock.Now()
	response, err := c.send(ctx, target, r)
	seen.Duration = c.options.Clock.Since(began)
	seen.Outcome = outcomeOf(err, response.Status)
	return response, withOp(err, r.Op)
}

// parseTarget checks what can be said of the address before anything is looked up. User info is dropped: credentials
// travel in headers only.
func parseTarget(r Request) (*url.URL, error) {
	target, err := url.Parse(r.URL)
	if err != nil {
		return nil, refuse(r.Op, "the tracker's address is not a URL: give one like https://tracker.example")
	}
	if target.Scheme != "http" && target.Scheme != "https" {
		return nil, refuse(r.Op, fmt.Sprintf("only http and https are spoken, not %q: no flag changes that", Clean(target.Scheme)))
	}
	if target.Hostname() == "" {
		return nil, refuse(r.Op, "the tracker's address has no host: give one like https://tracker.example")
	}
	target.User = nil
	return target, nil
}

// send does the exchange itself, within the time limit.
func (c *Client) send(parent context.Context, target *url.URL, r Request) (Response, error) {
	limit, err := c.limit(r)
	if err != nil {
		return Response{}, err
	}
	ctx, cancel := context.WithTimeout(parent, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, r.Method, target.String(), bytes.NewReader(r.Body))
	if err != nil {
		return Response{}, &failure{outcome: OutcomeInvalid, err: backend.Error{
			Kind: backend.Unsupported, Message: "the request could not be made; this is a bug of runtag", Err: err,
		}}
	}
	if r.Header != nil {
		request.Header = r.Header.Clone()
	}
	setDefault(request.Header, "Accept", "application/json")
	setDefault(request.Header, "User-Agent", "runtag")
	if r.Idempotent {
		request.Header["Idempotency-Key"] = nil // tells http.Transport, and is not sent
	}
	if err := c.checkBehindProxy(ctx, request); err != nil {
		return Response{}, err
	}
	exchange := exchange{client: c, parent: parent, target: target, limit: limit, secrets: secretsIn(request.Header)}
	answer, err := c.http.RoundTrip(request)
	if err != nil {
		return Response{}, exchange.failed(err, "")
	}
	defer func() { _ = answer.Body.Close() }() // what it had to say, reading has said
	return exchange.read(answer)
}

// limit is how long a request may take. It is the last that is asked before a request goes out, so that a process which
// was stopped anywhere before notices.
func (c *Client) limit(r Request) (time.Duration, error) {
	if !r.Writes || c.options.WriteTime == nil {
		return c.options.Timeout, nil
	}
	left := c.options.WriteTime()
	if left <= 0 {
		return 0, &failure{outcome: OutcomeHeld, err: backend.Error{
			Kind:    backend.NotLeading,
			Message: "not sent, because this manager is not sure to be the leader any more; the leader does it",
		}}
	}
	return min(c.options.Timeout, left), nil
}

// checkBehindProxy applies the rules to the tracker's own address where a proxy would dial it for us.
func (c *Client) checkBehindProxy(ctx context.Context, request *http.Request) error {
	proxy, err := c.proxyFor(request)
	if err != nil {
		return &failure{outcome: OutcomeFailed, err: backend.Error{
			Kind: backend.Unavailable, Message: "the proxy settings of the environment are not valid: check HTTP_PROXY and HTTPS_PROXY",
		}}
	}
	if proxy == nil {
		return nil
	}
	return c.dialer.checkTarget(ctx, request.URL.Hostname(), portOf(request.URL))
}

func setDefault(h http.Header, key, value string) {
	if h.Get(key) == "" {
		h.Set(key, value)
	}
}
