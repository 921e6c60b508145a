package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

// ErrInUse means that another control plane runs on the same folder.
var ErrInUse = errors.New("already in use")

const (
	// startLimit is for one child to become ready; it takes under 3 s on a quiet machine with two cores.
	startLimit = 90 * time.Second
	stopGrace  = 10 * time.Second
)

// Options of Start.
type Options struct {
	// Dir keeps kubeconfig, data, keys and logs; a second Start on it goes on with the same data, and on the same port
	// if that is free. Empty means a folder that Stop removes, for tests; nothing is written through to the disk there.
	Dir string
	// Log gets the progress of getting the executables and of the start; nil for none.
	Log Logf
	// Nodes is how many simulated nodes there are, named node-0, node-1 and so on. With any, kube-scheduler,
	// kube-controller-manager and kwok run too, so that pods are scheduled, run, are evicted and end.
	Nodes int
	// NodeLabels are on each of these nodes, beside those that a kubelet sets.
	NodeLabels map[string]string
}

// ControlPlane is a running etcd and kube-apiserver, and what simulates nodes if any were asked for. Its methods may be called from several goroutines, except that those
// that start and stop wait for each other.
type ControlPlane struct {
	binaries Binaries
	// nodeBinaries are empty if there are no nodes.
	nodeBinaries Binaries
	dir          string
	temp         bool
	log          Logf
	lock         *fileLock
	token        string
	done         chan struct{}

	// change is held while children are started and stopped.
	change     sync.Mutex
	etcd       *process
	apiserver  *process
	simulators []*process
	etcdPort   int
	stopped    bool

	// mu guards what readers ask for meanwhile.
	mu    sync.Mutex
	admin *rest.Config
	err   error
}

// Start starts etcd and kube-apiserver, and returns when /readyz answers, the default namespace exists and the
// kubeconfig is written; with nodes, when they are all Ready and pods can be created in the default namespace. Only the start is bound by ctx; after that they run until Stop, or until this process ends.
// The error ErrInUse means that another one runs on the folder; other errors carry the end of the log at fault.
func Start(ctx context.Context, o Options) (*ControlPlane, error) {
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	binaries, err := Locate(ctx, o.Log)
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{binaries: binaries, log: o.Log, done: make(chan struct{})}
	if o.Nodes > 0 {
		if c.nodeBinaries, err = LocateForNodes(ctx, o.Log); err != nil {
			return nil, err
		}
	}
	if err := c.prepare(o.Dir); err != nil {
		return nil, err
	}
	if err := c.startAll(ctx, numbered(o.Nodes, o.NodeLabels)); err != nil {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*stopGrace)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("start the control plane in %s: %w", c.dir, err), c.Stop(stopCtx))
	}
	return c, nil
}

func (c *ControlPlane) startAll(ctx context.Context, nodes []*corev1.Node) error {
	c.change.Lock()
	defer c.change.Unlock()
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	if err := c.startAPIServer(ctx); err != nil {
		return err
	}
	if len(nodes) > 0 {
		if err := c.startNodes(ctx, nodes); err != nil {
			return err
		}
	}
	return WriteKubeconfig(c.KubeconfigPath(), c.RESTConfig())
}

// Stop ends what simulates nodes, kube-apiserver, then etcd, removes the kubeconfig, and gives the folder free. Each gets ten seconds to end by
// itself, less if ctx ends, and is killed after that, which is an error; nothing is left running in any case. A second
// call does nothing.
func (c *ControlPlane) Stop(ctx context.Context) error {
	return c.end(func(p *process) error { return p.stop(ctx, stopGrace) })
}

