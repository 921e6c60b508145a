package mlflow_test

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	testingclock "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/backendtest"
	"github.com/runtag/runtag/internal/backend/mlflow"
	"github.com/runtag/runtag/internal/backend/mlflow/mlflowtest"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/tags"
)

func client(t *testing.T, config mlflow.Config) *mlflow.Client {
	t.Helper()
	if config.TrackingURI == "" {
		config.TrackingURI = server.URL
	}
	config.HTTP = sender(t, transport.Options{})
	c, err := mlflow.New(config)
	must(t, err)
	return c
}

func experiment(t *testing.T, name string) string {
	t.Helper()
	id, err := server.CreateExperiment(t.Context(), name)
	must(t, err)
	return id
}

func run(t *testing.T, r mlflowtest.Run) string {
	t.Helper()
	id, err := server.CreateRun(t.Context(), r)
	must(t, err)
	return id
}

// listed gives the ids of all runs that match, sorted.
func listed(t *testing.T, b backend.Backend, q backend.Query) []string {
	t.Helper()
	var got []string
	for cursor := ""; ; {
		page, err := b.List(t.Context(), q, cursor)
		must(t, err)
		for _, r := range page.Runs {
			got = append(got, r.ID)
		}
		if cursor = page.Next; cursor == "" {
			slices.Sort(got)
			return got
		}
	}
}

func wantRuns(t *testing.T, got, want []string, reason string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
		t.Errorf("runs (-want +got):\n%s%s", diff, reason)
	}
}

func TestSince(t *testing.T) {
	name := unique(t)
	e := experiment(t, name)
	at := time.UnixMilli(1_700_000_000_000)
	before, after := at.Add(-time.Hour), at.Add(time.Hour)
	cases := []struct {
		run    mlflowtest.Run
		want   bool
		reason string
	}{
		{mlflowtest.Run{Status: "RUNNING", Start: before}, true, "it is active"},
		{mlflowtest.Run{Status: "SCHEDULED", Start: before}, true, "so is one that waits"},
		{mlflowtest.Run{Status: "RUNNING", Start: after}, true, "active and new, and still only once"},
		{mlflowtest.Run{Status: "FINISHED", Start: before, End: before}, false, "it was over by then"},
		{mlflowtest.Run{Status: "FINISHED", Start: before, End: after}, true, "it ended since"},
		{mlflowtest.Run{Status: "FAILED", Start: after, End: after.Add(time.Minute)}, true, "it began and ended since, and comes once"},
		{mlflowtest.Run{Status: "KILLED", Start: after}, true, "it began since, and has no end"},
		{mlflowtest.Run{Status: "KILLED", Start: before}, false, "nothing says that it was active since"},
		{mlflowtest.Run{Status: "FINISHED", Start: before, End: at}, true, "the moment itself is taken in"},
		{mlflowtest.Run{Status: "FINISHED", Start: after, End: before}, true, "a clock that was set back does not hide it"},
	}
	var want []string
	reasons := map[string]string{}
	for _, c := range cases {
		c.run.Experiment = e
		id := run(t, c.run)
		reasons[id] = c.reason
		if c.want {
			want = append(want, id)
		}
	}
	for _, page := range []int{1, 3, 0} {
		c := client(t, mlflow.Config{Experiments: []string{name}, Page: page})
		wantRuns(t, listed(t, c, backend.Query{Since: at}), want, fmt.Sprintf("with pages of %d; %v", page, reasons))
	}
	proxy := backendtest.NewProxy(t, server.URL)
	c := client(t, mlflow.Config{TrackingURI: proxy.URL, Experiments: []string{name}})
	listed(t, c, backend.Query{Since: at})
	asked := len(proxy.Requests(nil))
	if listed(t, c, backend.Query{Since: at}); len(proxy.Requests(nil)) != asked+3 {
		t.Errorf("a look takes %d requests once the experiments are known, want 3", len(proxy.Requests(nil))-asked)
	}
}

