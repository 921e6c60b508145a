package transport

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/runtag/runtag/internal/backend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "CANARY-9f8e7d"

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// newClient makes a client that may dial loopback, with the rest of the options as given.
func newClient(t *testing.T, o Options) *Client {
	t.Helper()
	if o.Policy == nil {
		o.Policy = mustAllow(t, "127.0.0.1")
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

// serve runs a server that answers in this way. Its log is thrown away: it is full of the errors that we provoke.
func serve(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handle)
	s.Config.ErrorLog = nil
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// secretRequest has the canary everywhere where a client could put a secret or a user's text.
func secretRequest(url string) Request {
	return Request{
		Op: "list runs", Method: http.MethodPost, URL: strings.Replace(url, "http://", "http://user:"+canary+"@", 1) + "/" + canary + "?key=" + canary,
		Header: http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("api:"+canary))}},
		Body:   []byte(`{"query":"` + canary + `"}`),
	}
}

// echo writes all forms of the secret into an error page, as a careless server would.
func echo(w http.ResponseWriter, r *http.Request, status int) {
	w.WriteHeader(status)
	_, password, _ := r.BasicAuth()
	_, _ = fmt.Fprintf(w, `{"message":"no: %s, %s, password %s"}`, r.Header.Get("Authorization"), r.URL.User, password)
}

func hijack(w http.ResponseWriter, answer string) {
	conn, buffer, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = buffer.WriteString(answer)
	_ = buffer.Flush()
	_ = conn.Close()
}

