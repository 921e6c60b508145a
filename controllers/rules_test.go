package controllers_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
)

const (
	spotLabel  = "cloud.google.com/gke-spot"
	onSpot     = `nodes.exists(n, n.label("cloud.google.com/gke-spot") == "true")`
	wasEvicted = `pods.exists(p, p.condition("DisruptionTarget") == "True")`
	isGoing    = `nodes.exists(n, n.hasTaint("going"))`
)

// inPod has an active run on the tracker, its TrainingRun, and a pod that names it, on a spot node.
func inPod(id string) (*v1alpha1.TrainingRun, *corev1.Pod) {
	GinkgoHelper()
	h.SeeNodes(h.NewNode("spot", map[string]string{spotLabel: "true"}))
	pod := h.NewPod("pod-"+id, "spot", corev1.EnvVar{Name: "WANDB_RUN_ID", Value: id})
	h.SeePods(pod)
	h.AddActiveRun(id)
	run := h.NewRun(id)
	apply(run)
	return run, pod
}

// fact is what a TrainingRun remembers of a rule and a tag.
func fact(run *v1alpha1.TrainingRun, rule, tag string) *v1alpha1.RuleTag {
	GinkgoHelper()
	h.Refresh(run)
	for i, t := range run.Status.RuleTags {
		if t.Rule == rule && t.Tag == tag {
			return &run.Status.RuleTags[i]
		}
	}
	return nil
}

// finish ends a run on the tracker, and looks.
func finish(id, state string) {
	GinkgoHelper()
	r, ok := h.Tracker.Run(h.Tracker.Path(id))
	Expect(ok).To(BeTrue())
	r.State = state
	h.AddTrackerRun(r)
	h.Step(period)
}