func TestExperiments(t *testing.T) {
	name := unique(t)
	one, two, other := experiment(t, name+" it's-1"), experiment(t, name+" it's-2"), experiment(t, name+" its-3")
	inOne, inTwo, inOther := run(t, mlflowtest.Run{Experiment: one}), run(t, mlflowtest.Run{Experiment: two}), run(t, mlflowtest.Run{Experiment: other})
	clock := testingclock.NewFakePassiveClock(time.Now())
	prefix := client(t, mlflow.Config{Experiments: []string{name + " it's-*"}, Clock: clock})
	wantRuns(t, listed(t, prefix, backend.Query{All: true}), []string{inOne, inTwo}, "all experiments with the prefix, and no other")
	both := client(t, mlflow.Config{Experiments: []string{name + " it's-1", name + " it*", name + " its-3"}})
	wantRuns(t, listed(t, both, backend.Query{All: true}), []string{inOne, inTwo, inOther}, "an experiment that is named twice counts once")
	wantRuns(t, listed(t, prefix, backend.Query{IDs: []string{inOne, inOther}}), []string{inOne}, "a run of another experiment is not of the project")

	late := run(t, mlflowtest.Run{Experiment: experiment(t, name+" it's-4"), Name: "late"})
	wantRuns(t, listed(t, prefix, backend.Query{All: true}), []string{inOne, inTwo}, "the experiments are known for a while")
	clock.SetTime(clock.Now().Add(11 * time.Second))
	wantRuns(t, listed(t, prefix, backend.Query{IDs: []string{late}}), []string{late}, "a run that is not found may be in a new experiment")
	later := run(t, mlflowtest.Run{Experiment: experiment(t, name+" it's-5"), Name: "later"})
	clock.SetTime(clock.Now().Add(11 * time.Second))
	wantRuns(t, listed(t, prefix, backend.Query{Names: []string{"later", "late"}}), []string{late, later}, "so may a name")
	last := run(t, mlflowtest.Run{Experiment: experiment(t, name+" it's-6")})
	clock.SetTime(clock.Now().Add(3 * time.Minute))
	wantRuns(t, listed(t, prefix, backend.Query{All: true}), []string{inOne, inTwo, late, later, last}, "after a while they are looked up again")
}

func TestExperimentsGone(t *testing.T) {
	name := unique(t)
	id := experiment(t, name)
	gone := run(t, mlflowtest.Run{Experiment: id})
	clock := testingclock.NewFakePassiveClock(time.Now())
	c := client(t, mlflow.Config{Experiments: []string{name}, Clock: clock})
	wantRuns(t, listed(t, c, backend.Query{IDs: []string{gone}}), []string{gone}, "it is there")
	must(t, server.DeleteExperiment(t.Context(), id))
	clock.SetTime(clock.Now().Add(11 * time.Second))
	for _, q := range []backend.Query{{IDs: []string{gone}}, {Names: []string{"x"}}} {
		_, err := c.List(t.Context(), q, "")
		if !backend.IsKind(err, backend.AccessDenied) || !strings.Contains(err.Error(), name) {
			t.Errorf("runs of a deleted experiment are not found, they are out of reach; got %v", err)
		}
	}
	if _, err := client(t, mlflow.Config{Experiments: []string{"never-made"}}).Check(t.Context()); !backend.IsKind(err, backend.AccessDenied) {
		t.Errorf("an experiment that was never made: %v", err)
	}
	none := client(t, mlflow.Config{Experiments: []string{"no-such-*"}})
	if _, err := none.Check(t.Context()); err != nil {
		t.Errorf("a prefix may match nothing yet: %v", err)
	}
	wantRuns(t, listed(t, none, backend.Query{All: true}), nil, "nothing matches")
	wantRuns(t, listed(t, none, backend.Query{Names: []string{"x"}, IDs: nil}), nil, "nothing matches")
	if diff := cmp.Diff([]string{`No experiment matches "no-such-*" yet.`}, none.Notices()); diff != "" {
		t.Errorf("notices:\n%s", diff)
	}
}

// rewriting stands before the server and changes requests.
func rewriting(t *testing.T, change func(*httputil.ProxyRequest)) string {
	t.Helper()
	target, err := url.Parse(server.URL)
	must(t, err)
	root := &url.URL{Scheme: target.Scheme, Host: target.Host}
	direct := &http.Transport{}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: direct, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(root)
		change(r)
	}})
	t.Cleanup(func() { proxy.Close(); direct.CloseIdleConnections() })
	return proxy.URL + target.Path
}

func TestServerRefuses(t *testing.T) {
	name := unique(t)
	if os.Getenv("RUNTAG_TEST_MLFLOW_PYTHON") != "" {
		t.Skip("the host check came with 3.5, the refusal of workspaces with 3.10")
	}
	experiment(t, name)
	cases := []struct {
		reason  string
		config  mlflow.Config
		kind    backend.Kind
		message string
	}{
		{"a host name that the server does not know", mlflow.Config{TrackingURI: rewriting(t, func(r *httputil.ProxyRequest) {
			r.Out.Host = "mlflow.ns.svc:5000"
		})}, backend.AccessDenied, "--allowed-hosts="},
		{"a path that is not the server's", mlflow.Config{TrackingURI: server.URL + "/deeper"}, backend.Unsupported, "check the path of the tracking URI"},
		{"a workspace on a server without", mlflow.Config{Workspace: "team-a"}, backend.Unsupported, "--enable-workspaces"},
	}
	for _, c := range cases {
		c.config.Experiments = []string{name}
		_, err := client(t, c.config).Check(t.Context())
		if !backend.IsKind(err, c.kind) || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: %v, want kind %s and %q", c.reason, err, c.kind, c.message)
		}
	}
}