func TestWhatComesOfAnAnswer(t *testing.T) {
	page := "<!DOCTYPE html><html><body>Please log in</body></html>"
	for _, c := range []struct {
		reason  string
		handle  http.HandlerFunc
		options Options
		kind    backend.Kind // empty: a response
		status  int
		message string
		outcome string
	}{
		{
			reason: "2xx with JSON is an answer", status: 200, outcome: "2xx", message: `{"runs":[]}`,
			handle: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"runs":[]}`) },
		}, {
			reason: "4xx is the client's to interpret, HTML or not", status: 404, outcome: "4xx", message: page,
			handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404); _, _ = io.WriteString(w, page) },
		}, {
			reason: "4xx without a body", status: 403, outcome: "4xx", message: "",
			handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) },
		}, {
			reason: "4xx does not give our own secret back", status: 401, outcome: "4xx", message: "no: [redacted]",
			handle: func(w http.ResponseWriter, r *http.Request) { echo(w, r, 401) },
		}, {
			reason: "408 is no mistake of ours", kind: backend.Unavailable, outcome: "4xx", message: "answered 408 Request Timeout",
			handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(408) },
		}, {
			reason: "5xx says what the server said", kind: backend.Unavailable, outcome: "5xx", message: "answered 500 Internal Server Error: no: [redacted]",
			handle: func(w http.ResponseWriter, r *http.Request) { echo(w, r, 500) },
		}, {
			reason: "5xx as a page of a gateway", kind: backend.Unavailable, outcome: "5xx", message: "answered 502 Bad Gateway",
			handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); _, _ = io.WriteString(w, page) },
		}, {
			reason: "a login page is no empty list", kind: backend.AccessDenied, outcome: OutcomeNotJSON, message: "the ingress wants a login",
			handle: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) },
		}, {
			reason: "text is no JSON", kind: backend.AccessDenied, outcome: OutcomeNotJSON, message: "a page instead of JSON",
			handle: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "OK") },
		}, {
			reason: "nothing is no JSON", kind: backend.Unavailable, outcome: OutcomeNotJSON, message: "nothing at all",
			handle: func(w http.ResponseWriter, _ *http.Request) {},
		}, {
			reason: "half of an object is damage, not a login", kind: backend.Unavailable, outcome: OutcomeNotJSON, message: "damaged or cut off",
			handle: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"runs":[`) },
		}, {
			reason: "a redirect is not followed", kind: backend.AccessDenied, outcome: OutcomeRedirect,
			message: "answered with a redirect to login.example; the ingress wants a login? use the API's own URL",
			handle: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://login.example/?from="+canary, http.StatusFound)
			},
		}, {
			reason: "a redirect without a target", kind: backend.AccessDenied, outcome: OutcomeRedirect, message: "a redirect; the ingress",
			handle: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(302) },
		}, {
			reason: "a redirect to TLS says so", kind: backend.AccessDenied, outcome: OutcomeRedirect, message: "use https://",
			handle: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "https://127.0.0.1:8443"+r.URL.Path, http.StatusMovedPermanently)
			},
		}, {
			reason: "a reset before the answer", kind: backend.Unavailable, outcome: OutcomeFailed, message: "closed the connection",
			handle: func(w http.ResponseWriter, _ *http.Request) { hijack(w, "") },
		}, {
			reason: "a reset within the answer", kind: backend.Unavailable, outcome: OutcomeFailed, message: "broke off its answer: closed",
			handle: func(w http.ResponseWriter, _ *http.Request) {
				hijack(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"runs\":[]}")
			},
		}, {
			reason: "the status is worth more than a body that broke off", kind: backend.Unavailable, outcome: "5xx", message: "answered 503",
			handle: func(w http.ResponseWriter, _ *http.Request) {
				hijack(w, "HTTP/1.1 503 Down\r\nContent-Length: 100\r\n\r\nhalf")
			},
		}, {
			reason: "no HTTP at all", kind: backend.Unavailable, outcome: OutcomeFailed, message: "could not be reached",
			handle: func(w http.ResponseWriter, _ *http.Request) { hijack(w, "SSH-2.0-OpenSSH_9.9\r\n") },
		}, {
			reason: "an announced size is refused before it is read", kind: backend.Unavailable, outcome: OutcomeTooBig, message: "more than 1 MiB",
			options: Options{MaxBytes: 1 << 20},
			handle: func(w http.ResponseWriter, _ *http.Request) {
				hijack(w, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
			},
		}, {
			reason: "a size that was not announced is cut off", kind: backend.Unavailable, outcome: OutcomeTooBig, message: "more than 1 MiB",
			options: Options{MaxBytes: 1 << 20},
			handle: func(w http.ResponseWriter, _ *http.Request) {
				for i := 0; i < 2<<20; i += 1 << 10 {
					if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<10)); err != nil {
						return
					}
				}
			},
		}, {
			reason: "the size that counts is the one after decompression", kind: backend.Unavailable, outcome: OutcomeTooBig, message: "more than 1 MiB",
			options: Options{MaxBytes: 1 << 20},
			handle: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				_, _ = z.Write(bytes.Repeat([]byte(" "), 8<<20))
				_ = z.Close()
			},
		}, {
			reason: "gzip is undone", status: 200, outcome: "2xx", message: `{"a":1}`,
			handle: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				_, _ = io.WriteString(z, `{"a":1}`)
				_ = z.Close()
			},
		}, {
			reason: "no answer in time", kind: backend.Unavailable, outcome: OutcomeTimeout, message: "did not answer completely within 50ms",
			options: Options{Timeout: 50 * time.Millisecond},
			handle:  func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); <-r.Context().Done() },
		}, {
			reason: "an answer that never ends", kind: backend.Unavailable, outcome: OutcomeTimeout, message: "did not answer completely within 50ms",
			options: Options{Timeout: 50 * time.Millisecond},
			handle: func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					_, _ = io.WriteString(w, " ")
					_ = http.NewResponseController(w).Flush()
				}
			},
		},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s := serve(t, c.handle)
			var seen []Observation
			c.options.Observe = func(o Observation) { seen = append(seen, o) }
			response, err := newClient(t, c.options).Do(t.Context(), secretRequest(s.URL))
			checkNoSecret(t, response, err, seen)
			if got := backend.KindOf(err); got != c.kind || response.Status != c.status {
				t.Fatalf("kind %q, status %d, error %v", got, response.Status, err)
			}
			text := string(response.Body)
			if err != nil {
				text = err.Error()
				if !strings.HasPrefix(text, "list runs: ") {
					t.Errorf("%q does not begin with what we were doing", text)
				}
			}
			if !strings.Contains(text, c.message) {
				t.Errorf("%q does not say %q", text, c.message)
			}
			if len(seen) != 1 || seen[0].Outcome != c.outcome || seen[0].Op != "list runs" || "http://"+seen[0].Host != s.URL {
				t.Errorf("observed %+v, want outcome %s", seen, c.outcome)
			}
		})
	}
}

// checkNoSecret looks for the canary in all that leaves the package, the causes of an error included.
func checkNoSecret(t *testing.T, shown ...any) {
	t.Helper()
	for _, x := range shown {
		if r, ok := x.(Response); ok {
			x = string(r.Body)
		}
		if err, ok := x.(error); ok {
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				checkNoSecret(t, cause.Error(), fmt.Sprintf("%+v %#v", cause, cause))
			}
			continue
		}
		for _, secret := range []string{canary, base64.StdEncoding.EncodeToString([]byte("api:" + canary))} {
			if text := fmt.Sprintf("%+v", x); strings.Contains(text, secret) {
				t.Errorf("%q shows the secret", text)
			}
		}
	}
}

