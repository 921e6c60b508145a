package security_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
)

// What people write is evaluated in the operator: it must not reach files, the environment or the network from there, nor
// take for ever.
func testFunctionsInTemplates(t *testing.T, suite *controllerstest.Suite) {
	t.Run("rules know no function that reaches outside", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		h.AddRun("a")
		apply(h, h.NewProject(), h.NewRun("a"))
		for name, when := range map[string]string{
			"dns": `getHostByName("example.com") != ""`, "http": `http.get("http://127.0.0.1/") != ""`, "env": `env("HOME") != ""`,
			"file": `readFile("/var/run/secrets/kubernetes.io/serviceaccount/token") != ""`, "exec": `exec("id") != ""`,
			"resource": `resource.get("v1", "secrets", "default", "wandb") != null`, "authorizer": `authorizer.path("/").check("get").allowed()`,
			"random": `math.random() > 0.5`, "now": `now() > timestamp("2020-01-01T00:00:00Z")`, "type": `dyn(run).getClass() != ""`,
			"secret": `secrets("wandb") != ""`, "proto": `google.protobuf.Any{} != null`, "macro": `cel.iterativeFold(1) == 1`,
		} {
			rule := h.NewRule(name, when, "reached")
			apply(h, rule)
			h.ExpectStalled(rule, v1alpha1.ReasonInvalidExpression)
		}
		h.ExpectTagsOn("a")
	})
	t.Run("what is no expression stays text", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		h.AddRun("a")
		tricks := []string{"{{ .Env.HOME }}", "$(id)", "${HOME}", "`id`", "%s%n", "{{ getHostByName }}", "'; drop table runs; --"}
		run := h.NewRun("a", tricks...)
		apply(h, h.NewProject(), run, h.NewRule("all", "true", "<% 7*7 %>"))
		h.ExpectTagsOn("a", append(tricks, "<% 7*7 %>")...)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})
	t.Run("an expression that costs too much is refused, or ends without a result", func(t *testing.T) {
		h := start(t, suite, controllerstest.Options{})
		h.AddRun("a", "kept")
		apply(h, h.NewProject(), h.NewRun("a"))
		deep := "pods"
		for range 5 {
			deep = "pods.filter(p, " + deep + ".exists(q, q.name == p.name))"
		}
		refused := h.NewRule("deep", "size("+deep+") > 0", "reached")
		grows := h.NewRule("grows", `["aaaaaaaaaaaaaaaa"].map(s, s+s+s+s+s+s+s+s).map(s, s+s+s+s+s+s+s+s).map(s, s+s+s+s+s+s+s+s).map(s, s+s+s+s+s+s+s+s).all(s, size(s) > 1)`, "reached")
		apply(h, refused, grows)
		h.ExpectStalled(refused, v1alpha1.ReasonInvalidExpression, "too expensive")
		h.ExpectTagsOn("a", "kept")
	})
	t.Run("the manager has no engine for templates, and starts no programs", func(t *testing.T) {
		out := goList(t.Context(), t, "list", "-deps", "-f", `{{if not .Standard}}{{.ImportPath}} {{join .Imports " "}}{{end}}`, "github.com/runtag/runtag")
		ours := 0
		for line := range strings.Lines(out) {
			path, imports, _ := strings.Cut(strings.TrimSpace(line), " ")
			if !strings.HasPrefix(path, "github.com/runtag/runtag") {
				continue
			}
			ours++
			for _, bad := range []string{"text/template", "html/template", "os/exec", "plugin", "unsafe"} {
				for _, imported := range strings.Fields(imports) {
					if imported == bad {
						t.Errorf("%s imports %s", path, bad)
					}
				}
			}
		}
		if ours < 20 {
			t.Errorf("saw %d packages of ours, want all of the manager's", ours)
		}
	})
}

func goList(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return string(out)
}
