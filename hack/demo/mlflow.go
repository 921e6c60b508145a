package main

import (
	"context"
	_ "embed" // for train.py
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/runtag/runtag/internal/backend/mlflow/mlflowtest"
)

//go:embed mlflow_train.py
var mlflowTraining []byte

// mlflow is a real MLflow server.
type mlflow struct {
	server *mlflowtest.Server
	ids    map[string]string // of runs, by name
}

const mlflowExperiment = "capsules"

func (m *mlflow) name() string     { return "MLflow" }
func (m *mlflow) page() string     { return m.server.URL + "/" }
func (m *mlflow) training() []byte { return mlflowTraining }

func (m *mlflow) start(ctx context.Context, s *stage) error {
	dir := s.dir + "/mlflow"
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make a folder for MLflow: %w", err)
	}
	s.n.note("\n  An MLflow server takes about ten seconds to start.")
	var err error
	m.ids = map[string]string{}
	m.server, err = mlflowtest.Start(ctx, mlflowtest.Options{Dir: dir})
	return err
}

func (m *mlflow) stop() error {
	if m.server == nil {
		return nil
	}
	return m.server.Stop()
}

func (m *mlflow) env() []string {
	if m.server == nil {
		return nil
	}
	return []string{"MLFLOW_TRACKING_URI=" + m.server.URL}
}

func (m *mlflow) project() string {
	return fmt.Sprintf(`apiVersion: tracking.runtag.dev/v1alpha1
kind: TrackingProject
metadata:
  name: capsules
spec:
  mlflow:
    trackingURI: %s
    experiments: [%s]
  maxTagPolicy: Merge
  interval: 1s   # 30s is the default; here nobody likes to wait
`, m.server.URL, mlflowExperiment)
}

func (m *mlflow) imported(run string) string { return "capsules-" + m.ids[run] }

// runField goes by name, as MLflow chooses the ids itself.
func (m *mlflow) runField(run string) string { return "runName: " + run }

func (m *mlflow) tags(ctx context.Context, run string) ([]string, error) {
	id, err := m.id(ctx, run)
	if err != nil {
		return nil, err
	}
	found, err := m.server.Tags(ctx, id)
	if err != nil {
		return nil, err
	}
	tags := []string{}
	for key, value := range found {
		switch {
		case strings.HasPrefix(key, "mlflow."), strings.HasPrefix(key, "runtag.dev/"): // MLflow's own, and those that say which pod it is
		case value == "" || strings.EqualFold(value, "true"):
			tags = append(tags, key)
		default:
			tags = append(tags, key+"="+value)
		}
	}
	slices.Sort(tags)
	return tags, nil
}

// id finds the run with a name.
func (m *mlflow) id(ctx context.Context, run string) (string, error) {
	if id, ok := m.ids[run]; ok {
		return id, nil
	}
	var all struct {
		Experiments []struct {
			ID string `json:"experiment_id"`
		} `json:"experiments"`
	}
	query := url.Values{"max_results": {"10"}, "filter": {"name = '" + mlflowExperiment + "'"}}
	if err := m.server.Call(ctx, http.MethodGet, "experiments/search?"+query.Encode(), nil, &all); err != nil {
		return "", err
	}
	if len(all.Experiments) == 0 {
		return "", errNoRun
	}
	var found struct {
		Runs []struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"runs"`
	}
	search := map[string]any{"experiment_ids": []string{all.Experiments[0].ID}, "filter": "attributes.run_name = '" + run + "'"}
	if err := m.server.Call(ctx, http.MethodPost, "runs/search", search, &found); err != nil {
		return "", err
	}
	if len(found.Runs) == 0 {
		return "", errNoRun
	}
	m.ids[run] = found.Runs[0].Info.ID
	return m.ids[run], nil
}

func (m *mlflow) python(change string) string {
	return fmt.Sprintf(`python -c 'import mlflow; client = mlflow.MlflowClient(); %s'`, change)
}

func (m *mlflow) personAdds(run string, tags ...string) string {
	var changes []string
	for _, tag := range tags {
		changes = append(changes, fmt.Sprintf(`client.set_tag("%s", "%s", "true")`, m.ids[run], tag))
	}
	return m.python(strings.Join(changes, "; "))
}

func (m *mlflow) personRemoves(run, tag string) string {
	return m.python(fmt.Sprintf(`client.delete_tag("%s", "%s")`, m.ids[run], tag))
}

func (m *mlflow) cast() cast {
	return cast{
		first: "nightly-1", late: "nightly-2", imported: "nightly-3", spot: "nightly-4",
		own:      []string{"first-try", "team=nlp"},
		declared: []string{"in_production", "team=vision"},
		hidden:   "team=nlp",
		installs: []string{"inject"},
		labels:   []string{"tracking.runtag.dev/project: capsules"},
		linked:   "config/inject let its client know the pod",
		undeclared: "What is no longer declared is taken off, and the value that it replaced (team=nlp) comes back; what was never " +
			"declared\nhere (first-try) stays.",
		scriptTags: "The training script tags its own run once the loss is low. Both live together.",
	}
}

func (m *mlflow) tries() []string {
	return []string{
		"kubectl get trun,tproj -o wide",
		"kubectl label --overwrite trun " + object(m.cast().late) + " tag.runtag.dev/mine= pair.runtag.dev/team=vision",
		"kubectl label trun -l tag.runtag.dev/reviewed tag.runtag.dev/reviewed-",
		patch("trun", object(m.cast().late), `"tags":["mine"]`),
		m.personAdds(m.cast().late, "by-hand"),
		"kubectl get ctrule",
		"kubectl explain trainingrun.spec",
	}
}
