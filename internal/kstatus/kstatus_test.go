package kstatus_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/internal/kstatus"
)

func TestSet(t *testing.T) {
	cases := map[string]struct {
		reason string
		state  kstatus.State
		want   map[string]metav1.ConditionStatus
	}{
		"Ready": {
			reason: "An object that is as declared says nothing else.",
			state:  kstatus.State{Ready: metav1.ConditionTrue, Reason: "Synced", Stalled: true},
			want:   map[string]metav1.ConditionStatus{"Ready": metav1.ConditionTrue},
		},
		"Reconciling": {
			reason: "Where the operator goes on by itself, that is said.",
			state:  kstatus.State{Ready: metav1.ConditionUnknown, Reason: "Applying"},
			want:   map[string]metav1.ConditionStatus{"Ready": metav1.ConditionUnknown, "Reconciling": metav1.ConditionTrue},
		},
		"Stalled": {
			reason: "Where only a person can help, waiting is no use.",
			state:  kstatus.State{Ready: metav1.ConditionFalse, Reason: "InvalidTags", Stalled: true},
			want:   map[string]metav1.ConditionStatus{"Ready": metav1.ConditionFalse, "Stalled": metav1.ConditionTrue},
		},
	}
	before := kstatus.State{Ready: metav1.ConditionFalse, Reason: "Before"}
	for name, tc := range cases {
		for _, stalled := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				var conditions []metav1.Condition
				before.Stalled = stalled
				kstatus.Set(&conditions, 1, before)
				kstatus.Set(&conditions, 2, tc.state)
				got := map[string]metav1.ConditionStatus{}
				for _, c := range conditions {
					got[c.Type] = c.Status
					if c.Reason != tc.state.Reason || c.ObservedGeneration != 2 {
						t.Errorf("%s\ncondition %s still says %s of generation %d", tc.reason, c.Type, c.Reason, c.ObservedGeneration)
					}
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s\n-want +got:\n%s", tc.reason, diff)
				}
			})
		}
	}
}

func TestSetTwiceChangesNothing(t *testing.T) {
	for _, state := range []kstatus.State{
		{Ready: metav1.ConditionTrue, Reason: "Synced"},
		{Ready: metav1.ConditionFalse, Reason: "Waiting"},
		{Ready: metav1.ConditionFalse, Reason: "Broken", Stalled: true},
	} {
		var conditions []metav1.Condition
		kstatus.Set(&conditions, 1, state)
		for i := range conditions { // long ago, so that a new time would show
			conditions[i].LastTransitionTime = metav1.Unix(1, 0)
		}
		before := append([]metav1.Condition(nil), conditions...)
		kstatus.Set(&conditions, 1, state)
		if diff := cmp.Diff(before, conditions, cmpopts.SortSlices(func(a, b metav1.Condition) bool { return a.Type < b.Type })); diff != "" {
			t.Errorf("the same state %v is news:\n%s", state, diff)
		}
	}
}
