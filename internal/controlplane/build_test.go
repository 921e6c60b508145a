package controlplane

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/gomega"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
)

// fakeGo puts a go command first on the PATH that answers as the real one does. What it does for go build is the last
// part of the script, with the path to write to in $out.
func fakeGo(t *testing.T, onBuild string) {
	t.Helper()
	script := `#!/bin/sh
case "$1 $2" in
"mod download") echo '{"GoMod":"go.mod"}'; exit ;;
"mod edit") echo '{"Go":"1.26.0","Require":[]}'; exit ;;
esac
while [ "$1" != -o ]; do shift; done
out=$2
` + onBuild
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// newCache gives the folder of a version in a cache, and says what is in the cache.
func newCache(t *testing.T) (dir string, content func() []string) {
	t.Helper()
	cache := t.TempDir()
	dir = filepath.Join(cache, "v"+Version)
	put(t, dir)
	return dir, func() []string {
		names := []string{}
		err := filepath.WalkDir(cache, func(path string, entry os.DirEntry, err error) error {
			if !entry.IsDir() || strings.HasPrefix(entry.Name(), scratchPrefix) {
				names = append(names, strings.TrimPrefix(path, cache+"/"))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
}

func TestBuildSaysHowFarItIs(t *testing.T) {
	fakeGo(t, `echo binary > "$out"; chmod +x "$out"`)
	dir, content := newCache(t)
	var lines []string
	b := builder{clock: clocktesting.NewFakeClock(time.Unix(0, 0)), env: os.Environ(), log: func(format string, args ...any) {
		lines = append(lines, strings.SplitN(format, " ", 2)[0]+" "+args[0].(string))
	}}
	if err := b.build(t.Context(), recipes, dir); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"building etcd (1 of 3)", "built etcd (1 of 3)",
		"building kube-apiserver (2 of 3)", "built kube-apiserver (2 of 3)",
		"building kubectl (3 of 3)", "built kubectl (3 of 3)",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	v := "v" + Version + "/"
	if diff := cmp.Diff([]string{v + "etcd", v + "kube-apiserver", v + "kubectl"}, content()); diff != "" {
		t.Errorf("cache (-want +got):\n%s", diff)
	}
}

func TestBuildOfACommandOfOurs(t *testing.T) {
	fakeGo(t, `for last; do :; done; cp "$last" "$out"; chmod +x "$out"`)
	dir, _ := newCache(t)
	b := builder{clock: clock.RealClock{}, env: os.Environ(), log: t.Logf}
	if err := b.build(t.Context(), []recipe{{component: "ours", source: kubernetesSource, main: "package main\n"}}, dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "ours")); err != nil || string(got) != "package main\n" {
		t.Errorf("built from %q (%v), want from the text of the recipe", got, err)
	}
}

func TestHeartbeat(t *testing.T) {
	clk := clocktesting.NewFakeClock(time.Unix(0, 0))
	lines := make(chan string)
	b := builder{clock: clk, log: func(format string, args ...any) {
		lines <- strings.Join([]string{args[0].(string), args[1].(string), args[2].(string)}, ", ")
	}}
	finish, done := make(chan struct{}), make(chan error)
	go func() {
		done <- b.withHeartbeat("etcd (1 of 3)", 90*time.Second, func() error { <-finish; return os.ErrClosed })
	}()
	NewWithT(t).Eventually(clk.HasWaiters).Should(BeTrue())
	for _, want := range []string{"etcd (1 of 3), 15 s, 1 min 30 s", "etcd (1 of 3), 30 s, 1 min 30 s"} {
		clk.Step(heartbeat)
		if got := <-lines; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	close(finish)
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want the error of the work", err)
	}
}

func TestCancelledBuildLeavesNothingHalfBuilt(t *testing.T) {
	g := NewWithT(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	// The second build writes half of a binary and hangs in a process of its own, as a compiler would.
	fakeGo(t, `
case "$out" in */etcd) echo binary > "$out"; chmod +x "$out"; exit ;; esac
echo half > "$out"; chmod +x "$out"
sleep 1000 & echo $! > "`+pidFile+`.new" && mv "`+pidFile+`.new" "`+pidFile+`"
wait`)
	dir, content := newCache(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b := builder{clock: clock.RealClock{}, env: os.Environ(), log: t.Logf}
	done := make(chan error)
	go func() { done <- b.build(ctx, recipes, dir) }()
	g.Eventually(pidFile, "20s").Should(BeAnExistingFile())
	cancel()
	var err error
	g.Eventually(done, "20s").Should(Receive(&err))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
	if diff := cmp.Diff([]string{"v" + Version + "/etcd"}, content()); diff != "" {
		t.Errorf("only what was finished stays in the cache (-want +got):\n%s", diff)
	}
	written, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(written)))
	if err != nil {
		t.Fatal(err)
	}
	g.Eventually(func() bool { return runs(pid) }, "20s").Should(BeFalse(), "what the go command started is killed with it")
}

// runs says whether there is a process of that number that is not a mere entry in the table.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, state, found := strings.Cut(string(stat), ") ")
	return found && state[0] != 'Z' && state[0] != 'X'
}

func TestFailedBuildCarriesWhatTheCompilerSaid(t *testing.T) {
	fakeGo(t, `echo "undefined: frobnicate" >&2; exit 1`)
	dir, content := newCache(t)
	err := builder{clock: clock.RealClock{}, env: os.Environ(), log: t.Logf}.build(t.Context(), recipes[:1], dir)
	for _, want := range []string{"build etcd from go.etcd.io/etcd/server/v3@", "undefined: frobnicate"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if left := content(); len(left) > 0 {
		t.Errorf("the failed build left %v", left)
	}
}

func TestScratchGoMod(t *testing.T) {
	theirs := []byte(`{"Module":{"Path":"k8s.io/kubernetes"},"Go":"1.26.0","Require":[
		{"Path":"k8s.io/api","Version":"v0.0.0"},
		{"Path":"k8s.io/mount-utils","Version":"v0.0.0"},
		{"Path":"k8s.io/utils","Version":"v0.0.0-20260626114624-be93311217bd"},
		{"Path":"k8s.io/klog/v2","Version":"v2.140.0"}]}`)
	for _, test := range []struct {
		name, reason string
		source       *source
		want         string
	}{
		{
			name: "kubernetes", reason: "only what their repository replaces by folders needs a replacement",
			source: kubernetesSource,
			want: `module runtag.dev/scratch

go 1.26.0

require k8s.io/kubernetes v1.37.2
exclude k8s.io/api v0.37.2
replace k8s.io/api => k8s.io/api v0.37.2
exclude k8s.io/mount-utils v0.37.2
replace k8s.io/mount-utils => k8s.io/mount-utils v0.37.2
`,
		},
		{
			name: "a module that stands by itself", reason: "etcd's modules are tagged together",
			source: &source{module: "example.com/m", version: "v1.2.3"},
			want:   "module runtag.dev/scratch\n\ngo 1.26.0\n\nrequire example.com/m v1.2.3\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := scratchGoMod(test.source, theirs)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
		})
	}
}

func TestBuildEnv(t *testing.T) {
	got := buildEnv([]string{
		"PATH=/bin", "HTTPS_PROXY=http://p", "GOPROXY=http://mirror", "GOCACHE=/c",
		"GOFLAGS=-mod=vendor", "GOWORK=/w", "GOOS=windows", "CGO_ENABLED=1", "CGO_CFLAGS=-g", "GOEXPERIMENT=x", "GOAMD64=v4",
	})
	ours := buildEnv(nil)
	want := append([]string{"PATH=/bin", "HTTPS_PROXY=http://p", "GOPROXY=http://mirror", "GOCACHE=/c"}, ours...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the caller says where modules come from, and nothing of what is built (-want +got):\n%s", diff)
	}
}
