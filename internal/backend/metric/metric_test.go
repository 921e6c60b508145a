package metric_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/backend/metric"
)

func TestValue(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	cases := []struct {
		raw    string
		want   float64
		number bool
		reason string
	}{
		{"0.25", 0.25, true, "a number is one"},
		{" -1e3\n", -1000, true, "whatever the blanks around it"},
		{"12345678901234567890", 12345678901234567890, true, "a large integer is rounded"},
		{"-1e999", -inf, true, "what a float64 cannot hold is infinite"},
		{`"NaN"`, nan, true, "W&B writes what JSON cannot as a string"},
		{`"Infinity"`, inf, true, "in all three forms"},
		{`"-Infinity"`, -inf, true, "the negative one too"},
		{`"0.25"`, 0, false, "another string is none, even if it looks like one"},
		{`"nan"`, 0, false, "nobody writes it like this, but a person may log a string"},
		{`"inf"`, 0, false, "or this, which Go would take for a number"},
		{"inf", 0, false, "nor without quotes"},
		{"+1", 0, false, "JSON has no plus before numbers"},
		{`""`, 0, false, "an empty string is none"},
		{`"`, 0, false, "half a string is none"},
		{"true", 0, false, "a boolean is none"},
		{"null", 0, false, "null is none"},
		{"", 0, false, "nothing is none"},
		{`{"min":0.1}`, 0, false, "W&B's objects for min and max are none"},
		{`[1]`, 0, false, "a list is none"},
	}
	for _, c := range cases {
		got, number := metric.Value(json.RawMessage(c.raw))
		if number != c.number || !cmp.Equal(c.want, got, cmpopts.EquateNaNs()) {
			t.Errorf("%q is %v, %v, want %v, %v: %s", c.raw, got, number, c.want, c.number, c.reason)
		}
	}
}

func TestPick(t *testing.T) {
	type picked = map[string]float64
	cases := []struct {
		object, keys string // keys apart by blanks
		want         picked
		reason       string
	}{
		{`{"loss":1,"acc":2}`, "loss none", picked{"loss": 1}, "only what was asked for, and only what is there"},
		{`{"val/loss":1,"val":{"loss":2}}`, "val/loss", picked{"val/loss": 1}, "a slash is part of the name"},
		{`{"a.b":1,"a":{"b":2}}`, "a.b", picked{"a.b": 1}, "so is a dot where there is such a name"},
		{`{"a.b":"text","a":{"b":2}}`, "a.b", picked{}, "even if it is no number"},
		{`{"a":{"b":{"c":2}}}`, "a.b.c a.b a", picked{"a.b.c": 2}, "otherwise it is the way to a nested value"},
		{`{"v1.0":{"loss":1},"v1":{"x":1}}`, "v1.0.loss", picked{"v1.0.loss": 1}, "also if a name on the way has a dot"},
		{`{"loss":{"min":0.5}}`, "loss loss.min", picked{"loss.min": 0.5}, "a best value is found by its name, and is not the latest one"},
		{`{"a":3,"b":[{"c":1}]}`, "a.x b.0.c b.c", picked{}, "what is no object holds nothing"},
		{`{"":{"b":1}}`, ".b . b.", picked{".b": 1}, "dots at the ends do no harm"},
		{`null`, "loss", picked{}, "a run that has logged nothing has none"},
		{`{"loss":NaN,"NaN":"NaN, \"Infinity",  "up":Infinity,"d":{"x":-Infinity}}`, "loss NaN up d.x",
			picked{"loss": math.NaN(), "up": math.Inf(1), "d.x": math.Inf(-1)}, "bare words are numbers, within strings they are text"},
	}
	for _, c := range cases {
		got, err := metric.Pick([]byte(c.object), strings.Fields(c.keys))
		if diff := cmp.Diff(c.want, got, cmpopts.EquateNaNs()); diff != "" || err != nil {
			t.Errorf("%s of %s: %v (-want +got):\n%s%s", c.keys, c.object, err, diff, c.reason)
		}
	}
	for _, object := range []string{``, `[1]`, `"x"`, `{"a":`, `{"a":nan}`} {
		if got, err := metric.Pick([]byte(object), []string{"a"}); err == nil || got == nil {
			t.Errorf("%q gives %v and no error, though it is no object", object, got)
		}
	}
}

func TestParents(t *testing.T) {
	got := metric.Parents([]string{"b", "a.b.c", "a", "a.b", "b", ".x", "val/loss"})
	if diff := cmp.Diff([]string{"b", "a.b.c", "a", "a.b", ".x", "val/loss"}, got); diff != "" {
		t.Errorf("each name once, and what holds those with dots (-want +got):\n%s", diff)
	}
	if got := metric.Parents([]string{"x.y.z"}); !cmp.Equal(got, []string{"x.y.z", "x", "x.y"}) {
		t.Errorf("parents of x.y.z: %q", got)
	}
}

// TestQuoteLeavesJSONAlone: what is JSON already stays as it is, whatever its strings say.
func TestQuoteLeavesJSONAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"NaN", "Infinity", "-Infinity", `"`, `\`, `\"`, ":", ",", "{", "é", " "})
		text := rapid.Map(rapid.SliceOfN(piece, 0, 6), func(p []string) string { return strings.Join(p, "") })
		body, err := json.Marshal(rapid.MapOf(text, text).Draw(t, "object"))
		if err != nil {
			t.Fatal(err)
		}
		if got := metric.Quote(body); !bytes.Equal(got, body) {
			t.Fatalf("%s became %s", body, got)
		}
	})
}
