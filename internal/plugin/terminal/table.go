package terminal

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// gap is between columns.
const gap = 3

// Cell is one field of a table.
type Cell struct {
	Text  string
	Style Style
}

// Column says how a column is shown.
type Column struct {
	Title string
	// Min is the width in characters below which the column is not cut; 0 never cuts it.
	Min int
}

// Table is written with its columns aligned.
type Table struct {
	Columns []Column
	Rows    [][]Cell
	// NoTitles leaves out the first line.
	NoTitles bool
}

// Write writes the table. Where it is wider than the terminal, the widest of the columns that may be cut are.
func (t *Table) Write(to Terminal) error {
	widths := t.widths(to.Width)
	header := make([]Cell, len(t.Columns))
	for i, c := range t.Columns {
		header[i] = Cell{Text: c.Title, Style: Bold}
	}
	rows := t.Rows
	if !t.NoTitles {
		rows = append([][]Cell{header}, rows...)
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			text := Cut(cell.Text, widths[i])
			line.WriteString(to.Paint(cell.Style, text))
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+gap))
			}
		}
		if _, err := fmt.Fprintln(to, strings.TrimRight(line.String(), " ")); err != nil {
			return fmt.Errorf("write the table: %w", err)
		}
	}
	return nil
}

// widths gives the width of each column, so that all fit within limit where that is possible.
func (t *Table) widths(limit int) []int {
	widths := make([]int, len(t.Columns))
	total := gap * (len(t.Columns) - 1)
	for i, c := range t.Columns {
		widths[i] = utf8.RuneCountInString(c.Title)
		for _, row := range t.Rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i].Text))
		}
		total += widths[i]
	}
	for limit > 0 && total > limit {
		widest := -1
		for i, c := range t.Columns {
			if c.Min > 0 && widths[i] > c.Min && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break // no column can give way any more
		}
		widths[widest]--
		total--
	}
	return widths
}

// Cut shortens a text to a number of characters, and shows that it did. Line breaks and other control characters, which a
// tag may have, are shown as such.
func Cut(text string, width int) string {
	text = Clean(text)
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(width-1, 0)]) + "…"
}

// Clean shows control characters, which could draw over what is on the screen, as "·".
func Clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '·'
		}
		return r
	}, text)
}
