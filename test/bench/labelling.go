package main

import (
	"context"

	"github.com/runtag/runtag/test/bench/report"
)

// labelling is what limits a change by labels.
type labelling struct {
	seconds, edits float64 // all of it, and the edits alone
	used           processors
	profile        report.Profile
}

// watchLabelling measures what is used while labels are put on by edit and are followed until they are all on the tracker;
// title is that of the profile.
func (c *cluster) watchLabelling(ctx context.Context, b *bench, title string, edit, follow func() (float64, error)) (l labelling, err error) {
	before, err := c.processors(ctx)
	if err != nil {
		return l, err
	}
	profiled := b.profileOfAPIServer(ctx, c, title, profileSeconds)
	ended := make(chan error, 1)
	go func() {
		var err error
		l.edits, err = edit()
		ended <- err
	}()
	seconds, err := follow()
	if ended := <-ended; err == nil {
		err = ended
	}
	if err != nil {
		return l, err
	}
	after, err := c.processors(ctx)
	if err != nil {
		return l, err
	}
	l.seconds = seconds
	l.used = processors{after.apiServer - before.apiServer, after.manager - before.manager}
	l.profile, err = profiled()
	return l, err
}

// profileSeconds is less than labels take.
const profileSeconds = 5

func (l labelling) figures(what string) []report.Figure {
	return []report.Figure{
		{What: what + ": the edits alone", Value: l.edits, Unit: "s", Own: l.edits, Whose: "API server"},
		{What: what + ": processor time of the API server", Value: l.used.apiServer, Unit: "s"},
		{What: what + ": processor time of the manager", Value: l.used.manager, Unit: "s"},
	}
}
