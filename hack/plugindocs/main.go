// Command plugindocs writes docs/kubectl-runtag.md, for make docs.
package main

import (
	"fmt"
	"os"

	"github.com/runtag/runtag/internal/plugin"
)

func main() {
	if err := plugin.WriteDocs(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "plugindocs:", err)
		os.Exit(1)
	}
}
