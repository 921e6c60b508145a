package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/utils/clock"
)

// AssetsVariable is the environment variable that names a folder with the executables, as for envtest.
const AssetsVariable = "KUBEBUILDER_ASSETS"

// Logf prints one line of progress.
type Logf func(format string, args ...any)

// Origin says where executables were found.
type Origin string

// The places that executables come from, in the order in which they are tried.
const (
	FromAssets       Origin = AssetsVariable
	FromCache        Origin = "cache"
	FromSetupEnvtest Origin = "setup-envtest"
	FromSource       Origin = "source"
)

// Binaries is a folder that holds every one of Components, or of NodeComponents.
type Binaries struct {
	Dir    string
	Origin Origin
}

// Path of one executable.
func (b Binaries) Path(c Component) string { return filepath.Join(b.Dir, string(c)) }

// Locate finds etcd, kube-apiserver and kubectl, and takes the first that there is of
//
//   - the folder that KUBEBUILDER_ASSETS names; one that lacks an executable is an error, never silently passed over;
//   - our cache, $XDG_CACHE_HOME/runtag/controlplane/v<version>, or below ~/.cache;
//   - setup-envtest, for a minute at most, and only inside a checkout of this repository, where it is pinned;
//   - a build from source through the Go module proxy, which takes some minutes.
//
// The last two fill the cache, one process at a time: others say that they wait, and then use what they find. log gets
// the progress and may be nil. When ctx ends, the build is killed; the executables that were finished stay.
func Locate(ctx context.Context, log Logf) (Binaries, error) {
	l, err := newLocator(log)
	if err != nil {
		return Binaries{}, err
	}
	return l.locate(ctx)
}

// LocateForNodes is Locate for kube-scheduler, kube-controller-manager and kwok, which nobody has prebuilt: they come
// from our cache, whatever KUBEBUILDER_ASSETS says, and are built from source first, which takes two to five minutes.
func LocateForNodes(ctx context.Context, log Logf) (Binaries, error) {
	l, err := newLocator(log)
	if err != nil {
		return Binaries{}, err
	}
	return l.locateForNodes(ctx)
}

func newLocator(log Logf) (locator, error) {
	if log == nil {
		log = func(string, ...any) {}
	}
	cache, err := cacheDir(os.Getenv)
	if err != nil {
		return locator{}, err
	}
	l := locator{getenv: os.Getenv, cache: cache, clock: clock.RealClock{}, log: log}
	l.fetch = l.setupEnvtest
	l.build = builder{clock: l.clock, log: log, env: buildEnv(os.Environ())}.build
	return l, nil
}

func cacheDir(getenv func(string) string) (string, error) {
	base := getenv("XDG_CACHE_HOME")
	if !filepath.IsAbs(base) { // the XDG specification says to ignore relative ones
		home := getenv("HOME")
		if home == "" {
			return "", errors.New("there is no place for the control plane's executables: set HOME, XDG_CACHE_HOME or " + AssetsVariable)
		}
		base = filepath.Join(home, ".cache")
	}
	return filepath.Join(base, "runtag", "controlplane"), nil
}

// locator is Locate with all that it depends on.
type locator struct {
	getenv func(string) string
	// cache holds a folder per version.
	cache string
	clock clock.WithTicker
	log   Logf
	// fetch downloads into a folder of the cache whose name is a version.
	fetch func(ctx context.Context) error
	// build adds what is missing to a folder of the cache.
	build func(ctx context.Context, missing []recipe, dir string) error
}

func (l locator) locate(ctx context.Context) (Binaries, error) {
	if assets := l.getenv(AssetsVariable); assets != "" {
		return assetsIn(assets)
	}
	return l.findOrFill(ctx, l.cached, l.fill)
}

func (l locator) locateForNodes(ctx context.Context) (Binaries, error) {
	dir := filepath.Join(l.cache, nodeFolder())
	return l.findOrFill(ctx,
		func() (string, bool) { return dir, len(absent(nodeRecipes, dir)) == 0 },
		func(ctx context.Context) (Binaries, error) { return l.fromSource(ctx, nodeRecipes, dir) })
}

