package mlflow

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
)

// call is one request of the REST API. Fields says which top-level fields an answer of this kind can have: MLflow
// leaves out empty ones, and JSON of something else must not pass for an empty answer.
type call struct {
	op     string
	method string
	path   string
	query  url.Values
	in     any
	out    any
	fields []string
}

// writes says that the call changes something: it is neither a GET nor a search, which are posted.
func (c call) writes() bool {
	return c.method != http.MethodGet && !strings.HasSuffix(c.path, "/search")
}

func (c *Client) do(ctx context.Context, call call) (transport.Response, error) {
	target := *c.base
	target = *target.JoinPath("api/2.0/mlflow", call.path)
	target.RawQuery = call.query.Encode()
	request := transport.Request{Op: call.op, Method: call.method, URL: target.String(), Header: c.header(), Writes: call.writes()}
	if call.in != nil {
		body, err := json.Marshal(call.in)
		if err != nil {
			return transport.Response{}, &backend.Error{Kind: backend.Unsupported, Op: call.op, Message: "the request cannot be written as JSON", Err: err}
		}
		request.Body = body
		request.Header.Set("Content-Type", "application/json") // MLflow insists.
	}
	response, err := c.config.HTTP.Do(ctx, request)
	if err != nil {
		return response, c.workspaceProblem(err)
	}
	if response.Status >= 400 {
		return response, c.refusal(call.op, response)
	}
	return response, c.decode(call, response.Body)
}

func (c *Client) header() http.Header {
	h := http.Header{}
	switch {
	case c.config.Username != "" || !c.config.Password.Empty():
		pair := c.config.Username + ":" + c.config.Password.Reveal()
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	case !c.config.Token.Empty():
		h.Set("Authorization", "Bearer "+c.config.Token.Reveal())
	}
	if c.config.Workspace != "" {
		h.Set("X-MLFLOW-WORKSPACE", c.config.Workspace)
	}
	return h
}

func (c *Client) decode(call call, body []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return c.notMLflow(call.op, err)
	}
	known := len(fields) == 0
	for _, name := range call.fields {
		_, has := fields[name]
		known = known || has
	}
	if !known {
		return c.notMLflow(call.op, nil)
	}
	if call.out == nil {
		return nil
	}
	if err := json.Unmarshal(body, call.out); err != nil {
		return c.notMLflow(call.op, err)
	}
	return nil
}

func (c *Client) notMLflow(op string, err error) error {
	return &backend.Error{Kind: backend.Unavailable, Op: op, Err: err,
		Message: c.where() + " answered with JSON that is not MLflow's: check the tracking URI"}
}

// where names the server in messages.
func (c *Client) where() string { return c.base.Scheme + "://" + c.base.Host }

// refused is the answer behind an error, for what depends on MLflow's own words.
type refused struct {
	status int
	// code is MLflow's error_code; empty where the answer was no JSON of MLflow's.
	code    string
	message string
}

func (r *refused) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.code, r.message) }

// missing says that something is not there: a run, a tag of a run, an experiment, a workspace.
func (r *refused) missing() bool {
	return r.status == http.StatusNotFound && r.code == "RESOURCE_DOES_NOT_EXIST"
}

// refusal makes an error of a 4xx. Only MLflow's handlers answer with JSON: the login, the host check and the router
// before them answer with text or HTML.
func (c *Client) refusal(op string, response transport.Response) error {
	var body struct {
		ErrorCode string `json:"error_code"`
		Message   string `json:"message"`
	}
	answer := &refused{status: response.Status}
	if err := json.Unmarshal(response.Body, &body); err == nil && body.ErrorCode != "" {
		answer.code, answer.message = body.ErrorCode, body.Message
	} else {
		answer.message = string(response.Body)
	}
	kind, message := c.explain(answer)
	return &backend.Error{Kind: kind, Op: op, Message: message, Err: answer}
}

func (c *Client) explain(answer *refused) (backend.Kind, string) {
	said := ""
	if answer.code != "" { // else it need not be MLflow that answers, and nobody is to read here what does
		said = words(answer.message)
	}
	switch {
	case answer.status == http.StatusUnauthorized:
		return backend.AccessDenied, c.where() + " does not take the credential: check username and password, or token, in the Secret" + said
	case answer.status == http.StatusForbidden && strings.Contains(answer.message, "Invalid Host header"):
		return backend.AccessDenied, fmt.Sprintf("%s does not answer to this name: start the MLflow server with --allowed-hosts=%s, port included, "+
			"and the names that it answers to already", c.where(), c.base.Host)
	case answer.status == http.StatusForbidden:
		return backend.AccessDenied, c.where() + " does not permit this: give the user EDIT permission on the experiments" + said
	case answer.missing():
		return backend.AccessDenied, "what we ask for is gone or hidden" + said
	case answer.status == http.StatusNotFound:
		return backend.Unsupported, fmt.Sprintf("there is no MLflow API at %s%s/api/2.0/mlflow: check the path of the tracking URI", c.where(), c.base.EscapedPath())
	case answer.status == http.StatusConflict:
		return backend.Conflict, c.where() + " says that somebody else changed this at the same time" + said
	}
	return backend.Unsupported, fmt.Sprintf("%s answered %d %s%s", c.where(), answer.status, http.StatusText(answer.status), said)
}

// words gives what the server said, as the end of a message.
func words(message string) string {
	if said := transport.Clean(message); said != "" {
		return ": " + said
	}
	return ""
}

// workspaceProblem recognises the 500 by which a server without workspaces answers every request that names one
// (seen on 3.17.2), which is no outage.
func (c *Client) workspaceProblem(err error) error {
	var e *backend.Error
	if c.config.Workspace == "" || !errors.As(err, &e) || !strings.Contains(e.Message, "workspaces are not enabled") {
		return err
	}
	return &backend.Error{Kind: backend.Unsupported, Op: e.Op, Err: err,
		Message: c.where() + " has no workspaces: take workspace out of the project, or start the server with --enable-workspaces"}
}

// answerOf gives MLflow's answer behind an error; an empty one where there is none.
func answerOf(err error) *refused {
	var r *refused
	if errors.As(err, &r) {
		return r
	}
	return &refused{}
}
