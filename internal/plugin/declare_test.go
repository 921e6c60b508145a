package plugin_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/kstatus"
)

func testNames(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("3f9a1c")
	c.run("named", func(r *v1alpha1.TrainingRun) { r.Spec.RunID, r.Spec.RunName, r.Status.Run.ID = "", "nightly", "77b0d2" })
	c.run("twin", func(r *v1alpha1.TrainingRun) { r.Status.Run.ID, r.Status.Run.URL = "", "" })
	c.run("twin2", func(r *v1alpha1.TrainingRun) { r.Spec.RunID = "twin" })
	row := func(name, run string) said {
		return said{out: name + "   " + run + "   finished                    60m\n"}
	}
	for _, test := range []struct {
		reason, name string
		want         said
	}{
		{"by the object's name", "capsules-3f9a1c", row("capsules-3f9a1c", "3f9a1c")},
		{"as -o name has it", "trainingrun.tracking.runtag.dev/capsules-3f9a1c", row("capsules-3f9a1c", "3f9a1c")},
		{"by the run's id", "3f9a1c", row("capsules-3f9a1c", "3f9a1c")},
		{"by the URL of its page", "https://wandb.ai/acme/capsules/runs/3f9a1c/overview?nw=1", row("capsules-3f9a1c", "3f9a1c")},
		{"by an id that only the status has", "77b0d2", row("capsules-named", "77b0d2")},
		{"the page of another project is another run", "https://wandb.ai/acme/other/runs/3f9a1c", said{code: 1, err: "error: \"https://wandb.ai/acme/other/runs/3f9a1c\": there is no such run in namespace names, by name or by run id: kubectl runtag ls lists them; runs that are not imported are reached with --project\n"}},
		{"a URL of anything else", "https://wandb.ai/acme", said{code: 2, err: "error: https://wandb.ai/acme is not the URL of a run's page, which has /runs/ID in it\n"}},
		{"an id of several", "twin", said{code: 2, err: "error: \"twin\" is the run of several TrainingRuns: name one of names/capsules-twin, names/capsules-twin2\n"}},
	} {
		c.expect(test.reason, test.want, "ls", "--no-headers", test.name)
	}
}

func testAddAndRemove(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a", tagged("debug", v1alpha1.TagSourceRun))
	c.run("b", tagged("in_production", v1alpha1.TagSourceSpec))
	c.expect("tags first, then runs, in the order in which they were given",
		said{out: lines("capsules-b: baseline declared by label; needs review declared by annotation", "capsules-a: baseline declared by label; needs review declared by annotation")},
		"add", "baseline", "needs review", "capsules-b", "a")
	c.expectLabels("capsules-a", map[string]string{"baseline": "", "debug": "run"})
	if got := c.get("capsules-a").Annotations["tracking.runtag.dev/add-tags"]; got != `["needs review"]` {
		c.t.Errorf("add-tags is %s", got)
	}
	manager := ""
	for _, entry := range c.get("capsules-a").ManagedFields {
		if strings.Contains(entry.FieldsV1.GetRawString(), "tag.runtag.dev/baseline") {
			manager = entry.Manager
		}
	}
	if manager != "kubectl-runtag" {
		c.t.Errorf("the label belongs to %q", manager)
	}
	c.expect("some done, some not: exit code 3",
		said{
			code: 3, out: lines("capsules-a: baseline taken off; in_production is not on the run", "capsules-b: baseline taken off"),
			err: lines("capsules-b: in_production stays: spec.tags (written by argocd-controller) declares it; take it out there", "error: not all was done; the lines above say what, and why"),
		},
		"rm", "baseline", "in_production", "--", "capsules-a", "capsules-b")
	c.expect("nothing done: exit code 1",
		said{code: 1, err: lines("capsules-b: in_production stays: spec.tags (written by argocd-controller) declares it; take it out there", "error: nothing was done; the lines above say why")},
		"rm", "in_production", "b")
	c.expect("a name that is mistyped does not become a tag",
		said{code: 2, err: "error: \"capsules-aa\" looks like a run, and there is none of that name; if it is a tag, write -- between tags and runs\n"},
		"add", "x", "capsules-aa", "capsules-b")
	c.expect("the last argument has to be a run",
		said{code: 1, err: "error: \"nope\": there is no such run in namespace add-and-rm, by name or by run id: kubectl runtag ls lists them; runs that are not imported are reached with --project\n"},
		"add", "x", "nope")
	c.expect("a tag alone changes nothing",
		said{code: 2, err: "error: say of which runs: name them, or take -l, --with-tag, --without-tag, --state or --all\n"}, "add", "x")
	c.expect("objects for programs", said{out: "trainingrun.tracking.runtag.dev/capsules-a\n"}, "rm", "debug", "a", "-o", "name")
	c.expectLabels("capsules-a", map[string]string{})
}

