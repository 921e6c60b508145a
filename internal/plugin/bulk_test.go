package plugin_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/kstatus"
)

// changeNames lists the TagChanges of the namespace.
func (c *scene) changeNames() []string {
	c.t.Helper()
	var list v1alpha1.TagChangeList
	if err := c.client.List(c.t.Context(), &list, client.InNamespace(c.namespace)); err != nil {
		c.t.Fatal(err)
	}
	var names []string
	for _, change := range list.Items {
		names = append(names, change.Name)
	}
	return names
}

// generated replaces the names that the API server made.
func (c *scene) generated(s said) said {
	for _, name := range c.changeNames() {
		s.out, s.err = strings.ReplaceAll(s.out, name, "NAME"), strings.ReplaceAll(s.err, name, "NAME")
	}
	return s
}

func (c *scene) expectGenerated(reason string, want said, args ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.generated(c.command(args...)), cmp.AllowUnexported(said{})); diff != "" {
		c.t.Errorf("%s\nkubectl runtag %s (-want +got):\n%s", reason, strings.Join(args, " "), diff)
	}
}

func testChange(_ *testing.T, c *scene) {
	c.project("capsules")
	c.project("other")
	c.run("a", tagged("debug", v1alpha1.TagSourceRun))
	c.run("b", tagged("debug", v1alpha1.TagSourceRun), inState("running"))
	c.run("c", tagged("debug", v1alpha1.TagSourceRun), func(r *v1alpha1.TrainingRun) { r.Spec.ProjectRef.Name = "other" })
	h := &changes{scene: c, matched: 300, planned: 299}
	h.start()
	counted := "300 runs, 1 of them mirrored; tags of 299 runs would change\n"
	c.expect("a dry run counts, and leaves nothing", said{err: counted}, "add", "x y", "--project", "capsules", "--with-tag", "debug", "--state", "finished", "--dry-run")
	c.expectNoChanges()
	c.expectGenerated("runs are counted and changed", said{
		out: "tags of 299 runs changed by TagChange NAME; take it back: kubectl runtag undo NAME -n change-on-the-tracker\n", err: counted,
	}, "add", "x y", "--project", "capsules", "--with-tag", "debug", "--state", "finished", "--yes")
	asked := h.asked()
	want := v1alpha1.TagChangeSpec{
		ProjectRef: v1alpha1.ProjectReference{Name: "capsules"}, Add: []string{"x y"}, MaxRuns: 1000, Apply: true,
		Select: &v1alpha1.RunSelection{Tags: []string{"debug"}, States: []string{"finished"}},
	}
	if diff := cmp.Diff(want, asked[len(asked)-1]); diff != "" {
		c.t.Errorf("asked for (-want +got):\n%s", diff)
	}
	h.skipped = []v1alpha1.SkippedRuns{{Reason: "Declared", Message: "declared by a TrainingRun", Count: 12, Sample: []string{"a", "b"}}}
	skipped := "  left alone on 12: declared by a TrainingRun (a, b, …)\n"
	got := c.command("rename", "debug", "wip", "--project", "capsules", "-y", "-o", "name")
	if name, _ := strings.CutPrefix(strings.TrimSpace(got.out), "tagchange.tracking.runtag.dev/rename-debug-wip-"); got.code != 3 || len(name) != 5 || strings.Count(got.err, skipped) != 2 {
		c.t.Errorf("what is left alone makes it partly done: %s", got)
	}
	asked = h.asked()
	if diff := cmp.Diff(&v1alpha1.RunSelection{Tags: []string{"debug"}}, asked[len(asked)-1].Select); diff != "" {
		c.t.Errorf("a rename concerns those that carry the tag (-want +got):\n%s", diff)
	}
	h.planned = 0
	if got := c.command("rm", "prod", "--project", "capsules", "--yes", "--", "https://wandb.ai/acme/capsules/runs/zz", "yy"); got.code != 1 || !strings.Contains(got.err, skipped) {
		c.t.Errorf("nothing but what is left alone: %s", got)
	}
	asked = h.asked()
	if diff := cmp.Diff(&v1alpha1.RunSelection{RunIDs: []string{"zz", "yy"}}, asked[len(asked)-1].Select); diff != "" {
		c.t.Errorf("runs by id and URL (-want +got):\n%s", diff)
	}
	if left := c.changeNames(); len(left) != 2 {
		c.t.Errorf("only what was done is left, for undo: %v", left)
	}
}

