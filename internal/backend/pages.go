package backend

// Pages goes through the pages of one list, and notices one that leads back to a page that was there. The zero value is
// before the first page; PagesFrom goes on in a list.
type Pages struct {
	cursor string
	been   map[string]bool
}

// PagesFrom is before the page of a cursor.
func PagesFrom(cursor string) Pages { return Pages{cursor: cursor} }

// Cursor is that of the page to ask for.
func (p *Pages) Cursor() string { return p.cursor }

// Turn goes on to the page that this one names as the next; more is false after the last. The error, Unavailable, says that
// the list goes round in circles.
func (p *Pages) Turn(next string) (more bool, err error) {
	if next == "" {
		return false, nil
	}
	if next == p.cursor || p.been[next] {
		return false, &Error{Kind: Unavailable, Op: "list runs", Message: "the list of the tracker goes round in circles: a page names as the next one what was there before"}
	}
	if p.been == nil {
		p.been = map[string]bool{}
	}
	p.been[next] = true
	p.cursor = next
	return true, nil
}
