package tracker_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

const (
	interval     = 20 * time.Second
	fullInterval = 2 * time.Minute
	// unique is a tag of which the project has one.
	unique = "champion"
	// many is how many more runs there are where a row asks for it: more than are called deleted together.
	many = 12
	// mostAMinute is how many requests the trackers may get in a minute of trouble. Each of the two projects looks at most
	// every few seconds while that fails, and each TrainingRun tries at most as often.
	mostAMinute = 120
)

// scene is a few TrainingRuns, people who edit them, and a tracker that misbehaves meanwhile.
type scene struct {
	t     *testing.T
	row   row
	h     *controllerstest.Harness
	front *front
	began time.Time // of the trouble

	project, other                      *v1alpha1.TrackingProject
	idle, live, bye, later, coming, far *v1alpha1.TrainingRun
	many                                []*v1alpha1.TrainingRun
	// want are the tags at the end, by run of the project.
	want map[string][]string

	mu sync.Mutex
	// gone names the runs that may be called deleted, since they were.
	gone map[string]bool
	// hidden names runs that nobody can tell from deleted ones while the trouble lasts.
	hidden map[string]bool
	// mayLose are the tags that people want off, by run.
	mayLose map[string][]string
	said    []string
}

func newScene(t *testing.T, suite *controllerstest.Suite, r row) *scene {
	t.Helper()
	options := controllerstest.Options{MayLag: true, Allow: []string{"127.0.0.1", "::1"}}
	if r.slow {
		options.Patience = patience
	}
	s := &scene{t: t, row: r, gone: map[string]bool{}, hidden: map[string]bool{}, mayLose: map[string][]string{"idle": {"baseline", unique}, "bye": {"temp"}}}
	options.OnWrite = s.watchRun
	s.h = suite.New(t.Context(), t, options)
	t.Cleanup(s.h.Close)
	s.front = newFront(t, s.h.Tracker, s.h.Clock)
	s.h.API.FailWrites(s.watchWrite)
	s.addRuns()
	s.addObjects()
	s.h.Settle()
	s.h.Step(2 * interval)
	s.h.ExpectReady(s.idle, v1alpha1.ReasonSynced)
	s.h.ExpectTagsOn("idle", "human", "baseline", unique)
	return s
}

// addRuns puts the runs on the tracker, each with a tag that is nobody's of ours.
func (s *scene) addRuns() {
	s.t.Helper()
	s.h.AddRun("alone", "foreign")
	s.h.AddRun("idle", "human")
	s.h.AddActiveRun("live", "sdk")
	s.h.AddRun("bye", "human")
	s.h.AddRun("later", "human")
	if err := s.h.Tracker.AddProject("other"); err != nil {
		s.t.Fatal(err)
	}
	s.h.AddTrackerRun(wandbtest.Run{Project: "other", ID: "alone"})
	s.h.AddTrackerRun(wandbtest.Run{Project: "other", ID: "far", State: "running", Tags: []string{"foreign"}})
	for i := range s.row.many {
		s.h.AddRun(fmt.Sprintf("many-%02d", i), "foreign")
	}
	s.want = map[string][]string{
		"alone": {"foreign"}, "idle": {"human", "next"}, "live": {"sdk", "gpu", "person", unique}, "bye": {"human"},
		"later": {"human", "fresh"}, "coming": {"waited", "sdk"},
	}
	for i := range s.row.many {
		s.want[fmt.Sprintf("many-%02d", i)] = []string{"foreign", "one", "two"}
	}
}

func (s *scene) addObjects() {
	s.t.Helper()
	shape := func(p *v1alpha1.TrackingProject) {
		p.Spec.Wandb.BaseURL = s.front.URL
		p.Spec.Interval.Duration, p.Spec.FullInterval.Duration = interval, fullInterval
		p.Spec.Import.Policy = v1alpha1.ImportNone
	}
	s.project = s.h.NewProject(shape, func(p *v1alpha1.TrackingProject) { p.Spec.UniqueTags = []string{unique} })
	s.other = s.h.NewProject(shape, func(p *v1alpha1.TrackingProject) { p.Name, p.Spec.Wandb.Project = "other", "other" })
	s.idle, s.live = s.h.NewRun("idle", "baseline", unique), s.h.NewRun("live", "gpu")
	s.bye, s.coming, s.far = s.h.NewRun("bye", "temp"), s.h.NewRun("coming", "waited"), s.h.NewRun("far", "gpu")
	s.bye.Spec.DeletionPolicy = v1alpha1.DeletionPolicyRemoveTags
	s.far.Spec.ProjectRef.Name = "other"
	s.h.ExpectApplied(s.project, s.other, s.idle, s.live, s.bye, s.coming, s.far)
	for i := range s.row.many {
		run := s.h.NewRun(fmt.Sprintf("many-%02d", i), "one")
		s.many = append(s.many, run)
		s.h.ExpectApplied(run)
	}
}

// play lets people live on while the tracker misbehaves, heals it, and checks the end.
func (s *scene) play() {
	s.t.Helper()
	s.began = s.h.Clock.Now()
	asked := s.front.seen()
	s.misbehave()
	s.h.Step(interval)
	s.firstEdits()
	s.h.Step(2 * time.Minute)
	s.secondEdits()
	s.h.Step(3 * time.Minute)
	minutes, requests := s.h.Clock.Since(s.began).Minutes(), s.front.seen()-asked
	s.t.Logf("%.0f minutes, %d requests, %+v", minutes, requests, s.front.storm())
	if float64(requests) > minutes*mostAMinute {
		s.t.Errorf("%d requests in %.1f minutes of trouble, want at most %d a minute", requests, minutes, mostAMinute)
	}
	s.checkSoFar()
	s.heal()
	s.h.Step(10 * time.Minute)
	s.checkSoFar()
	s.checkEnd()
}

