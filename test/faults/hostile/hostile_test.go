// Package hostile_test lets people and trackers send the operator the worst that the API server lets through, and checks
// that each gets a clear condition, that nothing that was there is lost, and that the others are not held up.
package hostile_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/test/faults/facts"
)

// largest is how large a status may become: etcd takes 1.5 MiB for an object, and a person may fill some of it.
const largest = 512 << 10

func TestHostileUsers(t *testing.T) {
	if err := flag.Set("rapid.checks", facts.Pick("4", "200")); err != nil {
		t.Fatal(err)
	}
	suite := controllerstest.Start(t, "../../../config")
	tries := []struct {
		name string
		test func(*testing.T, *controllerstest.Harness)
	}{
		{"128 tags of 250 characters of every script", tagsOfEveryScript},
		{"a run with 1,000 tags of others", crowdedRun},
		{"labels with the operator's own values", operatorsOwnValues},
		{"annotations of 250 KB", hugeAnnotations},
		{"many rules at the cost limit", costlyRules},
		{"a status full of garbage", garbageStatus},
	}
	for _, try := range tries {
		t.Run(try.name, func(t *testing.T) {
			h := suite.New(t.Context(), t, controllerstest.Options{OnWrite: nil})
			t.Cleanup(h.Close)
			try.test(t, h)
		})
	}
	facts.Record(t, facts.Fact{Part: "input", What: "kinds of hostile objects tried", Value: float64(len(tries))})
}

func apply(h *controllerstest.Harness, objs ...client.Object) {
	h.ExpectApplied(objs...)
	h.Settle()
}

// scripts are letters, digits, signs and control characters of many kinds, of 1 to 4 bytes.
var scripts = []rune("aZ09 \t\n\x00\x01\x1b\x7f\u0085éßğ日本語한국어العربيةעבריתไทยहिन्दीΕλληνικάКириллица🚀👩‍💻\u200b\u202e\ufeff\u2028\U000e0041\"'\\`{}$%<>&,;=/:|*?[]()")

// hostileTag is a tag of so many characters that the API server takes.
func hostileTag(n, length int) string {
	tag := make([]rune, 0, length)
	for i := range length {
		tag = append(tag, scripts[(n*7+i*13)%len(scripts)])
	}
	tag[0], tag[length-1] = 'x', rune('a'+n%26) // blanks at the ends are refused
	return fmt.Sprintf("%03d", n) + string(tag[3:])
}

func tagsOfEveryScript(t *testing.T, h *controllerstest.Harness) {
	h.AddRun("a", "foreign")
	project, run := h.NewProject(), h.NewRun("a", "good")
	apply(h, project, run)
	h.ExpectTagsOn("a", "foreign", "good")
	taken, declared := []string{"foreign", "good"}, []string{"good"}
	for n := range 127 {
		length := []int{250, 64, 30}[n%3]
		tag := hostileTag(n, length)
		declared = append(declared, tag)
		if length <= 64 {
			taken = append(taken, tag)
		}
	}
	h.ExpectEdited(run, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = declared })
	h.Settle()
	h.ExpectTagsOn("a", taken...)
	h.ExpectStalled(run, v1alpha1.ReasonInvalidTags)
	checkSize(t, h, run)
	h.ExpectEdited(run, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = []string{"good"} })
	h.Settle()
	h.ExpectTagsOn("a", "foreign", "good")
	h.ExpectReady(run, v1alpha1.ReasonSynced)
}

func crowdedRun(t *testing.T, h *controllerstest.Harness) {
	var crowd []string
	for n := range 1000 {
		crowd = append(crowd, fmt.Sprintf("%s-%d", strings.Repeat("t", 50), n))
	}
	h.AddRun("a", crowd...)
	run := h.NewRun("a", "ours")
	apply(h, h.NewProject(), run)
	h.ExpectTagsOn("a", append(slices.Clone(crowd), "ours")...)
	h.ExpectReady(run, v1alpha1.ReasonSynced)
	checkSize(t, h, run)
	h.ExpectEdited(run, func(r *v1alpha1.TrainingRun) { r.Spec.Tags = nil })
	h.Settle()
	h.ExpectTagsOn("a", crowd...)
}

