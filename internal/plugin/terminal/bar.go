package terminal

import (
	"fmt"
	"io"
	"strings"
)

// few is how many steps need no bar.
const few = 20

// Bar shows how far something is, in a line below the output, on a terminal alone.
type Bar struct {
	to    Terminal
	what  string
	total int
	done  int
	shown bool
}

// NewBar makes a bar for a number of steps, which shows nothing where nobody looks, or where there are few.
func NewBar(to Terminal, what string, total int) *Bar {
	return &Bar{to: to, what: what, total: total, shown: to.Interactive && total > few}
}

// Set says how many steps are done, of how many.
func (b *Bar) Set(done, total int) {
	b.done, b.total = done, total
	b.draw()
}

// Step is one step more.
func (b *Bar) Step() { b.Set(b.done+1, b.total) }

// Above runs a function that writes, with the bar out of its way.
func (b *Bar) Above(write func()) {
	b.Clear()
	write()
	b.draw()
}

// Clear takes the bar off the screen.
func (b *Bar) Clear() {
	if b.shown {
		b.say("\r\x1b[K")
	}
}

func (b *Bar) draw() {
	if !b.shown || b.total <= 0 {
		return
	}
	counts := fmt.Sprintf(" %d/%d %s", b.done, b.total, b.what)
	room := max(min(b.to.Width-len(counts)-3, 40), 5)
	full := min(room*b.done/b.total, room)
	b.say("\r\x1b[K[" + strings.Repeat("=", full) + strings.Repeat(" ", room-full) + "]" + counts)
}

// say writes to the screen; if that fails there is no screen any more to say so on.
func (b *Bar) say(text string) {
	if _, err := io.WriteString(b.to, text); err != nil {
		b.shown = false
	}
}
