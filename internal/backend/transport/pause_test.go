package transport

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/runtag/runtag/internal/backend"
)

func TestRetryAfterPausesAllThatShareTheLimiter(t *testing.T) {
	clk := clocktesting.NewFakeClock(time.Now()) // the deadlines of contexts are in real time
	requests := 0
	header := http.Header{}
	status := 0
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		requests++
		for k, v := range header {
			w.Header()[k] = v
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{}`)
	})
	limiters := NewLimiters(clk)
	one := newClient(t, Options{Clock: clk, Limiter: limiters.For("h", Fingerprint("key"), Rate{PerSecond: 50, Burst: 100})})
	two := newClient(t, Options{Clock: clk, Limiter: limiters.For("H", Fingerprint("key"), Rate{PerSecond: 50, Burst: 100})})
	soon, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Hour))
	defer cancel()

	header.Set("Retry-After", "7200")
	status = 503
	_, err := one.Do(soon, Request{Op: "list", Method: "GET", URL: s.URL})
	if !backend.IsKind(err, backend.Unavailable) {
		t.Fatalf("503 is Unavailable also with a time: %v", err)
	}
	_, err = two.Do(soon, Request{Op: "list", Method: "GET", URL: s.URL})
	var e *backend.Error
	if !errors.As(err, &e) || e.Kind != backend.RateLimited || !e.Until.Equal(clk.Now().Add(2*time.Hour)) || requests != 1 {
		t.Fatalf("no request before the pause has passed, from nobody: %v after %d requests", err, requests)
	}
	clk.Step(2 * time.Hour)
	later, cancelLater := context.WithCancel(t.Context())
	defer cancelLater()
	status = 429
	header.Set("Retry-After", "5")
	_, err = two.Do(later, Request{Op: "list", Method: "GET", URL: s.URL})
	if !errors.As(err, &e) || e.Kind != backend.RateLimited || !e.Until.Equal(clk.Now().Add(5*time.Second)) {
		t.Fatalf("429 says until when: %v", err)
	}
	clk.Step(5 * time.Second)
	header.Set("Retry-After", "0")
	_, err = two.Do(later, Request{Op: "list", Method: "GET", URL: s.URL})
	if !errors.As(err, &e) || !e.Until.Equal(clk.Now().Add(time.Second)) {
		t.Fatalf("a pause of nothing is a back-off of ours: %v until %v", err, e.Until)
	}
}

func TestWithoutALimiterTheErrorSaysUntilWhen(t *testing.T) {
	clk := clocktesting.NewFakeClock(now)
	header := "30"
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if header != "" {
			w.Header().Set("Retry-After", header)
		}
		w.WriteHeader(429)
	})
	c := newClient(t, Options{Clock: clk})
	var e *backend.Error
	if _, err := c.Do(t.Context(), Request{Method: "GET", URL: s.URL}); !errors.As(err, &e) || !e.Until.Equal(now.Add(30*time.Second)) {
		t.Errorf("got %v", err)
	}
	header = ""
	if _, err := c.Do(t.Context(), Request{Method: "GET", URL: s.URL}); !errors.As(err, &e) || e.Kind != backend.RateLimited || !e.Until.IsZero() {
		t.Errorf("got %v until %v", err, e.Until)
	}
}
