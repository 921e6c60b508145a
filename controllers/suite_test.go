package controllers_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
)

const (
	// The defaults of the API, with the jitter of five percent.
	period     = 32 * time.Second
	fullPeriod = 11 * time.Minute
)

var (
	suite *controllerstest.Suite
	h     *controllerstest.Harness
)

func TestControllers(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(20 * time.Second) // only for what runs by itself
	RunSpecs(t, "Controllers")
}

var _ = BeforeSuite(func() {
	suite = controllerstest.Start(GinkgoT(), "../config")
})

// start makes the harness of a spec.
func start(ctx SpecContext, options controllerstest.Options) {
	GinkgoHelper()
	h = suite.New(ctx, GinkgoT(), options)
	DeferCleanup(h.Close)
}

// apply applies objects and settles.
func apply(objs ...client.Object) {
	GinkgoHelper()
	h.ExpectApplied(objs...)
	h.Settle()
}

// edit changes a TrainingRun and settles.
func edit(run *v1alpha1.TrainingRun, f func(*v1alpha1.TrainingRun)) {
	GinkgoHelper()
	h.ExpectEdited(run, f)
	h.Settle()
}

// editProject changes a TrackingProject and settles.
func editProject(p *v1alpha1.TrackingProject, f func(*v1alpha1.TrackingProject)) {
	GinkgoHelper()
	h.ExpectProjectEdited(p, f)
	h.Settle()
}

// every sets the interval of active looks.
func every(interval time.Duration) func(*v1alpha1.TrackingProject) {
	return func(p *v1alpha1.TrackingProject) { p.Spec.Interval.Duration = interval }
}

// ceiling sets maxTagPolicy.
func ceiling(policy v1alpha1.TagPolicy) func(*v1alpha1.TrackingProject) {
	return func(p *v1alpha1.TrackingProject) { p.Spec.MaxTagPolicy = policy }
}

func declare(tags ...string) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) { r.Spec.Tags = tags }
}

func applied(run *v1alpha1.TrainingRun) (names []string) {
	GinkgoHelper()
	h.Refresh(run)
	for _, a := range run.Status.AppliedTags {
		names = append(names, a.Name)
	}
	return names
}

func removed(run *v1alpha1.TrainingRun) (names []string) {
	GinkgoHelper()
	h.Refresh(run)
	for _, e := range run.Status.RemovedTags {
		names = append(names, e.Name)
	}
	return names
}

// reasons is the reason of Ready.
func reasons(run *v1alpha1.TrainingRun) string {
	GinkgoHelper()
	h.Refresh(run)
	for _, c := range run.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c.Reason
		}
	}
	return ""
}

// metric is the sum of a counter over all its labels.
func metric(name string) (sum float64) {
	GinkgoHelper()
	families, err := h.Metrics.Gather()
	Expect(err).NotTo(HaveOccurred())
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}
