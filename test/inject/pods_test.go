package inject_test

import (
	"fmt"
	"slices"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// What the policy adds.
const (
	podName    = "POD_NAME<metadata.name"
	podUID     = "POD_UID<metadata.uid"
	hostName   = "WANDB_HOST=$(POD_NAME)"
	runContext = `MLFLOW_RUN_CONTEXT={"runtag.dev/pod":"$(POD_NAME)","runtag.dev/pod-uid":"$(POD_UID)"}`
	unrelated  = "LR=0.1"
)

func list(env ...string) []string { return env }

var all = list(podName, podUID, hostName, runContext)

// injected is a pod and what its environments are once it is made.
type injected struct {
	name, reason     string
	containers, init [][]string
	edit             func(*corev1.Pod) // what else is particular about the pod
	want, wantInit   [][]string
}

// containerCases are about a single container.
var containerCases = []injected{
	{
		name: "without variables", reason: "the values find the pod before them",
		containers: [][]string{nil}, want: [][]string{all},
	},
	{
		name: "with variables", reason: "they keep their order, and find the pod before them",
		containers: [][]string{list(unrelated, "TAG=$(POD_UID)-$(LR)")},
		want:       [][]string{list(podName, podUID, unrelated, "TAG=$(POD_UID)-$(LR)", hostName, runContext)},
	},
	{
		name: "with a POD_UID behind others", reason: "it stays where it is, and our value goes behind it",
		containers: [][]string{list(unrelated, podUID, "A=b")},
		want:       [][]string{list(podName, unrelated, podUID, "A=b", hostName, runContext)},
	},
	{
		name: "with a POD_NAME at the end", reason: "our values go behind it",
		containers: [][]string{list(unrelated, podName)},
		want:       [][]string{list(podUID, unrelated, podName, hostName, runContext)},
	},
	{
		name: "with both of them in the other order", reason: "neither uses the other",
		containers: [][]string{list(podUID, podName)}, want: [][]string{list(podUID, podName, hostName, runContext)},
	},
	{
		name: "with a POD_NAME that is not the pod's", reason: "no value of ours says on the tracker that another pod it was",
		containers: [][]string{list("POD_NAME=trainer")}, want: [][]string{list(podUID, "POD_NAME=trainer")},
	},
	{
		name: "with another field as POD_NAME", reason: "that is not the pod's name either",
		containers: [][]string{list("POD_NAME<spec.nodeName")}, want: [][]string{list(podUID, "POD_NAME<spec.nodeName")},
	},
	{
		name: "with a POD_UID that is not the pod's", reason: "the name is right, so the host can be said",
		containers: [][]string{list("POD_UID=1000")}, want: [][]string{list(podName, "POD_UID=1000", hostName)},
	},
	{
		name: "with a POD_UID from a Secret", reason: "nobody knows what that is",
		containers: [][]string{list("POD_UID<own uid")}, want: [][]string{list(podName, "POD_UID<own uid", hostName)},
	},
	{
		name: "with a context only", reason: "it can use the pod's variables, which stand before it",
		containers: [][]string{list(`MLFLOW_RUN_CONTEXT={"team":"a","pod":"$(POD_UID)"}`)},
		want:       [][]string{list(podName, podUID, `MLFLOW_RUN_CONTEXT={"team":"a","pod":"$(POD_UID)"}`, hostName)},
	},
	{
		name: "with a host only", reason: "a person knows better",
		containers: [][]string{list("WANDB_HOST=desk")}, want: [][]string{list(podName, podUID, "WANDB_HOST=desk", runContext)},
	},
	{
		name: "with a host from a Secret", reason: "that is set as well",
		containers: [][]string{list("WANDB_HOST<own host")}, want: [][]string{list(podName, podUID, "WANDB_HOST<own host", runContext)},
	},
	{
		name: "with empty values", reason: "to set a variable to nothing is to set it, which is how to do without",
		containers: [][]string{list("WANDB_HOST=", "MLFLOW_RUN_CONTEXT=")},
		want:       [][]string{list(podName, podUID, "WANDB_HOST=", "MLFLOW_RUN_CONTEXT=")},
	},
	{
		name: "with an empty POD_NAME", reason: "that is not the pod's name",
		containers: [][]string{list("POD_NAME=")}, want: [][]string{list(podUID, "POD_NAME=")},
	},
	{
		name: "with all of them", reason: "nothing is unset; what is wrong with the order is theirs",
		containers: [][]string{list(runContext, hostName, podUID, podName)}, want: [][]string{list(runContext, hostName, podUID, podName)},
	},
	{
		name: "with one of them twice", reason: "twice is set as well",
		containers: [][]string{list("WANDB_HOST=a", "WANDB_HOST=b", podName, podName)},
		want:       [][]string{list(podUID, "WANDB_HOST=a", "WANDB_HOST=b", podName, podName, runContext)},
	},
	{
		name: "with names that only begin like ours", reason: "these are other variables",
		containers: [][]string{list("POD_NAMESPACE<metadata.namespace", "WANDB_HOSTS=a")},
		want:       [][]string{list(podName, podUID, "POD_NAMESPACE<metadata.namespace", "WANDB_HOSTS=a", hostName, runContext)},
	},
	{
		name: "with envFrom", reason: "what that brings cannot be seen, so it sets nothing",
		containers: [][]string{nil}, want: [][]string{all},
		edit: func(pod *corev1.Pod) {
			pod.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{
				Prefix:    "WANDB_",
				SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "keys"}},
			}}
		},
	},
}

