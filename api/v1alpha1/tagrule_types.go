package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Retention says what happens to the tags of a rule that no longer holds.
// +kubebuilder:validation:Enum=Sticky;WhileTrue
type Retention string

// The retentions.
const (
	// RetentionSticky: once true, it is a fact about the run.
	RetentionSticky Retention = "Sticky"
	// RetentionWhileTrue: the tags go when the rule no longer holds.
	RetentionWhileTrue Retention = "WhileTrue"
)

// RuleMode says what a rule may do.
// +kubebuilder:validation:Enum=Enforce;Report;Suspend;Retract
type RuleMode string

// The modes.
const (
	// RuleModeEnforce: the rule gives tags, and takes them off where it is WhileTrue.
	RuleModeEnforce RuleMode = "Enforce"
	// RuleModeReport: the rule is counted and writes nothing; what it holds stays as it is.
	RuleModeReport RuleMode = "Report"
	// RuleModeSuspend: the rule neither adds nor removes.
	RuleModeSuspend RuleMode = "Suspend"
	// RuleModeRetract: the rule takes back all that it ever set.
	RuleModeRetract RuleMode = "Retract"
)

// TagRuleSpec says when which runs get which tags.
// +kubebuilder:validation:XValidation:rule="(has(self.tags) && size(self.tags) > 0) || has(self.tagExpression)",message="set tags, tagExpression or both"
type TagRuleSpec struct {
	// when is a CEL expression that says whether the tags belong on a run. It reads run, labels, tags, namespace, pods,
	// nodes and workloads; docs/rules.md describes them.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.trim() != ''",message="when can't be blank: write true for every run"
	When string `json:"when"`
	// tags that the rule gives.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	// +kubebuilder:validation:items:XValidation:rule="self == self.trim()",message="a tag can't begin or end with a blank: remove it"
	Tags []string `json:"tags,omitempty"`
	// tagExpression is a CEL expression that gives a list of at most 16 further tags. Its latest result that is not empty is kept.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	// +kubebuilder:validation:XValidation:rule="self.trim() != ''",message="tagExpression can't be blank: leave it out"
	TagExpression string `json:"tagExpression,omitempty"`
	// for is how long the expression must hold without a break before the tags are given.
	// +optional
	// +kubebuilder:default="0s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('0s')",message="for must be a duration that is not negative, such as 30s or 0s"
	For metav1.Duration `json:"for,omitempty,omitzero"`
	// retention says what happens to the tags when the expression no longer holds: Sticky keeps them, as a fact about the
	// run; WhileTrue takes them off.
	// +optional
	// +kubebuilder:default=Sticky
	Retention Retention `json:"retention,omitempty"`
	// mode says what the rule may do: Enforce gives tags; Report counts and writes nothing; Suspend neither adds nor
	// removes; Retract takes back all that the rule ever set, on every run that still has a TrainingRun.
	// +optional
	// +kubebuilder:default=Enforce
	Mode RuleMode `json:"mode,omitempty"`
	// runSelector selects the TrainingRuns that the rule is for, by their labels; all of them where it is absent.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.size() <= 16) && (!has(self.matchExpressions) || self.matchExpressions.size() <= 16)",message="a selector has at most 16 matchLabels and 16 matchExpressions"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 && e.values.size() <= 64 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="operator is In or NotIn with 1 to 64 values, or Exists or DoesNotExist without values"
	RunSelector *metav1.LabelSelector `json:"runSelector,omitempty"`
}

// ClusterTagRuleSpec says when which runs of which namespaces get which tags.
type ClusterTagRuleSpec struct {
	TagRuleSpec `json:",inline"`
	// namespaceSelector selects the namespaces that the rule is for, by their labels; all of them where it is absent.
	// +optional
	// +kubebuilder:validation:XValidation:rule="(!has(self.matchLabels) || self.matchLabels.size() <= 16) && (!has(self.matchExpressions) || self.matchExpressions.size() <= 16)",message="a selector has at most 16 matchLabels and 16 matchExpressions"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 && e.values.size() <= 64 : e.operator in ['Exists', 'DoesNotExist'] && (!has(e.values) || e.values.size() == 0))",message="operator is In or NotIn with 1 to 64 values, or Exists or DoesNotExist without values"
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
}

// TagRuleStatus is what became of a rule.
type TagRuleStatus struct {
	// observedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready, and while they hold Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// matchedRuns counts the TrainingRuns for which the rule holds, or for which it found a fact that stays.
	// +optional
	MatchedRuns int32 `json:"matchedRuns"`
	// heldRuns counts the TrainingRuns that remember a tag of the rule.
	// +optional
	HeldRuns int32 `json:"heldRuns"`
	// lastMatch is when the rule matched one more run.
	// +optional
	LastMatch *metav1.Time `json:"lastMatch,omitempty"`
	// retractedRuns counts the TrainingRuns from which the rule was taken back since its mode became Retract.
	// +optional
	RetractedRuns int32 `json:"retractedRuns,omitempty"`
}

// TagRule gives tags to runs of its namespace by what the cluster and the tracker know about them. It sees nodes only
// through the namespace's pods, and without their annotations.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=trule,categories=runtag
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=".spec.mode"
// +kubebuilder:printcolumn:name="Retention",type=string,JSONPath=".spec.retention"
// +kubebuilder:printcolumn:name="Tags",type=string,JSONPath=".spec.tags"
// +kubebuilder:printcolumn:name="Matched",type=integer,JSONPath=".status.matchedRuns"
// +kubebuilder:printcolumn:name="Last match",type=date,JSONPath=".status.lastMatch"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=".status.conditions[?(@.type==\"Ready\")].status"
// +kubebuilder:printcolumn:name="Retracted",type=integer,priority=1,JSONPath=".status.retractedRuns"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type TagRule struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says when which runs get which tags.
	// +required
	Spec TagRuleSpec `json:"spec"`
	// status is what became of the rule.
	// +optional
	Status TagRuleStatus `json:"status,omitempty"`
}

// TagRuleList is a list of TagRules.
// +kubebuilder:object:root=true
type TagRuleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TagRule `json:"items"`
}

// ClusterTagRule gives tags to runs of many namespaces by what the cluster and the tracker know about them.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=ctrule,categories=runtag
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=".spec.mode"
// +kubebuilder:printcolumn:name="Retention",type=string,JSONPath=".spec.retention"
// +kubebuilder:printcolumn:name="Tags",type=string,JSONPath=".spec.tags"
// +kubebuilder:printcolumn:name="Matched",type=integer,JSONPath=".status.matchedRuns"
// +kubebuilder:printcolumn:name="Last match",type=date,JSONPath=".status.lastMatch"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=".status.conditions[?(@.type==\"Ready\")].status"
// +kubebuilder:printcolumn:name="Retracted",type=integer,priority=1,JSONPath=".status.retractedRuns"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type ClusterTagRule struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says when which runs get which tags.
	// +required
	Spec ClusterTagRuleSpec `json:"spec"`
	// status is what became of the rule.
	// +optional
	Status TagRuleStatus `json:"status,omitempty"`
}

// ClusterTagRuleList is a list of ClusterTagRules.
// +kubebuilder:object:root=true
type ClusterTagRuleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterTagRule `json:"items"`
}
