package evidence_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	feed "github.com/runtag/runtag/controllers/evidence"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/controlplane"
	"github.com/runtag/runtag/internal/evidence"
)

// patience is for what happens by itself.
const patience = "30s"

// world is a control plane, as an administrator sees it.
type world struct {
	plane *controlplane.ControlPlane
	core  kubernetes.Interface
}

// fed is a store that a Feeder feeds.
type fed struct {
	*evidence.Store
	feeder *feed.Feeder
	stop   func()

	mu      sync.Mutex
	changes []evidence.Change
}

func (f *fed) changed(c evidence.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changes = append(f.changes, c)
}

// said gives what the store said since the last time.
func (f *fed) said() []evidence.Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes := f.changes
	f.changes = nil
	return changes
}

// start feeds a store, an empty one unless there is one already, and waits until all is seen.
func (w *world) start(t *testing.T, f *fed, change func(*feed.Options)) *fed {
	t.Helper()
	if f == nil {
		f = &fed{}
		f.Store = evidence.New(evidence.Options{Clock: clock.RealClock{}, Keys: binding.Keys, Changed: f.changed})
	}
	o := feed.Options{Config: w.plane.RESTConfig(), Store: f.Store, Clock: clock.RealClock{}, Log: testr.New(t)}
	if change != nil {
		change(&o)
	}
	feeder, err := feed.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- feeder.Start(ctx) }()
	f.feeder, f.stop = feeder, sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the feeder ended with %v", err)
		}
	})
	t.Cleanup(f.stop)
	limited, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	if err := feeder.WaitForSync(limited); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFeeder(t *testing.T) {
	plane := controlplane.StartForTest(t)
	core, err := kubernetes.NewForConfig(plane.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{plane: plane, core: core}
	for name, test := range map[string]func(*testing.T, *world){
		"moment": keepsAConditionOfAMoment, "namespaces": keepsToItsNamespaces, "heartbeat": isSilentAboutHeartbeats,
		"forbidden": goesOnWithoutNodes, "list": dropsWhatIsNoLongerListed, "kueue": findsKueueLater, "owners": asksOwners,
	} {
		t.Run(name, func(t *testing.T) { test(t, w) })
	}
	t.Run("restart", func(t *testing.T) { outlivesTheAPIServer(t, w) })
}

// namespace makes one in which pods can be made.
func (w *world) namespace(t *testing.T, name string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := w.core.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := w.core.CoreV1().ServiceAccounts(name).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// pod makes one.
func (w *world) pod(t *testing.T, namespace, name string, owners ...metav1.OwnerReference) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: owners},
		Spec: corev1.PodSpec{
			NodeName: "node-of-" + namespace, AutomountServiceAccountToken: ptr.To(false), TerminationGracePeriodSeconds: ptr.To[int64](0),
			Containers: []corev1.Container{{Name: "main", Image: "image"}},
		},
	}
	pod, err := w.core.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func (w *world) delete(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := w.core.CoreV1().Pods(pod.Namespace).Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
}

func keepsAConditionOfAMoment(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "moment")
	f := w.start(t, nil, nil)
	for i := range 5 {
		pod := w.pod(t, "moment", "p"+string(rune('0'+i)))
		patch := []byte(`{"status":{"conditions":[{"type":"DisruptionTarget","status":"True","reason":"PreemptionByScheduler"}]}}`)
		if _, err := w.core.CoreV1().Pods("moment").Patch(t.Context(), pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
			t.Fatal(err)
		}
		w.delete(t, pod)
		g.Eventually(func() *evidence.Pod { return f.Pod(pod.UID) }, patience).Should(HaveField("Over()", true))
		g.Expect(f.Pod(pod.UID).Conditions).To(ContainElement(HaveField("Reason", "PreemptionByScheduler")))
	}
	g.Expect(f.said()).To(ContainElement(HaveField("Urgent", true)))
}

func keepsToItsNamespaces(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "ours")
	w.namespace(t, "ours-too")
	w.namespace(t, "theirs")
	before := w.pod(t, "theirs", "p")
	f := w.start(t, nil, func(o *feed.Options) { o.Namespaces = []string{"ours", "ours-too"} })
	after := w.pod(t, "theirs", "q")
	one, two := w.pod(t, "ours", "p"), w.pod(t, "ours-too", "p")
	g.Eventually(func() *evidence.Pod { return f.Pod(one.UID) }, patience).ShouldNot(BeNil())
	g.Eventually(func() *evidence.Pod { return f.Pod(two.UID) }, patience).ShouldNot(BeNil())
	g.Expect(f.Pod(before.UID)).To(BeNil())
	g.Expect(f.Pod(after.UID)).To(BeNil())
	f.stop()
	w.start(t, f, func(o *feed.Options) { o.Namespaces = []string{"ours"} })
	g.Expect(f.Pod(two.UID).Over()).To(BeFalse(), "a list of one namespace says nothing of another one")
}

