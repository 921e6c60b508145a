package controllerstest

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
)

// checkInvariants is called whenever the harness has settled.
func (h *Harness) checkInvariants() {
	h.t.Helper()
	h.mu.Lock()
	violations := h.violations
	h.violations = nil
	h.mu.Unlock()
	if len(violations) > 0 {
		h.fail("not written ahead: %s", strings.Join(violations, "; "))
	}
	if h.options.Unchecked {
		return
	}
	for _, ns := range h.namespaces {
		for _, r := range h.runsIn(ns) {
			h.checkKstatus(&r, r.Status.ObservedGeneration, r.Status.Conditions)
		}
		for _, p := range h.projectsIn(ns) {
			h.checkKstatus(&p, p.Status.ObservedGeneration, p.Status.Conditions)
		}
		for _, c := range h.changesIn(ns) {
			h.checkKstatus(&c, c.Status.ObservedGeneration, c.Status.Conditions)
		}
		for _, r := range h.rulesIn(ns) {
			h.checkKstatus(&r, r.Status.ObservedGeneration, r.Status.Conditions)
		}
	}
}

// checkKstatus holds conditions against the kstatus conventions.
func (h *Harness) checkKstatus(obj client.Object, observed int64, conditions []metav1.Condition) {
	h.t.Helper()
	if h.options.MayLag && observed < obj.GetGeneration() {
		return
	}
	for _, problem := range KstatusProblems(obj, observed, conditions) {
		h.fail("%s %s does not follow kstatus: %s", kindOf(obj), obj.GetName(), problem)
	}
}

// KstatusProblems says what contradicts itself in the status of an object over which passes have been made.
func KstatusProblems(obj client.Object, observed int64, conditions []metav1.Condition) (problems []string) {
	generation := obj.GetGeneration()
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if observed > generation {
		say("observedGeneration is %d and the generation %d", observed, generation)
	}
	if observed < generation && obj.GetDeletionTimestamp().IsZero() {
		say("observedGeneration is %d, and generation %d is settled", observed, generation)
	}
	if len(conditions) == 0 {
		return problems
	}
	ready := meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReady)
	reconciling := meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionReconciling)
	stalled := meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionStalled)
	if ready == (reconciling || stalled) || reconciling && stalled {
		say("Ready is %t, Reconciling %t, Stalled %t", ready, reconciling, stalled)
	}
	if meta.FindStatusCondition(conditions, v1alpha1.ConditionReady) == nil {
		say("there is no condition Ready")
	}
	for _, c := range conditions {
		if c.ObservedGeneration != observed {
			say("condition %s is about generation %d, the status about %d", c.Type, c.ObservedGeneration, observed)
		}
		if c.Message == "" || c.Reason == "" {
			say("condition %s has no message or no reason", c.Type)
		}
	}
	return problems
}

// expectNoSecret looks for the canary wherever somebody could see it.
func (h *Harness) expectNoSecret() {
	h.t.Helper()
	for place, text := range h.Shown() {
		if strings.Contains(text, Canary) {
			h.t.Fatalf("the canary is in %s", place)
		}
	}
}

// describe shows all objects of the test, and what happened to them.
func (h *Harness) describe() string {
	var out strings.Builder
	show := func(obj any) {
		text, err := yaml.Marshal(obj)
		if err != nil {
			text = []byte(err.Error())
		}
		fmt.Fprintf(&out, "---\n%s", text)
	}
	for _, ns := range h.namespaces {
		for _, p := range h.projectsIn(ns) {
			show(p)
		}
		for i, r := range h.runsIn(ns) {
			if i == 5 {
				out.WriteString("--- and more TrainingRuns\n")
				break
			}
			show(r)
		}
	}
	for _, e := range h.Events.All() {
		fmt.Fprintf(&out, "event %s %s %s: %s\n", e.Object, e.Type, e.Reason, e.Note)
	}
	for _, t := range h.trackers {
		requests := t.Requests()
		for _, r := range requests[max(0, len(requests)-20):] {
			variables, err := json.Marshal(r.Variables)
			if err != nil {
				variables = []byte(err.Error())
			}
			fmt.Fprintf(&out, "request %s %s %d %s %s\n", r.Time.Format("15:04:05.000"), r.Operation, r.Status, r.Fault, variables)
		}
	}
	if len(h.errors) > 0 {
		fmt.Fprintf(&out, "errors: %s\n", strings.Join(h.errors, "; "))
	}
	return out.String()
}

// list lists what there is of a kind. Where the operator's cache may be behind it is not asked.
func (h *Harness) list(kind string, list client.ObjectList, namespace string, reader client.Reader) {
	h.t.Helper()
	if h.Held == nil {
		h.g.Expect(reader.List(h.ctx, list, client.InNamespace(namespace))).To(gomega.Succeed())
		return
	}
	var items []runtime.Object
	for _, o := range h.Held.latest(kind, namespace) {
		items = append(items, o)
	}
	h.g.Expect(meta.SetList(list, items)).To(gomega.Succeed())
}

func (h *Harness) runsIn(namespace string) []v1alpha1.TrainingRun {
	h.t.Helper()
	var list v1alpha1.TrainingRunList
	h.list(kindRun, &list, namespace, h.cluster.GetCache())
	return list.Items
}

func (h *Harness) projectsIn(namespace string) []v1alpha1.TrackingProject {
	h.t.Helper()
	var list v1alpha1.TrackingProjectList
	h.list(kindProject, &list, namespace, h.cluster.GetCache())
	return list.Items
}

func conditionOf(obj client.Object, kind string) *metav1.Condition {
	switch o := obj.(type) {
	case *v1alpha1.TrainingRun:
		return meta.FindStatusCondition(o.Status.Conditions, kind)
	case *v1alpha1.TrackingProject:
		return meta.FindStatusCondition(o.Status.Conditions, kind)
	case *v1alpha1.TagRule:
		return meta.FindStatusCondition(o.Status.Conditions, kind)
	case *v1alpha1.ClusterTagRule:
		return meta.FindStatusCondition(o.Status.Conditions, kind)
	case *v1alpha1.TagChange:
		return meta.FindStatusCondition(o.Status.Conditions, kind)
	}
	return nil
}
