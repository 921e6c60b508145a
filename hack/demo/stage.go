package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/controlplane"
	"github.com/runtag/runtag/internal/process"
	"github.com/runtag/runtag/internal/pyenv"
)

// patience is how long anything that the demo waits for may take. On an idle machine all of it takes a second or two.
const patience = time.Minute

// stage is everything that runs, and where.
type stage struct {
	n       *narrator
	tracker tracker
	// root is the work tree, dir a temporary folder that commands run in.
	root, dir  string
	kubeconfig string   // of an administrator
	path       []string // folders of kubectl and python
	cluster    client.Client
	programs   []*process.Process
	died       chan error          // gets why a program ended by itself
	shown      map[string][]string // tags of a run when they were shown last
}

func newStage(n *narrator, t tracker) (*stage, error) {
	root, err := findRoot()
	if err != nil {
		return nil, err
	}
	for _, program := range []string{"manager", "controlplane", "tracker"} {
		if _, err := os.Stat(filepath.Join(root, "bin", program)); err != nil {
			return nil, fmt.Errorf("%w: run make build first, or make demo, which does", err)
		}
	}
	dir, err := os.MkdirTemp("", "runtag-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the demo: %w", err)
	}
	return &stage{n: n, tracker: t, root: root, dir: dir, kubeconfig: dir + "/cluster/kubeconfig", died: make(chan error, 8), shown: map[string][]string{}}, nil
}

// findRoot goes up from the working directory.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the work tree: %w", err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "config", "default", "kustomization.yaml")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("run this inside the runtag work tree: make demo")
		}
	}
}

// close stops what runs, the last first, and removes the folder; logs of a failure are kept.
func (s *stage) close(clean bool) error {
	var errs []error
	for i := len(s.programs) - 1; i >= 0; i-- {
		errs = append(errs, s.programs[i].Stop())
	}
	errs = append(errs, s.tracker.stop())
	if !clean {
		s.n.note("The logs are kept in %s", s.dir)
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// setUp starts the cluster, the operator, the tracker and a training run.
func (s *stage) setUp(ctx context.Context) error {
	s.n.chapter("Before the curtain", "A real API server with two simulated nodes, a tracker, the operator under its own role, and a script that trains.\nNothing leaves this machine.")
	for _, part := range []func(context.Context) error{s.getPrograms, s.startCluster, s.install, s.startManager, s.startTracker, s.startTraining} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// getPrograms finds kubectl and Python; the first time that takes minutes, and says how far it is.
func (s *stage) getPrograms(ctx context.Context) error {
	python, err := pyenv.Ensure(ctx, os.Stderr)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, s.root+"/bin/controlplane", "path", "--nodes")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	assets, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("bin/controlplane path --nodes: %w", err)
	}
	s.path = []string{s.root + "/bin", strings.TrimSpace(string(assets)), filepath.Dir(python)}
	return nil
}

func (s *stage) startCluster(ctx context.Context) error {
	if err := s.serve("controlplane", "up", "--dir", s.dir+"/cluster", "--nodes", "2"); err != nil {
		return err
	}
	if err := s.await(ctx, "the API server", func() error {
		_, err := os.Stat(s.kubeconfig)
		return err
	}); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.kubeconfig, err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(v1alpha1.AddToScheme(scheme), corev1.AddToScheme(scheme)); err != nil {
		return err
	}
	s.cluster, err = client.New(config, client.Options{Scheme: scheme})
	return err
}

func (s *stage) install(ctx context.Context) error {
	commands := []string{"kubectl apply --server-side -k " + s.root + "/config/default && kubectl wait --for=condition=Established crd --all"}
	for _, more := range slices.Concat([]string{"rules"}, s.tracker.cast().installs) {
		commands = append(commands, "kubectl apply --server-side -k "+s.root+"/config/"+more)
	}
	commands = append(commands, "kubectl create priorityclass urgent --value=1000")
	for _, command := range commands {
		if err := s.shell(ctx, command); err != nil {
			return err
		}
	}
	return nil
}

// startManager runs the operator with a token of the ServiceAccount that was installed, so under the role that it has
// on a cluster.
func (s *stage) startManager(ctx context.Context) error {
	token, err := s.run(ctx, "kubectl create token runtag-manager --namespace runtag-system --duration 24h")
	if err != nil {
		return fmt.Errorf("log in as the operator's ServiceAccount: %w: %s", err, token)
	}
	admin, err := clientcmd.BuildConfigFromFlags("", s.kubeconfig)
	if err != nil {
		return fmt.Errorf("read %s: %w", s.kubeconfig, err)
	}
	own := &rest.Config{Host: admin.Host, BearerToken: strings.TrimSpace(token)}
	own.CAData, own.CAFile = admin.CAData, admin.CAFile
	if err := controlplane.WriteKubeconfig(s.dir+"/manager.kubeconfig", own); err != nil {
		return err
	}
	probes, err := process.FreeAddress(ctx)
	if err != nil {
		return err
	}
	args := []string{"--kubeconfig=" + s.dir + "/manager.kubeconfig", "--allow-tracker=127.0.0.1", "--metrics-bind-address=0", "--health-probe-bind-address=" + probes}
	if err := s.serve("manager", args...); err != nil {
		return err
	}
	return s.await(ctx, "the operator", func() error { return answers(ctx, "http://"+probes+"/readyz") })
}

func answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close() // only the status counts
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, answer.Status)
	}
	return nil
}

