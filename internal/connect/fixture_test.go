package connect_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/connect"
)

// canary is in every Secret of these tests, and must be in nothing that is shown.
const canary = "c4n4ry"

// store is the API server's Secrets, which can only be read by name, and counts the reads.
type store struct {
	t       testing.TB
	mu      sync.Mutex
	secrets map[string]*corev1.Secret
	version int
	reads   int
	fail    error
	block   chan struct{}
}

func (s *store) Get(ctx context.Context, key client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	s.mu.Lock()
	s.reads++
	found, fail, block := s.secrets[key.Name], s.fail, s.block
	s.mu.Unlock()
	if block != nil {
		<-block
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if key.Namespace != "team" {
		s.t.Errorf("read Secret %s, want nothing outside of the project's namespace", key)
	}
	if fail != nil {
		return fail
	}
	if found == nil {
		return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
	}
	found.DeepCopyInto(obj.(*corev1.Secret))
	return nil
}

func (s *store) List(context.Context, client.ObjectList, ...client.ListOption) error {
	s.t.Error("Secrets were listed, want reads by name only")
	return nil
}

// put makes or replaces a Secret; its uid stays the same.
func (s *store) put(name string, data map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	secret := &corev1.Secret{Data: map[string][]byte{}}
	secret.Name, secret.Namespace = name, "team"
	secret.UID, secret.ResourceVersion = types.UID("uid-of-"+name), fmt.Sprint(s.version)
	for key, value := range data {
		secret.Data[key] = []byte(value)
	}
	s.secrets[name] = secret
}

func (s *store) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.secrets, name)
}

func (s *store) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// world is a Connector with its surroundings. Its clock stands still unless a test moves it.
type world struct {
	*connect.Connector
	t       testing.TB
	clock   *testingclock.FakeClock
	secrets *store
}

func newWorld(t testing.TB) *world {
	policy, err := transport.ParseAllow([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	// Far ahead, so that no deadline of a real context lies after a pause on this clock.
	clock := testingclock.NewFakeClock(time.Date(2126, 11, 24, 9, 0, 0, 0, time.UTC))
	secrets := &store{t: t, secrets: map[string]*corev1.Secret{}}
	secrets.put("wandb", map[string]string{"api-key": canary + "-1"})
	return &world{
		Connector: connect.New(connect.Options{
			Secrets:  secrets,
			Policy:   policy,
			Limiters: transport.NewLimiters(clock),
			Clock:    clock,
		}),
		t: t, clock: clock, secrets: secrets,
	}
}

// open opens a project that must open.
func (w *world) open(p *v1alpha1.TrackingProject) *connect.Connection {
	w.t.Helper()
	conn, err := w.Open(w.t.Context(), p)
	if err != nil {
		w.t.Fatalf("Open: %v", err)
	}
	return conn
}

// wandbProject points at url with the key of the Secret that newWorld makes.
func wandbProject(url string) *v1alpha1.TrackingProject {
	return &v1alpha1.TrackingProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "capsules", UID: "project-1", Generation: 1},
		Spec: v1alpha1.TrackingProjectSpec{Wandb: &v1alpha1.WandbProject{
			BaseURL: url, Entity: "acme", Project: "capsules",
			APIKeySecretRef: v1alpha1.SecretKeyReference{Name: "wandb", Key: "api-key"},
		}},
	}
}

func mlflowProject(url string, auth *v1alpha1.MLflowAuth) *v1alpha1.TrackingProject {
	return &v1alpha1.TrackingProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "forecast", UID: "project-2", Generation: 1},
		Spec: v1alpha1.TrackingProjectSpec{MLflow: &v1alpha1.MLflowProject{
			TrackingURI: url, Experiments: []string{"forecast"}, Auth: auth,
		}},
	}
}

// tracker is a server that only notes which credentials it gets, and answers what answer writes (404 by default).
type tracker struct {
	*httptest.Server
	mu     sync.Mutex
	seen   []string
	answer http.HandlerFunc
	// dialled counts the connections; each that is closed is in closed.
	dialled atomic.Int32
	closed  chan struct{}
}

func newTracker(t testing.TB, start func(*httptest.Server)) *tracker {
	tr := &tracker{closed: make(chan struct{}, 100)}
	tr.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tr.mu.Lock()
		tr.seen = append(tr.seen, decoded(r.Header.Get("Authorization")))
		answer := tr.answer
		tr.mu.Unlock()
		if answer == nil {
			answer = http.NotFound
		}
		answer(w, r)
	}))
	tr.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			tr.dialled.Add(1)
		case http.StateClosed:
			tr.closed <- struct{}{}
		default:
		}
	}
	start(tr.Server)
	t.Cleanup(tr.Close)
	return tr
}

// credentials are what requests since the last call came with.
func (tr *tracker) credentials() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	seen := tr.seen
	tr.seen = nil
	return seen
}

func decoded(header string) string {
	kind, value, _ := strings.Cut(header, " ")
	if kind == "Basic" {
		plain, err := base64.StdEncoding.DecodeString(value)
		if err == nil {
			return "Basic " + string(plain)
		}
	}
	return header
}
