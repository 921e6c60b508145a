package importing

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const week = 168 * time.Hour

func active() backend.Run {
	return backend.Run{State: backend.StateRunning, CreatedAt: noon.Add(-100 * week), HeartbeatAt: noon}
}

func linked(is bool) func(backend.Run) bool { return func(backend.Run) bool { return is } }

func endedAgo(d time.Duration) backend.Run {
	return backend.Run{State: backend.StateFinished, CreatedAt: noon.Add(-100 * week), FinishedAt: noon.Add(-d)}
}

func TestRules(t *testing.T) {
	lost := backend.Run{State: backend.StateUnknown, CreatedAt: noon.Add(-2 * week)}
	forever := backend.Run{State: backend.StateRunning, CreatedAt: noon.Add(-week)}
	beat := lost
	beat.HeartbeatAt = noon.Add(-time.Hour)
	for _, c := range []struct {
		name, reason string
		rules        Rules
		run          backend.Run
		names        []string
		wants        bool
		// until is how long before noon, or after it, the run stops to qualify by time alone.
		until time.Duration
		never bool
	}{
		{name: "none", reason: "nothing", rules: Rules{Policy: None, TTL: week}, run: active(), never: true},
		{name: "no policy", reason: "nothing that is not asked for", rules: Rules{TTL: week}, run: active(), never: true},
		{name: "all", reason: "every run, and no ttl", rules: Rules{Policy: All}, run: endedAgo(10 * week), wants: true, never: true},
		{name: "active", reason: "at a look", rules: Rules{Policy: Active, TTL: week}, run: active(), wants: true, never: true},
		{name: "ended between two looks", reason: "it is imported though no look saw it active", rules: Rules{Policy: Active, TTL: week}, run: endedAgo(time.Minute),
			wants: true, until: week - time.Minute},
		{name: "ended at the ttl", reason: "its time is over then, not later", rules: Rules{Policy: Active, TTL: week}, run: endedAgo(week)},
		{name: "ended before the ttl", reason: "a run that ended longer ago is not imported", rules: Rules{Policy: Active, TTL: week}, run: endedAgo(2 * week), until: -week},
		{name: "no ttl", reason: "gone when it ends", rules: Rules{Policy: Active}, run: endedAgo(0)},
		{name: "no end, no heartbeat", reason: "all that is known is when it began", rules: Rules{Policy: Active, TTL: week}, run: lost, until: -week},
		{name: "no end, a heartbeat", reason: "the last sign of life", rules: Rules{Policy: Active, TTL: week}, run: beat, wants: true, until: week - time.Hour},
		{name: "running for ever, says a tracker without heartbeats", reason: "its process was killed long ago", rules: Rules{Policy: Active, TTL: week}, run: forever, never: true},
		{name: "running for ever, with a pod", reason: "it does", rules: Rules{Policy: Linked, TTL: week, Linked: linked(true)}, run: forever, wants: true, never: true},
		{name: "linked", reason: "a pod belongs to it", rules: Rules{Policy: Linked, TTL: week, Linked: linked(true)}, run: active(), wants: true, never: true},
		{name: "not linked", reason: "another namespace's", rules: Rules{Policy: Linked, TTL: week, Linked: linked(false)}, run: active(), never: true},
		{name: "linked, and ended", reason: "it is found a while later", rules: Rules{Policy: Linked, TTL: week, Linked: linked(true)}, run: endedAgo(time.Hour), wants: true,
			until: week - time.Hour},
		{name: "linked, and ended long ago", reason: "its time is over", rules: Rules{Policy: Linked, TTL: week, Linked: linked(true)}, run: endedAgo(2 * week), until: -week},
		{name: "a tag, and no policy", reason: "runs with one of the tags are imported too, whatever their state", rules: Rules{Policy: None, Tags: []string{"keep", "also"}},
			run: endedAgo(10 * week), names: []string{"x", "also"}, wants: true, never: true},
		{name: "another tag", reason: "only those", rules: Rules{Policy: None, Tags: []string{"keep"}}, run: active(), names: []string{"x"}, never: true},
		{name: "a tag after the ttl", reason: "kept while it carries it", rules: Rules{Policy: Active, TTL: week, Tags: []string{"keep"}}, run: endedAgo(2 * week),
			names: []string{"keep"}, wants: true, never: true},
		{name: "without", reason: "never, though it is active and carries a tag that is wanted", rules: Rules{Policy: All, Tags: []string{"keep"}, WithoutTags: []string{"debug"}},
			run: active(), names: []string{"debug", "keep"}, never: true},
		{name: "without, after its end", reason: "time changes nothing", rules: Rules{Policy: Active, TTL: week, WithoutTags: []string{"debug"}}, run: endedAgo(time.Hour),
			names: []string{"debug"}, never: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.rules.Wants(c.run, c.names, noon); got != c.wants {
				t.Errorf("%s: wants %v", c.reason, got)
			}
			want := noon.Add(c.until)
			if c.never {
				want = time.Time{}
			}
			if got := c.rules.Until(c.run, c.names); !got.Equal(want) {
				t.Errorf("%s: until %v, want %v", c.reason, got, want)
			}
		})
	}
}