func (s *stage) startTracker(ctx context.Context) error {
	if err := s.tracker.start(ctx, s); err != nil {
		return err
	}
	s.n.note("\n  %s: %s", s.tracker.name(), s.tracker.page())
	return nil
}

// startTraining lets the real SDK make a run, which goes on for as long as the demo.
func (s *stage) startTraining(ctx context.Context) error {
	c := s.tracker.cast()
	files := map[string][]byte{"train.py": s.tracker.training(), "loss": []byte("0.9\n"), "project.yaml": []byte(s.tracker.project())}
	maps.Copy(files, map[string][]byte{"job.yaml": []byte(job(c)), "urgent.yaml": []byte(urgent)})
	for _, run := range []string{c.first, c.late} {
		files[file(run)] = []byte(manifest(s.tracker, run))
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
			return fmt.Errorf("write what the demo needs: %w", err)
		}
	}
	if err := s.shell(ctx, train(c.first)); err != nil {
		return err
	}
	return s.await(ctx, "the training run", func() error {
		got, err := s.tracker.tags(ctx, c.first)
		if err == nil && !sameTags(got, c.own) {
			err = fmt.Errorf("run %s has %v, not %v", c.first, got, c.own)
		}
		return err
	})
}

// serve types the command of one of our own programs and starts it.
func (s *stage) serve(name string, args ...string) error {
	s.n.typed("bin/" + name + " " + strings.Join(args, " ") + " &")
	return s.spawn(name, s.root+"/bin/"+name, args...)
}

// spawn starts a program that is stopped with the demo.
func (s *stage) spawn(name, program string, args ...string) error {
	p, err := process.Start(name, s.dir, s.environment(), program, args...)
	if err != nil {
		return err
	}
	s.programs = append(s.programs, p)
	go func() {
		<-p.Ended()
		s.died <- p.Running()
	}()
	return nil
}

// shell types a command and shows what it said. One that ends with & stays in the background.
func (s *stage) shell(ctx context.Context, command string) error {
	s.n.typed(command)
	if background, ok := strings.CutSuffix(command, " &"); ok {
		return s.spawn(strings.Join(strings.Fields(background), "-"), "/bin/sh", "-c", "exec "+background)
	}
	out, err := s.run(ctx, command)
	s.n.printed(out, 24)
	if err != nil {
		return fmt.Errorf("%s: %w", command, err)
	}
	return nil
}

// run runs a command as a shell does.
func (s *stage) run(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Dir, cmd.Env, cmd.WaitDelay = s.dir, s.environment(), time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (s *stage) environment() []string {
	env := append(os.Environ(),
		"KUBECONFIG="+s.kubeconfig,
		"PATH="+strings.Join(append(s.path, os.Getenv("PATH")), ":"),
		"NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "PYTHONDONTWRITEBYTECODE=1",
		"WANDB_DIR="+s.dir, "WANDB_CACHE_DIR="+s.dir, "WANDB_CONFIG_DIR="+s.dir, "WANDB_DATA_DIR="+s.dir,
		"WANDB_CONSOLE=off", "WANDB_ERROR_REPORTING=false", "WANDB_X_DISABLE_STATS=true",
		"MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "GIT_PYTHON_REFRESH=quiet")
	return append(env, s.tracker.env()...)
}

// await polls until there is no error, at most for as long as patience lasts and all programs run.
func (s *stage) await(ctx context.Context, what string, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case died := <-s.died:
			return died
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, context.Cause(ctx), err)
		}
	}
}
