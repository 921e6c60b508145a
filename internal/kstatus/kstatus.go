// Package kstatus writes the conditions Ready, Reconciling and Stalled so that they never contradict each other, as
// the kstatus conventions of sigs.k8s.io/cli-utils want them: where Ready is not True, exactly one of Reconciling and
// Stalled is there and True; where it is, neither is there.
package kstatus

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
)

// State is what the conditions say.
type State struct {
	Ready           metav1.ConditionStatus
	Reason, Message string
	// Stalled says that nothing but a change by a person helps. It means nothing while Ready is True.
	Stalled bool
}

// Set writes the state into conditions; generation is the one of the spec that it answers. A condition that stays as it
// was keeps its transition time.
func Set(conditions *[]metav1.Condition, generation int64, s State) {
	set := func(kind string, status metav1.ConditionStatus) {
		meta.SetStatusCondition(conditions, metav1.Condition{
			Type: kind, Status: status, Reason: s.Reason, Message: s.Message, ObservedGeneration: generation,
		})
	}
	set(v1alpha1.ConditionReady, s.Ready)
	for kind, wanted := range map[string]bool{
		v1alpha1.ConditionStalled:     s.Ready != metav1.ConditionTrue && s.Stalled,
		v1alpha1.ConditionReconciling: s.Ready != metav1.ConditionTrue && !s.Stalled,
	} {
		if wanted {
			set(kind, metav1.ConditionTrue)
		} else {
			meta.RemoveStatusCondition(conditions, kind)
		}
	}
}
