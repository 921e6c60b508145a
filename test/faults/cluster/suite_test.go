// Package cluster_test has the cluster misbehave under the built manager: the API server restarts, loses answers and
// forgets its history, etcd is slow, leaders are stopped and go on, Secrets, CRDs and namespaces change or go, and
// objects come back from a backup. Whatever happens, the end is what people declared, and nothing foreign is gone.
package cluster_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/runtag/runtag/test/faults/facts"
	"github.com/runtag/runtag/test/stage"
)

const (
	// part is the suite's name in the report.
	part = "cluster"
)

// cluster is the one on which all tests here play.
var cluster *stage.Stage

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	// A namespace goes only where there is a controller manager, which comes with nodes.
	var err error
	if cluster, err = stage.New(ctx, stage.Options{Nodes: facts.Pick(0, 1)}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	stopping, stopped := context.WithTimeout(context.Background(), time.Minute)
	defer stopped()
	if err := cluster.Close(stopping); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// fullOnly leaves out of the short form what takes long.
func fullOnly(t *testing.T) {
	t.Helper()
	if !facts.Full() {
		t.Skip("only make faults does this: it takes long")
	}
}

func randomOf(t *testing.T) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(facts.Seed(t), 0)) //nolint:gosec // chance, and no secret
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func record(t *testing.T, what string, value int) {
	t.Helper()
	facts.Record(t, facts.Fact{Part: part, What: what, Value: float64(value)})
}

// startManager starts a manager that ends with the test; whether it goes on by itself until then is the test's affair.
func startManager(t *testing.T, flags ...string) *stage.Manager {
	t.Helper()
	m, err := cluster.StartManager(t.Context(), flags...)
	must(t, err)
	t.Cleanup(func() { end(t, m) })
	return m
}

func end(t *testing.T, m *stage.Manager) {
	t.Helper()
	if t.Failed() {
		said, err := m.Said()
		t.Logf("%s said (%v):\n%s", m.Name, err, lastOf(said, 6000))
	}
	if err := m.Kill(); err != nil {
		t.Error(err)
	}
}

func lastOf(s string, n int) string { return s[max(0, len(s)-n):] }
