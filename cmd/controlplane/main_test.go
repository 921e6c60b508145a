//go:build linux

package main

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/runtag/runtag/internal/controlplane"
)

// beCommand makes the test's own executable the command that is tested.
const beCommand = "RUNTAG_TEST_BE_CONTROLPLANE"

func TestMain(m *testing.M) {
	if os.Getenv(beCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// controlplaneCommand prepares a run of the command, through a shell script if one is given, where "$@" is the command.
func controlplaneCommand(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	words := append([]string{self}, args...)
	if script != "" {
		words = append([]string{"/bin/sh", "-c", script, "sh"}, words...)
	}
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Env = append(os.Environ(), beCommand+"=1")
	cmd.WaitDelay = 20 * time.Second // for Wait to return even if something that should have ended has our pipes
	return cmd
}

// untilReady runs the command until it says that the server is ready, and gives what it printed up to the end of its advice.
func untilReady(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var problems bytes.Buffer
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ctrl-C stops it") {
			return said.String()
		}
	}
	t.Fatalf("it ended without being ready: %s%s", said.String(), problems.String())
	return ""
}

// processesOn finds the processes that have the folder in their command line: the command itself, or its children only.
func processesOn(t *testing.T, dir string, childrenOnly bool) []int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(line), dir) || childrenOnly && strings.Contains(string(line), "--dir") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, pid)
	}
	return found
}

func TestUpEndsWithAllThatItStarted(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		script       string
		signal       syscall.Signal
		graceful     bool
		flags        []string
		children     int
	}{
		{"interrupted", "Ctrl-C is the way to end it", "", syscall.SIGINT, true, nil, 2},
		{"terminated", "so do supervisors", "", syscall.SIGTERM, true, nil, 2},
		{"killed", "a test that ran out of time leaves no servers behind", "", syscall.SIGKILL, false, nil, 2},
		{"parent killed", "a script that dies leaves no servers behind", `"$@" & wait`, syscall.SIGKILL, false, nil, 2},
		{"nodes, interrupted", "what simulates nodes ends too", "", syscall.SIGINT, true, []string{"--nodes", "1"}, 5},
		{"nodes, killed", "what simulates nodes ends too", "", syscall.SIGKILL, false, []string{"--nodes", "1"}, 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := NewWithT(t)
			dir := filepath.Join(t.TempDir(), "trial")
			t.Cleanup(func() { // what a failing test leaves
				for _, pid := range processesOn(t, dir, false) {
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			})
			cmd := controlplaneCommand(t, test.script, append([]string{"up", "--dir", dir}, test.flags...)...)
			said := untilReady(t, cmd)
			for _, want := range []string{"export KUBECONFIG=" + dir + "/kubeconfig\n", "kubectl get namespaces"} {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q, but:\n%s", want, said)
				}
			}
			if children := processesOn(t, dir, true); len(children) != test.children {
				t.Fatalf("the children are %v, want %d", children, test.children)
			}
			if err := cmd.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); (err == nil) != test.graceful {
				t.Errorf("it ended with %v", err)
			}
			g.Eventually(func() []int { return processesOn(t, dir, false) }, "30s").Should(BeEmpty(), test.reason)
		})
	}
}

func TestUpSimulatesNodes(t *testing.T) {
	dir := t.TempDir()
	cmd := controlplaneCommand(t, "", "up", "--dir", dir, "--nodes", "2", "--node-label", "pool=spot", "--node-label", "zone=a")
	untilReady(t, cmd)
	binaries, err := controlplane.Locate(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	got, err := exec.CommandContext(t.Context(), binaries.Path(controlplane.Kubectl), "--kubeconfig="+dir+"/kubeconfig",
		"get", "nodes", "--selector=pool=spot,zone=a", "--no-headers", "--output=custom-columns=:.metadata.name,:.status.conditions[0].status").CombinedOutput()
	if want := []string{"node-0", "True", "node-1", "True"}; err != nil || !slices.Equal(strings.Fields(string(got)), want) {
		t.Errorf("got %v and %q, want %v", err, got, want)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestUpRefusesAFolderInUse(t *testing.T) {
	dir := t.TempDir()
	first := controlplaneCommand(t, "", "up", "--dir", dir)
	untilReady(t, first)
	said, err := controlplaneCommand(t, "", "up", "--dir", dir).CombinedOutput()
	want := "already in use by process " + strconv.Itoa(first.Process.Pid) + "; stop that, or choose another folder"
	if err == nil || !strings.Contains(string(said), want) {
		t.Errorf("got %v and %s, want a refusal with %q", err, said, want)
	}
	if err := first.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Error(err)
	}
}

func TestUpSaysWhyItEnded(t *testing.T) {
	dir := t.TempDir()
	cmd := controlplaneCommand(t, "", "up", "--dir", dir)
	untilReady(t, cmd)
	problems := cmd.Stderr.(*bytes.Buffer)
	if err := syscall.Kill(processesOn(t, dir, true)[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(problems.String(), "ended (signal: killed); the end of ") {
		t.Errorf("got %v and %q, want that a child was killed", err, problems)
	}
}

func TestPathPrintsOnlyThePath(t *testing.T) {
	plain, err := controlplane.Locate(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := controlplane.LocateForNodes(t.Context(), t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, reason string
		args         []string
		want         string
	}{
		{"plain", "what only nodes need may take minutes to build", []string{"path"}, plain.Dir + "\n"},
		{"nodes", "it goes into PATH as it is", []string{"path", "--nodes"}, plain.Dir + ":" + nodes.Dir + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := controlplaneCommand(t, "", test.args...).Output()
			if err != nil || string(got) != test.want {
				t.Errorf("%s: got %q and error %v, want %q", test.reason, got, err, test.want)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, test := range []struct {
		name, reason string
		args         []string
		want         string
	}{
		{"no folder", "data must not end up somewhere by chance", []string{"up"}, `required flag(s) "dir" not set`},
		{"empty folder", "an unset variable of a script", []string{"up", "--dir", ""}, "--dir is empty"},
		{"negative", "a slip of a script's arithmetic", []string{"up", "--dir", "x", "--nodes", "-1"}, "--nodes is -1"},
		{"labels of nothing", "they would be silently lost", []string{"up", "--dir", "x", "--node-label", "a=b"}, "add --nodes"},
		{"a word too many", "up DIR is an easy mistake", []string{"up", "trial"}, `unknown command "trial"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			cmd := command()
			cmd.SetArgs(test.args)
			cmd.SetOut(io.Discard)
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: got %v, want an error with %q", test.reason, err, test.want)
			}
		})
	}
}

func TestWatchParent(t *testing.T) {
	clk := clocktesting.NewFakeClock(time.Unix(0, 0))
	parents := make(chan int)
	ended := make(chan struct{})
	go watchParent(t.Context(), clk, func() int { return <-parents }, func() { close(ended) })
	parents <- 100
	NewWithT(t).Eventually(clk.HasWaiters).Should(BeTrue())
	clk.Step(parentPoll)
	parents <- 100
	select {
	case <-ended:
		t.Fatal("it ended while the parent was there")
	default:
	}
	clk.Step(parentPoll)
	parents <- 1
	<-ended
}
