package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RunSelection selects runs of the tracker; what it gives must all be true of a run.
// +kubebuilder:validation:XValidation:rule="(has(self.all) && self.all) || has(self.tags) || has(self.withoutTags) || has(self.states) || has(self.runIDs) || has(self.groups) || has(self.createdBefore) || has(self.createdAfter)",message="select something, or set all: true for every run of the project"
type RunSelection struct {
	// tags that the run carries, all of them. On MLflow "k" stands for every value of the key k but false.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	Tags []string `json:"tags,omitempty"`
	// withoutTags that the run carries none of.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	WithoutTags []string `json:"withoutTags,omitempty"`
	// states of which the run has one.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=9
	// +kubebuilder:validation:items:Enum=pending;running;preempting;finished;failed;crashed;killed;preempted;unknown
	States []string `json:"states,omitempty"`
	// runIDs of which the run has one.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	RunIDs []string `json:"runIDs,omitempty"`
	// groups of which the run is in one.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	Groups []string `json:"groups,omitempty"`
	// createdBefore is a time before which the run was made.
	// +optional
	CreatedBefore *metav1.Time `json:"createdBefore,omitempty"`
	// createdAfter is a time after which the run was made.
	// +optional
	CreatedAfter *metav1.Time `json:"createdAfter,omitempty"`
	// all selects every run of the project that the rest lets by.
	// +optional
	All bool `json:"all,omitempty"`
}

// TagRename renames a tag.
// +kubebuilder:validation:XValidation:rule="self.from != self.to",message="from and to are the same tag"
type TagRename struct {
	// from is the tag as it is. On MLflow a bare key keeps its value.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=250
	From string `json:"from"`
	// to is the tag as it will be. Where a run has it already, that is kept as it is.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=250
	// +kubebuilder:validation:XValidation:rule="self == self.trim()",message="a tag can't begin or end with a blank: remove it"
	To string `json:"to"`
}

