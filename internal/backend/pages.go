package backend

// Pages goes through the pages of one list, and notices one that leads back to a page that was there. The zero value is
// before the first page.
type Pages struct {
	cursor string
	been   map[string]bool
}

// Cursor is that of the page to ask for.
func (p *Pages) Cursor() string { return p.cursor }

// Turn goes on to the page after this one; more is false after the last. The error, Unavailable, says that the list goes
// round in circles.
func (p *Pages) Turn(page Page) (more bool, err error) {
	if page.Next == "" {
		return false, nil
	}
	if page.Next == p.cursor || p.been[page.Next] {
		return false, &Error{Kind: Unavailable, Op: "list runs", Message: "the list of the tracker goes round in circles: a page names as the next one what was there before"}
	}
	if p.been == nil {
		p.been = map[string]bool{}
	}
	p.been[page.Next] = true
	p.cursor = page.Next
	return true, nil
}
