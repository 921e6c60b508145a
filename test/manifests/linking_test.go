package manifests_test

import (
	"fmt"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/evidence"
)

const (
	linking  = "../../docs/linking.md"
	injected = "tracking.runtag.dev/project"
	training = "training" // the namespace
)

// manifest is an object, or a part of a container, that a document shows.
type manifest struct {
	section, text string
	fields        map[string]any
}

// shown are the manifests of a document by their sections.
func shown(path string) (all []manifest) {
	GinkgoHelper()
	text, err := os.ReadFile(path)
	Expect(err).NotTo(HaveOccurred())
	section, open := "", false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "#") && !open:
			section = strings.TrimSpace(strings.TrimLeft(line, "#"))
		case strings.TrimSpace(line) == "```yaml":
			all, open = append(all, manifest{section: section}), true
		case strings.HasPrefix(line, "```"):
			open = false
		case open:
			all[len(all)-1].text += line
		}
	}
	for i := range all {
		Expect(yaml.UnmarshalStrict([]byte(all[i].text), &all[i].fields)).To(Succeed(), all[i].section)
	}
	return all
}

// templates are the pods that a manifest makes: itself, those of its pod templates, or one with a container that has its
// env. TrainJob has an env in the place of a template.
func templates(at map[string]any) (pods []map[string]any) {
	if _, ok := at["env"]; ok {
		return []map[string]any{{"spec": map[string]any{"containers": []any{map[string]any{"name": "train", "image": "train", "env": at["env"]}}}}}
	}
	if spec, ok := at["spec"].(map[string]any); ok && spec["containers"] != nil {
		return []map[string]any{at}
	}
	for _, value := range at {
		switch value := value.(type) {
		case map[string]any:
			pods = append(pods, templates(value)...)
		case []any:
			for _, item := range value {
				if item, ok := item.(map[string]any); ok {
					pods = append(pods, templates(item)...)
				}
			}
		}
	}
	return pods
}

// made gives the pods of a manifest as the API server would make them.
func made(ctx SpecContext, m manifest) (pods []*corev1.Pod) {
	GinkgoHelper()
	for i, template := range templates(m.fields) {
		metadata, _ := template["metadata"].(map[string]any)
		pod := map[string]any{
			"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
			"metadata": map[string]any{"name": fmt.Sprintf("pod-%d", i), "labels": metadata["labels"], "annotations": metadata["annotations"]},
		}
		text, err := yaml.Marshal(pod)
		Expect(err).NotTo(HaveOccurred())
		out := kubectl(ctx, string(text), "create", "-n", training, "--dry-run=server", "--validate=strict", "-o", "yaml", "-f", "-")
		var read corev1.Pod
		Expect(yaml.Unmarshal([]byte(out), &read)).To(Succeed(), out)
		if m.fields["kind"] == "JobSet" {
			read.Spec.Hostname = fmt.Sprintf("capsules-workers-0-%d", i) // its controller sets one
		}
		pods = append(pods, &read)
	}
	return pods
}

// found links a run with the pods, and gives how each was found, in their order; empty for one that was not. The first pod
// made the run.
func found(tracker string, pods []*corev1.Pod) []binding.By {
	GinkgoHelper()
	began := time.Unix(1_800_000_000, 0)
	store := evidence.New(evidence.Options{Clock: clocktesting.NewFakePassiveClock(began), Keys: binding.Keys})
	for _, pod := range pods {
		pod.Status.StartTime = &metav1.Time{Time: began}
		store.SeePod(evidence.PodOf(pod))
	}
	run := binding.Run{
		Object:  types.NamespacedName{Namespace: training, Name: "capsules-3f9a1c"},
		Tracker: tracker, ID: "3f9a1c", UID: "uid", CreatedAt: began.Add(time.Minute), Active: true,
	}
	first := store.Pod(pods[0].UID)
	if tracker == "wandb" {
		run.Host = first.Hostname // the SDK's, with nothing set
	}
	for _, env := range pods[0].Spec.Containers[0].Env { // what the clients make of it
		switch {
		case tracker == "wandb" && env.Name == "WANDB_HOST" && env.Value == "$(POD_NAME)":
			run.Host = first.Name
		case tracker == "mlflow" && env.Name == "MLFLOW_RUN_CONTEXT" && strings.Contains(env.Value, `"runtag.dev/pod-uid":"$(POD_UID)"`):
			run.PodUID = first.UID
		}
	}
	links := binding.Links(run, store, func(types.UID) []binding.Run { return nil }, began.Add(2*time.Minute)).Links
	ways := make([]binding.By, len(pods))
	for i, pod := range pods {
		for _, link := range links {
			if link.Pod == pod.UID {
				ways[i] = link.By
			}
		}
	}
	return ways
}

