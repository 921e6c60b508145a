package controlplane

import "context"

// TB is what StartForTest needs of testing.TB and of GinkgoT().
type TB interface {
	Helper()
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Context() context.Context
}

// StartForTest starts a control plane of its own below a temporary folder, and stops it when the test, or in a
// BeforeSuite the suite, is over. One per package is enough: a start takes about 3 s and 300 MiB.
func StartForTest(tb TB) *ControlPlane {
	tb.Helper()
	c, err := Start(tb.Context(), Options{Log: tb.Logf})
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