// podCases are about the pod, or about several containers.
var podCases = []injected{
	{
		name: "of several containers", reason: "each is a case of its own",
		containers: [][]string{list(unrelated), nil, all, list("WANDB_HOST=desk")},
		want:       [][]string{list(podName, podUID, unrelated, hostName, runContext), all, all, list(podName, podUID, "WANDB_HOST=desk", runContext)},
	},
	{
		name: "with init containers", reason: "these may train, or make the run, as well",
		containers: [][]string{nil, list(unrelated)}, init: [][]string{list("POD_NAME=x"), nil, list(unrelated)},
		want:     [][]string{all, list(podName, podUID, unrelated, hostName, runContext)},
		wantInit: [][]string{list(podUID, "POD_NAME=x"), all, list(podName, podUID, unrelated, hostName, runContext)},
	},
	{
		name: "with a sidecar", reason: "an init container that goes on is one all the same",
		containers: [][]string{nil}, init: [][]string{nil}, want: [][]string{all}, wantInit: [][]string{all},
		edit: func(pod *corev1.Pod) {
			pod.Spec.InitContainers[0].RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		},
	},
	{
		name: "of 64 containers and as many init containers with 50 variables each", reason: "an expression has a budget",
		containers: slices.Repeat([][]string{many(50)}, 64), init: slices.Repeat([][]string{many(50)}, 64),
		want:     slices.Repeat([][]string{slices.Concat(list(podName, podUID), many(50), list(hostName, runContext))}, 64),
		wantInit: slices.Repeat([][]string{slices.Concat(list(podName, podUID), many(50), list(hostName, runContext))}, 64),
	},
	{
		name: "with an empty label", reason: "which project it is does not matter here",
		containers: [][]string{nil}, want: [][]string{all},
		edit: func(pod *corev1.Pod) { pod.Labels[projectLabel] = "" },
	},
	{
		name: "with a name of its own", reason: "the name is read when the container starts, so it may be made later or be there",
		containers: [][]string{nil}, want: [][]string{all},
		edit: func(pod *corev1.Pod) { pod.Name, pod.GenerateName = "named", "" },
	},
	{
		name: "without the label", reason: "it is none of ours",
		containers: [][]string{nil, list(unrelated)}, init: [][]string{nil},
		want: [][]string{nil, list(unrelated)}, wantInit: [][]string{nil},
		edit: func(pod *corev1.Pod) { pod.Labels = map[string]string{"app": "web"} },
	},
	{
		name: "with an annotation instead of the label", reason: "only a label selects",
		containers: [][]string{nil}, want: [][]string{nil},
		edit: func(pod *corev1.Pod) { pod.Labels, pod.Annotations = nil, pod.Labels },
	},
}

func many(count int) []string {
	var env []string
	for i := range count {
		env = append(env, fmt.Sprintf("V%d=%d", i, i))
	}
	return env
}

// check makes the pod and looks at its environments, and at whether everything else is as without the policy.
func (i injected) check(ctx SpecContext) {
	GinkgoHelper()
	pod := newPod(i.containers...)
	pod.Spec.InitContainers = newContainers("i", i.init)
	if i.edit != nil {
		i.edit(pod)
	}
	made, err := try(ctx, pod)
	Expect(err).NotTo(HaveOccurred(), i.reason)
	Expect(cmp.Diff(i.want, environments(made.Spec.Containers))).To(BeEmpty(), i.reason)
	Expect(cmp.Diff(i.wantInit, environments(made.Spec.InitContainers))).To(BeEmpty(), i.reason)

	plain := pod.DeepCopy()
	delete(plain.Labels, projectLabel)
	untouched, err := try(ctx, plain)
	Expect(err).NotTo(HaveOccurred())
	Expect(cmp.Diff(withoutEnv(untouched), withoutEnv(made))).To(BeEmpty(), "only variables are added")
	again := made.DeepCopy()
	again.ResourceVersion, again.UID, again.Name = "", "", pod.Name
	twice, err := try(ctx, again)
	Expect(err).NotTo(HaveOccurred())
	Expect(cmp.Diff(made.Spec, twice.Spec)).To(BeEmpty(), "a second time adds nothing")
}

