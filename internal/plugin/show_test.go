package plugin_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/bulk"
)

func testLook(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a", inState("running"), func(r *v1alpha1.TrainingRun) { r.Status.TagNames = "x,y" })
	c.run("b")
	c.run("ignored", func(r *v1alpha1.TrainingRun) { r.Annotations = map[string]string{"tracking.runtag.dev/ignore": "true"} })
	c.expect("without an answer the wait ends", said{
		code: 4, err: lines("capsules-a: not looked at yet: the operator has said nothing of it; is it running?", "error: not seen done in time: 1 of the runs; the look was asked for, and comes as soon as it can"),
	}, "look", "a", "--timeout", "50ms")
	operate(c, &v1alpha1.TrainingRunList{}, func(ctx context.Context, r *v1alpha1.TrainingRun) error {
		if asked := r.Annotations["tracking.runtag.dev/look-at"]; asked != "" && r.Status.ObservedDeclarations != asked {
			r.Status.ObservedDeclarations = asked
			return c.client.Status().Update(ctx, r)
		}
		return nil
	})
	c.expect("what was seen is told", said{out: "capsules-b: finished, no tags\n"}, "look", "capsules-b")
	c.expect("an object that is ignored is never looked at", said{
		code: 1, err: lines("capsules-ignored is not looked at: it has the annotation tracking.runtag.dev/ignore", "error: nothing was done; the lines above say why"),
	}, "look", "ignored")
	c.expect("runs or a project", said{code: 2, err: "error: take --project, or say which runs, not both\n"}, "look", "a", "--project", "capsules")
	c.expect("a project's look is waited for, too", said{
		code: 4, err: lines("capsules: not looked at yet: the operator has said nothing of it; is it running?", "error: not seen done in time: 1 of the projects; the look was asked for, and comes as soon as it can"),
	}, "look", "--project", "capsules", "--timeout", "50ms")
	operate(c, &v1alpha1.TrackingProjectList{}, func(ctx context.Context, p *v1alpha1.TrackingProject) error {
		if asked := p.Annotations["tracking.runtag.dev/look-at"]; p.Status.LookAt != asked {
			p.Status.LookAt = asked
			return c.client.Status().Update(ctx, p)
		}
		return nil
	})
	c.expect("all projects of the namespace, if nothing is said", said{out: "capsules: looked at\n"}, "look")
	c.expect("a project that is not there", said{code: 1, err: "error: read TrackingProject look/x: trackingprojects.tracking.runtag.dev \"x\" not found\n"}, "look", "--project", "x")
}

func testLists(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a", inState("running"), tagged("debug", v1alpha1.TagSourceRun), tagged("in_production", v1alpha1.TagSourceSpec))
	c.run("b", tagged("wip", v1alpha1.TagSourceLabel), func(r *v1alpha1.TrainingRun) { r.Status.Tags[0].Present = false })
	c.run("c", func(r *v1alpha1.TrainingRun) { r.Status.Run = nil })
	c.expect("a table, with what is not there yet in parentheses", said{out: lines(
		"NAME         RUN   STATE      TAGS                   SOURCES         AGE",
		"capsules-a   a     running    debug, in_production   1 spec, 1 run   60m",
		"capsules-b   b     finished   (wip)                  1 label         60m",
		"capsules-c   c     -                                                 "+age(c.get("capsules-c")),
	)}, "ls")
	c.expect("the most tags first", said{out: lines("trainingrun.tracking.runtag.dev/capsules-a", "trainingrun.tracking.runtag.dev/capsules-b", "trainingrun.tracking.runtag.dev/capsules-c")}, "ls", "--sort", "tags", "-o", "name")
	c.expect("by state", said{out: lines("trainingrun.tracking.runtag.dev/capsules-c", "trainingrun.tracking.runtag.dev/capsules-b", "trainingrun.tracking.runtag.dev/capsules-a")}, "ls", "--sort", "state", "-o", "name")
	wide := c.command("ls", "a", "-o", "wide").out
	if !strings.Contains(wide, "POLICY") || !strings.Contains(wide, "Merge") || !strings.Contains(wide, "https://wandb.ai/acme/capsules/runs/a") {
		c.t.Errorf("wide is\n%s", wide)
	}
	var list v1alpha1.TrainingRunList
	if err := json.Unmarshal([]byte(c.command("ls", "-o", "json").out), &list); err != nil || len(list.Items) != 3 || list.Kind != "TrainingRunList" || len(list.Items[0].ManagedFields) > 0 {
		c.t.Errorf("json is no list: %v %v", err, list)
	}
	var one v1alpha1.TrainingRun
	if err := json.Unmarshal([]byte(c.command("ls", "a", "-o", "json").out), &one); err != nil || one.Kind != "TrainingRun" {
		c.t.Errorf("json is no object: %v", err)
	}
	c.expect("none, and where", said{err: "no runs found in namespace lists\n"}, "ls", "--with-tag", "x")
	if all := c.command("ls", "-A", "--with-tag", "in_production"); !strings.Contains(all.out, "NAMESPACE") || !strings.Contains(all.out, "lists") {
		c.t.Errorf("all namespaces: %s", all)
	}
}

// age is what a table shows of a run that the tracker said nothing of: the test's clock is not that of the API server.
func age(r *v1alpha1.TrainingRun) string {
	if r.CreationTimestamp.After(now) {
		return "<invalid>"
	}
	return now.Sub(r.CreationTimestamp.Time).String()
}

