package transport

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// longestPause bounds what a server can make us wait, so that a wrong header is not for ever.
const longestPause = 24 * time.Hour

// retryAfter reads how long the server wants no request: Retry-After in seconds or as a date, else RateLimit-Reset.
func retryAfter(h http.Header, now time.Time) (time.Duration, bool) {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, ok := number(value); ok {
		return bounded(seconds), true
	}
	if at, err := http.ParseTime(value); err == nil {
		// A date is in the server's time: what counts is its distance from the server's own clock.
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date
		}
		return min(max(at.Sub(now), 0), longestPause), true
	}
	return resetIn(h, now)
}

// limits is what a server says about its budget: Remaining units of Limit until ResetIn has passed.
type limits struct {
	known            bool
	limit, remaining float64
	resetIn          time.Duration
}

// limitsIn reads RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset, or the same with X- before.
// W&B scales the first two to 0..1000, so they are no counts of requests.
func limitsIn(h http.Header, now time.Time) limits {
	limit, ok1 := number(rateLimit(h, "Limit"))
	remaining, ok2 := number(rateLimit(h, "Remaining"))
	reset, ok3 := resetIn(h, now)
	if !ok1 || !ok2 || !ok3 || limit <= 0 {
		return limits{}
	}
	return limits{known: true, limit: limit, remaining: remaining, resetIn: reset}
}

func resetIn(h http.Header, now time.Time) (time.Duration, bool) {
	seconds, ok := number(rateLimit(h, "Reset"))
	if !ok {
		return 0, false
	}
	const epoch = 1e9 // some servers give the time of day, in seconds since 1970
	if seconds > epoch {
		return min(max(time.Unix(int64(seconds), 0).Sub(now), 0), longestPause), true
	}
	return bounded(seconds), true
}

func rateLimit(h http.Header, name string) string {
	value := h.Get("RateLimit-" + name)
	if value == "" {
		value = h.Get("X-RateLimit-" + name)
	}
	// "100, 100;w=60" is allowed: the limit in force comes first.
	value, _, _ = strings.Cut(value, ",")
	value, _, _ = strings.Cut(value, ";")
	return strings.TrimSpace(value)
}

func number(s string) (float64, bool) {
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && n >= 0 && n < 1e15
}

func bounded(seconds float64) time.Duration {
	if seconds >= longestPause.Seconds() {
		return longestPause
	}
	return time.Duration(seconds * float64(time.Second))
}
