package edit_test

import (
	"testing"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/plugin/edit"
	"github.com/runtag/runtag/internal/tags"
)

const (
	label = "tag.runtag.dev/"
	pair  = "pair.runtag.dev/"
)

func TestAdd(t *testing.T) {
	for _, c := range []change{
		{
			reason: "a valid name of a label is declared by one", do: add("baseline"),
			patch: patch(map[string]any{label + "baseline": ""}, nil),
			says:  []string{"done: baseline declared by label"}, present: []string{"baseline"},
		},
		{
			reason: "other tags are declared by annotation, which the operator merges into its list", do: add("needs review", "x/y"),
			object: object{annotations: map[string]string{mirror.AnnotationTags: `["old one"]`}},
			patch:  patch(nil, map[string]any{mirror.AnnotationAdd: `["needs review","x/y"]`}),
			says:   []string{"done: needs review declared by annotation", "done: x/y declared by annotation"}, present: []string{"needs review", "x/y"},
		},
		{
			reason: "the operator's label of a foreign tag is overwritten: the tag is declared from now on", do: add("debug"),
			object: object{labels: map[string]string{label + "debug": "run"}, status: []v1alpha1.TagStatus{foreign("debug")}},
			patch:  patch(map[string]any{label + "debug": ""}, nil),
			says:   []string{"done: debug declared by label"}, present: []string{"debug"},
		},
		{
			reason: "what a label, an annotation or spec declares is not declared once more", do: add("a", "b c", "d"),
			object: object{labels: map[string]string{label + "a": ""}, annotations: map[string]string{mirror.AnnotationAdd: `["b c"]`}, spec: []string{"d"}, manager: "argocd-controller"},
			says: []string{
				"unchanged: a is declared already, by a label", "unchanged: b c is declared already, by an annotation",
				"unchanged: d is declared already, by spec.tags (written by argocd-controller)",
			},
			present: []string{"a", "b c", "d"},
		},
		{
			reason: "a request to take the tag off is taken back", do: add("b c"),
			object: object{annotations: map[string]string{mirror.AnnotationRemove: `["b c"]`}},
			patch:  patch(nil, map[string]any{mirror.AnnotationAdd: `["b c"]`, mirror.AnnotationRemove: nil}),
			says:   []string{"done: b c declared by annotation"}, present: []string{"b c"},
		},
		{
			reason: "what is excluded would not land, so it is not declared", do: add("debug"),
			object: object{exclude: []string{"debug"}, manager: "flux"},
			says:   []string{"refused: debug is kept off by spec.excludeTags (written by flux): take debug out there"},
		},
		{
			reason: "one tag that the tracker refuses keeps no other from being declared", do: add(" x", "a", "0123456789012345678901234567890123456789012345678901234567890123456789"),
			patch: patch(map[string]any{label + "a": ""}, nil),
			says: []string{
				`refused: tag " x" begins or ends with a blank: remove it`, "done: a declared by label",
				`refused: tag "0123456789012345678901234567890123456789012345678901234567890123456789" is too long for W&B, 70 characters of at most 64: shorten it`,
			},
			present: []string{"a"},
		},
		{
			reason: "under Observe it is declared and does not land, so nothing is waited for", do: add("a"), policy: v1alpha1.TagPolicyObserve,
			patch: patch(map[string]any{label + "a": ""}, nil),
			says:  []string{"done: a declared by label, and kept from the tracker by the policy Observe"},
		},
		{
			reason: "annotations that can't be read may ask anything: a person has to correct them first", do: add("a b"),
			object: object{annotations: map[string]string{mirror.AnnotationTags: `a, b`}},
			says:   []string{`refused: annotation tracking.runtag.dev/tags is not a JSON list of tags, such as ["a tag", "another/one"]: correct it`},
		},
		{
			reason: "on MLflow a tag with a value has a label of its own kind, and another value gives way", dialect: pairs, do: add("team=vision", "lr=1e-3 x"),
			object: object{labels: map[string]string{pair + "team": "nlp"}, status: []v1alpha1.TagStatus{foreign("team=nlp")}},
			patch:  patch(map[string]any{pair + "team": "vision"}, map[string]any{mirror.AnnotationAdd: `["lr=1e-3 x"]`}),
			says:   []string{"done: team=vision declared by label, in place of team=nlp", "done: lr=1e-3 x declared by annotation"}, present: []string{"team=vision", "lr=1e-3 x"},
		},
		{
			reason: "a label with a value that the operator wrote can't be made a person's, so the annotation declares it", dialect: pairs, do: add("team=nlp"),
			object: object{labels: map[string]string{pair + "team": "nlp"}, status: []v1alpha1.TagStatus{foreign("team=nlp")}, operator: []string{pair + "team"}},
			patch:  patch(nil, map[string]any{mirror.AnnotationAdd: `["team=nlp"]`}),
			says:   []string{"done: team=nlp declared by annotation"}, present: []string{"team=nlp"},
		},
	} {
		c.check(t)
	}
}

