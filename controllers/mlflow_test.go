package controllers_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
)

// mlflowServer is as much of an MLflow server as one run takes whose tags are looked at and changed. The real one is in
// the end-to-end tests.
type mlflowServer struct {
	*httptest.Server
	mu   sync.Mutex
	id   string
	tags map[string]string
	// runningSince says that the run goes on, and since when; zero for one that has ended.
	runningSince time.Time
	// written counts the requests that changed tags.
	written int
}

func newMLflow(id string, tags map[string]string) *mlflowServer {
	s := &mlflowServer{id: id, tags: tags}
	mux := http.NewServeMux()
	const api = "/api/2.0/mlflow/"
	mux.HandleFunc("GET "+api+"experiments/get-by-name", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"experiment": map[string]any{"experiment_id": "1", "name": r.FormValue("experiment_name"), "lifecycle_stage": "active"}})
	})
	mux.HandleFunc("POST "+api+"runs/search", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"runs": []any{s.run()}})
	})
	mux.HandleFunc("POST "+api+"runs/log-batch", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Tags []struct{ Key, Value string } `json:"tags"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, tag := range in.Tags {
			s.set(tag.Key, tag.Value)
		}
		s.wrote()
		answer(w, map[string]any{})
	})
	mux.HandleFunc("POST "+api+"runs/set-tag", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Key, Value string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.set(in.Key, in.Value)
		s.wrote()
		answer(w, map[string]any{})
	})
	mux.HandleFunc("POST "+api+"runs/delete-tag", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Key string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		delete(s.tags, in.Key)
		s.mu.Unlock()
		s.wrote()
		answer(w, map[string]any{})
	})
	s.Server = httptest.NewServer(mux)
	return s
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Date", h.Clock.Now().UTC().Format(http.TimeFormat)) // whose clock is ours
	_ = json.NewEncoder(w).Encode(body)                                 // a client that went away is told nothing
}

func (s *mlflowServer) run() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []any{map[string]string{"key": "mlflow.user", "value": "mel"}}
	for key, value := range s.tags {
		list = append(list, map[string]string{"key": key, "value": value})
	}
	info := map[string]any{"run_id": s.id, "run_name": "n", "experiment_id": "1", "status": "FINISHED", "start_time": 1000, "end_time": 2000, "lifecycle_stage": "active"}
	if !s.runningSince.IsZero() {
		info["status"], info["start_time"], info["end_time"] = "RUNNING", s.runningSince.UnixMilli(), nil
	}
	return map[string]any{"info": info, "data": map[string]any{"tags": list}}
}

func (s *mlflowServer) set(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tags[key] = value
}

func (s *mlflowServer) wrote() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written++
}

func (s *mlflowServer) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written
}

func (s *mlflowServer) now() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.tags)
}

var _ = Describe("A tracker with keys and values", func() {
	var server *mlflowServer
	var run *v1alpha1.TrainingRun

	prepare := func(ctx SpecContext, onRun map[string]string, declared ...string) {
		start(ctx, controllerstest.Options{})
		id := fmt.Sprintf("%032x", h.Namespace)[:32] // as the server's, the same nowhere else: run and start name the incarnation
		server = newMLflow(id, onRun)
		DeferCleanup(server.Close)
		project := h.NewProject(func(p *v1alpha1.TrackingProject) {
			p.Spec.Wandb = nil
			p.Spec.MLflow = &v1alpha1.MLflowProject{TrackingURI: server.URL, Experiments: []string{"forecast"}}
		})
		run = h.NewRun(id, declared...)
		h.ExpectApplied(project)
	}
	looked := func() {
		GinkgoHelper()
		h.Step(fullPeriod)
	}

	It("has a value replaced by what is declared, and given back when that is undeclared", func(ctx SpecContext) {
		prepare(ctx, map[string]string{"team": "nlp", "other": "x"}, "team=vision", "baseline")
		apply(run)
		Expect(server.now()).To(Equal(map[string]string{"team": "vision", "other": "x", "baseline": "true"}))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(run.Status.AppliedTags).To(ContainElement(And(HaveField("Name", "team=vision"), HaveField("Replaced", HaveValue(Equal("nlp"))))))
		Expect(run.Status.TagNames).To(Equal("baseline,other=x,team=vision"))
		h.ExpectNoWrites(func() { h.Reconcile() })

		edit(run, declare("baseline"))
		Expect(server.now()).To(Equal(map[string]string{"team": "nlp", "other": "x", "baseline": "true"}))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("is content with any value of a bare tag but false", func(ctx SpecContext) {
		prepare(ctx, map[string]string{"baseline": "yes", "wrong": "false"}, "baseline", "wrong")
		apply(run)
		Expect(server.now()).To(Equal(map[string]string{"baseline": "yes", "wrong": "true"}))
	})

	It("keeps another value where the policy may not replace it, and says so", func(ctx SpecContext) {
		prepare(ctx, map[string]string{"team": "nlp"}, "team=vision", "baseline")
		run.Spec.TagPolicy = v1alpha1.TagPolicyAdd
		apply(run)
		h.ExpectStalled(run, v1alpha1.ReasonValueConflict, `"team=vision" is not written`, `"team=nlp"`, "raise the policy to Merge")
		Expect(server.now()).To(Equal(map[string]string{"team": "nlp", "baseline": "true"}))
		edit(run, func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = v1alpha1.TagPolicyMerge })
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(server.now()).To(HaveKeyWithValue("team", "vision"))
	})

	It("takes neither value where one source declares two", func(ctx SpecContext) {
		prepare(ctx, map[string]string{}, "team=vision", "team=nlp", "baseline")
		apply(run)
		h.ExpectStalled(run, v1alpha1.ReasonInvalidTags, "team")
		Expect(server.now()).To(Equal(map[string]string{"baseline": "true"}))
		edit(run, declare("team=vision"))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(server.now()).To(Equal(map[string]string{"team": "vision"}))
	})

	It("says which pod made a run, and takes the pairs that rules give", func(ctx SpecContext) {
		prepare(ctx, map[string]string{"runtag.dev/pod-uid": "", "runtag.dev/pod": "p"})
		pod := h.NewPod("p", "spot")
		server.set("runtag.dev/pod-uid", string(pod.UID))
		server.runningSince = h.Clock.Now()
		h.SeeNodes(h.NewNode("spot", map[string]string{spotLabel: "true", "zone": "b"}))
		h.SeePods(pod)
		rule := h.NewRule("zone", onSpot, "preemptible=true")
		rule.Spec.TagExpression = `nodes.map(n, "zone=" + n.label("zone"))`
		apply(run, rule)
		h.Refresh(run)
		Expect(run.Status.Pods).To(ConsistOf(HaveField("BoundBy", "PodUID")))
		Expect(server.now()).To(And(HaveKeyWithValue("preemptible", "true"), HaveKeyWithValue("zone", "b")))
		h.Refresh(run)
		Expect(run.Labels).To(And(HaveKeyWithValue("tag.runtag.dev/preemptible", "rule"), HaveKeyWithValue("pair.runtag.dev/zone", "b")))
		kubectl("label", "trainingrun", run.Name, "tag.runtag.dev/preemptible-", "pair.runtag.dev/zone-")
		h.Settle()
		Expect(server.now()).To(And(Not(HaveKey("preemptible")), Not(HaveKey("zone"))))
		Expect(fact(run, "TagRule/zone", "preemptible").State).To(Equal(v1alpha1.RuleTagOverruled))
		Expect(fact(run, "TagRule/zone", "zone=b").State).To(Equal(v1alpha1.RuleTagOverruled))
	})

	It("looks at a run as ended that is said to be running for a week without a pod, until something changes", func(ctx SpecContext) {
		prepare(ctx, map[string]string{})
		server.runningSince = h.Clock.Now().Add(-6 * 24 * time.Hour)
		apply(run)
		h.Refresh(run)
		Expect(run.Status.Run).To(And(HaveField("State", "running"), HaveField("Stale", false)))
		h.Clock.Step(24 * time.Hour) // without the looks of a day
		h.Step(fullPeriod)
		h.Refresh(run)
		Expect(run.Status.Run).To(And(HaveField("State", "running"), HaveField("Stale", true)))
		server.set("alive", "yes")
		looked()
		h.Refresh(run)
		Expect(run.Status.Run.Stale).To(BeFalse())
	})

	It("names the keys that are the tracker's own", func(ctx SpecContext) {
		prepare(ctx, map[string]string{}, "mlflow.user=me", "baseline")
		apply(run)
		h.ExpectStalled(run, v1alpha1.ReasonInvalidTags, "mlflow.user")
		Expect(server.now()).To(Equal(map[string]string{"baseline": "true"}))
	})

	It("gives back the value that was there right before the write, not the one that was planned on", func(ctx SpecContext) {
		prepare(ctx, map[string]string{"team": "nlp"}, "team=vision")
		h.ExpectApplied(run)
		h.Reconcile()
		h.Refresh(run)
		for run.Status.Run == nil { // the read of the run
			h.Send()
			h.Reconcile()
			h.Refresh(run)
		}
		Expect(server.now()).To(Equal(map[string]string{"team": "nlp"}))
		server.set("team", "audio")
		h.Settle()
		Expect(server.now()).To(Equal(map[string]string{"team": "vision"}))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(run.Status.AppliedTags).To(ConsistOf(HaveField("Replaced", HaveValue(Equal("audio")))))
		edit(run, declare())
		Expect(server.now()).To(Equal(map[string]string{"team": "audio"}))
	})

	It("has values that are too long for a status", func(ctx SpecContext) {
		prepare(ctx, map[string]string{"config": strings.Repeat("x", 5000), "config2": strings.Repeat("y", 5000)}, "baseline")
		apply(run)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		Expect(run.Status.TagCount).To(BeEquivalentTo(3))
		h.ExpectNoWrites(func() {
			h.Touch(run)
			h.Settle()
		})
		server.set("config", strings.Repeat("x", 4999))
		looked()
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("has a declared value put back that somebody changed, and shows the change", func(ctx SpecContext) {
		prepare(ctx, map[string]string{}, "team=vision")
		apply(run)
		server.set("team", "audio")
		h.Clock.Step(time.Second)
		looked()
		Expect(server.now()).To(Equal(map[string]string{"team": "vision"}))
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})
})
