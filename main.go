// Command manager is the operator: it keeps the tags of training runs what their TrainingRuns declare.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // log in to clusters of all kinds
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers"
	"github.com/runtag/runtag/internal/backend/transport"
	"github.com/runtag/runtag/internal/leader"
	"github.com/runtag/runtag/internal/metrics"
	"github.com/runtag/runtag/internal/tags"
)

var version = "dev"

const leaseName = "manager.runtag.dev"

// list is a flag that may be given more than once, and takes commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(value string) error {
	for _, v := range strings.Split(value, ",") {
		if v = strings.TrimSpace(v); v != "" {
			*l = append(*l, v)
		}
	}
	return nil
}

type options struct {
	metricsAddr, probeAddr, pprofAddr string
	maxTagPolicy                      string
	leaderElect, proxy, version       bool
	leaderElectNamespace              string
	lease, renewDeadline, retryPeriod time.Duration
	kubeAPIQPS                        float64
	kubeAPIBurst                      int
	namespaces, allowTrackers         list
	zap                               zap.Options
}

func parseFlags() options {
	var o options
	flag.StringVar(&o.metricsAddr, "metrics-bind-address", ":8080", "Address of the Prometheus metrics; 0 for none.")
	flag.StringVar(&o.probeAddr, "health-probe-bind-address", ":8081", "Address of /healthz and /readyz; 0 for none.")
	flag.StringVar(&o.pprofAddr, "pprof-bind-address", "0", "Address of Go's profiles at /debug/pprof/, for people who look into the manager; 0 for none.")
	flag.BoolVar(&o.leaderElect, "leader-elect", false, "Elect one leader among several managers; the others wait.")
	flag.StringVar(&o.leaderElectNamespace, "leader-elect-namespace", "", "Namespace of the leader's Lease; the manager's own by default.")
	flag.DurationVar(&o.lease, "leader-elect-lease-duration", 15*time.Second, "How long others wait for a leader that does not renew its Lease; in whole seconds.")
	flag.DurationVar(&o.renewDeadline, "leader-elect-renew-deadline", 10*time.Second, "How long a leader tries to renew its Lease before it gives up.")
	flag.DurationVar(&o.retryPeriod, "leader-elect-retry-period", 2*time.Second, "How often the Lease is renewed or asked for.")
	flag.Var(&o.namespaces, "watch-namespaces", "Namespaces to work in, with commas or repeated; all by default.")
	flag.StringVar(&o.maxTagPolicy, "max-tag-policy", tags.Exclusive.String(),
		"Highest tag policy for every project: Observe (writes nothing to trackers), Add, Merge or Exclusive.")
	flag.Var(&o.allowTrackers, "allow-tracker",
		"HOST[:PORT] or CIDR of trackers with a private or loopback address, which are refused otherwise; repeatable.")
	flag.Float64Var(&o.kubeAPIQPS, "kube-api-qps", -1,
		"Most requests per second to the API server, averaged; negative for no limit on our side, as the API server has its own.")
	flag.IntVar(&o.kubeAPIBurst, "kube-api-burst", 400, "Requests to the API server beyond --kube-api-qps at once, if that is set.")
	flag.BoolVar(&o.proxy, "proxy-from-environment", false, "Send requests to trackers through HTTP_PROXY and HTTPS_PROXY.")
	flag.BoolVar(&o.version, "version", false, "Print the version and end.")
	o.zap.BindFlags(flag.CommandLine)
	flag.Parse()
	return o
}

func main() {
	o := parseFlags()
	if o.version {
		fmt.Println(version)
		return
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&o.zap)))
	if err := run(o); err != nil {
		ctrl.Log.Error(err, "the manager ended")
		os.Exit(1)
	}
}

