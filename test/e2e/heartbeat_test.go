package e2e_test

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/controlplane"
)

// What a large cluster costs in which nothing happens.
var _ = Describe("A thousand nodes that say that they live", func() {
	const (
		many = 1000
		runs = 20
		// calm is an interval in which a look is over also on a busy machine, so that nothing has to be said of that.
		calm = 10 * time.Second
	)

	It("make no TrainingRun be looked at, and no write", func(ctx SpecContext) {
		t := onWandb
		in := newNamespace(ctx, "e2e-heartbeats", t)
		m := startManager(ctx, "--watch-namespaces="+in)
		By("adding them")
		nodes := addMany(ctx, many)
		By("running on some of them")
		s := newSceneIn(ctx, t, in, func(p *v1alpha1.TrackingProject) {
			p.Spec.Interval.Duration, p.Spec.FullInterval.Duration = calm, calm
			p.Spec.Suspend = true
		})
		pods := make([]*corev1.Pod, runs)
		for i := range pods {
			pods[i] = s.newPod(ctx, nodes[i])
			run := wandbtest.Run{Entity: entity, Project: s.project, ID: fmt.Sprint("r", i), State: "running", Host: pods[i].Name}
			_, err := t.server.AddRun(run)
			Expect(err).NotTo(HaveOccurred())
		}
		s.changeProject(ctx, func(p *v1alpha1.TrackingProject) { p.Spec.Suspend = false })
		first := runRef{s.project, "r0"}
		name := s.expectImported(ctx, first)
		for i, pod := range pods {
			s.expectLink(ctx, s.expectImported(ctx, runRef{s.project, fmt.Sprint("r", i)}), pod, BeNil())
		}

		By("starting anew, as the project's counts are written at once then and not a minute later")
		m.stop()
		m = startManager(ctx, "--watch-namespaces="+in)
		Eventually(func() int32 { return s.getProject(ctx).Status.TrackedRuns }).Should(BeEquivalentTo(runs))
		s.expectLooks(ctx, 1)

		By("counting")
		versions, before := s.versions(ctx), m.measure(ctx)
		awaitBeats(ctx, many, time.Minute)
		Expect(m.measure(ctx)).To(Equal(before))
		Expect(s.versions(ctx)).To(Equal(versions))

		By("seeing one that does change")
		setNodeCondition(ctx, nodes[0], "XIDErrors", corev1.ConditionTrue)
		s.expectTagsOnTracker(ctx, first, "node-fault")
		s.expectReady(ctx, name)
		after := m.measure(ctx)
		Expect(after.reconciles).To(BeNumerically(">", before.reconciles))
		Expect(after.writes).To(BeNumerically(">", before.writes))
	})
})

// newNamespace makes one with a tracker's Secret.
func newNamespace(ctx context.Context, name string, t tracker) string {
	GinkgoHelper()
	err := suite.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	Expect(client.IgnoreAlreadyExists(err)).To(Succeed())
	secret := t.secret()
	secret.Namespace = name
	Expect(client.IgnoreAlreadyExists(suite.client.Create(ctx, secret))).To(Succeed())
	return name
}

// ofMany is on the nodes of addMany.
const ofMany = "e2e-many"

// addMany adds nodes that go with the spec.
func addMany(ctx context.Context, n int) (names []string) {
	GinkgoHelper()
	var nodes []*corev1.Node
	for i := range n {
		name := fmt.Sprintf("many-%d", i)
		names = append(names, name)
		nodes = append(nodes, &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{ofMany: ""}, Annotations: map[string]string{controlplane.HeartbeatAnnotation: "20s"},
		}})
	}
	DeferCleanup(func(ctx SpecContext) {
		Expect(suite.client.DeleteAllOf(ctx, &corev1.Node{}, client.HasLabels{ofMany})).To(Succeed())
	})
	Expect(suite.plane.AddNodes(ctx, nodes...)).To(Succeed())
	return names
}

// awaitBeats waits until n nodes of addMany have sent heartbeats for that long, by the times that these carry.
func awaitBeats(ctx context.Context, n int, long time.Duration) {
	GinkgoHelper()
	watching, err := suite.client.Watch(ctx, &corev1.NodeList{}, client.HasLabels{ofMany})
	Expect(err).NotTo(HaveOccurred())
	defer watching.Stop()
	first, done := map[string]time.Time{}, map[string]bool{}
	for len(done) < n {
		event, ok := <-watching.ResultChan() // which is closed with ctx
		Expect(ok).To(BeTrue(), "the watch of nodes goes on")
		node, ok := event.Object.(*corev1.Node)
		Expect(ok).To(BeTrue(), "%v", event)
		for _, condition := range node.Status.Conditions {
			at := condition.LastHeartbeatTime.Time
			switch since, known := first[node.Name]; {
			case condition.Type != corev1.NodeReady:
			case !known:
				first[node.Name] = at
			case at.Sub(since) >= long:
				done[node.Name] = true
			}
		}
	}
}

// work is what a manager has done since it started.
type work struct{ reconciles, writes float64 }

// measure counts the passes over TrainingRuns, and the writes to the API server.
func (m *manager) measure(ctx context.Context) (w work) {
	GinkgoHelper()
	for _, line := range strings.Split(m.scrape(ctx), "\n") {
		sample := sampleLine.FindStringSubmatch(line)
		if sample == nil {
			continue
		}
		value, err := strconv.ParseFloat(sample[3], 64)
		Expect(err).NotTo(HaveOccurred(), line)
		switch {
		case sample[1] == "controller_runtime_reconcile_total" && strings.Contains(sample[2], `controller="trainingrun"`):
			w.reconciles += value
		case sample[1] == "rest_client_requests_total" && !strings.Contains(sample[2], `method="GET"`):
			w.writes += value
		}
	}
	return w
}

// sampleLine is one of a metrics page: name, labels, value.
var sampleLine = regexp.MustCompile(`^(\w+)\{(.*)\} (\S+)$`)
