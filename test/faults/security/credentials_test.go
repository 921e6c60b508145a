package security_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/test/faults/facts"
)

// password has what JSON is written with escapes for, and what shells and URLs are.
const password = `p&<ss>"wört\12345`

// A credential is shown nowhere: in no log line, event, status, metric or error, whatever a tracker does with it. A
// Harness looks for the key that its projects have when it is closed; here are further forms of it.
func testCredentialsShown(t *testing.T, suite *controllerstest.Suite) {
	t.Run("a tracker that says what it got is not repeated", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		var answers []http.HandlerFunc
		for _, status := range facts.Pick([]int{200, 400, 401, 500}, []int{200, 302, 400, 401, 403, 404, 409, 500}) {
			for _, say := range []func(header, plain string) string{
				func(header, plain string) string {
					return encode(map[string]any{"errors": []any{map[string]any{"message": "rejected " + header + " that is " + plain}}})
				},
				func(header, plain string) string {
					return encode(map[string]any{"error_code": "INVALID_PARAMETER_VALUE", "message": "rejected " + header + " that is " + plain})
				},
				func(_, plain string) string {
					return encode(map[string]any{"error_code": "X", "message": strings.Repeat("x", 195) + plain})
				},
				func(header, plain string) string { return "<html>" + header + plain },
				func(header, plain string) string { return header + plain },
			} {
				answers = append(answers, func(w http.ResponseWriter, r *http.Request) {
					header := r.Header.Get("Authorization")
					_, encoded, _ := strings.Cut(header, " ")
					plain, _ := base64.StdEncoding.DecodeString(encoded)
					_, secret, _ := strings.Cut(string(plain), ":")
					w.Header().Set("Location", "http://user:"+url.PathEscape(secret)+"@"+r.Host+"/?key="+url.QueryEscape(secret))
					w.Header().Set("Retry-After", "0")
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(status)
					_, _ = fmt.Fprint(w, say(header, secret))
				})
			}
		}
		echo := newEvil(t, byPath(answers))
		h.ExpectApplied(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "login"}, StringData: map[string]string{"username": "me", "password": password},
		})
		applyBoth(h, echo.URL, len(answers), &v1alpha1.MLflowAuth{BasicSecretRef: &v1alpha1.SecretReference{Name: "login"}})
		if echo.requests() < len(answers) {
			t.Errorf("the tracker got %d requests, want one for each of %d answers", echo.requests(), len(answers))
		}
		for _, form := range append(forms(controllerstest.Canary, "api"), forms(password, "me")...) {
			expectNowhere(t, h, form)
		}
	})
	t.Run("an address with a password is no address", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		for _, address := range []string{
			"https://user:hunter22@tracker.example", "https://tracker.example/?token=hunter22", "https://tracker.example/#hunter22", "https://hunter22@tracker.example/a?b",
		} {
			err := h.Admin.Create(t.Context(), h.NewProject(at(address)))
			var status *apierrors.StatusError
			if !errors.As(err, &status) || !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "without user info, query and fragment") {
				t.Errorf("%s: %v, want that it is refused", address, err)
			}
		}
		expectNowhere(t, h, "hunter22")
	})
	t.Run("no secret comes out of what holds one when it is printed", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		apply(h, h.NewProject())
		tracker, _ := h.Registry.Find(metav1Key(h))
		// As a panic, or a careless log line, prints them.
		for _, v := range []any{tracker.Connection(), tracker.Backend(), tracker, *tracker.Connection()} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				for _, form := range forms(controllerstest.Canary, "api") {
					if text := fmt.Sprintf(verb, v); strings.Contains(text, form) {
						t.Errorf("%q of a %T shows the key", verb, v)
					}
				}
			}
		}
	})
}

func encode(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(out)
}

// forms are the ways in which a secret can be recognised, also by a part of it.
func forms(secret, user string) []string {
	escaped := strings.Trim(encode(secret), `"`)
	basic := base64.StdEncoding.EncodeToString([]byte(user + ":" + secret))
	return []string{secret, secret[:5], escaped[:8], url.QueryEscape(secret)[:8], basic, basic[8:16]}
}
