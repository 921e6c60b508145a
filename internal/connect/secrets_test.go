package connect_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/connect"
)

func TestCredentialsReachTheTracker(t *testing.T) {
	basic := &v1alpha1.MLflowAuth{BasicSecretRef: &v1alpha1.SecretReference{Name: "mlflow"}}
	token := &v1alpha1.MLflowAuth{TokenSecretRef: &v1alpha1.SecretKeyReference{Name: "mlflow", Key: "token"}}
	for _, c := range []struct {
		reason  string
		project func(url string) *v1alpha1.TrackingProject
		want    string
		secrets string
	}{
		{"W&B takes a key as the password of api", wandbProject, "Basic api:" + canary + "-1", "wandb=uid-of-wandb/1"},
		{"MLflow takes a name and a password, without the line's end",
			func(url string) *v1alpha1.TrackingProject { return mlflowProject(url, basic) },
			"Basic ann:" + canary + " pw ", "mlflow=uid-of-mlflow/2"},
		{"MLflow takes a bearer token", func(url string) *v1alpha1.TrackingProject { return mlflowProject(url, token) },
			"Bearer " + canary + "-token", "mlflow=uid-of-mlflow/2"},
		{"without auth nothing is sent", func(url string) *v1alpha1.TrackingProject { return mlflowProject(url, nil) }, "", ""},
		{"an empty auth is none", func(url string) *v1alpha1.TrackingProject { return mlflowProject(url, &v1alpha1.MLflowAuth{}) }, "", ""},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w, server := newWorld(t), newTracker(t, (*httptest.Server).Start)
			w.secrets.put("mlflow", map[string]string{"username": "ann\n", "password": canary + " pw \r\n", "token": canary + "-token\n"})
			conn := w.open(c.project(server.URL))
			check(t, conn)
			got := server.credentials()
			if len(got) == 0 || got[0] != c.want {
				t.Errorf("the tracker got %q, want %q", got, c.want)
			}
			if diff := cmp.Diff(c.secrets, conn.Secrets); diff != "" {
				t.Errorf("Connection.Secrets (-want +got):\n%s", diff)
			}
			if want := strings.TrimPrefix(server.URL, "http://"); conn.Host != want || conn.URL != server.URL {
				t.Errorf("Host %q and URL %q, want those of %s", conn.Host, conn.URL, server.URL)
			}
		})
	}
}

func TestCertificateAuthorityOfTheSecret(t *testing.T) {
	w, server := newWorld(t), newTracker(t, (*httptest.Server).StartTLS)
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	w.secrets.put("ca", map[string]string{"ca.crt": string(bundle)})
	p := wandbProject(server.URL)
	check(t, w.open(p))
	if got := server.credentials(); len(got) != 0 {
		t.Fatalf("the key went to a server that nobody vouches for: %d requests", len(got))
	}
	p.Spec.Wandb.CASecretRef = &v1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}
	conn := w.open(p)
	check(t, conn)
	if got := server.credentials(); len(got) != 1 {
		t.Errorf("%d requests with the CA, want 1", len(got))
	}
	if want := "ca=uid-of-ca/2,wandb=uid-of-wandb/1"; conn.Secrets != want {
		t.Errorf("Connection.Secrets is %q, want %q", conn.Secrets, want)
	}
}

func TestOneSecretForAllIsReadOnce(t *testing.T) {
	w := newWorld(t)
	w.secrets.put("mlflow", map[string]string{"username": "ann", "password": canary})
	w.open(mlflowProject("https://mlflow.example", &v1alpha1.MLflowAuth{BasicSecretRef: &v1alpha1.SecretReference{Name: "mlflow"}}))
	if got := w.secrets.count(); got != 1 {
		t.Errorf("%d reads, want one for both keys", got)
	}
}

