package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// canaries are the manager's credentials in every form in which they are sent or kept.
func canaries() []string {
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	return []string{
		canaryKey, encode(canaryKey), encode("api:" + canaryKey),
		canaryPassword, encode(canaryPassword), encode(canaryUser + ":" + canaryPassword),
		wrongKey, encode("api:" + wrongKey), wrongPassword, encode(canaryUser + ":" + wrongPassword),
	}
}

// leaked gives the first canary in a text.
func leaked(text string) (canary string, found bool) {
	for _, canary := range canaries() {
		if strings.Contains(text, strings.TrimRight(canary, "=")) {
			return canary, true
		}
	}
	return "", false
}

// auditor watches every version of every object and event: for the manager's credentials, and for what is said in passing.
type auditor struct {
	stop    []func()
	running sync.WaitGroup

	mu       sync.Mutex
	finished bool
	seen     map[string]int // versions by kind
	leaks    []string
	// ready are the reasons that Ready has had of each TrainingRun, latest the last version that was seen of it, and
	// versions how many there were.
	ready    map[client.ObjectKey][]string
	latest   map[client.ObjectKey]string
	versions map[client.ObjectKey]int
}

func startAuditor() *auditor {
	GinkgoHelper()
	a := &auditor{
		seen: map[string]int{}, ready: map[client.ObjectKey][]string{}, latest: map[client.ObjectKey]string{}, versions: map[client.ObjectKey]int{},
	}
	for kind, list := range map[string]client.ObjectList{
		"TrainingRun": &v1alpha1.TrainingRunList{}, "TrackingProject": &v1alpha1.TrackingProjectList{}, "Event": &eventsv1.EventList{},
	} {
		watching, err := suite.client.Watch(context.Background(), list)
		Expect(err).NotTo(HaveOccurred())
		a.stop = append(a.stop, watching.Stop)
		a.running.Go(func() { a.follow(kind, watching) })
	}
	return a
}

func (a *auditor) follow(kind string, watching watch.Interface) {
	for event := range watching.ResultChan() {
		a.search(kind, event)
	}
}

func (a *auditor) search(kind string, event watch.Event) {
	text, err := json.Marshal(event.Object)
	a.mu.Lock()
	defer a.mu.Unlock()
	canary, found := leaked(string(text))
	switch {
	case found:
		a.leaks = append(a.leaks, fmt.Sprintf("%s: %s in %s", kind, canary, text))
	case err != nil, event.Type == watch.Error && !a.finished:
		a.leaks = append(a.leaks, fmt.Sprintf("the watch of %s broke: %s (%v)", kind, text, err))
	default:
		a.seen[kind]++
	}
	if run, ok := event.Object.(*v1alpha1.TrainingRun); ok {
		a.follows(run)
	}
}

func (a *auditor) follows(run *v1alpha1.TrainingRun) {
	key := client.ObjectKeyFromObject(run)
	a.latest[key] = run.ResourceVersion
	a.versions[key]++
	ready := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionReady)
	if ready != nil && !slices.Contains(a.ready[key], ready.Reason) {
		a.ready[key] = append(a.ready[key], ready.Reason)
	}
}

// until gives the reasons that Ready has had up to a version of a TrainingRun, once each, and how many versions there
// were; it says whether the watch has got there.
func (a *auditor) until(run *v1alpha1.TrainingRun) (reasons []string, versions int, upToDate bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := client.ObjectKeyFromObject(run)
	return slices.Clone(a.ready[key]), a.versions[key], a.latest[key] == run.ResourceVersion
}

// audited gives what the auditor has seen of a TrainingRun up to now.
func (s *scene) audited(ctx context.Context, name string) (reasons []string, versions int) {
	GinkgoHelper()
	Eventually(func() (upToDate bool) {
		reasons, versions, upToDate = suite.audit.until(s.get(ctx, name))
		return upToDate
	}).Should(BeTrue(), "the watch has got to the present version")
	return reasons, versions
}

// expectNever expects that a TrainingRun has not said so in any version until now.
func (s *scene) expectNever(ctx context.Context, name, reason string) {
	GinkgoHelper()
	reasons, _ := s.audited(ctx, name)
	Expect(reasons).NotTo(ContainElement(reason), s.explain(ctx))
}

// writesOf counts the writes of a TrainingRun, its creation included.
func (s *scene) writesOf(ctx context.Context, name string) int {
	GinkgoHelper()
	_, versions := s.audited(ctx, name)
	return versions
}

// finish ends the watches and gives what was found.
func (a *auditor) finish() (seen map[string]int, leaks []string) {
	a.mu.Lock()
	a.finished = true // a watch that is stopped may end with an error
	a.mu.Unlock()
	for _, stop := range a.stop {
		stop()
	}
	a.running.Wait()
	return a.seen, a.leaks
}

// scraped are the metrics of managers before they ended.
var scraped []string

// The credentials are nowhere: this runs after all specs, on what they left behind.
var _ = AfterSuite(func(ctx SpecContext) {
	if suite.audit == nil { // the suite did not start
		return
	}
	seen, leaks := suite.audit.finish()
	Expect(leaks).To(BeEmpty(), "versions of objects with the manager's credentials")
	for _, kind := range []string{"TrainingRun", "TrackingProject", "Event"} {
		Expect(seen).To(HaveKeyWithValue(kind, BeNumerically(">", 1)), "versions that were searched")
	}
	Expect(scraped).NotTo(BeEmpty())
	expectNoCanary("the metrics", strings.Join(scraped, "\n"))
	expectNoCanary("kubectl describe", kubectl(ctx, "describe", "trainingruns,trackingprojects", "--all-namespaces"))
	expectNoCanary("kubectl get events", kubectl(ctx, "get", "events", "--all-namespaces", "-o", "yaml"))
	var levels []string
	for _, path := range everyLog {
		log, err := os.ReadFile(path)
		Expect(err).NotTo(HaveOccurred())
		canary, found := leaked(string(log))
		Expect(found).To(BeFalse(), "%s shows the credential %s", path, canary)
		if strings.Contains(string(log), `"level":"debug"`) {
			levels = append(levels, "debug")
		}
	}
	Expect(levels).NotTo(BeEmpty(), "logs with all there is to say")
})

func expectNoCanary(where, text string) {
	GinkgoHelper()
	Expect(text).NotTo(BeEmpty(), where)
	canary, found := leaked(text)
	Expect(found).To(BeFalse(), "%s shows the credential %s", where, canary)
}
