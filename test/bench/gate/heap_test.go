// Package gate_test checks on every change the counts that the benchmarks rest on: requests, writes, passes, allocations and
// bytes. No time is looked at, so that a busy machine fails nothing.
package gate_test

import (
	"testing"

	"github.com/runtag/runtag/test/bench/gate/sample"
)

// The budgets of row 6 of the benchmarks, in bytes. Among few pods each has a larger share of what all of them share. A
// TrainingRun may take 6 KiB, of which a test of the controller leaves 1 KiB for what it remembers between two passes.
const (
	mostPerPod  = 1 << 10
	mostOfFew   = 1200
	mostPerNode = 1 << 10
	mostPerRun  = 5 << 10
)

func TestHeap(t *testing.T) {
	skipWhenRaced(t)
	for reason, c := range map[string]struct {
		sizes   []int
		most    float64
		measure func(n int) (float64, error)
	}{
		"a pod, in a cluster of all kinds": {
			[]int{1_000, 10_000}, mostPerPod, func(n int) (float64, error) { return sample.PodHeap(n, sample.Mixed), nil },
		},
		"a pod, where each is of an indexed Job": {
			[]int{10_000}, mostPerPod, func(n int) (float64, error) { return sample.PodHeap(n, sample.JobPod), nil },
		},
		"a pod, where there are few and each is of an indexed Job": {
			[]int{1_000}, mostOfFew, func(n int) (float64, error) { return sample.PodHeap(n, sample.JobPod), nil },
		},
		"a node":                             {[]int{1_000, 10_000}, mostPerNode, func(n int) (float64, error) { return sample.NodeHeap(n), nil }},
		"an idle TrainingRun with five tags": {[]int{1_000, 2_000}, mostPerRun, sample.RunHeap},
	} {
		for _, n := range c.sizes {
			each, err := c.measure(n)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s, of %d: %.0f bytes", reason, n, each)
			if each > c.most {
				t.Errorf("%s takes %.0f bytes of heap where there are %d, want at most %.0f", reason, each, n, c.most)
			}
		}
	}
}

func skipWhenRaced(t *testing.T) {
	t.Helper()
	if raced {
		t.Skip("the race detector allocates for itself; this runs in go test without -race")
	}
}