// findOrFill gives what is in the cache, and fills the cache if nothing is.
func (l locator) findOrFill(ctx context.Context, find func() (string, bool), fill func(context.Context) (Binaries, error)) (Binaries, error) {
	if dir, ok := find(); ok {
		return Binaries{Dir: dir, Origin: FromCache}, nil
	}
	if err := os.MkdirAll(l.cache, 0o755); err != nil {
		return Binaries{}, fmt.Errorf("make the cache of the control plane's executables: %w", err)
	}
	lock, err := l.lockCache(ctx)
	if err != nil {
		return Binaries{}, err
	}
	defer lock.release()
	if dir, ok := find(); ok { // by the process that we waited for
		return Binaries{Dir: dir, Origin: FromCache}, nil
	}
	l.sweep()
	return fill(ctx)
}

// fill downloads or builds Components. The cache is locked.
func (l locator) fill(ctx context.Context) (Binaries, error) {
	if err := l.fetch(ctx); err != nil {
		if ctx.Err() != nil {
			return Binaries{}, err
		}
		l.log("no prebuilt control plane (%s); building it from source", strings.Join(strings.Fields(err.Error()), " "))
	}
	if dir, ok := l.cached(); ok {
		return Binaries{Dir: dir, Origin: FromSetupEnvtest}, nil
	}
	binaries, err := l.fromSource(ctx, recipes, filepath.Join(l.cache, "v"+Version))
	if errors.Is(err, exec.ErrNotFound) {
		err = fmt.Errorf("%w; or set %s to a folder that holds %v", err, AssetsVariable, Components())
	}
	return binaries, err
}

// fromSource builds what is not in the folder yet. The cache is locked.
func (l locator) fromSource(ctx context.Context, wanted []recipe, dir string) (Binaries, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Binaries{}, fmt.Errorf("make the cache of the control plane's executables: %w", err)
	}
	if err := l.build(ctx, absent(wanted, dir), dir); err != nil {
		return Binaries{}, err
	}
	if absent := absent(wanted, dir); len(absent) > 0 {
		return Binaries{}, fmt.Errorf("%s was built, but is not in %s", absent[0].component, dir)
	}
	return Binaries{Dir: dir, Origin: FromSource}, nil
}

// cached gives the folder with our version or else, since not every patch release is there prebuilt, the newest of the
// same minor one.
func (l locator) cached() (string, bool) {
	exact := filepath.Join(l.cache, "v"+Version)
	if len(missing(exact)) == 0 {
		return exact, true
	}
	best := ""
	for _, dir := range l.inCache("v" + minorVersion + ".") {
		// Of two with one prefix the longer is the larger number.
		newer := len(dir) > len(best) || len(dir) == len(best) && dir > best
		if newer && len(missing(dir)) == 0 {
			best = dir
		}
	}
	return best, best != ""
}

// inCache lists what is in the cache under names that start so; nothing where there is no cache yet.
func (l locator) inCache(prefix string) []string {
	entries, err := os.ReadDir(l.cache)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.log("look into the cache of the control plane's executables: %v", err)
	}
	var paths []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			paths = append(paths, filepath.Join(l.cache, entry.Name()))
		}
	}
	return paths
}

func (l locator) lockCache(ctx context.Context) (*fileLock, error) {
	lock, err := waitLock(ctx, l.clock, filepath.Join(l.cache, "lock"), func(holder string) {
		l.log("%s is already getting the control plane's executables; waiting for it", holder)
	})
	if err != nil {
		return nil, fmt.Errorf("lock the cache of the control plane's executables in %s: %w", l.cache, err)
	}
	return lock, nil
}

const scratchPrefix = ".build-"

// sweep removes what killed processes left behind. The cache is locked, so nobody is using it.
func (l locator) sweep() {
	for _, dir := range l.inCache(scratchPrefix) {
		if err := os.RemoveAll(dir); err != nil {
			l.log("left in place: %v", err)
		}
	}
}

func assetsIn(dir string) (Binaries, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Binaries{}, fmt.Errorf("%s=%s: %w", AssetsVariable, dir, err)
	}
	if absent := missing(abs); len(absent) > 0 {
		return Binaries{}, fmt.Errorf("%s=%s: no executable %s there; add it, or unset %s to have all of them fetched or built",
			AssetsVariable, dir, absent[0].component, AssetsVariable)
	}
	return Binaries{Dir: abs, Origin: FromAssets}, nil
}

// missing lists which of Components are not in dir.
func missing(dir string) []recipe { return absent(recipes, dir) }

// absent lists what is not in dir as an executable file.
func absent(wanted []recipe, dir string) []recipe {
	var absent []recipe
	for _, r := range wanted {
		info, err := os.Stat(filepath.Join(dir, string(r.component)))
		if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
			absent = append(absent, r)
		}
	}
	return absent
}
