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
	{1, "A tag on 1,000 finished runs of W&B at 50 ms", wandbTags},
	{2, "A tag on 1,000 runs of a real MLflow server", mlflowTags},
	{3, "Quiet: 10,000 TrainingRuns over 200 projects that share a key", quiet},
	{4, "Restart with 10,000 TrainingRuns in sync, and their first import", restart},
	{5, "A new TrainingRun, and a label edit, during full looks of 10,000", duringLook},
	{6, "Heap per TrainingRun, pod and node", heap},
	{7, "Writes to the API server in a change of 10,000 objects", writeRate},
	{8, "Work in memory: diff, plan, rules, links", pure},
	{9, "Growth from 1,000 to 100,000 runs", growth},
	{10, "From a node's condition to the tag, with 1,000 nodes and 10,000 pods", nodes},
}
