package controllers_test

import (
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

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
