package transport

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/runtag/runtag/internal/backend"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

func failingLookup(err error) func(context.Context, string) ([]netip.Addr, error) {
	return func(context.Context, string) ([]netip.Addr, error) { return nil, err }
}

func TestTheRulesHoldBehindAProxy(t *testing.T) {
	var proxied []string
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		proxied = append(proxied, r.URL.String())
		_, _ = io.WriteString(w, `{}`)
	})
	for _, c := range []struct {
		reason, allow, target, want string
	}{
		{"the proxy's own address needs the flag", "10.0.0.0/8", "http://tracker.example", "--allow-tracker=127.0.0.1:"},
		{"a private target is refused, though the proxy could", "127.0.0.1", "http://mlflow.ml.svc:5000", "--allow-tracker=mlflow.ml.svc:5000"},
		{"a metadata name is refused unresolved", "127.0.0.1", "http://metadata.google.internal", "never"},
		{"a public target goes", "127.0.0.1", "http://tracker.example", ""},
		{"a name that only the proxy knows goes", "127.0.0.1", "http://behind.example", ""},
	} {
		t.Run(c.reason, func(t *testing.T) {
			proxied = nil
			client := newClient(t, Options{Policy: mustAllow(t, c.allow)})
			client.dialer.lookup = namesOf(map[string][]string{"mlflow.ml.svc": {"10.1.2.3"}, "tracker.example": {"93.184.216.34"}})
			client.proxy = func(*http.Request) (*url.URL, error) { return url.Parse(proxy.URL) }
			_, err := client.Do(t.Context(), Request{Op: "check", Method: "GET", URL: c.target})
			if c.want == "" {
				if err != nil || len(proxied) != 1 || !strings.HasPrefix(proxied[0], c.target) {
					t.Errorf("got %v, the proxy saw %v", err, proxied)
				}
				return
			}
			if !backend.IsKind(err, backend.AddressRefused) || !strings.Contains(err.Error(), c.want) || len(proxied) > 0 {
				t.Errorf("got %v, the proxy saw %v", err, proxied)
			}
		})
	}
	t.Run("settings that cannot be read", func(t *testing.T) {
		client := newClient(t, Options{})
		client.proxy = func(*http.Request) (*url.URL, error) { return nil, errors.New("bad " + canary) }
		_, err := client.Do(t.Context(), Request{Op: "check", Method: "GET", URL: proxy.URL})
		if !backend.IsKind(err, backend.Unavailable) || !strings.Contains(err.Error(), "HTTPS_PROXY") {
			t.Error(err)
		}
		checkNoSecret(t, err)
	})
}

func TestTheEnvironmentIsIgnoredUnlessAsked(t *testing.T) {
	if c := newClient(t, Options{}); c.proxy != nil {
		t.Error("a proxy is used that nobody asked for")
	}
	if c := newClient(t, Options{ProxyFromEnvironment: true}); c.proxy == nil {
		t.Error("the environment was asked for")
	}
}