var _ = Describe("Rules", func() {
	var project *v1alpha1.TrackingProject

	BeforeEach(func(ctx SpecContext) {
		start(ctx, controllerstest.Options{})
		project = h.NewProject()
		apply(project)
	})

	It("tag a run by the node of its pod, say why, and show it as a label", func() {
		apply(h.NewRule("preemptible", onSpot, "preemptible"))
		run, _ := inPod("a")
		h.ExpectTagsOn("a", "preemptible")
		h.Refresh(run)
		Expect(run.Labels).To(HaveKeyWithValue("tag.runtag.dev/preemptible", "rule"))
		Expect(run.Status.Tags).To(HaveLen(1))
		Expect(run.Status.Tags[0]).To(And(
			HaveField("Source", v1alpha1.TagSourceRule), HaveField("Rule", "TagRule/preemptible"), HaveField("Present", true),
			HaveField("Reason", And(ContainSubstring("pod-a"), ContainSubstring("spot"), ContainSubstring(spotLabel+"=true"))),
		))
		Expect(run.Status.Pods).To(ConsistOf(And(HaveField("Name", "pod-a"), HaveField("BoundBy", "Env"), HaveField("Node", "spot"))))
		Expect(run.Status.History).To(ContainElement(And(HaveField("Source", v1alpha1.TagSourceRule), HaveField("By", "TagRule/preemptible"))))
		h.ExpectCondition(run, v1alpha1.ConditionLinked, metav1.ConditionTrue, v1alpha1.ReasonPodsFound)
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		h.Step(fullPeriod) // the project counts its runs
		h.ExpectQuiet(fullPeriod)
	})

	It("keep a fact when pod and node are gone, also after a restart", func() {
		apply(h.NewRule("preemptible", onSpot, "preemptible"), h.NewRule("none", `!pods.exists(p, p.live)`, "none"), h.NewRule("all", `nodes.all(n, n.label("x") == "y")`, "all"))
		_, pod := inPod("a")
		h.GonePods(pod)
		h.GoneNodes("spot")
		h.Settle()
		h.ExpectTagsOn("a", "preemptible", "none")
		h.EditTags("a", nil, []string{"none"})
		h.Restart()
		h.Settle()
		h.ExpectTagsOn("a", "preemptible", "none") // no input, so nothing changes
		finish("a", "finished")
		h.ExpectTagsOn("a", "preemptible", "none")
	})

	It("change nothing on a run without pods", func() {
		apply(h.NewRule("none", `!pods.exists(p, p.live)`, "none"), h.NewRule("all", `nodes.all(n, n.label("x") == "y")`, "all"))
		h.AddActiveRun("a")
		run := h.NewRun("a")
		apply(run)
		h.ExpectTagsOn("a")
		h.Restart()
		h.Settle()
		h.ExpectTagsOn("a")
		Expect(run.Status.RuleTags).To(BeEmpty())
	})

	It("mark the disruption of a pod that is gone a moment later, at once", func() {
		apply(h.NewRule("preempted", wasEvicted, "preempted"))
		_, pod := inPod("a")
		h.ExpectTagsOn("a")
		h.Disrupt(pod, "PreemptionByScheduler")
		h.GonePods(pod)
		h.Settle()
		h.ExpectTagsOn("a", "preempted")
		Expect(h.Log.Audit()).To(ContainElement(And(
			HaveKeyWithValue("rule", "TagRule/preempted"), HaveKeyWithValue("evidence", ContainSubstring("DisruptionTarget=True")), Not(HaveKey("fieldManager")),
		)))
	})

	It("keep what a Sticky rule found when the rule is deleted, and take off what a WhileTrue rule gave after five minutes", func() {
		sticky, while := h.NewRule("sticky", onSpot, "sticky"), h.NewRule("while", onSpot, "while")
		while.Spec.Retention = v1alpha1.RetentionWhileTrue
		apply(sticky, while)
		run, _ := inPod("a")
		h.ExpectTagsOn("a", "sticky", "while")
		h.ExpectDeleted(sticky, while)
		h.Settle()
		h.ExpectTagsOn("a", "sticky", "while")
		Expect(fact(run, "TagRule/sticky", "sticky").Reason).To(ContainSubstring("rule deleted"))
		h.Restart()
		h.Step(4 * time.Minute)
		h.ExpectTagsOn("a", "sticky", "while")
		h.Step(2 * time.Minute)
		h.ExpectTagsOn("a", "sticky")
		again := h.NewRule("sticky", `false`, "sticky")
		apply(again)
		h.ExpectTagsOn("a", "sticky")
		Expect(fact(run, "TagRule/sticky", "sticky").Reason).NotTo(ContainSubstring("rule deleted"))
	})

	It("replace tags when the rule gives others, and keep facts when it says otherwise when", func() {
		rule := h.NewRule("r", onSpot, "old")
		apply(rule)
		run, _ := inPod("a")
		h.ExpectTagsOn("a", "old")
		h.Refresh(rule)
		rule.Spec.Tags = []string{"new"}
		apply(rule)
		h.ExpectTagsOn("a", "new")
		h.Refresh(rule)
		rule.Spec.When = "false"
		apply(rule)
		h.ExpectTagsOn("a", "new")
		h.Refresh(rule)
		rule.Spec.RunSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"no": "such"}}
		apply(rule)
		h.ExpectTagsOn("a", "new")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("take WhileTrue tags off when they no longer hold, when the run ends, and when the selector lets the run go", func() {
		while := h.NewRule("while", isGoing, "interrupted")
		while.Spec.Retention = v1alpha1.RetentionWhileTrue
		ended := h.NewRule("ended", onSpot, "on_spot_now")
		ended.Spec.Retention = v1alpha1.RetentionWhileTrue
		apply(while, ended)
		run, _ := inPod("a")
		node := h.NewNode("spot", map[string]string{spotLabel: "true"})
		node.Spec.Taints = []corev1.Taint{{Key: "going", Effect: corev1.TaintEffectNoSchedule}}
		h.SeeNodes(node)
		h.Settle()
		h.ExpectTagsOn("a", "interrupted", "on_spot_now")
		h.SeeNodes(h.NewNode("spot", map[string]string{spotLabel: "true"}))
		h.Settle()
		h.ExpectTagsOn("a", "on_spot_now")
		finish("a", "finished")
		h.ExpectTagsOn("a")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("wait for as long as they are told, also over a restart, and begin anew after a break", func() {
		rule := h.NewRule("slow", isGoing, "slow")
		rule.Spec.For = metav1.Duration{Duration: time.Minute}
		apply(rule)
		run, _ := inPod("a")
		going := h.NewNode("spot", nil)
		going.Spec.Taints = []corev1.Taint{{Key: "going", Effect: corev1.TaintEffectNoSchedule}}
		h.SeeNodes(going)
		h.Step(40 * time.Second)
		Expect(fact(run, "TagRule/slow", "slow").State).To(Equal(v1alpha1.RuleTagPending))
		h.SeeNodes(h.NewNode("spot", nil))
		h.Settle()
		Expect(fact(run, "TagRule/slow", "slow")).To(BeNil())
		h.SeeNodes(going)
		h.Step(30 * time.Second)
		h.Restart()
		h.Step(20 * time.Second)
		h.ExpectTagsOn("a")
		h.Step(11 * time.Second)
		h.ExpectTagsOn("a", "slow")
	})

	It("freeze under Report and Suspend what they hold, and count", func() {
		rule := h.NewRule("r", onSpot, "x")
		apply(rule)
		_, _ = inPod("a")
		h.ExpectTagsOn("a", "x")
		for _, mode := range []v1alpha1.RuleMode{v1alpha1.RuleModeReport, v1alpha1.RuleModeSuspend} {
			h.Refresh(rule)
			rule.Spec.Mode = mode
			apply(rule)
			h.ExpectTagsOn("a", "x")
			h.EditTags("a", nil, []string{"x"})
			h.Step(period)
			h.ExpectTagsOn("a") // not put back
			h.Refresh(rule)
			rule.Spec.Mode = v1alpha1.RuleModeEnforce
			apply(rule)
			h.ExpectTagsOn("a", "x")
		}
		report := h.NewRule("report", onSpot, "y")
		report.Spec.Mode = v1alpha1.RuleModeReport
		apply(report)
		h.Step(2 * time.Minute)
		h.ExpectTagsOn("a", "x")
		h.Refresh(report)
		Expect(report.Status).To(And(HaveField("MatchedRuns", int32(1)), HaveField("HeldRuns", int32(0)), HaveField("LastMatch", Not(BeNil()))))
		h.Step(fullPeriod) // the project counts its runs
		h.ExpectQuiet(fullPeriod)
	})

	It("are taken back by Retract, also when pods and nodes are long gone, and leave what was there before", func() {
		rule := h.NewRule("r", onSpot, "x")
		h.AddActiveRun("b", "x")
		apply(rule)
		_, pod := inPod("a")
		other := h.NewPod("pod-b", "spot", corev1.EnvVar{Name: "WANDB_RUN_ID", Value: "b"})
		h.SeePods(other)
		apply(h.NewRun("b"))
		h.ExpectTagsOn("a", "x")
		h.ExpectTagsOn("b", "x")
		h.Step(time.Minute)
		h.Refresh(rule)
		Expect(rule.Status).To(And(HaveField("MatchedRuns", int32(2)), HaveField("HeldRuns", int32(2))))
		h.GonePods(pod, other)
		h.GoneNodes("spot")
		h.Restart()
		h.Settle()
		h.Refresh(rule)
		rule.Spec.Mode = v1alpha1.RuleModeRetract
		apply(rule)
		h.Step(time.Minute)
		h.ExpectTagsOn("a")
		h.ExpectTagsOn("b", "x")
		h.Refresh(rule)
		Expect(rule.Status).To(And(HaveField("HeldRuns", int32(0)), HaveField("RetractedRuns", int32(2))))
		h.ExpectReady(rule, v1alpha1.ReasonRetracted, "kubectl runtag rm")
	})

	It("say where an expression is wrong, and keep what they hold while it is", func() {
		rule := h.NewRule("r", onSpot, "x")
		apply(rule)
		run, _ := inPod("a")
		h.Refresh(rule)
		rule.Spec.When = `nods.exists(n, true)`
		apply(rule)
		h.ExpectStalled(rule, v1alpha1.ReasonInvalidExpression, "spec.when", "line 1, column 1", "nods")
		h.ExpectTagsOn("a", "x")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
		editProject(project, func(p *v1alpha1.TrackingProject) { p.Spec.MaxTagPolicy = v1alpha1.TagPolicyExclusive })
		h.EditTags("a", []string{"foreign"}, nil)
		edit(run, func(r *v1alpha1.TrainingRun) { r.Spec.TagPolicy = v1alpha1.TagPolicyExclusive })
		h.Step(period)
		h.ExpectTagsOn("a", "x", "foreign") // what looks foreign may be the rule's
		h.ExpectStalled(run, v1alpha1.ReasonUnknownSource, "TagRule/r")
	})

	It("give way to whoever takes the label off, until somebody declares the tag", func() {
		apply(h.NewRule("r", onSpot, "x"))
		run, _ := inPod("a")
		kubectl("label", "trainingrun", run.Name, "tag.runtag.dev/x-")
		h.Settle()
		h.ExpectTagsOn("a")
		Expect(fact(run, "TagRule/r", "x").State).To(Equal(v1alpha1.RuleTagOverruled))
		h.ExpectEvent(run, corev1.EventTypeNormal, "RuleOverruled", "x")
		apply(h.NewRule("other", onSpot, "x", "y"))
		h.Restart()
		h.Step(period)
		h.ExpectTagsOn("a", "y")
		h.ExpectQuiet(fullPeriod)
		kubectl("label", "trainingrun", run.Name, "tag.runtag.dev/x=")
		h.Settle()
		h.ExpectTagsOn("a", "x", "y")
		Expect(fact(run, "TagRule/r", "x")).To(HaveField("State", v1alpha1.RuleTagHeld))
	})

	It("are overruled by who takes the tag off the ended run twice", func() {
		apply(h.NewRule("r", onSpot, "x"))
		run, _ := inPod("a")
		finish("a", "crashed")
		h.EditTags("a", nil, []string{"x"})
		h.Step(fullPeriod)
		h.ExpectTagsOn("a", "x")
		h.EditTags("a", nil, []string{"x"})
		h.Step(fullPeriod)
		h.ExpectTagsOn("a")
		Expect(fact(run, "TagRule/r", "x").State).To(Equal(v1alpha1.RuleTagOverruled))
	})

	It("put back on an active run what a script wipes", func() {
		apply(h.NewRule("r", onSpot, "x"))
		_, _ = inPod("a")
		h.EditTags("a", nil, []string{"x"})
		h.Step(period)
		h.ExpectTagsOn("a", "x")
	})

	It("see nothing of what rules do", func() {
		apply(
			h.NewRule("a", onSpot, "first"),
			h.NewRule("b", `tags.exists(t, t == "first") || "tag.runtag.dev/first" in labels`, "second"),
			h.NewRule("c", `tags.exists(t, t == "mine")`, "third"),
		)
		run, _ := inPod("a")
		h.Step(fullPeriod)
		h.ExpectTagsOn("a", "first")
		kubectl("label", "trainingrun", run.Name, "tag.runtag.dev/mine=")
		h.Settle()
		h.ExpectTagsOn("a", "first", "mine", "third")
	})

	It("leave their facts on the run when the object goes and takes its tags along", func() {
		apply(h.NewRule("r", onSpot, "fact"))
		run, _ := inPod("a")
		edit(run, func(r *v1alpha1.TrainingRun) {
			r.Spec.Tags, r.Spec.DeletionPolicy = []string{"declared"}, v1alpha1.DeletionPolicyRemoveTags
		})
		h.ExpectTagsOn("a", "fact", "declared")
		h.ExpectDeleted(run)
		h.Settle()
		h.ExpectGone(run)
		h.ExpectTagsOn("a", "fact")
	})

	It("tag a run whose metric passes a threshold", func() {
		r := h.AddActiveRun("a")
		r.Summary = map[string]any{"val/loss": 0.5}
		h.AddTrackerRun(r)
		run := h.NewRun("a")
		apply(run, h.NewRule("good", `run.summary["val/loss"] < 0.1`, "release_candidate"))
		h.Step(period)
		h.ExpectTagsOn("a")
		r.Summary = map[string]any{"val/loss": 0.05}
		h.AddTrackerRun(r)
		h.Step(period)
		h.ExpectTagsOn("a", "release_candidate")
	})

	It("are for the runs and namespaces that they select", func() {
		wide := h.NewClusterRule("wide-"+h.Namespace, "true", "wide")
		wide.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": h.Namespace}}
		other := h.NewClusterRule("other-"+h.Namespace, "true", "other")
		other.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "default"}}
		picky := h.NewRule("picky", "true", "picky")
		picky.Spec.RunSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "vision"}}
		apply(wide, other, picky)
		run, _ := inPod("a")
		h.ExpectTagsOn("a", "wide")
		edit(run, func(r *v1alpha1.TrainingRun) { r.Labels["team"] = "vision" })
		h.ExpectTagsOn("a", "wide", "picky")
	})

	It("compute tags, and keep the latest that were not empty", func() {
		rule := h.NewRule("zone", "size(nodes) > 0")
		rule.Spec.Tags, rule.Spec.TagExpression = nil, `nodes.filter(n, n.hasLabel("zone")).map(n, "zone-" + n.label("zone"))`
		apply(rule)
		run, _ := inPod("a")
		h.ExpectTagsOn("a")
		h.SeeNodes(h.NewNode("spot", map[string]string{"zone": "b"}))
		h.Settle()
		h.ExpectTagsOn("a", "zone-b")
		h.SeeNodes(h.NewNode("spot", map[string]string{}))
		h.Settle()
		h.ExpectTagsOn("a", "zone-b")
		h.SeeNodes(h.NewNode("spot", map[string]string{"zone": "c"}))
		h.Settle()
		h.ExpectTagsOn("a", "zone-c")
		h.ExpectReady(run, v1alpha1.ReasonSynced)
	})

	It("do not own what was on the run before their first write", func() {
		rule := h.NewRule("r", onSpot, "x")
		h.SeeNodes(h.NewNode("spot", map[string]string{spotLabel: "true"}))
		h.SeePods(h.NewPod("pod-a", "spot", corev1.EnvVar{Name: "WANDB_RUN_ID", Value: "a"}))
		h.AddActiveRun("a")
		run := h.NewRun("a")
		apply(run)
		h.ExpectApplied(rule)
		h.Reconcile() // written down as ours, and on its way
		Expect(applied(run)).To(ConsistOf("x"))
		h.EditTags("a", []string{"x"}, nil)
		h.Settle()
		Expect(applied(run)).To(BeEmpty())
		h.Refresh(rule)
		rule.Spec.Mode = v1alpha1.RuleModeRetract
		apply(rule)
		h.ExpectTagsOn("a", "x")
	})
})
