package rules

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/rules"
)

const shippedRules = "../../config/rules"

// shipped reads the rules that the kustomization lists.
func shipped(t *testing.T) map[string]v1alpha1.ClusterTagRule {
	t.Helper()
	var list struct {
		Resources []string `json:"resources"`
	}
	readYAML(t, filepath.Join(shippedRules, "kustomization.yaml"), &list)
	out := map[string]v1alpha1.ClusterTagRule{}
	for _, file := range list.Resources {
		var rule v1alpha1.ClusterTagRule
		readYAML(t, filepath.Join(shippedRules, file), &rule)
		out[rule.Name] = rule
	}
	return out
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(raw, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func shippedPrograms(t *testing.T) map[string]*rules.Program {
	t.Helper()
	out := map[string]*rules.Program{}
	for name, rule := range shipped(t) {
		out[name] = compile(t, specOf("ClusterTagRule", name, rule.Spec.TagRuleSpec))
	}
	return out
}

// scene is one pod, the last of a run, where it ran and what became of it; and which shipped rules are true of the run.
type scene struct {
	name, reason string
	// pod and node name files of testdata; changes are what happened to the node.
	pod, node string
	changes   []func(*corev1.Node)
	// workload names a file of testdata, evictedFor another reason of its condition Evicted.
	workload, evictedFor string
	// link changes when the pod belonged to the run.
	link func(*rules.Linked)
	want []string
}

func (s scene) input(t *testing.T) rules.Input {
	t.Helper()
	l := linked(t, s.pod, s.node, s.changes...)
	if s.link != nil {
		s.link(&l)
	}
	in := world([]rules.Linked{l})
	if s.workload != "" {
		w := workload(t, s.workload)
		if s.evictedFor != "" {
			w = workload(t, s.workload, s.evictedFor)
		}
		in.Workloads = append(in.Workloads, w)
	}
	return in
}

// holding lists in order the rules that are true.
func holding(programs map[string]*rules.Program, in rules.Input) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		if programs[name].Eval(in).Outcome == rules.True {
			out = append(out, name)
		}
	}
	return out
}

func TestShippedRules(t *testing.T) {
	programs := shippedPrograms(t)
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			in := s.input(t)
			slices.Sort(s.want)
			if diff := cmp.Diff(s.want, holding(programs, in)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", s.reason, diff)
				for name, p := range programs {
					t.Logf("%s: %+v", name, p.Explain(in))
				}
			}
		})
	}
}