func (s *scene) misbehave() {
	s.t.Helper()
	if s.row.begin != nil {
		s.row.begin(s)
	}
	s.h.Tracker.SetFaults(s.row.faults)
	if s.row.bend != nil {
		s.front.setBend(s.row.bend)
	}
}

func (s *scene) heal() {
	s.t.Helper()
	s.h.Tracker.SetFaults(wandbtest.Faults{})
	s.h.Tracker.BeforeRequests(nil)
	s.front.setBend(nil)
	if s.row.end != nil {
		s.row.end(s)
	}
}

// firstEdits are edits of people, of the training script and on the tracker's page.
func (s *scene) firstEdits() {
	s.t.Helper()
	s.h.ExpectEdited(s.idle, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = []string{"next"} })
	s.h.ExpectEdited(s.live, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = []string{"gpu", unique} })
	s.later = s.h.NewRun("later", "fresh")
	s.h.ExpectApplied(s.later)
	for _, run := range s.many {
		s.h.ExpectEdited(run, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = []string{"one", "two"} })
	}
	s.h.AddActiveRun("coming", "sdk")
	s.h.ExpectDeleted(s.bye)
}

// secondEdits are those of somebody on the tracker's page: one more tag, and one of ours taken off.
func (s *scene) secondEdits() {
	s.t.Helper()
	s.h.EditTags("live", []string{"person"}, []string{"gpu"})
}

// watchWrite says where a run is called deleted that is there.
func (s *scene) watchWrite(w controllerstest.Write) error {
	if w.Kind != "TrainingRun" || !strings.Contains(w.Patch, `"`+v1alpha1.ReasonRunDeleted+`"`) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	project := controllerstest.ProjectName
	if w.Key.Name == "far" {
		project = "other"
	}
	if _, there := s.h.Tracker.Run(s.h.Tracker.Entity + "/" + project + "/" + w.Key.Name); there && !s.gone[w.Key.Name] && !s.hidden[w.Key.Name] {
		s.said = append(s.said, "run "+w.Key.Name+" is called deleted and is there")
	}
	return nil
}

// watchRun says where a write takes something off a run that nobody wants off.
func (s *scene) watchRun(run wandbtest.Run, list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, tag := range run.Tags {
		if !slices.Contains(list, tag) && !slices.Contains(s.mayLose[run.ID], tag) && !isStray(run) {
			s.said = append(s.said, fmt.Sprintf("%q is taken off run %s", tag, run.ID))
		}
	}
}

// isStray tells a run that the tracker made of a write, which has what the run had that was meant.
func isStray(run wandbtest.Run) bool { return len(run.ID) == 8 && run.ID == strings.ToUpper(run.ID) }

// checkSoFar holds what must hold at any time.
func (s *scene) checkSoFar() {
	s.t.Helper()
	s.mu.Lock()
	said := slices.Concat(s.said, s.front.problems())
	s.mu.Unlock()
	if len(said) > 0 {
		s.h.Fail("%s", strings.Join(said, "; "))
	}
	for id, foreign := range map[string]string{"alone": "foreign", "idle": "human", "live": "sdk", "bye": "human", "later": "human", "coming": "sdk"} {
		run, ok := s.h.Tracker.Run(s.h.Tracker.Path(id))
		if ok && !s.row.damages && !slices.Contains(run.Tags, foreign) {
			s.h.Fail("the foreign tag %q is gone from run %s, which has %q", foreign, id, run.Tags)
		}
	}
}

func (s *scene) has(id, tag string) bool {
	run, _ := s.h.Tracker.Run(s.h.Tracker.Path(id))
	return slices.Contains(run.Tags, tag)
}

// checkEnd holds the end against what it is where nothing goes wrong.
func (s *scene) checkEnd() {
	s.t.Helper()
	for _, id := range slices.Sorted(maps.Keys(s.want)) {
		want := s.want[id]
		if id == "bye" && s.has("bye", "temp") && s.h.CountEvents(s.bye, "TagsLeft", nil) > 0 {
			want = append(slices.Clone(want), "temp") // nothing blocks for ever, and it is said
		}
		if !s.row.damages {
			s.h.ExpectTagsOn(id, want...)
		}
	}
	s.h.ExpectReady(s.project, v1alpha1.ReasonLooking)
	s.h.ExpectReady(s.other, v1alpha1.ReasonLooking)
	for _, run := range slices.Concat([]*v1alpha1.TrainingRun{s.idle, s.live, s.later, s.coming, s.far}, s.many) {
		if !s.gone[run.Name] {
			s.h.ExpectReady(run, v1alpha1.ReasonSynced)
		}
	}
	s.h.ExpectGone(s.bye)
	if far, _ := s.h.Tracker.Run(s.h.Tracker.Entity + "/other/far"); !slices.Equal(slices.Sorted(slices.Values(far.Tags)), []string{"foreign", "gpu"}) {
		s.h.Fail("run far has the tags %q", far.Tags)
	}
	s.h.ExpectQuiet(interval)
}
