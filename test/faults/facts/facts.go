// Package facts lets the fault suite say what it did, for docs/reliability.md, and how much of it to do.
package facts

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const (
	// modeVariable is "full" where make faults runs; anything else is the short form that make test includes.
	modeVariable = "RUNTAG_FAULTS"
	// dirVariable is the folder for what is recorded; without it nothing is.
	dirVariable = "RUNTAG_FAULTS_FACTS"
)

// Fact is one thing that was counted.
type Fact struct {
	// Part of the suite: calls, walks, tracker, cluster, input, security, soak.
	Part string `json:"part"`
	// What was counted, in words that follow a number: "calls failed, one at a time".
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
}

// Full says whether all is to be done, and not the short form.
func Full() bool { return os.Getenv(modeVariable) == "full" }

// Pick gives full where all is to be done, and otherwise short.
func Pick[T any](short, full T) T {
	if Full() {
		return full
	}
	return short
}

// TB is what Record needs of testing.TB or GinkgoT().
type TB interface {
	Helper()
	Name() string
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

var mu sync.Mutex

// Record logs a fact, and keeps it for the report if one is made.
func Record(t TB, fact Fact) {
	t.Helper()
	t.Logf("%s: %g %s", fact.What, fact.Value, fact.Unit)
	dir := os.Getenv(dirVariable)
	if dir == "" {
		return
	}
	if err := keep(filepath.Join(dir, fmt.Sprintf("%s-%d.jsonl", fact.Part, os.Getpid())), fact); err != nil {
		t.Fatalf("keep what %s found: %v", t.Name(), err)
	}
}

func keep(path string, fact Fact) error {
	mu.Lock()
	defer mu.Unlock()
	line, err := json.Marshal(fact)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	if _, err := file.Write(append(line, '\n')); err != nil {
		_ = file.Close() // the first error says more
		return err
	}
	return file.Close()
}

// Read gives all facts of a folder, in the order of file names.
func Read(dir string) ([]Fact, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var all []Fact
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(content)) {
			var fact Fact
			if err := json.Unmarshal([]byte(line), &fact); err != nil {
				return nil, fmt.Errorf("read %s: %w", path, err)
			}
			all = append(all, fact)
		}
	}
	return all, nil
}
