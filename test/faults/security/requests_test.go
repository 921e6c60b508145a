package security_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/test/faults/facts"
)

// internal stands for what a service that is no tracker has to say. It must not be read through the operator.
const internal = "internal-4f1e-not-for-tenants"

// Whoever writes a project chooses where the operator sends requests: not to what only the operator reaches, with nobody
// else's credential, and without showing what came back.
func testForgedRequests(t *testing.T, suite *controllerstest.Suite) {
	t.Run("no spelling of an address gets by", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{Allow: []string{}})
		service := newEvil(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, internal) })
		address, err := url.Parse(service.URL)
		if err != nil {
			t.Fatal(err)
		}
		for i, host := range []string{
			"127.0.0.1", "localhost", "127.1.2.3", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
			"[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "LOCALHOST.",
			"169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "metadata.google.internal", "10.0.0.1", "kubernetes.default.svc",
		} {
			project := h.NewProject(at("http://" + host + ":" + address.Port()))
			project.Name = fmt.Sprintf("p%d", i)
			if err := h.Admin.Create(t.Context(), project); err != nil {
				continue // the API server knows it for no address
			}
			apply(h, project)
			if ready := condition(h, project); ready.Status != metav1.ConditionFalse {
				t.Errorf("%s: %s for %s: %s", host, ready.Status, ready.Reason, ready.Message)
			}
		}
		if n := service.requests(); n > 0 {
			t.Errorf("the service that is not allowed got %d requests", n)
		}
	})
	t.Run("no flag allows where machines keep credentials", func(t *testing.T) {
		for _, value := range []string{"169.254.169.254", "169.254.0.0/16", "[::ffff:169.254.169.254]:80", "fe80::/10", "fd00:ec2::254"} {
			if _, err := transport.ParseAllow([]string{value}); err == nil {
				t.Errorf("--allow-tracker=%s is taken", value)
			}
		}
		h := start(t, suite, controllerstest.Options{Allow: []string{"0.0.0.0/0", "::/0", "metadata.google.internal"}})
		for i, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "metadata.google.internal"} {
			project := h.NewProject(at("http://" + host))
			project.Name = fmt.Sprintf("p%d", i)
			apply(h, project)
			h.ExpectStalled(project, v1alpha1.ReasonAddressRefused, "can never be allowed")
		}
	})
	t.Run("a redirect is not followed, and takes no credential along", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		target := newEvil(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"data": {}}`) })
		for i, status := range []int{301, 302, 303, 307, 308} {
			from := newEvil(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, target.URL+"/"+internal+"?key="+internal, status)
			})
			project := h.NewProject(at(from.URL))
			project.Name = fmt.Sprintf("p%d", i)
			apply(h, project)
			h.ExpectStalled(project, v1alpha1.ReasonAccessDenied, "redirect")
			if from.requests() == 0 {
				t.Errorf("%d: the redirecting server was not asked", status)
			}
		}
		if n := target.requests(); n > 0 {
			t.Errorf("the other server got %d requests", n)
		}
		expectNowhere(t, h, internal)
	})
	t.Run("what a service says is not shown", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		var answers []http.HandlerFunc
		for _, status := range facts.Pick([]int{200, 400, 403, 500}, []int{200, 400, 401, 403, 404, 409, 413, 418, 422, 500, 502, 503}) {
			for kind, body := range map[string]string{
				"text/plain": internal, "text/html": "<p>" + internal, "application/json": `{"password": "` + internal + `"}`, "application/yaml": "password: " + internal,
			} {
				answers = append(answers, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", kind)
					w.Header().Set("X-Internal", internal)
					w.WriteHeader(status)
					_, _ = fmt.Fprint(w, body)
				})
			}
		}
		service := newEvil(t, byPath(answers))
		applyBoth(h, service.URL, len(answers), nil)
		if service.requests() < 2*len(answers) {
			t.Errorf("the service got %d requests, want one of each kind of tracker for each of %d answers", service.requests(), len(answers))
		}
		expectNowhere(t, h, internal)
	})
}

// byPath answers below /0, /1 and so on as each of answers does.
func byPath(answers []http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(strings.Split(r.URL.Path, "/")[1])
		if err != nil {
			panic(err) // a mistake in the test
		}
		answers[n](w, r)
	}
}

// applyBoth applies projects of both kinds of trackers for each answer of byPath, one after the other; auth is the login of
// MLflow. No answer may be 429, which holds up all that share the address.
func applyBoth(h *controllerstest.Harness, url string, answers int, auth *v1alpha1.MLflowAuth) {
	for n := range answers {
		base := fmt.Sprintf("%s/%d", url, n)
		wandb := h.NewProject(at(base))
		mlflow := h.NewProject(func(p *v1alpha1.TrackingProject) {
			p.Spec.Wandb, p.Spec.MLflow = nil, &v1alpha1.MLflowProject{TrackingURI: base, Experiments: []string{"a"}, Auth: auth}
		})
		wandb.Name, mlflow.Name = fmt.Sprintf("wandb-%d", n), fmt.Sprintf("mlflow-%d", n)
		apply(h, wandb, mlflow)
	}
}

// condition is an object's Ready.
func condition(h *controllerstest.Harness, p *v1alpha1.TrackingProject) metav1.Condition {
	h.Refresh(p)
	for _, c := range p.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c
		}
	}
	return metav1.Condition{}
}

// expectNowhere looks for a text in all that people see of the operator.
func expectNowhere(t *testing.T, h *controllerstest.Harness, text string) {
	t.Helper()
	for place, shown := range h.Shown() {
		if at := strings.Index(shown, text); at >= 0 {
			t.Errorf("%q is in %s: …%s…", text, place, shown[max(0, at-200):min(len(shown), at+100)])
		}
	}
}
