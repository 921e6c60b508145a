// Package security_test drives the operator into each class of faults that other operators have had advisories for, and
// checks that nothing comes of it: on a real API server, under the operator's own role, with trackers that are hostile
// where that is the point. Tables of single cases are beside the code that they are about; here is the whole way.
package security_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/test/faults/facts"
)

const config = "../../../config"

// classes are the classes of advisories, by name. docs/threat-model.md refers to these names.
var classes = []struct {
	name string
	test func(*testing.T, *controllerstest.Suite)
}{
	{"confused deputy", testConfusedDeputy},
	{"broad roles", testBroadRoles},
	{"forged requests", testForgedRequests},
	{"functions in templates", testFunctionsInTemplates},
	{"credentials shown", testCredentialsShown},
	{"denial of service", testDenialOfService},
	{"empty identity", testEmptyIdentity},
}

func TestAdvisoryClasses(t *testing.T) {
	suite := controllerstest.Start(t, config)
	for _, class := range classes {
		t.Run(class.name, func(t *testing.T) { class.test(t, suite) })
	}
	facts.Record(t, facts.Fact{Part: "security", What: "classes of published advisories tried on runtag", Value: float64(len(classes))})
}

// start makes a harness for one test.
func start(t *testing.T, suite *controllerstest.Suite, options controllerstest.Options) *controllerstest.Harness {
	t.Helper()
	h := suite.New(t.Context(), t, options)
	t.Cleanup(h.Close)
	return h
}

func apply(h *controllerstest.Harness, objs ...client.Object) {
	h.ExpectApplied(objs...)
	h.Settle()
}

// at makes the project one of another server.
func at(url string) func(*v1alpha1.TrackingProject) {
	return func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.BaseURL = url }
}

// evil is a server that answers as a test wants, and counts.
type evil struct {
	URL string

	mu   sync.Mutex
	seen []*http.Request
}

func newEvil(t *testing.T, answer http.HandlerFunc) *evil {
	t.Helper()
	e := &evil{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		e.seen = append(e.seen, r.Clone(r.Context()))
		e.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(server.Close)
	e.URL = server.URL
	return e
}

func (e *evil) requests() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.seen)
}
