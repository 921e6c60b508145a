package wandbtest_test

import (
	"math"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/backend/wandb"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// summary reads metrics of a run with the client that is for use.
func summary(t *testing.T, server *wandbtest.Server, id string, keys ...string) map[string]float64 {
	t.Helper()
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)
	policy, err := transport.ParseAllow([]string{"127.0.0.1"})
	must(t, err)
	sender, err := transport.New(transport.Options{Policy: policy})
	must(t, err)
	t.Cleanup(sender.CloseIdle)
	client, err := wandb.New(wandb.Config{
		BaseURL: listening.URL, Entity: "acme", Project: "capsules", APIKey: backend.NewSecret("key"), HTTP: sender, Clock: clock.RealClock{},
	})
	must(t, err)
	page, err := client.List(t.Context(), backend.Query{IDs: []string{id}, Summary: keys}, "")
	must(t, err)
	if len(page.Runs) != 1 {
		t.Fatalf("%d runs, want %s alone", len(page.Runs), id)
	}
	if said := client.Notices(); len(said) > 0 {
		t.Errorf("the client complains: %q", said)
	}
	return page.Runs[0].Summary
}

func TestMetricsOfTheSDK(t *testing.T) {
	server := wandbtest.New()
	runScript(t, server, "metrics.py")
	got := summary(t, server, "metrics", "loss", "val/loss", "a.b", "eval.acc", "eval.top.5", "best", "best.min", "nan", "up", "down", "words", "flag",
		"many", "by hand", "nested.deep.er", "nan by hand", "_step", "eval", "none")
	want := map[string]float64{
		"loss": 1.0 / 3, "val/loss": 0.5, "a.b": 2, "eval.acc": 2, "eval.top.5": 9, "best.min": 1, "nan": math.NaN(), "up": math.Inf(1), "down": math.Inf(-1),
		"by hand": 7, "nested.deep.er": 8, "_step": 2,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateApprox(1e-9, 0)); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestMetricsByHand(t *testing.T) {
	server, c := serve(t)
	add(t, server, wandbtest.Run{ID: "r", Summary: fields{"loss": 1.0, "kept": 2.0}})
	must(t, server.SetMetrics("acme/capsules/r", map[string]float64{"loss": math.NaN(), "up": math.Inf(1), "down": math.Inf(-1), "acc": 0.5}))
	if err := server.SetMetrics("acme/capsules/none", nil); err == nil {
		t.Error("metrics of a run that is not there are taken")
	}
	want := map[string]float64{"loss": math.NaN(), "up": math.Inf(1), "down": math.Inf(-1), "acc": 0.5, "kept": 2}
	if diff := cmp.Diff(want, summary(t, server, "r", "loss", "up", "down", "acc", "kept"), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("after setting metrics (-want +got):\n%s", diff)
	}
	answer := c.ok(`{ project(name: "capsules", entityName: "acme") { run(name: "r") { all: summaryMetrics one: summaryMetrics(keys: ["acc", "none"]) } } }`, nil)
	if diff := cmp.Diff(any(fields{
		"all": `{"acc":0.5,"down":"-Infinity","kept":2,"loss":"NaN","up":"Infinity"}`, "one": `{"acc":0.5}`,
	}), at(answer, "project", "run")); diff != "" {
		t.Errorf("as the protocol has it (-want +got):\n%s", diff)
	}
}

// TestMetricsAsThePublicAPISendsThem: Python writes bare words for what JSON cannot write.
func TestMetricsAsThePublicAPISendsThem(t *testing.T) {
	server, c := serve(t)
	add(t, server, wandbtest.Run{ID: "r"})
	const upsert = `mutation($id: String!, $s: JSONString!) { upsertBucket(input: {id: $id, summaryMetrics: $s}) { bucket { id } } }`
	c.ok(upsert, fields{"id": wandbtest.StorageID("acme", "capsules", "r"), "s": `{"loss": NaN, "a": {"b": -Infinity}}`})
	want := map[string]float64{"loss": math.NaN(), "a.b": math.Inf(-1)}
	if diff := cmp.Diff(want, summary(t, server, "r", "loss", "a.b"), cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if status, _, _ := c.graphql(upsert, fields{"id": wandbtest.StorageID("acme", "capsules", "r"), "s": `{"loss": nan}`}); status != 400 {
		t.Errorf("what is no JSON even so is answered %d", status)
	}
}
