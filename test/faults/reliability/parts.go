package reliability

const head = `<!-- Made by make faults; what was found is kept in test/faults/found.yaml. -->
# What runtag survives

This page is written by ` + "`make faults`" + `, which runs the fault suite in full; ` + "`make test`" + ` includes a short form of it. Fuzzing
(` + "`make fuzz`" + `) and the soak (` + "`make soak`" + `) run apart. Random tests print their seeds.

The promises that are tested:

1. Planning twice plans nothing the second time; the plan does not depend on order.
2. Nothing is removed that was not declared on our side, excluded or requested (policy Exclusive apart); a value that was
   replaced comes back.
3. From any state, whichever single call to the API server or the tracker fails or is the last before a crash, and however
   old the cache, the same end state is reached.
4. Once quiet, resourceVersions stand still and the tracker sees only looks.
5. A secret's value is in no log line, event, status, metric or error.
6. Conditions follow kstatus.
7. No set of rules over a world that stands still changes a tag twice.

`

const mutationText = `A suite that can't fail proves nothing. So each of these safeguards is taken out of the program once (by the compiler's
overlay, the files stay as they are), and some test has to fail.
`

const defectText = `Each defect that the suite found, how to see it again, what was done, and the test that keeps it.
`

// Parts lists all that make faults runs, in this order.
var Parts = []Part{
	{
		Name: "calls", Title: "Every call", Folders: []string{"calls", "kills"},
		Text: `A scripted life of a few TrainingRuns, with labels, rules, a unique tag, a bulk change and deletions, is recorded as named
calls to the API server and the tracker. Then each of them fails, loses its answer, is the last before a crash and the first
after one. The end state is always that of the undisturbed life, and nothing foreign is removed at any moment. The same is
done to the built manager with SIGKILL.`,
	},
	{
		Name: "walks", Title: "Random walks over old caches", Folders: []string{"walks"},
		Text: `People, training scripts, rules, bulk changes and the tracker act at random, while the operator's cache lags behind, goes
back in time after a restart, or never sees some versions. The promises are checked whenever all is quiet, and those that
are about every moment after every step. A walk that fails is shrunk.`,
	},
	{
		Name: "tracker", Title: "The tracker misbehaves", Folders: []string{"tracker"},
		Text: `Whatever can be wrong with a tracker's answers is wrong for minutes at a time, while people go on editing; then it heals.`,
	},
	{
		Name: "cluster", Title: "The cluster misbehaves", Folders: []string{"cluster"},
		Text: `The API server restarts, forgets watches and is slow; leaders are stopped past their lease and continued; Secrets are
rotated, deleted and swapped; CRDs are updated in place; namespaces go; old objects are restored.`,
	},
	{
		Name: "hostile", Title: "Hostile users", Folders: []string{"hostile"},
		Text: `Tags of every script and control character, labels with the operator's own values, annotations of 250 KB, rules at the cost
limit, statuses full of garbage, and one namespace that makes thousands of objects while another one's edits have to arrive.`,
	},
	{
		Name: "security", Title: "Security", Folders: []string{"security"},
		Text: `A named test for each class of vulnerability that operators of this kind had; see also the [threat model](threat-model.md).`,
	},
}
