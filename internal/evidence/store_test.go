package evidence_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/test/bench/gate/sample"
)

func store(o evidence.Options) (*evidence.Store, *clocktesting.FakePassiveClock) {
	clock := clocktesting.NewFakePassiveClock(morning)
	o.Clock = clock
	return evidence.New(o), clock
}

// watched is a store that notes what it says.
type watched struct {
	*evidence.Store
	clock   *clocktesting.FakePassiveClock
	changes []evidence.Change
}

func watch() *watched {
	w := &watched{}
	w.Store, w.clock = store(evidence.Options{Changed: func(c evidence.Change) { w.changes = append(w.changes, c) }})
	return w
}

// said gives what was said since the last time.
func (w *watched) said() []evidence.Change {
	changes := w.changes
	w.changes = nil
	return changes
}

// expect checks that one change was said, and of how many pods.
func (w *watched) expect(t *testing.T, reason string, pods int, urgent bool) {
	t.Helper()
	changes := w.said()
	if len(changes) != 1 || len(changes[0].Pods) != pods || len(changes[0].Before) != pods || changes[0].Urgent != urgent {
		t.Errorf("%s: got %+v, want one change of %d pods, urgent: %v", reason, changes, pods, urgent)
	}
}

func (w *watched) expectNothing(t *testing.T, reason string) {
	t.Helper()
	if changes := w.said(); len(changes) > 0 {
		t.Errorf("%s: got %+v, want no change", reason, changes)
	}
}

func pod(name string, f ...func(*evidence.Pod)) *evidence.Pod {
	p := &evidence.Pod{UID: types.UID("u-" + name), Namespace: "vision", Name: name, NodeName: "n", Phase: "Running", CreatedAt: at(0), StartedAt: at(0)}
	for _, f := range f {
		f(p)
	}
	return p
}

func condition(kind, status, reason string, at time.Time) func(*evidence.Pod) {
	return func(p *evidence.Pod) {
		p.Conditions = append(p.Conditions, evidence.Condition{Type: kind, Status: status, Reason: reason, At: at})
	}
}

func ended(at time.Time) func(*evidence.Pod) {
	return func(p *evidence.Pod) { p.Phase, p.EndedAt = "Failed", at }
}

func owned(uid types.UID) func(*evidence.Pod) {
	return func(p *evidence.Pod) {
		p.Owners = []evidence.Owner{{Kind: "Job", Name: "j", UID: uid, Controller: true}}
	}
}

