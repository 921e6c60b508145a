// Package stage starts what benchmarks and fault tests play on: a real API server with runtag installed, the built
// manager as a process under its own role, the embedded tracker and a real MLflow server. It knows no test framework;
// what goes wrong is an error.
package stage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/controlplane"
)

const (
	// SystemNamespace and account are where and as whom config/default runs the manager.
	SystemNamespace = "runtag-system"
	account         = "runtag-manager"
	// patience is for what takes a second on an idle machine.
	patience = 2 * time.Minute
	poll     = 20 * time.Millisecond
)

// Stage is a cluster with runtag installed and no manager running.
type Stage struct {
	// Dir is a folder for logs and files of the stage; it goes with Close.
	Dir string
	// Root is the work tree, which has the binaries in bin.
	Root  string
	Plane *controlplane.ControlPlane
	// Scheme knows the built-in kinds and ours.
	Scheme *runtime.Scheme
	// Admin may do everything, and is not slowed down on our side.
	Admin client.WithWatch

	kubeconfig string // of the manager's ServiceAccount
	started    int    // managers, so far
}

// Options of New.
type Options struct {
	// Log gets what New does while that takes time; nil for none.
	Log controlplane.Logf
	// Nodes is how many simulated nodes there are, with scheduler and controller manager; see controlplane.Options.
	Nodes int
}

// New starts a cluster and installs CRDs, roles and the shipped rules.
func New(ctx context.Context, o Options) (*Stage, error) {
	root, err := FindRoot()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "runtag-stage-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the stage: %w", err)
	}
	s := &Stage{Dir: dir, Root: root, Scheme: runtime.NewScheme()}
	if err := errors.Join(clientgoscheme.AddToScheme(s.Scheme), v1alpha1.AddToScheme(s.Scheme)); err != nil {
		return nil, err
	}
	s.Plane, err = controlplane.Start(ctx, controlplane.Options{Log: o.Log, Nodes: o.Nodes})
	if err == nil {
		err = s.install(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// Close ends the cluster and removes the folder. Managers have to be stopped before.
func (s *Stage) Close(ctx context.Context) error {
	var err error
	if s.Plane != nil {
		err = s.Plane.Stop(ctx)
	}
	return errors.Join(err, os.RemoveAll(s.Dir))
}

// install does what a person does on a cluster of their own.
func (s *Stage) install(ctx context.Context) error {
	for _, args := range [][]string{
		{"apply", "--server-side", "-k", filepath.Join(s.Root, "config", "default")},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"},
		{"apply", "--server-side", "-k", filepath.Join(s.Root, "config", "rules")},
	} {
		if out, err := s.Kubectl(ctx, "", args...); err != nil {
			return fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	config, err := s.Plane.ConfigFor(ctx, SystemNamespace, account)
	if err != nil {
		return err
	}
	s.kubeconfig = filepath.Join(s.Dir, "manager.kubeconfig")
	if err := controlplane.WriteKubeconfig(s.kubeconfig, config); err != nil {
		return err
	}
	s.Admin, err = client.NewWithWatch(s.Plane.RESTConfig(), client.Options{Scheme: s.Scheme})
	return err
}

// Kubectl runs kubectl as an administrator, with a manifest on stdin, and gives what it printed.
func (s *Stage) Kubectl(ctx context.Context, manifest string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, s.Plane.Kubectl(), append([]string{"--kubeconfig", s.Plane.KubeconfigPath()}, args...)...)
	command.Env = []string{"HOME=" + s.Dir} // its caches
	command.Stdin = strings.NewReader(manifest)
	out, err := command.CombinedOutput()
	return string(out), err
}

// Await polls until check gives no error, for at most two minutes.
func Await(ctx context.Context, what string, check func(context.Context) error) error {
	return AwaitFor(ctx, what, patience, check)
}

// AwaitFor polls until check gives no error, for at most so long.
func AwaitFor(ctx context.Context, what string, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not within %s", limit))
	defer cancel()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
		}
	}
}

// FindRoot goes up from the working directory to the work tree, and expects the binaries to be built.
func FindRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the work tree: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "config", "default", "kustomization.yaml")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run this inside the runtag work tree")
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "bin", "manager")); err != nil {
		return "", fmt.Errorf("%w: run make build first", err)
	}
	return dir, nil
}
