package controlplane

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// start starts a control plane on a folder, and stops it at the end if the test has not.
func start(t *testing.T, dir string) *ControlPlane {
	t.Helper()
	c, err := Start(t.Context(), Options{Dir: dir, Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, c) })
	return c
}

func stop(t *testing.T, c *ControlPlane) {
	t.Helper()
	if err := c.Stop(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

func client(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func makeConfigMap(t *testing.T, cfg *rest.Config, name string) {
	t.Helper()
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client(t, cfg).CoreV1().ConfigMaps("default").Create(t.Context(), m, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func expectConfigMap(t *testing.T, cfg *rest.Config, name string) {
	t.Helper()
	if _, err := client(t, cfg).CoreV1().ConfigMaps("default").Get(t.Context(), name, metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func TestASecondStartGoesOnWhereTheFirstStopped(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "trial")
	first := start(t, dir)
	makeConfigMap(t, first.RESTConfig(), "kept")
	kubeconfig, err := os.ReadFile(first.KubeconfigPath())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second one on the same folder: got %v, want ErrInUse", err)
	}
	expectConfigMap(t, first.RESTConfig(), "kept") // the refusal did no harm

	children := []int{first.etcd.pid, first.apiserver.pid}
	stop(t, first)
	for _, pid := range children {
		if runs(pid) {
			t.Errorf("process %d runs after Stop", pid)
		}
	}
	if _, err := os.Stat(first.KubeconfigPath()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the kubeconfig leads nowhere and is still there (%v)", err)
	}
	if err := first.Err(); err != nil {
		t.Errorf("Err after Stop is %v, want nil", err)
	}

	start(t, dir)
	old, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	expectConfigMap(t, old, "kept") // by the address, token and certificate of the first
}

func TestKubeconfigIsThereOnlyWhenTheServerIsReady(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kubeconfig")
	if err := os.WriteFile(path, []byte("of last time"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan error, 1)
	go func() { seen <- firstAnswer(ctx, path) }()
	c := start(t, dir)
	if err := <-seen; err != nil {
		t.Errorf("when the kubeconfig appeared: %v", err)
	}
	info, err := os.Stat(c.KubeconfigPath())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o600 {
		t.Errorf("the kubeconfig holds a token and has mode %v, want 0600", info.Mode())
	}
}

// firstAnswer asks /readyz once, as soon as there is a kubeconfig that is not of last time.
func firstAnswer(ctx context.Context, path string) error {
	var content []byte
	err := wait.PollUntilContextCancel(ctx, time.Millisecond, true, func(context.Context) (bool, error) {
		var err error
		content, err = os.ReadFile(path)
		return err == nil && string(content) != "of last time", nil
	})
	if err != nil {
		return err
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(content)
	if err != nil {
		return err
	}
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	return c.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

func TestPrepareRemovesTheKubeconfigOfLastTime(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "kubeconfig"), []byte("of last time"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &ControlPlane{}
	if err := c.prepare(dir); err != nil {
		t.Fatal(err)
	}
	defer c.lock.release()
	if _, err := os.Stat(c.KubeconfigPath()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("who waits for the file would find that of last time (%v)", err)
	}
}

func TestACancelledStartLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	pids := make(chan []int, 1)
	go func() { // cancels once etcd is up
		defer cancel()
		var found []int
		_ = wait.PollUntilContextCancel(ctx, time.Millisecond, true, func(context.Context) (bool, error) {
			found = processesOn(dir)
			return len(found) > 0, nil
		})
		pids <- found
	}()
	_, err := Start(ctx, Options{Dir: dir})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want that it was cancelled", err)
	}
	if found := <-pids; len(found) == 0 {
		t.Error("it was cancelled before anything was started")
	}
	if left := processesOn(dir); len(left) > 0 {
		t.Errorf("the processes %v run after a start that failed", left)
	}
	lock, _, err := tryLock(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatalf("the folder was not given free: %v", err)
	}
	lock.release()
}

// processesOn finds the processes that have the folder in their command line.
func processesOn(dir string) []int {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil
	}
	var found []int
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(line), dir) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			found = append(found, pid)
		}
	}
	return found
}

func TestWhenAChildDiesAllStops(t *testing.T) {
	c := start(t, "")
	apiserver := c.apiserver.pid
	if err := syscall.Kill(c.etcd.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Eventually(c.Done(), "30s").Should(BeClosed())
	if err := c.Err(); err == nil || !strings.Contains(err.Error(), "etcd ended (signal: killed)") {
		t.Errorf("Err is %v, want that etcd was killed", err)
	}
	if runs(apiserver) {
		t.Errorf("the API server (process %d) still runs", apiserver)
	}
	if _, err := os.Stat(c.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary folder is still there (%v)", err)
	}
}

func TestServerAlone(t *testing.T) { // what needs no control plane of its own
	c := StartForTest(t)
	t.Run("restart", func(t *testing.T) { restartsTheAPIServer(t, c) })
	t.Run("ServiceAccount", func(t *testing.T) { logsInAsAServiceAccount(t, c) })
	t.Run("CRDs", func(t *testing.T) { installsCRDs(t, c) })
}

func restartsTheAPIServer(t *testing.T, c *ControlPlane) {
	cfg, before := c.RESTConfig(), c.apiserver.pid
	makeConfigMap(t, cfg, "kept")
	if err := c.StopAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, cfg).Discovery().ServerVersion(); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while it is stopped: got %v, want a refused connection", err)
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.apiserver.pid == before {
		t.Error("it is the same process")
	}
	expectConfigMap(t, cfg, "kept")
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Errorf("starting what runs: %v", err)
	}
}

func logsInAsAServiceAccount(t *testing.T, c *ControlPlane) {
	admin := client(t, c.RESTConfig())
	if _, err := c.ConfigFor(t.Context(), "default", "manager"); !apierrors.IsNotFound(err) {
		t.Errorf("a ServiceAccount that is not there: got %v, want NotFound", err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "manager"}}
	if _, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	cfg, err := c.ConfigFor(t.Context(), "default", "manager")
	if err != nil {
		t.Fatal(err)
	}
	list := func() error {
		_, err := client(t, cfg).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
		return err
	}
	if err := list(); !apierrors.IsForbidden(err) {
		t.Errorf("without a role: got %v, want Forbidden", err)
	}
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "manager"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list"}}},
	}
	if _, err := admin.RbacV1().Roles("default").Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "manager"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "manager"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "manager", Namespace: "default"}},
	}
	if _, err := admin.RbacV1().RoleBindings("default").Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	NewWithT(t).Eventually(list, "20s").Should(Succeed(), "the role counts as soon as the authorizer has seen it")

	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := WriteKubeconfig(kubeconfig, cfg); err != nil {
		t.Fatal(err)
	}
	who, err := exec.CommandContext(t.Context(), c.Kubectl(), "--kubeconfig="+kubeconfig, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}").Output()
	if diff := cmp.Diff("system:serviceaccount:default:manager", string(who)); diff != "" || err != nil {
		t.Errorf("kubectl auth whoami: %v (-want +got):\n%s", err, diff)
	}
}

const widgets = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.runtag.dev}
spec:
  group: test.runtag.dev
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

func installsCRDs(t *testing.T, c *ControlPlane) {
	dir := t.TempDir()
	if err := InstallCRDs(t.Context(), c.RESTConfig(), dir); err == nil {
		t.Error("a folder without CRDs was taken")
	}
	for name, content := range map[string]string{"widgets.yaml": widgets, "kustomization.yaml": "resources: [widgets.yaml]\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // over what is there, too
		if err := InstallCRDs(t.Context(), c.RESTConfig(), dir); err != nil {
			t.Fatal(err)
		}
	}
	objects, err := dynamic.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	widget := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "test.runtag.dev/v1", "kind": "Widget", "metadata": map[string]any{"name": "one"},
	}}
	resource := schema.GroupVersionResource{Group: "test.runtag.dev", Version: "v1", Resource: "widgets"}
	if _, err := objects.Resource(resource).Namespace("default").Create(t.Context(), widget, metav1.CreateOptions{}); err != nil {
		t.Errorf("right after the installation: %v", err)
	}
}
