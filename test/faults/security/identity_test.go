package security_test

import (
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
)

// Where a credential is missing or empty nothing is sent at all: a request without one would be made as somebody else,
// as whom a proxy or a tracker lets in without a name.
func testEmptyIdentity(t *testing.T, suite *controllerstest.Suite) {
	secrets := map[string]map[string]string{
		"nothing": nil, "an empty key": {"api-key": ""}, "a line break": {"api-key": "\n"}, "blanks": {"api-key": "  \t"}, "another key": {"token": "x"},
		"a second header": {"api-key": "x\r\nX-Admin: 1"}, "an empty name": {"username": "", "password": "x"}, "an empty password": {"username": "me", "password": ""},
	}
	for what, data := range secrets {
		t.Run("a Secret with "+what, func(t *testing.T) {
			h := start(t, suite, controllerstest.Options{})
			open := newEvil(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
			h.ExpectApplied(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "empty"}, StringData: data})
			key := v1alpha1.SecretKeyReference{Name: "empty", Key: "api-key"}
			mlflow := func(name string, auth v1alpha1.MLflowAuth) *v1alpha1.TrackingProject {
				return h.NewProject(func(p *v1alpha1.TrackingProject) {
					p.Name = name
					p.Spec.Wandb, p.Spec.MLflow = nil, &v1alpha1.MLflowProject{TrackingURI: open.URL, Experiments: []string{"a"}, Auth: &auth}
				})
			}
			projects := []*v1alpha1.TrackingProject{
				h.NewProject(at(open.URL), func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.APIKeySecretRef = key }),
				mlflow("basic", v1alpha1.MLflowAuth{BasicSecretRef: &v1alpha1.SecretReference{Name: "empty"}}),
				mlflow("token", v1alpha1.MLflowAuth{TokenSecretRef: &key}),
			}
			for _, project := range projects {
				apply(h, project)
				h.ExpectStalled(project, v1alpha1.ReasonSecretNotReady, "Secret "+h.Namespace+"/empty")
			}
			if n := open.requests(); n > 0 {
				t.Errorf("%d requests were made without a credential", n)
			}
		})
	}
	t.Run("a tracker that knows nobody by the key deletes nothing", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		h.AddRun("a", "foreign")
		project, run := h.NewProject(), h.NewRun("a", "ours")
		apply(h, project, run)
		h.ExpectTagsOn("a", "foreign", "ours")
		anonymous := h.NewSecret(h.Namespace)
		h.Refresh(anonymous)
		anonymous.Data["api-key"] = []byte("revoked")
		h.ExpectApplied(anonymous)
		h.Step(2 * time.Minute) // a Secret that was read is trusted for one
		h.ExpectEdited(run, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = nil })
		h.Step(15 * time.Minute)
		h.ExpectTagsOn("a", "foreign", "ours")
		h.ExpectStalled(project, v1alpha1.ReasonAccessDenied)
		h.ExpectCondition(run, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonAccessDenied)
		if h.Refresh(run); len(run.Status.AppliedTags) == 0 {
			t.Error("what is on the run is forgotten though it could not be taken off")
		}
	})
}
