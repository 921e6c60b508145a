package wandb

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
)

// forOp says of an error of the transport what we were doing for which project.
func (c *Client) forOp(op string, err error) error {
	var e *backend.Error
	if !errors.As(err, &e) {
		return &backend.Error{Kind: backend.Unavailable, Op: op, Message: "no answer from " + c.server, Err: err}
	}
	about := *e
	about.Op = op
	return &about
}

// malformed is an answer that is not what the API promises.
func (c *Client) malformed(op, what string) error {
	return &backend.Error{Kind: backend.Unavailable, Op: op, Message: fmt.Sprintf(
		"%s gave an unexpected answer: %s; check that the base URL is that of a W&B API", c.server, what)}
}

func (c *Client) noAPI(op string) error {
	return &backend.Error{Kind: backend.AccessDenied, Op: op, Message: fmt.Sprintf(
		"%s has no /graphql below the base URL (HTTP 404); check host and path of the base URL", c.server)}
}

func (c *Client) deniedStatus(op string, status int, complaints []graphError) error {
	why := fmt.Sprintf("HTTP %d", status)
	if len(complaints) > 0 {
		why += ", " + c.clean(complaints[0].Message)
	}
	if status == http.StatusUnauthorized {
		return c.deniedKey(op, why)
	}
	return c.denied(op, why)
}

func (c *Client) deniedKey(op, why string) error {
	return &backend.Error{Kind: backend.AccessDenied, Op: op, Message: fmt.Sprintf(
		"%s does not accept the API key (%s); put a valid key of this server into the project's Secret", c.server, why)}
}

func (c *Client) deniedProject(op string) error {
	return &backend.Error{Kind: backend.AccessDenied, Op: op, Message: fmt.Sprintf(
		"%s shows no project %s; it does not exist, or the key may not see it: check entity and project, "+
			"and that the key's account is a member of the team", c.server, c.place())}
}

func (c *Client) denied(op, why string) error {
	return &backend.Error{Kind: backend.AccessDenied, Op: op, Message: fmt.Sprintf(
		"%s denies access to %s (%s); check the key, and that its account is a member of the team and may write to the project",
		c.server, c.place(), why)}
}

// The server's words by which its errors are told apart, in lower case. W&B has no error codes.
var (
	deniedWords      = []string{"permission denied", "access denied", "unauthorized", "not authorized", "forbidden", "not logged in", "must be logged in", "invalid api key", "invalid authentication"}
	goneWords        = []string{"not found", "could not find", "does not exist"}
	unsupportedWords = []string{"cannot query field", "unknown type", "unknown argument", "unknown field", "unknown directive", "syntax error"}
	tooLargeWords    = []string{"http 413", "too large", "too long", "too complex", "complexity", "too many", "aliases", "exceeds the maximum", "exceeds maximum"}
)

func saysAny(message string, words []string) bool {
	message = strings.ToLower(message)
	for _, w := range words {
		if strings.Contains(message, w) {
			return true
		}
	}
	return false
}

// known gives those of the words by which errors are told apart that a message has.
func known(message string) []string {
	all := slices.Concat(deniedWords, goneWords, unsupportedWords, tooLargeWords)
	return slices.DeleteFunc(all, func(word string) bool { return !saysAny(message, []string{word}) })
}

// tooLarge says that the server found a request too big, in whichever words.
func tooLarge(r reply) bool {
	for _, e := range r.errors {
		if e.Alias == "" && saysAny(e.Message, tooLargeWords) {
			return true
		}
	}
	return r.status == http.StatusRequestEntityTooLarge
}

// classify makes an error of what the server says about a request as a whole.
func (c *Client) classify(op, message string) error {
	switch clean := c.clean(message); {
	case saysAny(message, deniedWords):
		return c.denied(op, clean)
	case saysAny(message, []string{"rate limit"}):
		return &backend.Error{Kind: backend.RateLimited, Op: op, Message: c.server + " asks to wait: " + clean}
	case saysAny(message, unsupportedWords):
		return &backend.Error{Kind: backend.Unsupported, Op: op, Message: fmt.Sprintf(
			"%s does not know what runtag needs: %s; update the W&B server", c.server, clean)}
	default:
		return &backend.Error{Kind: backend.Unavailable, Op: op, Message: c.server + " answered: " + clean}
	}
}

// classifyRun makes an error of what the server says about the write of one run.
func (c *Client) classifyRun(op, message string) error {
	if saysAny(message, goneWords) {
		return &backend.Error{Kind: backend.NotFound, Op: op, Message: "the run is gone: " + c.clean(message)}
	}
	return c.classify(op, message)
}

// clean makes words of the server fit to show; a server that repeats the key in them, as it is or as it was sent, is not
// repeated.
func (c *Client) clean(message string) string {
	for _, form := range []string{c.key.Reveal(), c.basic()} {
		message = strings.ReplaceAll(message, form, c.key.String())
	}
	return transport.Clean(message)
}
