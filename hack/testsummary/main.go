// Command testsummary reads what `go test -json` prints and shows it the way people read it: a line for each package as
// it ends, the whole output of what failed, every skipped test with its reason, and how many passed in the last line.
// It exits with 1 when something failed or nothing ran.
//
//	go test -json ./... | testsummary
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/runtag/runtag/hack/testsummary/summary"
)

func main() {
	began := time.Now()
	s := summary.New(os.Stdout)
	err := s.Read(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
	}
	if err != nil || !s.Close(time.Since(began)) {
		os.Exit(1)
	}
}
