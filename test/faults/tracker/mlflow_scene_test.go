package tracker_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/backendtest"
	"github.com/runtag/runtag/internal/backend/mlflow/mlflowtest"
)

const (
	// mostMLflowAMinute is how many requests the server may get in a minute of trouble: a look is three searches, and
	// each tag is one request.
	mostMLflowAMinute = 120
	// mlflowMany is how many more runs there are in each scene.
	mlflowMany = 4
	// slowly is how long a pass and a request may take in real time where a row leaves some unanswered; the server is real
	// too, and needs some of it.
	slowly = 6 * time.Second
)

// mlflowScene is a few TrainingRuns, people who edit them, and an MLflow server that misbehaves meanwhile.
type mlflowScene struct {
	t      *testing.T
	row    mlflowRow
	server *mlflowtest.Server
	h      *controllerstest.Harness
	proxy  *backendtest.Proxy
	front  *mlflowFront

	// first and second are the experiments: all runs are in the first but far.
	first, second         string
	firstName, secondName string
	ids                   map[string]string // of runs, by the names that the scene has for them
	want                  map[string]map[string]string
	project               *v1alpha1.TrackingProject
	objects               map[string]*v1alpha1.TrainingRun

	mu   sync.Mutex
	gone map[string]bool // runs that may be called deleted
	said []string
}

// mayLose are the keys that people want off, by run.
var mayLose = map[string][]string{"idle": {"baseline"}, "bye": {"temp"}}

func newMLflowScene(t *testing.T, suite *controllerstest.Suite, server *mlflowtest.Server, r mlflowRow) *mlflowScene {
	t.Helper()
	s := &mlflowScene{
		t: t, row: r, server: server, front: &mlflowFront{}, gone: map[string]bool{}, ids: map[string]string{}, objects: map[string]*v1alpha1.TrainingRun{},
		want: map[string]map[string]string{
			"alone": {"foreign": "x"}, "idle": {"human": "1", "team": "nlp", "next": "true"}, "bye": {"human": "1"}, "far": {"foreign": "x", "gpu": "true", "mem": "80"},
			"live": {"sdk": "1", "gpu": "true", "mem": "80", "person": "1"}, "later": {"human": "1", "fresh": "true"},
		},
	}
	options := controllerstest.Options{MayLag: true}
	if r.slow {
		options.Patience = slowly
	}
	s.h = suite.New(t.Context(), t, options)
	t.Cleanup(s.h.Close)
	s.front.clock = s.h.Clock
	s.proxy = backendtest.NewProxy(t, server.URL, s.front.around)
	s.h.API.FailWrites(s.watchWrite)
	s.addRuns()
	s.addObjects()
	s.h.Settle()
	s.h.Step(2 * interval)
	s.h.ExpectReady(s.objects["idle"], v1alpha1.ReasonSynced)
	s.expectTags("idle", map[string]string{"human": "1", "team": "vision", "baseline": "true"})
	return s
}

