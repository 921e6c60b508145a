package binding_test

import (
	"testing"
)

var stories = []struct{ name, reason, script string }{{
	name: "killed and evicted", reason: "the SDK's process gets SIGKILL, so its last heartbeat is 25 s before the pod's end",
	script: `
		pod a 9:00- host=h
		run x made=9:05 host=h beat=9:30
		at 9:30:10
		look
		want x: a Host 9:05-
		pod a 9:00-9:30:25 host=h
		at 9:36
		run x killed
		look
		want x: a Host 9:05-9:30:25`,
}, {
	name: "ended by itself", reason: "what happens to the pod after a run ended is no business of the run",
	script: `
		pod a 9:00- host=h
		run x made=9:05 host=h done=9:20
		look
		want x: a Host 9:05-9:20
		pod a 9:00-9:40 host=h
		look
		want x: a Host 9:05-9:20`,
}, {
	name: "the same hostname on two nights", reason: "a run of the first night, lost with its pod, is not in the pod of the second",
	script: `
		pod a 1:00- host=nb-0
		run x made=1:05 host=nb-0 beat=3:00
		look
		pod a 1:00-3:00:20 host=nb-0
		run x killed
		pod b 25:00- host=nb-0
		at 25:10
		run y made=25:05 host=nb-0 beat=25:10
		look
		want x: a Host 1:05-3:00:20
		want y: b Host 25:05-`,
}, {
	name: "the same hostname on two nights, seen on the second only", reason: "the first night's pod was never seen, and nothing else is put in its place",
	script: `
		pod b 25:00- host=nb-0
		at 25:10
		run x made=1:05 host=nb-0 beat=3:00 active
		look
		want x:`,
}, {
	name: "StatefulSet notebook", reason: "the next pod of the same name takes over within the minutes in which the tracker still calls the run running",
	script: `
		pod a 9:00- host=nb-0
		run x made=9:05 host=nb-0 beat=9:30
		look
		pod a 9:00-9:30:10 host=nb-0
		pod b 9:30:40- host=nb-0
		at 9:32
		look
		want x: a Host 9:05-9:30:10
		at 9:45
		run x attempt=9:40 beat=9:44:50
		look
		want x: b Host 9:40-, a Host 9:05-9:30:10`,
}, {
	name: "resumed before it was called crashed", reason: "the host is the same and no attempt was seen to end, but the run lives after its pod has ended",
	script: `
		pod a 9:00- host=nb-0
		run x made=9:05 host=nb-0 beat=9:30
		look
		pod a 9:00-9:30:10 host=nb-0
		pod b 9:30:40- host=nb-0
		run x beat=9:33
		at 9:33
		look
		want x: b Host 9:30:40-, a Host 9:05-9:30:10`,
}, {
	name: "resumed in another pod three times", reason: "each attempt has its own pod, and each of them was preempted",
	script: `
		pod a 9:00- host=a
		run x made=9:05 host=a beat=9:30
		look
		pod a 9:00-9:30 host=a
		run x killed
		look
		pod b 10:00- host=b
		run x active host=b attempt=10:05 beat=10:20
		look
		pod b 10:00-10:20 host=b
		run x killed
		pod c 11:00- host=c
		run x active host=c attempt=11:05 beat=11:20
		look
		pod c 11:00-11:20 host=c
		pod d 12:00- host=d
		run x active host=d attempt=12:05 beat=12:20
		look
		pod d 12:00-12:20:20 host=d
		run x killed
		look
		want x: d Host 12:05-12:20:20, c Host 11:05-11:20, b Host 10:05-10:20, a Host 9:05-9:30`,
}, {
	name: "resumed elsewhere while the old pod lives on", reason: "the process of the first attempt is gone, though its pod is not",
	script: `
		pod a 9:00- host=a
		run x made=9:05 host=a beat=9:30
		look
		pod b 9:50- host=b
		run x host=b attempt=10:00 beat=10:10
		look
		want x: b Host 10:00-, a Host 9:05-10:00`,
}, {
	name: "resumed after it had ended by itself, in the same pod", reason: "a link that is found again is open again",
	script: `
		pod a 9:00- host=a
		run x made=9:05 host=a done=9:30
		look
		want x: a Host 9:05-9:30
		run x active attempt=9:50 beat=9:55
		look
		want x: a Host 9:05-`,
}, {
	name: "found 20 s after its pod was preempted", reason: "pods are kept for runs that are found later",
	script: `
		pod a 9:00-9:30 host=h
		gone a
		at 9:30:20
		run x made=9:29:30 host=h beat=9:29:50
		look
		want x: a Host 9:29:30-9:30`,
}, {
	name: "synced from offline an hour later", reason: "the tracker's times are those of the sync, when the pod was over that named the run",
	script: `
		pod a 9:00-9:30 host=h env=wandb,x
		pod b 9:40- host=h
		run x made=10:30 host=h done=10:31
		look
		look
		want x: a Env 9:00-9:30`,
}, {
	name: "synced from offline, and the pod did not name it", reason: "only the hostname is left, which says nothing of an hour ago",
	script: `
		pod a 9:00-9:30 host=h
		run x made=10:30 host=h done=10:31
		look
		want x:`,
}, {
	name: "made anew under its id", reason: "a run that goes on was not synced from offline: the pod that is over named the one before it",
	script: `
		pod a 9:00-9:30 env=wandb,x
		run x made=10:30
		look
		want x:`,
}, {
	name: "one run is never two", reason: "neither it nor a second TrainingRun of it is its next one, when its times are corrected by a bit",
	script: `
		pod a 9:00- env=wandb,x
		run x made=9:05
		look
		run x made=9:05:02
		run y made=9:05:02 id=x
		look
		want x: a Env 9:05-`,
}, {
	name: "next run in the pod", reason: "a run that was lost leaves the pod to the next one, and not the other way around",
	script: `
		pod a 9:00- host=h
		run x made=9:05 host=h beat=9:20 killed
		run y made=9:30 host=h beat=9:40
		look
		want x: a Host 9:05-9:30
		want y: a Host 9:30-`,
}, {
	name: "side by side", reason: "a sign of life after the other was made says that both are there",
	script: `
		pod a 9:00- host=h
		run x made=9:05 host=h beat=9:40
		run y made=9:30 host=h beat=9:40
		look
		want x: a Host 9:05-
		want y: a Host 9:30-`,
}, {
	name: "side by side, seen late", reason: "what looked like the end is undone by the next sign of life",
	script: `
		pod a 9:00- host=h
		run x made=9:05 host=h beat=9:29:50
		run y made=9:30 host=h beat=9:30
		look
		want x: a Host 9:05-9:30
		run x beat=9:30:20
		look
		want x: a Host 9:05-`,
}, {
	name: "nested", reason: "a run that this one made, or one of those made, takes nobody's place; MLflow knows no heartbeat",
	script: `
		pod a 9:00-
		run x mlflow made=9:05 pod=a
		run y mlflow made=9:10 pod=a parent=x
		run z mlflow made=9:20 pod=a parent=y
		run v mlflow made=9:30 pod=a parent=x
		look
		want x: a PodUID 9:05-
		want y: a PodUID 9:10-9:30
		want z: a PodUID 9:20-9:30
		want v: a PodUID 9:30-`,
}, {
	name: "the next run is elsewhere", reason: "a run whose host is the pod's, but which names another pod, took nobody's place",
	script: `
		pod a 9:00- host=h
		pod b 9:00- env=wandb,y
		run x made=9:05 host=h beat=9:20 killed
		run y made=9:30 host=h
		look
		want x: a Host 9:05-
		want y: b Env 9:30-`,
}, {
	name: "restart", reason: "what is known stays, and a link that stood ends when its pod is not there any more",
	script: `
		pod a 9:00- host=a
		pod b 9:00- host=b
		run x made=9:05 host=a beat=9:20
		run y made=9:05 host=b beat=9:20
		look
		pod a 9:00-9:30 host=a
		restart
		at 9:40
		look
		want x: a Host 9:05-9:40
		want y: b Host 9:05-
		at 9:50
		look
		want x: a Host 9:05-9:40`,
}, {
	name: "restart after the end", reason: "a run that had ended by itself had left the pod then",
	script: `
		pod a 9:00- host=a
		run x made=9:05 host=a beat=9:20
		look
		pod a 9:00-9:30 host=a
		restart
		run x done=9:25
		at 9:40
		look
		want x: a Host 9:05-9:25`,
}, {
	name: "gang", reason: "rank 0 has the run, and the pods of its Job are in it for as long as rank 0 is",
	script: `
		pod r0 9:00- job=j host=r0
		pod r1 8:55-9:02 job=j
		pod r2 9:00-9:20 job=j
		pod r3 9:10- job=j
		pod k0 9:00- job=k
		run x made=9:05 host=r0 beat=9:30
		look
		want x: r3 Gang 9:10-, r0 Host 9:05-, r2 Gang 9:05-9:20
		run x done=9:40
		look
		want x: r3 Gang 9:10-9:40, r0 Host 9:05-9:40, r2 Gang 9:05-9:20`,
}, {
	name: "gangs by their labels", reason: "an attempt of a JobSet is a gang of its own, and a Ray cluster is none",
	script: `
		pod s0 9:00- run=object-x jobset.sigs.k8s.io/jobset-uid=s jobset.sigs.k8s.io/restart-attempt=1
		pod s1 9:00- jobset.sigs.k8s.io/jobset-uid=s jobset.sigs.k8s.io/restart-attempt=1
		pod s2 9:00- jobset.sigs.k8s.io/jobset-uid=s jobset.sigs.k8s.io/restart-attempt=0
		pod k0 9:00- run=object-x training.kubeflow.org/job-name=k
		pod k1 9:00- training.kubeflow.org/job-name=k
		pod v0 9:00- run=object-x volcano.sh/job-name=v
		pod v1 9:00- volcano.sh/job-name=v
		pod v2 9:00- in=other volcano.sh/job-name=v
		pod y0 9:00- run=object-x ray.io/cluster=y
		pod y1 9:00- ray.io/cluster=y
		run x made=9:05
		look
		want x: k0 Name 9:05-, k1 Gang 9:05-, s0 Name 9:05-, s1 Gang 9:05-, v0 Name 9:05-, v1 Gang 9:05-, y0 Name 9:05-`,
}, {
	name: "gang after a restart", reason: "rank 0 went while nobody looked, and with it the time of the others in the run",
	script: `
		pod r0 9:00- job=j host=r0
		pod r1 9:00- job=j
		run x made=9:05 host=r0 beat=9:20
		look
		pod r0 9:00-9:25 job=j host=r0
		restart
		at 9:30
		look
		want x: r0 Host 9:05-9:30, r1 Gang 9:05-9:30`,
}, {
	name: "gang of a pod that was not it", reason: "pods that came with one that merely fitted go with it",
	script: `
		pod a0 9:00- job=a host=h
		pod a1 9:00- job=a
		pod b0 9:00- job=b
		pod b1 9:00- job=b
		run x made=9:05 host=h beat=9:10
		look
		want x: a0 Host 9:05-, a1 Gang 9:05-
		pod b0 9:00- job=b env=wandb,x
		look
		want x: b0 Env 9:05-, b1 Gang 9:05-`,
}, {
	name: "no link", reason: "nothing fits",
	script: `
		pod a 9:00- host=a
		run x made=9:05 host=laptop
		look
		want x:`,
}}

func TestStories(t *testing.T) {
	for _, c := range stories {
		t.Run(c.name, func(t *testing.T) {
			t.Log(c.reason)
			play(t, c.script)
		})
	}
}
