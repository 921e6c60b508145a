package controlplane

import (
	"context"
	_ "embed" // the stages
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// Annotations that say what the kubelets, which are only simulated, do.
const (
	// ExitAnnotation on a running pod makes its containers exit with this code. After 0 the pod is Succeeded, after any
	// other Failed, whatever its restart policy says.
	ExitAnnotation = "kwok.runtag.dev/exit"
	// TerminationAnnotation on a pod is how long its containers take to end after it is deleted, such as 10ms or 3s, and
	// a second without it; each change of the pod meanwhile starts the time anew. Then the pod is Failed with exit code
	// 143, and only after that it goes.
	TerminationAnnotation = "kwok.runtag.dev/termination"
	// HeartbeatAnnotation on a node is how often its status is written, and 20 to 25 seconds without it. Heartbeats
	// change the time of the kubelet's own conditions and nothing else, so that patched conditions stay.
	HeartbeatAnnotation = "kwok.runtag.dev/heartbeat"
)

//go:embed stages.yaml
var stages []byte

const (
	stagesFile       = "kwok.yaml" // kwok's own name for it
	componentsConfig = "components.kubeconfig"
	// atOnce is how many nodes are created at the same time.
	atOnce = 16
)

// controllers are those of the controller manager that pods and nodes need. Orphaned pods are collected by a part of our
// own, see controllermanager.
var controllers = []string{
	"job-controller", "taint-eviction-controller", "disruption-controller", "namespace-controller",
	"serviceaccount-controller", "garbage-collector-controller", "node-lifecycle-controller",
}

// startNodes starts scheduler, controller manager and kwok, creates the nodes, and waits until pods can run on them.
func (c *ControlPlane) startNodes(ctx context.Context, nodes []*corev1.Node) error {
	started, err := c.startNodeComponents()
	if err != nil {
		return err
	}
	core, err := c.core()
	if err != nil {
		return err
	}
	if err := createNodes(ctx, core.Nodes(), nodes, relabel); err != nil {
		return err
	}
	ready := nodesReady(core.Nodes(), nodes)
	checks := map[Component]func(context.Context) error{
		KubeControllerManager: func(ctx context.Context) error {
			_, err := core.ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
			return err
		},
		Kwok:          ready,
		KubeScheduler: ready, // it says nothing itself; at least it still lives then
	}
	for _, component := range []Component{KubeControllerManager, Kwok, KubeScheduler} {
		if err := c.whenReady(ctx, started[component], nodesLimit(len(nodes)), checks[component]); err != nil {
			return err
		}
	}
	return nil
}

// startNodeComponents starts them, and waits for nothing.
func (c *ControlPlane) startNodeComponents() (map[Component]*process, error) {
	config := c.path("pki", componentsConfig) // the public one appears only when all is ready
	if err := WriteKubeconfig(config, c.RESTConfig()); err != nil {
		return nil, err
	}
	if err := writeFile(c.path(stagesFile), stages); err != nil {
		return nil, fmt.Errorf("write what kwok does: %w", err)
	}
	ofKubernetes := []string{"--leader-elect=false", "--secure-port=0", "--kube-api-qps=1000", "--kube-api-burst=1000"}
	flags := map[Component][]string{
		KubeScheduler:         ofKubernetes,
		KubeControllerManager: append([]string{"--controllers=" + strings.Join(controllers, ",")}, ofKubernetes...),
		Kwok: {
			"--manage-all-nodes", "--node-lease-duration-seconds=40",
			"--cidr=10.244.0.0/16", "--node-ip=10.0.0.1", "--node-port=0",
		},
	}
	env := []string{"KWOK_WORKDIR=" + c.dir} // where the stages are; in the home folder could be some of the person's own
	started := map[Component]*process{}
	for _, component := range NodeComponents() {
		args := append([]string{"--kubeconfig=" + config}, flags[component]...)
		p, err := startProcess(c.nodeBinaries.Path(component), string(component), c.LogPath(component), env, args...)
		if err != nil {
			return nil, err
		}
		started[component] = p
		c.simulators = append(c.simulators, p)
	}
	return started, nil
}

func (c *ControlPlane) core() (typedcorev1.CoreV1Interface, error) {
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return nil, err
	}
	return client.CoreV1(), nil
}

// AddNodes creates simulated nodes and returns when they are Ready and untainted but for their own taints. Where it is
// not set, a node gets what a kubelet would set: the labels for host name, operating system and architecture, and room
// for 32 CPUs, 256Gi of memory and 110 pods. Only names are required; it is an error if there is such a node already, or
// if the control plane was started without any.
func (c *ControlPlane) AddNodes(ctx context.Context, nodes ...*corev1.Node) error {
	if c.nodeBinaries.Dir == "" {
		return errors.New("nobody would make these nodes Ready; start the control plane with Options.Nodes")
	}
	core, err := c.core()
	if err != nil {
		return err
	}
	if err := createNodes(ctx, core.Nodes(), nodes, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, nodesLimit(len(nodes)))
	defer cancel()
	ready, last := nodesReady(core.Nodes(), nodes), errors.New("not asked yet")
	err = wait.PollUntilContextCancel(ctx, readyPoll, true, func(ctx context.Context) (bool, error) {
		last = ready(ctx)
		return last == nil, c.Err()
	})
	if err != nil {
		return fmt.Errorf("wait for the new nodes: %w (%w)", err, last)
	}
	return nil
}

// nodesLimit is for so many nodes to become Ready; a thousand take under half a minute on a quiet machine.
func nodesLimit(n int) time.Duration { return startLimit + time.Duration(n)*100*time.Millisecond }

// numbered gives node-0, node-1 and so on, with these labels.
func numbered(n int, labels map[string]string) []*corev1.Node {
	nodes := make([]*corev1.Node, n)
	for i := range nodes {
		nodes[i] = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i), Labels: labels}}
	}
	return nodes
}

// createNodes creates all nodes. What is there already is left to there, or an error without it.
func createNodes(ctx context.Context, client typedcorev1.NodeInterface, nodes []*corev1.Node,
	there func(context.Context, typedcorev1.NodeInterface, *corev1.Node) error,
) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, node := range nodes {
		group.Go(func() error {
			_, err := client.Create(ctx, registered(node), metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) && there != nil {
				err = there(ctx, client, node)
			}
			if err != nil {
				return fmt.Errorf("create node %s: %w", node.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// relabel gives a node of last time the labels of this time.
func relabel(ctx context.Context, client typedcorev1.NodeInterface, node *corev1.Node) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": node.Labels}})
	if err != nil {
		return err
	}
	_, err = client.Patch(ctx, node.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// registered is the node with the labels that a kubelet gives itself; its status comes from the stages.
func registered(node *corev1.Node) *corev1.Node {
	node = node.DeepCopy()
	labels := map[string]string{corev1.LabelHostname: node.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64"}
	maps.Copy(labels, node.Labels)
	node.Labels = labels
	return node
}

// nodesReady gives a check that passes once all of them are Ready. It does not ask again for those that it saw Ready.
func nodesReady(client typedcorev1.NodeInterface, nodes []*corev1.Node) func(context.Context) error {
	return func(ctx context.Context) error {
		for ; len(nodes) > 0; nodes = nodes[1:] {
			node, err := client.Get(ctx, nodes[0].Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if !takesPods(node) {
				return fmt.Errorf("node %s is not Ready yet", node.Name)
			}
		}
		return nil
	}
}

// takesPods says whether the node is Ready and the controller manager has seen that.
func takesPods(node *corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady {
			return false
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
