package e2e_test

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// more is more than half of a node.
var more = resource.MustParse("20")

// newPod makes a plain pod of the scene on a node, and waits until it runs.
func (s *scene) newPod(ctx context.Context, node string) *corev1.Pod {
	GinkgoHelper()
	template := template(node)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, GenerateName: s.project + "-"}, Spec: template.Spec}
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{} // many fit
	createPod(ctx, pod)
	Eventually(func() corev1.PodPhase { return s.pod(ctx, pod.Name).Status.Phase }).Should(Equal(corev1.PodRunning))
	return s.pod(ctx, pod.Name)
}

func (s *scene) pod(ctx context.Context, name string) *corev1.Pod {
	GinkgoHelper()
	pod := &corev1.Pod{}
	Expect(suite.client.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, pod)).To(Succeed())
	return pod
}

// newJob makes a Job of the scene whose pods run on a node. It goes with the spec.
func (s *scene) newJob(ctx context.Context, node string, changes ...func(*batchv1.Job)) *batchv1.Job {
	GinkgoHelper()
	job := &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, GenerateName: s.project + "-"},
		Spec:       batchv1.JobSpec{BackoffLimit: ptr.To[int32](100), Template: template(node)},
	}
	for _, change := range changes {
		change(job)
	}
	Expect(suite.client.Create(ctx, job)).To(Succeed())
	DeferCleanup(func(ctx SpecContext) { deleteAtOnce(ctx, job) })
	return job
}

// podOf waits for the Job's pod that runs.
func (s *scene) podOf(ctx context.Context, job *batchv1.Job) *corev1.Pod {
	GinkgoHelper()
	var running []corev1.Pod
	Eventually(func() []corev1.Pod {
		running = s.podsOf(ctx, job)
		return running
	}).Should(HaveLen(1), s.explain(ctx))
	return &running[0]
}

// podsOf gives the Job's pods that run.
func (s *scene) podsOf(ctx context.Context, job *batchv1.Job) (running []corev1.Pod) {
	GinkgoHelper()
	var list corev1.PodList
	Expect(suite.client.List(ctx, &list, client.InNamespace(s.namespace), client.MatchingLabels{batchv1.JobNameLabel: job.Name})).To(Succeed())
	for _, pod := range list.Items {
		if pod.Status.Phase == corev1.PodRunning && pod.DeletionTimestamp == nil {
			running = append(running, pod)
		}
	}
	return running
}

// expectPodGone waits until nothing is left of a pod.
func (s *scene) expectPodGone(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	Eventually(func() (bool, error) {
		now := &corev1.Pod{}
		err := suite.client.Get(ctx, client.ObjectKeyFromObject(pod), now)
		return apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID, client.IgnoreNotFound(err)
	}).Should(BeTrue(), "pod %s is gone", pod.Name)
}

// evict is one step of a drain.
func evict(ctx context.Context, pod *corev1.Pod) {
	GinkgoHelper()
	Expect(suite.client.SubResource("eviction").Create(ctx, pod, &policyv1.Eviction{})).To(Succeed())
}

// expectLink waits until the pod belongs to the run, until then.
func (s *scene) expectLink(ctx context.Context, name string, pod *corev1.Pod, until types.GomegaMatcher) {
	GinkgoHelper()
	Eventually(func() []v1alpha1.PodLink { return s.get(ctx, name).Status.Pods }).
		Should(ContainElement(And(HaveField("UID", string(pod.UID)), HaveField("Until", until))), s.explain(ctx))
}

// hostname is what a process in the pod gets by gethostname.
func hostname(pod *corev1.Pod) string {
	if pod.Spec.Hostname != "" {
		return pod.Spec.Hostname
	}
	return pod.Name
}

// environ is the environment with which a kubelet starts the pod's first container.
func environ(pod *corev1.Pod) (env []string) {
	GinkgoHelper()
	fields := map[string]string{"metadata.name": pod.Name, "metadata.uid": string(pod.UID)}
	var expand []string
	for _, v := range pod.Spec.Containers[0].Env {
		value := strings.NewReplacer(expand...).Replace(v.Value)
		if v.ValueFrom != nil {
			Expect(v.ValueFrom.FieldRef).NotTo(BeNil(), "%s of pod %s", v.Name, pod.Name)
			Expect(fields).To(HaveKey(v.ValueFrom.FieldRef.FieldPath))
			value = fields[v.ValueFrom.FieldRef.FieldPath]
		}
		env = append(env, v.Name+"="+value)
		expand = append(expand, fmt.Sprintf("$(%s)", v.Name), value)
	}
	return env
}

// trainAt begins a run whose script is in a pod; all such scripts share a process, which is told the pod's hostname.
func (t *wandb) trainAt(ctx context.Context, s *scene, host string, tags ...string) runRef {
	GinkgoHelper()
	return runRef{s.project, t.begin(ctx, map[string]any{"project": s.project, "host": host, "tags": tags})}
}

// trainIn starts a process with the environment of a pod, which begins a run or goes on with one. The SDK asks for the
// hostname, which is that of the machine here, so it is told.
func (t *wandb) trainIn(ctx context.Context, s *scene, pod *corev1.Pod, changes map[string]any) (runRef, *worker) {
	GinkgoHelper()
	script := t.process(newDir(), append([]string{"WANDB_HOST=" + hostname(pod)}, environ(pod)...)...)
	arguments := map[string]any{"project": s.project}
	for key, value := range changes {
		arguments[key] = value
	}
	return runRef{s.project, begin(ctx, script, arguments)}, script
}

// trainIn starts a process with the environment of a pod, which calls mlflow.start_run(). Which experiment that is for is
// the image's or the script's own.
func (t *mlflow) trainIn(ctx context.Context, s *scene, pod *corev1.Pod, _ map[string]any) (runRef, *worker) {
	GinkgoHelper()
	script := t.process(newDir(), append([]string{"MLFLOW_EXPERIMENT_NAME=" + s.project}, environ(pod)...)...)
	var id string
	Expect(script.call(ctx, "start_run", nil, &id)).To(Succeed())
	return runRef{s.project, id}, script
}
