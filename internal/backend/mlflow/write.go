package mlflow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/tags"
)

const changeOp = "change tags"

// The most that log-batch takes: tags, and bytes of JSON, less some for the rest of the document.
const (
	batchTags  = 100
	batchBytes = 1_000_000 - 1_000
)

// parts gives the edit as what goes into one request each: up to 100 tags to set, or one to delete.
func parts(edit tags.Edit) []tags.Edit {
	var out []tags.Edit
	size := 0
	for i, key := range slices.Sorted(maps.Keys(edit.Set)) {
		bytes := len(quoted(key)) + len(quoted(edit.Set[key])) + len(`{"key":,"value":},`)
		if i == 0 || len(out[len(out)-1].Set) == batchTags || size+bytes > batchBytes {
			out = append(out, tags.Edit{Set: tags.Set{}})
			size = 0
		}
		out[len(out)-1].Set[key] = edit.Set[key]
		size += bytes
	}
	for _, key := range edit.Remove {
		out = append(out, tags.Edit{Remove: []string{key}})
	}
	return out
}

func quoted(s string) []byte {
	b, _ := json.Marshal(s) // A string can always be marshalled.
	return b
}

// write does one part of an edit.
func (c *Client) write(ctx context.Context, run string, part tags.Edit) error {
	if len(part.Remove) > 0 {
		return c.deleteTag(ctx, run, part.Remove[0])
	}
	if len(part.Set) == 1 { // log-batch with one tag takes the server a fifth longer
		for key, value := range part.Set {
			return c.setTag(ctx, run, key, value)
		}
	}
	batch := make([]wireTag, 0, len(part.Set))
	for _, key := range slices.Sorted(maps.Keys(part.Set)) {
		batch = append(batch, wireTag{Key: key, Value: part.Set[key]})
	}
	in := struct {
		RunID string    `json:"run_id"`
		Tags  []wireTag `json:"tags"`
	}{run, batch}
	_, err := c.do(ctx, call{op: changeOp, method: http.MethodPost, path: "runs/log-batch", in: in})
	return writeProblem(run, part, err)
}

func (c *Client) setTag(ctx context.Context, run, key, value string) error {
	in := struct {
		RunID string `json:"run_id"`
		Key   string `json:"key"`
		Value string `json:"value"`
	}{run, key, value}
	_, err := c.do(ctx, call{op: changeOp, method: http.MethodPost, path: "runs/set-tag", in: in})
	return writeProblem(run, tags.Edit{Set: tags.Set{key: value}}, err)
}

// deleteTag takes a tag off; it is no error if it is off already. The server says 404 for both a missing tag and a
// missing run, and only the words tell them apart.
func (c *Client) deleteTag(ctx context.Context, run, key string) error {
	in := struct {
		RunID string `json:"run_id"`
		Key   string `json:"key"`
	}{run, key}
	_, err := c.do(ctx, call{op: changeOp, method: http.MethodPost, path: "runs/delete-tag", in: in})
	if answer := answerOf(err); answer.missing() && strings.Contains(answer.message, "No tag with name") {
		return nil
	}
	return writeProblem(run, tags.Edit{Remove: []string{key}}, err)
}

// writeProblem says what a refused write means for the run.
func writeProblem(run string, part tags.Edit, err error) error {
	answer := answerOf(err)
	switch {
	case err == nil:
		return nil
	case answer.missing() && strings.Contains(answer.message, "Run "):
		return notFound("run %q is not there any more", run)
	case strings.Contains(answer.message, "must be in the 'active' state"):
		return notFound("run %q is deleted", run)
	case answer.status == http.StatusBadRequest && answer.code == "INVALID_PARAMETER_VALUE":
		return invalidTag(blamed(part, answer.message), answer)
	}
	return err
}

// blamed finds the tag that a refusal is about.
func blamed(part tags.Edit, message string) string {
	keys := append(slices.Sorted(maps.Keys(part.Set)), part.Remove...)
	if len(keys) == 1 {
		return keys[0]
	}
	// The longest first, as one key may be part of another.
	slices.SortStableFunc(keys, func(a, b string) int { return len(b) - len(a) })
	for _, key := range keys {
		if strings.Contains(message, key) {
			return key
		}
	}
	return ""
}

func invalidTag(key string, why error) error {
	message := why.Error()
	var answer *refused
	if errors.As(why, &answer) {
		message = "MLflow says: " + transport.Clean(answer.message)
	}
	return &backend.Error{Kind: backend.InvalidTag, Op: changeOp, Tag: key, Err: why,
		Message: fmt.Sprintf("tag %q is refused: %s", transport.Clean(key), message)}
}

func notFound(format, run string) *backend.Error {
	return &backend.Error{Kind: backend.NotFound, Op: changeOp, Message: fmt.Sprintf(format, transport.Clean(run))}
}
