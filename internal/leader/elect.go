package leader

import (
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
)

const (
	namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	component     = "runtag-manager"
)

// Options of New.
type Options struct {
	// Namespace and Name of the Lease. An empty namespace is that of the pod.
	Namespace, Name string
	// RenewDeadline is for how long a leader tries to renew the Lease before it gives up.
	RenewDeadline time.Duration
}

// New makes the lock of an election. Nothing is sent before the election begins.
func New(config *rest.Config, o Options) (*Lease, error) {
	if o.Namespace == "" {
		namespace, err := os.ReadFile(namespaceFile)
		if err != nil {
			return nil, fmt.Errorf("find the namespace of the leader's Lease (outside a cluster set --leader-elect-namespace): %w", err)
		}
		o.Namespace = strings.TrimSpace(string(namespace))
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this manager in the election: %w", err)
	}
	config = rest.AddUserAgent(rest.CopyConfig(config), "leader-election")
	config.Timeout = max(o.RenewDeadline/2, time.Second) // so that one request without an answer does not lose the Lease
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make the client of the election: %w", err)
	}
	events := record.NewBroadcaster()
	events.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, o.Namespace, o.Name, client.CoreV1(), client.CoordinationV1(),
		resourcelock.ResourceLockConfig{
			Identity:      host + "_" + string(uuid.NewUUID()),
			EventRecorder: events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: component}),
		})
	if err != nil {
		return nil, fmt.Errorf("make the lock of the election: %w", err)
	}
	return Watch(lock, clock.RealClock{}), nil
}
