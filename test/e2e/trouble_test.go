package e2e_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// A wrong credential is as secret as a right one: it is mostly that of something else.
var (
	wrongKey      = "canary" + strings.Repeat("0bad", 9)
	wrongPassword = "canary-pass-" + strings.Repeat("bad0", 4)
)

// troubleSpecs are about trackers that can't be used, where secrets are most likely to get out.
func troubleSpecs(t tracker) {
	It("says that a credential is wrong, and goes on with the right one", func(ctx SpecContext) {
		secret := t.secret()
		secret.Namespace, secret.Name = namespace, "changing-"+t.name()
		right := secret.StringData
		secret.StringData = map[string]string{"api-key": wrongKey, "username": canaryUser, "password": wrongPassword}
		Expect(suite.client.Create(ctx, secret)).To(Succeed())
		s := newScene(ctx, t, func(p *v1alpha1.TrackingProject) {
			if p.Spec.Wandb != nil {
				p.Spec.Wandb.APIKeySecretRef.Name = secret.Name
			} else {
				p.Spec.MLflow.Auth.BasicSecretRef.Name = secret.Name
			}
		})
		run := s.train(ctx)
		name := s.declare(ctx, run, "ours")
		s.expectProject(ctx, metav1.ConditionFalse, v1alpha1.ReasonAccessDenied)
		s.expectNotReady(ctx, name, v1alpha1.ReasonAccessDenied)

		stored := &corev1.Secret{}
		Expect(suite.client.Get(ctx, client.ObjectKeyFromObject(secret), stored)).To(Succeed())
		stored.StringData = right
		Expect(suite.client.Update(ctx, stored)).To(Succeed())
		s.expectProject(ctx, metav1.ConditionTrue, v1alpha1.ReasonLooking)
		s.expectReady(ctx, name)
		s.expectTagsOnTracker(ctx, run, "ours")
	})

	It("takes a credential that was revoked for no deletion", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run, other := s.train(ctx), s.train(ctx)
		name, changed := s.declare(ctx, run, "ours"), s.declare(ctx, other, "ours")
		s.expectReady(ctx, name)
		s.expectReady(ctx, changed)
		before := s.get(ctx, name).ResourceVersion

		DeferCleanup(t.revoke())
		s.expectProject(ctx, metav1.ConditionFalse, v1alpha1.ReasonAccessDenied)
		s.redeclare(ctx, changed, "later")
		s.expectNotReady(ctx, changed, v1alpha1.ReasonAccessDenied)
		Expect(s.get(ctx, name).ResourceVersion).To(Equal(before), s.explain(ctx))
	})
}

// outageSpecs are about a tracker that breaks.
func outageSpecs(t *wandb) {
	It("writes nothing for runs that have nothing due while the tracker is down, and goes on after", func(ctx SpecContext) {
		s := newScene(ctx, t)
		run, other := s.train(ctx), s.train(ctx)
		name, waiting := s.declare(ctx, run, "ours"), s.declare(ctx, other, "ours")
		s.expectReady(ctx, name)
		s.expectReady(ctx, waiting)
		before := s.get(ctx, name).ResourceVersion

		t.server.SetFaults(wandbtest.Faults{Faults: []wandbtest.Fault{{UserAgent: "runtag", Status: 503, Body: "down, said " + canaryKey}}})
		DeferCleanup(func() { t.server.SetFaults(wandbtest.Faults{}) })
		s.expectProject(ctx, metav1.ConditionFalse, v1alpha1.ReasonTrackerUnavailable)
		s.redeclare(ctx, waiting, "later")
		s.expectNotReady(ctx, waiting, v1alpha1.ReasonTrackerUnavailable)
		Expect(s.get(ctx, name).ResourceVersion).To(Equal(before), s.explain(ctx))

		t.server.SetFaults(wandbtest.Faults{})
		s.expectTagsOnTracker(ctx, other, "later")
		s.expectReady(ctx, waiting)
		s.expectProject(ctx, metav1.ConditionTrue, v1alpha1.ReasonLooking)
		Expect(s.get(ctx, name).ResourceVersion).To(Equal(before), s.explain(ctx))
	})
}
