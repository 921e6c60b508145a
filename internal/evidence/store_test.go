package evidence_test

import (
	"github.com/runtag/runtag/internal/evidence"
	clocktesting "k8s.io/utils/clock/testing"
)

func store(o evidence.Options) (*evidence.Store, *clocktesting.FakePassiveClock) {
	clock := clocktesting.NewFakePassiveClock(morning)
	o.Clock = clock
	return evidence.New(o), clock
}
