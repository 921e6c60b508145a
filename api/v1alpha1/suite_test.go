package v1alpha1_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/controlplane"
)

const (
	crdFolder = "../../config/crd/bases"
	namespace = "api"
)

var (
	plane     *controlplane.ControlPlane
	k8sClient client.Client
)

func TestAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "API")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	plane = controlplane.StartForTest(GinkgoT())
	Expect(controlplane.InstallCRDs(ctx, plane.RESTConfig(), crdFolder)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme.Scheme)).To(Succeed())
	var err error
	k8sClient, err = client.New(plane.RESTConfig(), client.Options{Scheme: scheme.Scheme})
	Expect(err).NotTo(HaveOccurred())
	Expect(k8sClient.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
})

// accepted is the outcome of a manifest that the API server takes; any other is a part of its refusal.
const accepted = ""

// expectOutcome checks what came of a request.
func expectOutcome(err error, outcome string) {
	GinkgoHelper()
	if outcome == accepted {
		Expect(err).NotTo(HaveOccurred())
		return
	}
	Expect(err).To(MatchError(ContainSubstring(outcome)))
}

// object makes an object with a name of its own, whose spec is given in YAML.
func object(kind, spec string) *unstructured.Unstructured {
	GinkgoHelper()
	obj := &unstructured.Unstructured{Object: map[string]any{}}
	obj.SetAPIVersion(v1alpha1.GroupVersion.String())
	obj.SetKind(kind)
	if !strings.HasPrefix(kind, "Cluster") {
		obj.SetNamespace(namespace)
	}
	obj.SetGenerateName("x-")
	setSpec(obj, spec)
	return obj
}

func setSpec(obj *unstructured.Unstructured, spec string) {
	GinkgoHelper()
	var fields map[string]any
	Expect(yaml.Unmarshal([]byte(spec), &fields)).To(Succeed())
	obj.Object["spec"] = fields
}

// tagList is n different tags, as a YAML list.
func tagList(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("t%d", i)
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// long is a word of n characters, each of three bytes.
func long(n int) string { return strings.Repeat("日", n) }

// kubectl runs the real one as admin, with input on stdin, and gives what it printed.
func kubectl(ctx SpecContext, input string, args ...string) string {
	GinkgoHelper()
	out, err := tryKubectl(ctx, input, args...)
	Expect(err).NotTo(HaveOccurred(), "kubectl %s: %s", strings.Join(args, " "), out)
	return out
}

// tryKubectl is one that may fail.
func tryKubectl(ctx SpecContext, input string, args ...string) (string, error) {
	args = append([]string{"--kubeconfig", plane.KubeconfigPath(), "--namespace", namespace}, args...)
	command := exec.CommandContext(ctx, plane.Kubectl(), args...)
	command.Stdin = strings.NewReader(input)
	command.Env = append(os.Environ(), "HOME="+filepath.Join(plane.Dir(), "home")) // its caches
	out, err := command.CombinedOutput()
	return string(out), err
}
