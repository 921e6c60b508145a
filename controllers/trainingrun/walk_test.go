package trainingrun_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/controllerstest"
)

const (
	// defaultWalks is how many walks there are where RUNTAG_WALKS does not say.
	defaultWalks = 80
	leastSteps   = 30
	mostSteps    = 60
)

// step is one thing that somebody does in a walk.
type step struct {
	what string
	who  int // the TrainingRun that it is about
	tag  string
	n    int
}

func (s step) String() string { return fmt.Sprintf("%s %d %s %d", s.what, s.who, s.tag, s.n) }

// GoString is how rapid shows a step.
func (s step) GoString() string { return s.String() }

var (
	walkTags = []string{"a", "b", "c"}
	// seconds are the policies that a second object begins with, if there is one.
	seconds = []v1alpha1.TagPolicy{"", "", v1alpha1.TagPolicyMerge, v1alpha1.TagPolicyObserve, v1alpha1.TagPolicyAdd}
	// A walk that fails shrinks towards the first.
	whats = strings.Fields(`idle
		spec+ pass send spec- pass send restart old look spec+ spec- pass send page+ page- script+ script+ script-start script-end
		label pass send label unlabel pass send unlabel wipe unlabel-all label
		blink flash let-go api-labels api-status
		old restart restart pass send api tracker exclude include policy deletion delete create delete create run-delete run-make later`)
)

// knownWalks once ended badly.
var knownWalks = []struct {
	reason, steps string
	second        v1alpha1.TagPolicy
}{
	{reason: "a tag that is on its way when its object is deleted does not stay", steps: "pass, delete, pass, send"},
	{reason: "nor does one of which the answer was lost", steps: "tracker 0 a 0, pass, send, delete, pass, send"},
	{reason: "nor when the operator dies over it", steps: "tracker 0 a 0, pass, send, restart, delete, pass, send"},
	{
		reason: "what another object kept goes when that one undeclares it", second: v1alpha1.TagPolicyObserve,
		steps: "look, spec- 0 a, look, spec- 1 a",
	},
	{
		reason: "and when that one goes and leaves it", second: v1alpha1.TagPolicyObserve,
		steps: "deletion 1 a 1, look, spec- 0 a, look, delete 1",
	},
	{reason: "a run that a change did not find is not read for ever", steps: "look, spec+ 0 b, pass, run-delete, send, pass, send, look"},
	{
		reason: "an object that has said RunDeleted before a restart and was edited says it again",
		steps:  "look, run-delete, look, look, look, look, look, restart, spec+ 0 b, pass, send",
	},
}

func steps(t *rapid.T) []step {
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			what: rapid.SampledFrom(whats).Draw(t, "what"),
			who:  rapid.IntRange(0, 1).Draw(t, "who"),
			tag:  rapid.SampledFrom([]string{"a", "b", "a", "b", "c"}).Draw(t, "tag"),
			n:    rapid.IntRange(0, 3).Draw(t, "n"),
		}
	})
	return rapid.SliceOfN(one, leastSteps, mostSteps).Draw(t, "steps")
}

// TestWalk lets people, a training script, the tracker's page and the operator do what they like in any order: passes may
// start from old objects and old looks, writes to the API server and to the tracker may fail before or after they are
// carried out, and the operator may die in between. A walk that fails is shrunk; its seed and file are in the output.
func TestWalk(t *testing.T) {
	walks := defaultWalks
	if text := os.Getenv("RUNTAG_WALKS"); text != "" {
		var err error
		if walks, err = strconv.Atoi(text); err != nil {
			t.Fatalf("RUNTAG_WALKS is %q, want the number of walks: %v", text, err)
		}
	}
	suite := controllerstest.Start(t, "../../config")
	for _, known := range knownWalks {
		t.Run(known.reason, func(t *testing.T) {
			w := newWalk(t.Context(), suite, t, known.second)
			defer w.h.Close()
			for _, text := range strings.Split(known.steps, ",") {
				w.do(parseStep(t, text))
			}
			w.comeToRest(asItIs)
		})
	}
	t.Run("at random", func(t *testing.T) {
		controllerstest.SetRapidFlag(t, "rapid.checks", strconv.Itoa(walks))
		done := 0
		rapid.Check(t, func(rt *rapid.T) {
			second, ending := rapid.SampledFrom(seconds).Draw(rt, "second object"), rapid.IntRange(asItIs, deleted).Draw(rt, "ending")
			all := steps(rt)
			w := newWalk(t.Context(), suite, rt, second)
			defer w.h.Close()
			for _, s := range all {
				w.do(s)
			}
			w.comeToRest(ending)
			done++
		})
		t.Logf("%d walks of %d to %d steps", done, leastSteps, mostSteps)
	})
}

// parseStep reads a step: what, and where it matters who, the tag and a number.
func parseStep(t *testing.T, text string) step {
	t.Helper()
	s := step{tag: walkTags[0], n: 1}
	controllerstest.ScanStep(t, text, &s.what, &s.who, &s.tag, &s.n)
	return s
}
