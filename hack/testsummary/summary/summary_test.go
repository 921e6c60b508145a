package summary_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/hack/testsummary/summary"
)

func TestSummary(t *testing.T) {
	cases := map[string]struct {
		reason string
		events string
		want   string
		ok     bool
	}{
		"leaves are counted": {
			reason: "a parent says nothing that its subtests don't say",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestA/x"}
{"Action":"run","Package":"p","Test":"TestA/y"}
{"Action":"pass","Package":"p","Test":"TestA/y"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"PASS\n"}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}
{"Action":"pass","Package":"p"}`,
			want: "ok  \tp\t0.1s\n1 packages in 7 s\n2 passed, 0 failed, 0 skipped\n",
			ok:   true,
		},
		"a failure is shown in full": {
			reason: "and what passed beside it is not",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"good\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"bad\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}`,
			want: "bad\nFAIL\tp\t0.1s\nfailed: p TestB\n1 packages in 7 s\n1 passed, 1 failed, 0 skipped\n",
		},
		"a parent that fails by itself": {
			reason: "counts as a failure though its subtests passed",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"pass","Package":"p","Test":"TestA/x"}
{"Action":"output","Package":"p","Test":"TestA","Output":"afterwards\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			want: "afterwards\nfailed: p TestA\n1 packages in 7 s\n1 passed, 1 failed, 0 skipped\n",
		},
		"a crash": {
			reason: "the test in which the process died has no result and is a failure",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"panic: no\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}`,
			want: "panic: no\nFAIL\tp\t0.1s\nfailed: p TestA\n1 packages in 7 s\n0 passed, 1 failed, 0 skipped\n",
		},
		"a skip": {
			reason: "is never hidden, nor is why",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:1: looking\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:2: no Python\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- SKIP: TestA (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p"}`,
			want: "skipped: p TestA a_test.go:2: no Python\n1 packages in 7 s\n1 passed, 0 failed, 1 skipped\n",
			ok:   true,
		},
		"no build": {
			reason: "the compiler's words are shown, and a package without tests that ran is a failure",
			events: `{"Action":"build-output","ImportPath":"p [p.test]","Output":"# p\n"}
{"Action":"build-output","ImportPath":"p [p.test]","Output":"a.go:1: syntax error\n"}
{"Action":"build-fail","ImportPath":"p [p.test]"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`,
			want: "# p\na.go:1: syntax error\nFAIL\tp [build failed]\nfailed: p\n1 packages in 7 s\n0 passed, 1 failed, 0 skipped\n",
		},
		"a Ginkgo suite": {
			reason: "is one test to Go; its specs are counted",
			events: `{"Action":"output","Package":"p","Test":"TestSuite","Output":"\u001b[32mSUCCESS!\u001b[0m -- \u001b[32m12 Passed\u001b[0m | \u001b[31m0 Failed\u001b[0m | 1 Pending | 2 Skipped\n"}
{"Action":"pass","Package":"p","Test":"TestSuite"}
{"Action":"pass","Package":"p"}`,
			want: "1 packages in 7 s\n12 passed, 0 failed, 3 skipped\n",
			ok:   true,
		},
		"a Ginkgo suite that fails outside its specs": {
			reason: "is a failure though no spec failed",
			events: `{"Action":"output","Package":"p","Test":"TestSuite","Output":"FAIL! -- 12 Passed | 0 Failed | 0 Pending | 0 Skipped\n"}
{"Action":"fail","Package":"p","Test":"TestSuite"}
{"Action":"fail","Package":"p"}`,
			want: "FAIL! -- 12 Passed | 0 Failed | 0 Pending | 0 Skipped\nfailed: p TestSuite\n1 packages in 7 s\n0 passed, 1 failed, 0 skipped\n",
		},
		"nothing ran": {
			reason: "no test is no proof; a line that is no event is passed on",
			events: "go: no such module",
			want:   "go: no such module\n0 packages in 7 s\n0 passed, 0 failed, 0 skipped\n",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			s := summary.New(&out)
			if err := s.Read(strings.NewReader(c.events + "\n")); err != nil {
				t.Fatalf("read: %v", err)
			}
			ok := s.Close(7 * time.Second)
			if diff := cmp.Diff(c.want, out.String()); diff != "" {
				t.Errorf("%s: output (-want +got):\n%s", c.reason, diff)
			}
			if ok != c.ok {
				t.Errorf("%s: ok is %v, want %v", c.reason, ok, c.ok)
			}
		})
	}
}
