package mutation

import "testing"

func TestFirstFailure(t *testing.T) {
	cases := map[string]struct{ reason, out, want string }{
		"nested":  {reason: "the subtest says more than its parent", out: "\x16--- FAIL: TestA (0.1s)\n\x16--- FAIL: TestA/x (0.1s)\n--- FAIL: TestB (0s)\n", want: "TestA/x"},
		"one":     {reason: "a test without subtests is named itself", out: "ok\n--- FAIL: TestB (0.00s)\nFAIL\n", want: "TestB"},
		"a spec":  {reason: "a suite's name says nothing", out: "[FAIL] Things work [It] well\n--- FAIL: TestControllers (3s)\n", want: "spec: Things work [It] well"},
		"nothing": {reason: "a crash is no failed test", out: "panic: oh\n", want: ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := firstFailure([]byte(c.out)); got != c.want {
				t.Errorf("%s: got %q, want %q", c.reason, got, c.want)
			}
		})
	}
}
