package transport

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// Whatever headers a server sends about its limits: a pause is never negative nor longer than a day, and the rate stays
// between the slowest and the fastest, so that no header stops or floods anybody.
func FuzzLimitHeaders(f *testing.F) {
	for _, seed := range [][5]string{
		{"7", "", "", "", ""}, {"-1", "1000", "0", "60", ""}, {"1e400", "NaN", "Inf", "-Inf", ""}, {"0x7fffffffffffffff", "", "", "9223372036854775807", ""},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", "", "", "Mon, 01 Jan 0001 00:00:00 GMT"}, {"", "100, 100;w=60", "5;x", " 1 ", "Mon, 30 Nov 2026 20:00:00 GMT"},
		{"", "1000", "1", "1764532800", ""}, {"1.5", "1e-300", "1e-320", "1e14", ""},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4])
	}
	f.Fuzz(func(t *testing.T, after, limit, remaining, reset, date string) {
		now := time.Date(2026, 11, 30, 20, 0, 0, 0, time.UTC)
		h := http.Header{}
		for key, value := range map[string]string{
			"Retry-After": after, "RateLimit-Limit": limit, "X-RateLimit-Remaining": remaining, "RateLimit-Reset": reset, "Date": date,
		} {
			h.Set(key, value)
		}
		if pause, said := retryAfter(h, now); pause < 0 || pause > longestPause || !said && pause != 0 {
			t.Errorf("%q: a pause of %s, said %v", h, pause, said)
		}
		const fastest = 10
		l := NewLimiter(clocktesting.NewFakeClock(now), fastest, 5)
		for range 2 { // what a request costs is learnt from the second on
			told := limitsIn(h, now)
			l.learn(now, told, true)
			rate, until := l.Rate()
			if !(rate >= slowest && rate <= fastest) || until.Sub(now) > longestPause {
				t.Fatalf("%q: %v requests per second, paused until %s", h, rate, until)
			}
			l.sinceSeen++
		}
	})
}

// Whatever is given to --allow-tracker: it is refused with its own text, or it means one thing: written again it allows the
// same addresses, and metadata addresses and others than it names are never among them.
func FuzzParseAllow(f *testing.F) {
	for _, seed := range []string{
		"tracker.example", "Tracker.Example.:8080", "10.0.0.0/8", "::1", "[::1]:80", "127.0.0.1:5000", "169.254.169.254", "0.0.0.0/0", "::/0",
		"::ffff:10.0.0.1", "::ffff:0:0/96", "fe80::1%eth0", "a:b:c", "host:0", "host:65536", "*.example", "user@host", "http://host", " host ", "", "host:+80", "[host]:80", "1", "0x7f.1",
	} {
		f.Add(seed)
	}
	probes := []string{"169.254.169.254", "fd00:ec2::254", "fe80::1", "100.100.100.200", "10.1.2.3", "127.0.0.1", "::1", "192.168.1.1", "93.184.216.34", "64:ff9b::a9fe:a9fe"}
	never := map[string]bool{"169.254.169.254": true, "fe80::1": true, "64:ff9b::a9fe:a9fe": true}
	f.Fuzz(func(t *testing.T, value string) {
		policy, err := ParseAllow([]string{value})
		if err != nil {
			if !strings.Contains(err.Error(), value) || !strings.Contains(err.Error(), "--allow-tracker") {
				t.Fatalf("%q: the error does not name it: %v", value, err)
			}
			return
		}
		if n := len(policy.hosts) + len(policy.prefixes); n != 1 {
			t.Fatalf("%q stands for %d things", value, n)
		}
		again := mustAllow(t, written(policy))
		for _, probe := range probes {
			addr := netip.MustParseAddr(probe)
			for _, host := range []string{probe, "other.invalid"} {
				for _, port := range []uint16{80, 443} {
					one, two := policy.check(host, addr, port, nil), again.check(host, addr, port, nil)
					if (one == nil) != (two == nil) {
						t.Errorf("%q is %q, and %s port %d is %v and %v", value, written(policy), probe, port, one, two)
					}
					if one == nil && never[probe] {
						t.Errorf("%q allows %s", value, probe)
					}
				}
			}
		}
	})
}

// written is a policy of one value as it would be given again.
func written(p *AddressPolicy) string {
	with := func(host string, port uint16) string {
		if port == 0 {
			return host
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return fmt.Sprintf("%s:%d", host, port)
	}
	if len(p.hosts) > 0 {
		return with(p.hosts[0].host, p.hosts[0].port)
	}
	prefix := p.prefixes[0]
	if prefix.prefix.IsSingleIP() {
		return with(prefix.prefix.Addr().String(), prefix.port)
	}
	return prefix.prefix.String()
}

// Whatever text a server or a person puts into a message: what is shown is one short line, and shown again it is the same.
func FuzzClean(f *testing.F) {
	for _, seed := range []string{"", "plain", "two\nlines", "\x1b[31mred", "\u202ereversed", "\xff\xfe", strings.Repeat("é", 5000), "https://user:pass@host/?token=x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clean := Clean(text)
		if strings.ContainsAny(clean, "\n\r\x00\x1b\u202e\u2028") || len(clean) > 4096 {
			t.Errorf("%q is shown as %q", text, clean)
		}
		if again := Clean(clean); again != clean {
			t.Errorf("%q is shown as %q, and that as %q", text, clean, again)
		}
	})
}
