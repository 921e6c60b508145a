package cluster_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

const (
	entity = "acme"
	// foreign is on every run, and nobody on our side has anything to do with it.
	foreign = "foreign"
)

// exchanged is a request of the protocol that reached the tracker.
type exchanged struct {
	// port is the sender's.
	port int
	// write says that it changes tags, and read that it asks for runs by id or name.
	write, read bool
}

// tracker is the embedded one, behind a gate that notes who asks, and that holds up whom it is told to.
type tracker struct {
	*wandbtest.Server
	url string

	mu    sync.Mutex
	seen  []exchanged
	bare  []string // writes of lists without the foreign tag
	on    func(exchanged)
	key   string // the only one that is taken; empty for those of Server
	front *httptest.Server
}

func newTracker(t *testing.T, keys ...string) *tracker {
	t.Helper()
	options := []wandbtest.Option{wandbtest.WithHeartbeatTimeout(0)}
	for _, key := range keys {
		options = append(options, wandbtest.WithAPIKey(key))
	}
	tr := &tracker{Server: wandbtest.New(options...)}
	tr.front = httptest.NewServer(tr)
	tr.url = tr.front.URL
	t.Cleanup(func() {
		tr.front.CloseClientConnections()
		tr.front.Close()
	})
	return tr
}

// ServeHTTP notes the request and passes it on.
func (tr *tracker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender is gone in the middle of it
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	seen := exchanged{}
	if address, err := net.ResolveTCPAddr("tcp", r.RemoteAddr); err == nil {
		seen.port = address.Port
	}
	bare := seen.describe(body)
	tr.mu.Lock()
	tr.seen = append(tr.seen, seen)
	tr.bare = append(tr.bare, bare...)
	on, key := tr.on, tr.key
	tr.mu.Unlock()
	if _, password, _ := r.BasicAuth(); key != "" && password != key {
		http.Error(w, `{"errors":[{"message":"invalid API key"}]}`, http.StatusUnauthorized)
		return
	}
	if on != nil {
		on(seen)
	}
	tr.Server.ServeHTTP(w, r)
}

// describe says what the request is for, and gives the lists of tags that it would write without the foreign one.
func (x *exchanged) describe(body []byte) (bare []string) {
	var request struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	if json.Unmarshal(body, &request) != nil {
		return nil // the tracker says so
	}
	filters, _ := request.Variables["filters"].(string)
	x.read = filters != "" && filters != "{}" && !strings.Contains(filters, `"$or"`) && !strings.Contains(filters, `"tags"`)
	if x.write = strings.HasPrefix(request.Query, "mutation"); !x.write {
		return nil
	}
	for name, value := range request.Variables {
		if list, ok := value.([]any); ok && strings.HasPrefix(name, "t") && !slices.Contains(list, any(foreign)) {
			bare = append(bare, string(body))
		}
	}
	return bare
}

// whenSeen has f called with each request before it is carried out; nil for nothing.
func (tr *tracker) whenSeen(f func(exchanged)) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.on = f
}

// take has the tracker take this key alone.
func (tr *tracker) take(key string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.key = key
}

// mark counts the requests so far.
func (tr *tracker) mark() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.seen)
}

// expectForeignKept fails the test if any write would have taken the foreign tag off, at any moment.
func (tr *tracker) expectForeignKept(t *testing.T) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, body := range tr.bare {
		t.Errorf("this write would take the foreign tag off: %s", body)
	}
}
