package controllerstest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/tagchange"
	"github.com/runtag/runtag/controllers/tagrule"
	"github.com/runtag/runtag/controllers/trackingproject"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/controllers/trigger"
	"github.com/runtag/runtag/internal/audit"
	"github.com/runtag/runtag/internal/backend/batch"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/connect"
	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/metrics"
	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

const (
	// Canary is the API key of every project of a Harness. It must be shown nowhere.
	Canary = "canary-5d1c0ffee0ddba11deadbeef5d1c0ffee0ddba11"
	// ProjectName is the name of the project that NewProject makes unless told otherwise, here and on the tracker.
	ProjectName = "capsules"
	secretName  = "wandb"
	secretKey   = "api-key"
	// Person is the field manager of what the test applies.
	Person = "kubectl-edit"
	// noLimit is a rate that no test reaches; the pauses that a tracker asks for are kept all the same.
	noLimit = 1_000_000
)

// TB is what a Harness needs of testing.TB, GinkgoT() or rapid.T.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Options of a Harness.
type Options struct {
	// Ceiling is the operator's --max-tag-policy; nil: Exclusive.
	Ceiling *tags.Policy
	// Allow is the operator's --allow-tracker; nil: the loopback address of the trackers here.
	Allow []string
	// Order decides which of the objects that are queued is next, by its index; nil: the first.
	Order func(queued int) int
	// Hold makes Harness.Held, a cache that comes as far as the test lets it.
	Hold bool
	// MayLag lets objects be behind their generation when all is settled: where a known run vanishes just then, nothing is
	// said before the project's next look decides.
	MayLag bool
	// Patience is how long, in real time, a pass or a request of a batch may take; 0: a pass 20 s, and batches their own
	// deadlines.
	Patience time.Duration
	// Rate and Burst are the limit for requests of one credential, as transport.Limiters has it; 0: none that a test
	// reaches. While a pass waits for it, the clock moves on.
	Rate  float64
	Burst int
	// Unchecked leaves out what Settle checks of every object, where there are too many of them.
	Unchecked bool
	// OnWrite is called before a write to the tracker is carried out, with the run as it is and the tags that it is going to
	// have, and takes the place of the check that what is stored covers the write: a test whose people edit objects while
	// a change is on its way has to know what was stored before. It is called from a goroutine of the tracker.
	OnWrite func(run wandbtest.Run, list []string)
	// Jitter of periodic work, as trackingproject.Options has it; nil: by chance.
	Jitter func(time.Duration) time.Duration
	// Live is put around the client that reads past the cache; nil leaves it as it is.
	Live func(client.Reader) client.Reader
}

// Harness is one operator with its own namespace, tracker and clock. It is for one test and one goroutine.
type Harness struct {
	*Suite
	Namespace string
	// Clock begins with the present time, since the API server's times are real; after that only the test moves it.
	Clock   *testclock.FakeClock
	Tracker *Tracker
	API     *API
	Held    *Held // nil unless Options.Hold is set
	Events  *Events
	Log     *Log
	Metrics *prometheus.Registry

	t       TB
	g       *gomega.WithT
	ctx     context.Context //nolint:containedctx // the life of the test
	cancel  context.CancelFunc
	options Options

	namespaces []string
	trackers   []*Tracker
	pods       map[types.UID]*corev1.Pod // those that are there, as far as the test says
	nodes      map[string]*corev1.Node
	global     []client.Object                                // what the test made outside of namespaces
	known      map[types.NamespacedName]bool                  // projects that were applied
	last       map[types.NamespacedName]*v1alpha1.TrainingRun // as the cache had them last
	*operator
	synced int // how many of the operator's writes the cache has
	errors []string

	mu         sync.Mutex
	violations []string
}

// operator is what a restart makes anew.
type operator struct {
	runs, projects, rules, clusterRules, changes *queue
	run                                          *trainingrun.Controller
	project                                      *trackingproject.Controller
	rule, clusterRule                            *tagrule.Controller
	change                                       *tagchange.Controller
	// Evidence is what the operator saw of pods and nodes.
	Evidence *evidence.Store
	Registry *tracking.Registry
	failures map[string]int
	stop     func()
}

