package plugin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
)

// manifestOf is the manifest of a TrainingRun, to be put before others.
func manifestOf(name, id, tags string) string {
	return fmt.Sprintf("{apiVersion: tracking.runtag.dev/v1alpha1, kind: TrainingRun, metadata: {name: %s}, spec: {projectRef: {name: capsules}, runID: %s, tags: [%s]}}\n---\n", name, id, tags)
}

func pending(add, remove []string) func(*v1alpha1.TrainingRun) {
	return func(r *v1alpha1.TrainingRun) {
		r.Status.Pending = &v1alpha1.PendingTags{Add: add, Remove: remove}
	}
}

func testPlanPending(_ *testing.T, c *scene) {
	c.project("capsules", func(p *v1alpha1.TrackingProject) { p.Spec.MaxTagPolicy = v1alpha1.TagPolicyObserve })
	exclude := func(r *v1alpha1.TrainingRun) { r.Spec.Tags, r.Spec.ExcludeTags = []string{"prod"}, []string{"debug"} }
	c.run("a", synced, tagged("debug", v1alpha1.TagSourceRun), exclude, pending([]string{"prod"}, []string{"debug"}))
	c.run("b", synced, tagged("debug", v1alpha1.TagSourceRun), exclude, pending([]string{"prod"}, []string{"debug"}))
	c.run("c", synced)
	held := "maxTagPolicy of TrackingProject capsules is Observe"
	c.expect("what the ceiling holds back, by tag", said{out: lines(
		"CHANGE    BECAUSE       RUNS   WHICH                    HELD BACK AS",
		"- debug   excludeTags   2      capsules-a, capsules-b   "+held,
		"+ prod    spec          2      capsules-a, capsules-b   "+held,
		"2 to add, 2 to remove on 2 runs: held back",
	)}, "plan", "capsules")
	project := c.file(lines("apiVersion: tracking.runtag.dev/v1alpha1", "kind: TrackingProject", "metadata: {name: capsules}", "spec: {maxTagPolicy: Add}"))
	c.expect("what raising it would do", said{out: lines(
		"CHANGE   BECAUSE   RUNS   WHICH", "+ prod   spec      2      capsules-a, capsules-b", "2 to add on 2 runs: planned; nothing was written",
	)}, "plan", "-f", project)
	c.expect("a project that is not there", said{code: 1, err: "error: read TrackingProject plan-pending/x: trackingprojects.tracking.runtag.dev \"x\" not found\n"}, "plan", "x")
	c.expect("-A is for what is held back", said{code: 2, err: "error: -A is for what is held back; with -f the manifests say where\n"}, "plan", "-A", "-f", project)
}