func TestSecretsThatCannotBeUsed(t *testing.T) {
	secrets := schema.GroupResource{Resource: "secrets"}
	basic := mlflowProject("https://mlflow.example", &v1alpha1.MLflowAuth{BasicSecretRef: &v1alpha1.SecretReference{Name: "mlflow"}})
	token := mlflowProject("https://mlflow.example", &v1alpha1.MLflowAuth{TokenSecretRef: &v1alpha1.SecretKeyReference{Name: "mlflow", Key: "token"}})
	withCA := wandbProject("https://wandb.example")
	withCA.Spec.Wandb.CASecretRef = &v1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}
	mlflowCA := mlflowProject("https://mlflow.example", nil)
	mlflowCA.Spec.MLflow.CASecretRef = &v1alpha1.SecretKeyReference{Name: "ca", Key: "ca.crt"}
	wandb := wandbProject("https://wandb.example")
	for _, c := range []struct {
		reason  string
		project *v1alpha1.TrackingProject
		prepare func(*store)
		secret  string
		want    string
	}{
		{"a missing Secret is to be made", wandb, func(s *store) { s.remove("wandb") }, "wandb",
			"Secret team/wandb does not exist: kubectl -n team create secret generic wandb --from-literal=api-key=…"},
		{"a missing one for two keys is made with both", basic, nil, "mlflow",
			"kubectl -n team create secret generic mlflow --from-literal=username=… --from-literal=password=…"},
		{"a missing bundle is made from a file", withCA, nil, "ca",
			"kubectl -n team create secret generic ca --from-file=ca.crt=ca.pem"},
		{"a missing key is to be added", wandb, func(s *store) { s.put("wandb", map[string]string{"key": canary}) }, "wandb",
			`has no key "api-key": kubectl -n team patch secret wandb -p '{"stringData":{"api-key":"…"}}'`},
		{"a missing password as well", basic, func(s *store) { s.put("mlflow", map[string]string{"username": canary}) }, "mlflow",
			`has no key "password"`},
		{"a missing token as well", token, func(s *store) { s.put("mlflow", map[string]string{"username": canary}) }, "mlflow",
			`has no key "token"`},
		{"an empty value is no key", wandb, func(s *store) { s.put("wandb", map[string]string{"api-key": ""}) }, "wandb",
			`has an empty key "api-key": kubectl -n team patch secret wandb`},
		{"a lone line end is empty", wandb, func(s *store) { s.put("wandb", map[string]string{"api-key": " \n"}) }, "wandb",
			`has an empty key "api-key"`},
		{"two lines are no key, and no header", wandb, func(s *store) { s.put("wandb", map[string]string{"api-key": canary + "\n" + canary}) }, "wandb",
			`a line break or another control character in its key "api-key"`},
		{"a bundle must be PEM", withCA, func(s *store) { s.put("ca", map[string]string{"ca.crt": canary}) }, "ca",
			`has no certificate in PEM in its key "ca.crt"`},
		{"a bundle must be there, on MLflow too", mlflowCA, func(s *store) { s.put("ca", map[string]string{"other": canary}) }, "ca",
			`has no key "ca.crt"`},
		{"a Secret for another host stays here", wandb,
			func(s *store) { s.put("wandb", map[string]string{"api-key": canary, "host": canary + ".example"}) }, "wandb",
			`is bound to another host by its key "host": correct the project's URL or, if the Secret is meant for wandb.example, kubectl -n team patch secret wandb`},
		{"a login to the cluster is sent to nobody", wandb, func(s *store) { s.secrets["wandb"].Type = corev1.SecretTypeServiceAccountToken }, "wandb",
			"is a ServiceAccount's token, which is sent to no tracker"},
		{"what the operator may not read, somebody must allow", wandb,
			func(s *store) { s.fail = apierrors.NewForbidden(secrets, "wandb", errors.New("no")) }, "wandb",
			"may not be read by runtag: allow its ServiceAccount to get secrets in namespace team"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w := newWorld(t)
			if c.prepare != nil {
				c.prepare(w.secrets)
			}
			_, err := w.Open(t.Context(), c.project)
			var failure *connect.SecretError
			if !errors.As(err, &failure) || failure.Secret != c.secret || failure.Namespace != "team" {
				t.Fatalf("Open: %v, want a SecretError of %s", err, c.secret)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open: %v\nwant %s", err, c.want)
			}
			hidden(t, fmt.Sprintf("%v %+v %#v", err, err, err))
		})
	}
}

