package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TagSource says who declared a tag.
// +kubebuilder:validation:Enum=Spec;Label;Rule;Run
type TagSource string

// The sources of a tag.
const (
	// TagSourceSpec: spec.tags declares it.
	TagSourceSpec TagSource = "Spec"
	// TagSourceLabel: a label or annotation that a person set declares it.
	TagSourceLabel TagSource = "Label"
	// TagSourceRule: a TagRule or ClusterTagRule found it.
	TagSourceRule TagSource = "Rule"
	// TagSourceRun: it is on the run and nobody declared it here; the SDK, the tracker's page or its API put it there.
	TagSourceRun TagSource = "Run"
)

// TagStatus is one tag, declared or on the run.
type TagStatus struct {
	// name of the tag; on MLflow "key=value" for a key with a value. Longer ones are cut.
	// +required
	// +kubebuilder:validation:MaxLength=250
	Name string `json:"name"`
	// source says who declared the tag: Spec, Label for a label or annotation that a person set, Rule, or Run for one that
	// is on the run and declared by nobody here. Of several the first of these.
	// +required
	Source TagSource `json:"source"`
	// rule names the rule that declares the tag, as Kind/name, where its source is Rule.
	// +optional
	// +kubebuilder:validation:MaxLength=270
	Rule string `json:"rule,omitempty"`
	// reason says what made the rule true.
	// +optional
	// +kubebuilder:validation:MaxLength=250
	Reason string `json:"reason,omitempty"`
	// since is when the tag was first seen with this source.
	// +required
	Since metav1.Time `json:"since"`
	// present is false while the tag is declared and not on the run.
	// +required
	Present bool `json:"present"`
	// mirrored says that a label of this object stands for the tag. Taking that label off then means: off the run.
	// +optional
	Mirrored bool `json:"mirrored,omitempty"`
	// byLabel says that a label that a person set declares the tag, whoever else does.
	// +optional
	ByLabel bool `json:"byLabel,omitempty"`
	// byAnnotation says that an annotation declares the tag, whoever else does.
	// +optional
	ByAnnotation bool `json:"byAnnotation,omitempty"`
}

// AppliedTag is a tag that is taken off when nobody declares it any more.
type AppliedTag struct {
	// name of the tag as declared.
	// +required
	// +kubebuilder:validation:MaxLength=250
	Name string `json:"name"`
	// replaced is the value (MLflow) that a write of runtag replaced, and that comes back when the tag is undeclared.
	// +optional
	// +kubebuilder:validation:MaxLength=8000
	Replaced *string `json:"replaced,omitempty"`
}

// RemovedTag is a tag that was taken off lately. It is kept until 10 minutes after the removal or the run's end,
// whichever is later, since a running SDK sends its whole list again.
type RemovedTag struct {
	// name of the tag.
	// +required
	// +kubebuilder:validation:MaxLength=250
	Name string `json:"name"`
	// at is when it was taken off.
	// +required
	At metav1.Time `json:"at"`
	// back counts how often it came back; after the third time it is left alone.
	// +optional
	Back int32 `json:"back,omitempty"`
	// gone says that it was seen gone since the last removal.
	// +optional
	Gone bool `json:"gone,omitempty"`
	// replaced is the value (MLflow) that comes back instead of the tag, until that was done.
	// +optional
	// +kubebuilder:validation:MaxLength=8000
	Replaced *string `json:"replaced,omitempty"`
}

// RuleTagState says what a rule found.
// +kubebuilder:validation:Enum=Pending;Held;Overruled
type RuleTagState string

// The states.
const (
	// RuleTagPending: the rule holds, and not yet for as long as it asks.
	RuleTagPending RuleTagState = "Pending"
	// RuleTagHeld: the rule declares the tag.
	RuleTagHeld RuleTagState = "Held"
	// RuleTagOverruled: a person took the tag off, so no rule sets it on this run.
	RuleTagOverruled RuleTagState = "Overruled"
)

// RuleTag is what one rule found for one tag. It belongs to the run with status.run.uid.
type RuleTag struct {
	// rule as Kind/name.
	// +required
	// +kubebuilder:validation:MaxLength=270
	Rule string `json:"rule"`
	// tag that it gives.
	// +required
	// +kubebuilder:validation:MaxLength=250
	Tag string `json:"tag"`
	// state is Pending while the rule has not held for long enough, Held, or Overruled once a person took the tag off.
	// +required
	State RuleTagState `json:"state"`
	// first is when the rule was first found to hold.
	// +required
	First metav1.Time `json:"first"`
	// last is the time of the newest evidence, by the cluster's objects.
	// +required
	Last metav1.Time `json:"last"`
	// count is how often it found something new, such as a second preemption.
	// +optional
	Count int32 `json:"count,omitempty"`
	// wiped counts how often somebody took the tag off the ended run on the tracker; the second time it is overruled.
	// +optional
	Wiped int32 `json:"wiped,omitempty"`
	// reason says what made the rule true.
	// +optional
	// +kubebuilder:validation:MaxLength=250
	Reason string `json:"reason,omitempty"`
	// source is the uid of the pod or workload that made the rule true last.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Source string `json:"source,omitempty"`
	// computed says that the tag is a result of the rule's tagExpression.
	// +optional
	Computed bool `json:"computed,omitempty"`
	// sticky says that the tag stays when the rule no longer holds or is gone.
	// +optional
	Sticky bool `json:"sticky,omitempty"`
	// goneSince is when the rule was first found missing.
	// +optional
	GoneSince *metav1.Time `json:"goneSince,omitempty"`
}

