package controlplane

import (
	"context"
	"maps"
)

// TB is what StartForTest needs of testing.TB and of GinkgoT().
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// Option changes how StartForTest starts a control plane.
type Option func(*Options)

// WithNodes adds simulated nodes, node-0 and so on, all with these labels, and what makes pods run on them. That is
// another second and 250 MiB. AddNodes adds nodes that differ.
func WithNodes(n int, labels map[string]string) Option {
	return func(o *Options) { o.Nodes, o.NodeLabels = n, maps.Clone(labels) }
}

// StartForTest starts a control plane of its own below a temporary folder, and stops it when the test, or in a
// BeforeSuite the suite, is over. One per package is enough: a start takes about 3 s and 300 MiB.
func StartForTest(tb TB, options ...Option) *ControlPlane {
	tb.Helper()
	o := Options{Log: tb.Logf}
	for _, option := range options {
		option(&o)
	}
	c, err := Start(tb.Context(), o)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	ctx := context.WithoutCancel(tb.Context()) // cleanups run when the test's own context is over
	tb.Cleanup(func() {
		if err := c.Stop(ctx); err != nil {
			tb.Logf("stop the control plane: %v", err)
		}
	})
	return c
}
