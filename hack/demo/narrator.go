package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// narrator says what happens, in colours where the output is a terminal and NO_COLOR is not set.
type narrator struct {
	out      io.Writer
	coloured bool
}

func newNarrator(out *os.File) *narrator {
	return &narrator{out: out, coloured: term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == ""}
}

// Colours, as in ECMA-48.
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
	cyan  = "36"
)

func (n *narrator) paint(colour, text string) string {
	if !n.coloured || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (n *narrator) printf(format string, args ...any) {
	_, _ = fmt.Fprintf(n.out, format, args...) // nobody is there to read that nobody is there
}

// chapter begins a step.
func (n *narrator) chapter(title, sentence string) {
	n.printf("\n%s\n%s\n", n.paint(bold, title), sentence)
}

// typed shows a command as a person types it.
func (n *narrator) typed(command string) {
	n.printf("\n  %s %s\n", n.paint(faint, "$"), n.paint(cyan, command))
}

// printed shows what a command said, faintly, at most so many lines of it.
func (n *narrator) printed(output string, most int) {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	for i, line := range lines {
		if i == most && len(lines) > most+1 {
			n.printf("    %s\n", n.paint(faint, fmt.Sprintf("… %d more lines", len(lines)-i)))
			return
		}
		if line != "" || i < len(lines)-1 {
			n.printf("    %s\n", n.paint(faint, line))
		}
	}
}

func (n *narrator) note(format string, args ...any) {
	n.printf("%s\n", n.paint(faint, fmt.Sprintf(format, args...)))
}

func (n *narrator) success(format string, args ...any) {
	n.printf("  %s %s\n", n.paint(green, "✓"), fmt.Sprintf(format, args...))
}

func (n *narrator) failure(format string, args ...any) {
	n.printf("  %s %s\n", n.paint(red, "✗"), fmt.Sprintf(format, args...))
}

func (n *narrator) total(passed bool, took time.Duration) {
	end := "Each step was seen on the tracker"
	if !passed {
		end = "The walk ended before its end"
	}
	n.printf("\n%s, after %.0f s in all.\n", n.paint(bold, end), took.Seconds())
}

// row is a tag as both sides show it; a side that does not have it is empty.
type row struct{ left, right, colour string }

// table shows both sides in two columns.
func (n *narrator) table(left, right string, rows []row) {
	wide := utf8.RuneCountInString(left)
	for _, r := range rows {
		wide = max(wide, utf8.RuneCountInString(r.left))
	}
	n.printf("\n  %s   %s\n", n.paint(bold, pad(left, wide)), n.paint(bold, right))
	for _, r := range rows {
		n.printf("%s\n", strings.TrimRight("  "+pad(r.left, wide)+"   "+n.paint(r.colour, r.right), " "))
	}
}

// pad fills a text with blanks to a width in characters.
func pad(text string, wide int) string {
	return text + strings.Repeat(" ", max(0, wide-utf8.RuneCountInString(text)))
}

// farewell says what is there to play with.
func (n *narrator) farewell(s *stage) {
	n.printf("\n%s Another terminal can use it:\n\n", n.paint(bold, "Everything stays up until Ctrl-C."))
	n.printf("  cd %s\n  export KUBECONFIG=%s PATH=%s:$PATH\n", s.dir, s.kubeconfig, strings.Join(s.path, ":"))
	for _, variable := range s.tracker.env() {
		n.printf("  export %s\n", variable)
	}
	n.printf("\n  The tracker's page, to open in a browser: %s\n\n  What to try:\n", n.paint(cyan, s.tracker.page()))
	for _, try := range s.tracker.tries() {
		n.printf("    %s\n", n.paint(cyan, try))
	}
	n.printf("\n  The logs are in %s; the operator's is %s.\n", s.dir, s.dir+"/manager.log")
}