func testMLflow(_ *testing.T, c *scene) {
	c.project("capsules", onMLflow)
	c.run("a")
	c.expect("a tag with a value has a label of its own kind", said{out: "capsules-a: team=vision declared by label; lr=1e-3 x declared by annotation\n"}, "add", "team=vision", "lr=1e-3 x", "a")
	if got := c.get("capsules-a").Labels["pair.runtag.dev/team"]; got != "vision" {
		c.t.Errorf("the label is %q", got)
	}
	c.expect("the tracker's rules are known before anything is written",
		said{code: 1, err: lines("capsules-a: tag \"mlflow.user\" belongs to MLflow or to runtag itself, and runtag never touches it: choose another key", "error: nothing was done; the lines above say why")},
		"add", "mlflow.user", "a")
	c.expect("a key stands for its values", said{out: "capsules-a: team=vision taken off\n"}, "rm", "team", "a")
}

func testSelections(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a", inState("running"), tagged("debug", v1alpha1.TagSourceRun))
	c.run("b", tagged("debug", v1alpha1.TagSourceRun), tagged("keep", v1alpha1.TagSourceLabel))
	c.run("c", func(r *v1alpha1.TrainingRun) { r.Labels = map[string]string{"team": "vision"} })
	names := func(ids ...string) said {
		var out []string
		for _, id := range ids {
			out = append(out, "trainingrun.tracking.runtag.dev/capsules-"+id)
		}
		return said{out: lines(out...)}
	}
	for _, test := range []struct {
		reason string
		args   []string
		want   said
	}{
		{"by tag", []string{"--with-tag", "debug"}, names("a", "b")},
		{"by several tags, all of them", []string{"--with-tag", "debug", "--with-tag", "keep"}, names("b")},
		{"without a tag", []string{"--with-tag", "debug", "--without-tag", "keep"}, names("a")},
		{"by state", []string{"--state", "running,failed"}, names("a")},
		{"by label", []string{"-l", "team=vision"}, names("c")},
		{"by field", []string{"--field-selector", "status.run.state=running"}, names("a")},
		{"none", []string{"--with-tag", "x"}, said{err: "no runs match\n"}},
		{"a state that is none", []string{"--state", "done"}, said{code: 2, err: "error: there is no state \"done\": take one of pending, running, preempting, finished, failed, crashed, killed, preempted, unknown\n"}},
		{"names and flags contradict each other", []string{"--all", "--", "capsules-a"}, said{code: 2, err: "error: name runs, or select them by flags, not both\n"}},
		{"what only Kubernetes knows can't select on the tracker", []string{"--project", "capsules", "-l", "a=b", "-y"}, said{code: 2, err: "error: -l, --field-selector and -A are for TrainingRuns; with --project take --with-tag, --without-tag, --state or --all\n"}},
	} {
		c.expect(test.reason, test.want, append([]string{"add", "picked", "-o", "name", "--dry-run=server"}, test.args...)...)
	}
	c.expectLabels("capsules-a", map[string]string{"debug": "run"})
	c.expect("--all is all of the namespace", said{out: lines("capsules-a: picked declared by label", "capsules-b: picked declared by label", "capsules-c: picked declared by label")}, "add", "picked", "--all")
}

func testDryRuns(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a")
	c.expect("client sends nothing", said{out: "capsules-a: x declared by label (dry run)\n"}, "add", "x", "a", "--dry-run=client")
	c.expect("server keeps nothing", said{out: "capsules-a: x declared by label (server dry run)\n"}, "add", "x", "a", "--dry-run")
	c.expectLabels("capsules-a", map[string]string{})
	c.expect("anything else is refused", said{code: 2, err: "error: --dry-run is none, client or server, not \"maybe\"\n"}, "add", "x", "a", "--dry-run=maybe")
}

