package binding_test

import (
	"testing"
)

var ways = []struct{ name, reason, script string }{{
	name: "annotation", reason: "a pod that names the TrainingRun is its own, whatever else is the same or not",
	script: `
		pod a 9:00- run=object-x
		run x made=9:05
		at 9:10
		look
		want x: a Name 9:05-`,
}, {
	name: "label", reason: "the key may be a label, too",
	script: `
		pod a 9:00- tracking.runtag.dev/run=object-x
		run x made=9:05
		look
		want x: a Name 9:05-`,
}, {
	name: "another namespace", reason: "no way leads out of the TrainingRun's namespace",
	script: `
		pod a 9:00- in=other run=object-x env=wandb,x wandb.ai/run-id=x host=h team=v
		run x made=9:05 host=h select=team=v
		look
		want x:`,
}, {
	name: "environment", reason: "an id that is given to the process names the run",
	script: `
		pod a 9:00- env=wandb,x
		run x made=9:05
		look
		want x: a Env 9:05-`,
}, {
	name: "environment, all given", reason: "project, entity and URL agree",
	script: `
		pod a 9:00- env=wandb,x,acme,capsules,https://api.wandb.ai/
		run x made=9:05
		look
		want x: a Env 9:05-`,
}, {
	name: "environment, another project", reason: "ids are unique within a project only",
	script: `
		pod a 9:00- env=wandb,x,acme,robots
		pod b 9:00- env=wandb,x,umbrella
		pod c 9:00- env=wandb,x,,,https://wandb.acme.example
		run x made=9:05
		look
		want x:`,
}, {
	name: "environment, another tracker", reason: "an id of W&B is none of MLflow",
	script: `
		pod a 9:00- env=mlflow,x
		pod b 9:00- env=wandb,y
		run x made=9:05
		run y mlflow made=9:05
		look
		want x:
		want y:`,
}, {
	name: "environment, MLflow", reason: "the URL is compared without its last slash",
	script: `
		pod a 9:00- env=mlflow,x,,,https://MLFLOW.example/base
		pod b 9:00- env=mlflow,x,,,https://mlflow.example/other
		run x mlflow made=9:05
		look
		want x: a Env 9:05-`,
}, {
	name: "uid", reason: "the run says which pod made it",
	script: `
		pod a 9:00-
		pod b 9:00-
		run x mlflow made=9:05 pod=b
		look
		want x: b PodUID 9:05-`,
}, {
	name: "run-id label", reason: "W&B Launch writes it; on MLflow it means nothing",
	script: `
		pod a 9:00- wandb.ai/run-id=x
		pod b 9:00- wandb.ai/run-id=y
		run x made=9:05
		run y mlflow made=9:05
		look
		want x: a RunID 9:05-
		want y:`,
}, {
	name: "selector", reason: "a selector may choose many pods, as long as they and the run live at once",
	script: `
		pod a 9:00-     app=t
		pod b 8:00-8:30 app=t
		pod c 9:10-     app=t
		pod d 9:00-     app=u
		pod e 9:00-     app=t pending
		run x made=9:05 select=app=t
		look
		want x: c Selector 9:10-, a Selector 9:05-`,
}, {
	name: "selectors of all kinds", reason: "each looks where it has to",
	script: `
		pod a 9:00- app=t tier=1
		pod b 9:00- app=u
		pod c 9:00-
		run in made=9:05 select=app+in+(t,u),app!=u
		run some made=9:05 select=tier
		run none made=9:05 select=!app
		look
		want in: a Selector 9:05-
		want some: a Selector 9:05-
		want none: c Selector 9:05-`,
}, {
	name: "selector after the end", reason: "a run that was lost is not in pods that started after its last sign of life",
	script: `
		pod a 9:00- app=t
		pod b 9:31- app=t
		run x made=9:05 beat=9:30 killed select=app=t
		look
		want x: a Selector 9:05-`,
}, {
	name: "host", reason: "the one pod of that name which lived when the run began",
	script: `
		pod a 9:00- host=trainer
		run x made=9:05 host=trainer
		look
		want x: a Host 9:05-`,
}, {
	name: "the pod's name as host", reason: "WANDB_HOST=$(POD_NAME) is what config/inject sets, and an Indexed Job's pods have other hostnames",
	script: `
		pod train-0-x7k2p 9:00- host=train-0
		pod web 9:00- host=
		run x made=9:05 host=train-0-x7k2p
		run y made=9:05 host=train-0
		run z made=9:05 host=web
		look
		want x: train-0-x7k2p Host 9:05-
		want y: train-0-x7k2p Host 9:05-
		want z:`,
}, {
	name: "no hostname", reason: "on the host's own network the host is the node's, which many pods share",
	script: `
		pod a 9:00- host=
		run x made=9:05
		look
		want x:`,
}, {
	name: "two of one hostname", reason: "nobody can say which of them it was",
	script: `
		pod a 9:00- host=trainer
		pod b 9:00- host=trainer
		run x made=9:05 host=trainer beat=9:10
		look
		want x: ?a, ?b`,
}, {
	name: "two of one hostname, one after the other was seen", reason: "the run was in a before b was there",
	script: `
		pod a 9:00- host=trainer
		pod b 9:08- host=trainer
		run x made=9:05 host=trainer beat=9:10
		look
		want x: a Host 9:05-`,
}, {
	name: "two of one hostname, a moment apart", reason: "the clocks may be trusted before they are forgiven",
	script: `
		pod a 9:00-9:05 host=nb-0
		pod b 9:05:02- host=nb-0
		run x made=9:05:03 host=nb-0
		run y made=9:05:01 host=nb-0
		look
		want x: b Host 9:05:03-
		want y: ?a, ?b`,
}, {
	name: "exact before inexact", reason: "what names the run is better than what fits, also when it comes later",
	script: `
		pod a 9:00- host=trainer app=t
		run x made=9:05 host=trainer select=app=t
		look
		want x: a Selector 9:05-
		pod b 9:00- env=wandb,x
		look
		want x: b Env 9:05-`,
}, {
	name: "strongest way", reason: "a pod that is found in several ways is linked once, by the strongest",
	script: `
		pod a 9:00- host=h wandb.ai/run-id=x
		run x made=9:05 host=h
		look
		want x: a RunID 9:05-
		pod a 9:00- host=h wandb.ai/run-id=x env=wandb,x
		look
		want x: a Env 9:05-
		pod a 9:00- host=h
		look
		want x: a Env 9:05-`,
}, {
	name: "pending", reason: "a pod that names the run is its own before it starts; one that fits must have started",
	script: `
		pod a 9:10- pending run=object-x
		pod b 9:10- pending host=h
		run x made=9:05
		run y made=9:05 host=h beat=9:20
		look
		want x: a Name 9:10-
		want y:`,
}, {
	name: "ended before the run was made", reason: "an id may be used again, and the pods of the old run are none of the new one",
	script: `
		pod a 8:00-9:00 env=wandb,x
		pod b 8:00-9:05 env=wandb,x
		run x made=9:05:04
		look
		want x: b Env 9:05-9:05`,
}, {
	name: "clocks", reason: "5 seconds may lie between two clocks, more may not",
	script: `
		pod a 9:00:05-     host=a
		pod b 9:00:06-     host=b
		pod c 8:00-8:59:55 host=c
		pod d 8:00-8:59:54 host=d
		run a made=9:00 host=a
		run b made=9:00 host=b
		run c made=9:00 host=c
		run d made=9:00 host=d
		look
		want a: a Host 9:00:05-
		want b:
		want c: c Host 8:59:55-8:59:55
		want d:`,
}}

func TestWays(t *testing.T) {
	for _, c := range ways {
		t.Run(c.name, func(t *testing.T) {
			t.Log(c.reason)
			play(t, c.script)
		})
	}
}
