package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/runtag/runtag/api/v1alpha1"
)

// The runs of the story. A TrainingRun is named after its project and its run.
const (
	firstRun = "3f9a1c"
	lateRun  = "77b2c0"
)

func object(run string) string { return "capsules-" + run }

func train(run string) string { return "python train.py " + run + " &" }

// manifest is the TrainingRun of a run, as a person writes it.
func manifest(t tracker, run string) string {
	tags := t.cast().declared
	if run == lateRun {
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

// step is one thing that a person does, and what both sides are to show afterwards.
type step struct {
	title, say string
	// commands as a person types them; the last one is what the seconds count from.
	commands []string
	run      string
	want     want
}

// want is what a step is to lead to. Its zero value wants nothing.
type want struct {
	// tags are exactly what is on the run; absent says that there is no such run.
	tags   []string
	absent bool
	// foreign are those of them that nobody declared in Kubernetes.
	foreign []string
	// pending are declared tags that a policy holds back.
	pending []string
	// reason of the TrainingRun's condition Ready; gone says that there is no such TrainingRun.
	reason string
	gone   bool
}

func patch(kind, name, spec string) string {
	return fmt.Sprintf(`kubectl patch %s %s --type=merge -p '{"spec":{%s}}'`, kind, name, spec)
}

func patchTags(tags ...string) string {
	return patch("trun", object(firstRun), `"tags":["`+strings.Join(tags, `","`)+`"]`)
}

// story is the walk through what runtag does.
func story(t tracker) []step {
	c := t.cast()
	first, second := c.declared[0], c.declared[1]
	own := slices.DeleteFunc(slices.Clone(c.own), func(tag string) bool { return tag == c.hidden })
	foreign := func(more ...string) []string { return slices.Concat(own, more) }
	synced := func(foreign []string, declared ...string) want {
		return want{tags: slices.Concat(foreign, declared), foreign: foreign, reason: v1alpha1.ReasonSynced}
	}
	file := "run-" + firstRun + ".yaml"
	undeclared := own
	if c.hidden != "" {
		undeclared = foreign(c.hidden)
	}
	scripted := slices.Concat(undeclared, []string{"release_candidate"})
	judged := slices.Concat(scripted, []string{"looks-good"})
	debugged := slices.Concat(judged, []string{"debug"})

	return []step{
		{
			title: "1. A project", say: "A TrackingProject says where runs live and how to log in.",
			commands: []string{"cat project.yaml", "kubectl apply -f project.yaml", "kubectl wait --for=condition=Ready tproj/capsules --timeout=30s", "kubectl get tproj"},
		},
		{
			title: "2. Tags land", say: "A TrainingRun stands for one run and says which tags it should have.",
			commands: []string{"cat " + file, "kubectl apply -f " + file},
			run:      firstRun, want: synced(own, first, second),
		},
		{
			title: "3. Look at it", say: "kubectl shows what is on the run, who declared it, and what was done.",
			commands: []string{"kubectl get trun -o wide", "kubectl describe trun " + object(firstRun) + " | sed -n '/^Status/,/Observed Decl/p;/^Events/,$p'"},
		},
		{
			title: "4. An edit adds a tag", say: "Whatever edits the object will do: Git, kubectl, another controller.",
			commands: []string{patchTags(first, second, "paper")},
			run:      firstRun, want: synced(own, first, second, "paper"),
		},
		{
			title: "5. Undeclaring takes it off", say: c.undeclared,
			commands: []string{patchTags(first, "paper")},
			run:      firstRun, want: synced(undeclared, first, "paper"),
		},
		{
			title: "6. The script has tags of its own", say: c.scriptTags,
			commands: []string{"echo 0.04 > loss"},
			run:      firstRun, want: synced(scripted, first, "paper"),
		},
		{
			title: "7. So do people", say: "Somebody tags the run on the tracker: Kubernetes shows it, as the run's own, and leaves it alone.",
			commands: []string{t.personAdds(firstRun, "looks-good", "debug")},
			run:      firstRun, want: synced(debugged, first, "paper"),
		},
		{
			title: "8. Drift is healed", say: "Somebody takes a declared tag off on the tracker: it is put back.",
			commands: []string{t.personRemoves(firstRun, first), "kubectl get trun " + object(firstRun) + ` -o jsonpath='{range .status.history[*]}{.time} {.change} {.tag} ({.source}){"\n"}{end}'`},
			run:      firstRun, want: synced(debugged, first, "paper"),
		},
		{
			title: "9. Some tags are not wanted", say: "An excluded tag is kept off, whoever puts it there.",
			commands: []string{patch("trun", object(firstRun), `"excludeTags":["debug"]`)},
			run:      firstRun, want: synced(judged, first, "paper"),
		},
		{
			title: "10. Look, don't touch", say: "The project's ceiling Observe writes nothing: what would change is pending.",
			commands: []string{patch("tproj", "capsules", `"maxTagPolicy":"Observe"`), patchTags(first, "paper", "published")},
			run:      firstRun,
			want: want{
				tags: slices.Concat(judged, []string{first, "paper"}), foreign: judged, pending: []string{"published"}, reason: v1alpha1.ReasonNotAllowed,
			},
		},
		{
			title: "11. Go", say: "Raised to Merge, what was pending is done.",
			commands: []string{patch("tproj", "capsules", `"maxTagPolicy":"Merge"`)},
			run:      firstRun, want: synced(judged, first, "paper", "published"),
		},
		{
			title: "12. A run that does not exist yet", say: "Its TrainingRun waits.",
			commands: []string{"kubectl apply -f run-" + lateRun + ".yaml", "kubectl get trun -o wide"},
			run:      lateRun, want: want{absent: true, reason: v1alpha1.ReasonRunNotFound},
		},
		{
			title: "13. It appears", say: "Its tags land as soon as somebody starts it.",
			commands: []string{"echo 0.9 > loss", train(lateRun)},
			run:      lateRun, want: synced(c.own, "nightly"),
		},
		{
			title: "14. Goodbye", say: "With deletionPolicy RemoveTags, deleting the TrainingRun takes off what it declared, and only that.",
			commands: []string{patch("trun", object(firstRun), `"deletionPolicy":"RemoveTags"`), "kubectl delete trun " + object(firstRun)},
			run:      firstRun, want: want{tags: judged, gone: true},
		},
	}
}
