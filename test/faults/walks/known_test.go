package walks_test

import "github.com/runtag/runtag/api/v1alpha1"

// knownWalks once ended badly.
var knownWalks = []struct {
	reason, steps string
	second        v1alpha1.TagPolicy
	ending        int
}{
	{reason: "nothing happens", steps: "pass, send, pass", ending: undeclared},
}
