// Package rules decides which tags rules give to a run. It is pure: expressions read what they are given and nothing
// else, no clock and no network, and what a rule found is kept by whoever calls.
package rules

import (
	"time"

	"github.com/runtag/runtag/internal/evidence"
)

// Retention says what happens to the tags of a rule that no longer holds.
type Retention string

// The retentions.
const (
	// Sticky: once true, it is a fact about the run.
	Sticky Retention = "Sticky"
	// WhileTrue: the tags go when the rule no longer holds.
	WhileTrue Retention = "WhileTrue"
)

// Mode says what a rule may do.
type Mode string

// The modes.
const (
	Enforce Mode = "Enforce"
	// Report counts what the rule would do; nothing is added, removed or put back.
	Report Mode = "Report"
	// Suspend is Report without evaluating.
	Suspend Mode = "Suspend"
	// Retract takes back all that the rule ever set.
	Retract Mode = "Retract"
)

// Spec is a rule as it is declared. Selectors are the caller's work: it is asked only of runs that they let by.
type Spec struct {
	// Key names the rule: "TagRule/<name>" or "ClusterTagRule/<name>".
	Key  string
	When string
	// Tags it gives; TagExpression gives further ones (CEL, list of strings), empty for none.
	Tags          []string
	TagExpression string
	For           time.Duration
	Retention     Retention
	Mode          Mode
	// NodeAnnotations lets it read annotations of nodes, which is for cluster rules only.
	NodeAnnotations bool
}

// Facts are what rules read of the run itself.
type Facts struct {
	ID, UID, DisplayName, State, URL, Host, User, Group, JobType string
	CreatedAt, FinishedAt                                        time.Time
	Attempts                                                     int
	// Summary are the latest metrics that some rule names.
	Summary map[string]float64
}

// Namespace is the run's namespace.
type Namespace struct {
	Name                string
	Labels, Annotations map[string]string
}

// Linked is a pod that belonged to the run, and its node.
type Linked struct {
	Pod *evidence.Pod
	// Node is nil where it was not seen.
	Node *evidence.Node
	// Direct says that it is not only there as one of the gang; Live that the link stands.
	Direct, Live bool
	From, Until  time.Time
}

// Input is the world as one run sees it.
type Input struct {
	Run    Facts
	Labels map[string]string
	// Tags are those that are no work of rules: foreign ones on the run, and those declared by spec or label.
	Tags      []string
	Namespace Namespace
	// Pods are those of which something is known, newest first.
	Pods      []Linked
	Workloads []*evidence.Workload
	// Ended says that the run is over.
	Ended bool
}

// Outcome is what became of an expression.
type Outcome int

// The outcomes.
const (
	// NoInput: there was nothing to go by, so nothing changes.
	NoInput Outcome = iota
	False
	True
)

// Source is a pod or a workload that made a rule true.
type Source struct {
	UID string
	// From is when the pod began to belong to the run; At when it made the rule true, which is the same for what does not
	// change, such as a node's label, and the time of the condition or taint for an event.
	From, At time.Time
}

// Verdict is what an evaluation says.
type Verdict struct {
	Outcome Outcome
	// Evidence says in a line what made the rule true, such as "pod a on node b: cloud.google.com/gke-spot=true". Source
	// is the uid of the pod that did, or of the workload, if it was one.
	Evidence, Source string
	// Sources are all pods or workloads that made it true one after the other, the oldest first; the last is Source. Pods
	// of one gang that did at about the same time are one, and what is true of the run anyway has none.
	Sources []Source
	// Tags are what TagExpression gives, sorted and without duplicates; Invalid says which of its results are no tags.
	Tags    []string
	Invalid []string
	// Why says why there was no input, or which part of the expression was false.
	Why string
}

// State of what a rule found for a run.
type State string

// The states.
const (
	// Pending: it holds, and not yet for as long as the rule asks.
	Pending State = "Pending"
	// Held: the tag is declared by the rule.
	Held State = "Held"
	// Overruled: a person does not want the tag on this run, whatever rules say.
	Overruled State = "Overruled"
)

// Fact is what is remembered of one rule and one tag for one run; it is stored with the run.
type Fact struct {
	Rule, Tag string
	State     State
	// First is when it began to hold, Last when evidence was last new.
	First, Last time.Time
	// Count counts the pieces of evidence: three preemptions of one run are three.
	Count int
	// Wiped counts how often the tag was taken off the ended run by somebody else.
	Wiped            int
	Reason, Source   string
	Computed, Sticky bool
	// Gone is when the rule was first found missing; zero while it is there.
	Gone time.Time
}

// Asked is a rule of the run's namespace or of the cluster, and what it says of the run now.
type Asked struct {
	Spec Spec
	// Selected says that its selectors let the run by; else it says nothing of it, and what it found before stays or goes
	// by its retention.
	Selected bool
	// Broken says that it does not compile: what it would say is not known.
	Broken  bool
	Verdict Verdict
}

// Situation is what was remembered of a run, and what is so now.
type Situation struct {
	Facts []Fact
	// Rules are all that there are for the run's namespace. A rule that is remembered and not among them is gone.
	Rules []Asked
	// Declared are the tags that spec or labels declare now, which ends overruling. Refused are those whose label, or whose
	// tag, a person took off since the last pass. Wiped are those that somebody took off the ended run on the tracker.
	Declared, Refused, Wiped []string
	Now                      time.Time
}

// Change is what Advance makes of a situation.
type Change struct {
	// Facts are sorted by rule and tag.
	Facts []Fact
	// Declared are the tags that rules want on the run now: those Held under Enforce, and those of rules that are gone.
	Declared []Fact
	// Frozen are those that neither go nor come back: of rules under Report or Suspend.
	Frozen []Fact
	// Unknown are the rules that say nothing now because they do not compile; what they hold is among Declared.
	Unknown []string
	// Due is when time alone changes something; zero for never.
	Due time.Time
}
