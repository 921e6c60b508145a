package transport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

// read takes in the answer, tells the limiter what the server says about its limits, and judges it.
func (x exchange) read(answer *http.Response) (Response, error) {
	body, err := x.readBody(answer)
	until := x.heed(answer)
	status := answer.StatusCode
	switch {
	// The status is worth more than the body that went missing.
	case status == http.StatusTooManyRequests:
		f := x.fail(backend.RateLimited, "429", nil, x.where()+" says that there were too many requests"+said(blank(body, x.secrets)))
		f.err.Until = until
		return Response{}, f
	case status >= 500 || status == http.StatusRequestTimeout:
		f := x.fail(backend.Unavailable, fmt.Sprintf("%dxx", status/100), nil,
			fmt.Sprintf("%s answered %d %s%s", x.where(), status, http.StatusText(status), said(blank(body, x.secrets))))
		f.err.Until = until
		return Response{}, f
	case status >= 300 && status < 400:
		return Response{}, x.fail(backend.AccessDenied, OutcomeRedirect, nil, x.redirected(answer))
	case err != nil:
		return Response{}, err
	case status >= 200 && status < 300:
		if err := x.checkJSON(body); err != nil {
			return Response{}, err
		}
	default:
		body = blank(body, x.secrets)
	}
	response := Response{Status: status, Header: answer.Header, Body: body}
	if date, err := http.ParseTime(answer.Header.Get("Date")); err == nil {
		response.ServerTime = date
	}
	return response, nil
}

func (x exchange) readBody(answer *http.Response) ([]byte, error) {
	limit := x.client.options.MaxBytes
	tooBig := x.fail(backend.Unavailable, OutcomeTooBig, nil,
		fmt.Sprintf("%s answered with more than %d MiB, which is not taken in; is this the tracker's API?", x.where(), limit>>20))
	if answer.ContentLength > limit {
		return nil, tooBig
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, limit+1))
	if err != nil {
		return body, x.failed(err, "broke off its answer: ")
	}
	if int64(len(body)) > limit {
		return nil, tooBig
	}
	return body, nil
}

// heed passes what the headers say about rate limits to the limiter, and gives the time of the next request where the
// server refused this one.
func (x exchange) heed(answer *http.Response) time.Time {
	now := x.client.options.Clock.Now()
	limiter := x.client.options.Limiter
	pause, said := retryAfter(answer.Header, now)
	refused := answer.StatusCode == http.StatusTooManyRequests
	// A pause of nothing is no answer to "too much".
	asked := said && pause > 0 && (refused || answer.StatusCode == http.StatusServiceUnavailable)
	switch {
	case limiter == nil && asked:
		return now.Add(pause)
	case limiter == nil:
		return time.Time{}
	case asked:
		return limiter.pause(now.Add(pause))
	case refused:
		return limiter.backOff(now)
	}
	limiter.learn(now, limitsIn(answer.Header, now), answer.StatusCode < 500)
	return time.Time{}
}

func (x exchange) redirected(answer *http.Response) string {
	base := x.where() + " answered with a redirect"
	location, err := answer.Location()
	if err != nil {
		return base + "; the ingress wants a login? use the API's own URL"
	}
	if location.Scheme == "https" && x.target.Scheme == "http" && location.Hostname() == x.target.Hostname() {
		return base + " to https: use https:// in the tracker's address"
	}
	return base + " to " + Clean((&url.URL{Host: location.Host}).Host) + "; the ingress wants a login? use the API's own URL"
}

// checkJSON tells a login page from an answer that is damaged.
func (x exchange) checkJSON(body []byte) error {
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return x.fail(backend.Unavailable, OutcomeNotJSON, nil, x.where()+" answered with nothing at all")
	case json.Valid(body):
		return nil
	case body[0] == '{' || body[0] == '[':
		return x.fail(backend.Unavailable, OutcomeNotJSON, nil, x.where()+" answered with JSON that is damaged or cut off")
	}
	return x.fail(backend.AccessDenied, OutcomeNotJSON, nil,
		x.where()+" answered with a page instead of JSON; the ingress wants a login? use the API's own URL")
}

// said gives the server's own words, shortened, from the places in JSON where our trackers and common gateways put them.
// Other text is not shown: whoever may name an address could read what answers there.
func said(body []byte) string {
	if len(body) > 64<<10 {
		return ""
	}
	var known struct {
		Message string `json:"message"`
		Error   any    `json:"error"`
		Detail  any    `json:"detail"`
		Errors  []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &known) != nil {
		return ""
	}
	var text string
	switch {
	case known.Message != "":
		text = known.Message
	case len(known.Errors) > 0:
		text = known.Errors[0].Message
	default:
		text, _ = known.Error.(string)
		if text == "" {
			text, _ = known.Detail.(string)
		}
	}
	if text = Clean(text); text == "" {
		return ""
	}
	return ": " + text
}
