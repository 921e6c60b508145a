package mlflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
)

const (
	// experimentsFor is how long the list of experiments is believed.
	experimentsFor = 2 * time.Minute
	// experimentsAgain is how old it must be to be read again because a run was not found, which may be in an
	// experiment that is new.
	experimentsAgain = 10 * time.Second
	// experimentsPage is what every version takes.
	experimentsPage = 1000
)

// experiments are those of the project, as the server's ids.
type experiments struct {
	names, prefixes []string

	// turn is held by the one who resolves; a channel, so that waiting ends with the context.
	turn chan struct{}

	mu        sync.Mutex
	ids       []string
	at        time.Time
	unmatched []string
}

func newExperiments(names []string) (*experiments, error) {
	e := &experiments{turn: make(chan struct{}, 1)}
	for _, name := range names {
		if prefix, found := strings.CutSuffix(name, "*"); found {
			e.prefixes = append(e.prefixes, prefix)
		} else if name != "" {
			e.names = append(e.names, name)
		}
	}
	if len(e.names)+len(e.prefixes) == 0 {
		return nil, errors.New("no experiment is named: give names, or prefixes with * at the end")
	}
	return e, nil
}

func (e *experiments) known() (ids []string, at time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ids, e.at
}

func (e *experiments) notices() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, prefix := range e.unmatched {
		out = append(out, fmt.Sprintf("No experiment matches %q yet.", prefix+"*"))
	}
	return out
}

// resolve gives the ids of the project's experiments, as known for at most maxAge. An exact name that is not there is
// an error, for its runs are not gone: it may be hidden or renamed. A prefix may match none.
func (c *Client) resolve(ctx context.Context, maxAge time.Duration) ([]string, error) {
	e := c.experiments
	asked := c.now()
	fresh := func() ([]string, bool) {
		ids, at := e.known()
		return ids, !at.IsZero() && asked.Sub(at) < maxAge
	}
	if ids, ok := fresh(); ok {
		return ids, nil
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, &backend.Error{Kind: backend.Unavailable, Op: "find experiments", Message: "cancelled while waiting", Err: context.Cause(ctx)}
	}
	if ids, ok := fresh(); ok { // Somebody else asked while we waited.
		return ids, nil
	}
	var ids, unmatched []string
	for _, name := range e.names {
		id, err := c.experimentByName(ctx, name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	for _, prefix := range e.prefixes {
		matches, err := c.experimentsByPrefix(ctx, prefix)
		if err != nil {
			return nil, err
		}
		if len(matches) == 0 {
			unmatched = append(unmatched, prefix)
		}
		ids = append(ids, matches...)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ids, e.at, e.unmatched = ids, asked, unmatched
	return ids, nil
}

type experiment struct {
	ID             string `json:"experiment_id"`
	Name           string `json:"name"`
	LifecycleStage string `json:"lifecycle_stage"`
}

func (c *Client) experimentByName(ctx context.Context, name string) (string, error) {
	const op = "find experiments"
	var out struct {
		Experiment experiment `json:"experiment"`
	}
	_, err := c.do(ctx, call{op: op, method: http.MethodGet, path: "experiments/get-by-name",
		query: url.Values{"experiment_name": {name}}, out: &out, fields: []string{"experiment"}})
	if is := out.Experiment.Name; err == nil && is != "" && !strings.EqualFold(is, name) { // some databases compare without regard to case
		return "", c.notMLflow(op, errOtherExperiment)
	}
	gone := out.Experiment.LifecycleStage == "deleted" || out.Experiment.ID == "" // get-by-name finds deleted ones too
	if err != nil && !answerOf(err).missing() {
		return "", err
	}
	if err != nil || gone {
		return "", &backend.Error{Kind: backend.AccessDenied, Op: op, Err: err,
			Message: fmt.Sprintf("experiment %q is gone or hidden: restore it or make it, or take it out of the project%s",
				transport.Clean(name), words(answerOf(err).message))}
	}
	return out.Experiment.ID, nil
}

var (
	// errOtherExperiment: the runs of another experiment are not ours, and ours are not gone because they are not in it.
	errOtherExperiment = errors.New("the answer is about another experiment")
	// errNoExperiment: what has no id is no experiment.
	errNoExperiment = errors.New("the list has an experiment without an id")
)

func (c *Client) experimentsByPrefix(ctx context.Context, prefix string) ([]string, error) {
	in := struct {
		MaxResults int    `json:"max_results"`
		Filter     string `json:"filter,omitempty"`
		PageToken  string `json:"page_token,omitempty"`
		ViewType   string `json:"view_type"`
	}{MaxResults: experimentsPage, ViewType: "ACTIVE_ONLY"}
	if start := safeStart(prefix); start != "" {
		in.Filter = "name LIKE '" + start + "%'"
	}
	const op = "find experiments"
	var ids []string
	for pages := (backend.Pages{}); ; in.PageToken = pages.Cursor() {
		var out struct {
			Experiments   []experiment `json:"experiments"`
			NextPageToken string       `json:"next_page_token"`
		}
		_, err := c.do(ctx, call{op: op, method: http.MethodPost, path: "experiments/search",
			in: in, out: &out, fields: []string{"experiments", "next_page_token"}})
		if err != nil {
			return nil, err
		}
		for _, x := range out.Experiments {
			if x.ID == "" {
				return nil, c.notMLflow(op, errNoExperiment)
			}
			if strings.HasPrefix(x.Name, prefix) {
				ids = append(ids, x.ID)
			}
		}
		more, err := pages.Turn(out.NextPageToken)
		if err != nil {
			return nil, c.notMLflow(op, err)
		}
		if !more {
			return ids, nil
		}
	}
}
