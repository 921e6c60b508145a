package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"
)

var all = Components()

// put makes executables, the content of each being its path.
func put(t *testing.T, dir string, components ...Component) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range components {
		path := filepath.Join(dir, string(c))
		if err := os.WriteFile(path, []byte(path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// fakeLocator finds nothing by itself: fetch and build fail.
func fakeLocator(t *testing.T, env map[string]string) locator {
	t.Helper()
	cache, err := cacheDir(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return locator{
		getenv: func(name string) string { return env[name] },
		cache:  cache, clock: clock.RealClock{}, log: t.Logf,
		fetch: func(context.Context) error { return errors.New("no network") },
		build: func(context.Context, []recipe, string) error { return errors.New("no compiler") },
	}
}

func TestLocateOrder(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		assets       []Component            // nil: the variable is not set
		cached       map[string][]Component // by version
		fetched      string                 // the version that setup-envtest brings; empty if it fails
		builds       bool
		want         Origin
		wantDir      string // below the cache
		wantBuilt    []Component
		wantErr      string
	}{
		{
			name: "assets first", reason: "what a person sets by hand wins over everything",
			assets: all, cached: map[string][]Component{"v" + Version: all}, fetched: Version, builds: true,
			want: FromAssets,
		},
		{
			name: "assets incomplete", reason: "passing over what a person set would run something else than they think",
			assets: []Component{Etcd, KubeAPIServer}, cached: map[string][]Component{"v" + Version: all}, builds: true,
			wantErr: "no executable kubectl there",
		},
		{
			name: "cache before the network", reason: "a second run must not need the network",
			cached: map[string][]Component{"v" + Version: all}, fetched: "1.37.9", builds: true,
			want: FromCache, wantDir: "v" + Version,
		},
		{
			name: "another patch release in the cache", reason: "what setup-envtest brought last time is of its own version",
			cached: map[string][]Component{"v1.37.0": all, "v1.37.10": all, "v1.37.9": all, "v1.38.0": all},
			want:   FromCache, wantDir: "v1.37.10",
		},
		{
			name: "exact version before a newer patch release", reason: "what the code names is what it was tried with",
			cached: map[string][]Component{"v" + Version: all, "v1.37.11": all},
			want:   FromCache, wantDir: "v" + Version,
		},
		{
			name: "setup-envtest before building", reason: "seconds instead of minutes",
			fetched: "1.37.0", builds: true,
			want: FromSetupEnvtest, wantDir: "v1.37.0",
		},
		{
			name: "built when all else fails", reason: "without a network but for the module proxy this is the only way",
			builds: true,
			want:   FromSource, wantDir: "v" + Version, wantBuilt: all,
		},
		{
			name: "builds only what is missing", reason: "a build that was stopped goes on where it was",
			cached: map[string][]Component{"v" + Version: {Etcd}}, builds: true,
			want: FromSource, wantDir: "v" + Version, wantBuilt: []Component{KubeAPIServer, Kubectl},
		},
		{
			name: "a failing build", reason: "nothing to run is an error, never an empty answer",
			wantErr: "no compiler",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := map[string]string{"XDG_CACHE_HOME": t.TempDir()}
			assets := t.TempDir()
			if test.assets != nil {
				env[AssetsVariable] = assets
				put(t, assets, test.assets...)
			}
			l := fakeLocator(t, env)
			for version, components := range test.cached {
				put(t, filepath.Join(l.cache, version), components...)
			}
			if test.fetched != "" {
				l.fetch = func(context.Context) error {
					from := filepath.Join(t.TempDir(), test.fetched+"-linux-amd64")
					put(t, from, all...)
					return adopt(from, l.cache)
				}
			}
			var built []Component
			if test.builds {
				l.build = func(_ context.Context, missing []recipe, dir string) error {
					for _, r := range missing {
						built = append(built, r.component)
						put(t, dir, r.component)
					}
					return nil
				}
			}
			got, err := l.locate(t.Context())
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Fatalf("%s: got %v and error %v, want an error with %q", test.reason, got, err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", test.reason, err)
			}
			want := Binaries{Dir: filepath.Join(l.cache, test.wantDir), Origin: test.want}
			if test.want == FromAssets {
				want.Dir = assets
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
			if diff := cmp.Diff(test.wantBuilt, built); diff != "" {
				t.Errorf("%s: built (-want +got):\n%s", test.reason, diff)
			}
			if absent := missing(got.Dir); len(absent) > 0 {
				t.Errorf("%s: %v is missing from %s", test.reason, absent, got.Dir)
			}
		})
	}
}

func TestLocateForNodes(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		there        []Component
		wantBuilt    []Component
		want         Origin
	}{
		{"none there", "nobody has them prebuilt", nil, NodeComponents(), FromSource},
		{"some there", "a build that was stopped goes on where it was", []Component{KubeScheduler}, []Component{KubeControllerManager, Kwok}, FromSource},
		{"all there", "a second run must not need the network", NodeComponents(), nil, FromCache},
	} {
		t.Run(test.name, func(t *testing.T) {
			assets := t.TempDir() // without what nodes need, as a download of setup-envtest is
			put(t, assets, all...)
			l := fakeLocator(t, map[string]string{"XDG_CACHE_HOME": t.TempDir(), AssetsVariable: assets})
			dir := filepath.Join(l.cache, nodeFolder())
			put(t, dir, test.there...)
			var built []Component
			l.build = func(_ context.Context, missing []recipe, dir string) error {
				built = names(missing)
				put(t, dir, built...)
				return nil
			}
			got, err := l.locateForNodes(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(Binaries{Dir: dir, Origin: test.want}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
			if diff := cmp.Diff(test.wantBuilt, built); diff != "" {
				t.Errorf("%s: built (-want +got):\n%s", test.reason, diff)
			}
			if base, err := l.locate(t.Context()); err != nil || base.Dir != assets {
				t.Errorf("a plain control plane needs none of them; got %v and %v", base, err)
			}
		})
	}
}

func TestTwoLocatesBuildOnce(t *testing.T) {
	env := map[string]string{"XDG_CACHE_HOME": t.TempDir()}
	building, waiting := make(chan struct{}), make(chan struct{})
	builds := 0 // guarded by the lock that is tested; the race detector would tell
	build := func(_ context.Context, missing []recipe, dir string) error {
		builds++
		close(building) // a second build would panic here
		<-waiting
		for _, r := range missing {
			put(t, dir, r.component)
		}
		return nil
	}
	first, second := fakeLocator(t, env), fakeLocator(t, env)
	first.build, second.build = build, build
	second.log = func(format string, args ...any) {
		if line := fmt.Sprintf(format, args...); strings.Contains(line, fmt.Sprintf("process %d is already", os.Getpid())) {
			close(waiting)
		}
	}
	var wg sync.WaitGroup
	var origins [2]Origin
	var errs [2]error
	locate := func(i int, l locator) {
		binaries, err := l.locate(t.Context())
		origins[i], errs[i] = binaries.Origin, err
	}
	wg.Go(func() { locate(0, first) })
	<-building
	wg.Go(func() { locate(1, second) })
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([2]Origin{FromSource, FromCache}, origins); diff != "" || builds != 1 {
		t.Errorf("built %d times, (-want +got):\n%s", builds, diff)
	}
}

func TestWaitingForTheCacheEndsWithTheContext(t *testing.T) {
	l := fakeLocator(t, map[string]string{"XDG_CACHE_HOME": t.TempDir()})
	if err := os.MkdirAll(l.cache, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, _, err := tryLock(filepath.Join(l.cache, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.release()
	ctx, cancel := context.WithCancel(t.Context())
	l.log = func(string, ...any) { cancel() }
	if _, err := l.locate(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context is cancelled", err)
	}
}

func TestLocateSweepsWhatKilledBuildsLeft(t *testing.T) {
	l := fakeLocator(t, map[string]string{"XDG_CACHE_HOME": t.TempDir()})
	left := filepath.Join(l.cache, scratchPrefix+"123", "kubernetes-module")
	put(t, left, KubeAPIServer)
	if _, err := l.locate(t.Context()); err == nil {
		t.Fatal("located without fetch and build")
	}
	if _, err := os.Stat(filepath.Dir(left)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of the killed build is still there (%v)", err)
	}
}

func TestAdoptRefusesAnIncompleteDownload(t *testing.T) {
	cache, from := t.TempDir(), filepath.Join(t.TempDir(), "1.37.0-linux-amd64")
	put(t, from, Etcd, Kubectl)
	if err := adopt(from, cache); err == nil {
		t.Error("adopted a download without kube-apiserver")
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) > 0 {
		t.Errorf("the cache has %v (%v), want nothing", left, err)
	}
}

func TestCacheDir(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		env          map[string]string
		want         string
	}{
		{"XDG", "the variable is what the specification says", map[string]string{"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/runtag/controlplane"},
		{"home", "most people do not set it", map[string]string{"HOME": "/h"}, "/h/.cache/runtag/controlplane"},
		{"relative", "the specification says to ignore it", map[string]string{"XDG_CACHE_HOME": "x", "HOME": "/h"}, "/h/.cache/runtag/controlplane"},
		{"nothing", "guessing could fill the work tree", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := cacheDir(func(name string) string { return test.env[name] })
			if got != test.want || (err != nil) != (test.want == "") {
				t.Errorf("%s: got %q and error %v, want %q", test.reason, got, err, test.want)
			}
		})
	}
}