// end ends all children in the given way, unless that has been done, and tidies up.
func (c *ControlPlane) end(child func(*process) error) error {
	c.change.Lock()
	defer c.change.Unlock()
	if c.stopped {
		return nil
	}
	c.stopped = true
	var errs []error
	for _, p := range append(slices.Clone(c.simulators), c.apiserver, c.etcd) {
		if p != nil {
			errs = append(errs, child(p))
		}
	}
	if err := os.Remove(c.KubeconfigPath()); err != nil && !errors.Is(err, os.ErrNotExist) {
		errs = append(errs, fmt.Errorf("remove the kubeconfig, which leads nowhere now: %w", err))
	}
	c.lock.release()
	if c.temp {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	close(c.done)
	return errors.Join(errs...)
}

// StopAPIServer ends the API server alone; etcd and the kubeconfig stay. It is for tests of what happens meanwhile.
func (c *ControlPlane) StopAPIServer(ctx context.Context) error {
	c.change.Lock()
	defer c.change.Unlock()
	if c.stopped {
		return errStopped
	}
	return c.apiserver.stop(ctx, stopGrace)
}

// StartAPIServer starts the API server again after StopAPIServer, on the same port, and returns when it is ready.
func (c *ControlPlane) StartAPIServer(ctx context.Context) error {
	c.change.Lock()
	defer c.change.Unlock()
	switch {
	case c.stopped:
		return errStopped
	case !c.apiserver.ended():
		return nil
	}
	return c.startAPIServerAgain(ctx)
}

// RestartAPIServer is StopAPIServer and StartAPIServer.
func (c *ControlPlane) RestartAPIServer(ctx context.Context) error {
	if err := c.StopAPIServer(ctx); err != nil {
		return err
	}
	return c.StartAPIServer(ctx)
}

// PauseEtcd has etcd do nothing at all until ResumeEtcd, so that the API server waits for it. It is for tests of slow
// answers; etcd has to be resumed before Stop.
func (c *ControlPlane) PauseEtcd() error { return c.signalEtcd(syscall.SIGSTOP) }

// ResumeEtcd ends a PauseEtcd.
func (c *ControlPlane) ResumeEtcd() error { return c.signalEtcd(syscall.SIGCONT) }

func (c *ControlPlane) signalEtcd(signal syscall.Signal) error {
	c.change.Lock()
	defer c.change.Unlock()
	switch {
	case c.stopped:
		return errStopped
	case c.etcd.ended():
		return c.etcd.exited()
	}
	if err := syscall.Kill(c.etcd.pid, signal); err != nil {
		return fmt.Errorf("send %s to etcd (process %d): %w", signal, c.etcd.pid, err)
	}
	return nil
}

var errStopped = errors.New("the control plane is stopped; start a new one")

// Done is closed when the control plane has been stopped, or has stopped because one of its children ended; see Err.
func (c *ControlPlane) Done() <-chan struct{} { return c.done }

// Err says why the control plane stopped by itself: the first child that ended, and the end of its log. It is nil as
// long as it runs and after Stop.
func (c *ControlPlane) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// watch ends everything when a child ends that nobody stopped. The others are killed: without etcd the API server
// would not end by itself in time.
func (c *ControlPlane) watch(p *process) {
	<-p.done
	if p.stopping.Load() {
		return
	}
	c.mu.Lock()
	c.err = p.exited()
	c.mu.Unlock()
	if err := c.end((*process).kill); err != nil {
		c.log("after %s ended: %v", p.name, err)
	}
}

// Dir is the folder that everything is below.
func (c *ControlPlane) Dir() string { return c.dir }

// KubeconfigPath is the kubeconfig of a member of system:masters. The file is there only while the API server is.
func (c *ControlPlane) KubeconfigPath() string { return filepath.Join(c.dir, "kubeconfig") }

// Kubectl is the path of a kubectl of the API server's version.
func (c *ControlPlane) Kubectl() string { return c.binaries.Path(Kubectl) }

// LogPath is the log of a component that runs, which Kubectl never does.
func (c *ControlPlane) LogPath(component Component) string {
	return filepath.Join(c.dir, "logs", string(component)+".log")
}

// EtcdURL is where etcd listens, without TLS, for what has to be there in numbers that the API server takes long for.
func (c *ControlPlane) EtcdURL() string {
	c.change.Lock()
	defer c.change.Unlock()
	return "http://" + net.JoinHostPort(loopback, strconv.Itoa(c.etcdPort))
}

// RESTConfig is for a member of system:masters, without a rate limit on our side. It is the caller's own copy.
func (c *ControlPlane) RESTConfig() *rest.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	return rest.CopyConfig(c.admin)
}