func TestAConditionOfAMomentStays(t *testing.T) {
	w := watch()
	w.SeePod(pod("a", condition("Ready", "True", "", at(0))))
	w.expect(t, "a new pod", 1, false)
	w.SeePod(pod("a", condition("Ready", "True", "", at(0)), condition("DisruptionTarget", "True", "PreemptionByScheduler", at(1))))
	w.expect(t, "a disruption", 1, true)
	w.SeePod(pod("a", condition("Ready", "False", "", at(2))))
	w.expect(t, "not ready", 1, false)
	w.SeePod(pod("a", condition("Ready", "False", "", at(2)), condition("DisruptionTarget", "True", "EvictionByEvictionAPI", at(3))))
	w.expect(t, "a second disruption for another reason", 1, true)
	w.clock.SetTime(at(4))
	w.GonePod("u-a")
	w.expect(t, "its end", 1, false)
	w.GonePod("u-a")
	w.expectNothing(t, "it ends once")

	want := pod("a", condition("Ready", "False", "", at(2)), condition("DisruptionTarget", "True", "EvictionByEvictionAPI", at(3)),
		condition("DisruptionTarget", "True", "PreemptionByScheduler", at(1)))
	want.EndedAt, want.Seen = at(4), 5
	if diff := cmp.Diff(want, w.Pod("u-a")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatIsTheSameIsNoChange(t *testing.T) {
	w := watch()
	sight := func() *evidence.Pod { return evidence.PodOf(sample.JobPod(1)) }
	w.SeePod(sight())
	first := w.Pod(sight().UID)
	w.said()
	w.clock.SetTime(at(9))
	w.SeePod(sight())
	w.expectNothing(t, "nothing is different")
	if w.Pod(sight().UID) != first {
		t.Error("the record of a pod that did not change is another one")
	}
	changed := sight()
	changed.Labels = evidence.TextsOf(map[string]string{"app": "other"})
	w.SeePod(changed)
	w.expect(t, "a label", 1, false)
	if first.Labels.Get("app") != "train" || w.Pod(first.UID).Seen != first.Seen+1 {
		t.Error("a record that was given away has changed, or the new one was not counted")
	}
}

func TestTimesThatNobodyGives(t *testing.T) {
	w := watch()
	disrupted := condition("DisruptionTarget", "True", "", time.Time{})
	w.SeePod(pod("a", disrupted))
	w.clock.SetTime(at(1))
	w.SeePod(pod("a", disrupted, ended(time.Time{})))
	w.clock.SetTime(at(2))
	w.SeePod(pod("a", disrupted, ended(time.Time{}), func(p *evidence.Pod) { p.Reason = "late" }))
	got := w.Pod("u-a")
	if !got.Conditions[0].At.Equal(at(0)) || !got.EndedAt.Equal(at(1)) {
		t.Errorf("the condition is from %s, and the end from %s; want when they were seen first", got.Conditions[0].At, got.EndedAt)
	}
	w.SeePod(pod("a", disrupted, ended(at(-1))))
	if got := w.Pod("u-a").EndedAt; !got.Equal(at(-1)) {
		t.Errorf("a container says when it ended, and it is %s", got)
	}

	n := evidence.Node{Name: "n", Taints: []evidence.Taint{{Key: "k"}}}
	w.SeeNode(&n)
	w.clock.SetTime(at(3))
	n.Taints = []evidence.Taint{{Key: "k"}, {Key: "l"}}
	w.SeeNode(&n)
	if got := w.Node("n").Taints; !got[0].At.Equal(at(2)) || !got[1].At.Equal(at(3)) {
		t.Errorf("the taints are from %s and %s", got[0].At, got[1].At)
	}
}

func TestAPodThatIsSeenAgainAfterItsEndLives(t *testing.T) {
	w := watch()
	w.SeePod(pod("a"))
	w.GonePod("u-a") // missing in a list that was out of date
	w.SeePod(pod("a"))
	if w.Pod("u-a").Over() {
		t.Error("it is over")
	}
}

func TestNodesOfPods(t *testing.T) {
	w := watch()
	w.SeePod(pod("live"))
	w.SeePod(pod("over", ended(at(5))))
	w.said()
	sight := func(minutes int, taint string) *evidence.Node {
		n := evidence.NodeOf(sample.Node("n"))
		n.Taints = []evidence.Taint{{Key: taint, At: at(minutes)}}
		return n
	}
	w.SeeNode(sight(1, "first"))
	w.expect(t, "a node that is seen after its pods", 2, false)
	w.SeeNode(sight(1, "first"))
	w.expectNothing(t, "the same")
	w.SeeNode(sight(2, "second"))
	w.expect(t, "a taint, of the pod that lives", 1, true)
	w.SeePod(pod("late"))
	w.expect(t, "a pod that comes to a node that is known", 1, false)
	for name, want := range map[string]string{"live": "second", "over": "first", "late": "second"} {
		if got := w.Pod(types.UID("u-" + name)).Node; got == nil || got.Taints[0].Key != want {
			t.Errorf("the node of %s is %+v, want %s", name, got, want)
		}
	}
	if on := w.PodsOn("n"); len(on) != 2 {
		t.Errorf("%d pods live on it, want 2", len(on))
	}

	w.GoneNode("n")
	if w.Node("n") != nil || w.Pod("u-live").Node == nil {
		t.Error("the node is there, or its pod has forgotten it")
	}
	w.expectNothing(t, "a node that goes takes nothing away")
	again := sight(9, "again")
	again.UID, again.CreatedAt = "another", at(8)
	w.SeeNode(again)
	w.expectNothing(t, "another node of that name is none of pods that were there before")
	w.SeePod(pod("new", func(p *evidence.Pod) { p.StartedAt = at(9) }))
	if w.Pod("u-new").Node != w.Node("n") || w.Pod("u-live").Node == w.Node("n") {
		t.Error("the new node is not where it belongs")
	}
	w.SeePod(pod("old", ended(at(7))))
	if w.Pod("u-old").Node != nil {
		t.Error("a pod that ended before the node was made is on it")
	}
}

func TestAHeartbeatIsNoChange(t *testing.T) {
	w := watch()
	for i := range 50 {
		w.SeePod(pod(fmt.Sprint(i)))
	}
	n := sample.Node("n")
	w.SeeNode(evidence.NodeOf(n))
	w.said()
	before, seen := w.Node("n"), w.Pod("u-1")
	n.ResourceVersion = "2"
	n.Status.Images = []corev1.ContainerImage{{Names: []string{"large"}}}
	n.Status.Conditions[3].LastHeartbeatTime = stamp(30)
	n.Status.Conditions[3].Message = "posting"
	w.SeeNode(evidence.NodeOf(n))
	w.expectNothing(t, "a heartbeat")
	if w.Node("n") != before || w.Pod("u-1") != seen {
		t.Error("the records are others")
	}
	n.Status.Conditions[3].Status = "Unknown"
	n.Status.Conditions[3].LastTransitionTime = stamp(31)
	w.SeeNode(evidence.NodeOf(n))
	w.expect(t, "a condition, of all its pods", 50, true)
	n.Labels["l"] = "v"
	w.SeeNode(evidence.NodeOf(n))
	w.expect(t, "a label", 50, false)
}

func TestIndexes(t *testing.T) {
	s, _ := store(evidence.Options{Keys: func(p *evidence.Pod) []string { return []string{p.Labels.Get("k"), p.Labels.Get("k"), "all"} }})
	labelled := func(name, ns, value string) *evidence.Pod {
		return pod(name, func(p *evidence.Pod) { p.Namespace, p.Labels = ns, evidence.TextsOf(map[string]string{"k": value}) })
	}
	s.SeePod(labelled("a", "vision", "1"))
	s.SeePod(labelled("b", "vision", "1"))
	s.SeePod(labelled("c", "speech", "1"))
	s.SeePod(pod("d"))
	expect := func(what string, pods []*evidence.Pod, want ...string) {
		t.Helper()
		var names []string
		for _, p := range pods {
			names = append(names, p.Name)
		}
		slices.Sort(names)
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	expect("key", s.Indexed("1"), "a", "b", "c")
	expect("any", s.Indexed("all"), "a", "b", "c", "d")
	expect("pair", s.Labelled("vision", "k", "1", "9", "1"), "a", "b")
	s.SeePod(labelled("b", "vision", "2"))
	s.SeePod(labelled("e", "vision", "2"))
	expect("key, after a change", s.Indexed("1"), "a", "c")
	expect("new key", s.Indexed("2"), "b", "e")
	expect("pair, after a change", s.Labelled("vision", "k", "1"), "a")
	expect("pairs", s.Labelled("vision", "k", "1", "2"), "a", "b", "e")
	expect("label", s.Labelled("vision", "k"), "a", "b", "e")
	expect("namespace", s.Labelled("vision", ""), "a", "b", "d", "e")
	expect("another namespace", s.Labelled("speech", "k", "1"), "c")
	expect("a key that is called as a namespace is", s.Indexed("vision"))
	expect("nowhere", s.Labelled("void", ""))
	if !s.Any("vision") || s.Any("void") {
		t.Error("Any is wrong")
	}
	if s.Len() != 5 || len(s.Pods()) != 5 {
		t.Errorf("%d pods, want 5", s.Len())
	}
}

func TestEndedPodsAreForgotten(t *testing.T) {
	changes := 0
	s, clock := store(evidence.Options{
		Keys:    func(p *evidence.Pod) []string { return []string{p.Namespace} },
		Changed: func(evidence.Change) { changes++ },
	})
	s.SeePod(pod("lives", owned("j")))
	s.SeePod(pod("ended", owned("k"), ended(at(0))))
	s.SetOwnerRuns("k", []string{"x"})
	s.SeePod(pod("goes", owned("j")))
	clock.SetTime(at(60))
	s.GonePod("u-goes")
	clock.SetTime(morning.Add(evidence.Keep + time.Second))
	s.SeePod(pod("other"))
	if s.Pod("u-ended") != nil || s.Pod("u-goes") == nil || s.Pod("u-lives") == nil || len(s.Indexed("vision")) != 3 || s.KnowsOwner("k") {
		t.Errorf("a day after one of them ended, these are kept: %v", s.Pods())
	}
	changes = 0
	s.SeePod(pod("ended", ended(at(0))))
	if s.Pod("u-ended") != nil || changes > 0 {
		t.Error("what had been forgotten came back, or was said again")
	}
	clock.SetTime(at(60).Add(evidence.Keep + time.Second))
	s.SeePod(pod("third"))
	if s.Pod("u-goes") != nil || s.Len() != 3 {
		t.Errorf("a day after another one was gone, these are kept: %v", s.Pods())
	}
}

func TestTheLatestEndedPodsAreKept(t *testing.T) {
	s, clock := store(evidence.Options{})
	for i := range evidence.MostEnded + 10 { // the other way around, so that the first ones are the latest
		s.SeePod(pod(fmt.Sprint(i), ended(at(0).Add(-time.Duration(i)*time.Second))))
	}
	for i := range 50 {
		s.SeePod(pod(fmt.Sprint("lives", i)))
	}
	clock.SetTime(at(1))
	s.GonePod("u-lives0")
	if s.Len() != evidence.MostEnded+49 {
		t.Errorf("%d pods are kept", s.Len())
	}
	for uid, want := range map[types.UID]bool{
		"u-0": true, "u-lives0": true, "u-lives1": true,
		types.UID(fmt.Sprint("u-", evidence.MostEnded-2)): true, types.UID(fmt.Sprint("u-", evidence.MostEnded-1)): false,
		types.UID(fmt.Sprint("u-", evidence.MostEnded+9)): false,
	} {
		if got := s.Pod(uid) != nil; got != want {
			t.Errorf("%s is kept: %v", uid, got)
		}
	}
}

func TestRunsOfOwners(t *testing.T) {
	w := watch()
	w.SeePod(pod("a", owned("j")))
	w.SeePod(pod("b", owned("j")))
	w.SeePod(pod("c", owned("k")))
	w.said()
	w.SetOwnerRuns("j", []string{"y", "x"})
	w.expect(t, "the pods of the owner", 2, false)
	w.SetOwnerRuns("j", []string{"x", "y"})
	w.expectNothing(t, "the same runs")
	w.SetOwnerRuns("void", []string{"x"})
	w.expectNothing(t, "an owner without pods")
	w.SeePod(pod("d", owned("j")))
	for name, want := range map[string][]string{"a": {"x", "y"}, "b": {"x", "y"}, "c": nil, "d": {"x", "y"}} {
		if diff := cmp.Diff(want, w.Pod(types.UID("u-"+name)).OwnerRuns); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if !w.KnowsOwner("j") || w.KnowsOwner("k") || w.KnowsOwner("void") {
		t.Error("KnowsOwner is wrong")
	}
}

func TestWorkloads(t *testing.T) {
	w := watch()
	w.SeePod(pod("job", owned("j")))
	w.SeePod(pod("set", func(p *evidence.Pod) {
		p.Labels = evidence.TextsOf(map[string]string{"jobset.sigs.k8s.io/jobset-uid": "s"})
	}))
	w.SeePod(pod("named", func(p *evidence.Pod) {
		p.Annotations = evidence.TextsOf(map[string]string{"kueue.x-k8s.io/workload": "w"})
	}))
	w.SeePod(pod("far", owned("l")))
	w.SetOwnerRuns("l", nil, "m", "trainjob")
	w.SeePod(pod("plain"))
	w.SeePod(pod("other"))
	w.said()
	workload := func(status string, owners ...types.UID) *evidence.Workload {
		return &evidence.Workload{
			UID: "uid-of-w", Namespace: "vision", Name: "w", Owners: owners,
			Conditions: []evidence.Condition{{Type: "Evicted", Status: status, Reason: "Preempted", At: at(1)}},
		}
	}
	owners := []types.UID{"j", "s", "trainjob", "u-plain"}
	w.SeeWorkload(workload("False", owners...))
	w.expect(t, "those that it stands for", 5, false)
	w.SeeWorkload(workload("False", owners...))
	w.expectNothing(t, "the same")
	w.SeeWorkload(workload("True", owners...))
	w.expect(t, "an eviction", 5, true)
	for name, want := range map[string]int{"job": 1, "set": 1, "named": 1, "far": 1, "plain": 1, "other": 0} {
		if got := w.WorkloadsOfPods(w.Pod(types.UID("u-" + name))); len(got) != want {
			t.Errorf("%d Workloads of %s, want %d", len(got), name, want)
		}
	}
	if got := w.WorkloadsOfPods(w.Pods()...); len(got) != 1 {
		t.Errorf("it is given %d times", len(got))
	}
	if len(w.WorkloadsOf("vision", "j", "s")) != 1 || len(w.WorkloadsOf("speech", "j")) != 0 || len(w.WorkloadsOf("vision", "x")) != 0 {
		t.Error("WorkloadsOf is wrong")
	}

	w.GoneWorkload("uid-of-w")
	if len(w.WorkloadsOf("vision", "j")) != 1 {
		t.Error("it is forgotten as soon as it is gone, and with it why its pods vanished")
	}
	w.clock.SetTime(morning.Add(evidence.Keep + time.Second))
	w.GoneWorkload("uid-of-w")
	if len(w.WorkloadsOf("vision", "j")) != 0 || len(w.Workloads()) != 0 {
		t.Error("a day later it is still there")
	}
}

func TestAtTheSameTime(t *testing.T) {
	s, _ := store(evidence.Options{Keys: func(p *evidence.Pod) []string { return []string{p.Name} }})
	done := make(chan struct{})
	for i := range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for j := range 200 {
				name := fmt.Sprint(j % 20)
				s.SeePod(pod(name, func(p *evidence.Pod) {
					p.Restarts = i*1000 + j
					p.Labels = evidence.TextsOf(map[string]string{"k": fmt.Sprint(j)})
				}))
				s.SeeNode(&evidence.Node{Name: "n", Labels: evidence.TextsOf(map[string]string{"j": fmt.Sprint(j)})})
				if got := s.Indexed(name); len(got) != 1 {
					t.Errorf("%d pods of a key", len(got))
				}
				s.Labelled("vision", fmt.Sprint("k", j%3), "v")
				s.PodsOn("n")
				s.GonePod(types.UID("u-" + name))
			}
		}()
	}
	for range 8 {
		<-done
	}
	if s.Len() != 20 {
		t.Errorf("%d pods, want 20", s.Len())
	}
}
