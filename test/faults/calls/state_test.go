package calls_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/runtag/runtag/api/v1alpha1"
)

// state is what there is at the end of a life, by what it is about: tags on the tracker, and objects without what
// differs from life to life.
type state map[string]string

// state reads it.
func (l *life) state() state {
	ctx := l.Context()
	s := state{}
	page := l.Tracker.Server.Runs()
	for _, run := range page {
		s["run "+run.ID] = strings.Join(slices.Sorted(slices.Values(run.Tags)), " ")
	}
	for _, list := range []client.ObjectList{
		&v1alpha1.TrackingProjectList{}, &v1alpha1.TrainingRunList{}, &v1alpha1.TagRuleList{}, &v1alpha1.TagChangeList{}, &corev1.ConfigMapList{},
	} {
		if err := l.Admin.List(ctx, list, client.InNamespace(l.Namespace)); err != nil {
			l.Fail("list %T: %v", list, err)
		}
	}
	return s
}
