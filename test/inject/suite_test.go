// Package inject_test applies config/inject to a real API server, makes pods there, and runs the real clients of both
// trackers with the environment that these pods would have.
package inject_test

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/runtag/runtag/internal/controlplane"
)

const (
	config       = "../../config/inject"
	namespace    = "team"
	projectLabel = "tracking.runtag.dev/project"
)

var (
	plane     *controlplane.ControlPlane
	clientset *kubernetes.Clientset
)

func TestInject(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane and Python")
	}
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(time.Minute) // it takes a second, and the machine may be busy
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Injected environment")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	plane = controlplane.StartForTest(GinkgoT())
	access := rest.CopyConfig(plane.RESTConfig())
	access.WarningHandler = rest.NewWarningWriter(GinkgoWriter, rest.WarningWriterOptions{})
	var err error
	clientset, err = kubernetes.NewForConfig(access)
	Expect(err).NotTo(HaveOccurred())
	_, err = clientset.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err = clientset.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred(), "no controller makes it here, and a pod needs one")
})

// shipped is what kubectl apply -k config/inject applies.
func shipped(ctx context.Context) string {
	GinkgoHelper()
	return kubectl(ctx, "", "kustomize", config)
}

// replaced is text with each old replaced by what follows it, where old is there.
func replaced(text string, oldNew ...string) string {
	GinkgoHelper()
	for i := 0; i < len(oldNew); i += 2 {
		Expect(text).To(ContainSubstring(oldNew[i]))
	}
	return strings.NewReplacer(oldNew...).Replace(text)
}

// apply applies policies; when they take effect is another question.
func apply(ctx context.Context, policies string) {
	GinkgoHelper()
	kubectl(ctx, policies, "apply", "-f", "-")
}

// install applies policies that add something, waits until they take effect, and has them removed in the end.
func install(ctx context.Context, policies string) {
	GinkgoHelper()
	apply(ctx, policies)
	DeferCleanup(func(ctx SpecContext) { remove(ctx, policies) })
	Eventually(ctx, probe).WithArguments(ctx).ShouldNot(BeEmpty())
}

// remove deletes the policies and waits until that has taken effect.
func remove(ctx context.Context, policies string) {
	GinkgoHelper()
	kubectl(ctx, policies, "delete", "-f", "-")
	Eventually(ctx, probe).WithArguments(ctx).Should(BeEmpty())
}

// probe makes the simplest pod that the policy is for, and gives its environment.
func probe(ctx context.Context) ([]corev1.EnvVar, error) {
	made, err := try(ctx, newPod(nil))
	if err != nil {
		return nil, err
	}
	return made.Spec.Containers[0].Env, nil
}

// try has the API server answer with the pod that it would make.
func try(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return clientset.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// kubectl runs the real kubectl as admin, with input on stdin, and gives what it printed.
func kubectl(ctx context.Context, input string, args ...string) string {
	GinkgoHelper()
	command := exec.CommandContext(ctx, plane.Kubectl(), append([]string{"--kubeconfig", plane.KubeconfigPath()}, args...)...)
	command.Stdin = strings.NewReader(input)
	command.Env = []string{"HOME=" + plane.Dir()} // its caches
	out, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		Fail("kubectl " + strings.Join(args, " ") + ": " + string(exit.Stderr))
	}
	Expect(err).NotTo(HaveOccurred())
	return string(out)
}
