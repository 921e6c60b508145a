package v1alpha1_test

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

var _ = Describe("Server-side apply of spec.tags by two field managers", func() {
	const identity = "projectRef: {name: capsules}, runID: 3f9a1c"
	var run *v1alpha1.TrainingRun

	// apply is what kubectl apply --server-side --field-manager=manager does, without force.
	apply := func(ctx SpecContext, manager, fields string) error {
		GinkgoHelper()
		obj := object("TrainingRun", "{"+fields+"}")
		obj.SetGenerateName("")
		obj.SetName(run.Name)
		return k8sClient.Apply(ctx, client.ApplyConfigurationFromUnstructured(obj), client.FieldOwner(manager))
	}
	expectTags := func(ctx SpecContext, tags ...string) {
		GinkgoHelper()
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(run), run)).To(Succeed())
		Expect(run.Spec.Tags).To(ConsistOf(tags))
	}

	BeforeEach(func(ctx SpecContext) {
		named := object("TrainingRun", "{"+identity+"}")
		Expect(k8sClient.Create(ctx, named, &client.CreateOptions{DryRun: []string{"All"}})).To(Succeed()) // for a free name
		run = &v1alpha1.TrainingRun{}
		run.Namespace, run.Name = namespace, named.GetName()
		Expect(apply(ctx, "git", identity+", tags: [in_production, shared]")).To(Succeed())
		Expect(apply(ctx, "workflow", "tags: [candidate, shared]")).To(Succeed(), "neither project nor id are repeated")
	})

	It("gives each its own items", func(ctx SpecContext) {
		expectTags(ctx, "in_production", "candidate", "shared")
	})

	It("keeps the other's items when one applies again", func(ctx SpecContext) {
		Expect(apply(ctx, "git", identity+", tags: [in_production, shared, new]")).To(Succeed())
		expectTags(ctx, "in_production", "candidate", "shared", "new")
	})

	It("drops an item when its only manager drops it, and no other", func(ctx SpecContext) {
		Expect(apply(ctx, "git", identity+", tags: [shared]")).To(Succeed())
		expectTags(ctx, "candidate", "shared")
	})

	It("keeps an item that both have until both drop it", func(ctx SpecContext) {
		Expect(apply(ctx, "git", identity+", tags: [in_production]")).To(Succeed())
		expectTags(ctx, "in_production", "candidate", "shared")
		Expect(apply(ctx, "workflow", "tags: [candidate]")).To(Succeed())
		expectTags(ctx, "in_production", "candidate")
	})

	It("drops all items of a manager that applies none", func(ctx SpecContext) {
		Expect(apply(ctx, "workflow", identity)).To(Succeed())
		expectTags(ctx, "in_production", "shared")
	})

	It("holds the rules for what comes of the merge", func(ctx SpecContext) {
		Expect(apply(ctx, "workflow", "tags: "+tagList(126))).To(Succeed())
		expectOutcome(apply(ctx, "third", "tags: [one, too, many]"), "must have at most 128 items")
	})

	It("owns the items, not the list", func(ctx SpecContext) {
		obj := &unstructured.Unstructured{}
		obj.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("TrainingRun"))
		Expect(k8sClient.Get(ctx, client.ObjectKeyFromObject(run), obj)).To(Succeed())
		owned := map[string]string{}
		for _, entry := range obj.GetManagedFields() {
			owned[entry.Manager] = string(entry.FieldsV1.GetRawBytes())
		}
		Expect(owned).To(HaveKeyWithValue("git", ContainSubstring(`v:\"in_production\"`)))
		Expect(owned).To(HaveKeyWithValue("workflow", ContainSubstring(`v:\"candidate\"`)))
		Expect(owned["workflow"]).NotTo(ContainSubstring("in_production"))
	})
})