// testConflicts lets somebody else write between the read and the write.
func testConflicts(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a")
	patches := 0
	between := c.proxy(func(r *http.Request) {
		if r.Method != http.MethodPatch {
			return
		}
		if patches++; patches == 1 {
			other := c.get("capsules-a")
			other.Labels = map[string]string{"tag.runtag.dev/two": ""}
			if err := c.client.Update(c.t.Context(), other); err != nil {
				c.t.Error(err)
			}
		}
	})
	if got := c.commandWith(c.t.Context(), strings.NewReader(""), between, "add", "one", "a"); got.code != 0 || patches != 2 {
		c.t.Errorf("after %d writes: %s", patches, got)
	}
	c.expectLabels("capsules-a", map[string]string{"one": "", "two": ""})
}

// proxy gives a kubeconfig by way of a proxy that shows each request before the API server sees it.
func (c *scene) proxy(see func(*http.Request)) string {
	c.t.Helper()
	transport, err := rest.TransportFor(c.plane.RESTConfig())
	if err != nil {
		c.t.Fatal(err)
	}
	target, err := url.Parse(c.plane.RESTConfig().Host)
	if err != nil {
		c.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		see(r.In)
		r.SetURL(target)
	}}
	server := httptest.NewServer(proxy)
	c.t.Cleanup(server.Close)
	return c.write(&rest.Config{Host: server.URL})
}

// write writes a kubeconfig.
func (c *scene) write(config *rest.Config) string {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(asKubeconfig(config), path); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func testRename(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a", tagged("debug", v1alpha1.TagSourceRun))
	c.run("b", tagged("debug", v1alpha1.TagSourceSpec))
	c.expect("spec is listed", said{
		code: 3, out: "capsules-a: debug renamed to wip by label\n",
		err: lines("capsules-b: debug stays in spec.tags (written by argocd-controller): rename it there, or take --spec", "error: not all was done; the lines above say what, and why"),
	}, "rename", "debug", "wip", "--all")
	c.expectLabels("capsules-a", map[string]string{"wip": ""})
	c.expect("or changed", said{out: "capsules-b: debug renamed to wip in spec.tags\n"}, "rename", "debug", "wip", "capsules-b", "--spec")
	if got := c.get("capsules-b").Spec.Tags; len(got) != 1 || got[0] != "wip" {
		c.t.Errorf("spec.tags is %v", got)
	}
	c.expect("a name for itself", said{code: 2, err: "error: \"a\" is its name already\n"}, "rename", "a", "a", "--all")
	c.expect("no runs", said{code: 2, err: "error: say of which runs: name them, or take -l, --with-tag, --without-tag, --state or --all\n"}, "rename", "a", "b")
	c.expect("half of it", said{code: 2, err: "error: kubectl runtag rename takes OLD NEW and runs or a selection, and got 1; see kubectl runtag rename --help\n"}, "rename", "a")
}

func testWaiting(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a", tagged("debug", v1alpha1.TagSourceRun))
	c.run("b")
	c.land()
	c.expect("an added tag is waited for on all runs", said{out: lines("capsules-a: x declared by label", "capsules-b: x declared by label")}, "add", "x", "--all", "--wait")
	for _, name := range []string{"capsules-a", "capsules-b"} {
		if found := c.get(name).Status.Tags; len(found) == 0 || found[len(found)-1].Name != "x" && found[0].Name != "x" {
			c.t.Errorf("the command did not wait for %s: %v", name, found)
		}
	}
	c.expect("and so is the end of one", said{out: "capsules-a: debug taken off\n"}, "rm", "debug", "a", "--wait")
	for _, found := range c.get("capsules-a").Status.Tags {
		if found.Name == "debug" {
			c.t.Error("the command did not wait for debug to go")
		}
	}
}

func testWaitingInVain(_ *testing.T, c *scene) {
	c.project("capsules")
	waiting := kstatus.State{Ready: metav1.ConditionFalse, Reason: "RunNotFound", Message: "the run is not there yet"}
	c.run("a", func(r *v1alpha1.TrainingRun) { kstatus.Set(&r.Status.Conditions, 1, waiting) })
	c.expect("a timeout is told apart from failure, and says what the status says", said{
		code: 4, out: "capsules-a: x declared by label\n",
		err: lines("capsules-a: not there yet: RunNotFound: the run is not there yet", "error: not seen done in time: 1 run; what was declared stays declared, and lands later"),
	}, "add", "x", "a", "--wait", "--timeout", "50ms")
	operate(c, &v1alpha1.TrainingRunList{}, func(ctx context.Context, r *v1alpha1.TrainingRun) error {
		if _, asked := r.Labels["tag.runtag.dev/y"]; !asked || r.Status.ObservedDeclarations == "2" {
			return nil
		}
		r.Status.ObservedDeclarations = "2"
		kstatus.Set(&r.Status.Conditions, 1, kstatus.State{Ready: metav1.ConditionFalse, Reason: "NotAllowed", Message: "the ceiling holds y back", Stalled: true})
		return c.client.Status().Update(ctx, r)
	})
	c.run("b")
	c.expect("what only a person can help with is not waited for", said{
		code: 3, out: "capsules-b: y declared by label\n",
		err: lines("capsules-b: not there and will not be: NotAllowed: the ceiling holds y back", "error: not all was done; the lines above say what, and why"),
	}, "add", "y", "b", "--wait")
}

// kubeconfig writes one for a service account that may do what these rules say.
func (c *scene) kubeconfig(account string, rules ...rbacv1.PolicyRule) string {
	c.t.Helper()
	ctx := c.t.Context()
	c.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: account}})
	config, err := c.plane.ConfigFor(ctx, c.namespace, account)
	if err != nil {
		c.t.Fatal(err)
	}
	c.create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: account}, Rules: rules})
	c.create(&rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: account}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: account},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: c.namespace, Name: account}},
	})
	c.untilAllowed(account, rules)
	return c.write(config)
}

