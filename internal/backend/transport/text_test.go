package transport

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ reason, in, want string }{
		{"plain text stays", "Run 'x' not found: <= 5", "Run 'x' not found: <= 5"},
		{"one line", "a\r\n b\t\tc\u2028d", "a b c d"},
		{"no control or direction characters", "a\x1b[31mb\u202ec\x00", "a [31mb c"},
		{"a page is nothing", " <!DOCTYPE html><p>x", ""},
		{"markup ends it", "Bad gateway <b>nginx</b>", "Bad gateway"},
		{"broken UTF-8 is dropped", "a\xff\xfeb", "ab"},
		{"long text is cut", strings.Repeat("é", 300), strings.Repeat("é", 199) + "…"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			if got := Clean(c.in); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.StringOfN(rapid.SampledFrom([]rune("<a!\n\x00é ")), 0, 3000, -1)).Draw(t, "in")
		got := Clean(in)
		if utf8.RuneCountInString(got) > 200 || strings.ContainsFunc(got, unicode.IsControl) || markup.MatchString(got) || !utf8.ValidString(got) {
			t.Fatalf("%q gives %q", in, got)
		}
		if Clean(got) != got {
			t.Fatalf("cleaning %q again changes it", got)
		}
	})
}

func TestWhatTheServerSaid(t *testing.T) {
	for _, c := range []struct{ reason, in, want string }{
		{"MLflow", `{"error_code":"INTERNAL_ERROR","message":"database is locked"}`, ": database is locked"},
		{"GraphQL", `{"errors":[{"message":"over capacity"}],"data":null}`, ": over capacity"},
		{"others", `{"error":"oops"}`, ": oops"},
		{"and others", `{"detail":"oops"}`, ": oops"},
		{"an object where a sentence is expected", `{"error":{"code":1}}`, ""},
		{"text, which may be anything's", "upstream timed out\n", ""},
		{"too much to be a sentence", strings.Repeat("a", 100_000), ""},
		{"nothing", "", ""},
	} {
		t.Run(c.reason, func(t *testing.T) {
			if got := said([]byte(c.in)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestNoSecretIsInTheServersWords(t *testing.T) {
	const key, accented = "k&<y>-1234567890", "paßwört-1234"
	secrets := []string{"Basic QWxh", key, accented}
	for reason, body := range map[string]string{
		"as it is":                      `{"message": "bad key ` + key + `"}`,
		"escaped as Go does it":         `{"message": "bad key k\u0026\u003cy\u003e-1234567890"}`,
		"escaped as Python does it":     `{"message": "bad key pa\u00dfw\u00f6rt-1234"}`,
		"below lists and objects":       `{"errors": [{"message": "bad key k\u0026\u003cy\u003e-1234567890"}]}`,
		"where the words are cut":       `{"message": "` + strings.Repeat("a", 190) + key + `"}`,
		"where blanks are put together": `{"message": "k&<y>-1234567890  Basic QWxh"}`,
	} {
		t.Run(reason, func(t *testing.T) {
			blanked := blank([]byte(body), secrets)
			var known map[string]any
			if err := json.Unmarshal(blanked, &known); err != nil {
				t.Fatalf("%s is no longer JSON: %v", blanked, err)
			}
			for _, text := range []string{fmt.Sprint(known), said(blanked)} {
				for _, part := range []string{key[:6], accented[:8], "QWxh"} {
					if strings.Contains(text, part) {
						t.Errorf("%q shows %q", text, part)
					}
				}
			}
		})
	}
	if got := string(blank([]byte(`{"n": 12345678901234567890, "m": "\u00e9"}`), secrets)); got != `{"m":"é","n":12345678901234567890}` {
		t.Errorf("got %s, want the numbers as they were", got)
	}
	if got := string(blank([]byte(`no \ JSON `+key), secrets)); got != `no \ JSON [redacted]` {
		t.Errorf("got %s", got)
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		reason string
		header http.Header
		want   time.Duration
		said   bool
	}{
		{"seconds", http.Header{"Retry-After": {"3"}}, 3 * time.Second, true},
		{"parts of a second", http.Header{"Retry-After": {"0.5"}}, 500 * time.Millisecond, true},
		{"a date, by our clock", http.Header{"Retry-After": {now.Add(time.Minute).Format(http.TimeFormat)}}, time.Minute, true},
		{"a date, by the server's clock, which is an hour ahead", http.Header{
			"Retry-After": {now.Add(time.Hour + time.Minute).Format(http.TimeFormat)}, "Date": {now.Add(time.Hour).Format(http.TimeFormat)},
		}, time.Minute, true},
		{"a date that has passed", http.Header{"Retry-After": {now.Add(-time.Minute).Format(http.TimeFormat)}}, 0, true},
		{"longer than a day is a mistake", http.Header{"Retry-After": {"1000000000000"}}, 24 * time.Hour, true},
		{"Retry-After before RateLimit-Reset", http.Header{"Retry-After": {"3"}, "Ratelimit-Reset": {"9"}}, 3 * time.Second, true},
		{"RateLimit-Reset", http.Header{"Ratelimit-Reset": {"9"}}, 9 * time.Second, true},
		{"with X-", http.Header{"X-Ratelimit-Reset": {"9"}}, 9 * time.Second, true},
		{"as time of day", http.Header{"X-Ratelimit-Reset": {"1795521605"}}, time.Unix(1795521605, 0).Sub(now), true},
		{"negative is nonsense", http.Header{"Retry-After": {"-3"}}, 0, false},
		{"words are nonsense", http.Header{"Retry-After": {"soon"}}, 0, false},
		{"NaN is nonsense", http.Header{"Retry-After": {"NaN"}}, 0, false},
		{"nothing", http.Header{}, 0, false},
	} {
		t.Run(c.reason, func(t *testing.T) {
			got, said := retryAfter(c.header, now)
			if got != c.want || said != c.said {
				t.Errorf("got %v, %v, want %v, %v", got, said, c.want, c.said)
			}
		})
	}
}

func TestLimitsIn(t *testing.T) {
	h := http.Header{"Ratelimit-Limit": {"100, 100;w=60"}, "Ratelimit-Remaining": {"40"}, "Ratelimit-Reset": {"20"}}
	if got, want := limitsIn(h, now), (limits{known: true, limit: 100, remaining: 40, resetIn: 20 * time.Second}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	h.Del("RateLimit-Remaining")
	if got := limitsIn(h, now); got.known {
		t.Errorf("half of the headers says nothing, but: %+v", got)
	}
}
