package controllers

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/evidence"
)

// notes keeps the pods that events are about.
type notes []string

func (n *notes) Eventf(regarding, _ runtime.Object, _, reason, _, note string, args ...any) {
	pod := regarding.(*corev1.Pod) //nolint:forcetypeassert // only pods are spoken of here
	*n = append(*n, fmt.Sprintf("%s %s: %s", pod.Name, reason, fmt.Sprintf(note, args...)[:13]))
}

func TestUnreadableIsSaidOnce(t *testing.T) {
	pod := func(namespace, name, job string, unreadable ...string) *evidence.Pod {
		p := &evidence.Pod{Namespace: namespace, Name: name, UID: types.UID(namespace + name), Unreadable: unreadable}
		if job != "" {
			p.Owners = []evidence.Owner{{UID: types.UID(job), Controller: true}}
		}
		return p
	}
	there := evidence.New(evidence.Options{})
	var heard notes
	u := &unreadable{
		recorder: &heard, store: there, said: map[types.UID]bool{}, tracked: func(namespace string) bool { return namespace == "ml" },
	}
	u.say(pod("ml", "early", "", "WANDB_RUN_ID")) // another replica leads
	u.leading = true
	u.say(pod("ml", "fine", ""), pod("ml", "job-0", "job", "WANDB_RUN_ID"), pod("ml", "job-1", "job", "WANDB_RUN_ID"))
	u.say(pod("ml", "job-0", "job", "WANDB_RUN_ID"), pod("web", "other", "", "WANDB_RUN_ID"), pod("ml", "alone", "", "MLFLOW_RUN_ID"))
	want := notes{"job-0 RunNotReadable: WANDB_RUN_ID ", "alone RunNotReadable: MLFLOW_RUN_ID"}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Errorf("what is said of pods whose run can't be read, once for a job and only where runs are tracked (-want +got):\n%s", diff)
	}
}
