package security_test

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
)

func metav1Key(h *controllerstest.Harness) types.NamespacedName {
	return types.NamespacedName{Namespace: h.Namespace, Name: controllerstest.ProjectName}
}

// One tenant must not take the operator from the others: by objects without bounds, by a tracker of theirs that answers
// too much, or by something that makes it panic. That a flood of objects does not is in package hostile.
func testDenialOfService(t *testing.T, suite *controllerstest.Suite) {
	t.Run("all that people write has a bound", func(t *testing.T) {
		for path, s := range schemas(t) {
			switch {
			case strings.Contains(path, "Selector.match"): // Kubernetes' own; bounded by rules beside it
			case s.Type == "string" && s.MaxLength == nil && len(s.Enum) == 0 && s.Format != "date-time",
				s.Type == "array" && s.MaxItems == nil, s.AdditionalProperties != nil && s.MaxProperties == nil:
				t.Errorf("%s has no bound", path)
			}
		}
		h := start(t, suite, controllerstest.Options{})
		many := make([]string, 129)
		for i := range many {
			many[i] = fmt.Sprint(i)
		}
		for what, run := range map[string]*v1alpha1.TrainingRun{
			"129 tags": h.NewRun("a", many...), "a tag of 251": h.NewRun("a", strings.Repeat("x", 251)), "an id of 129": h.NewRun(strings.Repeat("x", 129)),
		} {
			if err := h.Admin.Create(t.Context(), run); err == nil {
				t.Errorf("%s is taken", what)
			}
		}
	})
	t.Run("an answer that grows when it is unpacked is not taken in", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		bomb := newEvil(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", "application/json")
			packed := gzip.NewWriter(w)
			blanks := []byte(strings.Repeat(" ", 1<<20))
			for range 200 {
				if _, err := packed.Write(blanks); err != nil {
					return // the operator has had enough
				}
			}
		})
		project := h.NewProject(at(bomb.URL))
		apply(h, project)
		h.ExpectWaiting(project, v1alpha1.ReasonTrackerUnavailable, "more than 64 MiB")
	})
	t.Run("answers of every wrong shape make it neither panic nor lose a tag", func(t *testing.T) {
		for _, answer := range []string{
			`null`, `[]`, `{}`, `0`, `""`, `{"data": null}`, `{"data": []}`, `{"data": {"viewer": 1, "project": []}}`,
			`{"data": {"viewer": {}, "project": {"runs": {"edges": null, "pageInfo": null}}}}`,
			`{"data": {"viewer": {}, "project": {"runs": {"edges": [null, {}, {"node": null}, {"node": {"name": null, "tags": [null, 1]}}]}}}}`,
			`{"errors": [null]}`, `{"errors": {}}`, `{"errors": [{"message": null, "path": [1e999]}]}`, strings.Repeat("[", 100_000), `{"data": ` + strings.Repeat(`{"a":`, 20_000),
		} {
			h := start(t, suite, controllerstest.Options{})
			wrong := newEvil(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprint(w, answer)
			})
			project, run := h.NewProject(at(wrong.URL)), h.NewRun("a", "baseline")
			mlflow := h.NewProject(func(p *v1alpha1.TrackingProject) {
				p.Name = "mlflow"
				p.Spec.Wandb, p.Spec.MLflow = nil, &v1alpha1.MLflowProject{TrackingURI: wrong.URL, Experiments: []string{"*"}}
			})
			apply(h, project, run, mlflow) // a panic ends the test
			h.Refresh(run)
			if len(run.Spec.Tags) != 1 || condition(h, project).Status == "" {
				t.Errorf("%.60s: spec %v, condition %v", answer, run.Spec, condition(h, project))
			}
		}
	})
}
