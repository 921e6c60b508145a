// Package tags decides what happens to the tags of one run. It is pure: it does no I/O and takes the time as a
// parameter, so that the same input always gives the same plan.
package tags

import (
	"fmt"
	"maps"
	"strings"
)

// Tag is one tag as a key and a value. A tracker with plain string tags (W&B) has only keys; the whole string is the
// key there. On a key/value tracker (MLflow) an empty Value is the bare tag: the key, present, whatever else is true of it.
type Tag struct {
	Key   string
	Value string
}

// Set is the tags on a run, from key to the value exactly as the tracker holds it. On a tracker with plain string
// tags every value is empty.
type Set map[string]string

// Edit is a change of a run's tags: what is written (key to exact value) and which keys are taken off. No key is in both.
type Edit struct {
	Set    Set
	Remove []string
}

// Empty says whether the edit changes nothing.
func (e Edit) Empty() bool { return len(e.Set) == 0 && len(e.Remove) == 0 }

// Apply returns a copy of the set with the edit done.
func (s Set) Apply(e Edit) Set {
	after := maps.Clone(s)
	if after == nil {
		after = Set{}
	}
	for _, key := range e.Remove {
		delete(after, key)
	}
	maps.Copy(after, e.Set)
	return after
}

// Source says who declared a tag.
type Source string

// The sources of a tag, in the order in which they win over each other. Run is no declaration: the tag is foreign,
// on the run and named by nobody on our side.
const (
	Spec  Source = "Spec"
	Label Source = "Label"
	Rule  Source = "Rule"
	Run   Source = "Run"
)

// Policy limits what may be done to a run. Policies are ordered: each may do all that the one before it may.
type Policy int

// The policies, from the weakest to the strongest.
const (
	// Observe adds and removes nothing.
	Observe Policy = iota
	// Add adds what is declared and removes nothing.
	Add
	// Merge adds what is declared and removes what was declared once and is no more, what is excluded and what was asked off.
	Merge
	// Exclusive removes everything that is not declared.
	Exclusive
)

var policyNames = [...]string{"Observe", "Add", "Merge", "Exclusive"}

// String gives the name that the API uses.
func (p Policy) String() string {
	if p < Observe || p > Exclusive {
		return fmt.Sprintf("Policy(%d)", int(p))
	}
	return policyNames[p]
}

// ParsePolicy reads a policy by the name that the API uses. The empty name is Merge, the default.
func ParsePolicy(name string) (Policy, error) {
	if name == "" {
		return Merge, nil
	}
	for i, n := range policyNames {
		if n == name {
			return Policy(i), nil
		}
	}
	return Observe, fmt.Errorf("unknown tag policy %q: use one of %s", name, strings.Join(policyNames[:], ", "))
}
