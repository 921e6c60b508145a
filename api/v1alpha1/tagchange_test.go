package v1alpha1_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// changeOf is a TagChange's spec on one project, with these fields besides.
func changeOf(fields string) string { return "{projectRef: {name: capsules}, " + fields + "}" }

// changing is one that selects some runs, with these fields besides.
func changing(fields string) string { return changeOf("select: {tags: [debug]}, " + fields) }

// choosing is one with these fields in its selection.
func choosing(fields string) string { return changeOf("select: {" + fields + "}") }

const (
	selectSomething = "select something, or set all: true for every run of the project"
	oneOfTwo        = "set exactly one of select and undoOf"
	undoSaysAll     = "undoOf says what is changed: add, remove and rename can't be set with it"
	bothWays        = "a tag can't be in add and in remove"
	sameTag         = "from and to are the same tag"
	onlyApply       = "only apply can be changed: make another TagChange"
	applyStays      = "apply can't be taken back: delete the TagChange to stop it, and make one with undoOf to undo it"
)

var _ = DescribeTable("Creating a TagChange", func(ctx SpecContext, spec, outcome string) {
	expectOutcome(k8sClient.Create(ctx, object("TagChange", spec)), outcome)
},
	Entry("runs and a tag are a change", changing(`add: [wip]`), accepted),
	Entry("runs alone are a query", changing(``), accepted),
	Entry("a change has a project", `{select: {all: true}}`, "spec.projectRef: Required value"),
	Entry("which has a name", `{projectRef: {}, select: {all: true}}`, "spec.projectRef.name"),
	Entry("and not an empty one", `{projectRef: {name: ""}, select: {all: true}}`, "spec.projectRef.name"),
	Entry("as long as that of an object", fmt.Sprintf(`{projectRef: {name: %s}, select: {all: true}}`, strings.Repeat("a", 254)), "may not be more than 253"),
	Entry("runs that nobody named are not all of them", changeOf(`add: [wip]`), oneOfTwo),
	Entry("an empty selection is a mistake, not every run", choosing(``), selectSomething),
	Entry("saying no to all is no selection either", choosing(`all: false`), selectSomething),
	Entry("every run is asked for in words", choosing(`all: true`), accepted),
	Entry("all may be narrowed", choosing(`all: true, withoutTags: [keep]`), accepted),
	Entry("a selection needs no all", choosing(`all: false, withoutTags: [keep]`), accepted),
	Entry("runs may be chosen by all that is known of them", choosing(`tags: [a, k=v], withoutTags: [b], states: [failed, crashed], runIDs: [3f9a1c], groups: [sweep],
		createdAfter: "2026-01-01T00:00:00Z", createdBefore: "2026-02-01T00:00:00+01:00"`), accepted),
	Entry("by state alone", choosing(`states: [pending, running, preempting, finished, failed, crashed, killed, preempted, unknown]`), accepted),
	Entry("by id alone", choosing(`runIDs: [3f9a1c]`), accepted),
	Entry("by group alone", choosing(`groups: [sweep]`), accepted),
	Entry("by age alone", choosing(`createdBefore: "2026-01-01T00:00:00Z"`), accepted),
	Entry("or youth", choosing(`createdAfter: "2026-01-01T00:00:00Z"`), accepted),
	Entry("other states do not exist", choosing(`states: [done]`), `spec.select.states[0]: Unsupported value: "done"`),
	Entry("a day is no time", choosing(`createdBefore: "2026-01-01"`), "spec.select.createdBefore"),
	Entry("an empty list of tags is none", choosing(`tags: []`), "spec.select.tags"),
	Entry("an empty list of what keeps out neither", choosing(`withoutTags: []`), "spec.select.withoutTags"),
	Entry("nor one of states", choosing(`states: []`), "spec.select.states"),
	Entry("nor one of ids: a script that found none does not mean all", choosing(`runIDs: []`), "spec.select.runIDs"),
	Entry("nor one of groups", choosing(`groups: []`), "spec.select.groups"),
	Entry("an empty tag selects nothing", choosing(`tags: [""]`), "spec.select.tags[0]"),
	Entry("nor does an empty id", choosing(`runIDs: [""]`), "spec.select.runIDs[0]"),
	Entry("16 tags select", choosing(`tags: `+tagList(16)+`, withoutTags: `+tagList(16)+`, groups: `+tagList(16)), accepted),
	Entry("17 do not", choosing(`tags: `+tagList(17)), "must have at most 16 items"),
	Entry("nor do 17 that keep out", choosing(`withoutTags: `+tagList(17)), "must have at most 16 items"),
	Entry("nor 17 groups", choosing(`groups: `+tagList(17)), "must have at most 16 items"),
	Entry("1000 ids fit", choosing(`runIDs: `+tagList(1000)), accepted),
	Entry("1001 do not", choosing(`runIDs: `+tagList(1001)), "must have at most 1000 items"),
	Entry("an id is named once", choosing(`runIDs: [a, b, a]`), "Duplicate value"),
	Entry("so is a tag", choosing(`tags: [a, a]`), "Duplicate value"),
	Entry("that keeps out, too", choosing(`withoutTags: [a, a]`), "Duplicate value"),
	Entry("and a state", choosing(`states: [failed, failed]`), "Duplicate value"),
	Entry("and a group", choosing(`groups: [a, a]`), "Duplicate value"),
	Entry("an empty tag keeps nothing out", choosing(`withoutTags: [""]`), "spec.select.withoutTags[0]"),
	Entry("an empty group is none", choosing(`groups: [""]`), "spec.select.groups[0]"),
	Entry("what selects is as long as a tag may be", choosing(fmt.Sprintf(`tags: [%s], withoutTags: [%[1]s], groups: [%[1]s]`, long(250))), accepted),
	Entry("a tag no longer", choosing(`tags: [`+long(251)+`]`), "spec.select.tags[0]"),
	Entry("nor one that keeps out", choosing(`withoutTags: [`+long(251)+`]`), "spec.select.withoutTags[0]"),
	Entry("nor a group", choosing(`groups: [`+long(251)+`]`), "spec.select.groups[0]"),
	Entry("an id has an end", choosing(`runIDs: [`+strings.Repeat("a", 129)+`]`), "may not be more than 128"),

	Entry("what was changed may be taken back", changeOf(`undoOf: {name: fix}, apply: true`), accepted),
	Entry("that says which runs", changeOf(`undoOf: {name: fix}, select: {all: true}`), oneOfTwo),
	Entry("and what is added", changeOf(`undoOf: {name: fix}, add: [a]`), undoSaysAll),
	Entry("and removed", changeOf(`undoOf: {name: fix}, remove: [a]`), undoSaysAll),
	Entry("and renamed", changeOf(`undoOf: {name: fix}, rename: [{from: a, to: b}]`), undoSaysAll),
	Entry("something of no name can't be taken back", changeOf(`undoOf: {name: ""}`), "spec.undoOf.name"),
	Entry("nor something of a name that no object has", changeOf(`undoOf: {name: `+strings.Repeat("a", 254)+`}`), "may not be more than 253"),

	Entry("all at once", changing(`add: [a, "b c"], remove: [d], rename: [{from: e, to: f}, {from: f, to: e}]`), accepted),
	Entry("a tag goes one way", changing(`add: [a, b], remove: [b]`), bothWays),
	Entry("a new name is another one", changing(`rename: [{from: a, to: a}]`), sameTag),
	Entry("a name becomes one other", changing(`rename: [{from: a, to: b}, {from: a, to: c}]`), "Duplicate value"),
	Entry("two names may become one", changing(`rename: [{from: a, to: c}, {from: b, to: c}]`), accepted),
	Entry("a new name is given", changing(`rename: [{from: a}]`), "to: Required value"),
	Entry("and not an empty one", changing(`rename: [{from: a, to: ""}]`), "spec.rename[0].to"),
	Entry("nor an old one", changing(`rename: [{from: "", to: a}]`), "spec.rename[0].from"),
	Entry("a blank in front of what is added can't be seen", changing(`add: [" a"]`), blankTag),
	Entry("nor one at the end of a new name", changing(`rename: [{from: a, to: "b "}]`), blankTag),
	Entry("a tag with such a blank may be there already, and be taken off", changing(`remove: [" a"], rename: [{from: "b ", to: b}]`), accepted),
	Entry("and be looked for", choosing(`tags: ["a "]`), accepted),
	Entry("an empty tag is not added", changing(`add: [""]`), "spec.add[0]"),
	Entry("nor removed", changing(`remove: [""]`), "spec.remove[0]"),
	Entry("nor is one twice", changing(`add: [a, a]`), "Duplicate value"),
	Entry("nor taken off twice", changing(`remove: [a, a]`), "Duplicate value"),
	Entry("a tag may have 250 characters, not bytes", changing(fmt.Sprintf(`add: ["%s"], rename: [{from: "%[1]s", to: "b%s"}]`, long(250), long(249))), accepted),
	Entry("251 are too many to add", changing(fmt.Sprintf(`add: ["%s"]`, long(251))), "may not be more than 250"),
	Entry("to remove", changing(fmt.Sprintf(`remove: ["%s"]`, long(251))), "may not be more than 250"),
	Entry("to rename", changing(fmt.Sprintf(`rename: [{from: "%s", to: a}]`, long(251))), "may not be more than 250"),
	Entry("and for a name", changing(fmt.Sprintf(`rename: [{from: a, to: "%s"}]`, long(251))), "may not be more than 250"),
	Entry("16 of each are a change", changing(`add: `+tagList(16)+`, rename: `+renames(16)), accepted),
	Entry("17 added are too many", changing(`add: `+tagList(17)), "must have at most 16 items"),
	Entry("so are 17 removed", changing(`remove: `+tagList(17)), "must have at most 16 items"),
	Entry("and 17 renamed", changing(`rename: `+renames(17)), "must have at most 16 items"),

	Entry("one run is the least", changing(`maxRuns: 1`), accepted),
	Entry("100000 the most", changing(`maxRuns: 100000`), accepted),
	Entry("none is no change", changing(`maxRuns: 0`), "spec.maxRuns"),
	Entry("nor is any number", changing(`maxRuns: 100001`), "spec.maxRuns"),
	Entry("it may be kept for a month", changing(`ttlAfterFinished: 720h`), accepted),
	Entry("or not at all", changing(`ttlAfterFinished: 0s`), accepted),
	Entry("but no less", changing(`ttlAfterFinished: -1h`), badTTL),
	Entry("a word is no time", changing(`ttlAfterFinished: long`), badTTL),
	Entry("Go knows no days", changing(`ttlAfterFinished: 30d`), badTTL),
	Entry("an empty one is none", changing(`ttlAfterFinished: ""`), badTTL),
	Entry("a number has no unit", changing(`ttlAfterFinished: 3600`), "must be of type string"),
	Entry("nor one of any length", changing(`ttlAfterFinished: 1.000000000000000000000000000000s`), "may not be more than 32"),
	Entry("Go can't hold three centuries, and could not read the list of changes any more", changing(`ttlAfterFinished: 2628000h`), badTTL),
)

