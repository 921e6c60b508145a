package binding_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/evidence"
)

const namespace = "vision"

// world plays a script: what happened to pods and runs, looks of the operator, and which links are expected after them.
//
//	at 10:00              it is that time
//	pod a 9:00- host=h    a pod that lives since then, or lived until then; what is said again replaces what was said before
//	run x made=9:05       a run; what is not said again stays
//	look                  the operator finds the links of all runs, and remembers them
//	want x: a Host 9:05-  the links of a run, newest first; "?b" is an ambiguous pod
//	restart               the operator starts again and sees the pods that are still there: those that have not ended
//	gone a                the pod is deleted
type world struct {
	t     *testing.T
	now   time.Time
	clock *clocktesting.FakePassiveClock
	store *evidence.Store
	index *binding.Index
	pods  map[string]*evidence.Pod
	runs  map[string]*binding.Run
	found map[string]binding.Found
}

func play(t *testing.T, script string) *world {
	t.Helper()
	w := &world{t: t, pods: map[string]*evidence.Pod{}, runs: map[string]*binding.Run{}, found: map[string]binding.Found{}}
	w.clock = clocktesting.NewFakePassiveClock(at("0:00"))
	w.restart()
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "at":
			w.now = at(words[1])
			w.clock.SetTime(w.now)
		case "pod":
			w.pod(words[1], words[2], words[3:])
		case "gone":
			delete(w.pods, words[1])
			w.store.GonePod(uid(words[1]))
		case "run":
			w.run(words[1], words[2:])
		case "look":
			w.look()
		case "restart":
			w.restart()
		case "want":
			name, want, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "want "), ":")
			if diff := cmp.Diff(strings.TrimSpace(want), w.links(name)); diff != "" {
				t.Errorf("at %s, links of %s (-want +got):\n%s", clock(w.now), name, diff)
			}
		default:
			t.Fatalf("a script says %q", line)
		}
	}
	return w
}

func (w *world) restart() {
	w.store = evidence.New(evidence.Options{Clock: w.clock, Keys: binding.Keys})
	w.index = binding.NewIndex(w.store)
	for _, p := range w.pods {
		if !p.Over() {
			w.store.SeePod(p)
		}
	}
	for _, run := range w.runs {
		w.index.Set(*run)
	}
}

func (w *world) pod(name, life string, words []string) {
	from, until, _ := strings.Cut(life, "-")
	p := &evidence.Pod{
		UID: uid(name), Namespace: namespace, Name: name, Hostname: name, Phase: "Running", NodeName: "n",
		CreatedAt: at(from), StartedAt: at(from), EndedAt: at(until),
	}
	labels, annotations := map[string]string{}, map[string]string{}
	if p.Over() {
		p.Phase = "Failed"
	}
	for _, word := range words {
		k, v, _ := strings.Cut(word, "=")
		switch k {
		case "host":
			p.Hostname = v
		case "in":
			p.Namespace = v
		case "pending":
			p.StartedAt = time.Time{}
		case "run":
			annotations[binding.RunKey] = v
		case "env":
			p.Runs = append(p.Runs, ref(v))
		case "owner":
			p.Owners = []evidence.Owner{{UID: types.UID(v)}}
		case "job":
			labels["batch.kubernetes.io/controller-uid"] = v
		default:
			labels[k] = v
		}
	}
	p.Labels, p.Annotations = evidence.TextsOf(labels), evidence.TextsOf(annotations)
	w.pods[name] = p
	w.store.SeePod(p)
}

func ref(s string) evidence.RunRef {
	parts := strings.SplitN(s+",,,,", ",", 6)
	return evidence.RunRef{Tracker: parts[0], ID: parts[1], Entity: parts[2], Project: parts[3], URL: parts[4]}
}

func (w *world) run(name string, words []string) {
	r := w.runs[name]
	if r == nil {
		r = &binding.Run{
			Object: types.NamespacedName{Namespace: namespace, Name: "object-" + name}, Tracker: "wandb", ID: name, UID: "of-" + name,
			URL: "https://api.wandb.ai", Entity: "acme", Project: "capsules", Active: true,
		}
		w.runs[name] = r
	}
	for _, word := range words {
		k, v, _ := strings.Cut(word, "=")
		switch k {
		case "made":
			r.CreatedAt = at(v)
		case "attempt":
			r.AttemptAt = at(v)
		case "beat":
			r.HeartbeatAt = at(v)
		case "active":
			r.Active, r.Done, r.EndedAt = true, false, time.Time{}
		case "done", "killed":
			r.Active, r.Done, r.EndedAt = false, k == "done", at(v)
		case "host":
			r.Host = v
		case "mlflow":
			r.Tracker, r.URL, r.Entity, r.Project = "mlflow", "https://mlflow.example/base/", "", ""
		case "pod":
			r.PodUID = uid(v)
		case "parent":
			r.Parent = v
		case "id":
			r.ID, r.UID = v, "of-"+v
		case "name":
			r.Object.Name = v
		case "select":
			selector, err := labels.Parse(strings.ReplaceAll(v, "+", " "))
			if err != nil {
				w.t.Fatal(err)
			}
			r.Selector = selector
		default:
			w.t.Fatalf("a run has no %q", k)
		}
	}
	w.index.Set(*r)
}

// look finds all links, and that finding them again changes nothing.
func (w *world) look() {
	for _, name := range slices.Sorted(maps.Keys(w.runs)) {
		r := w.runs[name]
		found := w.find(*r)
		r.Known = found.Links
		w.index.Set(*r)
		w.found[name] = found
		if diff := cmp.Diff(found, w.find(*r)); diff != "" {
			w.t.Errorf("at %s, the links of %s change by being known (-first +second):\n%s", clock(w.now), name, diff)
		}
	}
}

func (w *world) find(r binding.Run) binding.Found {
	return binding.Links(r, w.store, w.index.Others, w.now)
}

func (w *world) links(run string) string {
	var all []string
	for _, l := range w.found[run].Links {
		all = append(all, fmt.Sprintf("%s %s %s-%s", l.Name, l.By, clock(l.From), clock(l.Until)))
	}
	for _, name := range w.found[run].Ambiguous {
		all = append(all, "?"+name)
	}
	return strings.Join(all, ", ")
}

func uid(pod string) types.UID { return types.UID("uid-" + pod) }

// at reads a time of the day such as 9:00 or 9:00:05; days go on beyond 24:00.
func at(s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	var h, m, sec int
	if n, err := fmt.Sscanf(s+":00", "%d:%d:%d", &h, &m, &sec); n < 3 || err != nil {
		panic(fmt.Sprintf("%q is no time: %v", s, err))
	}
	return time.Date(2026, 11, 24, h, m, sec, 0, time.UTC)
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	since := t.Sub(at("0:00"))
	s := fmt.Sprintf("%d:%02d", int(since.Hours()), int(since.Minutes())%60)
	if sec := int(since.Seconds()) % 60; sec != 0 {
		s += fmt.Sprintf(":%02d", sec)
	}
	return s
}
