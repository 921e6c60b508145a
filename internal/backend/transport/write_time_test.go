package transport

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/runtag/runtag/internal/backend"
)

func TestWriteTime(t *testing.T) {
	for name, tt := range map[string]struct {
		reason string
		writes bool
		left   time.Duration
		kind   backend.Kind
		says   string
		sent   int
	}{
		"a read":                 {"reading harms nobody", false, 0, "", "", 1},
		"a write in time":        {"the leader writes", true, time.Minute, "", "", 1},
		"a write too late":       {"another one may lead", true, 0, backend.NotLeading, "not sure to be the leader", 0},
		"a write much too late":  {"so long after that", true, -time.Hour, backend.NotLeading, "not sure to be the leader", 0},
		"a write that is slow":   {"it ends with the time to write", true, 50 * time.Millisecond, backend.Unavailable, "within 50ms", 1},
		"a read that is as slow": {"it has the usual time", false, 50 * time.Millisecond, "", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			sent := 0
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				sent++
				if tt.kind == backend.Unavailable {
					_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection seen
					<-r.Context().Done()
				}
				_, _ = io.WriteString(w, `{}`)
			})
			c := newClient(t, Options{WriteTime: func() time.Duration { return tt.left }})
			_, err := c.Do(t.Context(), Request{Method: http.MethodPost, URL: s.URL, Writes: tt.writes})
			s.Close()
			if backend.KindOf(err) != tt.kind || sent != tt.sent {
				t.Errorf("%s: got %v after %d requests, want %q after %d", tt.reason, err, sent, tt.kind, tt.sent)
			}
			if tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
				t.Errorf("%s: %v does not say %q", tt.reason, err, tt.says)
			}
		})
	}
}
