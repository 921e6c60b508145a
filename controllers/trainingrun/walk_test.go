package trainingrun_test

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

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
	// The first are drawn a little more often, and a walk that fails shrinks towards them.
	whats = strings.Fields(`idle
		spec+ pass send spec- pass send restart look old spec+ spec- pass send page+ page- script+ script+ script-start script-end
		label pass send label unlabel pass send unlabel wipe unlabel-all label
		blink flash let-go api-labels api-status
		old restart api tracker begin-look end-look end-look exclude include policy deletion delete create run-delete run-make later`)
)

func steps(t *rapid.T) []step {
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			what: rapid.SampledFrom(whats).Draw(t, "what"),
			who:  rapid.IntRange(0, 1).Draw(t, "who"),
			tag:  rapid.SampledFrom(walkTags).Draw(t, "tag"),
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
	setFlag(t, "rapid.checks", strconv.Itoa(walks))
	done := 0
	rapid.Check(t, func(rt *rapid.T) {
		two, ending := rapid.Bool().Draw(rt, "two objects"), rapid.IntRange(0, 2).Draw(rt, "ending")
		all := steps(rt)
		w := newWalk(t.Context(), suite, rt, two)
		defer w.h.Close()
		for _, s := range all {
			w.do(s)
		}
		w.comeToRest(ending)
		done++
	})
	t.Logf("%d walks of %d to %d steps", done, leastSteps, mostSteps)
}

// setFlag sets a flag of rapid, which has no other way in, for this test.
func setFlag(t *testing.T, name, value string) {
	t.Helper()
	f := flag.Lookup(name)
	if f == nil {
		t.Fatalf("rapid has no flag %s", name)
	}
	before := f.Value.String()
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Value.Set(before); err != nil {
			t.Fatal(err)
		}
	})
}
