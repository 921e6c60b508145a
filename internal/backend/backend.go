// Package backend is the boundary between the controllers and the trackers: what a run is, how runs are listed and
// changed, and which errors can come of it. A controller never sees an HTTP status or a GraphQL document.
package backend

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/runtag/runtag/internal/tags"
)

// Run is one run as the tracker shows it.
type Run struct {
	// ID is the id that people use and that spec.runID names.
	ID string
	// Handle is what the tracker wants in writes; it may differ from ID (W&B: the storage id).
	Handle string
	// UID names this incarnation of the run: a run that was deleted and made again under its ID has another.
	UID string
	// Name is the display name; it need not be unique.
	Name  string
	URL   string
	State State

	CreatedAt time.Time
	// HeartbeatAt is the last sign of life, where the tracker knows one.
	HeartbeatAt time.Time
	// FinishedAt is zero while the run is active, or where the tracker does not say.
	FinishedAt time.Time

	Host, User, Group, JobType string

	// Summary holds the latest values of those metrics that Query.Summary asked for and the run has as numbers, NaN and
	// infinite ones too. It is empty where the run has none of them, and nil where none were asked for or the tracker
	// does not tell. It is shared and must not be changed.
	Summary map[string]float64

	// PodUID and PodName say in which pod the run was made, where the run itself says so (MLflow: the tags
	// "runtag.dev/pod-uid" and "runtag.dev/pod", see MLFLOW_RUN_CONTEXT).
	PodUID, PodName string
	// Parent is the ID of the run that this one is a part of, where the tracker knows such a thing (MLflow's nested runs).
	Parent string

	// Tags leaves out the keys that the dialect hides.
	Tags tags.Set
}

// State of a run. Trackers may invent further ones, which are read as StateUnknown.
type State string

// The states of a run, for all trackers.
const (
	StatePending    State = "pending"
	StateRunning    State = "running"
	StatePreempting State = "preempting"
	StateFinished   State = "finished"
	StateFailed     State = "failed"
	StateCrashed    State = "crashed"
	StateKilled     State = "killed"
	StatePreempted  State = "preempted"
	StateUnknown    State = "unknown"
)

// Active says whether the run's own process may still write to it.
func (s State) Active() bool {
	return s == StatePending || s == StateRunning || s == StatePreempting
}

// Query selects runs of the project. Exactly one of its kinds is used: IDs, Names, Since, All, AnyTag or Select.
type Query struct {
	// IDs asks for the runs with these ids; at most Limits.Read of them.
	IDs []string
	// Names asks for the runs with these display names; at most Limits.Read of them.
	Names []string
	// Since asks for the runs that are active now or were active or created after this time.
	Since time.Time
	// All asks for every run of the project.
	All bool
	// AnyTag asks for the runs that carry at least one of these tags, in whatever state; see Carries.
	AnyTag []string
	// Select asks for the runs that it matches.
	Select *Selection

	// WithoutTags leaves out the runs that carry one of these tags. It is for All and AnyTag; other kinds ignore it.
	WithoutTags []string
	// Newest gives the newest first, by CreatedAt, and not the oldest. It is for All, AnyTag and Select; other kinds ignore it.
	// A run that is made while pages are read may then move others to the next page, which come twice.
	Newest bool

	// Summary names the metrics to bring along in Run.Summary, whatever the kind. A key is taken as it is written; only
	// where a run has no metric of that name is a dot in it read as the way into a nested one.
	Summary []string
}

// WantsTags says whether a run with these tags is one that All or AnyTag asks for, WithoutTags being heeded.
func (q Query) WantsTags(d tags.Dialect, on tags.Set) bool {
	return (q.All || Carries(d, on, q.AnyTag...)) && !Carries(d, on, q.WithoutTags...)
}

// Carries says whether one of the tags is on a run. Tags are written as people write them: where tags are keys with
// values, "k=v" is carried with exactly this value, and "k" with any value but false.
func Carries(d tags.Dialect, on tags.Set, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		tag, err := d.Parse(name)
		raw, there := on[tag.Key]
		switch {
		case err != nil || !there: // What can't be a tag is on no run.
			return false
		case d.Pairs && tag.Value == "":
			return !strings.EqualFold(raw, "false")
		}
		return raw == tag.Value
	})
}

// Page is one page of a list.
type Page struct {
	Runs []Run
	// Next is the cursor of the next page; empty on the last one.
	Next string
	// ServerTime is the tracker's own clock when it answered; zero where it does not say.
	ServerTime time.Time
}

// Change asks for a change of one run's tags.
type Change struct {
	// Run as last seen. ID, Handle and UID say which run is meant; another UID at the read before the write is NotFound.
	Run Run
	// Decide says what to write. It is called with the run as read right before the write, possibly more than once, and
	// from another goroutine. An empty edit writes nothing; an error leaves the run alone and becomes Result.Err.
	Decide func(now Run) (tags.Edit, error)
}

// Result is what became of one Change.
type Result struct {
	// Before is the run as read right before the write; its ID is empty where the read failed.
	Before Run
	// After is the run as it is now; the same as Before where nothing was written. ReadAt is the time it was true.
	After  Run
	ReadAt time.Time
	// Edit is what was written; empty where nothing was.
	Edit tags.Edit
	// Sent says that a write was sent. With an Err it means that its outcome may be unknown.
	Sent bool
	Err  error
}

// Limits says how much fits in one request.
type Limits struct {
	// Read is the most ids or names in one Query.
	Read int
	// Change is the most runs in one call of Change; ChangeActive the most that are active.
	Change, ChangeActive int
	// Page is the page size of lists: where more than this share of a project is tracked, pages are cheaper than ids.
	Page int
}

// Info is what Check learns.
type Info struct {
	// Runs is the number of runs of the project, or -1 where the tracker does not count in one call.
	Runs int
}

// Backend is our client of one project on one tracker. It is safe for concurrent use. All its errors are *Error.
type Backend interface {
	// Dialect says which tags the tracker takes.
	Dialect() tags.Dialect
	// Limits says how much fits in one request; it may shrink when the server refuses.
	Limits() Limits
	// List gives one page of the runs that match; cursor is empty for the first page and Page.Next after it. A run that
	// is not in a list need not be gone; see Query.IDs.
	List(ctx context.Context, query Query, cursor string) (Page, error)
	// Change changes the tags of up to Limits.Change runs: reads them, asks Decide, writes, and checks the answer. The
	// results are in the order of the changes. An error means that the batch failed as a whole, and nothing is said
	// about any single run of it.
	Change(ctx context.Context, changes []Change) ([]Result, error)
	// Check verifies address, credential and project. A project that answers null or is gone is AccessDenied.
	Check(ctx context.Context) (Info, error)
	// Notices says what was learnt about the server that its owner should know, such as bulk edits that it does not
	// take; a sentence each.
	Notices() []string
}

type priorityKey struct{}

// Priority orders requests that wait for the same rate limit; the lowest goes first.
type Priority int

// The priorities, from the most urgent.
const (
	PriorityEdit Priority = iota
	PriorityRule
	PriorityActiveLook
	PriorityFullLook
)

// WithPriority says how urgent the requests made with the context are. Without it they are PriorityEdit.
func WithPriority(ctx context.Context, p Priority) context.Context {
	return context.WithValue(ctx, priorityKey{}, p)
}

// PriorityOf says how urgent the requests made with the context are.
func PriorityOf(ctx context.Context) Priority {
	p, _ := ctx.Value(priorityKey{}).(Priority)
	return p
}
