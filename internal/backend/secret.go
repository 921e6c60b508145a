package backend

import "fmt"

// Secret is a credential that does not print: formatting and marshalling give a placeholder, or an address where it is a
// field of something that is printed, whose methods fmt can't call.
type Secret struct{ value *string }

// NewSecret wraps a credential.
func NewSecret(value string) Secret { return Secret{value: &value} }

// Reveal gives the credential itself, for the one header that carries it.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty says whether there is no credential.
func (s Secret) Empty() bool { return s.Reveal() == "" }

const redacted = "[redacted]"

// String gives a placeholder.
func (Secret) String() string { return redacted }

// Format gives a placeholder for every verb, %#v and %x included.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText gives a placeholder, for JSON, YAML and structured logs.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
