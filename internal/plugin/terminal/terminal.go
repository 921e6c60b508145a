// Package terminal writes for people: tables that fit, colours and a progress bar on a terminal, and plain text without
// cuts everywhere else.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Terminal is where output goes.
type Terminal struct {
	io.Writer
	// Width in columns; 0 is no limit, as for pipes and files.
	Width int
	// Colour says whether colours may be used.
	Colour bool
	// Interactive says whether a person looks at it: lines may be drawn again.
	Interactive bool
}

// narrowest is the width below which nothing is made to fit any more.
const narrowest = 40

// Of finds out what a writer is. There are colours on terminals alone, and not where NO_COLOR is set (no-color.org) or
// TERM is dumb.
func Of(w io.Writer, getenv func(string) string) Terminal {
	t := Terminal{Writer: w}
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return t
	}
	t.Interactive = getenv("TERM") != "dumb"
	t.Colour = t.Interactive && getenv("NO_COLOR") == ""
	if width, _, err := term.GetSize(int(file.Fd())); err == nil {
		t.Width = max(width, narrowest)
	}
	return t
}

// IsTerminal says whether a person types here.
func IsTerminal(r io.Reader) bool {
	file, ok := r.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// Style is a way to write a text.
type Style string

// The styles, by their ANSI codes.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
	Cyan   Style = "36"
)

// Paint gives a text in a style, where the terminal has colours.
func (t Terminal) Paint(s Style, text string) string {
	if !t.Colour || s == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}
