package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
)

// The walk itself is seen by make demo DEMO=once; these tests are of how it judges.

func TestOnTracker(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		want   want
		got    []string
		err    error
		says   string
	}{
		"as wanted":   {"the order on the tracker does not matter", want{tags: []string{"b", "a"}}, []string{"a", "b"}, nil, ""},
		"one missing": {"a tag that has not landed fails the step", want{tags: []string{"a", "b"}}, []string{"a"}, nil, "expected the tags [a b], seen [a]"},
		"one more":    {"so does one that nobody wanted", want{tags: []string{"a"}}, []string{"a", "b"}, nil, "expected the tags [a], seen [a b]"},
		"no run":      {"a run that should be there and is not fails", want{tags: []string{}}, nil, errNoRun, "no such run"},
		"absent":      {"one that should not be there yet passes", want{absent: true}, nil, errNoRun, ""},
		"there":       {"and fails when it is", want{absent: true}, []string{}, nil, "expected no such run"},
		"broken":      {"a tracker that can't be read proves nothing", want{absent: true}, nil, errors.New("refused"), "refused"},
	} {
		t.Run(name, func(t *testing.T) { says(t, tc.reason, tc.want.onTracker(tc.got, tc.err), tc.says) })
	}
}

// trainingRun has the tags "own" (foreign), "done" (declared) and, where it is pending, "held".
func trainingRun(reason string, pending bool, history ...v1alpha1.TagHistory) *v1alpha1.TrainingRun {
	run := &v1alpha1.TrainingRun{ObjectMeta: metav1.ObjectMeta{Name: "r", Generation: 2}}
	run.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: reason, ObservedGeneration: 2}}
	run.Status.Tags = []v1alpha1.TagStatus{
		{Name: "own", Source: v1alpha1.TagSourceRun, Present: true}, {Name: "done", Source: v1alpha1.TagSourceSpec, Present: true},
	}
	if pending {
		run.Status.Tags = append(run.Status.Tags, v1alpha1.TagStatus{Name: "held", Source: v1alpha1.TagSourceSpec})
		run.Status.Pending = &v1alpha1.PendingTags{Add: []string{"held"}}
	}
	run.Labels = map[string]string{"tag.runtag.dev/own": "run", "tag.runtag.dev/done": "spec", "tracking.runtag.dev/project": "p"}
	run.Status.History = history
	return run
}

// ruled also has a tag of a rule, for a reason.
func ruled(reason string) *v1alpha1.TrainingRun {
	run := trainingRun("Synced", false)
	run.Status.Tags = append(run.Status.Tags, v1alpha1.TagStatus{Name: "ruled", Source: v1alpha1.TagSourceRule, Present: true, Reason: reason})
	run.Labels["tag.runtag.dev/ruled"] = "rule"
	return run
}

func TestInKubernetes(t *testing.T) {
	began := time.Date(2026, 11, 24, 12, 0, 0, 500_000_000, time.UTC)
	took := func(tag string, source v1alpha1.TagSource, after time.Duration) v1alpha1.TagHistory {
		return v1alpha1.TagHistory{Tag: tag, Change: v1alpha1.TagRemoved, Source: source, Time: metav1.NewTime(began.Add(after).Truncate(time.Second))}
	}
	good := synced([]string{"own"}, "done")
	old := trainingRun("Synced", false)
	old.Generation = 3
	unlabelled := trainingRun("Synced", false)
	delete(unlabelled.Labels, "tag.runtag.dev/own")
	for name, tc := range map[string]struct {
		reason string
		want   want
		run    *v1alpha1.TrainingRun
		says   string
	}{
		"as wanted":      {"all of it is there", good, trainingRun("Synced", false), ""},
		"other reason":   {"Ready says something else", good, trainingRun("Contested", false), "expected Ready with reason Synced"},
		"old":            {"the status answers an older generation", good, old, "for generation 3"},
		"no label":       {"a tag that can't be selected is not shown as it should be", good, unlabelled, "expected labels for the tags [done own], seen [done]"},
		"declared":       {"a tag is shown as the run's own that was declared", synced(nil, "own", "done"), trainingRun("Synced", false), "the tags of the run's own"},
		"by a rule":      {"a rule gave the tag, and says why", synced([]string{"own"}, "done").by("ruled"), ruled("node-0: spot"), ""},
		"no reason":      {"a rule's tag has to come with its reason", synced([]string{"own"}, "done").by("ruled"), ruled(""), "the tags by a rule, with a reason, [ruled], seen []"},
		"by nobody":      {"a tag that is declared is no rule's", want{tags: good.tags, foreign: good.foreign, ruled: []string{"done"}, reason: good.reason}, trainingRun("Synced", false), "the tags by a rule"},
		"pending":        {"what is held back is in status.pending", good.holding("held"), trainingRun("NotAllowed", true), ""},
		"not pending":    {"it is not", good.holding("held"), trainingRun("NotAllowed", false), "the pending [held]"},
		"drift seen":     {"somebody took it off within the same second", good.seeing("done"), trainingRun("Synced", false, took("done", v1alpha1.TagSourceRun, 0)), ""},
		"earlier drift":  {"an entry of an earlier step is none of this one", good.seeing("done"), trainingRun("Synced", false, took("done", v1alpha1.TagSourceRun, -time.Second)), "somebody took done off"},
		"our own change": {"what we took off is no drift", good.seeing("done"), trainingRun("Synced", false, took("done", v1alpha1.TagSourceSpec, 0)), "somebody took done off"},
		"gone":           {"it was deleted, as it should be", want{gone: true}, nil, ""},
		"not gone":       {"it is still there", want{gone: true}, trainingRun("Synced", false), "it is there"},
		"lost":           {"it is not there and should be", good, nil, "seen none"},
	} {
		t.Run(name, func(t *testing.T) { says(t, tc.reason, tc.want.inKubernetes(tc.run, began), tc.says) })
	}
}