func operatorsOwnValues(t *testing.T, h *controllerstest.Harness) {
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		id := fmt.Sprintf("r%d", n)
		h.AddRun(id, "foreign", "kept")
		run := h.NewRun(id, "declared")
		if n == 1 {
			h.ExpectApplied(h.NewProject())
		}
		apply(h, run)
		names := []string{"foreign", "declared", "none", "other"}
		off := map[string]bool{}
		for range rapid.IntRange(1, 6).Draw(t, "edits") {
			name := rapid.SampledFrom(names).Draw(t, "tag")
			value := rapid.SampledFrom([]string{"spec", "rule", "run", "true", "-"}).Draw(t, "value")
			h.ExpectEdited(run, func(r *v1alpha1.TrainingRun) {
				key := "tag.runtag.dev/" + name
				if before, there := r.Labels[key]; there && (value == "-" || before == "true" && value != "true") {
					off[name] = true // a declaration that ends, or a label of ours taken off
				}
				if value != "-" {
					r.Labels[key] = value
					return
				}
				delete(r.Labels, key)
			})
			h.Settle()
		}
		found, _ := h.Tracker.Run(h.Tracker.Path(id))
		if !slices.Contains(found.Tags, "kept") || !slices.Contains(found.Tags, "declared") || !slices.Contains(found.Tags, "foreign") && !off["foreign"] {
			t.Fatalf("run %s has %q; labels taken off: %v", id, found.Tags, off)
		}
	})
}

func hugeAnnotations(t *testing.T, h *controllerstest.Harness) {
	h.AddRun("a", "foreign")
	project, run := h.NewProject(), h.NewRun("a", "good")
	run.Annotations = map[string]string{"tracking.runtag.dev/tags": `["by annotation"]`}
	apply(h, project, run)
	h.ExpectTagsOn("a", "foreign", "good", "by annotation")
	const size = 250_000
	many := make([]string, 0, size/7)
	for n := range size / 7 {
		many = append(many, fmt.Sprintf("%03x", n))
	}
	list := `["` + strings.Join(many, `","`) + `"]`
	keys := facts.Pick([]string{"tags", "add-tags", "remove-tags"}, []string{"tags", "add-tags", "remove-tags", "look-at", "run"})
	for what, text := range map[string]string{
		"one tag": `["` + strings.Repeat("x", size) + `"]`, "many tags": list[:len(list)-3] + `"]`, "no list": strings.Repeat("x", size), "nested": strings.Repeat("[", size),
		"cut off": `["` + strings.Repeat(`a","`, size/4), "blanks": strings.Repeat(" ", size) + "1", "escapes": `["` + strings.Repeat(`\u0000`, size/6) + `"]`,
	} {
		if !facts.Full() && what != "many tags" && what != "one tag" && what != "nested" {
			continue
		}
		for _, key := range keys {
			h.ExpectEdited(run, func(r *v1alpha1.TrainingRun) { r.Annotations = map[string]string{"tracking.runtag.dev/" + key: text} })
			h.Settle()
			checkSize(t, h, run)
			found, _ := h.Tracker.Run(h.Tracker.Path("a"))
			if !slices.Contains(found.Tags, "foreign") || !slices.Contains(found.Tags, "good") {
				t.Fatalf("%s in %s: the run has %d tags, want foreign and good among them: %.300q", what, key, len(found.Tags), found.Tags)
			}
		}
	}
	h.ExpectEdited(run, func(r *v1alpha1.TrainingRun) { r.Annotations = nil })
	h.Step(time.Minute)
	h.ExpectReady(run, v1alpha1.ReasonSynced)
	h.ExpectTagsOn("a", "foreign", "good")
}