func testPlanFiles(_ *testing.T, c *scene) {
	c.project("capsules", func(p *v1alpha1.TrackingProject) { p.Spec.UniqueTags = []string{"prod", "solo"} })
	applied := func(names ...string) func(*v1alpha1.TrainingRun) {
		return func(r *v1alpha1.TrainingRun) {
			for _, name := range names {
				r.Status.AppliedTags = append(r.Status.AppliedTags, v1alpha1.AppliedTag{Name: name})
			}
		}
	}
	c.run("a", synced, tagged("prod", v1alpha1.TagSourceSpec), tagged("old", v1alpha1.TagSourceSpec), applied("prod", "old"), func(r *v1alpha1.TrainingRun) {
		r.Labels["tracking.runtag.dev/project"] = "capsules"
	})
	c.run("b", synced)
	c.run("c", synced, func(r *v1alpha1.TrainingRun) {
		r.Labels = map[string]string{"tracking.runtag.dev/imported": "true", "tracking.runtag.dev/project": "capsules"}
	}, tagged("mirrored", v1alpha1.TagSourceRun))
	c.run("d", synced, tagged("solo", v1alpha1.TagSourceRun), func(r *v1alpha1.TrainingRun) {
		r.Labels["tracking.runtag.dev/project"] = "capsules"
		r.Spec.Tags = []string{"under-way"}
	})
	c.run("e", synced, tagged("was", v1alpha1.TagSourceSpec), applied("was"), func(r *v1alpha1.TrainingRun) {
		r.Labels["tracking.runtag.dev/project"] = "capsules"
		r.Annotations = map[string]string{"kubectl.kubernetes.io/last-applied-configuration": `{"apiVersion":"tracking.runtag.dev/v1alpha1","kind":"TrainingRun","metadata":{"name":"capsules-e"},"spec":{"projectRef":{"name":"capsules"},"runID":"e","tags":["was"]}}`}
	})
	c.run("f", func(r *v1alpha1.TrainingRun) { r.Status.Run = nil })
	before := c.versions()
	move := c.file(manifestOf("capsules-a", "a", "new") + manifestOf("capsules-b", "b", "prod") + manifestOf("nightly", "zz", "x, z"))
	want := said{out: lines(
		"CHANGE   BECAUSE               RUNS   WHICH",
		"+ new    spec                  1      capsules-a",
		"- old    declared no more      1      capsules-a",
		"+ prod   spec                  1      capsules-b",
		"- prod   moves to capsules-b   1      capsules-a",
		"? nightly: unknown, there is no TrainingRun of it yet; it declares x, z",
		"2 to add, 2 to remove on 2 runs: planned; nothing was written",
	)}
	c.expect("tags come, go and move; what has no TrainingRun is unknown", want, "plan", "-f", move)
	c.expect("the API server finds the same", want, "plan", "-f", move, "--dry-run=server")
	several := "several TrainingRuns declare prod, and at most one run may carry it: it does not move"
	c.expect("with --server-side what another manager owns stays", said{
		out: lines("CHANGE   BECAUSE   RUNS   WHICH", "+ new    spec      1      capsules-a", "? nightly: unknown, there is no TrainingRun of it yet; it declares x, z", "1 to add on 1 run: planned; nothing was written"),
		err: lines("capsules-a: "+several, "capsules-b: "+several),
	}, "plan", "-f", move, "--server-side", "--field-manager", "git")
	c.expect("a unique tag moves from a run of which the manifests say nothing", said{out: lines(
		"CHANGE   BECAUSE               RUNS   WHICH",
		"+ solo   spec                  1      capsules-b",
		"- solo   moves to capsules-b   1      capsules-d",
		"1 to add, 1 to remove on 2 runs: planned; nothing was written",
	)}, "plan", "-f", c.file(manifestOf("capsules-b", "b", "solo")))
	c.expect("an imported one gives way, and its memory stays", said{
		out: lines("CHANGE   BECAUSE   RUNS   WHICH", "+ x      spec      1      mine", "1 to add on 1 run: planned; nothing was written"),
		err: "mine takes over from capsules-c, which was imported\n",
	}, "plan", "-f", c.file(manifestOf("mine", "c", "x")))
	c.expect("one that a person made does not", said{out: lines(
		"? mine: unknown, TrainingRun capsules-b stands for the run already, so this one would be Stalled (DuplicateRun); it declares x",
		"nothing would change on the tracker, as far as it is known",
	)}, "plan", "-f", c.file(manifestOf("mine", "b", "x")))
	c.expect("what the manifest that was applied last had, and this one has not, goes", said{out: lines(
		"CHANGE   BECAUSE            RUNS   WHICH", "- was    declared no more   1      capsules-e", "1 to remove on 1 run: planned; nothing was written",
	)}, "plan", "-f", c.file("{apiVersion: tracking.runtag.dev/v1alpha1, kind: TrainingRun, metadata: {name: capsules-e}, spec: {projectRef: {name: capsules}, runID: e}}"))
	c.expect("a run that was not seen yet is unknown", said{out: lines("? capsules-f: unknown, its run was not seen on the tracker yet; it declares x", "nothing would change on the tracker, as far as it is known")}, "plan", "-f", c.file(manifestOf("capsules-f", "f", "x")))
	c.expect("what is under way anyway is left out", said{out: "nothing would change on the tracker\n"}, "plan", "-f", c.file(manifestOf("capsules-d", "d", "under-way")))
	c.expect("of another project nothing is told", said{out: "nothing would change on the tracker\n"}, "plan", "other", "-f", move)
	c.expect("what is there already changes nothing", said{out: "nothing would change on the tracker\n"}, "plan", "-f", c.file(manifestOf("capsules-a", "a", "prod, old")))
	invalid := c.command("plan", "-f", c.file(manifestOf("capsules-b", "other", "x")), "--dry-run=server")
	if invalid.code != 1 || !strings.Contains(invalid.err, "runID can't be changed") {
		c.t.Errorf("what the API server refuses is told: %s", invalid)
	}
	if got := c.command("plan", "-f", c.file(strings.Replace(manifestOf("x", "x", "x"), "tags:", "tag:", 1))); got.code != 1 || !strings.Contains(got.err, `unknown field "spec.tag"`) {
		c.t.Errorf("a field that is none: %s", got)
	}
	if got := c.command("plan", "-f", c.file("{apiVersion: v1, kind: Pod, metadata: {name: x}}")); got.code != 2 {
		c.t.Errorf("nothing to plan: %s", got)
	}
	if diff := cmp.Diff(before, c.versions()); diff != "" {
		c.t.Errorf("plan wrote something (-before +after):\n%s", diff)
	}
}

