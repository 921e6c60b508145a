package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runtag/runtag/api/v1alpha1"
)

// object is the name of a run's TrainingRun, file that of its manifest, train the command that makes the run.
func object(run string) string { return "capsules-" + run }
func file(run string) string   { return "run-" + run + ".yaml" }
func train(run string) string  { return "python train.py " + run + " &" }

// manifest is the TrainingRun of a run, as a person writes it.
func manifest(t tracker, run string) string {
	c := t.cast()
	tags := c.declared
	if run == c.late {
		tags = []string{"nightly"}
	}
	return fmt.Sprintf(`apiVersion: tracking.runtag.dev/v1alpha1
kind: TrainingRun
metadata:
  name: %s
spec:
  projectRef: {name: capsules}
  %s
  tags: [%s]
`, object(run), t.runField(run), strings.Join(tags, ", "))
}

// patch is a command that changes fields of a spec, tagged one that changes a TrainingRun's tags.
func patch(kind, name, spec string) string {
	return fmt.Sprintf(`kubectl patch %s %s --type=merge -p '{"spec":{%s}}'`, kind, name, spec)
}

func tagged(run string, tags ...string) string {
	return patch("trun", object(run), `"tags":["`+strings.Join(tags, `","`)+`"]`)
}

// step is one thing that a person does, and what both sides are to show afterwards.
type step struct {
	title, say string
	// commands as a person types them; the seconds count from the end of the last one. Those in after show more, once
	// both sides are as wanted.
	commands, after []string
	// starts is the run whose script begins in the Job's pod after the commands; empty where none does.
	starts string
	// about are the runs that the step changes; none where it only shows something.
	about []subject
}

// subject is a run, and what is to be seen of it.
type subject struct {
	run string
	// imported says that its TrainingRun is the one that the operator made of its own accord.
	imported bool
	want     want
}

// object is the name of its TrainingRun.
func (s subject) object(t tracker) string {
	if s.imported {
		return t.imported(s.run)
	}
	return object(s.run)
}

func one(run string, w want) []subject { return []subject{{run: run, want: w}} }

// want is what a step is to lead to.
type want struct {
	// tags are exactly what is on the run; absent says that there is no such run.
	tags   []string
	absent bool
	// foreign are those of them that nobody declared in Kubernetes.
	foreign []string
	// ruled are those that a rule gave, each with its reason.
	ruled []string
	// pending are declared tags that a policy holds back.
	pending []string
	// lost are tags that Kubernetes saw somebody take off during the step.
	lost []string
	// reason of the TrainingRun's condition Ready; gone says that there is no such TrainingRun.
	reason string
	gone   bool
}

// story is the walk through what runtag does.
func story(t tracker) []step {
	return slices.Concat(declaring(t), living(t), leaving(t), labelling(t), automatic(t))
}

// declaring is what people do in Kubernetes.
func declaring(t tracker) []step {
	c := t.cast()
	run, first, second := c.first, c.declared[0], c.declared[1]
	left := slices.DeleteFunc(slices.Clone(c.own), func(tag string) bool { return tag == c.hidden })
	return []step{{
		title: "1. A project", say: "A TrackingProject says where runs live and how to log in.",
		commands: []string{
			"cat project.yaml", "kubectl apply -f project.yaml",
			"kubectl wait --for=condition=Ready tproj/capsules --timeout=30s", "kubectl get tproj",
		},
	}, {
		title: "2. Tags land", say: "A TrainingRun stands for one run and says which tags it should have.",
		commands: []string{"cat " + file(run), "kubectl apply -f " + file(run)},
		about:    one(run, synced(left, first, second)),
	}, {
		title: "3. Look at it", say: "kubectl shows what is on the run, whether it is as declared, and what was done.",
		commands: []string{
			"kubectl get trun -o wide",
			"kubectl describe trun " + object(run) + " | sed -n '/Conditions:/,/Type:/p; /^Events/,$p'",
		},
	}, {
		title: "4. An edit adds a tag", say: "Whatever edits the object will do: Git, kubectl, another controller.",
		commands: []string{tagged(run, first, second, "paper")},
		about:    one(run, synced(left, first, second, "paper")),
	}, {
		title: "5. Undeclaring takes it off", say: c.undeclared,
		commands: []string{tagged(run, first, "paper")},
		about:    one(run, synced(c.own, first, "paper")),
	}}
}