// renames are n renames of different tags, as a YAML list.
func renames(n int) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf("{from: old%d, to: new}", i)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// A change runs once, so what it is must not change while it runs.
var _ = DescribeTable("Changing a TagChange", func(ctx SpecContext, before, after, outcome string) {
	obj := object("TagChange", before)
	Expect(k8sClient.Create(ctx, obj)).To(Succeed())
	setSpec(obj, after)
	expectOutcome(k8sClient.Update(ctx, obj), outcome)
},
	Entry("what was counted may be done", changing(`add: [a]`), changing(`add: [a], apply: true`), accepted),
	Entry("what takes back, too", changeOf(`undoOf: {name: fix}`), changeOf(`undoOf: {name: fix}, apply: true`), accepted),
	Entry("what is done can't be unsaid", changing(`add: [a], apply: true`), changing(`add: [a], apply: false`), applyStays),
	Entry("nor by leaving it out", changing(`add: [a], apply: true`), changing(`add: [a]`), applyStays),
	Entry("a manifest that is applied again says the same", changing(`add: [a], apply: true`), changing(`add: [a], apply: true`), accepted),
	Entry("the order of a set is nothing", changing(`add: [a, b]`), changing(`add: [b, a]`), accepted),
	Entry("another project has other runs", changing(``), `{projectRef: {name: other}, select: {tags: [debug]}}`, onlyApply),
	Entry("another selection too", choosing(`tags: [debug]`), choosing(`tags: [wip]`), onlyApply),
	Entry("and a wider one", choosing(`tags: [debug], withoutTags: [keep]`), choosing(`tags: [debug]`), onlyApply),
	Entry("even along with apply", choosing(`tags: [debug]`), changeOf(`select: {all: true}, apply: true`), onlyApply),
	Entry("another tag is another change", changing(`add: [a]`), changing(`add: [b]`), onlyApply),
	Entry("one more too", changing(`add: [a]`), changing(`add: [a], remove: [b]`), onlyApply),
	Entry("and one that is no longer added", changing(`add: [a], remove: [b]`), changing(`remove: [b]`), onlyApply),
	Entry("and another one removed", changing(`remove: [a]`), changing(`remove: [b]`), onlyApply),
	Entry("and another name", changing(`rename: [{from: a, to: b}]`), changing(`rename: [{from: a, to: c}]`), onlyApply),
	Entry("and none any more", changing(`rename: [{from: a, to: b}]`), changing(``), onlyApply),
	Entry("a query does not become a change", changing(``), changing(`add: [a], apply: true`), onlyApply),
	Entry("what takes back one does not take back another", changeOf(`undoOf: {name: a}`), changeOf(`undoOf: {name: b}`), onlyApply),
	Entry("and does not become a change", changeOf(`undoOf: {name: a}`), changing(`add: [a]`), onlyApply),
	Entry("nor the other way round", changing(``), changeOf(`undoOf: {name: a}`), onlyApply),
	Entry("a limit that was not enough stays", changing(`maxRuns: 10`), changing(`maxRuns: 1000`), onlyApply),
	Entry("also the one that nobody gave", changing(``), changing(`maxRuns: 2000`), onlyApply),
	Entry("when it goes is known from the start", changing(`ttlAfterFinished: 1h`), changing(`ttlAfterFinished: 2h`), onlyApply),
	Entry("or that it stays", changing(``), changing(`ttlAfterFinished: 1h`), onlyApply),
	Entry("for good", changing(`ttlAfterFinished: 1h`), changing(``), onlyApply),
)

var _ = It("A TagChange may be labelled at any time", func(ctx SpecContext) {
	obj := object("TagChange", changing(`add: [a], apply: true`))
	Expect(k8sClient.Create(ctx, obj)).To(Succeed())
	generation := obj.GetGeneration()
	before := obj.DeepCopy()
	obj.SetLabels(map[string]string{"why": "typo"})
	Expect(k8sClient.Patch(ctx, obj, client.MergeFrom(before))).To(Succeed())
	Expect(obj.GetGeneration()).To(Equal(generation))
})