// versions are those of all objects of the scene that plan reads.
func (c *scene) versions() map[string]string {
	c.t.Helper()
	out := map[string]string{}
	var runs v1alpha1.TrainingRunList
	var projects v1alpha1.TrackingProjectList
	var rules v1alpha1.TagRuleList
	for _, list := range []client.ObjectList{&runs, &projects, &rules} {
		if err := c.client.List(c.t.Context(), list, client.InNamespace(c.namespace)); err != nil {
			c.t.Fatal(err)
		}
	}
	for i := range runs.Items {
		out["run "+runs.Items[i].Name] = runs.Items[i].ResourceVersion
	}
	for i := range projects.Items {
		out["project "+projects.Items[i].Name] = projects.Items[i].ResourceVersion
	}
	for i := range rules.Items {
		out["rule "+rules.Items[i].Name] = rules.Items[i].ResourceVersion
	}
	return out
}

func testPlanRules(_ *testing.T, c *scene) {
	c.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "default"}})
	c.project("capsules")
	held := func(rule, tag string) func(*v1alpha1.TrainingRun) {
		return func(r *v1alpha1.TrainingRun) {
			r.Status.RuleTags = append(r.Status.RuleTags, v1alpha1.RuleTag{Rule: rule, Tag: tag, State: "Held", Sticky: rule == "TagRule/state", Computed: tag == "computed", First: metav1.NewTime(now), Last: metav1.NewTime(now)})
			r.Status.Tags = append(r.Status.Tags, v1alpha1.TagStatus{Name: tag, Source: "Rule", Rule: rule, Since: metav1.NewTime(now), Present: true})
			r.Status.AppliedTags = append(r.Status.AppliedTags, v1alpha1.AppliedTag{Name: tag})
		}
	}
	c.run("a", inState("running"), synced, held("TagRule/state", "was-running"), held("TagRule/other", "kept"), held("TagRule/other", "computed"))
	c.run("b", inState("failed"), synced)
	c.create(&v1alpha1.TagRule{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: "state"}, Spec: v1alpha1.TagRuleSpec{When: "true", Tags: []string{"was-running"}}})
	rule := lines("apiVersion: tracking.runtag.dev/v1alpha1", "kind: TagRule", "metadata: {name: state}", "spec:", `  when: run.state == "failed"`, "  tags: [bad]", "  for: 10m")
	c.expect("other tags of a rule replace those that it gave, and what other rules found stays", said{out: lines(
		"CHANGE          BECAUSE                                 RUNS   WHICH",
		"+ bad           TagRule/state, once it held for 10m0s   2      capsules-a, capsules-b",
		"- was-running   no longer by TagRule/state              1      capsules-a",
		"2 to add, 1 to remove on 2 runs: planned; nothing was written",
	)}, "plan", "-f", c.file(rule))
	c.expect("a rule that is taken back", said{out: lines(
		"CHANGE          BECAUSE                      RUNS   WHICH",
		"- was-running   no longer by TagRule/state   1      capsules-a",
		"1 to remove on 1 run: planned; nothing was written",
	)}, "plan", "-f", c.file(lines("apiVersion: tracking.runtag.dev/v1alpha1", "kind: TagRule", "metadata: {name: state}", "spec: {mode: Retract}")))
	viewer := c.kubeconfig("planner", rbacv1.PolicyRule{APIGroups: []string{"tracking.runtag.dev"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch"}})
	onNodes := c.file(onSpot("x", ""))
	got := c.commandWith(c.t.Context(), strings.NewReader(""), viewer, "plan", "-f", onNodes)
	if got.code != 0 || !strings.Contains(got.err, "TagRule/spot has no input for 2 runs") || strings.Count(got.err, "has no input") != 1 {
		c.t.Errorf("a viewer plans as far as he may read, and is told: %s", got)
	}
	if got := c.commandWith(c.t.Context(), strings.NewReader(""), viewer, "plan", "-f", onNodes, "--dry-run=server"); got.code != 1 || !strings.Contains(got.err, "the right to read is enough") {
		c.t.Errorf("a dry run needs the right to write: %s", got)
	}
	wide := c.file(strings.Replace(rule, "kind: TagRule", "kind: ClusterTagRule", 1))
	if got := c.commandWith(c.t.Context(), strings.NewReader(""), viewer, "plan", "-f", wide); got.code != 1 || !strings.Contains(got.err, "create clusterrolebinding NAME --clusterrole=runtag-viewer") {
		c.t.Errorf("what is of the whole cluster is allowed there: %s", got)
	}
	if got := c.command("plan", "-f", c.file(strings.Replace(rule, "run.state", "run.stat", 1))); got.code != 1 || !strings.Contains(got.err, "line 1, column") {
		c.t.Errorf("a rule that does not compile: %s", got)
	}
}

func testExport(_ *testing.T, c *scene) {
	c.project("capsules")
	c.run("a", synced, tagged("debug", v1alpha1.TagSourceRun), tagged("baseline", v1alpha1.TagSourceLabel), func(r *v1alpha1.TrainingRun) {
		r.Labels["tracking.runtag.dev/imported"], r.Labels["team"] = "true", "vision"
	})
	c.run("b", synced, func(r *v1alpha1.TrainingRun) {
		r.Annotations = map[string]string{"tracking.runtag.dev/tags": "nonsense"}
	})
	clean := []string{
		"apiVersion: tracking.runtag.dev/v1alpha1", "kind: TrainingRun", "metadata:", "  labels:", "    team: vision", "  name: capsules-a", "  namespace: export",
		"spec:", "  projectRef:", "    name: capsules", "  runID: a", "  tags:", "  - baseline",
	}
	c.expect("a clean manifest", said{out: lines(clean...)}, "export", "a")
	got := c.command("export", "--all")
	if got.code != 3 || got.out != lines(clean...) || !strings.Contains(got.err, "TrainingRun export/capsules-b: ") {
		c.t.Errorf("what can't be exported is told: %s", got)
	}
	c.run("c", synced)
	c.expect("several are parted", said{out: lines(append(clean, "---",
		"apiVersion: tracking.runtag.dev/v1alpha1", "kind: TrainingRun", "metadata:", "  name: capsules-c", "  namespace: export", "spec:", "  projectRef:", "    name: capsules", "  runID: c")...)}, "export", "a", "c")
	if got := c.command("export", "a", "c", "-o", "json"); got.code != 0 || !strings.Contains(got.out, `"kind": "List"`) {
		c.t.Errorf("as JSON: %s", got)
	}
	manifest := c.file(c.command("export", "a").out)
	c.expect("what was exported changes nothing when it is applied", said{out: "nothing would change on the tracker\n"}, "plan", "-f", manifest, "--dry-run=server")
	c.expect("none is named", said{code: 2, err: "error: say of which runs: name them, or take -l, --with-tag, --without-tag, --state or --all\n"}, "export")
}
