// Package manifests_test applies what is in config to a real API server: the roles of people, and the examples.
package manifests_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/runtag/runtag/internal/controlplane"
)

const config = "../../config"

var plane *controlplane.ControlPlane

func TestManifests(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Manifests")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	plane = controlplane.StartForTest(GinkgoT())
	Expect(controlplane.InstallCRDs(ctx, plane.RESTConfig(), filepath.Join(config, "crd", "bases"))).To(Succeed())
})

// try runs the real kubectl as admin unless told otherwise, with input on stdin, and gives what it printed.
func try(ctx SpecContext, input string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, plane.Kubectl(), append([]string{"--kubeconfig", plane.KubeconfigPath()}, args...)...)
	command.Stdin = strings.NewReader(input)
	command.Env = append(os.Environ(), "HOME="+filepath.Join(plane.Dir(), "home")) // its caches
	out, err := command.CombinedOutput()
	return string(out), err
}

// kubectl runs what has to succeed.
func kubectl(ctx SpecContext, input string, args ...string) string {
	GinkgoHelper()
	out, err := try(ctx, input, args...)
	Expect(err).NotTo(HaveOccurred(), "kubectl %s: %s", strings.Join(args, " "), out)
	return out
}