// New makes a Harness with a namespace, a tracker that has the project ProjectName without runs, and a Secret with its key.
// Close it at the end of the test.
func (s *Suite) New(ctx context.Context, t TB, options Options) *Harness {
	t.Helper()
	h := &Harness{
		Suite: s, Clock: testclock.NewFakeClock(time.Now().UTC().Truncate(time.Second)), API: &API{Client: client.WithFieldOwner(s.cluster.GetClient(), trainingrun.FieldManager)},
		Events: &Events{}, Log: &Log{}, Metrics: prometheus.NewPedanticRegistry(),
		pods: map[types.UID]*corev1.Pod{}, nodes: map[string]*corev1.Node{},
		t: t, options: options, known: map[types.NamespacedName]bool{}, last: map[types.NamespacedName]*v1alpha1.TrainingRun{},
	}
	h.g = gomega.NewWithT(t)
	h.ctx, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if options.Hold {
		h.Held = newHeld(h.ctx, h, h.API.Client)
		h.API.Client = h.Held
	}
	h.Namespace = h.NewNamespace()
	h.Tracker = h.NewTracker()
	h.boot()
	return h
}

// Close checks that the canary is nowhere, and stops what New started.
func (h *Harness) Close() {
	h.t.Helper()
	h.stop()
	h.expectNoSecret()
	for _, obj := range h.global {
		h.g.Expect(client.IgnoreNotFound(h.Admin.Delete(h.ctx, obj))).To(gomega.Succeed())
	}
	h.cancel()
	for _, t := range h.trackers {
		t.server.Close()
	}
}

// NewNamespace makes one more namespace, with the Secret of the project in it.
func (h *Harness) NewNamespace() string {
	h.t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	h.g.Expect(h.Admin.Create(h.ctx, ns)).To(gomega.Succeed())
	h.namespaces = append(h.namespaces, ns.Name)
	h.g.Expect(h.Admin.Create(h.ctx, h.NewSecret(ns.Name))).To(gomega.Succeed())
	return ns.Name
}

// NewSecret is the Secret with the tracker's key, as it is in each namespace.
func (h *Harness) NewSecret(namespace string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secretName}, StringData: map[string]string{secretKey: Canary},
	}
}

// NewProject is a TrackingProject for the tracker's project of the same name. It is not applied yet.
func (h *Harness) NewProject(edits ...func(*v1alpha1.TrackingProject)) *v1alpha1.TrackingProject {
	p := &v1alpha1.TrackingProject{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: ProjectName},
		Spec: v1alpha1.TrackingProjectSpec{Wandb: &v1alpha1.WandbProject{
			BaseURL: h.Tracker.URL, Entity: h.Tracker.Entity, Project: ProjectName,
			APIKeySecretRef: v1alpha1.SecretKeyReference{Name: secretName, Key: secretKey},
		}},
	}
	for _, edit := range edits {
		edit(p)
	}
	return p
}

// NewRun is a TrainingRun of NewProject's project that declares these tags, named after the run's id. It is not applied yet.
func (h *Harness) NewRun(id string, declared ...string) *v1alpha1.TrainingRun {
	return &v1alpha1.TrainingRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: id},
		Spec: v1alpha1.TrainingRunSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: ProjectName}, RunID: id, Tags: declared,
		},
	}
}

