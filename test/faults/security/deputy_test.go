package security_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// The operator may do more than those whose objects it reads: it must not do it for them. Whoever has a namespace tries
// to use another one's Secret, project, runs, pods and ConfigMaps.
func testConfusedDeputy(t *testing.T, suite *controllerstest.Suite) {
	t.Run("no field names another namespace", func(t *testing.T) {
		// Those of ClusterTagRules select namespaces; they are for administrators.
		for path, schema := range schemas(t) {
			for name := range schema.Properties {
				if strings.Contains(strings.ToLower(name), "namespace") && path != "ClusterTagRule.spec" {
					t.Errorf("%s has a field %s", path, name)
				}
			}
		}
	})
	t.Run("a Secret of another namespace is not read", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		intruder := h.NewNamespace()
		if err := h.Admin.Delete(t.Context(), h.NewSecret(intruder)); err != nil {
			t.Fatal(err)
		}
		project := h.NewProject()
		project.Namespace = intruder
		h.ExpectRequests(map[string]int{}, func() { apply(h, project) })
		h.ExpectStalled(project, v1alpha1.ReasonSecretNotReady, "Secret "+intruder+"/wandb does not exist")
	})
	t.Run("a login to the cluster is sent nowhere", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		// Whoever may make a project but not read Secrets would get the token of a ServiceAccount sent to their server.
		secret := h.NewSecret(h.Namespace)
		secret.Name, secret.Type = "token", corev1.SecretTypeServiceAccountToken
		secret.Annotations = map[string]string{corev1.ServiceAccountNameKey: "default"}
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "default"}}
		if err := h.Admin.Create(t.Context(), account); err != nil {
			t.Fatal(err)
		}
		h.ExpectApplied(secret)
		project := h.NewProject(func(p *v1alpha1.TrackingProject) { p.Spec.Wandb.APIKeySecretRef.Name = "token" })
		h.ExpectRequests(map[string]int{}, func() { apply(h, project) })
		h.ExpectStalled(project, v1alpha1.ReasonSecretNotReady, "ServiceAccount's token")
	})
	t.Run("runs, rules and bulk changes reach no project of another namespace", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		h.AddRun("a")
		apply(h, h.NewProject(), h.NewRun("a", "ours"))
		intruder := h.NewNamespace()
		run, rule := h.NewRun("a", "theirs"), h.NewRule("all", "true", "theirs")
		change := &v1alpha1.TagChange{
			ObjectMeta: metav1.ObjectMeta{Namespace: intruder, Name: "all"},
			Spec: v1alpha1.TagChangeSpec{
				ProjectRef: v1alpha1.ProjectReference{Name: controllerstest.ProjectName},
				Select:     &v1alpha1.RunSelection{All: true}, Add: []string{"theirs"}, Remove: []string{"ours"}, Apply: true,
			},
		}
		run.Namespace, rule.Namespace = intruder, intruder
		h.ExpectRequests(map[string]int{}, func() { apply(h, run, rule, change) })
		h.ExpectWaiting(run, v1alpha1.ReasonProjectNotReady, "no TrackingProject capsules in namespace "+intruder)
		h.ExpectCondition(change, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProjectNotReady)
		h.ExpectTagsOn("a", "ours")
	})
	t.Run("a pod of another namespace belongs to no run here", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		h.AddActiveRun("a")
		apply(h, h.NewProject(), h.NewRun("a"), h.NewRule("pods", "pods.exists(p, true)", "has-pods"))
		pod := h.NewPod("worker", "", corev1.EnvVar{Name: "WANDB_RUN_ID", Value: "a"})
		pod.Annotations = map[string]string{"tracking.runtag.dev/run": "a"}
		pod.Labels = map[string]string{"tracking.runtag.dev/run": "a", "wandb.ai/run-id": "a"}
		own := pod.DeepCopy()
		pod.Namespace, pod.UID = h.NewNamespace(), types.UID("foreign")
		h.SeePods(pod)
		h.Settle()
		h.ExpectTagsOn("a")
		h.SeePods(own)
		h.Settle()
		h.ExpectTagsOn("a", "has-pods")
	})
	t.Run("a person's ConfigMap is not overwritten", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{OnWrite: func(run wandbtest.Run, _ []string) { t.Errorf("run %s is written", run.ID) }})
		h.AddRun("a", "old")
		theirs := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "settings-undo-000"}, Data: map[string]string{"runs": "precious"},
		}
		if err := h.Admin.Create(t.Context(), theirs); err != nil {
			t.Fatal(err)
		}
		change := &v1alpha1.TagChange{
			ObjectMeta: metav1.ObjectMeta{Namespace: h.Namespace, Name: "settings"},
			Spec: v1alpha1.TagChangeSpec{
				ProjectRef: v1alpha1.ProjectReference{Name: controllerstest.ProjectName},
				Select:     &v1alpha1.RunSelection{All: true}, Add: []string{"new"}, Apply: true,
			},
		}
		apply(h, h.NewProject(), change)
		h.Refresh(theirs)
		if theirs.Data["runs"] != "precious" {
			t.Errorf("the ConfigMap has become %q", theirs.Data["runs"])
		}
		h.ExpectTagsOn("a", "old") // what can't be written down is not done
	})
}

// schemas gives the schemas of spec and all below it of all kinds, by path.
func schemas(t *testing.T) map[string]apiextensionsv1.JSONSchemaProps {
	t.Helper()
	all := map[string]apiextensionsv1.JSONSchemaProps{}
	var walk func(string, apiextensionsv1.JSONSchemaProps)
	walk = func(path string, s apiextensionsv1.JSONSchemaProps) {
		all[path] = s
		for name, property := range s.Properties {
			walk(path+"."+name, property)
		}
		if s.Items != nil && s.Items.Schema != nil {
			walk(path+"[]", *s.Items.Schema)
		}
	}
	for _, crd := range readAll[apiextensionsv1.CustomResourceDefinition](t, "crd/bases/*.yaml") {
		for _, version := range crd.Spec.Versions {
			walk(crd.Spec.Names.Kind+".spec", version.Schema.OpenAPIV3Schema.Properties["spec"])
		}
	}
	if len(all) < 50 {
		t.Fatalf("saw %d schemas, want all of the API's", len(all))
	}
	return all
}
