package wandbtest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// fields is a JSON object.
type fields = map[string]any

// client speaks to a server as a program would.
type client struct {
	t   *testing.T
	url string
	key string
}

func serve(t *testing.T, options ...wandbtest.Option) (*wandbtest.Server, client) {
	t.Helper()
	server := wandbtest.New(options...)
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	return server, client{t, listening.URL, "key"}
}

// do sends a request and returns status, headers and body; err where the connection broke.
func (c client) do(method, path string, body any) (*http.Response, []byte, error) {
	c.t.Helper()
	var reader io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		reader = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, reader)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth("api", c.key)
	response, err := noRedirects.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response, answer, err
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// graphql sends a document and returns the status, the data and the first error's message.
func (c client) graphql(query string, variables fields) (status int, data fields, message string) {
	c.t.Helper()
	response, body, err := c.do("POST", "/graphql", fields{"query": query, "variables": variables})
	if err != nil {
		c.t.Fatal(err)
	}
	var answer struct {
		Data   fields
		Errors []struct{ Message string }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		c.t.Fatalf("%s: %v", body, err)
	}
	if len(answer.Errors) > 0 {
		message = answer.Errors[0].Message
	}
	return response.StatusCode, answer.Data, message
}

// ok is graphql for documents that must be answered without errors.
func (c client) ok(query string, variables fields) fields {
	c.t.Helper()
	status, data, message := c.graphql(query, variables)
	if status != http.StatusOK || message != "" {
		c.t.Fatalf("%s: status %d, %s", query, status, message)
	}
	return data
}

// at follows a path of keys and indices into an answer.
func at(value any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			inner, _ := value.(fields)
			value = inner[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

func add(t *testing.T, server *wandbtest.Server, runs ...wandbtest.Run) {
	t.Helper()
	for _, run := range runs {
		run.Entity, run.Project = "acme", "capsules"
		if _, err := server.AddRun(run); err != nil {
			t.Fatal(err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, server *wandbtest.Server, id string) wandbtest.Run {
	t.Helper()
	run, ok := server.Run("acme/capsules/" + id)
	if !ok {
		t.Fatalf("there is no run %s", id)
	}
	return run
}
