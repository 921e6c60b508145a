// Package v1alpha1 is the API of runtag: TrainingRun, one run and its tags; TrackingProject, where runs live; TagRule and
// ClusterTagRule, which give tags by themselves; and TagChange, a bulk change.
// +kubebuilder:object:generate=true
// +groupName=tracking.runtag.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of this package.
var GroupVersion = schema.GroupVersion{Group: "tracking.runtag.dev", Version: "v1alpha1"}

var schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme adds the types of this package to a scheme.
var AddToScheme = schemeBuilder.AddToScheme

func addKnownTypes(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &TrainingRun{}, &TrainingRunList{}, &TrackingProject{}, &TrackingProjectList{},
		&TagRule{}, &TagRuleList{}, &ClusterTagRule{}, &ClusterTagRuleList{}, &TagChange{}, &TagChangeList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