func TestOff(t *testing.T) {
	for _, c := range []struct {
		reason string
		rules  Rules
		want   bool
	}{
		{"no policy and no tags", Rules{}, true},
		{"none and no tags", Rules{Policy: None, WithoutTags: []string{"debug"}}, true},
		{"tags alone import", Rules{Policy: None, Tags: []string{"keep"}}, false},
		{"so does a policy", Rules{Policy: Active}, false},
		{"and that of pods", Rules{Policy: Linked}, false},
	} {
		if got := c.rules.Off(); got != c.want {
			t.Errorf("%s: off %v, want %v", c.reason, got, c.want)
		}
	}
}

// TestRulesAgree: what is imported is kept until the time that Until gives and not after; and what is off imports nothing.
func TestRulesAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := func(label string) []string {
			return rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 0, 2).Draw(t, label)
		}
		rules := Rules{
			Policy: rapid.SampledFrom([]Policy{None, Linked, Active, All, ""}).Draw(t, "policy"), Linked: linked(rapid.Bool().Draw(t, "linked")), Tags: some("tags"), WithoutTags: some("without"),
			TTL: time.Duration(rapid.IntRange(0, 3).Draw(t, "ttl")) * time.Hour,
		}
		run := backend.Run{State: rapid.SampledFrom([]backend.State{backend.StateRunning, backend.StateFinished, backend.StateUnknown}).Draw(t, "state"), CreatedAt: noon.Add(-3 * time.Hour)}
		if !run.State.Active() && rapid.Bool().Draw(t, "ended") {
			run.FinishedAt = noon.Add(-time.Duration(rapid.IntRange(0, 3).Draw(t, "hours")) * time.Hour)
		}
		names := some("names")
		if rules.Off() && rules.Wants(run, names, noon) {
			t.Fatal("what is off imports")
		}
		stale := rapid.Bool().Draw(t, "stale") && run.State.Active()
		if rules.Wants(run, names, noon) && !rules.Keeps(run, names, false, noon) {
			t.Fatal("what is imported would be taken away")
		}
		until := rules.Until(run, names)
		switch {
		case until.IsZero() && !stale:
			if rules.Keeps(run, names, stale, noon) != rules.Keeps(run, names, stale, noon.Add(1000*week)) {
				t.Fatal("time alone changes what is kept, and Until does not say when")
			}
		case until.IsZero():
			if !rules.Keeps(run, names, false, noon) && rules.Keeps(run, names, true, noon) {
				t.Fatal("one that is stale is kept though one that runs is not")
			}
		case rules.Keeps(run, names, stale, until) || rules.TTL > 0 && !rules.Keeps(run, names, stale, until.Add(-time.Second)):
			t.Fatalf("kept until %v, and not until then", until)
		}
	})
}
