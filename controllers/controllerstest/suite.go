// Package controllerstest lets tests drive the controllers step by step: on a real API server and under the operator's
// own role, with a tracker in the process, a clock that only the test moves, and no manager. A test says what people do
// (apply, edit, delete; tag on the tracker's page), calls Settle or Step, and says what it expects.
//
// Some things are checked without being asked for. After every Settle the conditions follow kstatus; at every write to
// the tracker the ownership record that covers it is stored already; and when a Harness is closed, the credential of its
// projects is found in no status, event, log line, metric or error.
package controllerstest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers"
	"github.com/runtag/runtag/controllers/tagrule"
	"github.com/runtag/runtag/controllers/trainingrun"
	"github.com/runtag/runtag/internal/controlplane"
)

const (
	systemNamespace = "runtag-system"
	serviceAccount  = "manager"
	// syncLimit is for the caches to fill; they are empty.
	syncLimit = 30 * time.Second
)

// Suite is what all tests of a package share: a control plane with the CRDs, the operator's account and its caches.
type Suite struct {
	Plane *controlplane.ControlPlane
	// Scheme knows the built-in kinds and ours.
	Scheme *runtime.Scheme
	// Admin may do everything and reads past all caches.
	Admin client.Client
	// Operator logs in as the manager's ServiceAccount, with no more than config/rbac allows it.
	Operator *rest.Config

	cluster cluster.Cluster
}

// Start starts it all; config is the path of the repository's folder config. It goes with the suite.
func Start(tb controlplane.TB, config string) *Suite {
	tb.Helper()
	s := &Suite{Plane: controlplane.StartForTest(tb), Scheme: runtime.NewScheme()}
	if err := s.start(tb, config); err != nil {
		tb.Fatalf("start the control plane for the controllers: %v", err)
	}
	return s
}

func (s *Suite) start(tb controlplane.TB, config string) error {
	ctx := tb.Context()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s.Scheme); err != nil {
			return err
		}
	}
	if err := controlplane.InstallCRDs(ctx, s.Plane.RESTConfig(), filepath.Join(config, "crd", "bases")); err != nil {
		return err
	}
	var err error
	if s.Admin, err = client.New(s.Plane.RESTConfig(), client.Options{Scheme: s.Scheme}); err != nil {
		return err
	}
	if err := s.grant(ctx, filepath.Join(config, "rbac", "role.yaml")); err != nil {
		return err
	}
	if s.Operator, err = s.Plane.ConfigFor(ctx, systemNamespace, serviceAccount); err != nil {
		return err
	}
	return s.startCaches(tb)
}

// grant makes the manager's account and gives it the generated role.
func (s *Suite) grant(ctx context.Context, roleFile string) error {
	manifest, err := os.ReadFile(roleFile)
	if err != nil {
		return err
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(manifest, role); err != nil {
		return fmt.Errorf("read %s: %w", roleFile, err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: systemNamespace, Name: serviceAccount}},
	}
	for _, obj := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: systemNamespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: systemNamespace, Name: serviceAccount}},
		role, binding,
	} {
		if err := s.Admin.Create(ctx, obj); err != nil {
			return fmt.Errorf("create %T %s: %w", obj, obj.GetName(), err)
		}
	}
	return nil
}

// startCaches makes the client as the manager has it: from caches without managed fields, reads after own writes.
func (s *Suite) startCaches(tb controlplane.TB) error {
	readOwnWrites := true
	var err error
	s.cluster, err = cluster.New(s.Operator, func(o *cluster.Options) {
		o.Scheme = s.Scheme
		o.Cache = controllers.Cache()
		o.Client.Cache = &client.CacheOptions{EnableReadYourWritesConsistency: &readOwnWrites}
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	for _, add := range []func(context.Context, client.FieldIndexer) error{trainingrun.AddIndexes, tagrule.AddIndexes} {
		if err := add(ctx, s.cluster.GetFieldIndexer()); err != nil {
			stop()
			return err
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- s.cluster.Start(ctx) }()
	tb.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			tb.Logf("stop the caches: %v", err)
		}
	})
	limited, cancel := context.WithTimeout(ctx, syncLimit)
	defer cancel()
	for _, obj := range []client.Object{
		&v1alpha1.TrainingRun{}, &v1alpha1.TrackingProject{}, &v1alpha1.TagRule{}, &v1alpha1.ClusterTagRule{}, &v1alpha1.TagChange{}, &corev1.Namespace{},
	} {
		if _, err := s.cluster.GetCache().GetInformer(limited, obj); err != nil {
			return fmt.Errorf("fill the cache of %T: %w", obj, err)
		}
	}
	return nil
}
