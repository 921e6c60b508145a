// Package mutation takes safeguards out of the program, one at a time, and checks that tests notice. The work tree stays
// as it is: the compiler is given the changed file through -overlay.
package mutation

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // the list
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"
)

// Mutation is one safeguard, and how it is taken away.
type Mutation struct {
	// Safeguard in words, such as "the wait that a Retry-After asks for".
	Safeguard string `json:"safeguard"`
	// File is a path from the root of the work tree, Find a text that is in it exactly once, and Replace what is there instead.
	File    string `json:"file"`
	Find    string `json:"find"`
	Replace string `json:"replace"`
	// Package has the tests that have to fail, and Run picks them, as go test's -run does.
	Package string `json:"package"`
	Run     string `json:"run"`
	// Env is added to the environment of the tests, which run in full.
	Env []string `json:"env,omitempty"`
}

// Result is what came of a Mutation.
type Result struct {
	Safeguard string `json:"safeguard"`
	Package   string `json:"package"`
	// Noticed by this test; empty if none failed.
	Noticed string  `json:"noticed,omitempty"`
	Seconds float64 `json:"seconds"`
}

// limit is for building and running the tests of one mutation.
const limit = 10 * time.Minute

//go:embed mutations.yaml
var list []byte

// All gives the mutations on record.
func All() ([]Mutation, error) {
	var all []Mutation
	if err := yaml.UnmarshalStrict(list, &all); err != nil {
		return nil, fmt.Errorf("read mutations.yaml: %w", err)
	}
	return all, nil
}

// CheckAll tries each mutation on the work tree at root. The error names those that no test noticed, and those that
// could not be tried.
func CheckAll(ctx context.Context, root string, log io.Writer) ([]Result, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	var results []Result
	var errs []error
	for _, m := range all {
		r, err := check(ctx, root, m)
		if err == nil && r.Noticed == "" {
			err = errors.New("all tests pass without it")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("without %s: %w", m.Safeguard, err))
		}
		verdict := "NOT NOTICED"
		if r.Noticed != "" {
			verdict = "noticed by " + r.Noticed
		}
		_, _ = fmt.Fprintf(log, "without %s: %s, after %.0f s\n", m.Safeguard, verdict, r.Seconds) // the error says it too
		results = append(results, r)
	}
	return results, errors.Join(errs...)
}

func check(ctx context.Context, root string, m Mutation) (Result, error) {
	began := time.Now()
	r := Result{Safeguard: m.Safeguard, Package: m.Package}
	dir, err := os.MkdirTemp("", "runtag-mutation-")
	if err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // it is in the folder for such things
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	binary := filepath.Join(dir, "mutant.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-overlay="+overlay, "-o", binary, "./"+m.Package)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return r, fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	// Built before, so that what fails now is a test. It runs in its package's folder, as go test does it.
	test := exec.CommandContext(ctx, binary, "-test.run="+m.Run, "-test.v=test2json", "-test.timeout="+limit.String())
	test.Env = append(append(os.Environ(), "RUNTAG_FAULTS=full"), m.Env...)
	test.Dir = filepath.Join(root, m.Package)
	out, err := test.CombinedOutput()
	r.Seconds = time.Since(began).Seconds()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return r, err
	}
	if err != nil {
		r.Noticed = firstFailure(out)
	}
	if err != nil && r.Noticed == "" {
		return r, fmt.Errorf("the tests ended without a failed test: %w\n%s", err, tail(out))
	}
	return r, nil
}

// overlay writes the changed file, and the list that tells the compiler of it.
func (m Mutation) overlay(root, dir string) (string, error) {
	path := filepath.Join(root, m.File)
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	changed, err := m.apply(string(content))
	if err != nil {
		return "", err
	}
	mutant := filepath.Join(dir, filepath.Base(m.File))
	if err := os.WriteFile(mutant, []byte(changed), 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{path: mutant}})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}

func (m Mutation) apply(content string) (string, error) {
	if n := strings.Count(content, m.Find); n != 1 {
		return "", fmt.Errorf("%q is in %s %d times, not once: bring mutations.yaml up to date", m.Find, m.File, n)
	}
	return strings.Replace(content, m.Find, m.Replace, 1), nil
}

// firstFailure is the innermost test that failed first; a spec of Ginkgo by its own name.
func firstFailure(out []byte) string {
	var failed string
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		line := strings.TrimLeft(strings.TrimSpace(lines.Text()), "\x16")
		if name, ok := strings.CutPrefix(line, "--- FAIL: "); ok {
			name, _, _ = strings.Cut(name, " (")
			if failed == "" || strings.HasPrefix(name, failed+"/") {
				failed = name
			}
		}
		if _, spec, ok := strings.Cut(line, "[FAIL] "); ok && !strings.Contains(failed, ": ") {
			failed = "spec: " + spec
		}
	}
	return failed
}

func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }
