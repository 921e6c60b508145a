package plugin_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/runtag/runtag/internal/plugin"
)

func TestDocsAreCurrent(t *testing.T) {
	committed, err := os.ReadFile("../../docs/kubectl-runtag.md")
	if err != nil {
		t.Fatal(err)
	}
	var now strings.Builder
	if err := plugin.WriteDocs(&now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), now.String()); diff != "" {
		t.Errorf("run: go run ./hack/plugindocs >docs/kubectl-runtag.md (-committed +now):\n%s", diff)
	}
}

// TestEveryCommandExplainsItself holds for commands that come later, too.
func TestEveryCommandExplainsItself(t *testing.T) {
	root := plugin.New(&plugin.Frame{Getenv: func(string) string { return "" }})
	root.InitDefaultHelpCmd()
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Name() == "help" || cmd.Name() == "completion" {
			return
		}
		if cmd.Short == "" || cmd.Long == "" || !strings.HasPrefix(cmd.Example, "  kubectl runtag") {
			t.Errorf("%s lacks a short text, a long one or examples", cmd.CommandPath())
		}
		if cmd.RunE == nil || cmd.Run != nil {
			t.Errorf("%s has no RunE", cmd.CommandPath())
		}
		for _, line := range strings.Split(cmd.Long, "\n") {
			if len(line) > 80 {
				t.Errorf("%s: a line does not fit a terminal of 80 columns: %s", cmd.CommandPath(), line)
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(root)
}