func TestRemove(t *testing.T) {
	held := []v1alpha1.RuleTag{{Rule: "ClusterTagRule/preempted", Tag: "preempted", State: v1alpha1.RuleTagHeld}}
	for _, c := range []change{
		{
			reason: "a person's label goes", do: remove("a"),
			object: object{labels: map[string]string{label + "a": "", label + "b": ""}},
			patch:  patch(map[string]any{label + "a": nil}, nil), says: []string{"done: a taken off"}, absent: []string{"a"},
		},
		{
			reason: "a foreign tag is asked off by its label", do: remove("debug"),
			object: object{labels: map[string]string{label + "debug": "run"}, status: []v1alpha1.TagStatus{foreign("debug")}},
			patch:  patch(map[string]any{label + "debug": nil}, nil), says: []string{"done: debug taken off"}, absent: []string{"debug"},
		},
		{
			reason: "a foreign tag without a label is asked off by annotation", do: remove("a b"),
			object: object{status: []v1alpha1.TagStatus{foreign("a b")}},
			patch:  patch(nil, map[string]any{mirror.AnnotationRemove: `["a b"]`}), says: []string{"done: a b taken off"}, absent: []string{"a b"},
		},
		{
			reason: "a label that status does not record yet would go unnoticed, so the annotation asks", do: remove("debug"),
			object: object{labels: map[string]string{label + "debug": "run"}, status: []v1alpha1.TagStatus{{Name: "debug", Source: v1alpha1.TagSourceRun, Present: true}}},
			patch:  patch(nil, map[string]any{mirror.AnnotationRemove: `["debug"]`}), says: []string{"done: debug taken off"}, absent: []string{"debug"},
		},
		{
			reason: "what an annotation declares is asked off by the other, and its label is the operator's business", do: remove("a"),
			object: object{labels: map[string]string{label + "a": "spec"}, annotations: map[string]string{mirror.AnnotationTags: `["a","b"]`}, status: []v1alpha1.TagStatus{on("a", v1alpha1.TagSourceLabel)}},
			patch:  patch(nil, map[string]any{mirror.AnnotationRemove: `["a"]`}), says: []string{"done: a taken off"}, absent: []string{"a"},
		},
		{
			reason: "what a rule found is taken off for good, and that is said", do: remove("preempted"),
			object: object{labels: map[string]string{label + "preempted": "rule"}, rules: held, status: []v1alpha1.TagStatus{on("preempted", v1alpha1.TagSourceRule)}},
			patch:  patch(map[string]any{label + "preempted": nil}, nil), says: []string{"done: preempted taken off, overruling ClusterTagRule/preempted"}, absent: []string{"preempted"},
		},
		{
			reason: "what spec declares stays, and who wrote it is said", do: remove("in_production"),
			object: object{spec: []string{"in_production"}, manager: "argocd-controller", labels: map[string]string{label + "in_production": "spec"}, status: []v1alpha1.TagStatus{on("in_production", v1alpha1.TagSourceSpec)}},
			says:   []string{"refused: in_production stays: spec.tags (written by argocd-controller) declares it; take it out there"},
		},
		{
			reason: "a label beside spec goes, and the tag stays", do: remove("a"),
			object: object{spec: []string{"a"}, labels: map[string]string{label + "a": ""}},
			patch:  patch(map[string]any{label + "a": nil}, nil), says: []string{"refused: a stays: spec.tags declares it; take it out there"},
		},
		{
			reason: "what is not there is no error", do: remove("x"),
			says: []string{"unchanged: x is not on the run"}, absent: []string{"x"},
		},
		{
			reason: "a policy that removes nothing leaves foreign tags alone, and says so", do: remove("debug"), policy: v1alpha1.TagPolicyObserve,
			object: object{labels: map[string]string{label + "debug": "run"}, status: []v1alpha1.TagStatus{foreign("debug")}},
			says:   []string{"refused: debug stays: the policy Observe takes no tags off"},
		},
		{
			reason: "a policy that removes nothing ends declarations, and the tag stays on the run", do: remove("a"), policy: v1alpha1.TagPolicyAdd,
			object: object{labels: map[string]string{label + "a": ""}},
			patch:  patch(map[string]any{label + "a": nil}, nil),
			says:   []string{"refused: a is no longer declared, and stays on the run: the policy Add takes no tags off"},
		},
		{
			reason: "on MLflow a bare key is every value of it", dialect: pairs, do: remove("team"),
			object: object{labels: map[string]string{pair + "team": "nlp", pair + "teams": "x"}, status: []v1alpha1.TagStatus{foreign("team=nlp"), foreign("teams=x")}, operator: []string{pair + "team", pair + "teams"}},
			patch:  patch(map[string]any{pair + "team": nil}, nil), says: []string{"done: team=nlp taken off"}, absent: []string{"team=nlp"},
		},
		{
			reason: "on MLflow a pair is just that value", dialect: pairs, do: remove("team=vision"),
			object: object{labels: map[string]string{pair + "team": "nlp"}, status: []v1alpha1.TagStatus{foreign("team=nlp")}, operator: []string{pair + "team"}},
			says:   []string{"unchanged: team=vision is not on the run"}, absent: []string{"team=vision"},
		},
	} {
		c.check(t)
	}
}

