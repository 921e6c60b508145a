package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
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

// auditor watches every version of every object and event for the manager's credentials.
type auditor struct {
	stop    []func()
	running sync.WaitGroup

	mu       sync.Mutex
	finished bool
	seen     map[string]int // versions by kind
	leaks    []string
}

func startAuditor() *auditor {
	GinkgoHelper()
	a := &auditor{seen: map[string]int{}}
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
		expectNoCanary(path, string(log))
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