func withoutEnv(pod *corev1.Pod) corev1.PodSpec {
	spec := pod.Spec.DeepCopy()
	for _, containers := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range containers {
			containers[i].Env = nil
		}
	}
	return *spec
}

// With Fail an error in an expression is seen; with Ignore it would look like nothing to add.
var _ = Describe("The policy", Ordered, func() {
	for _, failure := range []string{"Fail", "Ignore"} {
		Context("with failurePolicy "+failure, Ordered, func() {
			BeforeAll(func(ctx SpecContext) {
				policies := replaced(shipped(ctx), "failurePolicy: Ignore", "failurePolicy: "+failure)
				install(ctx, policies)
			})

			for _, test := range containerCases {
				It("adds what is unset to a container "+test.name, test.check)
			}
			for _, test := range podCases {
				It("adds what is unset to a pod "+test.name, test.check)
			}
		})
	}
})

var _ = Describe("The policy as shipped", Ordered, func() {
	BeforeAll(func(ctx SpecContext) {
		policies := shipped(ctx)
		install(ctx, policies)
	})

	It("leaves a pod alone that is there already", func(ctx SpecContext) {
		pods := clientset.CoreV1().Pods(namespace)
		plain := newPod(list(unrelated))
		plain.Labels = nil
		made, err := pods.Create(ctx, plain, metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		label := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"capsules"}}}`, projectLabel)
		labelled, err := pods.Patch(ctx, made.Name, types.MergePatchType, label, metav1.PatchOptions{})
		Expect(err).NotTo(HaveOccurred(), "an env that changed would be refused")
		Expect(labelled.Labels).To(HaveKey(projectLabel))
		Expect(environments(labelled.Spec.Containers)).To(Equal([][]string{list(unrelated)}))

		labelled.Spec.EphemeralContainers = []corev1.EphemeralContainer{
			{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: "sh"}},
		}
		debugged, err := pods.UpdateEphemeralContainers(ctx, made.Name, labelled, metav1.UpdateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(debugged.Spec.EphemeralContainers).To(HaveLen(1))
		Expect(debugged.Spec.EphemeralContainers[0].Env).To(BeEmpty(), "people look with it, nothing trains in it")
	})

	It("reaches a container that is added after it", func(ctx SpecContext) {
		containers := func(ctx SpecContext) (made []corev1.Container, err error) {
			pod, err := try(ctx, newPod(nil))
			if err == nil {
				made = pod.Spec.Containers
			}
			return made, err
		}
		apply(ctx, sidecars)
		DeferCleanup(func(ctx SpecContext) {
			kubectl(ctx, sidecars, "delete", "-f", "-")
			Eventually(ctx, containers).WithArguments(ctx).Should(HaveLen(1))
		})
		Eventually(ctx, containers).WithArguments(ctx).Should(HaveLen(2))
		made, err := containers(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(environments(made)).To(Equal([][]string{all, all}))
	})
})

var _ = Describe("A policy with an expression that fails", func() {
	It("blocks no pod as long as failures are ignored", func(ctx SpecContext) {
		failing := replaced(shipped(ctx), "variables.paths[i]", "variables.paths[i + 1000]", "failurePolicy: Ignore", "failurePolicy: Fail")
		apply(ctx, failing)
		DeferCleanup(func(ctx SpecContext) { remove(ctx, failing) })
		Eventually(ctx, func() error { _, err := probe(ctx); return err }).Should(MatchError(ContainSubstring("index out of bounds")), "so it does fail")
		apply(ctx, replaced(failing, "failurePolicy: Fail", "failurePolicy: Ignore"))
		Eventually(ctx, probe).WithArguments(ctx).Should(BeEmpty(), "the pod is made, as it is")
	})
})

// sidecars is a policy that adds a container to each pod, after ours has run.
const sidecars = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: sidecars}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: '[JSONPatch{op: "add", path: "/spec/containers/-", value: Object.spec.containers{name: "side", image: "proxy"}}]'
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: sidecars}
spec: {policyName: sidecars}
`
