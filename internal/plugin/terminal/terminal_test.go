package terminal_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/plugin/terminal"
)

func TestTable(t *testing.T) {
	rows := [][]terminal.Cell{
		{{Text: "capsules-3f9a1c"}, {Text: "running", Style: terminal.Green}, {Text: "baseline, in_production, preemptible"}},
		{{Text: "x"}, {Text: "-"}, {Text: "a\nb\x1b[2J"}},
	}
	for _, c := range []struct {
		reason string
		to     terminal.Terminal
		titles bool
		want   []string
	}{
		{
			reason: "where nobody looks nothing is cut or coloured, and no line ends in blanks", titles: true,
			want: []string{
				"NAME              STATE     TAGS",
				"capsules-3f9a1c   running   baseline, in_production, preemptible",
				"x                 -         a·b·[2J",
			},
		},
		{
			reason: "on a narrow terminal the widest columns give way, down to their least width", to: terminal.Terminal{Width: 40}, titles: true,
			want: []string{
				"NAME            STATE     TAGS",
				"capsules-3f9…   running   baseline, in_…",
				"x               -         a·b·[2J",
			},
		},
		{
			reason: "columns that may not be cut overflow", to: terminal.Terminal{Width: 20},
			want: []string{"capsu…   running   baseli…", "x        -         a·b·[2J"},
		},
		{
			reason: "colours don't count for the width", to: terminal.Terminal{Colour: true},
			want: []string{
				"capsules-3f9a1c   \x1b[32mrunning\x1b[0m   baseline, in_production, preemptible",
				"x                 -         a·b·[2J",
			},
		},
	} {
		var out strings.Builder
		c.to.Writer = &out
		table := terminal.Table{Columns: []terminal.Column{{Title: "NAME", Min: 6}, {Title: "STATE"}, {Title: "TAGS", Min: 7}}, Rows: rows, NoTitles: !c.titles}
		if err := table.Write(c.to); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

func TestBar(t *testing.T) {
	for _, c := range []struct {
		reason      string
		interactive bool
		total       int
		want        string
	}{
		{"a script sees no bar", false, 100, "line\n"},
		{"a few steps need none", true, 20, "line\n"},
		{"many show how far it is, with lines above it", true, 100, "\r\x1b[K[==          ] 21/100 runs\r\x1b[Kline\n\r\x1b[K[==          ] 21/100 runs\r\x1b[K"},
	} {
		var out strings.Builder
		bar := terminal.NewBar(terminal.Terminal{Writer: &out, Interactive: c.interactive, Width: 27}, "runs", c.total)
		bar.Set(21, c.total)
		bar.Above(func() { out.WriteString("line\n") })
		bar.Clear()
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

func TestAFileIsNoTerminal(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := terminal.Of(file, func(string) string { return "" }); got.Colour || got.Interactive || got.Width != 0 {
		t.Errorf("got %+v", got)
	}
	if terminal.IsTerminal(file) || terminal.IsTerminal(strings.NewReader("")) {
		t.Error("nobody types there")
	}
}
