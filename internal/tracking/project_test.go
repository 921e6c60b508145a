package tracking_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/tags"
	"github.com/runtag/runtag/internal/tracking"
)

var (
	key = types.NamespacedName{Namespace: "team", Name: "capsules"}
	now = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
)

func TestServerTimeIsCorrectedBeyondTolerance(t *testing.T) {
	tests := []struct {
		reason string
		off    []time.Duration // the tracker's clock less ours, look by look
		want   time.Duration
	}{
		{reason: "without a word from the tracker nothing is corrected"},
		{reason: "a Date header has whole seconds, so two of them say nothing", off: []time.Duration{-2 * time.Second}},
		{reason: "a clock that is well off is corrected", off: []time.Duration{5 * time.Minute}, want: 5 * time.Minute},
		{reason: "so is one that is behind", off: []time.Duration{-time.Hour}, want: -time.Hour},
		{
			reason: "a correction does not wander by a second with each answer",
			off:    []time.Duration{5 * time.Minute, 5*time.Minute + time.Second, 5*time.Minute - 2*time.Second},
			want:   5 * time.Minute,
		},
		{reason: "it moves when the clock was set", off: []time.Duration{5 * time.Minute, 4 * time.Minute}, want: 4 * time.Minute},
		{reason: "and it goes when the clock was set right", off: []time.Duration{5 * time.Minute, 0}, want: 0},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			var p tracking.Project
			for _, off := range tc.off {
				p.SetServerTime(now.Add(off), now)
			}
			p.SetServerTime(time.Time{}, now) // an answer without a Date says nothing
			if have := p.ToServer(now).Sub(now); have != tc.want {
				t.Errorf("ToServer moves by %s, want %s", have, tc.want)
			}
			if have := p.ToLocal(p.ToServer(now)); !have.Equal(now) {
				t.Errorf("ToLocal(ToServer(%s)) = %s, want the same", now, have)
			}
			if have := p.ToLocal(time.Time{}); !have.IsZero() {
				t.Errorf("ToLocal of no time is %s, want none", have)
			}
		})
	}
}

func TestJudge(t *testing.T) {
	tests := []struct {
		reason  string
		gone    map[string]bool
		missing bool
		want    map[string]tracking.Verdict
	}{
		{reason: "nothing is decided at first", want: map[string]tracking.Verdict{"a": tracking.Undecided}},
		{reason: "what is gone is gone, of the others nothing is decided", gone: map[string]bool{"a": true}, want: map[string]tracking.Verdict{"a": tracking.Gone, "b": tracking.Undecided}},
		{
			reason: "what was called deleted before stays so while others are missing", gone: map[string]bool{"a": true}, missing: true,
			want: map[string]tracking.Verdict{"a": tracking.Gone, "b": tracking.Missing},
		},
	}
	for _, tc := range tests {
		t.Run(tc.reason, func(t *testing.T) {
			var p tracking.Project
			p.SetVerdict(tc.gone, tc.missing)
			have := map[string]tracking.Verdict{}
			for id := range tc.want {
				have[id] = p.Judge(id)
			}
			if diff := cmp.Diff(tc.want, have); diff != "" {
				t.Errorf("verdicts (-want +have):\n%s", diff)
			}
		})
	}
}

func TestWhatIsNews(t *testing.T) {
	var p tracking.Project
	if !p.SetCeiling(tags.Merge) || p.SetCeiling(tags.Merge) || !p.SetCeiling(tags.Add) || p.Ceiling() != tags.Add {
		t.Error("SetCeiling: want news when it moves, and only then")
	}
	down := tracking.Health{Reason: "TrackerUnavailable", Message: "one"}
	if p.SetHealth(tracking.Health{}) || !p.SetHealth(down) || p.Health() != down {
		t.Error("SetHealth: want news when the reason changes")
	}
	down.Message = "two"
	if p.SetHealth(down) || p.Health() != down {
		t.Error("SetHealth: want another message to be kept, and to be no news")
	}
	if p.CheckAsked() {
		t.Error("CheckAsked: want none unless somebody asked")
	}
	p.AskCheck()
	if !p.CheckAsked() || p.CheckAsked() {
		t.Error("CheckAsked: want it once")
	}
}