func TestShippedRulesAreNamedAsTheirTags(t *testing.T) {
	want := map[string]v1alpha1.Retention{
		"preemptible": "", "preempted": "", "disrupted": "", "node-fault": "", "interrupted": v1alpha1.RetentionWhileTrue,
	}
	got := map[string]v1alpha1.Retention{}
	for name, rule := range shipped(t) {
		got[name] = rule.Spec.Retention
		if diff := cmp.Diff([]string{name}, rule.Spec.Tags); diff != "" {
			t.Errorf("tags of %s (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules and how long their tags stay (-want +got):\n%s", diff)
	}
	files, err := filepath.Glob(filepath.Join(shippedRules, "*.yaml"))
	if err != nil || len(files) != len(want)+1 {
		t.Errorf("the kustomization lists %d rules of the files %v (%v)", len(want), files, err)
	}
}

// What is preemptible is written out wherever it is asked, and so is what proves that a node was taken back.
func TestShippedRulesAgree(t *testing.T) {
	all := shipped(t)
	lines := func(name string) []string {
		var out []string
		for line := range strings.Lines(all[name].Spec.When) {
			out = append(out, strings.Join(strings.Fields(line), " "))
		}
		return out
	}
	part := func(of []string, first, last string) []string {
		from, to := slices.Index(of, first), -1
		for i, line := range of {
			if strings.HasPrefix(line, last) && i > from {
				to = i
				break
			}
		}
		if from < 0 || to < 0 {
			t.Fatalf("there is no part from %q to %q", first, last)
		}
		return of[from : to+1]
	}
	spot := func(name string) []string {
		return part(lines(name), `n.label("cloud.google.com/gke-spot") == "true" || // GKE, Spot VMs`, `n.label("scheduling.cast.ai/spot-fallback")`)
	}
	for _, other := range []string{"preempted", "disrupted", "node-fault"} {
		if diff := cmp.Diff(spot("preemptible"), spot(other)); diff != "" {
			t.Errorf("what %s takes for preemptible (-preemptible +%s):\n%s", other, other, diff)
		}
	}
	taken := func(name string) []string {
		return part(lines(name), "// The provider took the node back.", `n.label("autoscaling.cast.ai/draining")`)
	}
	if diff := cmp.Diff(taken("preempted"), taken("disrupted")); diff != "" {
		t.Errorf("what proves that a node was taken back (-preempted +disrupted):\n%s", diff)
	}
}

// A run whose pods are not known, and one whose pods are gone, is no run without a fault.
func TestShippedRulesSayNothingWithoutPods(t *testing.T) {
	for name, p := range shippedPrograms(t) {
		for state, ended := range map[string]bool{"running": false, "finished": true} {
			in := world(nil)
			in.Run.State, in.Ended = state, ended
			v := p.Eval(in)
			switch {
			case name == "interrupted" && ended:
				if v.Outcome != rules.False {
					t.Errorf("%s of a %s run is %v: what ended is interrupted no more", name, state, v.Outcome)
				}
			case v.Outcome != rules.NoInput:
				t.Errorf("%s of a %s run without pods is %v, and there was nothing to go by", name, state, v.Outcome)
			}
		}
	}
}

// A rule that goes by nodes waits until it has seen them; what is proved without them does not wait.
func TestShippedRulesWaitForNodes(t *testing.T) {
	programs := shippedPrograms(t)
	l := linked(t, "evicted", "gke-spot")
	l.Node = nil
	for name, p := range programs {
		if got := p.Eval(world([]rules.Linked{l})).Outcome; got != rules.NoInput {
			t.Errorf("%s of an evicted pod on a node not seen is %v: the node may be a preemptible one", name, got)
		}
	}
	l = linked(t, "preempted-by-scheduler", "gke-standard")
	l.Node = nil
	if diff := cmp.Diff([]string{"preempted"}, holding(programs, world([]rules.Linked{l}))); diff != "" {
		t.Errorf("the scheduler says itself that it preempted (-want +got):\n%s", diff)
	}
}

// What happens to one pod of a gang happened to the run; which pod it was is in the evidence.
func TestShippedRulesSeeEachPodOfAGang(t *testing.T) {
	programs := shippedPrograms(t)
	var gang []rules.Linked
	for i := range 64 {
		pod, node := "running", "gke-standard"
		if i == 37 {
			pod, node = "node-shutdown", "gke-spot"
		}
		l := linked(t, pod, node)
		copied := *l.Pod
		copied.UID += "/" + uidOf(i)
		copied.Name = "capsules-" + string(uidOf(i))
		l.Pod, l.Direct = &copied, i == 0
		gang = append(gang, l)
	}
	in := world(gang)
	if diff := cmp.Diff([]string{"preempted", "preemptible"}, holding(programs, in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, want := range map[string]string{
		"preempted":   "pod capsules-37 on node gke-ml-spot-5b1c8d0e-7397: reason=Terminated, cloud.google.com/gke-spot=true",
		"preemptible": "pod capsules-37 on node gke-ml-spot-5b1c8d0e-7397: cloud.google.com/gke-spot=true",
	} {
		if got := programs[name].Eval(in).Evidence; !strings.HasPrefix(got, want) {
			t.Errorf("evidence of %s is %q, want it to begin with %q", name, got, want)
		}
	}
}

// A thousand pods on as many nodes are asked about within the limits, as long as most of them are well.
func TestShippedRulesKnowLargeGangs(t *testing.T) {
	const size = 1000
	programs := shippedPrograms(t)
	gang := make([]rules.Linked, size)
	well, gone := linked(t, "running", "gke-spot"), linked(t, "pod-gc", "gke-spot")
	for i := range gang {
		l := well
		if i == size-1 {
			l = gone
		}
		pod, node := *l.Pod, *l.Node
		pod.UID, pod.Name, pod.NodeName = uidOf(i), "capsules-"+string(uidOf(i)), "node-"+string(uidOf(i))
		node.UID, node.Name = uidOf(i), pod.NodeName
		l.Pod, l.Node = &pod, &node
		gang[i] = l
	}
	in := world(gang)
	for name, p := range programs {
		if v := p.Eval(in); v.Outcome == rules.NoInput {
			t.Errorf("%s of %d pods: %s", name, size, v.Why)
		}
	}
	if diff := cmp.Diff([]string{"preempted", "preemptible"}, holding(programs, in)); diff != "" {
		t.Errorf("the last of them was preempted (-want +got):\n%s", diff)
	}
}
