package connect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/connect"
)

func TestSecretsAreReadOnceAMinute(t *testing.T) {
	w := newWorld(t)
	p := wandbProject("https://wandb.example")
	first := w.open(p)
	for range 59 {
		w.clock.Step(time.Second)
		if w.open(p) != first {
			t.Fatal("another connection within the minute, want the same")
		}
	}
	if got := w.secrets.count(); got != 1 {
		t.Errorf("%d reads within the first minute, want 1", got)
	}
	w.clock.Step(time.Second)
	if w.open(p) != first {
		t.Error("another connection after a minute, want the same since nothing changed")
	}
	if got := w.secrets.count(); got != 2 {
		t.Errorf("%d reads after a minute, want 2", got)
	}
}

func TestRotationIsSeenWithinAMinute(t *testing.T) {
	w, server := newWorld(t), newTracker(t, (*httptest.Server).Start)
	p := wandbProject(server.URL)
	first := w.open(p)
	w.secrets.put("wandb", map[string]string{"api-key": canary + "-2"})
	w.clock.Step(time.Minute)
	second := w.open(p)
	if first == second || first.Secrets == second.Secrets {
		t.Fatalf("the same connection (%s) after a rotation, want a new one", second.Secrets)
	}
	check(t, second)
	if got := server.credentials(); len(got) != 1 || got[0] != "Basic api:"+canary+"-2" {
		t.Errorf("the tracker got %q, want the new key", got)
	}
}

func TestRejectedReadsAgain(t *testing.T) {
	w := newWorld(t)
	p := wandbProject("https://wandb.example")
	first := w.open(p)

	w.Rejected(p.UID)
	if w.open(p) != first || w.secrets.count() != 2 {
		t.Fatalf("%d reads after a rejection, want a second one at once that changes nothing", w.secrets.count())
	}
	for range 2 {
		w.clock.Step(time.Second)
		w.Rejected(p.UID)
		if w.open(p); w.secrets.count() != 2 {
			t.Fatal("read again within seconds of the last rejection, want a pause")
		}
	}
	w.secrets.put("wandb", map[string]string{"api-key": canary + "-2"})
	w.clock.Step(time.Second)
	second := w.open(p)
	if second == first {
		t.Fatal("the rejected connection is given again after its Secret changed, want a new one")
	}
	w.clock.Step(3 * time.Second)
	if w.open(p) != second || w.secrets.count() != 3 {
		t.Errorf("%d reads, want no further one without a further rejection", w.secrets.count())
	}
}

func TestRejectedOfUnknownProject(t *testing.T) {
	w := newWorld(t)
	w.Rejected("nobody")
	if w.Kept() != 0 {
		t.Error("a project that was never opened is known")
	}
}

func TestForgetMakesANewConnection(t *testing.T) {
	w := newWorld(t)
	p := wandbProject("https://wandb.example")
	w.Forget(p.UID)
	if w.Kept() != 0 {
		t.Error("a project that was never opened is known")
	}
	first := w.open(p)
	w.Forget(p.UID)
	second := w.open(p)
	if second == first || w.open(p) != second {
		t.Error("want one other connection, and no more than one")
	}
}

func TestWhatMakesANewConnection(t *testing.T) {
	for _, c := range []struct {
		reason string
		change func(*v1alpha1.TrackingProject, *store)
		same   bool
	}{
		{"looking more often needs no new client", func(p *v1alpha1.TrackingProject, _ *store) {
			p.Generation, p.Spec.Interval = 2, metav1.Duration{Duration: time.Second}
		}, true},
		{"suspending needs no new client", func(p *v1alpha1.TrackingProject, _ *store) { p.Generation, p.Spec.Suspend = 2, true }, true},
		{"a change of status is no change", func(p *v1alpha1.TrackingProject, _ *store) { p.ResourceVersion = "2" }, true},
		{"another Secret that is not used does not matter", func(_ *v1alpha1.TrackingProject, s *store) { s.put("other", nil) }, true},
		{"the address is the client's", func(p *v1alpha1.TrackingProject, _ *store) { p.Spec.Wandb.BaseURL = "https://new.example" }, false},
		{"bulk edits are the client's", func(p *v1alpha1.TrackingProject, _ *store) { p.Spec.Wandb.BulkEdits = true }, false},
		{"another Secret may be another key", func(p *v1alpha1.TrackingProject, s *store) {
			s.put("wandb2", map[string]string{"api-key": canary})
			p.Spec.Wandb.APIKeySecretRef.Name = "wandb2"
		}, false},
		{"a Secret made again under its name is another", func(_ *v1alpha1.TrackingProject, s *store) {
			s.put("wandb", map[string]string{"api-key": canary + "-1"})
		}, false},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w := newWorld(t)
			p := wandbProject("https://wandb.example")
			first := w.open(p)
			c.change(p, w.secrets)
			w.clock.Step(time.Minute)
			if same := w.open(p) == first; same != c.same {
				t.Errorf("same connection: %v, want %v", same, c.same)
			}
		})
	}
}

func TestChangedSpecNeverGetsTheOldConnection(t *testing.T) {
	w := newWorld(t)
	p := wandbProject("https://wandb.example")
	w.open(p)
	p.Spec.Wandb.BaseURL = "https://new.example"
	w.secrets.failWith(errors.New("the API server is away"))
	for range 2 {
		if conn, err := w.Open(t.Context(), p); err == nil {
			t.Fatalf("got a connection to %s while the Secret can't be read", conn.URL)
		}
	}
	w.secrets.failWith(nil)
	if got := w.open(p).URL; got != "https://new.example" {
		t.Errorf("connected to %s, want the new address", got)
	}
}

