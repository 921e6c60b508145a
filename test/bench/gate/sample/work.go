package sample

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/backend/snapshot"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/rules"
	"github.com/runtag/runtag/internal/tags"
)

// Diff gives a function that takes in one more list of all of so many tracked runs, of which so many have changed since the
// last one. It gives how many changes the snapshot found.
func Diff(tracked, changed int) func() int {
	const page = 100
	s := snapshot.New()
	runs := make([]backend.Run, tracked)
	for i := range runs {
		runs[i] = TrackerRun(i)
		s.TrackID(runs[i].ID)
	}
	s.Listed(Start, snapshot.Everything, runs)
	// Each state of the runs that change, in turns.
	now := [2][]backend.Run{runs, slices.Clone(runs)}
	for i := range changed {
		run := &now[1][i*tracked/changed]
		run.Tags = tags.Set{"other": ""}
	}
	look := 0
	return func() int {
		look++
		l := s.Begin(at(look), snapshot.Everything)
		for part := range slices.Chunk(now[look%2], page) {
			l.Add(part)
		}
		return len(l.End().IDs)
	}
}

// Plan gives a function that plans for a run with 128 tags on it and 256 declared, by spec, labels and rules. It gives how
// many tags the plan adds and removes.
func Plan() func() int {
	const on, declared, half = 128, 256, 64
	in := tags.Input{
		RunUID: "u1", Observed: tags.Set{}, Policy: tags.Exclusive, Ceiling: tags.Exclusive, Now: at(0), Record: tags.Record{RunUID: "u1"},
		Declared: []tags.Declarations{{Name: "spec.tags"}, {Name: "labels"}, {Name: "rules"}},
	}
	for i := range on {
		in.Observed[fmt.Sprintf("tag-%03d", i+half)] = "" // of which some are declared, and some are not
		in.Record.Applied = append(in.Record.Applied, tags.Applied{Name: fmt.Sprintf("tag-%03d", i)})
	}
	sources := []tags.Source{tags.Spec, tags.Label, tags.Rule}
	for i := range declared {
		source := i % len(sources)
		d := tags.Declaration{Tag: fmt.Sprintf("tag-%03d", i+on), Source: sources[source]}
		if d.Source == tags.Rule {
			d.Rule = fmt.Sprintf("ClusterTagRule/rule-%d", i%20)
		}
		in.Declared[source].Tags = append(in.Declared[source].Tags, d)
	}
	return func() int {
		p := tags.Make(in)
		return len(p.Edit.Set) + len(p.Edit.Remove)
	}
}

// twenty are expressions such as the rules of a cluster have: signs of spot nodes, disruptions, metrics, tags.
var twenty = []string{
	`nodes.exists(n, n.label("cloud.google.com/gke-spot") == "true" || n.label("spot") == "true" || n.label("karpenter.sh/capacity-type") == "spot")`,
	`pods.exists(p, p.condition("DisruptionTarget") == "True" && p.conditionReason("DisruptionTarget") == "PreemptionByScheduler")`,
	`pods.exists(p, p.condition("DisruptionTarget") == "True" && nodes.exists(n, n.name == p.node && n.label("spot") == "true"))`,
	`run.summary["val/loss"] < 0.01 && run.state == "finished"`,
	`"debug" in tags && labels["team"] == "nlp"`,
}

// Rules gives a function that asks 20 rules of one run with so many pods, one of them direct. It gives how many are true.
func Rules(pods int, spot bool) (func() int, error) {
	var programs []*rules.Program
	for i := range 20 {
		p, err := rules.Compile(rules.Spec{When: twenty[i%len(twenty)], Retention: rules.Sticky})
		if err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
	in := rules.Input{
		Run:    rules.Facts{ID: "3f9a1c", State: "running", Attempts: 2, CreatedAt: at(0), Summary: map[string]float64{"val/loss": 0.05}},
		Labels: map[string]string{"team": "vision"}, Tags: []string{"debug"}, Namespace: rules.Namespace{Name: "vision"},
	}
	for i := range pods {
		node := evidence.NodeOf(Node(fmt.Sprintf("node-%d", i)))
		node.Labels = evidence.TextsOf(map[string]string{"zone": "a", "spot": fmt.Sprint(spot)})
		pod := evidence.PodOf(JobPod(i))
		pod.NodeName = node.Name
		in.Pods = append(in.Pods, rules.Linked{Pod: pod, Node: node, Direct: i == 0, Live: true, From: at(i)})
	}
	return func() (holds int) {
		for _, p := range programs {
			if p.Eval(in).Outcome == rules.True {
				holds++
			}
		}
		return holds
	}, nil
}

// Links is a namespace with so many pods and runs, each of which has its share of the pods as a gang.
type Links struct {
	store *evidence.Store
	index *binding.Index
	runs  []binding.Run
}

// NewLinks makes it; half of the runs are named by the environment of one of their pods, the others by an annotation.
func NewLinks(pods, runs int) *Links {
	l := &Links{store: evidence.New(evidence.Options{Clock: clock.RealClock{}, Keys: binding.Keys})}
	l.index = binding.NewIndex(l.store)
	for i := range pods {
		run, pod := i*runs/pods, JobPod(i)
		id, job := runID(run), fmt.Sprintf("job-%d", run)
		pod.Labels["batch.kubernetes.io/controller-uid"] = job
		pod.OwnerReferences[0].UID = types.UID(job)
		pod.Spec.Containers[0].Env = nil
		if i == 0 || (i-1)*runs/pods != run { // the first of the gang
			pod.Spec.Containers[0].Env = JobPod(i).Spec.Containers[0].Env
			pod.Spec.Containers[0].Env[0].Value = id
			if run%2 == 0 {
				pod.Annotations[binding.RunKey], pod.Spec.Containers[0].Env = id, nil
			}
		}
		l.store.SeePod(evidence.PodOf(pod))
	}
	for i := range runs {
		run := binding.Run{
			Object: types.NamespacedName{Namespace: "vision", Name: runID(i)}, Tracker: "wandb", ID: runID(i), UID: fmt.Sprintf("u%d", i),
			CreatedAt: Start, HeartbeatAt: at(pods), Active: true,
		}
		l.index.Set(run)
		l.runs = append(l.runs, run)
	}
	return l
}

// All finds the links of all runs, and gives how many there are.
func (l *Links) All() (found int) {
	for i := range l.runs {
		found += len(binding.Links(l.runs[i], l.store, l.index.Others, at(100_000)).Links)
	}
	return found
}

// Concerned gives how many runs a change of one pod concerns.
func (l *Links) Concerned() int {
	return len(l.index.RunsOf(l.store.Pod(JobPod(0).UID)))
}
