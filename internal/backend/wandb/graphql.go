package wandb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/runtag/runtag/internal/backend/transport"
)

// graphError is one thing that the server complains about.
type graphError struct {
	Message string
	// Alias is the first step of the path: which part of the request it is about; empty where the server doesn't say.
	Alias string
}

// reply is an answer that reached GraphQL. It may carry data and errors at once.
type reply struct {
	status     int
	data       map[string]json.RawMessage
	errors     []graphError
	serverTime time.Time
}

// refused says that the server turned the request down as a whole.
func (r reply) refused() bool { return r.status >= http.StatusBadRequest }

// call posts one document. Its error is final for the request: no answer, no access, or an answer that is not
// GraphQL. What GraphQL complains about is in reply.errors, for the caller to judge.
func (c *Client) call(ctx context.Context, op, name, document string, variables map[string]any) (reply, error) {
	body, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		return reply{}, c.malformed(op, "the request could not be encoded")
	}
	response, err := c.http.Do(ctx, transport.Request{
		Op: name, Method: http.MethodPost, URL: c.endpoint, Header: c.header(), Body: body,
		Writes: strings.HasPrefix(document, "mutation"),
	})
	if err != nil {
		return reply{}, c.forOp(op, err)
	}
	data, complaints, err := decodeReply(response.Body)
	if response.Status == http.StatusUnauthorized || response.Status == http.StatusForbidden {
		return reply{}, c.deniedStatus(op, response.Status, complaints)
	}
	r := reply{status: response.Status, data: data, errors: complaints, serverTime: response.ServerTime}
	switch {
	case err == nil && (!r.refused() || len(complaints) > 0):
		return r, nil
	case !r.refused():
		return reply{}, c.malformed(op, err.Error())
	case response.Status == http.StatusNotFound:
		return reply{}, c.noAPI(op)
	}
	// A refusal in words of a proxy or of nobody: its status and its text are all there is to go by. They are not shown,
	// since whoever names an address is not to read what answers there.
	r.data = nil
	r.errors = []graphError{{Message: strings.Join(append([]string{fmt.Sprintf("HTTP %d", response.Status)}, known(string(response.Body))...), " ")}}
	return r, nil
}

var errNotGraphQL = errors.New("the answer is JSON but no GraphQL answer")

// decodeReply reads the body of an answer: {"data":…,"errors":[{"message":…,"path":[…]}]}, and the server's other ways
// to complain, {"error":"…"} and {"error":{"message":"…"}} (core/internal/api/backenderrors.go in wandb/wandb).
func decodeReply(body []byte) (map[string]json.RawMessage, []graphError, error) {
	var envelope struct {
		Data   map[string]json.RawMessage `json:"data"`
		Errors []struct {
			Message string            `json:"message"`
			Path    []json.RawMessage `json:"path"`
		} `json:"errors"`
		Error json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return nil, nil, errNotGraphQL
	}
	var complaints []graphError
	for _, e := range envelope.Errors {
		complaint := graphError{Message: e.Message}
		if len(e.Path) > 0 {
			// A path that begins with a number is about no alias of ours.
			_ = json.Unmarshal(e.Path[0], &complaint.Alias)
		}
		complaints = append(complaints, complaint)
	}
	if message := decodeError(envelope.Error); message != "" {
		complaints = append(complaints, graphError{Message: message})
	}
	if envelope.Data == nil && len(complaints) == 0 {
		return nil, nil, errNotGraphQL
	}
	return envelope.Data, complaints, nil
}

func decodeError(raw json.RawMessage) string {
	if missing(raw) {
		return ""
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var object struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &object) == nil && object.Message != "" {
		return object.Message
	}
	return "an error without a message"
}

// missing says that a field is null or not there.
func missing(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(raw, []byte("null"))
}

// readProject checks that the answer has a viewer and the project, and reads the project into out. A bad key is told
// by "viewer: null", a project that is hidden or gone by "project: null", both with HTTP 200.
func (c *Client) readProject(op string, answer reply, out any) error {
	if len(answer.errors) > 0 {
		message := answer.errors[0].Message
		if saysAny(message, goneWords) && !saysAny(message, unsupportedWords) {
			return c.deniedProject(op)
		}
		return c.classify(op, message)
	}
	if answer.refused() {
		return c.classify(op, fmt.Sprintf("HTTP %d", answer.status))
	}
	for _, field := range []string{"viewer", "project"} {
		if len(answer.data[field]) == 0 {
			return c.malformed(op, "it has no field "+field)
		}
	}
	if missing(answer.data["viewer"]) {
		return c.deniedKey(op, "it knows no user for the key")
	}
	if missing(answer.data["project"]) {
		return c.deniedProject(op)
	}
	if err := json.Unmarshal(answer.data["project"], out); err != nil {
		return c.malformed(op, "its project does not decode")
	}
	return nil
}
