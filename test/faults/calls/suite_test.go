// Package calls_test lets each single call of the operator fail, lose its answer, and be the last before a crash or the
// first after one, and expects the same end of the story each time: in process, on a real API server, by the test's clock.
package calls_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/test/faults/calls/endstate"
	"github.com/runtag/runtag/test/faults/facts"
)

const (
	// oneVariable names one case to do and no other: script/step/verb object#n/mode.
	oneVariable = "RUNTAG_FAULTS_CALL"
	// sample is how many cases the short form does.
	sample = 24
	// abreast is how many lives are lived at a time; each of them mostly waits for the API server.
	abreast = "4"
)

// trial is one case: a script, and the harm that is done in it.
type trial struct {
	script string
	harm   harm
}

func (c trial) String() string { return c.script + "/" + c.harm.String() }

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetLogger(logr.Discard()) // each life has a log of its own
	if err := flag.Set("test.parallel", abreast); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestEveryCall(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a control plane")
	}
	suite := controllerstest.Start(t, "../../../config")
	trials, ends := record(t, suite)
	chosen := choose(t, trials)
	count(t, trials, chosen)
	t.Run("cases", func(t *testing.T) {
		for _, c := range chosen {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				t.Cleanup(func() {
					if t.Failed() {
						t.Logf("again: %s='%s' go test ./test/faults/calls -count=1", oneVariable, c)
					}
				})
				end := liveHarmed(t.Context(), suite, t, scripts[c.script], c.harm)
				if diff := ends[c.script].Diff(end); diff != "" {
					t.Errorf("the end is another one than that of the life without harm:\n%s", diff)
				}
			})
		}
	})
}

// record lives each script twice without harm. The ends have to be the same. So are the calls, but for some that depend on
// when answers of the tracker come; those that both lives made are harmed.
func record(t *testing.T, suite *controllerstest.Suite) ([]trial, map[string]endstate.State) {
	t.Helper()
	var trials []trial
	ends := map[string]endstate.State{}
	for _, script := range slices.Sorted(maps.Keys(scripts)) {
		began := time.Now()
		end, made := live(t.Context(), suite, t, scripts[script], harm{})
		t.Logf("%s: %d calls, %s", script, len(made), time.Since(began))
		again, madeAgain := live(t.Context(), suite, t, scripts[script], harm{})
		if diff := end.Diff(again); diff != "" {
			t.Fatalf("two lives of script %s end differently:\n%s", script, diff)
		}
		both := common(made, madeAgain)
		if len(both)*10 < len(made)*9 {
			t.Fatalf("two lives of script %s have %d calls and only %d in common", script, len(made), len(both))
		}
		ends[script] = end
		for _, call := range both {
			for _, m := range modes {
				if call.suffers(m) {
					trials = append(trials, trial{script, harm{call.name, m}})
				}
			}
		}
	}
	return trials, ends
}

// common are the calls of one life that were made in the other one too.
func common(calls, others []call) []call {
	return slices.DeleteFunc(slices.Clone(calls), func(c call) bool {
		return !slices.ContainsFunc(others, func(o call) bool { return o.name == c.name })
	})
}

// choose gives all cases, or a sample, or the one that is asked for.
func choose(t *testing.T, trials []trial) []trial {
	t.Helper()
	if one := os.Getenv(oneVariable); one != "" {
		i := slices.IndexFunc(trials, func(c trial) bool { return c.String() == one })
		if i < 0 {
			t.Fatalf("%s=%q: there is no such case", oneVariable, one)
		}
		return trials[i : i+1]
	}
	if facts.Full() {
		return trials
	}
	seed := facts.Seed(t)
	t.Logf("a sample of %d of %d cases", sample, len(trials))
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance that can be repeated, not a secret
	trials = slices.Clone(trials)
	random.Shuffle(len(trials), func(i, j int) { trials[i], trials[j] = trials[j], trials[i] })
	return trials[:sample]
}

// count records what is done.
func count(t *testing.T, all, chosen []trial) {
	t.Helper()
	named := map[string]bool{}
	for _, c := range all {
		named[c.script+"/"+c.harm.call] = true
	}
	by := map[mode]int{}
	for _, c := range chosen {
		by[c.harm.mode]++
	}
	for what, n := range map[string]int{
		"calls of the operator in the scripted lives, each with a name": len(named),
		"lives in which one call failed":                                by[fails],
		"lives in which one write met a conflict":                       by[conflicts],
		"lives in which the answer to one call was lost":                by[lost],
		"lives in which one call was the last before a crash":           by[last],
		"lives in which one call was the first after a crash":           by[first],
	} {
		facts.Record(t, facts.Fact{Part: "calls", What: what, Value: float64(n)})
	}
}
