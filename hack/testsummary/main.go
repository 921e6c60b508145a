// Command testsummary reads what `go test -json` prints and shows it the way people read it: a line for each package as
// it ends, the whole output of what failed, every skipped test with its reason, and how many passed in the last line.
// It exits with 1 when something failed or nothing ran.
//
//	go test -json ./... | testsummary
package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	began := time.Now()
	ok, err := run(os.Stdin, os.Stdout, func() time.Duration { return time.Since(began) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run says whether all went well. It reads to the end, so that the writer of in never blocks.
func run(in io.Reader, out io.Writer, elapsed func() time.Duration) (ok bool, err error) {
	s := newSummary(out)
	if err := s.read(in); err != nil {
		return false, err
	}
	return s.close(elapsed()), nil
}
