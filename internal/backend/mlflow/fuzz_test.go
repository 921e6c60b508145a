package mlflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/tags"
)

const canary = "canary-0ddba11c0ffee"

// FuzzAnswers lets a server answer anything to anything: there is no panic, an error is one of ours, short and without the
// credential, and no run comes out that has no id or shows tags that are hidden.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`{}`, `[]`, `null`, `{"runs":[null]}`, `{"runs":[{}]}`, `{"runs":[{"info":{"run_id":"a"},"data":{"tags":[{"key":"k"},{"key":"k","value":"v"},{"key":"mlflow.user","value":"mel"}]}}]}`,
		`{"experiment":{"experiment_id":"1","name":"forecast","lifecycle_stage":"active"}}`, `{"experiments":[{"experiment_id":"1","name":"forecast"}],"next_page_token":"x"}`,
		`{"runs":[{"info":{"run_id":"a","experiment_id":"1","status":"RUNNING","start_time":"9223372036854775807","end_time":-1,"lifecycle_stage":"deleted"}}],"next_page_token":"x"}`,
		`{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}`, `{"error_code":"INVALID_PARAMETER_VALUE","message":"` + canary + `"}`,
		`{"runs":[{"info":{"run_id":"a","start_time":1e3},"data":{"metrics":[{"key":"loss","value":"NaN"},{"key":"loss","value":1e999}]}}]}`,
	} {
		for _, status := range []int{200, 400, 404, 500} {
			f.Add(status, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		status = 200 + (status&0xffff)%300
		c := newClient(t, Config{Token: backend.NewSecret(canary), HTTP: doer(func(r transport.Request) (transport.Response, error) {
			ok := status < 300
			switch {
			case ok && !json.Valid(body):
				return transport.Response{}, &backend.Error{Kind: backend.AccessDenied, Message: "not JSON"}
			case !ok && status < 400:
				return transport.Response{}, &backend.Error{Kind: backend.AccessDenied, Message: "a redirect"}
			}
			if strings.Contains(r.URL, "experiments/get-by-name") && len(body)%2 == 0 { // so that the fuzzer gets past it
				return transport.Response{Status: 200, Body: []byte(`{"experiment":{"experiment_id":"1","name":"forecast","lifecycle_stage":"active"}}`)}, nil
			}
			if !ok { // as the transport does
				return transport.Response{Status: status, Body: bytes.ReplaceAll(body, []byte(canary), []byte("[redacted]"))}, nil
			}
			return transport.Response{Status: status, Body: body}, nil
		})})
		_, checkErr := c.Check(t.Context())
		page, listErr := c.List(t.Context(), backend.Query{All: true, Summary: []string{"loss"}}, "")
		_, byIDErr := c.List(t.Context(), backend.Query{IDs: []string{"a", "b"}}, "")
		change := backend.Change{Run: backend.Run{ID: "a"}, Decide: func(backend.Run) (tags.Edit, error) {
			return tags.Edit{Set: tags.Set{"ours": "true"}, Remove: []string{"k"}}, nil
		}}
		results, changeErr := c.Change(t.Context(), []backend.Change{change})
		errs := []error{checkErr, listErr, byIDErr, changeErr}
		for _, r := range results {
			errs = append(errs, r.Err)
		}
		for _, err := range errs {
			checkError(t, err)
		}
		for _, run := range page.Runs {
			if run.ID == "" || !utf8.ValidString(run.ID) {
				t.Errorf("a run without an id: %+v", run)
			}
			for key := range run.Tags {
				if strings.HasPrefix(key, "mlflow.") {
					t.Errorf("run %q shows the hidden tag %q", run.ID, key)
				}
			}
		}
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var e *backend.Error
	if !errors.As(err, &e) {
		t.Errorf("%T: %v", err, err)
	}
	if text := err.Error(); strings.Contains(text, canary) || len(text) > 4096 || strings.ContainsAny(text, "\n\r") {
		t.Errorf("the error is long, of many lines or shows the credential: %q", text)
	}
}