func testCounts(_ *testing.T, c *scene) {
	c.project("capsules")
	c.project("other")
	c.run("a", tagged("debug", v1alpha1.TagSourceRun), tagged("prod", v1alpha1.TagSourceSpec))
	c.run("b", tagged("debug", v1alpha1.TagSourceLabel), tagged("gone", v1alpha1.TagSourceLabel), func(r *v1alpha1.TrainingRun) { r.Status.Tags[1].Present = false })
	c.run("c", tagged("debug", v1alpha1.TagSourceRun), func(r *v1alpha1.TrainingRun) { r.Spec.ProjectRef.Name = "other" })
	c.expect("of the namespace", said{out: lines("TAG     RUNS   SOURCES", "debug   3      1 label, 2 run", "prod    1      1 spec")}, "tags")
	c.expect("of a project", said{out: lines("TAG     RUNS   SOURCES", "debug   2      1 label, 1 run", "prod    1      1 spec")}, "tags", "capsules")
	c.expect("names alone", said{out: lines("debug", "prod")}, "tags", "-o", "name")
	c.expect("as data", said{out: lines("- name: debug", "  runs: 1", "  sources:", "    Run: 1")}, "tags", "other", "-o", "yaml")
	c.expect("a project that is not there", said{code: 1, err: "error: read TrackingProject counts/x: trackingprojects.tracking.runtag.dev \"x\" not found\n"}, "tags", "x")
	c.expect("--all needs a project", said{code: 2, err: "error: --all is for one project of one namespace: name it\n"}, "tags", "--all")
}

func testTracker(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a", tagged("debug", v1alpha1.TagSourceRun))
	h := &changes{scene: c, matched: 3, matches: []bulk.Match{
		{ID: "c", Name: "old", State: "failed", Tags: []string{"x"}}, {ID: "a", Name: "new", State: "finished", Tags: []string{"debug", "x"}, More: 2}, {ID: "b", Name: "new"},
	}}
	h.start()
	c.expect("runs of the tracker, mirrored or not", said{out: lines(
		"RUN   NAME   STATE      TAGS                   MIRRORED AS",
		"a     new    finished   debug, x, and 2 more   capsules-a",
		"b     new",
		"c     old    failed     x",
	)}, "ls", "--project", "capsules")
	if diff := cmp.Diff([]v1alpha1.TagChangeSpec{{ProjectRef: v1alpha1.ProjectReference{Name: "capsules"}, Select: &v1alpha1.RunSelection{All: true}, MaxRuns: 1000, TTLAfterFinished: h.asked()[0].TTLAfterFinished}}, h.asked()); diff != "" {
		c.t.Errorf("asked for (-want +got):\n%s", diff)
	}
	c.expect("ids alone, the youngest first", said{out: lines("b", "a", "c")}, "ls", "--project", "capsules", "--sort", "age", "-o", "name", "--state", "failed")
	c.expect("counts over all of them", said{out: lines("TAG     RUNS   MIRRORED   SOURCES", "x       2      1", "debug   1      1          1 run")}, "tags", "capsules", "--all")
	var found []map[string]any
	if err := json.Unmarshal([]byte(c.command("ls", "--project", "capsules", "-o", "json").out), &found); err != nil || len(found) != 3 || found[0]["trainingRun"] != "capsules-a" {
		c.t.Errorf("json is %v %v", found, err)
	}
	if got := c.command("ls", "--project", "capsules", "-l", "a=b"); got.code != 2 {
		c.t.Errorf("labels on the tracker: %s", got)
	}
	c.expectNoChanges()
}

// expectNoChanges says that no TagChange is left.
func (c *scene) expectNoChanges() {
	c.t.Helper()
	if left := c.changeNames(); len(left) > 0 {
		c.t.Errorf("left behind: %v", left)
	}
}

func testCompletion(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a", tagged("debug", v1alpha1.TagSourceRun), tagged("baseline", v1alpha1.TagSourceRun))
	for _, test := range []struct {
		reason string
		args   []string
		want   []string
	}{
		{"the first argument is a tag", []string{"add", "d"}, []string{"debug"}},
		{"further ones are runs or tags", []string{"add", "x", ""}, []string{"baseline", "capsules-a", "debug"}},
		{"runs by id", []string{"look", "a"}, []string{"a"}},
		{"projects", []string{"tags", ""}, []string{"capsules"}},
		{"projects of a flag", []string{"ls", "--project", ""}, []string{"capsules"}},
		{"tags of a flag", []string{"ls", "--with-tag", "b"}, []string{"baseline"}},
		{"formats", []string{"ls", "-o", ""}, []string{"wide", "json", "yaml", "name"}},
	} {
		got := c.command(append([]string{"__complete"}, test.args...)...)
		offered, _, _ := strings.Cut(got.out, ":4")
		if diff := cmp.Diff(test.want, sorted(test.want, strings.Fields(offered))); diff != "" {
			c.t.Errorf("%s (-want +got):\n%s%s", test.reason, diff, got)
		}
	}
}

// sorted gives what was offered in the order of what is wanted, as far as it is: a shell sorts anyway.
func sorted(want, got []string) []string {
	var out []string
	for _, w := range want {
		for _, g := range got {
			if g == w {
				out = append(out, g)
			}
		}
	}
	if len(out) != len(got) {
		return got
	}
	return out
}
