package main

import (
	"context"
	_ "embed" // for train.py
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
)

//go:embed wandb_train.py
var wandbTraining []byte

// wandb is the embedded tracker, which the real SDK works against.
type wandb struct{ base string }

const (
	wandbEntity  = "acme"
	wandbProject = "capsules"
	// wandbKey opens nothing: the embedded tracker takes any.
	wandbKey = "demo000000000000000000000000000000000000"
)

func (w *wandb) name() string     { return "W&B" }
func (w *wandb) page() string     { return w.base + "/" }
func (w *wandb) training() []byte { return wandbTraining }

func (w *wandb) start(ctx context.Context, s *stage) error {
	address := s.dir + "/tracker.url"
	if err := s.serve("tracker", "--listen=127.0.0.1:0", "--entity="+wandbEntity, "--address-file="+address); err != nil {
		return err
	}
	return s.await(ctx, "the tracker's address", func() error {
		said, err := os.ReadFile(address)
		w.base = strings.TrimSpace(string(said))
		return err
	})
}

// stop has nothing to do: the stage stops what it spawned.
func (w *wandb) stop() error { return nil }

func (w *wandb) env() []string {
	return []string{"WANDB_BASE_URL=" + w.base, "WANDB_API_KEY=" + wandbKey, "WANDB_SILENT=true"}
}

func (w *wandb) project() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata:
  name: wandb
stringData:
  api-key: %s
---
apiVersion: tracking.runtag.dev/v1alpha1
kind: TrackingProject
metadata:
  name: capsules
spec:
  wandb:
    baseURL: %s
    entity: %s
    project: %s
    apiKeySecretRef: {name: wandb, key: api-key}
  maxTagPolicy: Merge
  interval: 1s   # 30s is the default; here nobody likes to wait
`, wandbKey, w.base, wandbEntity, wandbProject)
}

func (w *wandb) imported(run string) string { return "capsules-" + run }

func (w *wandb) runField(run string) string { return "runID: " + run }

func (w *wandb) tags(ctx context.Context, run string) ([]string, error) {
	query := url.Values{"entity": {wandbEntity}, "project": {wandbProject}, "id": {run}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/_runtag/runs?"+query.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", run, err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", run, err)
	}
	defer func() { _ = answer.Body.Close() }() // reading says what there is to say
	if answer.StatusCode == http.StatusNotFound {
		return nil, errNoRun
	}
	var found struct {
		Tags []string `json:"tags"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&found); err != nil {
		return nil, fmt.Errorf("read run %s: %s: %w", run, answer.Status, err)
	}
	slices.Sort(found.Tags)
	return found.Tags, nil
}

func (w *wandb) python(run, change string) string {
	return fmt.Sprintf(`python -c 'import wandb; run = wandb.Api().run("%s/%s/%s"); %s; run.update()'`, wandbEntity, wandbProject, run, change)
}

func (w *wandb) personAdds(run string, tags ...string) string {
	return w.python(run, fmt.Sprintf(`run.tags += ["%s"]`, strings.Join(tags, `", "`)))
}

func (w *wandb) personRemoves(run, tag string) string {
	return w.python(run, fmt.Sprintf(`run.tags.remove("%s")`, tag))
}

func (w *wandb) cast() cast {
	return cast{
		first: "3f9a1c", late: "77b2c0", imported: "c41d9e", spot: "5e0d42",
		own:        []string{"first-try"},
		declared:   []string{"in_production", "baseline"},
		wiped:      []string{"in_production", "paper"},
		linked:     "the host that the SDK names is the pod",
		undeclared: "What is no longer declared is taken off; what was never declared here (first-try) stays.",
		scriptTags: "The training script tags its own run once the loss is low. Some seconds later the SDK sends the whole list that " +
			"it\nknows, which wipes everything else: what is declared is put back within a look.",
	}
}

func (w *wandb) tries() []string {
	return []string{
		"kubectl get trun,tproj -o wide",
		"kubectl label --overwrite trun " + object(w.cast().late) + " tag.runtag.dev/mine=",
		"kubectl label trun -l tag.runtag.dev/reviewed tag.runtag.dev/reviewed-",
		patch("trun", object(w.cast().late), `"tags":["mine"]`),
		w.personAdds(w.cast().late, "by-hand"),
		"kubectl get ctrule",
		"kubectl explain trainingrun.spec",
		"curl -s " + w.base + "/_runtag/requests",
	}
}
