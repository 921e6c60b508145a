package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TagPolicy limits what may be done to a run's tags.
// +kubebuilder:validation:Enum=Observe;Add;Merge;Exclusive
type TagPolicy string

// The policies, from the weakest to the strongest.
const (
	// TagPolicyObserve changes nothing; what would change is in status.pending.
	TagPolicyObserve TagPolicy = "Observe"
	// TagPolicyAdd adds declared tags and takes none off.
	TagPolicyAdd TagPolicy = "Add"
	// TagPolicyMerge also takes off what was declared once and is no more, and excluded tags.
	TagPolicyMerge TagPolicy = "Merge"
	// TagPolicyExclusive also takes off every tag that is not declared.
	TagPolicyExclusive TagPolicy = "Exclusive"
)

// DeletionPolicy says what happens to the tags when a TrainingRun is deleted.
// +kubebuilder:validation:Enum=Retain;RemoveTags
type DeletionPolicy string

// The deletion policies.
const (
	// DeletionPolicyRetain leaves the tags on the run.
	DeletionPolicyRetain DeletionPolicy = "Retain"
	// DeletionPolicyRemoveTags takes off what the TrainingRun declared, and only that.
	DeletionPolicyRemoveTags DeletionPolicy = "RemoveTags"
)

// ProjectReference names a TrackingProject of the same namespace.
type ProjectReference struct {
	// name of the TrackingProject.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// TrainingRunSpec says which run it is and which tags it should have.
// +kubebuilder:validation:XValidation:rule="has(self.runID) != has(self.runName)",message="set exactly one of runID (the tracker's own id) and runName (the display name)"
// +kubebuilder:validation:XValidation:rule="has(self.runID) == has(oldSelf.runID) && (!has(self.runID) || self.runID == oldSelf.runID)",message="runID can't be changed: make another TrainingRun for another run"
// +kubebuilder:validation:XValidation:rule="has(self.runName) == has(oldSelf.runName) && (!has(self.runName) || self.runName == oldSelf.runName)",message="runName can't be changed: make another TrainingRun for another run"
type TrainingRunSpec struct {
	// projectRef names the TrackingProject, in the same namespace, that the run belongs to. It can't be changed.
	// +required
	// +kubebuilder:validation:XValidation:rule="self.name == oldSelf.name",message="projectRef can't be changed: make another TrainingRun for a run of another project"
	ProjectRef ProjectReference `json:"projectRef"`

	// runID is the tracker's own id of the run, as in the last part of its page's URL. It can't be changed. Set exactly one of runID and runName.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	RunID string `json:"runID,omitempty"`

	// runName is the display name of the run, for runs whose id the tracker chooses. Once a run of that name is found,
	// its id is kept in status.run.id until that run is deleted. It can't be changed. Set exactly one of runID and runName.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=250
	RunName string `json:"runName,omitempty"`

	// tags that the run should have. On MLflow "k=v" is the key k with the value v. A tag that is taken out of here is
	// taken off the run, whoever put it there first. Several server-side appliers may each own their items.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	// +kubebuilder:validation:items:XValidation:rule="self == self.trim()",message="a tag can't begin or end with a blank: remove it"
	Tags []string `json:"tags,omitempty"`

	// excludeTags are kept off the run, whoever puts them there. A tag that is in tags as well is excluded. On MLflow
	// "k" covers every value of the key k.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	ExcludeTags []string `json:"excludeTags,omitempty"`

	// tagPolicy limits what may be done to the run's tags: Observe changes nothing, Add only adds, Merge also takes off
	// what was declared once and what is excluded, Exclusive takes off everything that is not declared. The project's
	// maxTagPolicy is the ceiling.
	// +optional
	// +kubebuilder:default=Merge
	TagPolicy TagPolicy `json:"tagPolicy,omitempty"`

	// deletionPolicy says what happens to the tags when this object is deleted: Retain leaves them on the run,
	// RemoveTags takes off what this object declared, and only that.
	// +optional
	// +kubebuilder:default=Retain
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// podSelector selects the run's pods, in this namespace, where nothing else tells which they are. It is not empty.
	// docs/linking.md lists the ways in which pods and runs find each other.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="podSelector can't be empty: it would select every pod of the namespace"
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.size() <= 16) && (!has(self.matchExpressions) || self.matchExpressions.size() <= 16)",message="a selector has at most 16 matchLabels and 16 matchExpressions"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 && e.values.size() <= 64 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="operator is In or NotIn with 1 to 64 values, or Exists or DoesNotExist without values"
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
}

// TrainingRun mirrors one run of a tracker: its tags are what spec says, and status says what is on the run and why.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=trun,categories=runtag
// +kubebuilder:selectablefield:JSONPath=".spec.runID"
// +kubebuilder:selectablefield:JSONPath=".spec.projectRef.name"
// +kubebuilder:selectablefield:JSONPath=".status.run.state"
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=".spec.projectRef.name"
// +kubebuilder:printcolumn:name="Run",type=string,JSONPath=".status.run.id"
// +kubebuilder:printcolumn:name="State",type=string,JSONPath=".status.run.state"
// +kubebuilder:printcolumn:name="Tags",type=string,JSONPath=".status.tagNames"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=".status.conditions[?(@.type==\"Ready\")].status"
// +kubebuilder:printcolumn:name="Policy",type=string,priority=1,JSONPath=".spec.tagPolicy"
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=".status.conditions[?(@.type==\"Ready\")].reason"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type TrainingRun struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which run it is and which tags it should have.
	// +required
	Spec TrainingRunSpec `json:"spec"`
	// status is what was seen and done.
	// +optional
	Status TrainingRunStatus `json:"status,omitempty"`
}

// TrainingRunList is a list of TrainingRuns.
// +kubebuilder:object:root=true
type TrainingRunList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TrainingRun `json:"items"`
}