func costlyRules(t *testing.T, h *controllerstest.Harness) {
	h.AddActiveRun("a", "foreign")
	run := h.NewRun("a", "good")
	project := h.NewProject()
	apply(h, project, run)
	for n := range facts.Pick(8, 256) {
		pod := h.NewPod(fmt.Sprintf("p%d", n), "")
		pod.Labels = map[string]string{"tracking.runtag.dev/run": "a"}
		for i := range 20 {
			pod.Labels[fmt.Sprintf("l%d", i)] = strings.Repeat("v", 60)
		}
		h.SeePods(pod)
	}
	rules := facts.Pick(4, 30)
	terms := make([]string, 0, 40)
	for n := range 40 {
		terms = append(terms, fmt.Sprintf(`pods.exists(p, p.label("l%d").matches("^(v*)*(w|x)*%d$"))`, n%20, n))
	}
	refused := 0
	for n := range rules {
		// The longest of these that the estimate lets through, and some that it does not.
		rule := h.NewRule(fmt.Sprintf("costly-%d", n), strings.Join(terms[:1+n*7%40], " || ")+" || true", fmt.Sprintf("costly-%d", n))
		rule.Spec.TagExpression = fmt.Sprintf(`["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"].map(x, x + "-%d")`, n)
		h.ExpectApplied(rule)
		h.Settle()
		ready := h.Condition(rule, v1alpha1.ConditionReady)
		if ready == nil || ready.Status != metav1.ConditionTrue && ready.Reason != v1alpha1.ReasonInvalidExpression {
			t.Errorf("rule %s: %+v", rule.Name, ready)
		}
		if ready != nil && ready.Status != metav1.ConditionTrue {
			refused++
		}
	}
	h.Settle()
	found, _ := h.Tracker.Run(h.Tracker.Path("a"))
	if !slices.Contains(found.Tags, "foreign") || !slices.Contains(found.Tags, "good") {
		t.Errorf("the run has %q", found.Tags)
	}
	t.Logf("%d of %d rules are refused; the run has %d tags", refused, rules, len(found.Tags))
	checkSize(t, h, run)
}

func garbageStatus(t *testing.T, h *controllerstest.Harness) {
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		if n++; n == 1 {
			h.ExpectApplied(h.NewProject())
		}
		id := fmt.Sprintf("g%d", n)
		h.AddRun(id, "foreign")
		run := h.NewRun(id, "good")
		apply(h, run)
		h.Refresh(run)
		now := metav1.NewTime(h.Clock.Now())
		text := func(what string) string { return rapid.StringN(1, 60, 200).Draw(t, what) }
		st := &run.Status
		st.ObservedDeclarations, st.ObservedGeneration = text("hash"), rapid.Int64Range(0, 99).Draw(t, "generation")
		st.AppliedTags = []v1alpha1.AppliedTag{{Name: text("applied")}, {Name: "good"}}
		st.RemovedTags = []v1alpha1.RemovedTag{{Name: text("removed"), At: now, Back: 3}}
		st.Tags = []v1alpha1.TagStatus{{Name: text("tag"), Source: "Spec", Since: now, Mirrored: true}}
		st.Conditions = nil
		if rapid.Bool().Draw(t, "other run") && st.Run != nil {
			st.Run.UID, st.Run.ID = text("uid"), text("id")
		}
		before := run.Status.DeepCopy()
		if err := h.Admin.Status().Update(t.Context(), run); err != nil {
			run.Status = *before
			t.Skip("the API server refuses it: " + err.Error())
		}
		h.Touch(run)
		h.Settle()
		h.ExpectEdited(run, func(r *v1alpha1.TrainingRun) { r.Annotations = map[string]string{"tracking.runtag.dev/look-at": "now"} })
		h.Step(time.Minute)
		found, _ := h.Tracker.Run(h.Tracker.Path(id))
		if !slices.Contains(found.Tags, "foreign") || !slices.Contains(found.Tags, "good") {
			t.Fatalf("run %s has %q", id, found.Tags)
		}
	})
}

// checkSize checks that an object stays well below what the API server stores, and shows people something they can read.
func checkSize(t *testing.T, h *controllerstest.Harness, run *v1alpha1.TrainingRun) {
	t.Helper()
	h.Refresh(run)
	if size := len(fmt.Sprint(run.Status)); size > largest {
		t.Errorf("the status has %d bytes", size)
	}
	for _, c := range run.Status.Conditions {
		if n := utf8.RuneCountInString(c.Message); n > 32768 {
			t.Errorf("the message of %s has %d characters", c.Type, n)
		}
		if strings.ContainsFunc(c.Message, func(r rune) bool { return r < ' ' }) {
			t.Errorf("the message of %s has control characters: %q", c.Type, c.Message)
		}
	}
}