// judged are the tags of the first run that nobody declares, once the script and people have had their say.
func judged(c cast) []string {
	return slices.Concat(c.own, []string{"release_candidate", "looks-good"})
}

// living is what scripts and people do on the tracker meanwhile.
func living(t tracker) []step {
	c := t.cast()
	run, first := c.first, c.declared[0]
	debugged := slices.Concat(judged(c), []string{"debug"})
	return []step{{
		title: "6. The script has tags of its own", say: c.scriptTags,
		commands: []string{"echo 0.04 > loss"},
		about:    one(run, synced(slices.Concat(c.own, []string{"release_candidate"}), first, "paper").seeing(c.wiped...)),
	}, {
		title: "7. So do people", say: "Somebody tags the run on the tracker: Kubernetes shows it, as the run's own, and leaves it alone.",
		commands: []string{t.personAdds(run, "looks-good", "debug")},
		about:    one(run, synced(debugged, first, "paper")),
	}, {
		title: "8. Drift is healed", say: "Somebody takes a declared tag off on the tracker: it is put back, and the status remembers.",
		commands: []string{t.personRemoves(run, first)},
		after:    []string{"kubectl get trun " + object(run) + ` -o jsonpath='{range .status.history[:3]}{.time} {.change} {.tag} by {.source}{"\n"}{end}'`},
		about:    one(run, synced(debugged, first, "paper").seeing(first)),
	}, {
		title: "9. Some tags are not wanted", say: "An excluded tag is kept off, whoever puts it there.",
		commands: []string{patch("trun", object(run), `"excludeTags":["debug"]`)},
		about:    one(run, synced(judged(c), first, "paper")),
	}}
}

// leaving is about what does not happen, not yet, or in the end.
func leaving(t tracker) []step {
	c := t.cast()
	run, first := c.first, c.declared[0]
	return []step{{
		title: "10. Look, don't touch", say: "Under the project's ceiling Observe nothing is written: what would change is pending.",
		commands: []string{patch("tproj", "capsules", `"maxTagPolicy":"Observe"`), tagged(run, first, "paper", "published")},
		about:    one(run, synced(judged(c), first, "paper").holding("published")),
	}, {
		title: "11. Go", say: "The ceiling is raised to Merge, and what was pending is done.",
		commands: []string{patch("tproj", "capsules", `"maxTagPolicy":"Merge"`)},
		about:    one(run, synced(judged(c), first, "paper", "published")),
	}, {
		title: "12. A run that does not exist yet", say: "Its TrainingRun waits for it.",
		commands: []string{"kubectl apply -f " + file(c.late)},
		after:    []string{"kubectl get trun -o wide"},
		about:    one(c.late, want{absent: true, reason: v1alpha1.ReasonRunNotFound}),
	}, {
		title: "13. It appears", say: "Its tags land as soon as somebody starts it.",
		commands: []string{"echo 0.9 > loss", train(c.late)},
		about:    one(c.late, synced(c.own, "nightly")),
	}, {
		title: "14. Goodbye", say: "With deletionPolicy RemoveTags, deleting the TrainingRun takes off what it declared, and only that.",
		commands: []string{patch("trun", object(run), `"deletionPolicy":"RemoveTags"`), "kubectl delete trun " + object(run)},
		about:    one(run, want{tags: judged(c), gone: true}),
	}}
}

