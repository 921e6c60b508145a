package tracker_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend/mlflow"
)

// mlflowFront is around the proxy before an MLflow server: it tells the time by the test's clock, and counts.
type mlflowFront struct {
	mu       sync.Mutex
	clock    clock.PassiveClock
	skew     time.Duration // of the server's clock
	requests int
	count    stormCount
	// refusedAt, until: the last refusal with a time, and until when no request may come. allowed are those that may have
	// been under way with it.
	refusedAt, until time.Time
	allowed          int
	said             []string
}

func (f *mlflowFront) around(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.arrived(r.URL.Path)
		inner.ServeHTTP(&watched{ResponseWriter: w, told: f.answered}, r)
	})
}

// arrived counts a request, and whether it should not have been made.
func (f *mlflowFront) arrived(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	now := f.clock.Now()
	switch {
	case !now.Before(f.until):
	case now.Sub(f.refusedAt) < time.Second && f.allowed > 0:
		f.allowed--
	default:
		f.count.early++
		f.said = append(f.said, fmt.Sprintf("a request %s came at %s, refused until %s", path, now.Format(time.TimeOnly), f.until.Format(time.TimeOnly)))
	}
}

// answered dates an answer, and takes note of a refusal that names a time.
func (f *mlflowFront) answered(status int, header http.Header) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	header.Set("Date", now.Add(f.skew).UTC().Format(http.TimeFormat))
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if status == http.StatusTooManyRequests || err == nil && status == http.StatusServiceUnavailable {
		f.count.refused++
	}
	if err != nil || status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return
	}
	if until := now.Add(time.Duration(seconds) * time.Second); until.After(f.until) {
		f.refusedAt, f.until, f.allowed = now, until, mlflow.Rate.UnderWay-1
	}
}

func (f *mlflowFront) setSkew(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.skew = d
}

func (f *mlflowFront) storm() (count stormCount, requests int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count, f.requests
}

// problems says which requests came too early.
func (f *mlflowFront) problems() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said
}
