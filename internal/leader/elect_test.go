package leader_test

import (
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/runtag/runtag/internal/leader"
)

func TestNewLeavesTheConfigurationAlone(t *testing.T) {
	config := &rest.Config{Host: "https://127.0.0.1:1"}
	lease, err := leader.New(config, leader.Options{Namespace: "system", Name: "manager", RenewDeadline: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if config.Timeout != 0 || config.UserAgent != "" {
		t.Errorf("the manager's own requests would have a timeout of %s and the User-Agent %q: watches have to last", config.Timeout, config.UserAgent)
	}
	if lease.Describe() != "system/manager" || lease.Left() > 0 {
		t.Errorf("the lease is %s with %s left", lease.Describe(), lease.Left())
	}
}

func TestNewNeedsANamespaceOutsideACluster(t *testing.T) {
	if _, err := leader.New(&rest.Config{}, leader.Options{Name: "manager"}); err == nil {
		t.Error("it makes a lease in no namespace")
	}
}