func TestForbiddenExperimentHarmsNoOther(t *testing.T) {
	name := unique(t)
	e := experiment(t, name)
	readOnly, ours := run(t, mlflowtest.Run{Experiment: e}), run(t, mlflowtest.Run{Experiment: e})
	proxy := backendtest.NewProxy(t, server.URL)
	proxy.Inject(backendtest.Rule{Fault: backendtest.Answer(http.StatusForbidden, "Permission denied"), Match: func(r backendtest.Request) bool {
		return strings.HasSuffix(r.Path, "/set-tag") && strings.Contains(string(r.Body), readOnly)
	}})
	set := func(backend.Run) (tags.Edit, error) { return tags.Edit{Set: tags.Set{"k": "v"}}, nil }
	c := client(t, mlflow.Config{TrackingURI: proxy.URL, Experiments: []string{name}})
	results, err := c.Change(t.Context(), []backend.Change{{Run: backend.Run{ID: readOnly}, Decide: set}, {Run: backend.Run{ID: ours}, Decide: set}})
	must(t, err)
	if !backend.IsKind(results[0].Err, backend.AccessDenied) || results[0].Sent || results[1].Err != nil {
		t.Errorf("results %+v, want the first alone to be denied", results)
	}
}

func TestLongValuesAreCutAsTheServerDoes(t *testing.T) {
	name := unique(t)
	id := run(t, mlflowtest.Run{Experiment: experiment(t, name)})
	long := strings.Repeat("é", 9000)
	must(t, server.SetTags(t.Context(), id, map[string]string{"theirs": long}))
	c := client(t, mlflow.Config{Experiments: []string{name}})
	results, err := c.Change(t.Context(), []backend.Change{{Run: backend.Run{ID: id}, Decide: func(backend.Run) (tags.Edit, error) {
		return tags.Edit{Set: tags.Set{"ours": long}}, nil
	}}})
	must(t, err)
	must(t, results[0].Err)
	page, err := c.List(t.Context(), backend.Query{IDs: []string{id}}, "")
	must(t, err)
	if diff := cmp.Diff(results[0].After.Tags, page.Runs[0].Tags); diff != "" {
		t.Errorf("what is said to be on the run is not what is (-said +is):\n%s", diff)
	}
	if got := page.Runs[0].Tags; got["ours"] != got["theirs"] || got["ours"] != long[:2*8000] {
		t.Errorf("values of %d and %d bytes, want both cut at 8,000 characters", len(got["ours"]), len(got["theirs"]))
	}
}

// TestDialectAgreesWithServer asks the server about keys that we would refuse, and about others.
func TestDialectAgreesWithServer(t *testing.T) {
	name := unique(t)
	id := run(t, mlflowtest.Run{Experiment: experiment(t, name)})
	dialect := mlflow.Dialect()
	check := func(key string) (ours, theirs error) {
		return dialect.CheckKey(key), server.SetTags(t.Context(), id, map[string]string{key: "v"})
	}
	for _, refused := range (&harness{}).Traits().Refused {
		if ours, theirs := check(refused.Key); ours == nil || (theirs == nil && !dialect.Hidden(refused.Key)) {
			t.Errorf("key %.40q: we say %v, the server says %v", refused.Key, ours, theirs)
		}
	}
	piece := rapid.SampledFrom([]string{"a", "é", "字", "1", "²", "_", "-", ".", "..", "/", ":", " ", "=", ",", "@", "'", "\u0301", "🚀", "~"})
	rapid.Check(t, func(t *rapid.T) {
		key := strings.Join(rapid.SliceOfN(piece, 1, 5).Draw(t, "pieces"), "")
		if ours, theirs := check(key); (ours == nil) != (theirs == nil) {
			t.Fatalf("key %q: we say %v, the server says %v", key, ours, theirs)
		}
	})
}