// labelling is what people do without a manifest.
func labelling(t tracker) []step {
	c := t.cast()
	run, name := c.first, t.imported(c.first)
	left := slices.DeleteFunc(judged(c), func(tag string) bool { return tag == "looks-good" })
	return []step{{
		title: "15. Runs appear by themselves", say: "With spec.import, whatever trains gets a TrainingRun: the run from before, and one that somebody starts now.",
		commands: []string{patch("tproj", "capsules", `"import":{"policy":"Active"}`), train(c.imported)},
		after:    []string{"kubectl get trun -l tracking.runtag.dev/imported=true"},
		about:    []subject{{run, true, synced(judged(c))}, {c.imported, true, synced(c.own)}},
	}, {
		title: "16. A label is a tag", say: "Every tag is a label, and a label that somebody puts on is a tag.",
		commands: []string{"kubectl label --overwrite trun " + name + " tag.runtag.dev/published="},
		about:    []subject{{run, true, synced(judged(c), "published")}},
	}, {
		title: "17. Taking a label off takes the tag off", say: "Even one that somebody put there on the tracker. The plugin does it, whatever kind of tag it is.",
		commands: []string{"kubectl runtag rm looks-good " + name},
		about:    []subject{{run, true, synced(left, "published")}},
	}, {
		title: "18. Many at once", say: "A selector finds runs by their tags, and labels them all, whoever made their TrainingRuns.",
		commands: []string{"kubectl runtag add reviewed -l tracking.runtag.dev/project=capsules,tag.runtag.dev/first-try"},
		after:    []string{"kubectl runtag ls --with-tag reviewed"},
		about: []subject{
			{run, true, synced(left, "published", "reviewed")}, {c.imported, true, synced(c.own, "reviewed")},
			{c.late, false, synced(c.own, "nightly", "reviewed")},
		},
	}}
}

// automatic is what the cluster knows about a run, without anybody's doing.
func automatic(t tracker) []step {
	c := t.cast()
	run := func(ruled ...string) []subject { return []subject{{c.spot, true, synced(c.own).by(ruled...)}} }
	return []step{{
		title: "19. A Job on a spot node", say: "Nobody writes a TrainingRun: under the policy Linked, the default, a run gets one when a pod of the namespace is found\nto be its own (" +
			c.linked + "). What the node is comes as a tag, by a shipped rule.",
		commands: []string{
			patch("tproj", "capsules", `"import":{"policy":"Linked"}`),
			"kubectl label node node-0 cloud.google.com/gke-spot=true",
			"cat job.yaml", "kubectl apply -f job.yaml",
			"kubectl wait --for=jsonpath={.status.ready}=1 job/" + jobName + " --timeout=30s",
		},
		starts: c.spot,
		after:  []string{explained("preemptible")},
		about:  run("preemptible"),
	}, {
		title: "20. Preempted", say: "The scheduler makes room for a pod of higher priority. The training script hears nothing of why it has to end.",
		commands: []string{"cat urgent.yaml", "kubectl apply -f urgent.yaml"},
		after:    []string{"kubectl get pods -o wide", explained("preempted")},
		about:    run("preemptible", "preempted"),
	}, {
		title: "21. A person has the last word", say: "Whoever takes such a label off overrules the rules, for this run and tag.",
		commands: []string{"kubectl runtag rm preemptible -l tag.runtag.dev/preempted"},
		after:    []string{"kubectl runtag why $(kubectl get trun -l tag.runtag.dev/preempted -o name)"},
		about:    run("preempted"),
	}}
}

// explained is a command that shows why rules gave tags to the runs that have one of them.
func explained(tag string) string {
	return "kubectl get trun -l tag.runtag.dev/" + tag +
		` -o jsonpath='{range .items[*].status.tags[?(@.source=="Rule")]}{.name}: {.reason}, says {.rule}{"\n"}{end}'`
}

// synced wants the run's own tags and the declared ones on it, and nothing else.
func synced(own []string, declared ...string) want {
	return want{tags: slices.Concat(own, declared), foreign: own, reason: v1alpha1.ReasonSynced}
}

// by also wants tags that rules gave.
func (w want) by(ruled ...string) want {
	w.tags, w.ruled = slices.Concat(w.tags, ruled), ruled
	return w
}

// seeing also wants that Kubernetes saw somebody take these tags off.
func (w want) seeing(lost ...string) want {
	w.lost = lost
	return w
}

// holding also wants that tags are declared and not written.
func (w want) holding(pending ...string) want {
	w.pending, w.reason = pending, v1alpha1.ReasonNotAllowed
	return w
}
