package tags

import "time"

// Declaration is a tag that somebody on our side wants on the run.
type Declaration struct {
	// Tag as it was written, such as "baseline" or "team=vision".
	Tag    string
	Source Source
	// Rule names the rule, for Source Rule: "TagRule/<name>" or "ClusterTagRule/<name>".
	Rule string
}

// Declarations is what one source declares. While a source is unknown (it cannot be read completely), Tags is what it
// declared last, and it stays declared.
type Declarations struct {
	// Name says which source this is in messages, such as "spec.tags".
	Name string
	Tags []Declaration
	// Unknown says that the source could not be read completely.
	Unknown bool
}

// Applied is a tag that this object takes off when nobody declares it any more.
type Applied struct {
	// Name is the tag as declared: a key, or "key=value".
	Name string
	// Replaced is the value that a write of ours replaced, and that comes back when the tag is undeclared. Nil where
	// there was none.
	Replaced *string
}

// Removed is a tag that was taken off lately.
type Removed struct {
	Name string
	// At is when it was first asked off, and then when it was last seen gone, in whole seconds.
	At time.Time
	// Back counts how often it came back after it was seen gone.
	Back int
	// Gone says that it was seen gone since the last removal. While it was not, the removal is still due and never expires.
	Gone bool
	// Replaced is the value that comes back in its place, as in Applied; nil where there was none. It has to outlive
	// Applied, or a crash between the record and the tracker would lose it.
	Replaced *string
}

// Record is the memory of what we own on one run. It is written down before the tracker is.
type Record struct {
	// RunUID is the incarnation of the run that the record is about. A run that was deleted and made again under the
	// same id has another, and nothing of the record holds for it.
	RunUID  string
	Applied []Applied
	Removed []Removed
}

// Input is all that a plan depends on. The order of its lists and duplicates in them do not matter.
type Input struct {
	Dialect Dialect
	// RunUID is the incarnation of the run that Observed was read from.
	RunUID   string
	Observed Set
	Declared []Declarations
	// Excluded are tags kept off the run, whoever puts them there. On a key/value tracker "k" covers every "k=…".
	Excluded []string
	// Requested are foreign or undeclared tags that a person asked off, by their exact names. What is declared stays. Take a
	// request out once it is in the record.
	Requested []string
	// Forgotten are tags whose owner let go of them while the policy removed nothing: they leave Record.Applied, whatever
	// the policy is now, and stay on the run as foreign. What is declared is not forgotten.
	Forgotten []string
	// Frozen are tags that neither come nor go, such as those of a rule that is held still. What is excluded goes all the
	// same, and what is declared is no longer frozen.
	Frozen []Declaration
	// Elsewhere are tags that other objects declare on the same run: they stay on it, even if they are excluded here, and
	// another value that is declared here does not replace them.
	Elsewhere []string
	Record    Record
	// Policy is the object's own; Ceiling the lowest of the project's and the operator's.
	Policy, Ceiling Policy
	// HeldUntil holds keys back whose change is contested: no add or removal of the tag is planned before that time.
	HeldUntil map[string]time.Time
	// EndedAt is when the run ended; zero while it is active.
	EndedAt time.Time
	Now     time.Time
}

// Reason says why a declared tag is not written.
type Reason string

// Why a declared tag is rejected.
const (
	// Invalid: the tracker does not take such a tag, or the same source gives one key two values.
	Invalid Reason = "Invalid"
	// Excluded: the tag is in excludeTags as well.
	Excluded Reason = "Excluded"
	// Conflict: the run has another value for this key and the policy may not replace it, or a stronger source declares another.
	Conflict Reason = "Conflict"
)

// Rejected is a declared tag that is not written, and why.
type Rejected struct {
	Name    string
	Source  Source
	Reason  Reason
	Message string
}

// Entry is one line of what is on the run or should be.
type Entry struct {
	Name    string
	Source  Source
	Rule    string
	Present bool
}

// Pending is what a policy keeps us from doing, as tag names in order.
type Pending struct {
	Add, Remove []string
	// NotAllowed are the adds declared by spec or label that the ceiling, not the object's own policy, holds back.
	NotAllowed []string
}

// Plan is what to do about one run.
type Plan struct {
	Edit Edit
	// Record is what must be written down before the edit is sent.
	Record   Record
	Pending  Pending
	Rejected []Rejected
	// Entries lists every tag that is declared and can be written, or is on the run as observed, sorted by name. On a
	// key/value tracker a bare tag that another value satisfies is there beside it.
	Entries []Entry
	// Sources names the sources that are unknown.
	Unknown []string
	// GivenUp are the removed tags that came back too often and are left as foreign from now on.
	GivenUp []string
	// Entered are tags that only rules declare and that this plan adds. Where the read right before the first attempt
	// finds one there already, it is not ours: see Settled.
	Entered []string
	// Held are the tags whose contested change waits. HeldUntil is the earliest time that one of them is due; zero where
	// none waits.
	Held      []string
	HeldUntil time.Time
}