func testChangeRefused(_ *testing.T, c *scene) {
	c.project("capsules")
	h := &changes{scene: c, matched: 5000, refuse: kstatus.State{Ready: metav1.ConditionFalse, Reason: v1alpha1.ReasonTooManyRuns, Message: "too many", Stalled: true}}
	h.start()
	c.expect("more than allowed", said{code: 1, err: "error: 5000 runs match, and --max-runs is 1000: nothing was done; select fewer, or take --max-runs 5000\n"}, "rename", "a", "b", "--project", "capsules", "-y")
	h.refuse = kstatus.State{Ready: metav1.ConditionFalse, Reason: v1alpha1.ReasonUniqueTag, Message: "declare it", Stalled: true}
	got := c.command("add", "a", "--project", "capsules", "-y", "--all")
	if got.code != 1 || !strings.HasSuffix(got.err, ": UniqueTag: declare it\n") {
		c.t.Errorf("got %s", got)
	}
	h.refuse = kstatus.State{}
	for reason, args := range map[string][]string{
		"a selection of everything is said":  {"add", "a", "--project", "capsules", "-y"},
		"--wait is no part of a dry run":     {"add", "a", "--project", "capsules", "--all", "--wait", "--dry-run"},
		"spec is not on the tracker":         {"rename", "a", "b", "--project", "capsules", "--spec", "-y"},
		"an empty tag is no tag":             {"add", "", "--project", "capsules", "--all", "-y"},
		"nobody can be asked through a pipe": {"add", "a", "--project", "capsules", "--all"},
		"there is no tag before the dash":    {"add", "--project", "capsules", "--", "a"},
		"a format that is none":              {"undo", "x", "-o", "wide"},
		"undo is of one":                     {"undo"},
		"a command that is none":             {"list-all"},
		"a flag that is none":                {"ls", "--nope"},
		"an order that is none":              {"ls", "--sort", "x"},
		"a selector that is none":            {"ls", "-l", "a=b=c"},
		"a field selector that is none":      {"ls", "--field-selector", "a"},
		"one project":                        {"tags", "a", "b"},
		"a flag after the dash is no run":    {"add", "a", "--", "-x"},
	} {
		if got := c.command(args...); got.code != 2 || !strings.HasPrefix(got.err, "error: ") {
			c.t.Errorf("%s: %s", reason, got)
		}
	}
	c.expectNoChanges()
	if got := c.command("undo", "nope", "-y"); got.code != 1 || !strings.Contains(got.err, `"nope" not found`) {
		c.t.Errorf("got %s", got)
	}
}

func testChangeDeclined(_ *testing.T, c *scene) {
	c.project("capsules")
	got := c.command("add", "a", "--project", "capsules", "--all", "-y", "--timeout", "50ms")
	if got.code != 4 || !strings.Contains(got.err, "the operator has said nothing of it; is it running?") {
		c.t.Errorf("without an operator: %s", got)
	}
	c.expectNoChanges()
	got = c.command("add", "A/b", "--project", "capsules", "--all", "--dry-run=client")
	var shown v1alpha1.TagChange
	if err := yaml.UnmarshalStrict([]byte(got.out), &shown); err != nil || got.code != 0 || got.err != "" {
		c.t.Fatalf("a client's dry run shows the manifest: %v %s", err, got)
	}
	want := v1alpha1.TagChange{
		TypeMeta:   metav1.TypeMeta{APIVersion: "tracking.runtag.dev/v1alpha1", Kind: "TagChange"},
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, GenerateName: "add-a-b-"},
		Spec: v1alpha1.TagChangeSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: "capsules"}, Add: []string{"A/b"}, Select: &v1alpha1.RunSelection{All: true}, MaxRuns: 1000,
		},
	}
	if diff := cmp.Diff(want, shown); diff != "" {
		c.t.Errorf("the manifest (-want +got):\n%s", diff)
	}
	c.expectNoChanges()
}

// testChangeLeft interrupts the command while the operator waits for the tracker: what was agreed to goes on.
func testChangeLeft(_ *testing.T, c *scene) {
	c.project("capsules")
	ctx, interrupt := context.WithCancel(c.t.Context())
	defer interrupt()
	h := &changes{scene: c, matched: 3, planned: 3, begun: interrupt}
	h.start()
	got := c.generated(c.commandWith(ctx, strings.NewReader(""), c.plane.KubeconfigPath(), "add", "a", "--project", "capsules", "--all", "-y"))
	if got.code != 130 || !strings.HasSuffix(got.err, lines(
		"TagChange NAME goes on without this command; see it: kubectl get tchg NAME -n "+c.namespace+" -w; stop it: kubectl delete tchg NAME -n "+c.namespace,
		"error: interrupted",
	)) {
		c.t.Errorf("got %s", got)
	}
	if left := c.changeNames(); len(left) != 1 {
		c.t.Errorf("the TagChange has to stay: %v", left)
	}
	h.begun = func() {}
	got = c.generated(c.command("add", "a", "--project", "capsules", "--all", "-y", "--timeout", "3s"))
	if got.code != 4 || !strings.Contains(got.err, "waiting: RateLimited: the tracker asks to wait\n") || !strings.Contains(got.err, "not seen done in time: RateLimited: the tracker asks to wait") {
		c.t.Errorf("what is waited for is told: %s", got)
	}
}

func testUndo(_ *testing.T, c *scene) {
	c.project("capsules")
	h := &changes{scene: c, matched: 3, planned: 2}
	h.start()
	c.create(&v1alpha1.TagChange{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "done"},
		Spec: v1alpha1.TagChangeSpec{
			ProjectRef: v1alpha1.ProjectReference{Name: "capsules"}, Add: []string{"a"}, Apply: true, Select: &v1alpha1.RunSelection{All: true}, MaxRuns: 7,
		},
	})
	got := c.command("undo", "tagchange.tracking.runtag.dev/done", "-y")
	if got.code != 0 || !strings.HasPrefix(got.out, "tags of 2 runs changed by TagChange undo-done-") || got.err != "3 runs; tags of 2 runs would change\n" {
		c.t.Errorf("got %s", got)
	}
	asked := h.asked()
	want := v1alpha1.TagChangeSpec{ProjectRef: v1alpha1.ProjectReference{Name: "capsules"}, UndoOf: &v1alpha1.TagChangeReference{Name: "done"}, Apply: true, MaxRuns: 7}
	if diff := cmp.Diff(want, asked[len(asked)-1]); diff != "" {
		c.t.Errorf("asked for (-want +got):\n%s", diff)
	}
}
