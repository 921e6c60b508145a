package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/util/uuid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// putsAtOnce is how many objects go into etcd in parallel.
const putsAtOnce = 16

// etcdClient keeps as many connections.
var etcdClient = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: putsAtOnce}}

// plant makes TrainingRuns for the runs from first to beyond, and waits until the manager is done with them. The very first
// one the manager brings in sync; the others are copies of it that are put into etcd.
func (c *crowd) plant(ctx context.Context, project string, first, beyond int) error {
	if first == 0 && beyond > 0 {
		if err := c.Admin.Create(ctx, trainingRun(project, runID(0))); err != nil {
			return err
		}
		if _, err := c.settle(ctx, func(ctx context.Context) error { return c.synced(ctx, project) }); err != nil {
			return err
		}
		first = 1
	}
	template, err := c.etcdGet(ctx, etcdKey(project, runID(0)))
	if err != nil {
		return err
	}
	// One by one: to a watch, what one transaction puts is a single change, of which it may miss a part when it starts anew.
	if err := each(ctx, beyond-first, putsAtOnce, func(ctx context.Context, i int) error {
		object, err := copyOf(template, project, first+i)
		if err != nil {
			return err
		}
		return c.etcd(ctx, "put", map[string]any{"key": []byte(etcdKey(project, runID(first+i))), "value": object}, &struct{}{})
	}); err != nil {
		return err
	}
	etcdClient.CloseIdleConnections() // etcd waits for them when it ends
	_, err = c.settle(ctx, func(ctx context.Context) error { return c.known(ctx, project, beyond) })
	return err
}

// synced says whether the first TrainingRun of a project is.
func (c *crowd) synced(ctx context.Context, project string) error {
	run := trainingRun(project, runID(0))
	if err := c.Admin.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil {
		return err
	}
	if run.Status.Run == nil || run.Status.TagCount == 0 {
		return fmt.Errorf("TrainingRun %s is not in sync: %+v", run.Name, run.Status.Conditions)
	}
	return nil
}

// known says whether the project counts so many tracked runs.
func (c *crowd) known(ctx context.Context, project string, n int) error {
	metrics, err := c.manager.Metrics(ctx)
	if err != nil {
		return err
	}
	if passes := metrics.Sum("controller_runtime_reconcile_total", map[string]string{"controller": "trainingrun"}); passes < float64(n) {
		return fmt.Errorf("%g passes over TrainingRuns of project %s; there are to be %d", passes, project, n)
	}
	return nil
}

// copyOf makes the object of another run out of that of the first one.
func copyOf(template []byte, project string, i int) ([]byte, error) {
	text := strings.ReplaceAll(string(template), runID(0), runID(i))
	text = strings.ReplaceAll(text, wandbtest.StorageID(entity, project, runID(0)), wandbtest.StorageID(entity, project, runID(i)))
	var run v1alpha1.TrainingRun
	if err := json.Unmarshal([]byte(text), &run); err != nil {
		return nil, fmt.Errorf("read a TrainingRun as etcd has it: %w", err)
	}
	run.UID = uuid.NewUUID()
	run.Status.ObservedDeclarations = trainingrun.DeclarationsHash(&run)
	return json.Marshal(run)
}

func etcdKey(namespace, name string) string {
	return "/registry/" + v1alpha1.GroupVersion.Group + "/trainingruns/" + namespace + "/" + name
}

// etcdGet reads one key.
func (c *crowd) etcdGet(ctx context.Context, key string) ([]byte, error) {
	var answer struct {
		KVs []struct{ Value []byte }
	}
	if err := c.etcd(ctx, "range", map[string]any{"key": []byte(key)}, &answer); err != nil {
		return nil, err
	}
	if len(answer.KVs) != 1 {
		return nil, fmt.Errorf("etcd has %d of %s", len(answer.KVs), key)
	}
	return answer.KVs[0].Value, nil
}

// etcd calls its JSON gateway.
func (c *crowd) etcd(ctx context.Context, call string, ask, answer any) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Plane.EtcdURL()+"/v3/kv/"+call, bytes.NewReader(body))
	if err != nil {
		return err
	}
	got, err := etcdClient.Do(request)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer func() { _ = got.Body.Close() }() // reading has said what there is to say
	content, err := io.ReadAll(got.Body)
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	if got.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd answers %s: %.300s", got.Status, content)
	}
	return json.Unmarshal(content, answer)
}