func TestUnreadableAPIServerIsAskedAgain(t *testing.T) {
	w := newWorld(t)
	p := wandbProject("https://wandb.example")
	first := w.open(p)
	w.clock.Step(time.Minute)
	away := errors.New("the API server is away")
	w.secrets.failWith(away)
	var failure *connect.SecretError
	for range 2 {
		if _, err := w.Open(t.Context(), p); !errors.Is(err, away) || errors.As(err, &failure) {
			t.Errorf("Open: %v, want the API server's error and no SecretError", err)
		}
	}
	w.secrets.failWith(nil)
	if w.open(p) != first {
		t.Error("another connection, want the same since the Secret never changed")
	}
}

func TestReplacedClientClosesItsSockets(t *testing.T) {
	w, server := newWorld(t), newTracker(t, (*httptest.Server).Start)
	p := wandbProject(server.URL)
	check(t, w.open(p))
	w.secrets.put("wandb", map[string]string{"api-key": canary + "-2"})
	w.clock.Step(time.Minute)
	w.open(p)
	<-server.closed // else this test hangs
}

func TestSlowOpenIsNotForgotten(t *testing.T) {
	w := newWorld(t)
	p, q := wandbProject("https://wandb.example"), mlflowProject("https://mlflow.example", nil)
	w.secrets.block = make(chan struct{})
	opened := make(chan *connect.Connection)
	go func() {
		conn, _ := w.Open(t.Context(), p)
		opened <- conn
	}()
	for w.secrets.count() == 0 {
		runtime.Gosched()
	}
	w.clock.Step(time.Hour)
	w.open(q) // looks for what is unused
	close(w.secrets.block)
	if conn := <-opened; conn == nil || conn != w.open(p) {
		t.Error("another connection, want the one that took so long")
	}
}

func TestOneReadForAllWhoOpenAtOnce(t *testing.T) {
	w := newWorld(t)
	p := wandbProject("https://wandb.example")
	w.secrets.block = make(chan struct{})
	got := make([]*connect.Connection, 20)
	var all sync.WaitGroup
	for i := range got {
		all.Go(func() { got[i], _ = w.Open(t.Context(), p) })
	}
	for w.secrets.count() == 0 {
		runtime.Gosched()
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Open(cancelled, p); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a cancelled context: %v, want it not to wait", err)
	}
	close(w.secrets.block)
	all.Wait()
	for _, conn := range got {
		if conn == nil || conn != got[0] {
			t.Fatalf("got %v, want one connection for all", got)
		}
	}
	if w.secrets.count() != 1 {
		t.Errorf("%d reads, want 1", w.secrets.count())
	}
}

func TestRateLimitIsSharedByCredential(t *testing.T) {
	w, server := newWorld(t), newTracker(t, (*httptest.Server).Start)
	server.answer = func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Retry-After", "60")
		out.WriteHeader(http.StatusTooManyRequests)
	}
	w.secrets.put("same", map[string]string{"api-key": canary + "-1\n"})
	w.secrets.put("other", map[string]string{"api-key": canary + "-2"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for i, c := range []struct {
		reason, secret string
		requests       int
	}{
		{"the first is told to wait", "wandb", 1},
		{"the same key in another Secret waits as well", "same", 0},
		{"another key does not wait", "other", 1},
	} {
		p := wandbProject(server.URL)
		p.UID += p.UID[:i]
		p.Spec.Wandb.APIKeySecretRef.Name = c.secret
		_, err := w.open(p).Backend.Check(ctx)
		if !backend.IsKind(err, backend.RateLimited) {
			t.Errorf("%s: Check: %v, want RateLimited", c.reason, err)
		}
		if got := len(server.credentials()); got != c.requests {
			t.Errorf("%s: %d requests, want %d", c.reason, got, c.requests)
		}
	}
}

func TestSpecThatTheAPIServerShouldHaveRefused(t *testing.T) {
	both := wandbProject("https://wandb.example")
	both.Spec.MLflow = &v1alpha1.MLflowProject{TrackingURI: "https://mlflow.example"}
	neither := wandbProject("")
	neither.Spec.Wandb = nil
	noUID := wandbProject("https://wandb.example")
	noUID.UID = ""
	for _, c := range []struct {
		reason, want string
		project      *v1alpha1.TrackingProject
	}{
		{"two trackers are not one", "exactly one of", both},
		{"no tracker can't be opened", "exactly one of", neither},
		{"without a UID two projects would be one", "no UID", noUID},
		{"user info would be a password in plain sight", "spec.wandb.baseURL must be", wandbProject("https://me:" + canary + "@wandb.example")},
		{"a query is no part of an address", "without user info, query", wandbProject("https://wandb.example/?key=" + canary)},
		{"other schemes carry no API", "must be http(s)://", wandbProject("ftp://wandb.example/" + canary)},
		{"a URL that does not parse", "spec.wandb.baseURL must be", wandbProject("https://[::1/" + canary)},
		{"an address needs a host", "spec.mlflow.trackingURI must be", mlflowProject("http://:5000", nil)},
	} {
		t.Run(c.reason, func(t *testing.T) {
			_, err := newWorld(t).Open(t.Context(), c.project)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open: %v, want an error with %q", err, c.want)
			}
			hidden(t, fmt.Sprintf("%v %+v", err, err))
		})
	}
}

// check sends one request over the connection; what comes of it does not matter.
func check(t *testing.T, conn *connect.Connection) {
	t.Helper()
	_, err := conn.Backend.Check(t.Context())
	hidden(t, fmt.Sprintf("%v %+v %#v", err, conn, conn))
}

func hidden(t *testing.T, shown string) {
	t.Helper()
	if strings.Contains(shown, canary) {
		t.Errorf("a secret is shown in %s", shown)
	}
}