// TestRealClient has the real MLflow client write a run as a training script does, and read what we write.
func TestRealClient(t *testing.T) {
	name := unique(t)
	out, err := server.Python(t.Context(), `
import mlflow, sys
mlflow.set_experiment(sys.argv[1])
with mlflow.start_run(run_name="it's \"real\"", tags={"from": "start"}) as run:
    mlflow.log_metric("loss", 0.5)
    mlflow.log_param("lr", 1e-3)
    mlflow.set_tag("baseline", "true")
print("id", run.info.run_id, end="")
`, name)
	must(t, err)
	_, id, _ := strings.Cut(out, "id ") // The client itself prints where to view the run.
	c := client(t, mlflow.Config{Experiments: []string{name}})
	page, err := c.List(t.Context(), backend.Query{Names: []string{`it's "real"`}}, "")
	must(t, err)
	if len(page.Runs) != 1 || page.Runs[0].ID != id || page.ServerTime.IsZero() {
		t.Fatalf("the run of the script is not found: %+v", page)
	}
	got := page.Runs[0]
	if diff := cmp.Diff(tags.Set{"from": "start", "baseline": "true"}, got.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if got.State != backend.StateFinished || got.User == "" || got.FinishedAt.Before(got.CreatedAt) {
		t.Errorf("the run lacks something: %+v", got)
	}
	results, err := c.Change(t.Context(), []backend.Change{{Run: got, Decide: func(backend.Run) (tags.Edit, error) {
		return tags.Edit{Set: tags.Set{"spot": "true"}, Remove: []string{"baseline"}}, nil
	}}})
	must(t, err)
	must(t, results[0].Err)
	seen, err := server.Python(t.Context(), `
import mlflow, sys
tags = mlflow.MlflowClient().get_run(sys.argv[1]).data.tags
print(sorted((k, v) for k, v in tags.items() if not k.startswith("mlflow.")), end="")
`, id)
	must(t, err)
	if want := `[('from', 'start'), ('spot', 'true')]`; seen != want {
		t.Errorf("the real client reads %s, want %s", seen, want)
	}
}

// TestRunsTellTheirPodsAndParents has the real client make runs in the environment of a pod, without a word about it.
func TestRunsTellTheirPodsAndParents(t *testing.T) {
	name := unique(t)
	_, err := server.Python(t.Context(), `
import math, os, sys
os.environ["MLFLOW_RUN_CONTEXT"] = '{"runtag.dev/pod":"capsules-0","runtag.dev/pod-uid":"5f1c-2d"}'
import mlflow
mlflow.set_experiment(sys.argv[1])
with mlflow.start_run(run_name="outer"):
    for step in range(3):
        mlflow.log_metrics({"loss": 1.0 / (step + 1), "val/loss": float(step), "eval.acc": 0.5}, step=step)
    mlflow.log_metrics({"nan": math.nan, "up": math.inf, "down": -math.inf})
    with mlflow.start_run(run_name="inner", nested=True):
        mlflow.set_tag("baseline", "true")
`, name)
	must(t, err)
	c := client(t, mlflow.Config{Experiments: []string{name}})
	page, err := c.List(t.Context(), backend.Query{All: true, Summary: []string{"loss", "val/loss", "eval.acc", "nan", "up", "down", "none"}}, "")
	must(t, err)
	if len(page.Runs) != 2 || page.Runs[0].Name != "outer" {
		t.Fatalf("%+v, want the outer run and then the inner one", page.Runs)
	}
	outer, inner := page.Runs[0], page.Runs[1]
	got := []any{outer.PodName, outer.PodUID, outer.Parent, inner.PodName, inner.PodUID, inner.Parent, outer.Tags, inner.Tags, outer.Summary, inner.Summary}
	want := []any{"capsules-0", "5f1c-2d", "", "capsules-0", "5f1c-2d", outer.ID, tags.Set{}, tags.Set{"baseline": "true"},
		map[string]float64{"loss": 1.0 / 3, "val/loss": 2, "eval.acc": 0.5, "nan": math.NaN(), "up": math.Inf(1), "down": math.Inf(-1)}, map[string]float64{}}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("pods, parents, tags and metrics of the two (-want +got):\n%s", diff)
	}
}

func TestRestoredRunIsTheSame(t *testing.T) {
	name := unique(t)
	id := run(t, mlflowtest.Run{Experiment: experiment(t, name)})
	c := client(t, mlflow.Config{Experiments: []string{name}})
	uid := func() string {
		page, err := c.List(t.Context(), backend.Query{IDs: []string{id}}, "")
		must(t, err)
		return page.Runs[0].UID
	}
	before := uid()
	must(t, server.DeleteRun(t.Context(), id))
	wantRuns(t, listed(t, c, backend.Query{IDs: []string{id}}), nil, "it is deleted")
	must(t, server.RestoreRun(t.Context(), id))
	if after := uid(); after != before {
		t.Errorf("a run that was restored has UID %s, had %s: MLflow keeps what it was", after, before)
	}
}
