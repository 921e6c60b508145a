package backend

import (
	"errors"
	"strings"
	"time"
)

// Kind says what went wrong, in terms that decide what to do about it.
type Kind string

// The kinds of errors.
const (
	// NotFound: the run is not there (any more).
	NotFound Kind = "NotFound"
	// AccessDenied: the credential is wrong, the project is hidden or gone, or a login page is in the way.
	AccessDenied Kind = "AccessDenied"
	// AddressRefused: our own rules forbid to connect to this address.
	AddressRefused Kind = "AddressRefused"
	// InvalidTag: the tracker does not take this tag; Error.Tag says which.
	InvalidTag Kind = "InvalidTag"
	// RateLimited: no request before Error.Until.
	RateLimited Kind = "RateLimited"
	// Unavailable: the tracker did not answer as it should; try again later.
	Unavailable Kind = "Unavailable"
	// Conflict: somebody else wrote at the same time, or the answer is not what was sent; read and plan again.
	Conflict Kind = "Conflict"
	// Unsupported: the server does not do what we need, and will not until it or the configuration changes.
	Unsupported Kind = "Unsupported"
	// NotLeading: this process is not sure that it is the one that may write; nothing was sent, try again later.
	NotLeading Kind = "NotLeading"
)

// Error is the one error type of backends. Its message is safe to show: no secret, no body of an answer beyond a short
// cleaned sentence, no user info or query of a URL.
type Error struct {
	Kind Kind
	// Op is what we were doing, such as "list runs of acme/capsules".
	Op string
	// Tag is the tag that was refused, for InvalidTag.
	Tag string
	// Until is when the next request may be made, for RateLimited; zero where the tracker did not say.
	Until time.Time
	// Message says what happened and what to do next.
	Message string
	// Err is the cause, kept for errors.Is (a cancelled context, say); never shown.
	Err error
}

// Error gives the operation and the message.
func (e *Error) Error() string {
	parts := make([]string, 0, 2)
	if e.Op != "" {
		parts = append(parts, e.Op)
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	} else {
		parts = append(parts, string(e.Kind))
	}
	return strings.Join(parts, ": ")
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf says what kind of error this is; empty for nil and for errors that are not of a backend.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// IsKind says whether the error is of this kind.
func IsKind(err error, kind Kind) bool { return KindOf(err) == kind }