func TestRename(t *testing.T) {
	for _, c := range []change{
		{
			reason: "a label becomes a label", do: rename("debug", "wip", false),
			object: object{labels: map[string]string{label + "debug": ""}, status: []v1alpha1.TagStatus{on("debug", v1alpha1.TagSourceLabel)}},
			patch:  patch(map[string]any{label + "debug": nil, label + "wip": ""}, nil),
			says:   []string{"done: debug renamed to wip by label"}, present: []string{"wip"}, absent: []string{"debug"},
		},
		{
			reason: "an annotation becomes an annotation, even where a label would do", do: rename("a b", "ab", false),
			object: object{annotations: map[string]string{mirror.AnnotationTags: `["a b"]`}},
			patch:  patch(nil, map[string]any{mirror.AnnotationAdd: `["ab"]`, mirror.AnnotationRemove: `["a b"]`}),
			says:   []string{"done: a b renamed to ab by annotation"}, present: []string{"ab"}, absent: []string{"a b"},
		},
		{
			reason: "a label becomes an annotation where the new name is none of a label", do: rename("a", "a b", false),
			object: object{labels: map[string]string{label + "a": "true"}},
			patch:  patch(map[string]any{label + "a": nil}, map[string]any{mirror.AnnotationAdd: `["a b"]`}),
			says:   []string{"done: a renamed to a b by annotation"}, present: []string{"a b"}, absent: []string{"a"},
		},
		{
			reason: "both declarers are renamed", do: rename("a", "b", false),
			object: object{labels: map[string]string{label + "a": ""}, annotations: map[string]string{mirror.AnnotationTags: `["a"]`}},
			patch:  patch(map[string]any{label + "a": nil, label + "b": ""}, map[string]any{mirror.AnnotationAdd: `["b"]`, mirror.AnnotationRemove: `["a"]`}),
			says:   []string{"done: a renamed to b by label", "done: a renamed to b by annotation"}, present: []string{"b", "b"}, absent: []string{"a"},
		},
		{
			reason: "a foreign tag is asked off, and its new name declared", do: rename("debug", "wip", false),
			object: object{labels: map[string]string{label + "debug": "run"}, status: []v1alpha1.TagStatus{foreign("debug")}},
			patch:  patch(map[string]any{label + "debug": nil, label + "wip": ""}, nil),
			says:   []string{"done: debug renamed to wip by label"}, present: []string{"wip"}, absent: []string{"debug"},
		},
		{
			reason: "spec is listed for Git", do: rename("a", "b", false),
			object: object{spec: []string{"a"}, manager: "argocd-controller"},
			says:   []string{"refused: a stays in spec.tags (written by argocd-controller): rename it there, or take --spec"},
		},
		{
			reason: "spec is changed where that is asked for, in its place, and not doubled", do: rename("a", "b", true),
			object: object{spec: []string{"x", "a", "b"}},
			patch:  map[string]any{"spec": map[string]any{"tags": []string{"x", "b"}}},
			says:   []string{"done: a renamed to b in spec.tags"}, present: []string{"b"}, absent: []string{"a"},
		},
		{
			reason: "what a rule gives would come back under the old name", do: rename("preempted", "p", false),
			object: object{
				labels: map[string]string{label + "preempted": "rule"}, status: []v1alpha1.TagStatus{on("preempted", v1alpha1.TagSourceRule)},
				rules: []v1alpha1.RuleTag{{Rule: "ClusterTagRule/preempted", Tag: "preempted", State: v1alpha1.RuleTagHeld}},
			},
			says: []string{"refused: preempted stays: ClusterTagRule/preempted gives it; change the tags of the rule"},
		},
		{
			reason: "a new name that is excluded would lose the tag", do: rename("a", "b", false),
			object: object{labels: map[string]string{label + "a": ""}, exclude: []string{"b"}},
			says:   []string{"refused: a stays: spec.excludeTags keeps b off"},
		},
		{
			reason: "a foreign tag can't be renamed under a policy that removes nothing", do: rename("debug", "wip", false), policy: v1alpha1.TagPolicyAdd,
			object: object{labels: map[string]string{label + "debug": "run"}, status: []v1alpha1.TagStatus{foreign("debug")}},
			says:   []string{"refused: debug stays: the policy Add takes no tags off"},
		},
		{
			reason: "a declaration is renamed under a policy that removes nothing, and the old stays", do: rename("a", "b", false), policy: v1alpha1.TagPolicyAdd,
			object: object{labels: map[string]string{label + "a": ""}},
			patch:  patch(map[string]any{label + "a": nil, label + "b": ""}, nil),
			says:   []string{"done: a renamed to b by label", "refused: a stays on the run: the policy Add takes no tags off"}, present: []string{"b"},
		},
		{
			reason: "what is not there is no error", do: rename("a", "b", false),
			says: []string{"unchanged: a is not on the run"},
		},
		{
			reason: "on MLflow a renamed key keeps its value", dialect: pairs, do: rename("team", "squad", false),
			object: object{labels: map[string]string{pair + "team": "nlp"}},
			patch:  patch(map[string]any{pair + "team": nil, pair + "squad": "nlp"}, nil),
			says:   []string{"done: team=nlp renamed to squad=nlp by label"}, present: []string{"squad=nlp"}, absent: []string{"team=nlp"},
		},
		{
			reason: "on MLflow the new key keeps the value that it has", dialect: pairs, do: rename("team", "squad", false),
			object: object{labels: map[string]string{pair + "team": "nlp"}, status: []v1alpha1.TagStatus{foreign("squad=vision")}},
			patch:  patch(map[string]any{pair + "team": nil}, nil),
			says:   []string{"done: team=nlp renamed to squad=nlp: squad=vision is there already, and kept"}, absent: []string{"team=nlp"},
		},
	} {
		c.check(t)
	}
}

func TestOwnersNamesNobodyByWhatItCantRead(t *testing.T) {
	run := object{spec: []string{"a"}, manager: "flux", operator: []string{label + "x"}}.run(wandb, tags.Merge)
	run.Object.ManagedFields[1].FieldsV1.SetRawBytes([]byte("{"))
	owners := edit.OwnersOf(run.Object)
	if len(owners) != 1 || owners[0].Manager != "flux" || !owners[0].Tags["a"] {
		t.Errorf("got %+v", owners)
	}
}