// boot starts an operator that remembers nothing.
func (h *Harness) boot() {
	h.t.Helper()
	policy, err := transport.ParseAllow(h.allow())
	h.g.Expect(err).NotTo(gomega.HaveOccurred())
	h.Metrics = prometheus.NewPedanticRegistry()
	own, err := metrics.New(h.Metrics)
	h.g.Expect(err).NotTo(gomega.HaveOccurred())
	ceiling := tags.Exclusive
	if h.options.Ceiling != nil {
		ceiling = *h.options.Ceiling
	}
	ctx, cancel := context.WithCancel(h.ctx)
	o := &operator{runs: newQueue(), projects: newQueue(), rules: newQueue(), clusterRules: newQueue(), changes: newQueue(), failures: map[string]int{}}
	o.Registry = tracking.NewRegistry(h.Clock, batch.Options{
		Clock: h.Clock, WriteDeadline: h.options.Patience, ReadDeadline: h.options.Patience, Log: h.Log.Logger(),
	})
	ended := make(chan error, 1)
	go func() { ended <- o.Registry.Start(ctx) }()
	o.stop = func() {
		cancel()
		h.g.Expect(<-ended).To(gomega.Succeed())
	}
	toRuns, toProjects, toRules, toClusterRules, toChanges := &trigger.Trigger{}, &trigger.Trigger{}, &trigger.Trigger{}, &trigger.Trigger{}, &trigger.Trigger{}
	for to, queue := range map[*trigger.Trigger]*queue{
		toRuns: o.runs, toProjects: o.projects, toRules: o.rules, toClusterRules: o.clusterRules, toChanges: o.changes,
	} {
		h.g.Expect(to.Source(nil).Start(ctx, queue)).To(gomega.Succeed())
	}
	live := h.cluster.GetAPIReader()
	if h.options.Live != nil {
		live = h.options.Live(live)
	}
	rules := tagrule.Options{
		Client: h.API, Clock: h.Clock, Set: tagrule.NewSet(h.API), Tally: tagrule.NewTally(), Rules: toRules, ClusterRules: toClusterRules,
	}
	o.rule, o.clusterRule = tagrule.ForTagRules(rules), tagrule.ForClusterTagRules(rules)
	o.Evidence = evidence.New(evidence.Options{Clock: h.Clock, Keys: binding.Keys, Changed: func(c evidence.Change) { o.run.Noticed(c) }})
	bound := binding.NewIndex(o.Evidence)
	o.run = trainingrun.New(trainingrun.Options{
		Client: h.API, Live: live, Clock: h.Clock, Recorder: h.Events, Audit: audit.New(h.Log.Logger()),
		Metrics: own, Registry: o.Registry, Runs: toRuns, Projects: toProjects, Ceiling: ceiling,
		Evidence: o.Evidence, Synced: func() bool { return true }, Bound: bound, Rules: rules.Set, Tally: rules.Tally, Report: rules.Changed,
	})
	o.change = tagchange.New(tagchange.Options{
		Client: h.API, Live: live, Clock: h.Clock, Recorder: h.Events, Audit: audit.New(h.Log.Logger()),
		Registry: o.Registry, Changes: toChanges, Runs: toRuns, Ceiling: ceiling,
	})
	o.project = trackingproject.New(trackingproject.Options{
		Client: h.API, Clock: h.Clock, Recorder: h.Events, Metrics: own, Registry: o.Registry, Runs: toRuns, Projects: toProjects,
		Evidence: o.Evidence, Bound: bound, Rules: rules.Set, Ceiling: ceiling, Audit: audit.New(h.Log.Logger()),
		Jitter: h.options.Jitter,
		Connector: connect.New(connect.Options{
			Secrets: live, Policy: policy, Limiters: transport.NewLimiters(h.Clock).WithRate(h.rate()),
			Clock: h.Clock, Observe: own.Request, Version: "test",
		}),
	})
	h.operator = o
	h.seeCluster()
}

// seeCluster shows the operator the pods and nodes that are there.
func (h *Harness) seeCluster() {
	for _, node := range h.nodes {
		h.Evidence.SeeNode(evidence.NodeOf(node))
	}
	for _, pod := range h.pods {
		h.Evidence.SeePod(evidence.PodOf(pod))
	}
}

// allow is the operator's --allow-tracker.
func (h *Harness) allow() []string {
	if h.options.Allow == nil {
		return []string{"127.0.0.1"}
	}
	return h.options.Allow
}

// rate is the limit for requests.
func (h *Harness) rate() (perSecond float64, burst int) {
	if h.options.Rate == 0 {
		return noLimit, noLimit
	}
	return h.options.Rate, h.options.Burst
}

// Restart ends the operator without a further pass, as a crash does, and starts another one that sees all objects anew.
func (h *Harness) Restart() {
	h.t.Helper()
	h.catchUp()
	h.stop()
	h.boot()
	if h.Held != nil {
		h.Held.restart(0)
		return
	}
	for _, ns := range h.namespaces {
		for _, p := range h.projectsIn(ns) {
			h.projects.Add(requestFor(&p))
		}
		for _, r := range h.runsIn(ns) {
			h.runs.Add(requestFor(&r))
		}
		h.queueRules(ns)
		for _, c := range h.changesIn(ns) {
			h.changes.Add(requestFor(&c))
		}
	}
	h.queueRules("")
}

// RestartBehind is Restart with a cache that begins so many versions behind of each kind.
func (h *Harness) RestartBehind(versions int) {
	h.t.Helper()
	h.stop()
	h.boot()
	h.Held.restart(versions)
}

// Fail ends the test, and shows all there is.
func (h *Harness) Fail(format string, args ...any) {
	h.t.Helper()
	h.fail(format, args...)
}

// fail ends the test.
func (h *Harness) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), h.describe())
}
