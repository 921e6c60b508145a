package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

// failure is a backend.Error on its way out of Do, with the outcome that metrics count it as.
type failure struct {
	err     backend.Error
	outcome string
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return &f.err }

func refuse(op, message string) *failure {
	return &failure{outcome: OutcomeRefused, err: backend.Error{Kind: backend.AddressRefused, Op: op, Message: message}}
}

func outcomeOf(err error, status int) string {
	var f *failure
	if errors.As(err, &f) {
		return f.outcome
	}
	return fmt.Sprintf("%dxx", status/100)
}

// withOp gives the plain *backend.Error that callers see.
func withOp(err error, op string) error {
	var f *failure
	var e *backend.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		e = &f.err
	case errors.As(err, &e):
	default:
		e = &backend.Error{Kind: backend.Unavailable, Message: Clean(err.Error()), Err: err}
	}
	out := *e
	out.Op = op
	return &out
}

// exchange is one request under way.
type exchange struct {
	client  *Client
	parent  context.Context
	target  *url.URL
	limit   time.Duration
	secrets []string
}

// where names the tracker in messages: no path, query or user info.
func (x exchange) where() string { return x.target.Scheme + "://" + x.target.Host }

func (x exchange) fail(kind backend.Kind, outcome string, err error, message string) *failure {
	return &failure{outcome: outcome, err: backend.Error{Kind: kind, Message: redact(message, x.secrets), Err: err}}
}

// failed says why there was no answer, or only half of one.
func (x exchange) failed(err error, during string) error {
	var refused *failure
	if errors.As(err, &refused) {
		return refused
	}
	where := x.where()
	switch cause := x.parent.Err(); {
	case errors.Is(cause, context.Canceled):
		return x.fail(backend.Unavailable, OutcomeCanceled, cause, "the request to "+where+" was cancelled")
	case cause != nil:
		return x.fail(backend.Unavailable, OutcomeTimeout, cause, where+" did not answer in the time that was left")
	case errors.Is(err, context.DeadlineExceeded):
		return x.fail(backend.Unavailable, OutcomeTimeout, err,
			fmt.Sprintf("%s did not answer completely within %s", where, x.limit.Round(time.Millisecond)))
	}
	if message, is := tlsProblem(err); is {
		return x.fail(backend.Unavailable, OutcomeTLS, err, where+" "+message)
	}
	return x.fail(backend.Unavailable, OutcomeFailed, err, where+" "+during+connectionProblem(err))
}

func tlsProblem(err error) (string, bool) {
	var unverified *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	switch {
	case errors.As(err, &unverified):
		var unknown x509.UnknownAuthorityError
		if errors.As(err, &unknown) {
			return "has a certificate of an unknown authority: name a Secret with its CA in caSecretRef", true
		}
		return "has a certificate that is not valid for it: " + Clean(unverified.Err.Error()), true
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "does not speak TLS: use http:// in the address, or another port", true
	case errors.As(err, &alert), strings.HasPrefix(err.Error(), "tls: "), strings.HasPrefix(err.Error(), "remote error: tls:"):
		return "did not agree on TLS 1.2 or later: " + Clean(err.Error()), true
	}
	return "", false
}

func connectionProblem(err error) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "was not found: no such host; check the address"
	case errors.As(err, &dns):
		return "could not be looked up; the name server may be down"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused the connection; the tracker may be down"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed the connection before the answer was complete"
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return "could not be reached in time"
	}
	return "could not be reached: " + Clean(err.Error())
}

// secretsIn gives what must not come back in a message, in all the forms in which a server could echo it.
func secretsIn(h http.Header) []string {
	var secrets []string
	for _, key := range []string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key"} {
		for _, value := range h.Values(key) {
			secrets = append(secrets, value)
			_, token, found := strings.Cut(value, " ")
			if !found {
				continue
			}
			secrets = append(secrets, token)
			plain, err := base64.StdEncoding.DecodeString(token)
			if err != nil {
				continue // not Basic
			}
			_, password, _ := strings.Cut(string(plain), ":")
			secrets = append(secrets, string(plain), password)
		}
	}
	return secrets
}

// shortestSecret keeps a one-letter password from blanking all text.
const shortestSecret = 4

func redact(s string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) >= shortestSecret {
			s = strings.ReplaceAll(s, secret, "[redacted]")
		}
	}
	return s
}
