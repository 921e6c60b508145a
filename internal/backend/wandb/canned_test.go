package wandb

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
)

var realClock = clock.RealClock{}

// canned answers as the transport would, without a network: reads by id with first, all else with body.
type canned struct {
	status int
	body   []byte
	first  string
}

func (c canned) Do(_ context.Context, r transport.Request) (transport.Response, error) {
	if strings.Contains(string(r.Body), `$in`) {
		return transport.Response{Status: http.StatusOK, Body: []byte(c.first)}, nil
	}
	switch ok := c.status >= 200 && c.status < 300; {
	case ok && !json.Valid(c.body):
		return transport.Response{}, &backend.Error{Kind: backend.AccessDenied, Message: "not JSON"}
	case !ok && c.status < 400:
		return transport.Response{}, errors.New("a redirect")
	}
	return transport.Response{Status: c.status, Body: c.body}, nil
}