// untilAllowed waits until the API server, which hears of roles by a watch of its own, goes by a new one.
func (c *scene) untilAllowed(account string, rules []rbacv1.PolicyRule) {
	c.t.Helper()
	reviews := kubernetes.NewForConfigOrDie(c.plane.RESTConfig()).AuthorizationV1().SubjectAccessReviews()
	for _, rule := range rules {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + c.namespace + ":" + account,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: c.namespace, Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: rule.Resources[0],
			},
		}}
		err := wait.PollUntilContextTimeout(c.t.Context(), 10*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
			got, err := reviews.Create(ctx, review, metav1.CreateOptions{})
			return err == nil && got.Status.Allowed, err
		})
		if err != nil {
			c.t.Fatalf("%s is not allowed what its role says: %v", account, err)
		}
	}
}

func asKubeconfig(config *rest.Config) clientcmdapi.Config {
	return clientcmdapi.Config{
		CurrentContext: "x",
		Contexts:       map[string]*clientcmdapi.Context{"x": {Cluster: "x", AuthInfo: "x"}},
		Clusters:       map[string]*clientcmdapi.Cluster{"x": {Server: config.Host, CertificateAuthorityData: config.CAData, CertificateAuthority: config.CAFile}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"x": {Token: config.BearerToken, TokenFile: config.BearerTokenFile, ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
	}
}

func testRoles(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a")
	c.run("b")
	viewer := c.kubeconfig("viewer", rbacv1.PolicyRule{APIGroups: []string{"tracking.runtag.dev"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch"}})
	if got := c.commandWith(c.t.Context(), strings.NewReader(""), viewer, "ls", "-o", "name"); got.code != 0 {
		c.t.Errorf("a viewer may not list: %s", got)
	}
	got := c.commandWith(c.t.Context(), strings.NewReader(""), viewer, "add", "x", "--all")
	if got.code != 1 || !strings.Contains(got.err, "ask for the role runtag-editor") || strings.Count(got.err, "capsules-") != 2 {
		c.t.Errorf("the refusal is told once, with what to do: %s", got)
	}
	nobody := c.kubeconfig("nobody")
	if got := c.commandWith(c.t.Context(), strings.NewReader(""), nobody, "ls"); got.code != 1 || !strings.Contains(got.err, "ask for the role runtag-viewer") {
		c.t.Errorf("got %s", got)
	}
	broken := filepath.Join(c.t.TempDir(), "kubeconfig")
	if err := os.WriteFile(broken, []byte("nonsense"), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if got := c.commandWith(c.t.Context(), strings.NewReader(""), broken, "ls"); got.code != 1 || !strings.Contains(got.err, "kubeconfig") {
		c.t.Errorf("got %s", got)
	}
}