func run(o options) error {
	ceiling, err := tags.ParsePolicy(o.maxTagPolicy)
	if err != nil {
		return fmt.Errorf("--max-tag-policy: %w", err)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster (set --kubeconfig or KUBECONFIG): %w", err)
	}
	addresses, err := addressPolicy(o.allowTrackers, config)
	if err != nil {
		return err
	}
	lease, err := newLease(config, o)
	if err != nil {
		return err
	}
	mgr, err := newManager(config, o, lease)
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	if err := addProbes(mgr); err != nil {
		return err
	}
	own, err := metrics.New(ctrlmetrics.Registry)
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	ctx := ctrl.SetupSignalHandler()
	if err := controllers.Add(ctx, mgr, controllers.Options{
		Addresses: addresses, Ceiling: ceiling, Namespaces: o.namespaces, ProxyFromEnvironment: o.proxy, WriteTime: writeTime(lease),
		Clock: clock.RealClock{}, Metrics: own, Version: version,
	}); err != nil {
		return err
	}
	ctrl.Log.Info("starting", "version", version, "maxTagPolicy", ceiling.String())
	err = mgr.Start(ctx)
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("the cluster does not know all of TrainingRuns, TrackingProjects and rules yet; install the CRDs (make install) and start again: %w", err)
	}
	return err
}

// addressPolicy allows the trackers of --allow-tracker, and never the API server itself.
func addressPolicy(allow []string, config *rest.Config) (*transport.AddressPolicy, error) {
	policy, err := transport.ParseAllow(allow)
	if err != nil {
		return nil, fmt.Errorf("--allow-tracker: %w", err)
	}
	apiServer, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("read the API server's address: %w", err)
	}
	hostPort := apiServer.Host
	if apiServer.Port() == "" {
		hostPort += ":443"
	}
	return policy.WithAPIServer(hostPort)
}

// newLease makes the lock by which one of several managers leads; nil where none is elected.
func newLease(config *rest.Config, o options) (*leader.Lease, error) {
	if !o.leaderElect {
		return nil, nil
	}
	if o.lease < 3*time.Second || o.lease%time.Second != 0 {
		return nil, fmt.Errorf("--leader-elect-lease-duration=%s: give whole seconds, 3s or more", o.lease)
	}
	return leader.New(config, leader.Options{Namespace: o.leaderElectNamespace, Name: leaseName, RenewDeadline: o.renewDeadline})
}

// writeTime says for how long this manager may write to trackers: a leader for as long as its Lease is certain, and
// one that is alone for ever.
func writeTime(lease *leader.Lease) func() time.Duration {
	if lease == nil {
		return nil
	}
	return lease.Left
}

// newManager makes a manager with small caches: without managed fields, and reads that wait for our own writes.
func newManager(config *rest.Config, o options, lease *leader.Lease) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	config.QPS, config.Burst = float32(o.kubeAPIQPS), o.kubeAPIBurst
	readOwnWrites := len(o.namespaces) <= 1 // with more, conflicts do
	gracePeriod := 20 * time.Second
	settings := ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controllers.Cache(o.namespaces...),
		Client:                        client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &readOwnWrites}},
		Metrics:                       metricsserver.Options{BindAddress: o.metricsAddr},
		HealthProbeBindAddress:        o.probeAddr,
		PprofBindAddress:              o.pprofAddr,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              leaseName, // in metrics
		LeaseDuration:                 &o.lease,
		RenewDeadline:                 &o.renewDeadline,
		RetryPeriod:                   &o.retryPeriod,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       &gracePeriod,
	}
	if lease != nil { // an interface that holds a nil *Lease is not nil
		settings.LeaderElectionResourceLockInterface = lease
	}
	return ctrl.NewManager(config, settings)
}

// addProbes answers /healthz while the process lives, and /readyz once the caches are there.
func addProbes(mgr manager.Manager) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add the liveness probe: %w", err)
	}
	synced := func(r *http.Request) error {
		if !mgr.GetCache().WaitForCacheSync(r.Context()) {
			return errors.New("the caches are not synced yet")
		}
		return nil
	}
	if err := mgr.AddReadyzCheck("caches", synced); err != nil {
		return fmt.Errorf("add the readiness probe: %w", err)
	}
	return nil
}
