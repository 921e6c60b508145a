package main

import (
	"context"
	"errors"
)

// errNoRun means that the tracker has no such run.
var errNoRun = errors.New("there is no such run")

// tracker is what the demo needs to know of one kind of tracker. Runs go by the name that train.py is started with: the
// run's id on W&B, its display name on MLflow, which chooses the id itself.
type tracker interface {
	// name as people write it.
	name() string
	// start starts the server; stop ends what the stage does not.
	start(ctx context.Context, s *stage) error
	stop() error
	// page is the URL to open in a browser.
	page() string
	// env is what scripts need, as KEY=value.
	env() []string
	// project is the manifest of the TrackingProject, with its Secret if it has one.
	project() string
	// imported is the name of the TrainingRun that the operator makes of a run that is there.
	imported(run string) string
	// runField is the line of a TrainingRun's spec that says which run it is.
	runField(run string) string
	// training is the source of train.py.
	training() []byte
	// tags reads what is on a run, in order; errNoRun where there is none.
	tags(ctx context.Context, run string) ([]string, error)
	// personAdds and personRemoves are commands for what somebody does to a run, past Kubernetes.
	personAdds(run string, tags ...string) string
	personRemoves(run, tag string) string
	// cast is what the story is told with.
	cast() cast
	// tries are commands that a person may try afterwards.
	tries() []string
}

// cast is where the story differs between trackers.
type cast struct {
	// first, late, imported and spot are the runs, by the name that train.py is started with; spot is in a pod.
	first, late, imported, spot string
	// own are the tags that train.py sets at its start.
	own []string
	// declared are the first tags of the manifest; the second is taken out again.
	declared []string
	// hidden is the one of own that the second replaces until then; empty where nothing is replaced.
	hidden string
	// wiped are the tags that the script takes off when it adds its own, because it sends its whole list.
	wiped []string
	// installs are further folders of config, for pods to find their runs; labels are those of the pods that they are for.
	installs, labels []string
	// undeclared and scriptTags are sentences of the steps that differ.
	undeclared, scriptTags string
	// linked says why runtag knows which pod the run is in.
	linked string
}