// TagChangeReference names a TagChange of the same namespace.
type TagChangeReference struct {
	// name of the TagChange.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// TagChangeSpec says which runs are changed, and how. Nothing of it can be changed later but apply, which goes to true once.
// +kubebuilder:validation:XValidation:rule="has(self.select) != has(self.undoOf)",message="set exactly one of select and undoOf"
// +kubebuilder:validation:XValidation:rule="!has(self.undoOf) || (!has(self.add) && !has(self.remove) && !has(self.rename))",message="undoOf says what is changed: add, remove and rename can't be set with it"
// +kubebuilder:validation:XValidation:rule="!has(self.add) || !has(self.remove) || !self.add.exists(t, t in self.remove)",message="a tag can't be in add and in remove"
// +kubebuilder:validation:XValidation:rule="self.projectRef == oldSelf.projectRef && has(self.select) == has(oldSelf.select) && (!has(self.select) || self.select == oldSelf.select) && has(self.undoOf) == has(oldSelf.undoOf) && (!has(self.undoOf) || self.undoOf == oldSelf.undoOf)",message="only apply can be changed: make another TagChange"
// +kubebuilder:validation:XValidation:rule="has(self.add) == has(oldSelf.add) && (!has(self.add) || self.add == oldSelf.add) && has(self.remove) == has(oldSelf.remove) && (!has(self.remove) || self.remove == oldSelf.remove) && has(self.rename) == has(oldSelf.rename) && (!has(self.rename) || self.rename == oldSelf.rename)",message="only apply can be changed: make another TagChange"
// +kubebuilder:validation:XValidation:rule="self.maxRuns == oldSelf.maxRuns && has(self.ttlAfterFinished) == has(oldSelf.ttlAfterFinished) && (!has(self.ttlAfterFinished) || self.ttlAfterFinished == oldSelf.ttlAfterFinished)",message="only apply can be changed: make another TagChange"
// +kubebuilder:validation:XValidation:rule="!(has(oldSelf.apply) && oldSelf.apply) || (has(self.apply) && self.apply)",message="apply can't be taken back: delete the TagChange to stop it, and make one with undoOf to undo it"
type TagChangeSpec struct {
	// projectRef names the TrackingProject, in the same namespace.
	// +required
	ProjectRef ProjectReference `json:"projectRef"`
	// select says which runs are changed, whether they have a TrainingRun or not. Set exactly one of select and undoOf.
	// +optional
	Select *RunSelection `json:"select,omitempty"`
	// add are tags that the runs get. With neither add, remove nor rename this is a query: status.matches names ConfigMaps
	// with the runs that match.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	// +kubebuilder:validation:items:XValidation:rule="self == self.trim()",message="a tag can't begin or end with a blank: remove it"
	Add []string `json:"add,omitempty"`
	// remove are tags that the runs lose. On MLflow "k" stands for every value of the key k.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	Remove []string `json:"remove,omitempty"`
	// rename are tags that get another name.
	// +optional
	// +listType=map
	// +listMapKey=from
	// +kubebuilder:validation:MaxItems=16
	Rename []TagRename `json:"rename,omitempty"`
	// undoOf names a TagChange whose changes are taken back, as far as the tags are still as it left them. Set exactly one
	// of select and undoOf.
	// +optional
	UndoOf *TagChangeReference `json:"undoOf,omitempty"`
	// apply says that the change is made. While it is false, runs are counted and shown, and nothing is written.
	// +optional
	// +kubebuilder:default=false
	Apply bool `json:"apply,omitempty"`
	// maxRuns is the largest number of runs that may match; if more do, nothing is done.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	MaxRuns int32 `json:"maxRuns,omitempty"`
	// ttlAfterFinished is how long the object, and what undoes it, is kept after it is finished; for good where it is absent.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('0s')",message="ttlAfterFinished must be a duration that is not negative, such as 720h or 0s"
	TTLAfterFinished *metav1.Duration `json:"ttlAfterFinished,omitempty"`
}

// SkippedRuns counts the runs that a change leaves alone, for one reason.
type SkippedRuns struct {
	// reason that the runs, or some of their tags, are left alone.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// message says it in a sentence.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
	// count of the runs.
	// +required
	Count int32 `json:"count"`
	// sample of their ids.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=128
	Sample []string `json:"sample,omitempty"`
}

// TagChangeStatus is what was found and done.
type TagChangeStatus struct {
	// observedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready, and while they hold Reconciling and Stalled; Complete is True once the change or query is done.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// matched is the number of runs that are selected.
	// +optional
	Matched *int32 `json:"matched,omitempty"`
	// planned is the number of runs of which some tag would change, or was to change, when they were listed.
	// +optional
	Planned *int32 `json:"planned,omitempty"`
	// changed is the number of runs of which some tag was changed.
	// +optional
	Changed *int32 `json:"changed,omitempty"`
	// done is the number of runs that were dealt with, changed or not.
	// +optional
	Done int32 `json:"done,omitempty"`
	// progress is done of planned, for people.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Progress string `json:"progress,omitempty"`
	// skipped are the runs that are left alone, in whole or in part.
	// +optional
	// +listType=map
	// +listMapKey=reason
	// +kubebuilder:validation:MaxItems=16
	Skipped []SkippedRuns `json:"skipped,omitempty"`
	// sample of the ids of runs of which some tag changes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=128
	Sample []string `json:"sample,omitempty"`
	// startedAt is when the first run was changed.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// finishedAt is when all was done.
	// +optional
	FinishedAt *metav1.Time `json:"finishedAt,omitempty"`
	// undo names the ConfigMaps that say what was changed on which run.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	Undo []string `json:"undo,omitempty"`
	// matches names the ConfigMaps with the runs that a query found.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	Matches []string `json:"matches,omitempty"`
}

// TagChange is one bulk change of tags on the tracker's runs, or one query, that is run once.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=tchg,categories=runtag
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=".spec.projectRef.name"
// +kubebuilder:printcolumn:name="Apply",type=boolean,JSONPath=".spec.apply"
// +kubebuilder:printcolumn:name="Matched",type=integer,JSONPath=".status.matched"
// +kubebuilder:printcolumn:name="Progress",type=string,JSONPath=".status.progress"
// +kubebuilder:printcolumn:name="Changed",type=integer,JSONPath=".status.changed"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=".status.conditions[?(@.type==\"Ready\")].status"
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=".status.conditions[?(@.type==\"Ready\")].reason"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type TagChange struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which runs are changed, and how.
	// +required
	Spec TagChangeSpec `json:"spec"`
	// status is what was found and done.
	// +optional
	Status TagChangeStatus `json:"status,omitempty"`
}

// TagChangeList is a list of TagChanges.
// +kubebuilder:object:root=true
type TagChangeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TagChange `json:"items"`
}
