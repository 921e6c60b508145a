package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/api/v1alpha1"
)

// quietSpecs are about what is not done.
func quietSpecs(t tracker) {
	It("does nothing but look once all is as declared", func(ctx SpecContext) {
		s := newScene(ctx, t, func(p *v1alpha1.TrackingProject) { p.Spec.FullInterval.Duration = 3 * time.Second })
		for i := range 5 {
			run := s.train(ctx, "foreign")
			name := s.declare(ctx, run, "ours", fmt.Sprintf("number-%d", i))
			s.expectReady(ctx, name)
			if i == 0 {
				t.finish(ctx, run)
				Eventually(func() string { return s.get(ctx, name).Status.Run.State }).Should(Equal("finished"), s.explain(ctx))
			}
		}
		absent := s.create(ctx, s.named("not-yet", "ours"))
		s.expectNotReady(ctx, absent, v1alpha1.ReasonRunNotFound)
		s.expectLooks(ctx, 2)

		before, mark := s.versions(ctx), t.traffic().mark()
		events := kubectl(ctx, "--namespace", s.namespace, "get", "events", "-o", "name")
		// Access is checked with every look at all runs, so that several looks at the active ones lie between.
		Eventually(func() []request { return t.traffic().since(mark, check) }).Should(haveAtLeast(2), s.explain(ctx))
		Eventually(func() []request { return t.traffic().since(mark, look) }).Should(haveAtLeast(3), s.explain(ctx))
		Expect(s.versions(ctx)).To(Equal(before), s.explain(ctx))
		s.expectNothingWritten(mark)
		Expect(kubectl(ctx, "--namespace", s.namespace, "get", "events", "-o", "name")).To(Equal(events))
	})
}

// versions are the resourceVersions of the scene's TrainingRuns, and the project's status without the counts, which
// are written once a minute.
func (s *scene) versions(ctx context.Context) map[string]string {
	GinkgoHelper()
	out := map[string]string{}
	for _, run := range s.runs(ctx) {
		out[run.Name] = run.ResourceVersion
	}
	status := s.getProject(ctx).Status
	status.Runs, status.TrackedRuns, status.Pending, status.Tags = nil, 0, nil, nil
	text, err := json.Marshal(status)
	Expect(err).NotTo(HaveOccurred())
	out["TrackingProject "+s.project] = string(text)
	return out
}
