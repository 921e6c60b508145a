package transport

import (
	"crypto/sha256"
	"strings"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// idleAfter is how long a limiter is kept that nobody used.
const idleAfter = time.Hour

// Limiters holds one Limiter for each host and credential, shared by all projects that use both. It is safe for
// concurrent use.
type Limiters struct {
	clock clock.Clock
	fixed *Rate // nil: that of the caller

	mu  sync.Mutex
	all map[limiterKey]*Limiter
}

// limiterKey holds a hash, so that the secret itself stays where it is used.
type limiterKey struct {
	host       string
	credential [sha256.Size]byte
}

// Rate is how many requests may go a second, and how many right after each other after a rest.
type Rate struct {
	PerSecond float64
	Burst     int
	// UnderWay is how many may be without an answer at a time; 0 is any number.
	UnderWay int
}

// NewLimiters makes an empty set.
func NewLimiters(c clock.Clock) *Limiters {
	return &Limiters{clock: c, all: map[limiterKey]*Limiter{}}
}

// WithRate gives all limiters made from now on this rate, whatever For is called with, and lets any number be under way. Call it before the set is shared.
func (s *Limiters) WithRate(perSecond float64, burst int) *Limiters {
	s.fixed = &Rate{PerSecond: perSecond, Burst: burst}
	return s
}

// Fingerprint gives the key under which a credential's limiter is found.
func Fingerprint(credential string) [sha256.Size]byte { return sha256.Sum256([]byte(credential)) }

// For gives the limiter of a host (with its port) and of a credential's Fingerprint, made with this rate where there is
// none yet. Limiters that nobody used for an hour are forgotten, but not while they pause.
func (s *Limiters) For(host string, credentialFingerprint [sha256.Size]byte, rate Rate) *Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	for key, l := range s.all {
		if l.idle(now) {
			delete(s.all, key)
		}
	}
	key := limiterKey{host: strings.ToLower(host), credential: credentialFingerprint}
	l := s.all[key]
	if l == nil {
		if s.fixed != nil {
			rate = *s.fixed
		}
		l = NewLimiter(s.clock, rate.PerSecond, rate.Burst)
		l.most = rate.UnderWay
		s.all[key] = l
	}
	l.touch(now)
	return l
}

func (l *Limiter) idle(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiters) == 0 && now.Sub(l.usedAt) > idleAfter && !now.Before(l.pausedUntil)
}

func (l *Limiter) touch(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.usedAt = now
}
