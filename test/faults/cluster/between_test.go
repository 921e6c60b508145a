package cluster_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/runtag/runtag/internal/controlplane"
	"github.com/runtag/runtag/test/stage"
)

// between stands between a manager and the API server, and breaks what it is told to.
type between struct {
	kubeconfig string
	proxy      *httputil.ReverseProxy

	mu      sync.Mutex
	cut     chan struct{} // closed to end all watches
	open    chan struct{} // closed while watches and lists are let through
	refuse  refusal
	again   map[string]bool // paths whose next watch that goes on from a version is refused
	refused int
	random  *rand.Rand
	lose    float64 // the part of all requests whose answers are lost
	lost    int
}

// refusal is how a watch is told that the version it goes on from is too old.
type refusal string

const (
	asStatus refusal = "as the answer's status"
	asEvent  refusal = "as an event of the watch"
)

func newBetween(t *testing.T) *between {
	t.Helper()
	config, err := cluster.Plane.ConfigFor(t.Context(), stage.SystemNamespace, "runtag-manager")
	must(t, err)
	target, err := url.Parse(config.Host)
	must(t, err)
	transport, err := rest.TransportFor(&rest.Config{Host: config.Host, TLSClientConfig: config.TLSClientConfig})
	must(t, err)
	b := &between{cut: make(chan struct{}), open: make(chan struct{}), random: randomOf(t)}
	close(b.open)
	b.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: transport, FlushInterval: -1,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }, // as without a proxy
	}
	front := httptest.NewTLSServer(b) // over plain HTTP no credential is sent
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	b.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	must(t, controlplane.WriteKubeconfig(b.kubeconfig, &rest.Config{
		Host: front.URL, BearerToken: config.BearerToken,
		TLSClientConfig: rest.TLSClientConfig{CAData: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw})},
	}))
	return b
}

// ServeHTTP passes requests on.
func (b *between) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("watch") != "" {
		b.watch(w, r)
		return
	}
	if r.Method == http.MethodGet {
		b.waitUntilOpen(r.Context())
	}
	if b.loses() {
		b.proxy.ServeHTTP(httptest.NewRecorder(), r) // it is carried out
		panic(http.ErrAbortHandler)
	}
	b.proxy.ServeHTTP(w, r)
}

func (b *between) waitUntilOpen(ctx context.Context) {
	b.mu.Lock()
	open := b.open
	b.mu.Unlock()
	select {
	case <-open:
	case <-ctx.Done():
	}
}

func (b *between) loses() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := b.random.Float64() < b.lose
	if lost {
		b.lost++
	}
	return lost
}

// loseAnswers has this part of all requests carried out without an answer, from now on.
func (b *between) loseAnswers(part float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lose = part
}

func (b *between) watch(w http.ResponseWriter, r *http.Request) {
	b.waitUntilOpen(r.Context())
	query := r.URL.Query()
	b.mu.Lock()
	cut, how := b.cut, b.refuse
	refused := query.Get("resourceVersion") != "" && query.Get("sendInitialEvents") == "" && b.again[r.URL.Path]
	if refused {
		delete(b.again, r.URL.Path)
		b.refused++
	}
	b.mu.Unlock()
	if refused {
		tooOld(w, how)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go func() {
		select {
		case <-cut:
			cancel()
		case <-ctx.Done():
		}
	}()
	b.proxy.ServeHTTP(w, r.WithContext(ctx))
}

// shut ends all watches and lets neither watches nor reads through, until reopen.
func (b *between) shut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.cut)
	b.cut, b.open = make(chan struct{}), make(chan struct{})
}

// reopen lets them through again; the next watch of each path is told that its version is too old.
func (b *between) reopen(how refusal, paths ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse, b.again = how, map[string]bool{}
	for _, path := range paths {
		b.again[path] = true
	}
	close(b.open)
}

func tooOld(w http.ResponseWriter, how refusal) {
	status := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: http.StatusGone,
		Reason: metav1.StatusReasonExpired, Message: "too old resource version: 1 (2)",
	}
	var answer any = status
	w.Header().Set("Content-Type", "application/json")
	if how == asEvent {
		answer = map[string]any{"type": "ERROR", "object": status}
	} else {
		w.WriteHeader(http.StatusGone)
	}
	_ = json.NewEncoder(w).Encode(answer) // who does not get it asks again
}
