package walks_test

import "github.com/runtag/runtag/api/v1alpha1"

// knownWalks once ended badly.
var knownWalks = []struct {
	reason, steps string
	second        v1alpha1.TagPolicy
	ending        int
}{
	{
		reason: "a rule that was made again under its name is seen, though the watch saw one update",
		steps:  "rule 0 a 0, pass, send, pass, hold, rule-delete 0, rule 0 a 3, release",
	},
	{
		reason: "and so is a TagChange",
		steps:  "change 0 a 1, tick 0 a 3, tick 0 a 3, tick 0 a 3, hold, change-again 0 b 0, release",
	},
	{
		reason: "a restart decides nothing about a unique tag before the projects of other namespaces are heard", second: v1alpha1.TagPolicyMerge,
		steps: "unique+ 2, tick 0 a 3, tick 0 a 3, tick 0 a 3, unique+ 1, tick 0 a 3, tick 0 a 3",
	},
	{
		reason: "nor that nobody declares it", second: v1alpha1.TagPolicyMerge,
		steps: "unique+ 2, tick 0 a 3, tick 0 a 3, tick 0 a 3",
	},
}
