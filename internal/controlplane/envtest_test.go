package controlplane

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeTool makes a checkout to be in, and a go command that runs the script for a tool, with its arguments in $args and
// the folder to download to in $bin.
func fakeTool(t *testing.T, script string) {
	t.Helper()
	checkout, path := t.TempDir(), t.TempDir()
	inside := filepath.Join(checkout, "internal", "deep")
	put(t, inside)
	put(t, filepath.Join(checkout, "hack", "tools"))
	for file, content := range map[string]string{
		filepath.Join(checkout, "go.mod"):                  "module github.com/runtag/runtag\n\ngo 1.26.0\n",
		filepath.Join(checkout, "hack", "tools", "go.mod"): "module tools\n",
		filepath.Join(path, "go"):                          "#!/bin/sh\nargs=\"$*\"\nwhile [ \"$1\" != --bin-dir ]; do shift; done\nbin=$2\n" + script,
	} {
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(inside)
	t.Setenv("PATH", path+string(os.PathListSeparator)+os.Getenv("PATH"))
}

func TestSetupEnvtest(t *testing.T) {
	const download = `
echo "$args" | grep -q -- "^tool -modfile=.*/hack/tools/go.mod setup-envtest use 1.37.x -p path" || { echo "bad: $args" >&2; exit 1; }
d=$bin/k8s/1.37.0-linux-amd64; mkdir -p $d
for f in etcd kube-apiserver kubectl; do echo $f > $d/$f; chmod +x $d/$f; done
`
	for _, test := range []struct {
		name, reason, script string
		wantErr              string
	}{
		{"brings all", "the version that it found names the folder", download + "echo $d", ""},
		{"no network", "what it said is what a person needs", "echo no such host >&2; exit 2", "no such host"},
		{"half a download", "it is not taken over", download + "rm $d/etcd; echo $d", "brought no etcd"},
		{"says nothing", "an empty path is no folder", "exit 0", "brought no etcd"},
	} {
		t.Run(test.name, func(t *testing.T) {
			fakeTool(t, test.script)
			l := fakeLocator(t, map[string]string{"XDG_CACHE_HOME": t.TempDir()})
			put(t, l.cache)
			err := l.setupEnvtest(t.Context())
			if test.wantErr == "" && err != nil || test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)) {
				t.Errorf("%s: got %v, want %q", test.reason, err, test.wantErr)
			}
			if dir, ok := l.cached(); ok != (test.wantErr == "") || ok && filepath.Base(dir) != "v1.37.0" {
				t.Errorf("%s: the cache has %q", test.reason, dir)
			}
			if left := l.inCache(scratchPrefix); len(left) > 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}

func TestSetupEnvtestIsPassedOverOutsideTheRepository(t *testing.T) {
	t.Chdir(t.TempDir())
	l := fakeLocator(t, map[string]string{"XDG_CACHE_HOME": t.TempDir()})
	if err := l.setupEnvtest(t.Context()); err == nil || !strings.Contains(err.Error(), "is pinned in the repository") {
		t.Errorf("got %v", err)
	}
}
