// Package tracker_test lets a tracker misbehave for minutes while a few TrainingRuns live on it, heals it, and checks that
// the end is the same as if nothing had been: every tag where it belongs, nothing foreign gone, no run called deleted that
// is there, and no request that a tracker had asked us not to make.
package tracker_test

import (
	"testing"
	"time"

	"github.com/runtag/runtag/controllers/controllerstest"
	"github.com/runtag/runtag/test/faults/facts"
)

// part is the suite's name in the report.
const part = "tracker"

// shortShare is how many of the table's rows there are for one that the short form takes.
const shortShare = 12

func TestMisbehaviour(t *testing.T) {
	seed := facts.Seed(t)
	suite := controllerstest.Start(t, "../../../config")
	rows := table(seed)
	done, storms := 0, stormCount{}
	for i, row := range rows {
		if !facts.Full() && uint64(i)%shortShare != seed%shortShare {
			continue
		}
		t.Run(row.name, func(t *testing.T) {
			s := newScene(t, suite, row)
			began := time.Now()
			s.play()
			t.Logf("took %.1f s", time.Since(began).Seconds())
			storms.add(s.front.storm())
			done++
		})
	}
	facts.Record(t, facts.Fact{Part: part, What: "ways in which W&B misbehaved", Value: float64(done)})
	facts.Record(t, facts.Fact{Part: part, What: "requests that W&B refused with 429", Value: float64(storms.refused)})
	facts.Record(t, facts.Fact{Part: part, What: "requests before a Retry-After had passed", Value: float64(storms.early)})
}
