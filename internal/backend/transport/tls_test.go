package transport

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/runtag/runtag/internal/backend"
)

func TestTLS(t *testing.T) {
	start := func(configure func(*tls.Config)) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprintf(w, `[%q]`, r.Proto)
		}))
		s.Config.ErrorLog, s.TLS = quietLog(), &tls.Config{}
		s.EnableHTTP2 = true
		configure(s.TLS)
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	good := start(func(*tls.Config) {})
	old := start(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 })
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: good.Certificate().Raw})
	for _, c := range []struct {
		reason, url, want string
		ca                []byte
	}{
		{"a CA of one's own, and HTTP/2", good.URL, "HTTP/2.0", ca},
		{"without the CA the message says where it goes", good.URL, "name a Secret with its CA in caSecretRef", nil},
		{"another name than the certificate's", strings.Replace(good.URL, "127.0.0.1", "other.invalid", 1), "not valid for it", ca},
		{"TLS 1.1 is too old", old.URL, "TLS 1.2 or later", ca},
		{"no TLS at all", strings.Replace(plain.URL, "http:", "https:", 1), "use http://", ca},
	} {
		t.Run(c.reason, func(t *testing.T) {
			client := newClient(t, Options{CA: c.ca, Policy: mustAllow(t, "127.0.0.0/8")})
			client.dialer.lookup = namesOf(map[string][]string{"other.invalid": {"127.0.0.1"}})
			response, err := client.Do(t.Context(), Request{Method: "GET", URL: c.url})
			got := string(response.Body)
			if err != nil {
				got = err.Error()
				if !backend.IsKind(err, backend.Unavailable) {
					t.Errorf("kind %s", backend.KindOf(err))
				}
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if _, err := New(Options{CA: []byte("no certificate")}); err == nil {
		t.Error("a CA that is none is found at once, not at the first request")
	}
}
