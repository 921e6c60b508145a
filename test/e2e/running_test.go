package e2e_test

import (
	. "github.com/onsi/ginkgo/v2"
)

// What a manager does while it runs, on either tracker.
var _ = Describe("A running manager", Ordered, ContinueOnFailure, func() {
	BeforeAll(func(ctx SpecContext) {
		running := startManager(ctx)
		DeferCleanup(func(ctx SpecContext) { scraped = append(scraped, running.scrape(ctx)) })
	})
	for _, t := range trackers {
		Context("on "+t.name(), func() {
			tagSpecs(t)
		})
	}
})
