package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	loopback     = "127.0.0.1"
	readyPoll    = 25 * time.Millisecond
	portAttempts = 5
	// portPatience is for the port of last time to become free.
	portPatience = 2 * time.Second
)

func (c *ControlPlane) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}

func (c *ControlPlane) startEtcd(ctx context.Context) error {
	return c.onFreePort(ctx, 0, func(ctx context.Context, port int) error {
		url := "http://" + net.JoinHostPort(loopback, strconv.Itoa(port))
		args := []string{
			"--data-dir=" + c.path("etcd"), "--listen-client-urls=" + url, "--advertise-client-urls=" + url,
			// Nobody joins, so that any port does.
			"--listen-peer-urls=http://" + loopback + ":0",
			"--heartbeat-interval=10", "--election-timeout=100", // at once sure that it is alone
			"--log-level=warn",
		}
		if c.temp {
			args = append(args, "--unsafe-no-fsync")
		}
		p, err := startProcess(c.binaries.Path(Etcd), string(Etcd), c.LogPath(Etcd), nil, args...)
		if err != nil {
			return err
		}
		c.etcd, c.etcdPort = p, port
		return c.whenReady(ctx, p, startLimit, func(ctx context.Context) error {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health", http.NoBody)
			if err != nil {
				return err
			}
			answer, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer func() { _ = answer.Body.Close() }()
			if answer.StatusCode != http.StatusOK {
				return fmt.Errorf("/health says %s", answer.Status)
			}
			return nil
		})
	})
}

func (c *ControlPlane) startAPIServer(ctx context.Context) error {
	return c.onFreePort(ctx, c.lastPort(), c.serve)
}

// startAPIServerAgain uses the port of the configurations that are out already, and no other.
func (c *ControlPlane) startAPIServerAgain(ctx context.Context) error {
	return c.serve(ctx, c.lastPort())
}

// serve starts kube-apiserver and waits until it is ready.
func (c *ControlPlane) serve(ctx context.Context, port int) error {
	p, err := startProcess(c.binaries.Path(KubeAPIServer), string(KubeAPIServer), c.LogPath(KubeAPIServer), nil,
		"--etcd-servers=http://"+net.JoinHostPort(loopback, strconv.Itoa(c.etcdPort)),
		"--bind-address="+loopback, "--advertise-address="+loopback, "--secure-port="+strconv.Itoa(port),
		"--shutdown-watch-termination-grace-period=2s", // or it would wait for watches, which do not end by themselves
		"--endpoint-reconciler-type=none",              // its own address is of no use to anyone inside
		"--cert-dir="+c.path("pki"), "--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.path("pki", serviceAccountKey),
		"--service-account-signing-key-file="+c.path("pki", serviceAccountKey),
		"--token-auth-file="+c.path("pki", tokenFile), "--authorization-mode=RBAC",
	)
	if err != nil {
		return err
	}
	c.apiserver = p
	err = c.whenReady(ctx, p, startLimit, func(ctx context.Context) error {
		admin, err := c.adminConfig(port)
		if err != nil {
			return err // the certificate is not made yet
		}
		if err := ready(ctx, admin); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.admin = admin
		return nil
	})
	if err != nil {
		return err
	}
	return c.rememberPort(port)
}

// ready asks /readyz, and for the default namespace, which comes a moment later.
func ready(ctx context.Context, cfg *rest.Config) error {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	if err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return err
	}
	_, err = client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
	return err
}

// whenReady polls until check passes, and gives up when the child ends, when it takes longer than the limit, or when ctx ends; the
// child is killed then. From then on the control plane goes down with the child.
func (c *ControlPlane) whenReady(ctx context.Context, p *process, limit time.Duration, check func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	last := errors.New("not asked yet")
	err := wait.PollUntilContextCancel(limited, readyPoll, true, func(ctx context.Context) (bool, error) {
		if err := p.exited(); err != nil {
			return false, err
		}
		last = check(ctx)
		return last == nil, nil
	})
	if err == nil {
		go c.watch(p)
		return nil
	}
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("stopped before %s was ready: %w", p.name, context.Cause(ctx))
	case limited.Err() != nil:
		err = fmt.Errorf("%s was not ready within %s (%w); the end of %s is:\n%s", p.name, inWords(limit), last, p.logPath, p.logTail())
	}
	return errors.Join(err, p.kill())
}

// onFreePort calls start with a port that is free, the preferred one if it can be had, and again with another one if
// somebody takes it in between.
func (c *ControlPlane) onFreePort(ctx context.Context, preferred int, start func(ctx context.Context, port int) error) error {
	var err error
	for range portAttempts {
		var port int
		port, err = freePort(ctx, preferred)
		if err != nil {
			return err
		}
		err = start(ctx, port)
		if !errors.Is(err, errPortTaken) {
			return err
		}
		c.log("port %d was taken meanwhile; trying another one", port)
		preferred = 0
	}
	return err
}

// freePort gives the preferred port if it is free or becomes so within moments, otherwise any free one.
func freePort(ctx context.Context, preferred int) (int, error) {
	if preferred != 0 {
		err := wait.PollUntilContextTimeout(ctx, readyPoll, portPatience, true, func(ctx context.Context) (bool, error) {
			_, err := listen(ctx, preferred)
			return err == nil, nil
		})
		if err == nil {
			return preferred, nil
		}
	}
	return listen(ctx, 0)
}

// listen listens for a moment, on any free port for 0.
func listen(ctx context.Context, port int) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	if err != nil {
		return 0, fmt.Errorf("find a free port on %s: %w", loopback, err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

const portFile = "apiserver.port"

// lastPort is the API server's port of last time, so that kubeconfigs that were handed out go on working; 0 for none.
func (c *ControlPlane) lastPort() int {
	content, err := os.ReadFile(c.path(portFile))
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(string(content))
	if err != nil {
		return 0
	}
	return port
}

func (c *ControlPlane) rememberPort(port int) error {
	return writeFile(c.path(portFile), []byte(strconv.Itoa(port)))
}
