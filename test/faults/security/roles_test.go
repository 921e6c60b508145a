package security_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/controllers/controllerstest"
)

// readAll reads all objects of manifests below config.
func readAll[T any](t *testing.T, pattern string) (all []T) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(config, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no %s: %v", pattern, err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range strings.Split(string(content), "\n---\n") {
			var obj T
			if err := yaml.Unmarshal([]byte(doc), &obj); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			all = append(all, obj)
		}
	}
	return all
}

const (
	manager = "manager-role"
	leader  = "leader-election-role"
)

// rules gives the rules of the roles below config/rbac, by name; Roles and ClusterRoles look alike.
func rules(t *testing.T) map[string][]rbacv1.PolicyRule {
	t.Helper()
	all := map[string][]rbacv1.PolicyRule{}
	for _, role := range readAll[rbacv1.ClusterRole](t, "rbac/*.yaml") {
		if strings.HasSuffix(role.Kind, "Role") {
			all[role.Name] = role.Rules
		}
	}
	for _, name := range []string{manager, leader, "viewer", "editor", "admin"} {
		if len(all[name]) == 0 {
			t.Fatalf("there is no role %s in %v", name, all)
		}
	}
	return all
}

// most is all that the operator may do with resources that are not its own. More needs a reason, and a line here.
var most = map[string][]string{
	"secrets":           {"get"}, // by name: which there are, it can't find out
	"configmaps":        {"create", "get", "update"},
	"namespaces":        {"get", "list", "watch"},
	"nodes":             {"list", "watch"},
	"pods":              {"list", "watch"},
	"events":            {"create", "patch"},
	"workloads":         {"list", "watch"},
	"trainingruns":      {"create", "delete", "get", "list", "patch", "watch"}, // of imported ones
	"tagchanges":        {"delete", "get", "list", "watch"},
	"trackingprojects":  {"get", "list", "watch"},
	"tagrules":          {"get", "list", "watch"},
	"clustertagrules":   {"get", "list", "watch"},
	"*/status":          {"patch"},
	"*/finalizers":      {"update"},
	"owners (any kind)": {"get"},
}

func testBroadRoles(t *testing.T, suite *controllerstest.Suite) {
	t.Run("no role has wildcards, or makes itself another", func(t *testing.T) {
		for name, list := range rules(t) {
			for _, rule := range list {
				all := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs)
				for _, word := range []string{"*", "escalate", "bind", "impersonate", "approve", "sign", "proxy"} {
					if slices.Contains(all, word) {
						t.Errorf("%s: %q in %v", name, word, rule)
					}
				}
				for _, resource := range rule.Resources {
					for _, part := range []string{"/exec", "/attach", "/portforward", "/proxy", "/token", "/ephemeralcontainers", "role", "webhook", "certificates"} {
						if strings.Contains(resource, part) {
							t.Errorf("%s: %s in %v", name, part, rule)
						}
					}
				}
			}
		}
	})
	t.Run("the operator has no more than it uses", func(t *testing.T) {
		for _, rule := range rules(t)[manager] {
			for _, resource := range rule.Resources {
				allowed, known := most[resource]
				if _, sub, is := strings.Cut(resource, "/"); is {
					allowed, known = most["*/"+sub]
				}
				if !known {
					allowed = most["owners (any kind)"]
				}
				for _, verb := range rule.Verbs {
					if !slices.Contains(allowed, verb) {
						t.Errorf("it may %s %s", verb, resource)
					}
				}
			}
		}
	})
	t.Run("people write no status and read no Secret", func(t *testing.T) {
		for _, role := range []string{"viewer", "editor", "admin"} {
			for _, rule := range rules(t)[role] {
				if !slices.Equal(rule.APIGroups, []string{"tracking.runtag.dev"}) {
					t.Errorf("%s is about more than our own kinds: %v", role, rule)
				}
				if slices.ContainsFunc(rule.Resources, func(r string) bool { return strings.Contains(r, "/") }) {
					t.Errorf("%s writes subresources: %v", role, rule)
				}
				for _, kind := range []string{"trackingprojects", "clustertagrules"} {
					writer := map[string]string{"trackingprojects": "admin"}[kind]
					if slices.Contains(rule.Resources, kind) && slices.Contains(rule.Verbs, "create") && role != writer {
						t.Errorf("%s writes %s", role, kind)
					}
				}
			}
		}
	})
	t.Run("the API server holds the operator to it", func(t *testing.T) {
		operator, err := client.New(suite.Operator, client.Options{Scheme: suite.Scheme})
		if err != nil {
			t.Fatal(err)
		}
		h := start(t, suite, controllerstest.Options{})
		in := metav1.ObjectMeta{Namespace: h.Namespace, Name: "wandb"}
		if err := operator.Get(t.Context(), client.ObjectKey{Namespace: h.Namespace, Name: "wandb"}, &corev1.Secret{}); err != nil {
			t.Errorf("it can't read a Secret by name: %v", err)
		}
		for what, try := range map[string]func() error{
			"list Secrets":     func() error { return operator.List(t.Context(), &corev1.SecretList{}) },
			"list them in one": func() error { return operator.List(t.Context(), &corev1.SecretList{}, client.InNamespace(h.Namespace)) },
			"change one":       func() error { return operator.Update(t.Context(), h.NewSecret(h.Namespace)) },
			"make a pod":       func() error { return operator.Create(t.Context(), h.NewPod("p", "n")) },
			"delete a pod":     func() error { return operator.Delete(t.Context(), &corev1.Pod{ObjectMeta: in}) },
			"change a node":    func() error { return operator.Update(t.Context(), h.NewNode("n", nil)) },
			"list ConfigMaps":  func() error { return operator.List(t.Context(), &corev1.ConfigMapList{}) },
			"give itself a role": func() error {
				return operator.Create(t.Context(), &rbacv1.RoleBinding{
					ObjectMeta: in, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
				})
			},
			"change a project's spec": func() error { return operator.Update(t.Context(), h.NewProject()) },
		} {
			if err := try(); !apierrors.IsForbidden(err) {
				t.Errorf("%s: %v, want Forbidden", what, err)
			}
		}
	})
}