func TestWhatIsSent(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, hasKey := r.Header["Idempotency-Key"]
		user, _, basic := r.BasicAuth()
		_, _ = fmt.Fprintf(w, `[%q,%q,%q,%q,%q,%v,%q,%v]`,
			r.Method, r.URL.RequestURI(), body, r.Header.Get("Accept"), r.Header.Get("X-Mine"), hasKey, user, basic)
	})
	header := http.Header{"X-Mine": {"yes"}}
	response, err := newClient(t, Options{}).Do(t.Context(), Request{
		Method: "POST", URL: strings.Replace(s.URL, "//", "//eve:pw@", 1) + "/a%20b?c=d", Header: header, Body: []byte("{}"), Idempotent: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(response.Body), `["POST","/a%20b?c=d","{}","application/json","yes",false,"",false]`; got != want {
		t.Errorf("the server saw %s, want %s", got, want)
	}
	if len(header) != 1 {
		t.Errorf("the caller's header was changed: %v", header)
	}
	if response.ServerTime.IsZero() {
		t.Error("the server's time is in its Date header")
	}
}

func TestAddressesThatAreNoTrackers(t *testing.T) {
	for _, c := range []struct{ reason, url, want string }{
		{"files are not spoken", "file:///etc/passwd", "only http and https"},
		{"other protocols neither", "gopher://127.0.0.1/", "only http and https"},
		{"a host is needed", "http:///path", "no host"},
		{"what is no URL", "http://[::1", "not a URL"},
		{"a port out of range", "http://127.0.0.1:99999/", "port"},
		{"an address that is not allowed", "http://127.0.0.2:1/", "--allow-tracker=127.0.0.2:1"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			var seen Observation
			client := newClient(t, Options{Observe: func(o Observation) { seen = o }})
			_, err := client.Do(t.Context(), Request{Op: "check", Method: "GET", URL: c.url})
			if !backend.IsKind(err, backend.AddressRefused) || !strings.Contains(err.Error(), c.want) || seen.Outcome != OutcomeRefused {
				t.Errorf("got %v (%s), want AddressRefused with %q", err, seen.Outcome, c.want)
			}
		})
	}
	t.Run("a request that cannot be made", func(t *testing.T) {
		_, err := newClient(t, Options{}).Do(t.Context(), Request{Method: "GET IT", URL: "http://127.0.0.1/"})
		if !backend.IsKind(err, backend.Unsupported) {
			t.Error(err)
		}
	})
}

func TestConnectionsThatFail(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason, url, want string
		lookup            error
	}{
		{reason: "nobody listens", url: "http://" + closed.Addr().String(), want: "refused the connection"},
		{reason: "no such name", url: "http://gone.example", want: "no such host", lookup: &net.DNSError{IsNotFound: true, Name: "gone.example"}},
		{reason: "the name server is down", url: "http://any.example", want: "could not be looked up", lookup: &net.DNSError{IsTimeout: true}},
		{reason: "a network time-out", url: "http://any.example", want: "could not be reached in time", lookup: &net.OpError{Op: "dial", Err: timeoutError{}}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			client := newClient(t, Options{})
			if c.lookup != nil {
				client.dialer.lookup = failingLookup(c.lookup)
			}
			_, err := client.Do(t.Context(), Request{Method: "GET", URL: c.url})
			if !backend.IsKind(err, backend.Unavailable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want Unavailable with %q", err, c.want)
			}
		})
	}
}

type timeoutError struct{}

func (timeoutError) Error() string { return "timed out" }
func (timeoutError) Timeout() bool { return true }

func TestACancelledContextIsRecognised(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, " ")
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	var seen Observation
	_, err := newClient(t, Options{Observe: func(o Observation) { seen = o }}).Do(ctx, Request{Method: "GET", URL: s.URL})
	if !errors.Is(err, context.Canceled) || !backend.IsKind(err, backend.Unavailable) || seen.Outcome != OutcomeCanceled {
		t.Errorf("got %v (%s)", err, seen.Outcome)
	}
	deadline, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	_, err = newClient(t, Options{}).Do(deadline, Request{Method: "GET", URL: s.URL})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "in the time that was left") {
		t.Errorf("got %v", err)
	}
}
