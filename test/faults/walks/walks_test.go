// Package walks_test lets everybody do what they like in any order, while the operator's cache is behind, and checks that
// nothing foreign is taken off at any moment, and that all is as it should be once there is rest.
package walks_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/test/faults/facts"
)

const (
	shortWalks = 12
	fullWalks  = 1000
	// lanes are walks that go on at the same time: most of a walk is waiting for the API server and the tracker.
	lanes = 3
	// stepsPerWalk is how many there are on average.
	stepsPerWalk = 40
	part         = "walks"
)

// step is one thing that somebody does in a walk.
type step struct {
	what string
	who  int // the TrainingRun, run or rule that it is about
	tag  string
	n    int
}

func (s step) String() string { return fmt.Sprintf("%s %d %s %d", s.what, s.who, s.tag, s.n) }

// GoString is how rapid shows a step.
func (s step) GoString() string { return s.String() }

// actors are who acts in a walk, with what each does. What is there twice is done twice as often.
var actors = map[string][]string{
	"person":  strings.Fields("spec+ spec+ spec- label label unlabel unlabel exclude include add-list remove-list unlist policy ceiling deletion delete create create wipe"),
	"unique":  strings.Fields("unique+ unique- move move"),
	"script":  strings.Fields("script-start script+ script+ script-end"),
	"page":    strings.Fields("page+ page- page+ page- run-delete run-make run-make run-again"),
	"rules":   strings.Fields("rule rule rule-mode rule-delete wide-rule wide-rule-delete"),
	"cluster": strings.Fields("pod pod pod-disrupt pod-gone node-spot node-gone"),
	"change":  strings.Fields("change change change-undo change-delete change-again"),
	"cache":   strings.Fields("hold hold hold release deliver deliver deliver deliver evidence"),
	"manager": strings.Fields("pass pass send pass send tick tick tick"),
	"crash":   strings.Fields("crash crash crash-between api lose tracker"),
}

// order in which rapid offers the actors; a walk that fails shrinks towards the first.
var order = strings.Fields("manager cache person unique page script rules cluster change crash")

func oneStep(t *rapid.T) step {
	actor := rapid.SampledFrom(order).Draw(t, "actor")
	return step{
		what: rapid.SampledFrom(actors[actor]).Draw(t, "what"),
		who:  rapid.IntRange(0, 2).Draw(t, "who"),
		tag:  rapid.SampledFrom(declarable).Draw(t, "tag"),
		n:    rapid.IntRange(0, 3).Draw(t, "n"),
	}
}

// TestWalks makes walks of random steps. One that fails is shrunk; its seed is in the output and -rapid.seed repeats it.
func TestWalks(t *testing.T) {
	suite := controllerstest.Start(t, "../../../config")
	for _, known := range knownWalks {
		t.Run(known.reason, func(t *testing.T) {
			w := newWorld(t.Context(), suite, t, known.second)
			defer w.close()
			for text := range strings.SplitSeq(known.steps, ",") {
				w.do(parseStep(t, text))
			}
			w.comeToRest(known.ending)
		})
	}
	t.Run("at random", func(t *testing.T) { atRandom(t, suite) })
}

func atRandom(t *testing.T, suite *controllerstest.Suite) {
	walks := facts.Pick(shortWalks, fullWalks)
	if text := os.Getenv("RUNTAG_WALKS"); text != "" {
		var err error
		if walks, err = strconv.Atoi(text); err != nil {
			t.Fatalf("RUNTAG_WALKS is %q, want the number of walks: %v", text, err)
		}
	}
	controllerstest.SetRapidFlag(t, "rapid.steps", strconv.Itoa(stepsPerWalk))
	controllerstest.SetRapidFlag(t, "rapid.nofailfile", "true") // a failure is repeated by its seed
	total, begun := &tally{}, &sync.Mutex{}
	defer func() { total.record(t) }() // after the lanes, which this one waits for
	if seed := flag.Lookup("rapid.seed").Value.String(); seed != "0" {
		total.lane(t, suite, func() {})
		return
	}
	t.Run("lanes", func(t *testing.T) {
		for i := range lanes {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				begun.Lock() // the flags are the process's
				once := sync.OnceFunc(begun.Unlock)
				defer once()
				seed := strconv.Itoa(i + 1) // the short form always makes the same walks
				if facts.Full() {
					seed = strconv.FormatUint(rand.Uint64()>>16, 10)
				}
				t.Logf("%d walks, -rapid.seed=%s", share(walks, i), seed)
				if err := flag.Set("rapid.seed", seed); err != nil {
					t.Fatal(err)
				}
				if err := flag.Set("rapid.checks", strconv.Itoa(share(walks, i))); err != nil {
					t.Fatal(err)
				}
				total.lane(t, suite, once)
			})
		}
	})
}

// share is how many of the walks go in one lane.
func share(walks, lane int) int {
	n := walks / lanes
	if lane < walks%lanes {
		n++
	}
	return max(1, n)
}

// tally counts over all walks.
type tally struct {
	mu                              sync.Mutex
	walks, steps, passes, conflicts int
	writes, restarts                int
}

// lane makes walks one after the other; begun is called when rapid has read its flags.
func (c *tally) lane(t *testing.T, suite *controllerstest.Suite, begun func()) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		begun()
		second := rapid.SampledFrom(seconds).Draw(rt, "second object")
		ending := rapid.IntRange(asItIs, deleted).Draw(rt, "ending")
		w := newWorld(t.Context(), suite, rt, second)
		defer w.close()
		rt.Repeat(map[string]func(*rapid.T){
			"":     func(*rapid.T) { w.check() },
			"step": func(rt *rapid.T) { w.do(rapid.Custom(oneStep).Draw(rt, "step")) },
		})
		w.comeToRest(ending)
		c.add(w)
	})
}

// close ends the world. With RUNTAG_WALKS_LOG, what the operator logged and wrote is shown.
func (w *world) close() {
	w.t.Helper()
	if os.Getenv("RUNTAG_WALKS_LOG") != "" {
		for _, write := range w.h.API.Writes() {
			w.t.Logf("write %+v", write)
		}
		for line := range strings.Lines(w.h.Log.Text()) {
			if !strings.Contains(line, `"level":8`) { // bodies, which are among the writes
				w.t.Logf("%s", line)
			}
		}
	}
	w.h.Close()
}

func (c *tally) add(w *world) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.walks++
	c.steps += w.steps
	c.passes += w.stalePasses
	c.restarts += w.restarts
	for _, write := range w.h.API.Writes() {
		c.writes++
		if write.Err != nil {
			c.conflicts++
		}
	}
}

func (c *tally) record(t *testing.T) {
	t.Helper()
	if t.Failed() {
		return // what is shrunk is counted with the rest
	}
	for _, f := range []facts.Fact{
		{What: "random walks of people, training scripts, rules, TagChanges and a cache that is behind", Value: float64(c.walks)},
		{What: "steps in these walks", Value: float64(c.steps)},
		{What: "passes made while the cache was behind what the API server had", Value: float64(c.passes)},
		{What: "restarts into an older cache", Value: float64(c.restarts)},
		{What: "writes to the API server in these walks", Value: float64(c.writes)},
		{What: "of which were refused or lost", Value: float64(c.conflicts)},
	} {
		f.Part = part
		facts.Record(t, f)
	}
}

// parseStep reads a step: what, and where it matters who, the tag and a number.
func parseStep(t *testing.T, text string) step {
	t.Helper()
	s := step{tag: declarable[0]}
	controllerstest.ScanStep(t, text, &s.what, &s.who, &s.tag, &s.n)
	return s
}
