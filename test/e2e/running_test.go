package e2e_test

import (
	. "github.com/onsi/ginkgo/v2"
)

// What a manager does while it runs, on either tracker.
var _ = Describe("A running manager", Ordered, ContinueOnFailure, func() {
	BeforeAll(func(ctx SpecContext) {
		startManager(ctx)
	})
	for _, t := range trackers {
		Context("on "+t.name(), func() {
			tagSpecs(t)
			policySpecs(t)
			identitySpecs(t)
			trainingSpecs(t)
			sevenWaysSpecs(t)
			deletionSpecs(t)
			quietSpecs(t)
			kubectlSpecs(t)
			troubleSpecs(t)
		})
	}
	Context("with what only W&B has", func() {
		wandbIdentitySpecs(onWandb)
		sdkSpecs(onWandb)
		outageSpecs(onWandb)
	})
	Context("with what only MLflow has", func() {
		mlflowIdentitySpecs(onMLflow)
		valueSpecs(onMLflow)
	})
})
