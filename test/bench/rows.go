package main

import (
	"context"

	"github.com/runtag/runtag/test/bench/report"
)

// row is one benchmark. It fills in checks, figures, plots and notes; number, name and time are set for it.
type row struct {
	number int
	name   string
	run    func(context.Context, *bench) (report.Row, error)
}

// rows lists all benchmarks, each in the file of its name.
var rows = []row{
	// One line each, in order: {1, "Add a tag to 1,000 finished W&B runs at 50 ms", wandbTags},
}
