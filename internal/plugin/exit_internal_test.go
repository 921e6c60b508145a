package plugin

import (
	"strings"
	"testing"
)

func TestRoleHint(t *testing.T) {
	for _, c := range []struct{ reason, refusal, want string }{
		{"whoever reads needs no more than to view", `trainingruns.tracking.runtag.dev is forbidden: User "ann" cannot list resource "trainingruns" in the namespace "ml"`, "runtag-viewer in that namespace"},
		{"whoever changes has to edit", `tagchanges.tracking.runtag.dev is forbidden: User "ann" cannot create resource "tagchanges" in the namespace "ml"`, "runtag-editor in that namespace"},
		{"ConfigMaps are not for runtag's roles", `configmaps "x" is forbidden: User "ann" cannot get resource "configmaps" in API group "" in the namespace "ml"`, "the role view in that namespace"},
		{"a RoleBinding does not reach the whole cluster", `clustertagrules.tracking.runtag.dev is forbidden: User "ann" cannot list resource "clustertagrules" at the cluster scope`, "clusterrolebinding"},
	} {
		if got := roleHint(c.refusal); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want it to say %q", c.reason, got, c.want)
		}
	}
}