func TestMendedSecretIsSeenWithinSeconds(t *testing.T) {
	w := newWorld(t)
	w.secrets.remove("wandb")
	p := wandbProject("https://wandb.example")
	for range 3 {
		if _, err := w.Open(t.Context(), p); !apierrors.IsNotFound(errors.Unwrap(err)) {
			t.Fatalf("Open: %v, want that the Secret does not exist", err)
		}
	}
	if got := w.secrets.count(); got != 1 {
		t.Errorf("%d reads of a missing Secret at one moment, want 1", got)
	}
	w.secrets.put("wandb", map[string]string{"api-key": canary})
	w.clock.Step(3 * time.Second)
	w.open(p)
}

func TestMendedSpecIsSeenAtOnce(t *testing.T) {
	w := newWorld(t)
	p := wandbProject("https://wandb.example")
	p.Spec.Wandb.APIKeySecretRef.Name = "wanbd"
	if _, err := w.Open(t.Context(), p); err == nil {
		t.Fatal("Open succeeded without a Secret")
	}
	p.Spec.Wandb.APIKeySecretRef.Name = "wandb"
	w.open(p)
}

func TestHostOfASecret(t *testing.T) {
	for _, c := range []struct {
		reason, host, url string
		taken             bool
	}{
		{"the host itself", "wandb.example", "https://wandb.example", true},
		{"case does not matter", "WandB.Example", "https://wandb.EXAMPLE/api", true},
		{"a line end does not matter", "wandb.example\n", "https://wandb.example", true},
		{"a final dot does not matter", "wandb.example.", "https://wandb.example", true},
		{"a host alone allows every port", "wandb.example", "https://wandb.example:8443", true},
		{"the port that the URL names", "wandb.example:8443", "https://wandb.example:8443", true},
		{"the port that https means", "wandb.example:443", "https://wandb.example", true},
		{"the port that http means", "wandb.example:80", "http://wandb.example", true},
		{"an IPv6 address", "::1", "http://[::1]:5000", true},
		{"an IPv6 address in brackets", "[::1]", "http://[::1]:5000", true},
		{"an IPv6 address with its port", "[::1]:5000", "http://[::1]:5000", true},
		{"another port", "wandb.example:8443", "https://wandb.example", false},
		{"the port of https is not that of http", "wandb.example:443", "http://wandb.example", false},
		{"another host", "wandb.example", "https://wandb.example.evil.example", false},
		{"a subdomain is another host", "example", "https://wandb.example", false},
		{"the end of a name is not the name", "wandb.example", "https://evilwandb.example", false},
		{"the path is not the host", "wandb.example", "https://evil.example/wandb.example", false},
		{"a URL is no host", "https://wandb.example", "https://wandb.example", false},
		{"a pattern is no host", "*.example", "https://wandb.example", false},
		{"an empty host allows none", "", "https://wandb.example", false},
	} {
		t.Run(c.reason, func(t *testing.T) {
			w := newWorld(t)
			w.secrets.put("wandb", map[string]string{"api-key": canary, "host": c.host})
			_, err := w.Open(t.Context(), wandbProject(c.url))
			var failure *connect.SecretError
			if c.taken && err != nil {
				t.Errorf("Open: %v, want the Secret to be taken", err)
			}
			if !c.taken && !errors.As(err, &failure) {
				t.Errorf("Open: %v, want a SecretError", err)
			}
		})
	}
}