var _ = Describe("How pods and runs find each other, as docs/linking.md shows it,", Ordered, func() {
	BeforeAll(func(ctx SpecContext) {
		kubectl(ctx, "", "create", "namespace", training)
		kubectl(ctx, "", "create", "serviceaccount", "default", "-n", training)
		kubectl(ctx, "", "apply", "-k", config+"/inject")
		labelled := manifest{text: "probe", fields: map[string]any{
			"metadata": map[string]any{"labels": map[string]any{injected: "capsules"}},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "train", "image": "train"}}},
		}}
		Eventually(ctx, func() []corev1.EnvVar { return made(ctx, labelled)[0].Spec.Containers[0].Env }).
			WithTimeout(time.Minute).ShouldNot(BeEmpty(), "the policy takes a moment")
	})

	It("is in manifests that the API server takes, of the kinds that it has", func(ctx SpecContext) {
		kinds := map[string]int{}
		for _, m := range shown(linking) {
			api, _ := m.fields["apiVersion"].(string)
			kind, _ := m.fields["kind"].(string)
			kinds[kind]++
			switch strings.Split(api, "/")[0] {
			case "batch", "apps", "v1", "tracking.runtag.dev":
				kubectl(ctx, m.text, "create", "-n", training, "--dry-run=server", "--validate=strict", "-f", "-")
			}
		}
		for _, kind := range []string{"Job", "JobSet", "TrainJob", "PyTorchJob", "RayJob", "StatefulSet", "TrainingRun"} {
			Expect(kinds).To(HaveKey(kind))
		}
	})

	DescribeTable("links the pods", func(ctx SpecContext, section, tracker string, want ...binding.By) {
		seen := false
		for _, m := range shown(linking) {
			if m.section == section {
				seen = true
				Expect(found(tracker, made(ctx, m))).To(Equal(want))
			}
		}
		Expect(seen).To(BeTrue(), "no manifest in this section")
	},
		Entry("that have the lines", "The lines", "mlflow", binding.ByPodUID),
		Entry("that have the label, on MLflow", "config/inject: without a line of code", "mlflow", binding.ByPodUID),
		Entry("that have the label, on W&B", "config/inject: without a line of code", "wandb", binding.ByHost),
		Entry("of a Job that names its run", "Job", "wandb", binding.ByEnv),
		Entry("of a JobSet with the label", "JobSet", "mlflow", binding.ByPodUID),
		Entry("of a JobSet by their host", "JobSet", "wandb", binding.ByHost),
		Entry("of a TrainJob that names its run", "Trainer v2", "wandb", binding.ByEnv),
		Entry("of the training operator", "Kubeflow training operator v1", "mlflow", binding.ByPodUID, binding.By("")),
		Entry("of a Ray cluster that is made for the run", "Ray", "wandb", binding.ByName, binding.ByName),
		Entry("and on MLflow", "Ray", "mlflow", binding.ByName, binding.ByName),
		Entry("of Volcano", "Volcano", "mlflow", binding.ByPodUID),
		Entry("of a sweep's agent", "Sweeps", "wandb", binding.ByHost),
		Entry("of a notebook", "Notebooks", "mlflow", binding.ByPodUID),
		Entry("of a notebook by its host", "Notebooks", "wandb", binding.ByHost),
	)

	It("names fields and ways that there are", func() {
		text, err := os.ReadFile(linking)
		Expect(err).NotTo(HaveOccurred())
		for _, by := range []binding.By{
			binding.ByName, binding.ByEnv, binding.ByPodUID, binding.ByRunID, binding.BySelector, binding.ByHost,
		} {
			Expect(string(text)).To(ContainSubstring("| "+string(by)+" |"), "the table of ways")
		}
		Expect(string(text)).To(ContainSubstring("`boundBy: " + string(binding.ByGang) + "`"))
		for _, key := range []string{binding.RunKey, binding.RunIDKey} {
			Expect(string(text)).To(ContainSubstring("`" + key))
		}
	})
})