func isSilentAboutHeartbeats(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "beats")
	nodes := w.core.CoreV1().Nodes()
	node, err := nodes.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-of-beats"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	beat := func(at time.Time, status corev1.ConditionStatus) {
		t.Helper()
		node.Status.Conditions = []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: status, LastHeartbeatTime: metav1.NewTime(at), LastTransitionTime: node.CreationTimestamp,
		}}
		if node, err = nodes.UpdateStatus(t.Context(), node, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	start := node.CreationTimestamp.Time
	beat(start, corev1.ConditionTrue)
	pod := w.pod(t, "beats", "p")
	f := w.start(t, nil, nil)
	g.Eventually(func() *evidence.Node { return f.Pod(pod.UID).Node }, patience).ShouldNot(BeNil())
	f.said()
	for i := range 20 {
		beat(start.Add(time.Duration(i+1)*time.Minute), corev1.ConditionTrue)
	}
	beat(start.Add(time.Hour), corev1.ConditionUnknown)
	var changes []evidence.Change
	g.Eventually(func() []evidence.Change {
		changes = append(changes, f.said()...)
		return changes
	}, patience).ShouldNot(BeEmpty())
	g.Expect(changes).To(HaveLen(1), "the heartbeats before were no changes")
	g.Expect(changes[0].Node).To(Equal(node.Name))
	g.Expect(changes[0].Urgent).To(BeTrue())
	g.Expect(changes[0].Pods).To(ConsistOf(HaveField("UID", pod.UID)))
}

func goesOnWithoutNodes(t *testing.T, w *world) {
	w.namespace(t, "narrow")
	account := metav1.ObjectMeta{Name: "default", Namespace: "narrow"}
	role := &rbacv1.Role{ObjectMeta: account, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch"}}}}
	if _, err := w.core.RbacV1().Roles("narrow").Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	grant := &rbacv1.RoleBinding{
		ObjectMeta: account, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "default"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "default", Namespace: "narrow"}},
	}
	if _, err := w.core.RbacV1().RoleBindings("narrow").Create(t.Context(), grant, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	cfg, err := w.plane.ConfigFor(t.Context(), "narrow", "default")
	if err != nil {
		t.Fatal(err)
	}
	pod := w.pod(t, "narrow", "p")
	f := w.start(t, nil, func(o *feed.Options) { o.Config, o.Namespaces = cfg, []string{"narrow"} })
	if f.Pod(pod.UID) == nil || !f.feeder.Synced() {
		t.Error("a role that may not list nodes keeps pods from being seen")
	}
}

func dropsWhatIsNoLongerListed(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "list")
	node, err := w.core.CoreV1().Nodes().Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node-of-list"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stays, goes := w.pod(t, "list", "stays"), w.pod(t, "list", "goes")
	f := w.start(t, nil, nil)
	g.Expect(f.Node(node.Name)).NotTo(BeNil())
	f.stop()
	w.delete(t, goes)
	if err := w.core.CoreV1().Nodes().Delete(t.Context(), node.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.start(t, f, nil)
	g.Expect(f.Pod(goes.UID).Over()).To(BeTrue())
	g.Expect(f.Pod(stays.UID).Over()).To(BeFalse())
	g.Expect(f.Node(node.Name)).To(BeNil())
	g.Expect(f.Pod(stays.UID).Node).NotTo(BeNil(), "what was seen of the node stays with the pod")
}

const kueueCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: workloads.kueue.x-k8s.io
  annotations: {api-approved.kubernetes.io: "unapproved, a test"}
spec:
  group: kueue.x-k8s.io
  scope: Namespaced
  names: {plural: workloads, singular: workload, kind: Workload, listKind: WorkloadList}
  versions:
  - {name: v1beta1, served: true, storage: false, schema: &any {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
  - {name: v1beta2, served: true, storage: true, schema: *any}
`

func findsKueueLater(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "kueue")
	pod := w.pod(t, "kueue", "p")
	fake := clocktesting.NewFakeClock(time.Now())
	f := w.start(t, nil, func(o *feed.Options) { o.Clock = fake })
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "workloads.yaml"), []byte(kueueCRD), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := controlplane.InstallCRDs(t.Context(), w.plane.RESTConfig(), dir); err != nil {
		t.Fatal(err)
	}
	objects, err := dynamic.NewForConfig(w.plane.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	workloads := objects.Resource(schema.GroupVersionResource{Group: "kueue.x-k8s.io", Version: "v1beta2", Resource: "workloads"}).Namespace("kueue")
	workload := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": "Workload",
		"metadata": map[string]any{"name": "w", "ownerReferences": []any{
			map[string]any{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": string(pod.UID)},
		}},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Evicted", "status": "True", "reason": "Preempted"}}},
	}}
	if _, err := workloads.Create(t.Context(), workload, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	fake.Step(5 * time.Minute)
	seen := func() []*evidence.Workload { return f.WorkloadsOf("kueue", pod.UID) }
	g.Eventually(seen, patience).Should(ConsistOf(HaveField("Conditions", ConsistOf(HaveField("Reason", "Preempted")))))
	g.Expect(f.said()).To(ContainElement(And(HaveField("Urgent", true), HaveField("Workload.Name", "w"))))

	again := w.start(t, nil, nil)
	g.Expect(again.WorkloadsOf("kueue", pod.UID)).To(HaveLen(1), "where it is there from the start, it is waited for")
}

func outlivesTheAPIServer(t *testing.T, w *world) {
	g := NewWithT(t)
	w.namespace(t, "restart")
	before, goes := w.pod(t, "restart", "before"), w.pod(t, "restart", "goes")
	f := w.start(t, nil, nil)
	g.Expect(f.Pod(goes.UID)).NotTo(BeNil())
	if err := w.plane.RestartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.delete(t, goes)
	after := w.pod(t, "restart", "after")
	g.Eventually(func() *evidence.Pod { return f.Pod(after.UID) }, patience).ShouldNot(BeNil())
	g.Eventually(func() bool { return f.Pod(goes.UID).Over() }, patience).Should(BeTrue())
	g.Expect(f.Pod(before.UID).Over()).To(BeFalse())
	restarted := slices.ContainsFunc(f.said(), func(c evidence.Change) bool { return c.Pods[0].UID == before.UID && c.Before[0] != nil })
	g.Expect(restarted).To(BeFalse(), "a pod that did not change is no news after a restart")
}