// PodLink says that a pod belonged to the run, and when.
type PodLink struct {
	// name of the pod.
	// +required
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// uid of the pod.
	// +required
	// +kubebuilder:validation:MaxLength=64
	UID string `json:"uid"`
	// node that the pod ran on.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
	// boundBy is the way in which pod and run found each other.
	// +required
	// +kubebuilder:validation:Enum=Name;Env;PodUID;RunID;Selector;Host;Gang
	BoundBy string `json:"boundBy"`
	// from is when the pod began to belong to the run.
	// +required
	From metav1.Time `json:"from"`
	// until is when it no longer did.
	// +optional
	Until *metav1.Time `json:"until,omitempty"`
}

// PendingTags is what a policy keeps runtag from doing.
type PendingTags struct {
	// add are declared tags that are not on the run.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=250
	Add []string `json:"add,omitempty"`
	// remove are tags on the run that would be taken off.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MaxLength=250
	Remove []string `json:"remove,omitempty"`
}

// TagChangeKind says what happened to a tag.
// +kubebuilder:validation:Enum=Added;Removed;Changed
type TagChangeKind string

// The kinds of changes.
const (
	TagAdded   TagChangeKind = "Added"
	TagRemoved TagChangeKind = "Removed"
	TagChanged TagChangeKind = "Changed"
)

// TagHistory is one change on the tracker, ours or seen.
type TagHistory struct {
	// time of the change, or of the look that saw it.
	// +required
	Time metav1.Time `json:"time"`
	// tag that changed.
	// +required
	// +kubebuilder:validation:MaxLength=250
	Tag string `json:"tag"`
	// change says what happened: Added, Removed, or Changed for a value of MLflow.
	// +required
	Change TagChangeKind `json:"change"`
	// source is Spec, Label or Rule for a change that runtag made, by what declared the tag or had declared it; Run for one that it saw.
	// +required
	Source TagSource `json:"source"`
	// by names the field manager that declared the tag, where it is known, or the rule.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	By string `json:"by,omitempty"`
}

// RunStatus is the run as the tracker shows it.
type RunStatus struct {
	// id of the run on the tracker.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	ID string `json:"id,omitempty"`
	// uid is the tracker's global id and the creation time. A run that was deleted and made again under its id has another.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	UID string `json:"uid,omitempty"`
	// displayName of the run.
	// +optional
	// +kubebuilder:validation:MaxLength=250
	DisplayName string `json:"displayName,omitempty"`
	// state of the run: pending, running and preempting are active; finished, failed, crashed, killed and preempted have ended.
	// +optional
	// +kubebuilder:validation:Enum=pending;running;preempting;finished;failed;crashed;killed;preempted;unknown
	State string `json:"state,omitempty"`
	// url of the run's page.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url,omitempty"`
	// createdAt is when the run was made.
	// +optional
	CreatedAt *metav1.Time `json:"createdAt,omitempty"`
	// finishedAt is when the run ended; on W&B the last heartbeat before an ended state was seen.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// host that the run said it runs on.
	// +optional
	// +kubebuilder:validation:MaxLength=250
	Host string `json:"host,omitempty"`
	// user who owns the run.
	// +optional
	// +kubebuilder:validation:MaxLength=250
	User string `json:"user,omitempty"`
	// group of the run.
	// +optional
	// +kubebuilder:validation:MaxLength=250
	Group string `json:"group,omitempty"`
	// jobType of the run.
	// +optional
	// +kubebuilder:validation:MaxLength=250
	JobType string `json:"jobType,omitempty"`
	// attempts counts how often the run was started: once, and once more for each time it was resumed.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// stale says that an MLflow run that is said to be running began a week ago and has no pod: it is looked at as ended
	// until something on it changes.
	// +optional
	Stale bool `json:"stale,omitempty"`
}

// TrainingRunStatus is what was seen and done.
type TrainingRunStatus struct {
	// observedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// observedDeclarations is a hash of the spec and of runtag's annotations that this status answers.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	ObservedDeclarations string `json:"observedDeclarations,omitempty"`
	// conditions are Ready, and while they hold Reconciling and Stalled; Linked says whether pods of the run are known.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// tags that are declared or on the run, and why; at most 256.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	Tags []TagStatus `json:"tags,omitempty"`
	// tagNames are the tags on the run in one line, at most 120 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=120
	TagNames string `json:"tagNames,omitempty"`
	// tagCount is the number of all tags on the run.
	// +optional
	TagCount int32 `json:"tagCount,omitempty"`
	// appliedTags are taken off when nobody declares them any more. They belong to the run with status.run.uid.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=512
	AppliedTags []AppliedTag `json:"appliedTags,omitempty"`
	// removedTags were taken off lately.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=512
	RemovedTags []RemovedTag `json:"removedTags,omitempty"`
	// ruleTags are what rules found for this run.
	// +optional
	// +listType=map
	// +listMapKey=rule
	// +listMapKey=tag
	// +kubebuilder:validation:MaxItems=256
	RuleTags []RuleTag `json:"ruleTags,omitempty"`
	// pods are those that belonged to the run, and when; the last 20.
	// +optional
	// +listType=map
	// +listMapKey=uid
	// +kubebuilder:validation:MaxItems=20
	Pods []PodLink `json:"pods,omitempty"`
	// pending is what the policy or the project's ceiling keeps runtag from doing.
	// +optional
	Pending *PendingTags `json:"pending,omitempty"`
	// history are the last 10 changes of the run's tags, ours and those that were seen; the newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	History []TagHistory `json:"history,omitempty"`
	// run as the tracker shows it.
	// +optional
	Run *RunStatus `json:"run,omitempty"`
}
