// Package e2e_test runs the built manager as a process, under its own role, against a real API server, the embedded
// tracker with the real wandb SDK, and a real MLflow server with the real client.
package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/controlplane"
	"github.com/runtag/runtag/internal/pyenv"
)

const (
	// namespace is where all objects are, but for those of the spec about others.
	namespace = "e2e"
	// systemNamespace and account are where and as whom config/default runs the manager.
	systemNamespace = "runtag-system"
	account         = "runtag-manager"
)

var (
	onWandb  = &wandb{}
	onMLflow = &mlflow{experiments: map[string]string{}}
	trackers = []tracker{onWandb, onMLflow}
)

// suite is what all specs share.
var suite struct {
	dir               string
	python            string
	plane             *controlplane.ControlPlane
	client            client.WithWatch // of an admin
	managerKubeconfig string
	audit             *auditor
}

func TestE2E(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane and Python")
	}
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(2 * time.Minute) // the machine may be busy
	SetDefaultEventuallyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "End to end")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	log.SetLogger(GinkgoLogr)
	suite.dir = GinkgoT().TempDir()
	var err error
	suite.python, err = pyenv.Ensure(ctx, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	startAll(ctx)
	for _, t := range trackers {
		secret := t.secret()
		secret.Namespace = namespace
		Expect(suite.client.Create(ctx, secret)).To(Succeed())
	}
	suite.audit = startAuditor()
})

// startAll starts trackers and control plane at once: each takes some seconds, most of them imports of Python.
func startAll(ctx context.Context) {
	GinkgoHelper()
	var starting sync.WaitGroup
	defer starting.Wait() // also when something failed, as what was started has to be stopped
	for _, t := range trackers {
		DeferCleanup(t.stop)
		starting.Go(func() {
			defer GinkgoRecover()
			dir := filepath.Join(suite.dir, t.name())
			Expect(os.Mkdir(dir, 0o700)).To(Succeed())
			t.start(ctx, dir)
		})
	}
	startControlPlane(ctx)
}

// startControlPlane installs runtag as a person does on a cluster of their own.
func startControlPlane(ctx context.Context) {
	GinkgoHelper()
	suite.plane = controlplane.StartForTest(GinkgoT(), controlplane.WithNodes(1, nil))
	kubectl(ctx, "apply", "--server-side", "-k", filepath.Join("..", "..", "config", "default"))
	kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	for _, part := range []string{"rules", "inject"} {
		kubectl(ctx, "apply", "--server-side", "-k", filepath.Join("..", "..", "config", part))
	}
	config, err := suite.plane.ConfigFor(ctx, systemNamespace, account)
	Expect(err).NotTo(HaveOccurred())
	suite.managerKubeconfig = filepath.Join(suite.dir, "manager.kubeconfig")
	Expect(controlplane.WriteKubeconfig(suite.managerKubeconfig, config)).To(Succeed())

	Expect(v1alpha1.AddToScheme(scheme.Scheme)).To(Succeed())
	suite.client, err = client.NewWithWatch(suite.plane.RESTConfig(), client.Options{Scheme: scheme.Scheme})
	Expect(err).NotTo(HaveOccurred())
	Expect(suite.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
}

// kubectl is what a person types, and gives what it printed.
func kubectl(ctx context.Context, args ...string) string {
	GinkgoHelper()
	out, err := tryKubectl(ctx, "", args...)
	Expect(err).NotTo(HaveOccurred(), "kubectl %s: %s", strings.Join(args, " "), out)
	return out
}

// tryKubectl runs it with a manifest on stdin, and may fail.
func tryKubectl(ctx context.Context, manifest string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, suite.plane.Kubectl(), append([]string{"--kubeconfig", suite.plane.KubeconfigPath()}, args...)...)
	command.Env = []string{"HOME=" + suite.dir} // its caches
	command.Stdin = strings.NewReader(manifest)
	out, err := command.CombinedOutput()
	return string(out), err
}