// must ends the test where people could not do something on the server.
func (s *mlflowScene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// addRuns puts the runs on the server, each with a tag that is nobody's of ours.
func (s *mlflowScene) addRuns() {
	s.t.Helper()
	var err error
	s.firstName, s.secondName = s.h.Namespace+"-a", s.h.Namespace+"-b"
	s.first, err = s.server.CreateExperiment(s.t.Context(), s.firstName)
	s.must(err)
	s.second, err = s.server.CreateExperiment(s.t.Context(), s.secondName)
	s.must(err)
	add := func(name, experiment, status string, tags map[string]string) {
		r := mlflowtest.Run{Experiment: experiment, Name: name, Status: status, Start: s.h.Clock.Now().Add(-time.Hour), Tags: tags}
		if status == "FINISHED" {
			r.End = s.h.Clock.Now().Add(-time.Minute)
		}
		s.ids[name], err = s.server.CreateRun(s.t.Context(), r)
		s.must(err)
	}
	add("alone", s.first, "FINISHED", map[string]string{"foreign": "x"})
	add("idle", s.first, "FINISHED", map[string]string{"human": "1", "team": "nlp"})
	add("live", s.first, "RUNNING", map[string]string{"sdk": "1"})
	add("bye", s.first, "FINISHED", map[string]string{"human": "1"})
	add("later", s.first, "FINISHED", map[string]string{"human": "1"})
	add("far", s.second, "RUNNING", map[string]string{"foreign": "x"})
	for i := range mlflowMany {
		name := fmt.Sprintf("many-%d", i)
		add(name, s.first, "FINISHED", map[string]string{"foreign": "x"})
		s.want[name] = map[string]string{"foreign": "x", "one": "true", "two": "true"}
	}
}

func (s *mlflowScene) addObjects() {
	s.t.Helper()
	s.project = s.h.NewProject(func(p *v1alpha1.TrackingProject) {
		experiments := []string{s.firstName, s.secondName}
		if s.row.prefix {
			experiments = []string{s.h.Namespace + "-*"}
		}
		p.Spec.Wandb = nil
		p.Spec.MLflow = &v1alpha1.MLflowProject{TrackingURI: s.proxy.URL, Experiments: experiments}
		p.Spec.Interval.Duration, p.Spec.FullInterval.Duration = interval, fullInterval
		p.Spec.Import.Policy = v1alpha1.ImportNone
	})
	s.h.ExpectApplied(s.project)
	s.declare("idle", "baseline", "team=vision")
	s.declare("live", "gpu")
	s.declare("far", "gpu")
	s.declare("bye", "temp")
	s.h.ExpectEdited(s.objects["bye"], func(r *v1alpha1.TrainingRun) { r.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags })
	for i := range mlflowMany {
		s.declare(fmt.Sprintf("many-%d", i), "one")
	}
}

// declare makes the object of a run, or edits it.
func (s *mlflowScene) declare(name string, tags ...string) {
	s.t.Helper()
	if run := s.objects[name]; run != nil {
		s.h.ExpectEdited(run, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = tags })
		return
	}
	run := s.h.NewRun(s.ids[name], tags...)
	run.Name = name
	s.objects[name] = run
	s.h.ExpectApplied(run)
}

// play lets people live on while the server misbehaves, heals it, and checks the end.
func (s *mlflowScene) play() {
	s.t.Helper()
	began := s.h.Clock.Now()
	_, asked := s.front.storm()
	if s.row.begin != nil {
		s.row.begin(s)
	}
	if s.row.rules != nil {
		for _, rule := range s.row.rules(s) {
			s.proxy.Inject(rule)
		}
	}
	s.h.Step(interval)
	s.firstEdits()
	s.h.Step(2 * time.Minute)
	s.secondEdits()
	s.h.Step(3 * time.Minute)
	count, requests := s.front.storm()
	minutes := s.h.Clock.Since(began).Minutes()
	s.t.Logf("%.0f minutes, %d requests, %+v", minutes, requests-asked, count)
	if float64(requests-asked) > minutes*mostMLflowAMinute {
		s.t.Errorf("%d requests in %.1f minutes of trouble, want at most %d a minute", requests-asked, minutes, mostMLflowAMinute)
	}
	if s.row.during != nil {
		s.row.during(s)
	}
	s.checkSoFar()
	s.proxy.Heal()
	s.front.setSkew(0)
	if s.row.end != nil {
		s.row.end(s)
	}
	s.h.Step(10 * time.Minute)
	s.checkSoFar()
	s.checkEnd()
}

func (s *mlflowScene) firstEdits() {
	s.t.Helper()
	s.declare("idle", "next")
	s.declare("live", "gpu", "mem=80")
	s.declare("far", "gpu", "mem=80")
	s.declare("later", "fresh")
	for i := range mlflowMany {
		s.declare(fmt.Sprintf("many-%d", i), "one", "two")
	}
	s.h.ExpectDeleted(s.objects["bye"])
}

