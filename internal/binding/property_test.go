package binding_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/evidence"
)

// The worlds are small, so that what is drawn meets: a few pods and runs, with few names and times.

func drawTime(t *rapid.T, what string) time.Time {
	return at("9:00").Add(time.Duration(rapid.IntRange(0, 40).Draw(t, what)) * 3 * time.Second)
}

// maybe draws a time that may be none.
func maybe(t *rapid.T, what string) time.Time {
	if rapid.Bool().Draw(t, "any "+what) {
		return time.Time{}
	}
	return drawTime(t, what)
}

func drawPod(t *rapid.T, i int) *evidence.Pod {
	p := &evidence.Pod{UID: types.UID(fmt.Sprint("u", i)), Namespace: namespace, Name: fmt.Sprint("p", i), Phase: "Running"}
	labels := map[string]string{}
	p.Hostname = rapid.SampledFrom([]string{"", "h", p.Name}).Draw(t, "hostname")
	p.CreatedAt = drawTime(t, "created")
	if rapid.IntRange(0, 5).Draw(t, "pending") > 0 {
		p.StartedAt = p.CreatedAt
	}
	if end := maybe(t, "end"); end.After(p.CreatedAt) {
		p.EndedAt, p.Phase = end, "Failed"
	}
	label := func(key string, values ...string) {
		if v := rapid.SampledFrom(values).Draw(t, key); v != "" {
			labels[key] = v
		}
	}
	label("batch.kubernetes.io/controller-uid", "", "j", "k")
	label("app", "", "t")
	label(binding.RunIDKey, "", "", "", "r0", "r1")
	label(binding.RunKey, "", "", "", "o2", "o3")
	p.Labels = evidence.TextsOf(labels)
	if id := rapid.SampledFrom([]string{"", "", "", "r0", "r1", "r2"}).Draw(t, "env"); id != "" {
		p.Runs = []evidence.RunRef{{Tracker: "wandb", ID: id}}
	}
	return p
}

func drawRun(t *rapid.T, i, pods int) binding.Run {
	r := binding.Run{
		Object: types.NamespacedName{Namespace: namespace, Name: fmt.Sprint("o", i)}, Tracker: "wandb", ID: fmt.Sprint("r", i), UID: fmt.Sprint("v", i),
		Host: rapid.SampledFrom([]string{"", "h", "p0", "p1"}).Draw(t, "host"), CreatedAt: drawTime(t, "made"),
		Parent: rapid.SampledFrom([]string{"", "", "r0", "r1"}).Draw(t, "parent"),
	}
	if attempt := maybe(t, "attempt"); attempt.After(r.CreatedAt) {
		r.AttemptAt = attempt
	}
	if beat := maybe(t, "heartbeat"); beat.After(r.CreatedAt) {
		r.HeartbeatAt = beat
	}
	switch rapid.IntRange(0, 2).Draw(t, "state") {
	case 0:
		r.Active = true
	case 1:
		r.Done, r.EndedAt = true, r.CreatedAt.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "lived"))*time.Second)
	}
	if rapid.IntRange(0, 3).Draw(t, "selector") == 0 {
		r.Selector = labels.SelectorFromSet(labels.Set{"app": "t"})
	}
	if rapid.IntRange(0, 4).Draw(t, "named") == 0 {
		r.PodUID = types.UID(fmt.Sprint("u", rapid.IntRange(0, pods-1).Draw(t, "pod uid")))
	}
	return r
}

type small struct {
	pods []*evidence.Pod
	runs []binding.Run
}

func drawWorld(t *rapid.T) small {
	var w small
	for i := range rapid.IntRange(1, 6).Draw(t, "pods") {
		w.pods = append(w.pods, drawPod(t, i))
	}
	for i := range rapid.IntRange(1, 4).Draw(t, "runs") {
		w.runs = append(w.runs, drawRun(t, i, len(w.pods)))
	}
	return w
}

// now is after everything that is drawn.
var now = at("9:10")

// index files pods and runs in the order that is given.
func (w small) index() (*evidence.Store, *binding.Index) {
	s := evidence.New(evidence.Options{Clock: clocktesting.NewFakePassiveClock(now), Keys: binding.Keys})
	for _, p := range w.pods {
		s.SeePod(p)
	}
	x := binding.NewIndex(s)
	for _, r := range w.runs {
		x.Set(r)
	}
	return s, x
}

// find gives the links of all runs.
func (w small) find() map[string]binding.Found {
	s, x := w.index()
	all := map[string]binding.Found{}
	for _, r := range w.runs {
		all[r.ID] = binding.Links(r, s, x.Others, now)
	}
	return all
}

// know gives each run what was found.
func (w small) know(found map[string]binding.Found) small {
	w.runs = slices.Clone(w.runs)
	for i, r := range w.runs {
		w.runs[i].Known = found[r.ID].Links
	}
	return w
}

func TestLinksDoNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		want := w.find()
		other := small{pods: rapid.Permutation(w.pods).Draw(t, "pods"), runs: rapid.Permutation(w.runs).Draw(t, "runs")}
		if diff := cmp.Diff(want, other.find()); diff != "" {
			t.Fatalf("in another order (-first +second):\n%s", diff)
		}
	})
}

func TestLinksThatAreKnownStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		first := w.find()
		for _, r := range w.runs { // each by itself, and then all
			known := w.know(map[string]binding.Found{r.ID: first[r.ID]})
			if diff := cmp.Diff(first[r.ID], known.find()[r.ID]); diff != "" {
				t.Fatalf("the links of %s, once they are known (-first +second):\n%s", r.ID, diff)
			}
		}
		if diff := cmp.Diff(w.know(first).find(), w.know(w.know(first).find()).find()); diff != "" {
			t.Fatalf("once all are known (-first +second):\n%s", diff)
		}
	})
}

func TestLinksLieInTheLifeOfTheirPods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		s, _ := w.index()
		for id, found := range w.find() {
			run := w.runs[slices.IndexFunc(w.runs, func(r binding.Run) bool { return r.ID == id })]
			// One that was synced from offline is told of when its pod, and its gang, are over.
			offline := !run.Active && !slices.ContainsFunc(found.Links, func(l binding.Link) bool {
				return l.By != binding.ByGang && (!l.By.Exact() || l.Until.IsZero() || !l.Until.Before(run.CreatedAt))
			})
			exact := slices.ContainsFunc(found.Links, func(l binding.Link) bool { return l.By.Exact() })
			for _, l := range found.Links {
				p := s.Pod(l.Pod)
				switch {
				case l.From.Before(p.CreatedAt.Add(-binding.Tolerance)) || p.Over() && (l.Until.IsZero() || l.Until.After(p.EndedAt)):
					t.Errorf("%s: %+v is not within the life of its pod, %s to %s", id, l, p.CreatedAt, p.EndedAt)
				case !l.Until.IsZero() && l.Until.Before(l.From):
					t.Errorf("%s: %+v ends before it begins", id, l)
				case !offline && l.From.Before(run.CreatedAt.Add(-binding.Tolerance)):
					t.Errorf("%s: %+v begins before the run, %s", id, l, run.CreatedAt)
				case run.Done && (l.Until.IsZero() || l.Until.After(run.EndedAt)):
					t.Errorf("%s: %+v is longer than the run, which ended by itself at %s", id, l, run.EndedAt)
				case exact && (l.By == binding.BySelector || l.By == binding.ByHost):
					t.Errorf("%s: %+v merely fits, and something names the run", id, l)
				case l.By == binding.ByGang && !slices.ContainsFunc(found.Links, func(d binding.Link) bool {
					return d.By != binding.ByGang && !l.From.Before(d.From) && s.Pod(d.Pod).Labels.Get("batch.kubernetes.io/controller-uid") == p.Labels.Get("batch.kubernetes.io/controller-uid")
				}):
					t.Errorf("%s: %+v works together with nobody", id, l)
				}
			}
		}
	})
}

// A run that was lost and never gave a sign of life after the next one began is not in the pod any more then.
func TestLostRunsDoNotOverlap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		for i := range w.runs {
			w.runs[i].Active, w.runs[i].Done, w.runs[i].EndedAt = false, false, time.Time{}
			w.runs[i].HeartbeatAt, w.runs[i].AttemptAt, w.runs[i].Parent = time.Time{}, time.Time{}, ""
		}
		type stay struct {
			run  string
			link binding.Link
		}
		stays := map[types.UID][]stay{}
		for id, found := range w.find() {
			for _, l := range found.Links {
				if l.By != binding.ByGang {
					stays[l.Pod] = append(stays[l.Pod], stay{id, l})
				}
			}
		}
		made := map[string]time.Time{}
		for _, r := range w.runs {
			made[r.ID] = r.CreatedAt
		}
		for pod, all := range stays {
			for _, a := range all {
				for _, b := range all {
					next := made[b.run].After(a.link.From) && made[b.run].After(made[a.run].Add(binding.Tolerance))
					if next && (a.link.Until.IsZero() || a.link.Until.After(made[b.run])) {
						t.Errorf("in %s, %s is until %s although %s was made at %s", pod, a.run, a.link.Until, b.run, made[b.run])
					}
				}
			}
		}
	})
}

// Each link can be found from its pod, too: a change of the pod concerns the run.
func TestRunsOfPodsAreTheOtherWayAround(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		found := w.find()
		s, x := w.index()
		for _, r := range w.runs {
			for _, l := range found[r.ID].Links {
				if !slices.ContainsFunc(x.RunsOf(s.Pod(l.Pod)), func(o binding.Run) bool { return o.ID == r.ID }) {
					t.Errorf("%s is linked to %s by %s, but a change of the pod does not concern it", r.ID, l.Name, l.By)
				}
			}
		}
		for _, r := range w.runs {
			x.Drop(r.Object)
		}
		for _, p := range w.pods {
			if left := x.RunsOf(p); len(left) > 0 {
				t.Errorf("%d runs were taken out and are found", len(left))
			}
		}
	})
}
