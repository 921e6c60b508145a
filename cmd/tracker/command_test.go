package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// start runs the command as a person would and returns its URL and what ends it.
func start(t *testing.T, args ...string) (url string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	said, say := io.Pipe()
	cmd := newCommand()
	cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0"}, args...))
	cmd.SetOut(say)
	ended := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		say.Close() // always nil
		ended <- err
	}()
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("it did not start: %v", <-ended)
	}
	stop = func() error {
		cancel()
		return <-ended
	}
	t.Cleanup(cancel)
	return strings.Fields(line)[1], stop
}

func call(t *testing.T, client *http.Client, method, url, key, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth("api", key)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

func writePEM(t *testing.T, path, kind string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
		t.Fatal(err)
	}
}

const viewer = `{"query":"{ viewer { username } }"}`

func TestTrackerKeepsItsRuns(t *testing.T) {
	dir := t.TempDir()
	address := filepath.Join(dir, "url")
	url, stop := start(t, "--data", filepath.Join(dir, "data"), "--entity", "acme", "--address-file", address)
	if body, err := os.ReadFile(address); err != nil || strings.TrimSpace(string(body)) != url {
		t.Errorf("the address file has %q, %v; the URL is %s", body, err, url)
	}
	if status, body := call(t, http.DefaultClient, "POST", url+"/_runtag/runs", "", `{"project":"p","id":"r","tags":["a"]}`); status != 200 {
		t.Fatal(status, body)
	}
	if err := stop(); err != nil {
		t.Fatalf("stopping: %v", err)
	}
	url, stop = start(t, "--data", filepath.Join(dir, "data"))
	_, body := call(t, http.DefaultClient, "GET", url+"/_runtag/runs?entity=acme&project=p&id=r", "", "")
	if !strings.Contains(body, `"tags":["a"]`) {
		t.Errorf("after a restart: %s", body)
	}
	if err := stop(); err != nil {
		t.Fatalf("stopping: %v", err)
	}
}

func TestTrackerTakesKeysFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(file, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url, _ := start(t, "--api-key-file", file, "--api-key", "three", "--unauthorized-status", "401")
	for key, want := range map[string]int{"one": 200, "two": 200, "three": 200, "four": 401} {
		if got, body := call(t, http.DefaultClient, "POST", url+"/graphql", key, viewer); got != want {
			t.Errorf("key %s: %d %s", key, got, body)
		}
	}
}

func TestTrackerServesHTTPS(t *testing.T) {
	donor := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	certificate := donor.TLS.Certificates[0]
	donor.Close()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	writePEM(t, cert, "CERTIFICATE", certificate.Certificate[0])
	private, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, key, "PRIVATE KEY", private)
	url, _ := start(t, "--tls-cert", cert, "--tls-key", key)
	pool := x509.NewCertPool()
	pool.AddCert(donor.Certificate())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	if status, body := call(t, client, "POST", url+"/graphql", "k", viewer); status != 200 || !strings.HasPrefix(url, "https://") {
		t.Errorf("%s: %d %s", url, status, body)
	}
}

func TestTrackerRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"half of TLS":    {[]string{"--tls-cert", "x"}, "--tls-cert and --tls-key go together"},
		"no keys":        {[]string{"--api-key-file", empty}, "holds no key"},
		"no key file":    {[]string{"--api-key-file", filepath.Join(dir, "none")}, "reading --api-key-file"},
		"rate limit":     {[]string{"--rate-limit", "many"}, "write it as requests/time"},
		"no rate":        {[]string{"--rate-limit", "0/1m"}, "must be positive"},
		"drop":           {[]string{"--fail-drop", "sometimes"}, `use "before"`},
		"no faults file": {[]string{"--faults", filepath.Join(dir, "none")}, "--faults"},
		"address":        {[]string{"--listen", "127.0.0.1:http-not"}, "choose another address with --listen"},
		"argument":       {[]string{"up"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := newCommand()
			cmd.SetArgs(append([]string{"--listen", "127.0.0.1:0"}, tc.args...))
			cmd.SetOut(io.Discard)
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestFlagsMakeFaults(t *testing.T) {
	second := wandbtest.Duration{Duration: time.Second}
	file := filepath.Join(t.TempDir(), "faults.json")
	if err := os.WriteFile(file, []byte(`{"ignoreTags":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		reason string
		args   []string
		want   wandbtest.Faults
	}{
		"none":       {"a server without flags works", nil, wandbtest.Faults{Seed: 1}},
		"latency":    {"slows every request", []string{"--latency", "1s"}, wandbtest.Faults{Seed: 1, Faults: []wandbtest.Fault{{Latency: second}}}},
		"rate":       {"which fail, but not how: 503", []string{"--fail-rate", "0.5", "--fail-seed", "7"}, wandbtest.Faults{Seed: 7, Faults: []wandbtest.Fault{{Rate: 0.5, Status: 503}}}},
		"drop":       {"how, but not which: all", []string{"--fail-drop", "after"}, wandbtest.Faults{Seed: 1, Faults: []wandbtest.Fault{{Drop: "after"}}}},
		"429":        {"status and header", []string{"--fail-every", "3", "--fail-status", "429", "--fail-retry-after", "2"}, wandbtest.Faults{Seed: 1, Faults: []wandbtest.Fault{{Every: 3, Status: 429, Headers: map[string]string{"Retry-After": "2"}}}}},
		"both":       {"the slow ones and the failing ones are not the same", []string{"--latency", "1s", "--fail-operation", "Runs,upsertBucket"}, wandbtest.Faults{Seed: 1, Faults: []wandbtest.Fault{{Latency: second}, {Operations: []string{"Runs", "upsertBucket"}, Status: 503}}}},
		"rate limit": {"a budget", []string{"--rate-limit", "100/1s"}, wandbtest.Faults{Seed: 1, RateLimit: &wandbtest.RateLimit{Requests: 100, Per: second, RetryAfter: true}}},
		"lists":      {"limits of the server", []string{"--hidden-rows", "3", "--max-aliases", "10"}, wandbtest.Faults{Seed: 1, HiddenRows: 3, MaxAliases: 10}},
		"file":       {"a file has all that there is", []string{"--faults", file}, wandbtest.Faults{IgnoreTags: true}},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := start(t, tc.args...)
			_, body := call(t, http.DefaultClient, "GET", url+"/_runtag/faults", "", "")
			var got wandbtest.Faults
			if err := json.Unmarshal([]byte(body), &got); err != nil {
				t.Fatalf("%s: %v", body, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
