package wandbtest_test

import (
	"context"
	"embed"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
	"github.com/runtag/runtag/internal/pyenv"
)

// The tests of this file show with the real SDK that the tracker is what it claims to be.

//go:embed testdata
var scripts embed.FS

// runScript runs one of the scripts in testdata against the server, in a home of its own.
func runScript(t *testing.T, server *wandbtest.Server, name string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs the Python environment")
	}
	python, err := pyenv.Ensure(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(server)
	t.Cleanup(listening.Close)

	dir := t.TempDir()
	for _, file := range []string{"tracker.py", name} {
		source, err := scripts.ReadFile("testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, file), source, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, python, name)
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second // wandb-core outlives its parent for a while and holds the output open
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "PYTHONDONTWRITEBYTECODE=1",
		"WANDB_BASE_URL=" + listening.URL, "WANDB_API_KEY=" + strings.Repeat("k", 40), "WANDB_DIR=" + dir,
		"WANDB_CACHE_DIR=" + dir, "WANDB_CONFIG_DIR=" + dir, "WANDB_DATA_DIR=" + dir,
		"WANDB_SILENT=true", "WANDB_CONSOLE=off", "WANDB_X_DISABLE_STATS=true", "WANDB_HOST=trainer-0",
		"WANDB_ERROR_REPORTING=false",
	}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all good") {
		t.Errorf("%s: %v\n%s", name, err, out)
		for _, r := range server.Requests() {
			t.Logf("%d %s %s -> %d", r.Seq, r.Operation, r.Path, r.Status)
		}
		t.FailNow()
	}
}

func TestTrainingWithTheSDK(t *testing.T) {
	server := wandbtest.New(wandbtest.WithAPIKey(strings.Repeat("k", 40)))
	runScript(t, server, "train.py")

	type outcome struct {
		State string
		Tags  []string
	}
	want := map[string]outcome{
		"full":      {"finished", []string{"base line", "b", "release_candidate", "person"}},
		"bare":      {"finished", []string{"replaced"}},
		"lost":      {"finished", []string{"a", "b"}},
		"failed":    {"failed", []string{}},
		"preempted": {"preempted", []string{"p"}},
		"made":      {"finished", []string{"new"}},
		"shared":    {"finished", []string{"s"}},
		"offline":   {"finished", []string{"off", "line"}},
	}
	got := map[string]outcome{}
	for _, run := range server.Runs("acme", "capsules") {
		got[run.ID] = outcome{run.State, run.Tags}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runs on the tracker (-want +got):\n%s", diff)
	}

	full, _ := server.Run("acme/capsules/full")
	facts := []any{full.DisplayName, full.Group, full.JobType, full.Notes, full.Host, full.User, full.Config["lr"].(map[string]any)["value"], full.Summary["best"], full.Summary["_step"]}
	if diff := cmp.Diff([]any{"a run", "g", "train", "n", "trainer-0", "runtag", 0.1, 0.25, 3.0}, facts); diff != "" {
		t.Errorf("what the SDK said of the run (-want +got):\n%s", diff)
	}
}

func TestPublicAPI(t *testing.T) {
	server := wandbtest.New()
	for i := range 130 {
		tags := []string{"every"}
		if i == 0 {
			tags = append(tags, "first")
		}
		if i%2 == 1 || i == 6 || i == 8 {
			tags = append(tags, fmt.Sprintf("odd%d", i))
		}
		_, err := server.AddRun(wandbtest.Run{
			Entity: "acme", Project: "capsules", ID: fmt.Sprintf("run%03d", i), DisplayName: fmt.Sprintf("number %d", i),
			State: "finished", Tags: tags, CreatedAt: time.Date(2026, 1, 1, 0, i, 0, 0, time.UTC),
			Config:  map[string]any{"lr": map[string]any{"value": float64(i)}},
			Summary: map[string]any{"loss": float64(-i)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	runScript(t, server, "api.py")

	for _, r := range server.Requests() {
		if r.Status != 200 && r.Status != 400 && r.Status != 404 { // 400 and 404 are what the script asks for
			t.Errorf("%s was answered %d", r.Operation, r.Status)
		}
	}
}
