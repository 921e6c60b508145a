package plugin

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// docsHead begins the documentation.
const docsHead = `# kubectl runtag

<!-- Made by "make docs" from the commands themselves: change those. -->

%s

    %s

| command | does |
|---|---|
`

// docsTail tells how to get it.
const docsTail = `## Installation

` + "`make build`" + ` makes ` + "`bin/kubectl-runtag`" + `: put it into a folder of PATH. With ` + "`cmd/kubectl-runtag/kubectl_complete-runtag`" + `
beside it, kubectl completes commands, tags, runs and projects. ` + "`hack/krew/release.sh`" + ` makes archives for all platforms and
the manifest by which krew installs them.

It uses the kubeconfig as kubectl does, and needs no key of the tracker.
`

// WriteDocs writes the documentation of all commands as Markdown.
func WriteDocs(to io.Writer) error {
	root := New(&Frame{Version: "dev", Getenv: func(string) string { return "" }})
	var b strings.Builder
	fmt.Fprintf(&b, docsHead, root.Long, strings.ReplaceAll(trimIndent(root.Example), "\n", "\n    "))
	var listed []*cobra.Command
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() && cmd.Name() != "help" && cmd.Name() != "completion" {
			listed = append(listed, leaves(cmd)...)
		}
	}
	for _, cmd := range listed {
		fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", cmd.CommandPath(), strings.ReplaceAll(cmd.CommandPath(), " ", "-"), cmd.Short)
	}
	for _, cmd := range listed {
		writeCommand(&b, cmd)
	}
	b.WriteString("\n## Flags of all commands\n\n")
	writeFlags(&b, root.PersistentFlags())
	b.WriteString("\nThe other flags of kubectl about connections work as well, such as `--server` and `--token`.\n\n" + docsTail)
	if _, err := io.WriteString(to, b.String()); err != nil {
		return fmt.Errorf("write the documentation: %w", err)
	}
	return nil
}

// leaves are the commands that do something: a group's own ones.
func leaves(cmd *cobra.Command) []*cobra.Command {
	if !cmd.HasSubCommands() {
		return []*cobra.Command{cmd}
	}
	var all []*cobra.Command
	for _, sub := range cmd.Commands() {
		all = append(all, leaves(sub)...)
	}
	return all
}

func writeCommand(b *strings.Builder, cmd *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n    %s\n\n%s\n\n", cmd.CommandPath(), strings.TrimSuffix(cmd.UseLine(), " [flags]"), cmd.Long)
	if cmd.Example != "" {
		fmt.Fprintf(b, "```sh\n%s\n```\n\n", trimIndent(cmd.Example))
	}
	writeFlags(b, cmd.LocalNonPersistentFlags())
}

func writeFlags(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("| flag | |\n|---|---|\n")
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Hidden || flag.Name == "help" || flag.Name == "version" {
			return
		}
		name := "--" + flag.Name
		if flag.Shorthand != "" {
			name = "-" + flag.Shorthand + ", " + name
		}
		usage := strings.ReplaceAll(flag.Usage, "|", `\|`)
		if !zeroes[flag.DefValue] {
			usage += " Default: `" + flag.DefValue + "`."
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, usage)
	})
}

// zeroes are the defaults that say nothing.
var zeroes = map[string]bool{"": true, "false": true, "[]": true, "0": true, "0s": true}

// trimIndent takes the indent off an example.
func trimIndent(example string) string {
	lines := strings.Split(example, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
