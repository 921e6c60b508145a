package inject_test

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/internal/backend/mlflow/mlflowtest"
	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/pyenv"
)

var _ = Describe("A process in a pod", Ordered, func() {
	var python string

	BeforeAll(func(ctx SpecContext) {
		var err error
		python, err = pyenv.Ensure(ctx, GinkgoWriter)
		Expect(err).NotTo(HaveOccurred())
		install(ctx, shipped(ctx))
	})

	// start makes a pod whose container has the variables, and runs a script of testdata as the kubelet would.
	start := func(ctx SpecContext, script string, variables ...string) (pod *corev1.Pod, printed string) {
		GinkgoHelper()
		pod, err := clientset.CoreV1().Pods(namespace).Create(ctx, newPod(variables), metav1.CreateOptions{})
		Expect(err).NotTo(HaveOccurred())
		Expect(pod.Name).NotTo(BeEmpty())
		Expect(pod.UID).NotTo(BeEmpty())
		path, err := filepath.Abs(filepath.Join("testdata", script))
		Expect(err).NotTo(HaveOccurred())
		home := GinkgoT().TempDir()
		command := exec.CommandContext(ctx, python, path)
		command.Dir = home
		command.WaitDelay = 5 * time.Second // wandb-core outlives its parent for a while and holds the output open
		command.Stderr = GinkgoWriter
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "PYTHONDONTWRITEBYTECODE=1"}
		env := started(pod, pod.Spec.Containers[0])
		for _, name := range slices.Sorted(maps.Keys(env)) {
			command.Env = append(command.Env, name+"="+env[name])
		}
		out, err := command.Output()
		Expect(err).NotTo(HaveOccurred(), script)
		return pod, string(out)
	}

	It("has each run that MLflow's fluent API makes carry the pod", func(ctx SpecContext) {
		server, err := mlflowtest.Start(ctx, mlflowtest.Options{Dir: GinkgoT().TempDir(), Log: GinkgoWriter})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(server.Stop)

		pod, printed := start(ctx, "mlflow_train.py",
			"MLFLOW_TRACKING_URI="+server.URL, "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "GIT_PYTHON_REFRESH=quiet")
		lines := strings.Split(strings.TrimSpace(printed), "\n")
		made := map[string]string{}
		Expect(json.Unmarshal([]byte(lines[len(lines)-1]), &made)).To(Succeed(), printed)
		Expect(made).To(And(HaveLen(3), HaveKey("start_run"), HaveKey("nested"), HaveKey("autolog")))
		for how, id := range made {
			tags, err := server.Tags(ctx, id)
			Expect(err).NotTo(HaveOccurred())
			Expect(tags).To(HaveKeyWithValue("runtag.dev/pod", pod.Name), how)
			Expect(tags).To(HaveKeyWithValue("runtag.dev/pod-uid", string(pod.UID)), how)
		}
		tags, err := server.Tags(ctx, made["autolog"])
		Expect(err).NotTo(HaveOccurred())
		Expect(tags).To(HaveKeyWithValue("estimator_name", "LinearRegression"), "autolog made it")
	}, SpecTimeout(10*time.Minute))

	It("has W&B's SDK name the pod as the host", func(ctx SpecContext) {
		server := wandbtest.New()
		listening := httptest.NewServer(server)
		DeferCleanup(listening.Close)
		pod, _ := start(ctx, "wandb_train.py", "WANDB_ENTITY=acme", "WANDB_PROJECT=capsules", "WANDB_BASE_URL="+listening.URL,
			"WANDB_API_KEY="+strings.Repeat("k", 40), "WANDB_SILENT=true", "WANDB_ERROR_REPORTING=false")
		run, ok := server.Run("acme/capsules/r1")
		Expect(ok).To(BeTrue())
		Expect(run.Host).To(Equal(pod.Name))
	}, SpecTimeout(10*time.Minute))
})
