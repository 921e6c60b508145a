package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SecretKeyReference names a key of a Secret of the same namespace.
type SecretKeyReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// key of the Secret that holds the value.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// SecretReference names a Secret of the same namespace.
type SecretReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// WandbProject is a project on Weights & Biases, in the cloud or self-hosted.
// +kubebuilder:validation:XValidation:rule="self.entity == oldSelf.entity",message="entity can't be changed: make another TrackingProject"
// +kubebuilder:validation:XValidation:rule="self.project == oldSelf.project",message="project can't be changed: make another TrackingProject"
type WandbProject struct {
	// baseURL of the server's API, with its path if it has one.
	// +optional
	// +kubebuilder:default="https://api.wandb.ai"
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+(/[^?#\\\\s]*)?$') && isURL(self) && url(self).getHostname() != ''",message="use an http or https URL without user info, query and fragment, such as https://wandb.example or https://example.com/wandb"
	BaseURL string `json:"baseURL,omitempty"`
	// entity that owns the project: a team or a user. It can't be changed.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Entity string `json:"entity"`
	// project by name. It can't be changed.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Project string `json:"project"`
	// apiKeySecretRef names the Secret of this namespace that holds the API key; one of a service account is best. The
	// Secret's optional key "host" binds the key to that tracker host.
	// +required
	APIKeySecretRef SecretKeyReference `json:"apiKeySecretRef"`
	// caSecretRef names the Secret key with a PEM bundle of further certificate authorities, for a self-hosted server.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`
	// bulkEdits allows the server's own bulk change of tags. Its answers are checked; where the server does not know
	// it or does not confirm it, it is not used again, and a condition says so.
	// +optional
	// +kubebuilder:default=false
	BulkEdits bool `json:"bulkEdits,omitempty"`
}

// MLflowAuth says how to log in. At most one of its fields is set.
// +kubebuilder:validation:XValidation:rule="!(has(self.basicSecretRef) && has(self.tokenSecretRef))",message="set at most one of basicSecretRef and tokenSecretRef"
type MLflowAuth struct {
	// basicSecretRef names a Secret of this namespace with the keys "username" and "password".
	// +optional
	BasicSecretRef *SecretReference `json:"basicSecretRef,omitempty"`
	// tokenSecretRef names the Secret key of this namespace with a bearer token.
	// +optional
	TokenSecretRef *SecretKeyReference `json:"tokenSecretRef,omitempty"`
}

// MLflowProject is a set of experiments on an MLflow tracking server.
// +kubebuilder:validation:XValidation:rule="has(self.workspace) == has(oldSelf.workspace) && (!has(self.workspace) || self.workspace == oldSelf.workspace)",message="workspace can't be changed: make another TrackingProject"
type MLflowProject struct {
	// trackingURI of the server, with its path if it has one.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@\\\\s]+(/[^?#\\\\s]*)?$') && isURL(self) && url(self).getHostname() != ''",message="use an http or https URL without user info, query and fragment, such as https://mlflow.example or https://example.com/mlflow"
	TrackingURI string `json:"trackingURI"`
	// experiments by name; one that ends with * stands for all names that begin so.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	Experiments []string `json:"experiments"`
	// workspace of the server, if it has workspaces. It can't be changed.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Workspace string `json:"workspace,omitempty"`
	// auth says how to log in; without it no credential is sent.
	// +optional
	Auth *MLflowAuth `json:"auth,omitempty"`
	// caSecretRef names the Secret key with a PEM bundle of further certificate authorities.
	// +optional
	CASecretRef *SecretKeyReference `json:"caSecretRef,omitempty"`
}

// ImportPolicy says which runs are imported.
// +kubebuilder:validation:Enum=None;Linked;Active;All
type ImportPolicy string

// The import policies.
const (
	// ImportNone imports nothing, apart from runs with one of import.tags.
	ImportNone ImportPolicy = "None"
	// ImportLinked imports runs to which a pod of the namespace is linked.
	ImportLinked ImportPolicy = "Linked"
	// ImportActive imports runs that are active or were first seen since the previous look.
	ImportActive ImportPolicy = "Active"
	// ImportAll imports every run, the newest first.
	ImportAll ImportPolicy = "All"
)

// ImportSpec says which runs of the tracker get a TrainingRun of their own accord. What a person has edited of such an
// object is kept; one that nobody has touched goes when its run no longer qualifies.
type ImportSpec struct {
	// policy says which runs are imported: None; Linked for those that a pod of this namespace belongs to; Active for
	// those that are active at a look or were first seen since the previous one, both until ttlAfterFinished after their
	// end; All for every run within limit, the newest first.
	// +optional
	// +kubebuilder:default=Linked
	Policy ImportPolicy `json:"policy,omitempty"`
	// tags of which a run needs one to be imported too, whatever its state, and to be kept while it carries it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	Tags []string `json:"tags,omitempty"`
	// withoutTags of which a run may carry none to be imported.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	WithoutTags []string `json:"withoutTags,omitempty"`
	// limit is the largest number of imported TrainingRuns of this project.
	// +optional
	// +kubebuilder:default=1000
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100000
	Limit int32 `json:"limit,omitempty"`
	// ttlAfterFinished is how long an imported run is kept after its end, under Linked and Active.
	// +optional
	// +kubebuilder:default="168h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('0s')",message="ttlAfterFinished must be a duration that is not negative, such as 168h or 0s"
	TTLAfterFinished metav1.Duration `json:"ttlAfterFinished,omitempty,omitzero"`
}

// TrackingProjectSpec says where the runs live and how often they are looked at.
// +kubebuilder:validation:XValidation:rule="has(self.wandb) != has(self.mlflow)",message="set exactly one of wandb and mlflow"
// +kubebuilder:validation:XValidation:rule="has(self.wandb) == has(oldSelf.wandb)",message="the kind of tracker can't be changed: make another TrackingProject"
type TrackingProjectSpec struct {
	// wandb is a project on Weights & Biases. Set exactly one of wandb and mlflow.
	// +optional
	Wandb *WandbProject `json:"wandb,omitempty"`
	// mlflow is a set of experiments on an MLflow server. Set exactly one of wandb and mlflow.
	// +optional
	MLflow *MLflowProject `json:"mlflow,omitempty"`
	// maxTagPolicy is the ceiling for every TrainingRun of this project. Observe shows everything and writes nothing.
	// +optional
	// +kubebuilder:default=Merge
	MaxTagPolicy TagPolicy `json:"maxTagPolicy,omitempty"`
	// uniqueTags are tags that at most one run of the project carries: the one whose TrainingRun declares it by spec or
	// label. docs/semantics.md says how a tag moves from one run to another.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=250
	// +kubebuilder:validation:items:XValidation:rule="self == self.trim()",message="a tag can't begin or end with a blank: remove it"
	UniqueTags []string `json:"uniqueTags,omitempty"`
	// interval is how often active runs are looked at, at least 1s.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('1s')",message="interval must be a duration of at least 1s, such as 30s or 5m"
	Interval metav1.Duration `json:"interval,omitempty,omitzero"`
	// fullInterval is how often every tracked run is looked at, at least 1s.
	// +optional
	// +kubebuilder:default="10m"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(ns|us|ms|s|m|h))+$') && duration(self) >= duration('1s')",message="fullInterval must be a duration of at least 1s, such as 30s or 5m"
	FullInterval metav1.Duration `json:"fullInterval,omitempty,omitzero"`
	// import says which runs of the tracker get a TrainingRun of their own accord.
	// +optional
	// +kubebuilder:default={}
	Import ImportSpec `json:"import,omitzero"`
	// suspend stops every request to the tracker.
	// +optional
	// +kubebuilder:default=false
	Suspend bool `json:"suspend,omitempty"`
}

// PendingCounts counts what policies keep runtag from doing in the whole project.
type PendingCounts struct {
	// runs with something pending.
	// +required
	Runs int32 `json:"runs"`
	// adds that are pending.
	// +required
	Adds int32 `json:"adds"`
	// removes that are pending.
	// +required
	Removes int32 `json:"removes"`
}

// TagCount says how many tracked runs carry a tag.
type TagCount struct {
	// name of the tag.
	// +required
	// +kubebuilder:validation:MaxLength=250
	Name string `json:"name"`
	// count of tracked runs that carry it.
	// +required
	Count int32 `json:"count"`
}

// VerifiedSource is the address and credential with which all known runs were found. While the present ones differ,
// no run is called deleted.
type VerifiedSource struct {
	// url of the tracker.
	// +required
	// +kubebuilder:validation:MaxLength=512
	URL string `json:"url"`
	// secrets are the uid and resourceVersion of the Secrets that were used; never anything of their content.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Secrets string `json:"secrets,omitempty"`
}

// UniqueTagStatus is what became of one unique tag.
type UniqueTagStatus struct {
	// name of the tag.
	// +required
	// +kubebuilder:validation:MaxLength=250
	Name string `json:"name"`
	// holder is the id of the run that a declaration gave the tag to; empty before there was one.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Holder string `json:"holder,omitempty"`
	// wanted is the id of the run that should have it, while that is another one, or none yet.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Wanted string `json:"wanted,omitempty"`
	// since is when holder or wanted changed last.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// undeclaredSince is since when nobody declares the tag, which the holder keeps for a minute.
	// +optional
	UndeclaredSince *metav1.Time `json:"undeclaredSince,omitempty"`
	// blocked says why the tag does not move.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Blocked string `json:"blocked,omitempty"`
}

// TrackingProjectStatus is what was seen of the project.
type TrackingProjectStatus struct {
	// observedGeneration is the generation of the spec that this status answers.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions are Ready, and while they hold Reconciling and Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// backend is the kind of tracker.
	// +optional
	// +kubebuilder:validation:Enum=wandb;mlflow
	Backend string `json:"backend,omitempty"`
	// project by the tracker's words: entity/project, or the experiments.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Project string `json:"project,omitempty"`
	// runs is the number of runs on the tracker, where it counts them in one call.
	// +optional
	Runs *int32 `json:"runs,omitempty"`
	// trackedRuns is the number of TrainingRuns of the project.
	// +optional
	TrackedRuns int32 `json:"trackedRuns"`
	// pending counts what policies keep runtag from doing.
	// +optional
	Pending *PendingCounts `json:"pending,omitempty"`
	// tags of the tracked runs with counts, the 100 most used.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=100
	Tags []TagCount `json:"tags,omitempty"`
	// uniqueTags says of each unique tag who has it and who should.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	UniqueTags []UniqueTagStatus `json:"uniqueTags,omitempty"`
	// verified is the address and credential with which all known runs were found last.
	// +optional
	Verified *VerifiedSource `json:"verified,omitempty"`
	// lookAt is the value of the annotation tracking.runtag.dev/look-at that was acted on last.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	LookAt string `json:"lookAt,omitempty"`
	// acceptedMissing is the value of the annotation tracking.runtag.dev/accept-missing that was acted on last. It counts once.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	AcceptedMissing string `json:"acceptedMissing,omitempty"`
}

// TrackingProject says where training runs live and how they are looked at.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=tproj,categories=runtag
// +kubebuilder:printcolumn:name="Backend",type=string,JSONPath=".status.backend"
// +kubebuilder:printcolumn:name="Project",type=string,JSONPath=".status.project"
// +kubebuilder:printcolumn:name="Runs",type=integer,JSONPath=".status.runs"
// +kubebuilder:printcolumn:name="Tracked",type=integer,JSONPath=".status.trackedRuns"
// +kubebuilder:printcolumn:name="Pending",type=integer,JSONPath=".status.pending.runs"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=".status.conditions[?(@.type==\"Ready\")].status"
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=".status.conditions[?(@.type==\"Ready\")].reason"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=".metadata.creationTimestamp"
type TrackingProject struct {
	metav1.TypeMeta `json:",inline"`
	// metadata of the object.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says where the runs live and how often they are looked at.
	// +required
	Spec TrackingProjectSpec `json:"spec"`
	// status is what was seen of the project.
	// +optional
	Status TrackingProjectStatus `json:"status,omitempty"`
}

// TrackingProjectList is a list of TrackingProjects.
// +kubebuilder:object:root=true
type TrackingProjectList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []TrackingProject `json:"items"`
}
