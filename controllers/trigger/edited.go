package trigger

import (
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// Edited lets by creations, deletions and other generations.
func Edited() predicate.Predicate { return predicate.GenerationChangedPredicate{} }

var _ = event.UpdateEvent{}