// secondEdits are those of somebody on the server's page: one more tag, and one of ours taken off.
func (s *mlflowScene) secondEdits() {
	s.t.Helper()
	s.must(s.server.SetTags(s.t.Context(), s.ids["live"], map[string]string{"person": "1"}))
	s.must(s.server.Call(s.t.Context(), http.MethodPost, "runs/delete-tag", map[string]string{"run_id": s.ids["live"], "key": "gpu"}, nil))
}

// watchWrite says where a run is called deleted that is there.
func (s *mlflowScene) watchWrite(w controllerstest.Write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.Kind == "TrainingRun" && strings.Contains(w.Patch, `"`+v1alpha1.ReasonRunDeleted+`"`) && !s.gone[w.Key.Name] {
		s.said = append(s.said, "run "+w.Key.Name+" is called deleted and is there")
	}
	return nil
}

// mayBeGone says that a run may be called deleted from now on.
func (s *mlflowScene) mayBeGone(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone[name] = true
}

// tags are those that a run has, without MLflow's own.
func (s *mlflowScene) tags(name string) map[string]string {
	s.t.Helper()
	tags, err := s.server.Tags(s.t.Context(), s.ids[name])
	s.must(err)
	maps.DeleteFunc(tags, func(key, _ string) bool { return strings.HasPrefix(key, "mlflow.") })
	return tags
}

func (s *mlflowScene) expectTags(name string, want map[string]string) {
	s.t.Helper()
	if have := s.tags(name); !maps.Equal(have, want) {
		s.h.Fail("run %s has the tags %v, want %v", name, have, want)
	}
}

// checkSoFar holds what must hold at any time.
func (s *mlflowScene) checkSoFar() {
	s.t.Helper()
	s.mu.Lock()
	said := slices.Concat(s.said, s.front.problems(), s.wrongRemovals())
	s.mu.Unlock()
	if len(said) > 0 {
		s.h.Fail("%s", strings.Join(said, "; "))
	}
	for name, foreign := range map[string]string{"alone": "foreign", "idle": "human", "live": "sdk", "bye": "human", "later": "human", "far": "foreign"} {
		if tags := s.tags(name); tags[foreign] == "" {
			s.h.Fail("the foreign tag %q is gone from run %s, which has %v", foreign, name, tags)
		}
	}
}

// wrongRemovals says which tags were asked to be taken off that nobody wants off.
func (s *mlflowScene) wrongRemovals() []string {
	var wrong []string
	for _, r := range s.proxy.Requests(func(r backendtest.Request) bool { return strings.HasSuffix(r.Path, "/delete-tag") }) {
		var asked struct {
			Run string `json:"run_id"`
			Key string `json:"key"`
		}
		s.must(json.Unmarshal(r.Body, &asked))
		name := "?"
		for of, id := range s.ids {
			if id == asked.Run {
				name = of
			}
		}
		if !slices.Contains(mayLose[name], asked.Key) {
			wrong = append(wrong, fmt.Sprintf("%q is taken off run %s", asked.Key, name))
		}
	}
	return wrong
}

// checkEnd holds the end against what it is where nothing goes wrong.
func (s *mlflowScene) checkEnd() {
	s.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(s.want)) {
		want := s.want[name]
		if name == "bye" && s.tags(name)["temp"] != "" && s.h.CountEvents(s.objects["bye"], "TagsLeft", nil) > 0 {
			want = map[string]string{"human": "1", "temp": "true"} // nothing blocks for ever, and it is said
		}
		s.expectTags(name, want)
	}
	s.h.ExpectReady(s.project, v1alpha1.ReasonLooking)
	for name, run := range s.objects {
		if name != "bye" {
			s.h.ExpectReady(run, v1alpha1.ReasonSynced)
		}
	}
	s.h.ExpectGone(s.objects["bye"])
	written := len(s.proxy.Requests(isMLflowWrite))
	_, asked := s.front.storm()
	s.h.ExpectNoWrites(func() { s.h.Step(3 * interval) })
	if after := len(s.proxy.Requests(isMLflowWrite)); after != written {
		s.h.Fail("%d tags were written in three quiet periods", after-written)
	}
	if _, after := s.front.storm(); after == asked {
		s.h.Fail("nobody looked at the server in three periods")
	}
}