func says(t *testing.T, reason string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: got %v", reason, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want an error with %q", reason, err, want)
	}
}

func TestTable(t *testing.T) {
	shown := rows(trainingRun("NotAllowed", true), []string{"done", "own"}, []string{"gone", "own"})
	var plain, coloured bytes.Buffer
	(&narrator{out: &plain}).table("left", "right", shown)
	(&narrator{out: &coloured, coloured: true}).table("left", "right", shown)
	want := `
  left                                        right
  done                 spec                   + done
                                              - gone
  held                 spec, not on the run
  own                  run                      own
`
	if diff := cmp.Diff(want, plain.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, cell := range []string{"\x1b[32m+ done\x1b[0m", "\x1b[31m- gone\x1b[0m"} {
		if !strings.Contains(coloured.String(), cell) {
			t.Errorf("got %q, want %q in it", coloured.String(), cell)
		}
	}
}

func TestEnvironmentOf(t *testing.T) {
	field := func(name, path string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
	}
	for name, tc := range map[string]struct {
		reason string
		env    []corev1.EnvVar
		want   []string
		says   string
	}{
		"nothing":  {"the pod's hostname is known in it all the same", nil, []string{"WANDB_HOST=p"}, ""},
		"its own":  {"what is there is not replaced", []corev1.EnvVar{{Name: "WANDB_HOST", Value: "h"}}, []string{"WANDB_HOST=h"}, ""},
		"expanded": {"what stands before it is", []corev1.EnvVar{field("UID", "metadata.uid"), {Name: "A", Value: "$(UID)!"}}, []string{"UID=u", "A=u!", "WANDB_HOST=p"}, ""},
		"too late": {"what stands after it is not", []corev1.EnvVar{{Name: "A", Value: "$(NAME)"}, field("NAME", "metadata.name")}, []string{"A=$(NAME)", "NAME=p", "WANDB_HOST=p"}, ""},
		"secret":   {"what can't be known is no empty variable", []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{}}}, nil, "has A from a source"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "u"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Env: tc.env}}}}
			got, err := environmentOf(pod)
			says(t, tc.reason, err, tc.says)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestStoriesAreToldOnBothTrackers(t *testing.T) {
	for name, teller := range map[string]tracker{"wandb": &wandb{base: "http://w"}, "mlflow": &mlflow{ids: map[string]string{"nightly-1": "id1"}}} {
		steps := story(teller)
		for _, st := range steps {
			if len(st.commands) == 0 || st.say == "" {
				t.Errorf("%s: step %q has no command or no sentence", name, st.title)
			}
			for _, about := range st.about {
				if !about.want.absent && len(about.want.tags) == 0 {
					t.Errorf("%s: step %q wants nothing of the tracker, so it can't fail", name, st.title)
				}
			}
		}
	}
}
